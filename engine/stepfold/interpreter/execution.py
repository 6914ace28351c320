"""What is true now: an execution as the fold of its events.

The state of an execution is a flat table of frames: the root, one per Parallel branch, one per Map item. A frame is
either *ready* at a stage of its state (then the next decision carries it on) or *waits* for one thing. Nothing but
`Execution.apply` writes to a frame, and it needs the log alone: no definition, no query, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET

from stepfold.language.failures import DATA_LIMIT_EXCEEDED, Failure
from stepfold.language.limits import REDRIVE_TOKENS
from stepfold.query import values

from . import facts
from .facts import Event
from .frames import (
    FAILING,
    NO_TRIES,
    NOTHING_EVALUATED,
    Branches,
    Evaluation,
    Executions,
    Frame,
    Invocation,
    Items,
    Stage,
    Timer,
)

Status: TypeAlias = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
Apply: TypeAlias = "Callable[[Execution, Frame, Event, Any], None]"

EXPIRY = 1
"""Who asks for the machine's own TimeoutSeconds: the event that started the execution."""


class On(msgspec.Struct, frozen=True, gc=False):
    """A fact that concerns another frame than the one being carried on, or follows another event than its last."""

    fact: facts.Fact
    frame: Frame
    after: int | None = None


Facts: TypeAlias = Iterable["facts.Fact | On"]
"""What a rule of the language says: each fact is recorded, and made so, before the next is asked for.

A rule that must see what came of its facts yields them one after the other; the others give them all at once.
"""


class Execution:
    """The fold of a log.

    `version` is the number of the last event, `ids` the last AWS id, `at` its time. `ready` holds the frames that can
    be carried on, in the order in which they became so; `asked` those that wait for an answer, by the event that asked;
    `closed` collects what was asked and is no longer wanted (drained by whoever performs it). `expiry` is when the
    machine's TimeoutSeconds is over, in milliseconds since the epoch; `ending` is why it ended badly. `redrives`
    counts redrives, of which the last was at `redriven_at`; `tokens` holds those that were named, the newest last.
    """

    __slots__ = (
        "asked", "at", "closed", "ending", "expiry", "frames", "ids", "ready", "redriven_at", "redrives", "root",
        "started", "started_at", "status", "tokens", "version",
    )
    started: facts.ExecutionStarted
    root: Frame

    def __init__(self) -> None:
        self.version = 0
        self.ids = 0
        self.at = 0
        self.started_at = 0
        self.expiry: int | None = None
        self.ending: Failure | None = None
        self.redrives = 0
        self.redriven_at: int | None = None
        self.tokens: tuple[tuple[str, int], ...] = ()
        self.status: Status = "PENDING"
        self.frames: dict[int, Frame] = {}
        self.ready: OrderedDict[int, Frame] = OrderedDict()
        self.asked: dict[int, Frame] = {}
        self.closed: list[int] = []

    @classmethod
    def fold(cls, events: Iterable[Event]) -> Execution:
        """The execution that these events make, from the first on."""
        execution = cls()
        for event in events:
            execution.apply(event)
        execution.closed.clear()
        return execution

    def apply(self, event: Event) -> None:
        """Make an event so."""
        fact = event.fact
        self.version = event.seq
        self.at = event.at
        number = event.id
        if number:
            self.ids = number
        if fact.opens:
            _OPENS[type(fact)](self, event, fact)
            return
        frame = self.frames[event.frame]
        if not number:
            frame.pointer = event.previous
        elif fact.moves:
            frame.pointer = number
        _APPLY[type(fact)](self, frame, event, fact)


# --- moves that several facts share -----------------------------------------------------------------------------------


def _open(execution: Execution, frame: Frame) -> None:
    execution.frames[frame.seq] = frame
    execution.ready[frame.seq] = frame


def _be_ready(execution: Execution, frame: Frame, stage: Stage) -> None:
    frame.stage = stage
    frame.waits = None
    execution.ready[frame.seq] = frame
    execution.ready.move_to_end(frame.seq)  # taking turns: a branch that loops must not starve the others


def _ask(execution: Execution, frame: Frame, waits: Invocation | Timer | Executions) -> None:
    frame.waits = waits
    execution.asked[waits.asked] = frame
    execution.ready.pop(frame.seq, None)


def _drop(execution: Execution, frame: Frame) -> None:
    del execution.frames[frame.seq]
    _halt(execution, frame)


def _halt(execution: Execution, frame: Frame) -> None:
    """Nothing that the frame asked for is wanted any more, and its children are gone."""
    _still(execution, frame)
    if isinstance(frame.waits, Branches):
        for child in frame.waits.running.values():
            _drop(execution, child)
    frame.waits = None
    frame.stilled = False


def _still(execution: Execution, frame: Frame) -> None:
    """Nothing that the frame or its children asked for is wanted any more; but they stay, for a redrive."""
    frame.stilled = True
    execution.ready.pop(frame.seq, None)
    waits, evaluating = frame.waits, frame.evaluating
    frame.evaluating = None
    if isinstance(waits, Branches):
        for child in waits.running.values():
            _still(execution, child)
    elif waits is not None and execution.asked.pop(waits.asked, None) is not None:
        execution.closed.append(waits.asked)
    if evaluating is not None and execution.asked.pop(evaluating.asked, None) is not None:
        execution.closed.append(evaluating.asked)


# --- one function a fact ----------------------------------------------------------------------------------------------


def _started(execution: Execution, event: Event, fact: facts.ExecutionStarted) -> None:
    execution.started = fact
    execution.started_at = event.at
    execution.status = "RUNNING"
    if fact.timeout is not None:
        execution.expiry = event.at + fact.timeout * 1000
    execution.root = Frame(event.seq, None, 0, 0, fact.input.copy(), fact.start)
    _open(execution, execution.root)


def _ended(status: Status) -> Apply:
    def end(execution: Execution, _frame: Frame, _event: Event, fact: Any) -> None:
        execution.status = status
        if status != "SUCCEEDED":
            execution.ending = Failure(fact.error, fact.cause)
        execution.expiry = None
        execution.ready.clear()
        execution.closed.extend(execution.asked)
        execution.asked.clear()

    return end


def _redriven(execution: Execution, _: Frame, event: Event, fact: facts.ExecutionRedriven) -> None:
    execution.status = "RUNNING"
    execution.ending = None
    execution.redrives = fact.count
    execution.redriven_at = event.at
    if fact.token is not None:
        execution.tokens = (*execution.tokens, (fact.token, event.at))[-REDRIVE_TOKENS:]
    if execution.started.timeout is not None:
        execution.expiry = event.at + execution.started.timeout * 1000
    for frame in execution.frames.values():
        _revive(execution, frame, event.id)


def _revive(execution: Execution, frame: Frame, pointer: int) -> None:
    """The frame does its state again, but for the branches or items that have come to their end."""
    frame.stilled = False
    frame.evaluating = frame.failure = frame.token = None
    frame.evaluated = NOTHING_EVALUATED
    frame.tries = NO_TRIES
    frame.pointer = pointer
    waits = frame.waits
    if isinstance(waits, Branches):
        frame.stage = "work"
        if waits.has_room or waits.complete:
            execution.ready[frame.seq] = frame
        return
    if frame.stage not in {"enter", "end"}:
        frame.value = frame.input
        frame.stage = "work"
    if not _has_map_run(waits):
        frame.waits = None
    execution.ready[frame.seq] = frame


def _has_map_run(waits: object) -> bool:
    """Whether a map run is there to be redriven; after a result that was too large, a new one is (API notes, 5)."""
    if not isinstance(waits, Executions) or waits.run is None:
        return False
    return not waits.ended or (waits.failure is not None and waits.failure.error != DATA_LIMIT_EXCEEDED)


def _entered(execution: Execution, frame: Frame, event: Event, fact: facts.StateEntered) -> None:
    if fact.input is not UNSET:
        frame.value = fact.input.copy()
    frame.input = frame.value
    frame.state = fact.name
    frame.kind = fact.kind
    frame.before = event.previous
    frame.entered_id = event.id
    frame.entered_at = event.at
    frame.stage = "work"


def _exited(execution: Execution, frame: Frame, _: Event, fact: facts.StateExited) -> None:
    if fact.output is not UNSET:
        frame.value = fact.output.copy()
    if fact.assigned is not None:
        frame.variables = frame.variables.assigned({name: value.copy() for name, value in fact.assigned.items()})
    frame.next = fact.next
    frame.tries = NO_TRIES
    frame.evaluated = NOTHING_EVALUATED
    frame.failure = frame.token = None
    if frame.waits is not None:
        _halt(execution, frame)
    _be_ready(execution, frame, "end" if fact.next is None else "enter")


def _fell(execution: Execution, frame: Frame, _: Event, fact: facts.EvaluationFailed | facts.StateFailed) -> None:
    location = fact.location if isinstance(fact, facts.EvaluationFailed) else None
    frame.failure = Failure(fact.error, fact.cause, location=location)
    frame.stage = FAILING[frame.stage]
    execution.ready[frame.seq] = frame


def _cut_off(execution: Execution, frame: Frame, _event: Event, _fact: facts.StateAborted) -> None:
    _still(execution, frame)


def _waits(execution: Execution, frame: Frame, event: Event, fact: facts.WaitStarted) -> None:
    _ask(execution, frame, Timer(event.seq, fact.until))


def _retried(execution: Execution, frame: Frame, event: Event, fact: facts.RetryScheduled) -> None:
    _halt(execution, frame)
    frame.tries = frame.tries | {fact.retrier: frame.tries.get(fact.retrier, 0) + 1}
    frame.failure = frame.token = None
    frame.evaluated = NOTHING_EVALUATED
    frame.value = frame.input
    frame.stage = "work"
    _ask(execution, frame, Timer(event.seq, fact.until))


def _rang(execution: Execution, frame: Frame, _event: Event, _fact: facts.TimerRang) -> None:
    if not isinstance(frame.waits, Timer):
        raise AssertionError(f"frame {frame.seq} heard a timer that it does not wait for")
    del execution.asked[frame.waits.asked]
    _be_ready(execution, frame, "leave" if frame.kind == "Wait" else "work")


def _scheduled(execution: Execution, frame: Frame, event: Event, fact: facts.TaskScheduled) -> None:
    arguments = frame.value if fact.arguments is UNSET else fact.arguments.copy()
    frame.evaluated = NOTHING_EVALUATED
    frame.token = None
    _ask(execution, frame, Invocation(event, fact, arguments))


def _invocation(frame: Frame) -> Invocation:
    if not isinstance(frame.waits, Invocation):
        raise AssertionError(f"frame {frame.seq} heard of a task that it does not wait for")
    return frame.waits


def _taken_on(execution: Execution, frame: Frame, event: Event, _fact: facts.TaskStarted) -> None:
    call = _invocation(frame)
    call.started = True
    call.since = call.beat = event.at


def _submitted(execution: Execution, frame: Frame, _event: Event, fact: facts.TaskSubmitted) -> None:
    _invocation(frame).receipt = fact.output.copy()


def _succeeded(execution: Execution, frame: Frame, _: Event, fact: facts.TaskSucceeded) -> None:
    del execution.asked[_invocation(frame).asked]
    frame.value = fact.output.copy()
    _be_ready(execution, frame, "leave")


def _failed(execution: Execution, frame: Frame, _: Event, fact: facts.TaskFailed | facts.TaskTimedOut) -> None:
    del execution.asked[_invocation(frame).asked]
    missed = isinstance(fact, facts.TaskTimedOut) and fact.heartbeat
    frame.failure = Failure(fact.error, fact.cause, missed)
    _be_ready(execution, frame, "handle")


def _reattempted(execution: Execution, frame: Frame, event: Event, _: facts.Reattempted) -> None:
    call = _invocation(frame)
    call.attempt += 1
    if not call.outward:  # who works outside has not noticed that the engine was away: that deadline stands
        call.since = call.beat = event.at


def _beat(execution: Execution, frame: Frame, event: Event, _: facts.HeartbeatReceived) -> None:
    _invocation(frame).beat = event.at


def _forked(execution: Execution, frame: Frame, _: Event, fact: facts.ParallelStarted) -> None:
    if fact.input is not UNSET:
        frame.value = fact.input.copy()
    frame.evaluated = NOTHING_EVALUATED
    frame.waits = Branches(fact.branches)


def _mapped(execution: Execution, frame: Frame, event: Event, fact: facts.MapStarted) -> None:
    source = frame.value if fact.items is UNSET else fact.items.copy()
    frame.evaluated = NOTHING_EVALUATED
    if fact.distributed:
        frame.waits = Executions(fact, source)
    else:
        frame.waits = Items(fact, event, source, execution.started.limits.map_frames)


def _branched(execution: Execution, event: Event, fact: facts.BranchStarted) -> None:
    parent = execution.frames[fact.parent]
    if not isinstance(parent.waits, Branches):
        raise AssertionError(f"frame {fact.parent} has no room for a branch")
    child = Frame(event.seq, parent, fact.index, event.previous, parent.value, fact.start)
    _begin(execution, parent, parent.waits, child)


def _iterated(execution: Execution, event: Event, fact: facts.IterationStarted) -> None:
    parent = execution.frames[fact.parent]
    waits = parent.waits
    if not isinstance(waits, Items):
        raise AssertionError(f"frame {fact.parent} has no room for an item")
    given = waits.source[fact.index] if fact.input is UNSET else fact.input
    parent.evaluated = NOTHING_EVALUATED
    child = Frame(event.seq, parent, fact.index, event.id, given.copy(), waits.start)
    _begin(execution, parent, waits, child)


def _begin(execution: Execution, parent: Frame, waits: Branches, child: Frame) -> None:
    waits.running[child.index] = child
    waits.next = child.index + 1
    _open(execution, child)
    if not waits.has_room:
        execution.ready.pop(parent.seq, None)


def _joined(
    execution: Execution, frame: Frame, event: Event, fact: facts.BranchSucceeded | facts.IterationSucceeded
) -> None:
    parent = frame.parent
    if parent is None or not isinstance(parent.waits, Branches):
        raise AssertionError(f"frame {frame.seq} ended, but nothing waits for it")
    waits = parent.waits
    waits.outputs[frame.index] = frame.value
    del waits.running[frame.index]
    del execution.frames[frame.seq]
    execution.ready.pop(frame.seq, None)
    parent.pointer = event.id or event.previous
    if isinstance(waits, Items) and waits.limited:
        waits.link = event.previous
    if (waits.has_room or waits.complete) and parent.evaluating is None:
        execution.ready[parent.seq] = parent


def _gathered(execution: Execution, frame: Frame, _event: Event, _fact: facts.Fact) -> None:
    if isinstance(frame.waits, Branches):
        frame.value = values.join([output for output in frame.waits.outputs if output is not None])
    elif not isinstance(frame.waits, Executions):  # (theirs was gathered by the map run)
        raise AssertionError(f"frame {frame.seq} gathered what it never spread")
    _be_ready(execution, frame, "leave")


def _executions(frame: Frame) -> Executions:
    if not isinstance(frame.waits, Executions):
        raise AssertionError(f"frame {frame.seq} heard of a map run that it does not wait for")
    return frame.waits


def _map_run_started(execution: Execution, frame: Frame, event: Event, fact: facts.MapRunStarted) -> None:
    waits = _executions(frame)
    frame.evaluated = NOTHING_EVALUATED
    waits.run = fact
    waits.asked = event.seq
    _ask(execution, frame, waits)


def _map_run_redriven(execution: Execution, frame: Frame, event: Event, fact: facts.MapRunRedriven) -> None:
    waits = _executions(frame)
    waits.redrives = fact.count
    waits.ended = False
    waits.failure = None
    waits.asked = event.seq
    _ask(execution, frame, waits)


def _map_run_succeeded(execution: Execution, frame: Frame, _: Event, fact: facts.MapRunSucceeded) -> None:
    waits = _executions(frame)
    del execution.asked[waits.asked]
    waits.ended = True
    frame.value = fact.output.copy()


def _map_run_failed(execution: Execution, frame: Frame, _: Event, fact: facts.MapRunFailed) -> None:
    waits = _executions(frame)
    del execution.asked[waits.asked]
    waits.ended = True
    frame.failure = waits.failure = Failure(fact.error, fact.cause)
    frame.stage = "fail"
    execution.ready[frame.seq] = frame


def _scattered(execution: Execution, frame: Frame, _: Event, fact: facts.ParallelFailed | facts.MapFailed) -> None:
    _still(execution, frame)
    frame.failure = Failure(fact.error, fact.cause, fact.heartbeat)
    frame.stilled = False
    frame.stage = "handle"
    execution.ready[frame.seq] = frame


def _evaluation_asked(execution: Execution, frame: Frame, event: Event, fact: facts.EvaluationAsked) -> None:
    frame.evaluating = Evaluation(event.seq, fact.field)
    frame.token = fact.token or frame.token
    execution.asked[event.seq] = frame
    execution.ready.pop(frame.seq, None)


def _evaluated(execution: Execution, frame: Frame, _: Event, fact: facts.EvaluationAnswered) -> None:
    if frame.evaluating is not None:
        del execution.asked[frame.evaluating.asked]
        frame.evaluating = None
    if fact.value is not UNSET:
        frame.evaluated = frame.evaluated | {fact.field: fact.value.copy()}
    elif fact.error is not None:
        frame.evaluated = frame.evaluated | {fact.field: Failure(fact.error, fact.cause, location=fact.location)}
    execution.ready[frame.seq] = frame


def _nothing(_execution: Execution, _frame: Frame, _event: Event, _fact: facts.Fact) -> None:
    """A fact for the history alone."""


_OPENS: Final[dict[type, Callable[[Execution, Event, Any], None]]] = {
    facts.ExecutionStarted: _started,
    facts.BranchStarted: _branched,
    facts.IterationStarted: _iterated,
}

_APPLY: Final[dict[type, Apply]] = {
    facts.ExecutionSucceeded: _ended("SUCCEEDED"),
    facts.ExecutionFailed: _ended("FAILED"),
    facts.ExecutionAborted: _ended("ABORTED"),
    facts.ExecutionTimedOut: _ended("TIMED_OUT"),
    facts.ExecutionRedriven: _redriven,
    facts.StateEntered: _entered,
    facts.StateExited: _exited,
    facts.StateFailed: _fell,
    facts.StateAborted: _cut_off,
    facts.WaitStarted: _waits,
    facts.RetryScheduled: _retried,
    facts.TimerRang: _rang,
    facts.TaskScheduled: _scheduled,
    facts.TaskStarted: _taken_on,
    facts.TaskSubmitted: _submitted,
    facts.TaskSucceeded: _succeeded,
    facts.TaskFailed: _failed,
    facts.TaskTimedOut: _failed,
    facts.Reattempted: _reattempted,
    facts.HeartbeatReceived: _beat,
    facts.ParallelStarted: _forked,
    facts.BranchSucceeded: _joined,
    facts.ParallelSucceeded: _gathered,
    facts.ParallelFailed: _scattered,
    facts.MapStarted: _mapped,
    facts.IterationSucceeded: _joined,
    facts.IterationFailed: _nothing,
    facts.IterationAborted: _nothing,
    facts.MapSucceeded: _gathered,
    facts.MapFailed: _scattered,
    facts.MapRunStarted: _map_run_started,
    facts.MapRunRedriven: _map_run_redriven,
    facts.MapRunSucceeded: _map_run_succeeded,
    facts.MapRunFailed: _map_run_failed,
    facts.MapRunAborted: _nothing,
    facts.EvaluationAsked: _evaluation_asked,
    facts.EvaluationAnswered: _evaluated,
    facts.EvaluationFailed: _fell,
}
