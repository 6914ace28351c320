"""A distributed Map: its run is asked for and waited for; and what each of its executions is given.

What is decided here is little: how the run is begun, redriven, and what follows from its end. The run itself has a log
of its own, whose fold is `ledger.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET, UnsetType

from stepfold import names
from stepfold.language import states
from stepfold.language.failures import RUNTIME, Failure
from stepfold.language.limits import BATCH_BYTES, MAP_RUN_REDRIVES
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, QueryError, Scope
from stepfold.query.values import Json, Value, text, tree

from . import dataflow, facts
from .execution import Execution, Facts, On
from .frames import Executions, Frame

if TYPE_CHECKING:
    from stepfold.language.machine import Child
    from stepfold.language.steps import Computed, Step

STATE_DATA = "STATE_DATA"
"""What the Context object calls the source of items that are the state's own data."""


# --- the Map's frame --------------------------------------------------------------------------------------------------


def run(step: Step, child: Child, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Ask for the run of a Map that has begun, or for more of the one that ended badly before a redrive."""
    waits = frame.waits
    if not isinstance(waits, Executions):
        raise AssertionError("a distributed Map that has begun waits for its executions")
    if waits.run is None:
        return (_begin(step, child, execution, frame, moment),)
    if waits.redrives == MAP_RUN_REDRIVES:
        raise dataflow.Met(Failure(RUNTIME, f"A map run can be redriven at most {MAP_RUN_REDRIVES} times."))
    return (facts.MapRunRedriven(waits.run.arn, waits.redrives + 1),)


def ended(execution: Execution, frame: Frame, outcome: Value | Failure) -> Facts:
    """The run has ended: the Map has succeeded, or answers a failure."""
    if isinstance(outcome, Failure):
        yield facts.MapRunFailed(outcome.error, outcome.cause)
        return
    yield facts.MapRunSucceeded(outcome)
    yield On(facts.MapSucceeded(), frame, execution.ids)


def _begin(step: Step, child: Child, execution: Execution, frame: Frame, moment: Moment) -> facts.MapRunStarted:
    state = step.of(states.Map)
    batcher = state.item_batcher or states.ItemBatcher()
    seen = dataflow.scope(execution, frame, dataflow.given(step, execution, frame, moment))
    count, share = state.tolerated_failure_count, state.tolerated_failure_percentage
    tolerated = _count(frame, "ToleratedFailureCount", count, step.tolerated_count, seen, moment)
    percentage = _percentage(frame, share, step.tolerated_percentage, seen, moment)
    items = _size(frame, "MaxItemsPerBatch", batcher.max_items_per_batch, step.batch_items, seen, moment)
    size = _size(frame, "MaxInputBytesPerBatch", batcher.max_input_bytes_per_batch, step.batch_bytes, seen, moment)
    batch_input: Value | UnsetType = UNSET
    if step.batch_input is not None:
        batch_input = dataflow.rendered(frame, "BatchInput", step.batch_input, seen, moment)
    machine = execution.started.machine
    return facts.MapRunStarted(
        names.map_run(machine, child.label, moment.uuid()),
        names.child_machine(machine, child.label),
        child.machine.digest,
        child.type,
        tolerated,
        percentage,
        items,
        None if size is None else min(size, BATCH_BYTES),
        batch_input,
    )


def _size(
    frame: Frame, name: str, written: int | str | None, field: Computed | None, seen: Scope, moment: Moment
) -> int | None:
    """How much goes into a batch."""
    number = _count(frame, name, written, field, seen, moment)
    if number == 0 and field is not None:  # (the words are ours: none are recorded)
        raise dataflow.wrong(field, f"{name} must be positive.")
    return number


def _count(
    frame: Frame, name: str, written: int | str | None, field: Computed | None, seen: Scope, moment: Moment
) -> int | None:
    """A number of items, failures or bytes; a text that spells a whole number is one (recorded 2024-11)."""
    if field is None:
        return dataflow.literal(written)
    value = dataflow.picked(frame, field, seen, moment)
    number = _number(field, value)
    if number is None or number != int(number) or (isinstance(value, float) and not isinstance(field, Expression)):
        raise _no(field, value, "integer")
    if number < 0:
        raise dataflow.wrong(field, f"{name} cannot be negative.")
    return int(number)


def _percentage(
    frame: Frame, written: float | str | None, field: Computed | None, seen: Scope, moment: Moment
) -> float | None:
    if field is None:
        return float(written) if isinstance(written, int | float) else None
    value = dataflow.picked(frame, field, seen, moment)
    number = _number(field, value)
    if number is None:
        raise _no(field, value, "float")
    if not 0 <= number <= 100:
        raise dataflow.wrong(field, "ToleratedFailurePercentage must be between 0 and 100.")
    return number


def _number(field: Computed, value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and isinstance(field, Expression):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _no(field: Computed, value: Json, what: str) -> QueryError:
    if isinstance(field, Expression):
        return dataflow.no_integer(field, value)
    shown = value if isinstance(value, str) else bytes(text(value)).decode()
    return QueryError(f'The {field.field} field refers to value "{shown}" which is not a valid {what}: {field.source}')


# --- what its executions are given ------------------------------------------------------------------------------------


class Item(NamedTuple):
    """One of a map run's items: `key` is its name in an object, `source` what the Context object calls its origin."""

    number: int
    value: Value
    key: str | None = None
    source: str = STATE_DATA


def selecting(execution: Execution, frame: Frame, effective: Value, item: Item) -> Scope:
    """What an ItemSelector sees: the Map's effective input, and the item in the Context object."""

    def context() -> dict[str, Json]:
        whole = dataflow.context(execution, frame)
        told: dict[str, Json] = {"Index": item.number, "Value": tree(item.value)}
        if item.key is not None:
            told["Key"] = item.key
        whole["Map"] = {"Item": {**told, "Source": item.source}}
        return whole

    return Scope(effective, context, frame.variables)


def plain(item: Item) -> Value:
    """What an item is without an ItemSelector."""
    if item.key is None:
        return item.value
    return Value(b'{"Key":%b,"Value":%b}' % (bytes(text(item.key)), bytes(item.value)))


class Batch:
    """The input of one execution, as its items come: one alone, or as many as an ItemBatcher allows."""

    def __init__(self, how: facts.MapRunStarted) -> None:
        self._single = how.batch_items is None and how.batch_bytes is None
        self._most = 1 if self._single else how.batch_items
        self._room = BATCH_BYTES if how.batch_bytes is None else how.batch_bytes
        head = b"" if how.batch_input is UNSET else b'"BatchInput":%b,' % bytes(how.batch_input)
        self._head = b'{%b"Items":[' % head
        self._size = len(self._head) + len(_TAIL)
        self._items: list[bytes] = []

    def takes(self, given: Value) -> bool:
        """Add an item, unless it is one too many; the first is never that (too large, its execution is refused)."""
        size = len(given) + bool(self._items)
        if self._items and (self.full or self._size + size > self._room):
            return False
        self._items.append(bytes(given))
        self._size += size
        return True

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether it takes no other item, however small."""
        return len(self._items) == self._most

    @property
    def input(self) -> Value:
        """The input of its execution."""
        if self._single:
            return Value(self._items[0])
        return Value(b"".join((self._head, b",".join(self._items), _TAIL)))


_TAIL = b"]}"
