"""One state as a machine of its own: given alone, or cut out of a machine by its name, however deep it lies there.

What it leads to is left outside: whoever has such a machine stops where the state is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from stepfold.errors import CallerError, InvalidDefinition
from stepfold.query.template import SourceError
from stepfold.query.values import Json, NotAdmitted, admit, text, tree

from .checking.check import check
from .checking.diagnostics import ERROR, Diagnostic, as_invalid_definition
from .machine import Machine, unsupported

ALONE = "StateName"
"""What AWS calls a state that was given without a machine around it (recorded in its Context object)."""

_LEADS_OUT = re.compile(rf"/States/{ALONE}/(Next|Default|Catch\[\d+\]/Next|Choices\[\d+\]/Next)")
_ONLY_IN_FULL = "a Map with "


class Single(NamedTuple):
    """A state, ready: its name, the machine that holds nothing else, and whether a Map does it to each item."""

    name: str
    machine: Machine
    in_map: bool


def single(definition: str, name: str | None = None) -> Single:
    """Make a state ready: the definition itself, or the state of that name in it.

    Raises InvalidDefinition, and CallerError where the machine has no such state.
    """
    if name is None:
        return Single(ALONE, _ready({ALONE: _given(definition)}, {}), in_map=False)
    _refuse(check(definition))
    whole = tree(admit(definition))
    for found, state, in_map in _states(whole, in_map=False):
        if found == name:
            return Single(name, _ready({name: state}, whole), in_map)
    raise CallerError("State not found in definition")


def _given(definition: str) -> Json:
    """A state without a machine, checked as if what it leads to were there."""
    try:
        state = tree(admit(definition))
    except NotAdmitted:
        state = None
    if not isinstance(state, dict):
        _refuse(check(definition))  # which says where it stops being a JSON object
        raise InvalidDefinition("Invalid State Machine Definition: 'Definition must be a valid JSON object'")
    found = check({"StartAt": ALONE, "States": {ALONE: state}})
    _refuse([_shown(diagnostic) for diagnostic in found if not _about_the_rest(diagnostic)])
    return state


def _about_the_rest(found: Diagnostic) -> bool:
    """Whether a check found fault with what is not there."""
    if found.location is None:
        return found.code == "MISSING_END_STATE"
    return found.code == "MISSING_TRANSITION_TARGET" and _LEADS_OUT.fullmatch(found.location) is not None


def _shown(found: Diagnostic) -> Diagnostic:
    """The diagnostic with the place as the caller knows it."""
    if found.location is None:
        return found
    return msgspec.structs.replace(found, location=found.location.removeprefix(f"/States/{ALONE}") or "/")


def _ready(states: dict[str, Json], whole: Mapping[str, Json]) -> Machine:
    """The machine of one state; it keeps the query language of the machine that it comes from."""
    definition: dict[str, Json] = {"StartAt": next(iter(states)), "States": states}
    if "QueryLanguage" in whole:
        definition["QueryLanguage"] = whole["QueryLanguage"]
    # A mocked Map is not run: it reads and writes nothing.
    _refuse([found for found in unsupported(definition) if _ONLY_IN_FULL not in found.message])
    try:
        return Machine(bytes(text(definition)), "STANDARD")
    except (msgspec.ValidationError, SourceError) as error:  # what `check` let pass: a gap there
        raise InvalidDefinition(f"Invalid State Machine Definition: '{error}'") from None


def _refuse(found: list[Diagnostic]) -> None:
    if any(diagnostic.severity == ERROR for diagnostic in found):
        raise InvalidDefinition(as_invalid_definition(found), tuple(found))


def _states(block: Mapping[str, Json], *, in_map: bool) -> Iterator[tuple[str, Json, bool]]:
    """Every state of a checked machine, outermost first, and whether a Map lies around it."""
    for name, state in block["States"].items():
        yield name, state, in_map
    for state in block["States"].values():
        for branch in state.get("Branches", ()):
            yield from _states(branch, in_map=in_map)
        for field in ("ItemProcessor", "Iterator"):
            if field in state:
                yield from _states(state[field], in_map=True)
