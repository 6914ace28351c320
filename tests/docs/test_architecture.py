"""ARCHITECTURE.md is a map of the house as it stands: every room and file, none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs import house

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "engine" / "stepfold", ROOT / "store" / "stepfold_store")
_PLAN = re.compile(r"^### (\S+)\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"`([\w./-]+\.(?:py|mjs|sql|md|toml))`")


@pytest.fixture(scope="module")
def plan(architecture):
    """Every file that the floor plan names, with its line."""
    found = {}
    for room, body in _PLAN.findall(architecture.text):
        for name, line in re.findall(r"^\| `([^`]+)` \| (.+) \|$", body, flags=re.MULTILINE):
            assert f"{room}/{name}" not in found
            found[f"{room}/{name}"] = line
    return found


def sources():
    """Every source file of the two packages; a room's own `__init__.py` of one line is the room, and no file."""
    for package in PACKAGES:
        for path in sorted(package.rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix not in {".py", ".mjs", ".sql"} or "/examples/" in name or "__pycache__" in name:
                continue
            if path.name != "__init__.py" or len(path.read_text(encoding="utf-8").splitlines()) > 1:
                yield name


def test_every_file_of_the_plan_is_there(plan):
    assert [name for name in plan if not (ROOT / name).is_file()] == []


def test_every_source_file_is_in_the_plan_with_a_line_of_its_own(plan):
    assert [name for name in sources() if name not in plan] == []
    assert all(plan.values())


def test_whatever_file_is_named_in_the_text_is_there(architecture):
    places = (ROOT, *PACKAGES)
    rooms = [ROOT / room for room, _ in _PLAN.findall(architecture.text)]
    for name in _NAMED.findall(architecture.text):
        assert any((place / name).is_file() for place in (*places, *rooms)), name


def test_every_rule_says_where_it_is_kept_and_where_it_is_tested(architecture):
    rooms = (*PACKAGES, PACKAGES[0] / "interpreter")
    section = architecture.section("Rules that are easily broken")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", section, flags=re.MULTILINE)[1:]
    assert len(rows) == section.count("\n| ") - 1 > 10
    for rule, kept, tests in rows:
        assert re.findall(r"`(tests/\w+/test_\w+\.py)`", tests), rule
        for name, what in re.findall(r"`([\w/]+\.py)` `(\w+)`", kept):
            text = next(room / name for room in rooms if (room / name).is_file()).read_text(encoding="utf-8")
            assert re.search(rf"^ *(async )?(def|class) {what}\b", text, flags=re.MULTILINE), f"{name} has no {what}"


def test_every_dependency_is_explained(architecture):
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    section = architecture.section("Dependencies")
    explained = set(re.findall(r"^\| ([\w-]+) \|", section, flags=re.MULTILINE)) - {"library"}
    assert explained == {re.match(r"[\w-]+", one)[0] for one in asked}


def test_the_interpreter_s_files_and_imports_are_as_they_are_shown():
    def rows(text):
        found = re.findall(r"^\| (\w+) \| (\d+) \| (.+?) \|$", text, flags=re.MULTILINE)
        return {name: (int(lines), below) for name, lines, below in found}

    shown, true = rows(house.shown()), rows(house.table())
    assert {name: below for name, (_, below) in shown.items()} == {name: below for name, (_, below) in true.items()}
    for name, (lines, _) in true.items():
        assert abs(shown[name][0] - lines) <= max(2 * house.ROUNDED, lines // 5), f"{name}: python -m tests.docs.house"
