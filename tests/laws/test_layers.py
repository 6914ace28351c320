"""Laws of the house: imports point down and in no circle, the core is pure, and one file alone writes to frames."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import stepfold
import stepfold_store

ENGINE = Path(stepfold.__file__).parent
STORE = Path(stepfold_store.__file__).parent

ROOMS = {
    "query": set(),
    "language": {"query"},
    "interpreter": {"query", "language"},
    "insight": {"query", "language", "interpreter"},
    "work": {"query", "language"},
    "stepfold_store": set(),
    "runtime": {"query", "language", "interpreter", "insight", "work", "stepfold_store"},
    "service": {"query", "language", "interpreter", "insight", "work", "stepfold_store", "runtime"},
    "cli": {"query", "language", "interpreter", "insight", "work", "stepfold_store", "runtime", "service"},
}
"""What each room may import beside itself. Work knows how a Resource is written, but neither the core nor the store."""

GROUND = {"errors", "names"}
"""Files that every room of the engine may import, and that import none of them (the store stands on its own)."""

DOORS = {"__init__", "__main__"}
"""Files that open the house from outside: they may import every room."""

PURE = ("query", "language", "interpreter", "insight")
OUTSIDE = {
    "anyio", "asyncio", "time", "random", "secrets", "uuid", "os", "socket", "sqlite3", "aiosqlite", "structlog",
    "threading", "subprocess", "signal", "tempfile", "shutil", "selectors", "logging", "multiprocessing", "concurrent",
}
"""Time, chance, threads and the world: to the core they come as a Moment, as signals, and as effects."""

ALLOWED = {
    # Writing sixteen given bytes as a UUID: uuid4() would be chance of its own, UUID(bytes=...) is not.
    ("query/template.py", "uuid"),
    # PathLike, the type of what may be given for a path.
    ("language/reading/files.py", "os"),
}

NEVER = {"eval", "exec", "compile", "__import__"}
NEVER_IMPORTED = {"pickle", "marshal", "shelve", "importlib", "runpy", "imp", "dill"}


def sources(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "examples" not in path.parts and "bootstrap" not in path.parts)


FILES = [*sources(ENGINE), *sources(STORE)]


def place(path: Path) -> str:
    """A file as its package sees it: `query/template.py`, `stepfold_store/memory.py`."""
    if path.is_relative_to(ENGINE):
        return path.relative_to(ENGINE).as_posix()
    return path.relative_to(STORE.parent).as_posix()


def module(path: Path) -> str:
    root = ENGINE.parent if path.is_relative_to(ENGINE) else STORE.parent
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    return name.removesuffix(".__init__")


def room(name: str) -> str:
    """The room of a module; a loose file of the engine is a room of its own name, the package's door is ``."""
    parts = name.split(".")
    if parts[0] == "stepfold":
        return parts[1] if len(parts) > 1 else ""
    return name.partition(".")[0]


def imports(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """Every module that a file imports, by its whole name; `at_run_time` leaves out what only types need."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            skipped.update(ast.walk(node))
        if at_run_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped.update(ast.walk(node))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module(path).split(".")
                up = node.level - (1 if path.name == "__init__.py" else 0)
                base = ".".join([*package[: len(package) - up], *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)


MODULES = {module(path) for path in FILES}


def ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in {"stepfold", "stepfold_store"}


def test_every_room_has_its_floor() -> None:
    loose = {path.stem for path in ENGINE.glob("*.py")}
    rooms = {path.name for path in ENGINE.iterdir() if path.is_dir() and path.name not in {"__pycache__", "examples"}}
    assert rooms <= ROOMS.keys()
    assert loose <= GROUND | DOORS | {"cli", "pytest_plugin"}


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_point_down(path: Path) -> None:
    here = room(module(path))
    if path.parent == ENGINE and path.stem in DOORS:
        return
    allowed = {here} if here in GROUND else {here, *ROOMS[here], *(GROUND if here != "stepfold_store" else ())}
    if here in GROUND:
        allowed = GROUND
    wrong = {name for name in imports(path) if ours(name) and room(name) not in allowed and room(name) != ""}
    assert not wrong, f"{place(path)} imports {wrong}"


def test_no_imports_go_in_a_circle() -> None:
    graph = {
        module(path): {
            name for name in imports(path, at_run_time=True) if name in MODULES and name != module(path)
        }
        for path in FILES
    }
    for name, others in graph.items():  # (`from package import part` imports the part: its own package is no circle)
        others -= {other for other in others if name.startswith(f"{other}.")}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name):], name])
        if name not in done:
            for other in graph[name]:
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("path", [path for path in FILES if room(module(path)) in PURE], ids=place)
def test_the_core_knows_no_time_no_chance_and_no_world(path: Path) -> None:
    found = {(place(path), name.split(".")[0]) for name in imports(path) if name.split(".")[0] in OUTSIDE}
    assert found <= ALLOWED
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            raise AssertionError(f"{place(path)}, line {node.lineno}: the core does not wait")
        if isinstance(node, ast.Attribute):
            said = ast.unparse(node)
            assert said not in {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid4",
                                "uuid.uuid1"}, f"{place(path)}, line {node.lineno}"


def test_the_exceptions_are_still_needed() -> None:
    for name, what in ALLOWED:
        assert what in {found.split(".")[0] for found in imports(ENGINE / name)}


FRAMES = ENGINE / "interpreter" / "frames.py"
WRITERS = {"interpreter/execution.py", "interpreter/frames.py", "interpreter/snapshots.py"}
"""Who may write to frames: the fold; the data's own constructors, each to itself; and what brings back a fold."""


def _fields() -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(FRAMES.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
            found |= set(ast.literal_eval(node.value))
    return found


_CHANGES = {
    "append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault", "add", "discard",
    "move_to_end", "sort", "reverse",
}
_NOT_FRAMES = {"self", "cls", "step", "record"}
_NO_CALL_OF_A_FRAME = {"runtime/runs/deadlines.py"}
"""Where `call` is what a worker is handed."""

READERS = [
    path for path in FILES if room(module(path)) in {"interpreter", "insight", "runtime"} and place(path) not in WRITERS
]


@pytest.mark.parametrize("path", READERS, ids=place)
def test_only_the_fold_writes_to_a_frame(path: Path) -> None:
    fields = _fields()
    not_frames = _NOT_FRAMES | ({"call"} if place(path) in _NO_CALL_OF_A_FRAME else set())
    assert {"waits", "value", "tries", "outputs", "running"} <= fields
    for node in ast.walk(ast.parse(path.read_text())):
        for target in _written(node):
            while isinstance(target, ast.Subscript):
                target = target.value  # noqa: PLW2901
            if isinstance(target, ast.Attribute) and target.attr in fields:
                owner = ast.unparse(target.value)
                assert owner.split(".")[0].split("[")[0] in not_frames, (
                    f"{place(path)}, line {node.lineno}: writes {ast.unparse(target)}"
                )


def _written(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            return [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return [target]
        case ast.Call(func=ast.Attribute(value=ast.Attribute() as owner, attr=change)) if change in _CHANGES:
            return [owner]
        case ast.Call(func=ast.Name(id="setattr")):
            return [ast.Attribute(node.args[0], "waits")]
    return []


def test_constructors_of_frames_write_to_themselves_alone() -> None:
    for node in ast.walk(ast.parse(FRAMES.read_text())):
        for target in _written(node):
            if isinstance(target, ast.Attribute):
                assert ast.unparse(target.value) == "self", f"frames.py, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_no_text_is_ever_run_as_a_program(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in NEVER, f"{place(path)}, line {node.lineno}"
    data = {"importlib.resources", "importlib.metadata"}  # (they read what was installed; they run nothing)
    assert not {name for name in imports(path) if name.split(".")[0] in NEVER_IMPORTED} - data
