"""What follows: a signal comes in, and all the facts that follow from it come out.

`decide` applies each fact to the execution as it records it, and ends when every frame waits for the outside world, or
at the limit of a decision; then something is still ready, and `Continue` goes on. A decision is appended whole, so a
crash falls between decisions, never inside one.

What a ready frame does next is one table (`STEPS`), by its stage and its state's type. Anything that goes wrong in a
rendering ends in one place: as the failure of the frame's state, which is answered like any other (`_FAILED`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from msgspec import UNSET

from stepfold.language.failures import RUNTIME, TIMEOUT, Failure
from stepfold.language.limits import DECISION_BYTES, DECISION_EVENTS
from stepfold.query.template import Moment, QueryError, Scope, Template

from . import dataflow, distributed, facts, failure, parallel, signals, simple, task
from . import map as map_
from .execution import EXPIRY, Execution, Facts, On
from .facts import Event
from .frames import Executions, Frame, Invocation, Timer
from .signals import Effect, Signal

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

Rule: TypeAlias = "Callable[[Machine, Execution, Frame, Moment], Facts]"


class Decision(NamedTuple):
    """What a signal led to: events to append, effects now owed, and what was asked and is no longer wanted.

    `bytes` is the size of the values that the events carry.
    """

    events: list[Event]
    owed: list[Effect]
    closed: list[int]
    bytes: int


class HistoryFull(Exception):
    """The execution has reached the largest number of events that its limits allow."""


def decide(machine: Machine, execution: Execution, signal: Signal, moment: Moment) -> Decision:
    """All that follows from `signal`, recorded and made so; an empty decision where nobody waits for it."""
    before = execution.version
    record = Record(execution, moment)
    try:
        _hear(execution, signal, moment, record)
        while record.has_room and execution.ready:
            frame = next(iter(execution.ready.values()))
            said = len(record.events)
            carry_on(machine, execution, frame, moment, record)
            if len(record.events) == said:  # a loop without an end and without an await: better loud
                raise AssertionError(f"frame {frame.seq} is ready, but nothing follows from that")
    except HistoryFull:
        ceiling = execution.started.limits.history
        cause = f"The execution reached the maximum number of history events ({ceiling})."
        record.last(facts.ExecutionFailed(RUNTIME, cause))
    closed, execution.closed = execution.closed, []
    # A redrive arms the machine's TimeoutSeconds again, which the execution's first event asked for.
    since = 0 if isinstance(signal, signals.Redrive) else before
    owed = execution.owed(since) if record.events else []
    if record.events and (anew := _OWED_ANEW.get(type(signal))) is not None:
        owed[:0] = anew(execution, signal)
    return Decision(record.events, owed, closed, record.bytes)


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

    def all(self, frame: Frame, rule: Facts) -> None:
        """Record whatever the rule yields."""
        for said in rule:
            if isinstance(said, On):
                self(said.fact, said.frame, said.after)
            else:
                self(said, frame)

    def __call__(self, fact: facts.Fact, frame: Frame, after: int | None = None) -> None:
        """Record one fact about a frame, after its last event or after the one given."""
        execution = self.execution
        seq = execution.version + 1
        number = 0
        if not fact.silent:
            number = execution.ids + 1
            if number == self.full_at:
                raise HistoryFull
        previous = frame.pointer if after is None else after
        event = Event(seq, number, previous, seq if fact.opens else frame.seq, self.at, fact)
        execution.apply(event)
        self.events.append(event)
        if fact.carries and (value := getattr(fact, fact.carries)) is not UNSET:
            self.bytes += len(value)

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
        event = Event(execution.version + 1, execution.ids + 1, previous, execution.root.seq, self.at, fact)
        execution.apply(event)
        self.events.append(event)


# --- what it hears ----------------------------------------------------------------------------------------------------


def _hear(execution: Execution, signal: Signal, moment: Moment, record: Record) -> None:
    """The first facts that a signal leads to; none where it comes late, twice, or to an execution that has ended."""
    if isinstance(signal, signals.Begin):
        if not execution.version:
            record.first(signal.started)
    elif isinstance(signal, signals.Redrive):
        if execution.ending is not None:
            record.last(facts.ExecutionRedriven(execution.redrives + 1, signal.token))
    elif execution.status == "RUNNING":
        _HEARD.get(type(signal), _of_a_task)(execution, signal, moment, record)


def _of_a_task(execution: Execution, signal: Any, moment: Moment, record: Record) -> None:
    if (call := _call(execution, signal.asked)) is not None:
        _answer(execution, signal.asked, task.SAID[type(signal)](execution, call, signal, moment), record)


def _stopped(_execution: Execution, signal: signals.Stop, _moment: Moment, record: Record) -> None:
    record.last(facts.ExecutionAborted(signal.error, signal.cause), linked=False)


def _interrupted(execution: Execution, signal: signals.Interrupted, _moment: Moment, record: Record) -> None:
    for call in signal.asked:
        _answer(execution, call, task.interrupted(call, failing=call in signal.failing), record)


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


def _continued(_execution: Execution, _signal: signals.Continue, _moment: Moment, _record: Record) -> None:
    """Whatever is ready goes on."""


Heard: TypeAlias = "Callable[[Execution, Any, Moment, Record], None]"

_HEARD: Final[dict[type[Signal], Heard]] = {
    signals.Stop: _stopped,
    signals.Interrupted: _interrupted,
    signals.Rang: _rang,
    signals.Evaluated: _evaluated,
    signals.MapRunEnded: _map_run_ended,
    signals.Continue: _continued,
}
"""What a signal leads to at first, that is no word about a task."""

_OWED_ANEW: Final[dict[type[Signal], Callable[[Execution, Any], Iterable[Effect]]]] = {
    signals.Heartbeat: lambda execution, signal: execution.watch(signal.asked),
    signals.Started: lambda execution, signal: execution.watch(signal.asked),
    signals.Submitted: lambda execution, signal: execution.attended(signal.asked),
}
"""What a signal has be owed once more, though it was asked for long ago."""


def _call(execution: Execution, asked: int) -> Invocation | None:
    frame = execution.asked.get(asked)
    if frame is None or not isinstance(frame.waits, Invocation) or frame.waits.asked != asked:
        return None
    return frame.waits


def _answer(execution: Execution, asked: int, said: Facts, record: Record) -> None:
    frame = execution.asked.get(asked)
    if frame is not None:
        record.all(frame, said)


# --- what a ready frame does ------------------------------------------------------------------------------------------


def carry_on(machine: Machine, execution: Execution, frame: Frame, moment: Moment, record: Record) -> None:
    """Do what is next for a frame that is ready."""
    try:
        if frame.stage == "enter":
            _enter(machine, frame, record)
        elif frame.stage == "end":
            record(simple.finish(frame), frame)
            return
        record.all(frame, _rule(machine, frame)(machine, execution, frame, moment))
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


def _rule(machine: Machine, frame: Frame) -> Rule:
    return _FAILED.get(frame.stage) or STEPS[frame.stage][machine.steps[frame.state].type]


_FAILED: Final[dict[str, Rule]] = {
    "fail": failure.fail,
    "handle": failure.handle,
    "give up": failure.give_up,
}
_LEAVE: Final[dict[str, Rule]] = {
    "Task": task.conclude,
    "Parallel": task.conclude,
    "Map": task.conclude,
    "Wait": task.waited,
}
STEPS: Final[dict[str, dict[str, Rule]]] = {
    "work": {
        "Pass": simple.hand_on,
        "Choice": simple.choose_next,
        "Succeed": simple.succeed,
        "Fail": simple.give_up,
        "Task": task.schedule,
        "Wait": task.wait,
        "Parallel": parallel.fork,
        "Map": map_.spread,
    },
    "leave": _LEAVE,
}


def evaluation(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> tuple[Template, Scope] | None:
    """What a frame that waits for an evaluation wants rendered: read off by trying its next step again.

    None where that comes to something else now, as other fields of the step depend on time or chance: then nothing is
    evaluated, and the step is done anew.
    """
    try:
        for _ in _rule(machine, frame)(machine, execution, frame, moment):
            break
    except dataflow.Wanted as wanted:
        if dataflow.evaluating(frame, wanted.field):
            return wanted.template, wanted.scope
    except (QueryError, dataflow.Met, RecursionError):
        pass
    return None
