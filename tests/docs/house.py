"""The interpreter's files as ARCHITECTURE.md shows them: how large each is, and which others it imports.

    python -m tests.docs.house          writes the table anew
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
ROOM = ROOT / "engine" / "stepfold" / "interpreter"
ROUNDED = 20
"""Lines of code are shown in steps of so many."""

_TABLE = re.compile(r"^\| interpreter/ \| lines \| .*?\n\n", re.DOTALL | re.MULTILINE)


def lines_of(path: Path) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    source = path.read_text(encoding="utf-8")
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in skipped
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - docstrings)


def imports_of(path: Path) -> list[str]:
    """The files of the room that it imports, also for types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found.update([node.module] if node.module else [name.name for name in node.names])
    return sorted(found)


def table() -> str:
    """The table, from those that import the least up."""
    files = {path.stem: path for path in ROOM.glob("*.py") if path.stem != "__init__"}
    imports = {name: [one for one in imports_of(path) if one in files] for name, path in files.items()}

    def floor(name: str) -> int:
        return 1 + max((floor(below) for below in imports[name]), default=0)

    rows = [
        f"| {name} | {round(lines_of(files[name]) / ROUNDED) * ROUNDED} | {', '.join(imports[name]) or '-'} |"
        for name in sorted(files, key=lambda name: (floor(name), name))
    ]
    return "\n".join(["| interpreter/ | lines | imports of its own room |", "|---|--:|---|", *rows]) + "\n\n"


def shown() -> str:
    """The table that stands in the document."""
    found = _TABLE.search(ARCHITECTURE.read_text(encoding="utf-8"))
    if found is None:
        raise AssertionError("ARCHITECTURE.md has lost the table of the interpreter's files")
    return found.group()


if __name__ == "__main__":
    ARCHITECTURE.write_text(_TABLE.sub(table(), ARCHITECTURE.read_text(encoding="utf-8")), "utf-8")
