"""A definition made ready to run: every state by name, every expression compiled once.

Names are unique over a whole machine, so one table holds the states of all nested blocks. A field that is absent
or has its default compiles to None: the interpreter passes it over with one comparison.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from stepfold.errors import InvalidDefinition
from stepfold.query.jsonpath.dialect import (
    DIALECT,
    Expression,
    PathTemplate,
    Reference,
    compile_intrinsic_or_path,
    compile_path,
    compile_reference,
)
from stepfold.query.template import SourceError, Template
from stepfold.query.values import Json, Value, admit, tree

from . import states
from .check import check
from .diagnostics import ERROR, UNSUPPORTED, Diagnostic, as_invalid_definition, as_text
from .resources import Resource, parse_resource
from .rules import Rule, compile_rule, heavy


class Special(Enum):
    """What a path field set to null stands for."""

    NOTHING = "InputPath or OutputPath null: an empty object"
    DISCARD = "ResultPath null: the input stays as it was"


NOTHING: Final = Special.NOTHING
DISCARD: Final = Special.DISCARD

Pipe: TypeAlias = PathTemplate | Literal[Special.NOTHING] | None
Place: TypeAlias = Reference | Literal[Special.DISCARD] | None
Caught: TypeAlias = tuple[states.Catcher, Place]
Kind = TypeVar("Kind")


@dataclass(slots=True, eq=False)
class Step:
    """A state, compiled. `blocks` holds the first states of its branches, or of a Map's processor."""

    name: str
    type: str
    state: states.State
    dialect: str = "JSONPath"
    input_path: Pipe = None
    output_path: Pipe = None
    parameters: Template | None = None
    result_selector: Template | None = None
    item_selector: Template | None = None
    result_path: Place = None
    result: Value | None = None
    items_path: PathTemplate | None = None
    seconds_path: PathTemplate | None = None
    timestamp_path: PathTemplate | None = None
    timeout_path: PathTemplate | None = None
    heartbeat_path: PathTemplate | None = None
    error_path: Expression | None = None
    cause_path: Expression | None = None
    max_concurrency_path: PathTemplate | None = None
    rules: tuple[Rule, ...] = ()
    heavy_rules: bool = False
    default: str | None = None
    next: str | None = None
    resource: Resource | None = None
    credentials: Template | None = None
    catch: tuple[Caught, ...] = ()
    retry: tuple[states.Retrier, ...] = ()
    blocks: tuple[str, ...] = ()

    def of(self, kind: builtins.type[Kind]) -> Kind:
        """The state itself, which its type says is of this kind."""
        if not isinstance(self.state, kind):
            raise AssertionError(f"the state {self.name!r} is a {self.type}, not a {kind.__name__}")
        return self.state

    @property
    def asked(self) -> Resource:
        """What a Task asks for."""
        if self.resource is None:
            raise AssertionError(f"the state {self.name!r} asks for no resource")
        return self.resource


class Machine:
    """A whole definition, checked and compiled; nothing in it changes."""

    __slots__ = ("definition", "digest", "start_at", "steps", "text", "timeout", "type")

    def __init__(self, text: bytes, type: str) -> None:  # noqa: A002 -- AWS's word
        self.text = text
        self.type = type
        self.digest = hashlib.sha256(text).hexdigest()
        self.definition = msgspec.json.decode(text, type=states.StateMachine)
        self.start_at = self.definition.start_at
        self.timeout = self.definition.timeout_seconds
        self.steps: dict[str, Step] = {name: _step(name, state) for name, state in _all_states(self.definition)}


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
                diagnostics.append(Diagnostic(ERROR, "SCHEMA_VALIDATION_FAILED", str(error)))
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
            if state.get("QueryLanguage") == "JSONata":
                refuse(f"{place}/QueryLanguage", "a JSONata state")
            for holder in (state, *state.get("Choices", ()), *state.get("Catch", ())):
                if "Assign" in holder:
                    refuse(place, "variables (Assign)")
                    break
            for index, branch in enumerate(state.get("Branches", ())):
                look(branch, f"{place}/Branches[{index}]")
            for field in ("ItemProcessor", "Iterator"):
                if field in state:
                    if state[field].get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
                        refuse(f"{place}/{field}/ProcessorConfig", "a distributed Map")
                    look(state[field], f"{place}/{field}")

    if definition.get("QueryLanguage") == "JSONata":
        refuse("/QueryLanguage", "a JSONata machine")
    look(definition, "")
    return found


def _all_states(block: states.Block) -> Iterator[tuple[str, states.State]]:
    waiting = [block]
    while waiting:
        for name, state in waiting.pop().states.items():
            yield name, state
            waiting.extend(_blocks(state))


def _blocks(state: states.State) -> list[states.Block]:
    if isinstance(state, states.Parallel):
        return list(state.branches)
    return [state.processor] if isinstance(state, states.Map) else []


# -- compiling one state


def _step(name: str, state: states.State) -> Step:
    step = Step(name, type(state).__name__, state)
    step.input_path = _pipe(state.input_path, "InputPath")
    step.output_path = _pipe(state.output_path, "OutputPath")
    step.blocks = tuple(block.start_at for block in _blocks(state))
    match state:
        case states.Choice():
            step.rules = tuple(compile_rule(rule) for rule in state.choices)
            step.heavy_rules = any(heavy(rule) for rule in step.rules)
            step.default = state.default
        case states.Fail():
            step.error_path = _words(state.error_path, "ErrorPath")
            step.cause_path = _words(state.cause_path, "CausePath")
        case states.Succeed():
            pass
        case _:
            step.next = state.next
            _flow(step, state)
    return step


def _flow(step: Step, state: states.Pass | states.Task | states.Wait | states.Parallel | states.Map) -> None:
    """The fields of a state that works on something, and goes on."""
    if isinstance(state, states.Wait):
        step.seconds_path = _path(state.seconds_path, "SecondsPath")
        step.timestamp_path = _path(state.timestamp_path, "TimestampPath")
        return
    step.parameters = _template(state.parameters)
    step.result_path = _place(state.result_path)
    if isinstance(state, states.Pass):
        step.result = None if isinstance(state.result, UnsetType) else admit(bytes(state.result))
        return
    step.result_selector = _template(state.result_selector)
    step.retry = tuple(state.retry)
    step.catch = tuple((catcher, _place(catcher.result_path)) for catcher in state.catch)
    if isinstance(state, states.Task):
        step.resource = parse_resource(state.resource)
        step.timeout_path = _path(state.timeout_seconds_path, "TimeoutSecondsPath")
        step.heartbeat_path = _path(state.heartbeat_seconds_path, "HeartbeatSecondsPath")
        step.credentials = _template(state.credentials)
    elif isinstance(state, states.Map):
        _map(step, state)


def _map(step: Step, state: states.Map) -> None:
    step.items_path = None if state.items_path == "$" else _path(state.items_path, "ItemsPath")
    step.max_concurrency_path = _path(state.max_concurrency_path, "MaxConcurrencyPath")
    step.item_selector = _template(state.item_selector)
    if step.item_selector is None:  # Parameters is the old name of ItemSelector, here alone
        step.item_selector, step.parameters = step.parameters, None


def _path(text: str | None, field: str) -> PathTemplate | None:
    return None if text is None else compile_path(text, field=field)


def _words(text: str | None, field: str) -> Expression | None:
    return None if text is None else compile_intrinsic_or_path(text, field=field)


def _pipe(text: str | None, field: str) -> Pipe:
    if text is None:
        return NOTHING
    return None if text == "$" else compile_path(text, field=field)


def _place(text: str | None) -> Place:
    if text is None:
        return DISCARD
    return None if text == "$" else compile_reference(text)


def _template(source: Raw | UnsetType) -> Template | None:
    return None if source is UNSET else DIALECT.compile(tree(source))
