"""A definition made ready to run: every state by name (`steps.py`), checked and compiled once.

Names are unique over a whole machine, so one table holds the states of all nested blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from stepfold.errors import InvalidDefinition
from stepfold.query.template import SourceError
from stepfold.query.values import Json, tree

from . import states
from .checking.check import check
from .checking.diagnostics import ERROR, SCHEMA, UNSUPPORTED, Diagnostic, as_invalid_definition, as_text
from .processors import processors
from .steps import Step, blocks, compile_state


class Child(NamedTuple):
    """The processor of a distributed Map, a machine of its own: `type` is that of its executions."""

    label: str
    type: str
    machine: Machine


class Machine:
    """A whole definition, checked and compiled; it never changes. `children` has its distributed Maps, by state."""

    __slots__ = ("children", "definition", "digest", "start_at", "steps", "text", "timeout", "type")

    def __init__(self, text: bytes, type: str) -> None:  # noqa: A002 -- AWS's word
        self.text = text
        self.type = type
        self.digest = hashlib.sha256(text).hexdigest()
        self.definition = msgspec.json.decode(text, type=states.StateMachine)
        self.start_at = self.definition.start_at
        self.timeout = self.definition.timeout_seconds
        language = self.definition.query_language
        self.steps: dict[str, Step] = {
            name: compile_state(name, state, language) for name, state in _all_states(self.definition)
        }
        self.children = {
            name: Child(found.label, found.type, Machine(found.text, found.type))
            for name, found in processors(text).items()
        }


def load(definition: bytes | str | Mapping[str, Json], *, type: str = "STANDARD") -> Machine:  # noqa: A002
    """Make a definition ready to run. Raises InvalidDefinition, which lists all that is wrong with it."""
    diagnostics = check(definition, type=type)
    if not any(found.severity == ERROR for found in diagnostics):
        text = as_text(definition)
        diagnostics += unsupported(tree(text))
        if not any(found.severity == ERROR for found in diagnostics):
            try:
                return Machine(text, type)
            except (msgspec.ValidationError, SourceError) as error:  # what `check` let pass: a gap there
                diagnostics.append(Diagnostic(ERROR, getattr(error, "code", None) or SCHEMA, str(error)))
    raise InvalidDefinition(as_invalid_definition(diagnostics), tuple(diagnostics))


def accept(definition: bytes | str | Mapping[str, Json], *, type: str = "STANDARD") -> tuple[bytes, Machine | None]:  # noqa: A002
    """The text of a definition that AWS would take, and the machine: None where stepfold cannot run it yet.

    Raises InvalidDefinition for one that is wrong.
    """
    try:
        machine = load(definition, type=type)
    except InvalidDefinition as refused:
        errors = [found for found in refused.diagnostics if isinstance(found, Diagnostic) and found.severity == ERROR]
        if any(found.code != UNSUPPORTED for found in errors):
            raise
        return as_text(definition), None
    return machine.text, machine


def unsupported(definition: Json) -> list[Diagnostic]:
    """What is right by the language, but cannot be run yet. The one place that knows: remove what is built."""
    found: list[Diagnostic] = []

    def refuse(place: str, what: str) -> None:
        found.append(Diagnostic(ERROR, UNSUPPORTED, f"stepfold cannot run {what} yet", place))

    def look(block: Mapping[str, Json], root: str) -> None:
        for name, state in block["States"].items():
            place = f"{root}/States/{name}"
            for index, branch in enumerate(state.get("Branches", ())):
                look(branch, f"{place}/Branches[{index}]")
            for field in ("ItemProcessor", "Iterator"):
                if field in state:
                    look(state[field], f"{place}/{field}")
            for field in ("ItemReader", "ResultWriter"):
                if field in state:
                    refuse(f"{place}/{field}", f"a Map with {field}")

    look(definition, "")
    return found


def _all_states(block: states.Block) -> Iterator[tuple[str, states.State]]:
    waiting = [block]
    while waiting:
        for name, state in waiting.pop().states.items():
            yield name, state
            if not (isinstance(state, states.Map) and state.distributed):  # (those states are its child's)
                waiting.extend(blocks(state))
