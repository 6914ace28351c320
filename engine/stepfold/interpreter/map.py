"""Map: each item of an array goes through the same block, in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from stepfold.language.failures import QUERY_EVALUATION_ERROR, RUNTIME, Failure
from stepfold.language.limits import DECISION_EVENTS
from stepfold.query import values
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, QueryError, Scope
from stepfold.query.values import Value

from . import dataflow, distributed, facts
from .execution import Execution, Facts, On
from .frames import Frame, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Child, Machine
    from stepfold.language.steps import Step


def spread(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Begin items while the window has room (some at a time, so that a stop is heard); gather when all are done."""
    step, child = machine.steps[frame.state], machine.children.get(frame.state)
    if frame.waits is None:
        yield _begin(step, child, execution, frame, moment)
    if child is not None:
        yield from distributed.run(step, child, execution, frame, moment)
        return
    waits = frame.waits
    if not isinstance(waits, Items):
        raise AssertionError("a Map that has begun waits for its items")
    for _ in range(min(waits.room, DECISION_EVENTS // 2)):
        yield _next(step, execution, frame, waits, moment)
    if waits.complete:
        yield facts.MapSucceeded()


def _begin(step: Step, child: Child | None, execution: Execution, frame: Frame, moment: Moment) -> facts.MapStarted:
    given = dataflow.given(step, execution, frame, moment)
    array = given
    if step.items is not None:
        field = "Items" if step.jsonata else "ItemsPath"
        array = dataflow.rendered(frame, field, step.items, dataflow.scope(execution, frame, given), moment)
    if step.jsonata and child is not None and bytes(memoryview(array)[:1]) == b"{":
        length = len(values.fields(array))  # each member is an item, in a distributed Map alone
    elif bytes(memoryview(array)[:1]) == b"[":
        length = len(values.items(array))
    else:
        raise _no_array(step, array)
    return facts.MapStarted(
        length,
        step.blocks[0],
        UNSET if array == frame.value else array,
        _concurrency(step, frame, dataflow.scope(execution, frame, given), moment),
        child is not None,
    )


def _no_array(step: Step, value: Value) -> Exception:
    if isinstance(step.items, Expression):
        return step.items.unexpected("array", values.tree(value))
    if step.jsonata:
        shown = bytes(value).decode()
        return QueryError(f"Map state input must be an array but was: {shown}", QUERY_EVALUATION_ERROR)
    source = "$" if step.items is None else getattr(step.items, "source", "$")
    return dataflow.Met(Failure(RUNTIME, f'Reference path "{source}" must point to array.'))


def _concurrency(step: Step, frame: Frame, seen: Scope, moment: Moment) -> int:
    if step.max_concurrency is None or isinstance(step.max_concurrency, int):
        return step.max_concurrency or 0
    value = dataflow.whole(frame, step.max_concurrency, seen, moment)
    if value < 0:
        raise dataflow.wrong(step.max_concurrency, "MaxConcurrency cannot be negative.")
    return value


def _next(step: Step, execution: Execution, frame: Frame, waits: Items, moment: Moment) -> On:
    index = waits.next
    given: Value | UnsetType = UNSET
    if step.item_selector is not None:
        seen = dataflow.scope(execution, frame, dataflow.given(step, execution, frame, moment), item=index)
        given = dataflow.rendered(frame, "ItemSelector", step.item_selector, seen, moment)
        dataflow.within(execution, given, step.name, "provided parameters")
    return On(facts.IterationStarted(frame.seq, index, given), frame, waits.link)
