"""What follows from a failure: try again, go on elsewhere, or give up; and the end of whoever ran beside it.

The order and the chain of the events are AWS's (API notes, section 8): a failing iteration is recorded as failed, then
what ran beside it as aborted, all after the failing event; a retry of the whole Map or Parallel shows no failure of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from stepfold.language.failures import QUERY_EVALUATION_ERROR, RUNTIME, Failure, matches
from stepfold.language.limits import MAX_SECONDS
from stepfold.query.template import Moment, QueryError
from stepfold.query.values import Value, text

from . import dataflow, facts
from .execution import Execution, Facts, On
from .frames import Branches, Executions, Frame, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Machine
    from stepfold.language.states import Retrier
    from stepfold.language.steps import Step

    from .dataflow import Assigned

_PROTECTED = frozenset({"Task", "Wait", "Parallel", "Map"})
"""The state types whose cutting-off AWS records."""
_FORKS: Final[dict[str, type[facts.MapFailed | facts.ParallelFailed]]] = {
    "Map": facts.MapFailed,
    "Parallel": facts.ParallelFailed,
}
"""The state types that have an event for their failure."""


def met(execution: Execution, frame: Frame, failure: Failure) -> Facts:
    """The frame's state has met with a failure in the midst of what it does: record that, in AWS's way if it has one.

    An expression's failure follows what was before its state was entered, as long as nothing has happened in the state;
    but for a Wait (recorded).
    """
    if failure.error == RUNTIME:
        return (On(facts.ExecutionFailed(failure.error, failure.cause), execution.root, frame.pointer),)
    if failure.error == QUERY_EVALUATION_ERROR:
        fresh = frame.pointer == frame.entered_id and frame.kind != "Wait"
        failed = facts.EvaluationFailed(frame.state, failure.error, failure.cause, failure.location)
        return (On(failed, frame, frame.before if fresh else None),)
    return (facts.StateFailed(failure.error, failure.cause),)


def fail(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """The state's work was cut short: what runs below it ends; then it is retried, or has failed."""
    failure = _of(frame)
    step = machine.steps[frame.state]
    told = _has_event(frame, failure)
    if isinstance(frame.waits, Branches):
        yield from _abort(frame.waits, frame, frame.pointer)
    if (chosen := _retrier(step, frame, failure)) is not None:
        yield _again(step, frame, chosen, moment)
    elif told:
        yield _FORKS[frame.kind](failure.error, failure.cause)
    else:
        yield from _catch_or_give_up(machine, execution, frame, moment)


def _has_event(frame: Frame, failure: Failure) -> bool:
    """Whether a Parallel's or Map's own failure is recorded: of an expression, or of a map run (both recorded).

    So it is held of a Map at work whose next item cannot be selected (not verified).
    """
    if frame.kind not in _FORKS:
        return False
    by_run = isinstance(frame.waits, Executions) and frame.waits.failure is not None and failure.error != RUNTIME
    return isinstance(frame.waits, Branches) or failure.error == QUERY_EVALUATION_ERROR or by_run


def handle(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Answer the failure that the state's work came to: try again, go on elsewhere, or give up."""
    step = machine.steps[frame.state]
    if (chosen := _retrier(step, frame, _of(frame))) is not None:
        return (_again(step, frame, chosen, moment),)
    return _catch_or_give_up(machine, execution, frame, moment)


def _catch_or_give_up(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Leave by the first catcher that takes the failure; else the frame fails as a whole."""
    step = machine.steps[frame.state]
    if (index := catcher(step, _of(frame))) is None:
        return give_up(machine, execution, frame, moment)
    caught = step.catch[index]
    error = error_output(_of(frame))
    field = f"Catch[{index}]"
    seen = dataflow.shown(step, execution, frame, error, error_output=error)
    assigned = dataflow.set_by(execution, frame, f"{field}/Assign", caught.assign, seen, moment)
    if caught.output is None:
        value = dataflow.merged(caught.result_path, frame, error)
    else:
        value = dataflow.rendered(frame, f"{field}/Output", caught.output, seen, moment)
    return (exited(step, execution, frame, value, caught.next, assigned),)


def exited(
    step: Step, execution: Execution, frame: Frame, value: Value, target: str | None, assigned: Assigned
) -> facts.StateExited | On:
    """The exit with a value; one that grew past the limit at the transition fails what no state answers for.

    (No Catch sees that: language notes, section 11.)
    """
    try:
        dataflow.within(execution, value, step.name)
    except dataflow.Met as met:
        return On(facts.ExecutionFailed(met.failure.error, met.failure.cause), execution.root, frame.pointer)
    return facts.StateExited(step.name, UNSET if value == frame.value else value, target, assigned)


def give_up(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Nothing takes the failure."""
    return lose(machine, execution, frame, _of(frame), moment)


def lose(machine: Machine, execution: Execution, frame: Frame, failure: Failure, moment: Moment) -> Facts:
    """The frame fails: the execution with it, or the Parallel or Map that it is part of."""
    parent = frame.parent
    if parent is None or failure.error == RUNTIME:
        yield On(facts.ExecutionFailed(failure.error, failure.cause), execution.root, frame.pointer)
        return
    after = frame.pointer
    waits = parent.waits
    if isinstance(waits, Items):
        yield On(facts.IterationFailed(failure.error, failure.cause), frame, after)
    if frame.kind == "Task":
        yield On(facts.StateAborted(), frame, after)
    if isinstance(waits, Branches):
        yield from _abort(waits, frame, after)
    step = machine.steps[parent.state]
    if (chosen := _retrier(step, parent, failure)) is not None:
        yield On(_again(step, parent, chosen, moment), parent, after)
        return
    yield On(_FORKS[parent.kind](failure.error, failure.cause, failure.heartbeat), parent, after)


def _of(frame: Frame) -> Failure:
    if frame.failure is None:
        raise AssertionError(f"frame {frame.seq} answers a failure that it does not have")
    return frame.failure


def _abort(waits: Branches, failed: Frame, after: int) -> Facts:
    """Record the end of all that runs beside (or, with itself as the failed one's parent, below) a failed frame."""
    for sibling in list(waits.running.values()):
        if sibling is not failed and not sibling.stilled:
            yield from _abort_frame(sibling, isinstance(waits, Items), after)


def _abort_frame(frame: Frame, is_item: bool, after: int) -> Facts:
    waits = frame.waits
    if isinstance(waits, Branches):
        for child in list(waits.running.values()):
            if not child.stilled:
                yield from _abort_frame(child, isinstance(waits, Items), after)
    elif isinstance(waits, Executions) and waits.asked:
        yield On(facts.MapRunAborted(), frame, after)
    if frame.stage != "enter" and frame.kind in _PROTECTED:
        yield On(facts.StateAborted(), frame, after)
    if is_item:
        yield On(facts.IterationAborted(), frame, after)


def error_output(failure: Failure) -> Value:
    """What a catcher hands on; SendTaskFailure without texts leaves nulls (recorded 2024-04)."""
    return text({"Error": failure.error, "Cause": failure.cause})


def of_query(frame: Frame, error: QueryError) -> Failure:
    """A query's error as the state's failure, with AWS's prefix that names the state."""
    where = f"'{frame.state}' (entered at the event id #{frame.entered_id})"
    cause = f"An error occurred while executing the state {where}. {error.cause}"
    return Failure(error.error, cause, location=error.location)


def retrier(step: Step, failure: Failure) -> int | None:
    """The index of the first retrier whose names match: it decides, also when it has no attempt left."""
    if failure.error != RUNTIME:
        for index, candidate in enumerate(step.retry):
            if matches(candidate.error_equals, failure):
                return index
    return None


def catcher(step: Step, failure: Failure) -> int | None:
    """The index of the first catcher whose names match."""
    if failure.error != RUNTIME:
        for index, candidate in enumerate(step.catch):
            if matches(candidate.names, failure):
                return index
    return None


def _retrier(step: Step, frame: Frame, failure: Failure) -> int | None:
    """The index of the retrier that takes the failure, unless it is used up."""
    index = retrier(step, failure)
    return index if index is not None and frame.tries.get(index, 0) < step.retry[index].max_attempts else None


def _again(step: Step, frame: Frame, index: int, moment: Moment) -> facts.RetryScheduled:
    seconds = delay(step.retry[index], frame.tries.get(index, 0), moment)
    return facts.RetryScheduled(index, moment.now + round(seconds * 1000))


def delay(retrier: Retrier, tries: int, moment: Moment) -> float:
    """Seconds to wait before retry number `tries` (from 0) of a retrier; jitter FULL draws from nought to that."""
    try:
        seconds = retrier.interval_seconds * retrier.backoff_rate**tries
    except OverflowError:
        seconds = float(MAX_SECONDS)
    seconds = min(seconds, retrier.max_delay_seconds or MAX_SECONDS)
    return seconds * moment.random() if retrier.jitter_strategy == "FULL" else seconds
