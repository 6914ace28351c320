"""A state made ready to run: every expression compiled once, in the state's own query language.

A field that is absent or has its default compiles to None: the interpreter passes it over with one comparison. What
both languages have under two names (`Parameters` and `Arguments`, `SecondsPath` and an expression in `Seconds`) is one
field here, and knows by which name failures call it.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from msgspec import UNSET, Raw, UnsetType

from stepfold.query.jsonata import dialect as jsonata
from stepfold.query.jsonpath import dialect as jsonpath
from stepfold.query.template import Dialect, Moment, Scope, Template
from stepfold.query.values import Json, Value, admit, tree

from . import states
from .resources import Resource, parse_resource
from .rules import Rule, compile_condition, compile_rule, heavy


class Special(Enum):
    """What a path field set to null stands for."""

    NOTHING = "InputPath or OutputPath null: an empty object"
    DISCARD = "ResultPath null: the input stays as it was"


class Computed(Template, Protocol):
    """A field whose value is computed: by a path, a call, or a JSONata expression (its `source`)."""

    field: str
    source: str

    def pick(self, scope: Scope, moment: Moment) -> Json:
        """Its value as a tree that is never to be changed. Raises QueryError, Overrun."""
        ...


NOTHING: Final = Special.NOTHING
DISCARD: Final = Special.DISCARD

Pipe: TypeAlias = jsonpath.PathTemplate | Literal[Special.NOTHING] | None
Place: TypeAlias = jsonpath.Reference | Literal[Special.DISCARD] | None
Kind = TypeVar("Kind")


@dataclass(slots=True, frozen=True, eq=False)
class Caught:
    """A catcher, compiled: without an `output` the error goes where `result_path` says."""

    names: list[str]
    next: str
    result_path: Place = None
    output: Template | None = None
    assign: Template | None = None


@dataclass(slots=True, eq=False)
class Step:
    """A state, compiled. `blocks` holds the first states of its branches, or of a Map's processor.

    `child` is what each item of a distributed Map runs.
    """

    name: str
    type: str
    state: states.State
    jsonata: bool = False
    input_path: Pipe = None
    output_path: Pipe = None
    arguments: Template | None = None
    result_selector: Template | None = None
    item_selector: Template | None = None
    result_path: Place = None
    output: Template | None = None
    assign: Template | None = None
    result: Value | None = None
    items: Computed | Template | None = None
    seconds: Computed | None = None
    timestamp: Computed | None = None
    timeout: Computed | int | None = None
    heartbeat: Computed | int | None = None
    error: Computed | None = None
    cause: Computed | None = None
    max_concurrency: Computed | int | None = None
    tolerated_count: Computed | None = None
    tolerated_percentage: Computed | None = None
    batch_items: Computed | None = None
    batch_bytes: Computed | None = None
    batch_input: Template | None = None
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


def compile_state(name: str, state: states.State, language: str) -> Step:
    """The state, in its own query language or else that of the whole machine. Raises SourceError."""
    step = Step(name, type(state).__name__, state, jsonata=(state.query_language or language) == "JSONata")
    step.input_path = _pipe(state.input_path, "InputPath")
    step.output_path = _pipe(state.output_path, "OutputPath")
    step.output = _template(step, state.output, "Output")
    step.assign = _template(step, state.assign, "Assign")
    step.blocks = tuple(block.start_at for block in blocks(state))
    match state:
        case states.Choice():
            compiled = compile_condition if step.jsonata else compile_rule
            step.rules = tuple(compiled(rule, f"Choices[{index}]") for index, rule in enumerate(state.choices))
            step.heavy_rules = any(heavy(rule) for rule in step.rules)
            step.default = state.default
        case states.Fail():
            step.error = _words(step, state.error, state.error_path, "Error")
            step.cause = _words(step, state.cause, state.cause_path, "Cause")
        case states.Succeed():
            pass
        case _:
            step.next = state.next
            _flow(step, state)
    return step


def blocks(state: states.State) -> list[states.Block]:
    """The blocks in a state: a Parallel's branches, a Map's processor."""
    if isinstance(state, states.Parallel):
        return list(state.branches)
    return [state.processor] if isinstance(state, states.Map) else []


def _flow(step: Step, state: states.Pass | states.Task | states.Wait | states.Parallel | states.Map) -> None:
    """The fields of a state that works on something, and goes on."""
    if isinstance(state, states.Wait):
        step.seconds = _computed(step, state.seconds, state.seconds_path, "Seconds")
        step.timestamp = _computed(step, state.timestamp, state.timestamp_path, "Timestamp")
        return
    step.arguments = _template(step, state.parameters, "Parameters")
    step.result_path = _place(state.result_path)
    if isinstance(state, states.Pass):
        step.result = None if isinstance(state.result, UnsetType) else admit(bytes(state.result))
        return
    step.result_selector = _template(step, state.result_selector, "ResultSelector")
    step.retry = tuple(state.retry)
    step.catch = tuple(_caught(step, catcher, f"Catch[{index}]") for index, catcher in enumerate(state.catch))
    if isinstance(state, states.Map):
        _map(step, state)
        return
    if step.jsonata:
        step.arguments = _template(step, state.arguments, "Arguments")
    if isinstance(state, states.Task):
        step.resource = parse_resource(state.resource)
        step.timeout = _whole(step, state.timeout_seconds, state.timeout_seconds_path, "TimeoutSeconds")
        step.heartbeat = _whole(step, state.heartbeat_seconds, state.heartbeat_seconds_path, "HeartbeatSeconds")
        step.credentials = _template(step, state.credentials, "Credentials")


def _map(step: Step, state: states.Map) -> None:
    if not step.jsonata:
        step.items = None if state.items_path in {None, "$"} else _computed(step, None, state.items_path, "Items")
    elif state.items is not UNSET:
        items = tree(state.items)
        step.items = _computed(step, items, None, "Items") or jsonata.DIALECT.compile(items, "Items")
    step.max_concurrency = _whole(step, state.max_concurrency, state.max_concurrency_path, "MaxConcurrency")
    count, percentage = state.tolerated_failure_count, state.tolerated_failure_percentage
    step.tolerated_count = _computed(step, count, state.tolerated_failure_count_path, "ToleratedFailureCount")
    step.tolerated_percentage = _computed(
        step, percentage, state.tolerated_failure_percentage_path, "ToleratedFailurePercentage"
    )
    if (batcher := state.item_batcher) is not None:
        items, size = batcher.max_items_per_batch, batcher.max_input_bytes_per_batch
        step.batch_items = _computed(step, items, batcher.max_items_per_batch_path, "MaxItemsPerBatch")
        step.batch_bytes = _computed(step, size, batcher.max_input_bytes_per_batch_path, "MaxInputBytesPerBatch")
        step.batch_input = _template(step, batcher.batch_input, "BatchInput")
    step.item_selector = _template(step, state.item_selector, "ItemSelector")
    if step.item_selector is None:  # Parameters is the old name of ItemSelector, here alone
        step.item_selector, step.arguments = step.arguments, None


def _caught(step: Step, catcher: states.Catcher, place: str) -> Caught:
    return Caught(
        catcher.error_equals,
        catcher.next,
        _place(catcher.result_path),
        _template(step, catcher.output, f"{place}/Output"),
        _template(step, catcher.assign, f"{place}/Assign"),
    )


# -- compiling one field


def _template(step: Step, source: Raw | UnsetType, field: str) -> Template | None:
    if isinstance(source, UnsetType):
        return None
    dialect: Dialect = jsonata.DIALECT if step.jsonata else jsonpath.DIALECT
    return dialect.compile(tree(source), field)


def _computed(step: Step, written: object, path: str | None, field: str) -> Computed | None:
    """What stands under the field's name with Path, or, in JSONata, an expression under the name itself."""
    if step.jsonata:
        return jsonata.compile_expression(str(written), field) if jsonata.is_expression(written) else None
    return None if path is None else jsonpath.compile_path(path, field=f"{field}Path")


def _whole(step: Step, written: int | str | None, path: str | None, field: str) -> Computed | int | None:
    """Likewise, or the number that is written (a text that is no expression is another query language's)."""
    return written if isinstance(written, int) else _computed(step, written, path, field)


def _words(step: Step, written: str | None, path: str | None, field: str) -> Computed | None:
    """Likewise, where a call may stand as well."""
    if step.jsonata:
        return _computed(step, written, None, field)
    return None if path is None else jsonpath.compile_intrinsic_or_path(path, field=f"{field}Path")


def _pipe(text: str | None, field: str) -> Pipe:
    if text is None:
        return NOTHING
    return None if text == "$" else jsonpath.compile_path(text, field=field)


def _place(text: str | None) -> Place:
    if text is None:
        return DISCARD
    return None if text == "$" else jsonpath.compile_reference(text)
