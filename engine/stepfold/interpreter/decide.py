"""What follows: signals come in, and all the facts that follow from them come out.

A decision applies each fact to the execution as it records it, and ends when every frame waits for the outside world,
or at its limit; then something is still ready, and `Continue` goes on. It is appended whole, so a crash falls between
decisions, never inside one. Signals that come together share one, and are heard one after the other in it.

What a ready frame does next is one table (`STEPS`), by its stage and its state's type. Anything that goes wrong in a
rendering ends in one place: as the failure of the frame's state, which is answered like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from msgspec import UNSET

from stepfold.language.failures import RUNTIME, TIMEOUT, Failure
from stepfold.language.limits import DECISION_BYTES, DECISION_EVENTS, FRAMES
from stepfold.query.template import Moment, QueryError, Scope, Template

from . import dataflow, distributed, effects, facts, failure, parallel, signals, simple, task
from . import map as map_
from .execution import EXPIRY, Execution, Facts, On
from .facts import Event
from .frames import Executions, Frame, Invocation, Stage, Timer
from .signals import Effect, Signal

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

Rule: TypeAlias = "Callable[[Machine, Execution, Frame, Moment], Facts]"


class Decision(NamedTuple):
    """What signals led to: events to append, effects now owed, and what was asked and is no longer wanted.

    `heard` are the signals that led to something. `bytes` is the size of the values that the events carry.
    """

    events: list[Event]
    owed: list[Effect]
    closed: list[int]
    heard: list[Signal]
    bytes: int


class Full(Exception):
    """The execution has reached the largest number of events or frames that it may have."""


def decide(machine: Machine, execution: Execution, signal: Signal, moment: Moment) -> Decision:
    """All that follows from `signal`, recorded and made so; an empty decision where nobody waits for it."""
    return decide_together(machine, execution, deque((signal,)), moment)


def decide_together(machine: Machine, execution: Execution, said: deque[Signal], moment: Moment) -> Decision:
    """The same for one signal after the other, as many as one decision may hold: those are taken out of `said`."""
    before, ready = execution.version, execution.ready
    record = Record(execution, moment)
    events = record.events
    heard: list[Signal] = []
    anew: list[Effect] = []
    try:
        while said and record.has_room:
            signal = said.popleft()
            told = len(events)
            heard.append(signal)
            _hear(execution, signal, moment, record)
            if len(events) == told:  # late or twice; what was ready before goes on all the same
                heard.pop()
            while ready and record.has_room:
                frame = next(iter(ready.values()))
                already = len(events)
                carry_on(machine, execution, frame, moment, record)
                if len(events) == already:  # a loop without an end and without an await: better loud
                    raise AssertionError(f"frame {frame.seq} is ready, but nothing follows from that")
            if len(events) > told:
                anew += effects.owed_anew(execution, signal)
    except Full as full:
        record.last(facts.ExecutionFailed(RUNTIME, str(full)))
    closed, execution.closed = execution.closed, []
    return Decision(events, anew + effects.owed(execution, before) if events else [], closed, heard, record.bytes)


class Record:
    """Stamps facts, applies them at once, and gathers the events."""

    __slots__ = ("at", "bytes", "events", "execution", "full_at")

    def __init__(self, execution: Execution, moment: Moment) -> None:
        self.execution = execution
        self.events: list[Event] = []
        self.bytes = 0
        self.at = max(moment.now, execution.at)
        limit = execution.started.limits.history if execution.version else None
        self.full_at = limit or 0

    @property
    def has_room(self) -> bool:
        """Whether the decision may grow further."""
        return len(self.events) < DECISION_EVENTS and self.bytes < DECISION_BYTES

    def all(self, frame: Frame, said: Facts) -> None:
        """Record what a rule says of a frame, one fact after the other, each after the frame's last event."""
        execution = self.execution
        for fact in said:
            about, previous = frame, frame.pointer
            if isinstance(fact, On):
                about, previous = fact.frame, fact.frame.pointer if fact.after is None else fact.after
                fact = fact.fact  # noqa: PLW2901
            seq = execution.version + 1
            number = 0 if fact.silent else execution.ids + 1
            if number and number == self.full_at:
                raise Full(f"The execution reached the maximum number of history events ({self.full_at}).")
            if fact.opens and len(execution.frames) >= FRAMES:
                raise Full(f"The execution reached the maximum number of branches and items at once ({FRAMES}).")
            if type(fact) in facts.WORDED:
                fact = facts.within(fact, execution.started.limits)  # noqa: PLW2901
            event = Event(seq, number, previous, seq if fact.opens else about.seq, self.at, fact)
            execution.apply(event)
            self.events.append(event)
            if fact.carries and (value := getattr(fact, fact.carries)) is not UNSET:
                self.bytes += len(value)

    def __call__(self, fact: facts.Fact, frame: Frame) -> None:
        """Record one fact about a frame."""
        self.all(frame, (fact,))

    def first(self, fact: facts.ExecutionStarted) -> None:
        """Record the first fact of all, which opens the root frame."""
        event = Event(1, 1, 0, 1, self.at, fact)
        self.execution.apply(event)
        self.events.append(event)
        self.full_at = fact.limits.history or 0

    def last(self, fact: facts.Fact, *, linked: bool = True) -> None:
        """Record the end from outside the chain (a stop, the machine's time-out), or at the ceiling of events."""
        execution = self.execution
        previous = execution.ids if linked else 0
        if type(fact) in facts.WORDED:
            fact = facts.within(fact, execution.started.limits)
        event = Event(execution.version + 1, execution.ids + 1, previous, execution.root.seq, self.at, fact)
        execution.apply(event)
        self.events.append(event)


# --- what it hears ----------------------------------------------------------------------------------------------------


def _hear(execution: Execution, signal: Signal, moment: Moment, record: Record) -> None:
    """The first facts that a signal leads to; none where it comes late, twice, or to an execution that has ended."""
    if execution.status == "RUNNING":
        _HEARD.get(type(signal), _of_a_task)(execution, signal, moment, record)
    elif isinstance(signal, signals.Begin):
        if not execution.version:
            record.first(signal.started)
    elif isinstance(signal, signals.Redrive) and execution.ending is not None:
        record.last(facts.ExecutionRedriven(execution.redrives + 1, signal.token))


def _of_a_task(execution: Execution, signal: Any, moment: Moment, record: Record) -> None:
    frame = execution.asked.get(signal.asked)
    if frame is not None and isinstance(frame.waits, Invocation) and frame.waits.asked == signal.asked:
        record.all(frame, task.SAID[type(signal)](execution, frame.waits, signal, moment))


def _stopped(_execution: Execution, signal: signals.Stop, _moment: Moment, record: Record) -> None:
    record.last(facts.ExecutionAborted(signal.error, signal.cause), linked=False)


def _interrupted(execution: Execution, signal: signals.Interrupted, _moment: Moment, record: Record) -> None:
    for call in signal.asked:
        if (frame := execution.asked.get(call)) is not None:
            record.all(frame, task.interrupted(call, failing=call in signal.failing))


def _rang(execution: Execution, signal: signals.Rang, _moment: Moment, record: Record) -> None:
    if signal.asked == EXPIRY and execution.expiry is not None:
        record.at = max(execution.at, execution.expiry)  # AWS: when it was due, not when that was noticed
        record.last(facts.ExecutionTimedOut(TIMEOUT), linked=False)
        return
    frame = execution.asked.get(signal.asked)
    if frame is not None and isinstance(frame.waits, Timer) and frame.waits.asked == signal.asked:
        record(facts.TimerRang(), frame)


def _evaluated(execution: Execution, signal: signals.Evaluated, _moment: Moment, record: Record) -> None:
    frame, outcome = execution.asked.get(signal.asked), signal.outcome
    if frame is None or frame.evaluating is None or frame.evaluating.asked != signal.asked:
        return
    field = frame.evaluating.field
    if isinstance(outcome, Failure):
        answered = facts.EvaluationAnswered(
            field, error=outcome.error, cause=outcome.cause, location=outcome.location
        )
        record(answered, frame)
    else:
        record(facts.EvaluationAnswered(field, UNSET if outcome is None else outcome), frame)


def _map_run_ended(execution: Execution, signal: signals.MapRunEnded, _moment: Moment, record: Record) -> None:
    frame = execution.asked.get(signal.asked)
    if frame is not None and isinstance(frame.waits, Executions):
        record.all(frame, distributed.ended(execution, frame, signal.outcome))


def _nothing(_execution: Execution, _signal: Signal, _moment: Moment, _record: Record) -> None:
    """No news: whatever is ready goes on."""


Heard: TypeAlias = "Callable[[Execution, Any, Moment, Record], None]"

_HEARD: Final[dict[type[Signal], Heard]] = {
    signals.Stop: _stopped,
    signals.Interrupted: _interrupted,
    signals.Rang: _rang,
    signals.Evaluated: _evaluated,
    signals.MapRunEnded: _map_run_ended,
    signals.Continue: _nothing,
    signals.Begin: _nothing,
    signals.Redrive: _nothing,
}
"""What a signal leads to at first in an execution that runs, if it is no word about a task."""


# --- what a ready frame does ------------------------------------------------------------------------------------------


def carry_on(machine: Machine, execution: Execution, frame: Frame, moment: Moment, record: Record) -> None:
    """Do what is next for a frame that is ready."""
    try:
        if frame.stage == "enter":
            _enter(machine, frame, record)
        record.all(frame, STEPS[frame.stage][frame.kind](machine, execution, frame, moment))
    except dataflow.Wanted as wanted:
        record(facts.EvaluationAsked(wanted.field, wanted.token), frame)
    except QueryError as error:
        record.all(frame, failure.met(execution, frame, failure.of_query(frame, error)))
    except dataflow.Met as error:
        record.all(frame, failure.met(execution, frame, error.failure))
    except RecursionError:
        deep = QueryError("The data of the state nests too deeply.")
        record.all(frame, failure.met(execution, frame, failure.of_query(frame, deep)))


def _enter(machine: Machine, frame: Frame, record: Record) -> None:
    name = frame.next
    if name is None:
        raise AssertionError(f"frame {frame.seq} has nowhere to go")
    record(facts.StateEntered(name, machine.steps[name].type), frame)


_WORK: Final[dict[str, Rule]] = {
    "Pass": simple.hand_on,
    "Choice": simple.choose_next,
    "Succeed": simple.succeed,
    "Fail": simple.give_up,
    "Task": task.schedule,
    "Wait": task.wait,
    "Parallel": parallel.fork,
    "Map": map_.spread,
}
_LEAVE: Final[dict[str, Rule]] = {
    "Task": task.conclude,
    "Parallel": task.conclude,
    "Map": task.conclude,
    "Wait": task.waited,
}
STEPS: Final[dict[Stage, dict[str, Rule]]] = {
    "work": _WORK,
    "leave": _LEAVE,
    "fail": dict.fromkeys(_WORK, failure.fail),
    "handle": dict.fromkeys(_WORK, failure.handle),
    "give up": dict.fromkeys(_WORK, failure.give_up),
    "end": dict.fromkeys(_WORK, simple.end),
}
"""What a frame does at a stage of its state, by the state's type."""


def evaluation(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> tuple[Template, Scope] | None:
    """What a frame that waits for an evaluation wants rendered: read off by trying its next step again.

    None where that comes to something else now, as other fields of the step depend on time or chance: then nothing is
    evaluated, and the step is done anew.
    """
    try:
        for _ in STEPS[frame.stage][frame.kind](machine, execution, frame, moment):
            break
    except dataflow.Wanted as wanted:
        if dataflow.evaluating(frame, wanted.field):
            return wanted.template, wanted.scope
    except (QueryError, dataflow.Met, RecursionError):
        pass
    return None
