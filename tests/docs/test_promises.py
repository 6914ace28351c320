"""docs/promises.md: every test that it names is there, every fault test is named, every promise has its mutant."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (P\d+) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, flags=re.MULTILINE)
BROKEN_ELSEWHERE = {"P4"}
"""Those whose mutants are the laws' (tests/laws/test_mutants.py)."""


def named_in(*folders):
    return {
        name
        for folder in folders
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }


def test_each_promise_is_a_sentence_with_a_test_and_what_was_tried():
    assert [row[0] for row in ROWS] == [f"P{number}" for number in range(1, 22) if number != 20]
    for number, promise, tests, tried, _ in ROWS:
        assert promise.endswith("."), number
        assert re.findall(r"`test_\w+`", tests), number
        assert tried, number


def test_every_test_that_is_named_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named <= named_in("faults", "laws", "runtime", "store", "security", "service", "cli", "work", "query")


def test_each_defence_is_a_sentence_with_its_tests_and_a_mutant_has_its_place():
    from tests.security import mutants

    rows = re.findall(r"^\| (S\d+) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, flags=re.MULTILINE)
    assert [row[0] for row in rows] == [f"S{number}" for number in range(1, 11)]
    assert all(promise.endswith(".") and "`test_" in tests and tried for _, promise, tests, tried, _ in rows)
    named = {name for _, _, tests, *_ in rows for name in re.findall(r"`(test_\w+)`", tests)}
    for _, test in mutants.TABLE.values():
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file()
        assert not name or name in named, f"{name} stands at no defence"


def test_every_fault_test_is_named():
    assert named_in("faults") <= set(re.findall(r"`(test_\w+)`", PAGE))


def test_every_promise_is_broken_by_a_mutant_that_its_test_catches():
    from tests.faults import mutants, test_mutants

    assert mutants.TABLE.keys() == {row[0] for row in test_mutants.TRIED}
    broken = {promise for _, promises in mutants.TABLE.values() for promise in promises}
    assert broken | BROKEN_ELSEWHERE == {row[0] for row in ROWS}
    tests = {number: tests for number, _, tests, *_ in ROWS}
    for mutant, _, test, _ in test_mutants.TRIED:
        promises = mutants.TABLE[mutant][1]
        assert any(test in tests[promise] for promise in promises), f"{test} stands at none of {promises}"


def test_every_fault_test_has_a_mutant_that_it_catches():
    from tests.faults import test_mutants

    tools = set(re.findall(r"`(test_\w+)`", PAGE.partition("The tools have tests of their own:")[2]))
    assert named_in("faults") - tools == {test for *_, test, _ in test_mutants.TRIED} & named_in("faults")


def test_readers_and_builders_are_led_to_it(readme, architecture):
    assert "docs/promises.md" in readme.links()
    assert "docs/promises.md" in architecture.links()
