"""All that is wrong with a definition, and where: with AWS's codes and places, and AWS's texts where they are known.

A check goes on after the first mistake, and takes any text at all. What a part may hold stands in `fields.py`, the
values of fields in `shapes.py`, the rules of a Choice in `choices.py`, the ways between states in `graph.py`, variables
over the whole of a machine in `scopes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from stepfold.language.limits import DEFINITION_BYTES
from stepfold.query import jackson
from stepfold.query.values import MAX_DEPTH, Json, NotAdmitted, admit, admit_tree, tree

from .diagnostics import ERROR, SCHEMA, Diagnostic, View
from .fields import MACHINE
from .graph import check_graph
from .scopes import check_scopes
from .shapes import members

_SHOWN = 500
"""So much of an unreadable text is shown in its diagnostic."""


def check(
    definition: bytes | str | Mapping[str, Json],
    *,
    type: str = "STANDARD",  # noqa: A002 -- AWS's word
    placeholders: bool = False,
) -> list[Diagnostic]:
    """List what is wrong with a definition: errors and warnings, in the order of its parts.

    With `placeholders` a text that holds `${Name}` counts as any value of the right kind.
    """
    try:
        plain = _read(definition)
    except _Unreadable as unreadable:
        return [unreadable.diagnostic]
    whole = plain.get("QueryLanguage", "JSONPath")
    left_open = View([], placeholders=placeholders).open(whole)
    view = View(
        found=[],
        placeholders=placeholders,
        express=type == "EXPRESS",
        # measured: whatever is not exactly JSONPath is JSONata, besides being refused
        whole="JSONPath" if whole == "JSONPath" or left_open else "JSONata",
        mixed=left_open,
    )
    members(view, plain, "", MACHINE)
    check_graph(view, plain)
    check_scopes(view, plain)
    return view.found


class _Unreadable(Exception):
    def __init__(self, message: str, location: str | None = None, code: str = SCHEMA) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(ERROR, code, message, location)


def _read(definition: bytes | str | Mapping[str, Json]) -> dict[str, Json]:
    plain: Json = None
    try:
        if not isinstance(definition, bytes | str):
            plain = tree(admit_tree(definition))
        elif definition.strip():
            if len(definition) > DEFINITION_BYTES:
                size = f"{len(definition)} characters, {DEFINITION_BYTES} are allowed"
                raise _Unreadable(f"The definition has {size}: split it into several machines")
            plain = tree(admit(definition))
    except NotAdmitted as refused:
        raise _why(definition, str(refused)) from None
    if not isinstance(plain, dict):
        raise _Unreadable("Definition must be a valid JSON object")
    return plain


def _why(definition: bytes | str | Mapping[str, Json], refused: str) -> _Unreadable:
    """Say of a refused text where it stops being JSON, in the words of AWS's parser."""
    if f"deeper than {MAX_DEPTH}" in refused:
        return _Unreadable(f"The definition nests deeper than {MAX_DEPTH} levels", code="TOO_DEEPLY_NESTED")
    text = definition.decode(errors="replace") if isinstance(definition, bytes) else definition
    if not isinstance(text, str) or (found := jackson.fault(text)) is None:
        return _Unreadable(refused, code="INVALID_JSON_DESCRIPTION")
    shown = f'"{text[:_SHOWN]}"'
    if len(text) > _SHOWN:
        shown += f"[truncated {len(text) - _SHOWN} chars]"
    source = f"[Source: (String){shown}; line: {found.line}, column: {found.column}]"
    return _Unreadable(f"{found.words}\n at {source}", source, "INVALID_JSON_DESCRIPTION")
