"""What an execution owes: effects, read off what its frames wait for, and never kept beside them.

So a start and a resume are one: begin what is owed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from . import signals
from .execution import EXPIRY, Execution
from .frames import Executions, Frame, Invocation, Timer, deadline
from .signals import Attend, Effect, Evaluate, Invoke, Offer, RunMap, Signal, Sleep


def owed(execution: Execution, since: int = 0) -> list[Effect]:
    """What is to be done for it, of all that was asked after event `since`, oldest first."""
    effects: list[Effect] = []
    for asked in reversed(execution.asked):
        if asked <= since:
            break
        effects += _of(execution, asked, execution.asked[asked])
    if since < EXPIRY:
        effects += _expiring(execution)
    effects.reverse()
    return effects


def owed_anew(execution: Execution, signal: Signal) -> Iterable[Effect]:
    """What a signal has be owed once more, though it was asked for long ago."""
    anew = _ANEW.get(type(signal))
    return () if anew is None else anew(execution, signal)


def invoke(frame: Frame, call: Invocation) -> Invoke:
    """The effect of asking for a task."""
    return Invoke(
        call.asked, frame.state, call.resource, call.arguments, call.timeout, call.heartbeat, call.token, call.attempt,
        frame.retries, call.outward,
    )


def _of(execution: Execution, asked: int, frame: Frame) -> Iterable[Effect]:
    waits = frame.waits
    if frame.evaluating is not None and frame.evaluating.asked == asked:
        return (Evaluate(asked, frame.seq, frame.evaluating.field),)
    if isinstance(waits, Invocation):
        if waits.apart:
            return (*_watched(execution, asked), *_elsewhere(frame, waits))
        return (invoke(frame, waits),)
    if isinstance(waits, Timer):
        return (Sleep(asked, waits.until),)
    if isinstance(waits, Executions) and waits.run is not None:
        return (RunMap(asked, frame.seq, waits.run.arn, waits.redrives),)
    return ()


def _elsewhere(frame: Frame, call: Invocation) -> Iterable[Effect]:
    """What is owed to a task that others do."""
    if call.activity:
        return () if call.started else (Offer(call.asked, call.resource, call.arguments, call.token or ""),)
    if call.receipt is None:
        return (invoke(frame, call),)
    return () if call.outward else (Attend(call.asked, invoke(frame, call), call.receipt),)


def _expiring(execution: Execution) -> Iterable[Sleep]:
    """The machine's own TimeoutSeconds, which a redrive arms again."""
    return () if execution.expiry is None else (Sleep(EXPIRY, execution.expiry),)


def _watched(execution: Execution, asked: int) -> Iterable[Sleep]:
    """The deadline of a task that is not done in this process; a heartbeat moves it."""
    frame = execution.asked.get(asked)
    call = None if frame is None else frame.waits
    if isinstance(call, Invocation) and call.apart and (due := deadline(call)) is not None:
        return (Sleep(asked, due, task=True),)
    return ()


def _attended(execution: Execution, asked: int) -> Iterable[Effect]:
    """What is owed to a job, now that it was handed over."""
    frame = execution.asked.get(asked)
    call = None if frame is None else frame.waits
    if frame is None or not isinstance(call, Invocation) or call.outward:
        return ()
    return _of(execution, asked, frame)


_ANEW: Final[dict[type[Signal], Callable[[Execution, Any], Iterable[Effect]]]] = {
    signals.Redrive: lambda execution, _: _expiring(execution),
    signals.Heartbeat: lambda execution, signal: _watched(execution, signal.asked),
    signals.Started: lambda execution, signal: _watched(execution, signal.asked),
    signals.Submitted: lambda execution, signal: _attended(execution, signal.asked),
}
