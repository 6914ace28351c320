"""Map: each item of an array goes through the same block, in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from stepfold.language import states
from stepfold.language.failures import RUNTIME, Failure
from stepfold.language.limits import DECISION_EVENTS
from stepfold.query import values
from stepfold.query.template import Moment, QueryError, Scope
from stepfold.query.values import Value

from . import dataflow, facts
from .execution import Execution, Facts, On
from .frames import Frame, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Machine, Step


def spread(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Begin items while the window has room (some at a time, so that a stop is heard); gather when all are done."""
    step = machine.steps[frame.state]
    if frame.waits is None:
        yield _begin(step, execution, frame, moment)
    waits = frame.waits
    if not isinstance(waits, Items):
        raise AssertionError("a Map that has begun waits for its items")
    batch = waits.next + DECISION_EVENTS // 2
    while waits.has_room and waits.next < batch:
        yield _next(step, execution, frame, waits, moment)
    if waits.complete:
        yield facts.MapSucceeded()


def _begin(step: Step, execution: Execution, frame: Frame, moment: Moment) -> facts.MapStarted:
    given = dataflow.given(step, execution, frame, moment)
    array = given
    source = "$"
    if step.items_path is not None:
        source = step.items_path.source
        array = dataflow.rendered(frame, "ItemsPath", step.items_path, dataflow.scope(execution, frame, given), moment)
    if bytes(memoryview(array)[:1]) != b"[":
        raise dataflow.Met(Failure(RUNTIME, f'Reference path "{source}" must point to array.'))
    return facts.MapStarted(
        len(values.items(array)),
        step.blocks[0],
        UNSET if array == frame.value else array,
        _concurrency(step, frame, dataflow.scope(execution, frame, given), moment),
    )


def _concurrency(step: Step, frame: Frame, seen: Scope, moment: Moment) -> int:
    if step.max_concurrency_path is None:
        return dataflow.literal(step.of(states.Map).max_concurrency) or 0
    value = dataflow.whole(frame, "MaxConcurrencyPath", step.max_concurrency_path, seen, moment)
    if value < 0:
        raise QueryError("MaxConcurrency cannot be negative.")
    return value


def _next(step: Step, execution: Execution, frame: Frame, waits: Items, moment: Moment) -> On:
    index = waits.next
    given: Value | UnsetType = UNSET
    if step.item_selector is not None:
        seen = dataflow.scope(execution, frame, dataflow.given(step, execution, frame, moment), item=index)
        given = dataflow.rendered(frame, "ItemSelector", step.item_selector, seen, moment)
        dataflow.within(execution, given, step.name, "provided parameters")
    return On(facts.IterationStarted(frame.seq, index, given), frame, waits.link)
