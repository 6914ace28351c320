"""What is true now: an execution as the fold of its events, and what it owes.

The state of an execution is a flat table of frames: the root, one per Parallel branch, one per Map item. A frame is
either *ready* at a stage of its state (then the next decision carries it on) or *waits* for one thing. Nothing but
`Execution.apply` writes to a frame, and it needs the log alone: no definition, no query, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import UNSET

from stepfold.language.failures import Failure
from stepfold.query import values
from stepfold.query.values import Value

from . import facts
from .facts import Event
from .signals import Effect, Evaluate, Invoke, Sleep

Stage: TypeAlias = Literal["enter", "work", "leave", "handle", "end"]
"""Where in its state a ready frame is: about to enter `next`; to do the state's work; to shape the result and leave; to
answer a failure; or at the end of its block."""

Status: TypeAlias = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


class Invocation:
    """A frame waits for a task: `since` when its time began, `beat` the last sign of life (both milliseconds)."""

    __slots__ = (
        "arguments", "asked", "attempt", "beat", "heartbeat", "outward", "resource", "since", "submitted", "timeout",
        "token",
    )

    def __init__(self, event: Event, fact: facts.TaskScheduled, arguments: Value) -> None:
        self.asked = event.seq
        self.since = event.at
        self.beat = event.at
        self.resource = fact.resource
        self.arguments = arguments
        self.timeout = fact.timeout
        self.heartbeat = fact.heartbeat
        self.token = fact.token
        self.outward = fact.outward
        self.attempt = 1
        self.submitted = False


class Timer:
    """A frame waits for a moment, in milliseconds since the epoch."""

    __slots__ = ("asked", "until")

    def __init__(self, asked: int, until: int) -> None:
        self.asked = asked
        self.until = until


class Evaluation:
    """A frame waits for an expression that is evaluated elsewhere."""

    __slots__ = ("asked", "field")

    def __init__(self, asked: int, field: str) -> None:
        self.asked = asked
        self.field = field


class Branches:
    """A frame waits for the branches of its Parallel: `running` by index, `outputs` as they come."""

    __slots__ = ("next", "outputs", "running")

    def __init__(self, count: int) -> None:
        self.next = 0
        self.outputs: list[Value | None] = [None] * count
        self.running: dict[int, Frame] = {}

    @property
    def has_room(self) -> bool:
        """Whether a branch has not begun yet."""
        return self.next < len(self.outputs)

    @property
    def complete(self) -> bool:
        """Whether every branch has come to its end."""
        return not self.running and not self.has_room


class Items(Branches):
    """A frame waits for the items of its Map.

    `link` is the event id that the next iteration follows in AWS's chain: MapStateStarted, or with a limited
    concurrency the last event of the iteration whose place it takes.
    """

    __slots__ = ("concurrency", "limited", "link", "source", "start")

    def __init__(self, fact: facts.MapStarted, event: Event, source: Value, ahead: int) -> None:
        super().__init__(fact.length)
        self.start = fact.start
        self.limited = fact.concurrency > 0
        self.concurrency = fact.concurrency or ahead
        self.link = event.id
        self.source = values.items(source)

    @property
    def has_room(self) -> bool:
        """Whether one more item may begin now."""
        return self.next < len(self.outputs) and len(self.running) < self.concurrency

    @property
    def complete(self) -> bool:
        """Whether every item has come to its end."""
        return not self.running and self.next == len(self.outputs)


Waits: TypeAlias = Invocation | Timer | Branches
Apply: TypeAlias = "Callable[[Execution, Frame, Event, Any], None]"


class Frame:
    """One line of control, named by the number of the event that opened it.

    `value` is the latest value (what an event leaves out), `input` what the current state was given. `pointer` is the
    id at the end of AWS's chain here, `before` the same as it was when the state was entered; `entered_id` and
    `entered_at` tell when that was. `tries` counts retries by retrier within this visit. `evaluated` holds what
    expressions came to that were evaluated elsewhere.
    """

    __slots__ = (
        "before", "entered_at", "entered_id", "evaluated", "evaluating", "failure", "index", "input", "kind", "next",
        "parent", "pointer", "seq", "stage", "state", "tries", "value", "waits",
    )

    def __init__(  # (positional: the hottest call of a fold)
        self, seq: int, parent: Frame | None, index: int, pointer: int, value: Value, start: str
    ) -> None:
        self.seq = seq
        self.parent = parent
        self.index = index
        self.pointer = pointer
        self.before = pointer
        self.value = value
        self.input = value
        self.next: str | None = start
        self.state = ""
        self.kind = ""
        self.stage: Stage = "enter"
        self.entered_id = 0
        self.entered_at = 0
        self.waits: Waits | None = None
        self.evaluating: Evaluation | None = None
        self.tries: dict[int, int] = _NO_TRIES
        self.failure: Failure | None = None
        self.evaluated: dict[str, Value | Failure] = _NOTHING_EVALUATED

    @property
    def retries(self) -> int:
        """How often the state was tried again in this visit, by whichever retrier."""
        return sum(self.tries.values())

    def lineage(self) -> Iterator[Frame]:
        """The frame, its parent, and so on up to the root."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


_NO_TRIES: Final[dict[int, int]] = {}
_NOTHING_EVALUATED: Final[dict[str, Value | Failure]] = {}

EXPIRY = 1
"""Who asks for the machine's own TimeoutSeconds: the event that started the execution."""
DEADLINE_ALLOWANCE = 8
"""A heartbeat within an eighth of its interval is not recorded; deadlines are that much more patient."""


class On(NamedTuple):
    """A fact that concerns another frame than the one being carried on, or follows another event than its last."""

    fact: facts.Fact
    frame: Frame
    after: int | None = None


Facts: TypeAlias = Iterator["facts.Fact | On"]
"""What the rules of the language yield: each fact is recorded, and made so, before the next is asked for."""


class Execution:
    """The fold of a log.

    `version` is the number of the last event, `ids` the last AWS id, `at` its time. `ready` holds the frames that can
    be carried on, in the order in which they became so; `asked` those that wait for an answer, by the event that asked;
    `closed` collects what was asked and is no longer wanted (drained by whoever performs it). `expiry` is when the
    machine's TimeoutSeconds is over, in milliseconds since the epoch; `ending` is why it ended badly.
    """

    __slots__ = (
        "asked", "at", "closed", "ending", "expiry", "frames", "ids", "ready", "root", "started", "started_at",
        "status", "version",
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
        if event.id:
            self.ids = event.id
        if fact.opens:
            _OPENS[type(fact)](self, event, fact)
            return
        frame = self.frames[event.frame]
        if fact.silent:
            frame.pointer = event.previous
        elif fact.moves:
            frame.pointer = event.id
        _APPLY[type(fact)](self, frame, event, fact)

    # --- what it owes ---------------------------------------------------------------------------------------------

    def owed(self, since: int = 0) -> list[Effect]:
        """What is to be done for it, of all that was asked after event `since`, oldest first."""
        effects: list[Effect] = []
        for asked in reversed(self.asked):
            if asked <= since:
                break
            effects.extend(self._effects(asked, self.asked[asked]))
        if self.expiry is not None and since < EXPIRY:
            effects.append(Sleep(EXPIRY, self.expiry))
        effects.reverse()
        return effects

    def _effects(self, asked: int, frame: Frame) -> Iterator[Effect]:
        waits = frame.waits
        if frame.evaluating is not None and frame.evaluating.asked == asked:
            yield Evaluate(asked, frame.seq, frame.evaluating.field)
        elif isinstance(waits, Timer):
            yield Sleep(asked, waits.until)
        elif isinstance(waits, Invocation):
            if waits.outward and (due := deadline(waits)) is not None:
                yield Sleep(asked, due, task=True)
            if not waits.submitted:
                yield invoke(frame, waits)


def deadline(call: Invocation) -> int | None:
    """When the task must be answered or give a sign of life, in milliseconds since the epoch."""
    due = None if call.timeout is None else call.since + call.timeout * 1000
    if call.heartbeat is not None:
        patience = call.beat + call.heartbeat * (1000 + 1000 // DEADLINE_ALLOWANCE)
        due = patience if due is None else min(due, patience)
    return due


def invoke(frame: Frame, call: Invocation) -> Invoke:
    """The effect of asking for a task."""
    return Invoke(
        call.asked, frame.state, call.resource, call.arguments, call.timeout, call.heartbeat, call.token, call.attempt,
        frame.retries, call.outward,
    )


# --- moves that several facts share -----------------------------------------------------------------------------------


def _open(execution: Execution, frame: Frame) -> None:
    execution.frames[frame.seq] = frame
    execution.ready[frame.seq] = frame


def _be_ready(execution: Execution, frame: Frame, stage: Stage) -> None:
    frame.stage = stage
    frame.waits = None
    execution.ready[frame.seq] = frame
    execution.ready.move_to_end(frame.seq)  # taking turns: a branch that loops must not starve the others


def _ask(execution: Execution, frame: Frame, waits: Invocation | Timer) -> None:
    frame.waits = waits
    execution.asked[waits.asked] = frame
    execution.ready.pop(frame.seq, None)


def _drop(execution: Execution, frame: Frame) -> None:
    del execution.frames[frame.seq]
    _halt(execution, frame)


def _halt(execution: Execution, frame: Frame) -> None:
    """Nothing that the frame asked for is wanted any more, nor are its children."""
    execution.ready.pop(frame.seq, None)
    waits, evaluating = frame.waits, frame.evaluating
    frame.waits = frame.evaluating = None
    if isinstance(waits, Branches):
        for child in waits.running.values():
            _drop(execution, child)
    elif waits is not None and execution.asked.pop(waits.asked, None) is not None:
        execution.closed.append(waits.asked)
    if evaluating is not None:
        del execution.asked[evaluating.asked]
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
    frame.next = fact.next
    frame.tries = _NO_TRIES
    frame.evaluated = _NOTHING_EVALUATED
    frame.failure = None
    if frame.waits is not None:
        _halt(execution, frame)
    _be_ready(execution, frame, "end" if fact.next is None else "enter")


def _cut_off(execution: Execution, frame: Frame, _event: Event, _fact: facts.StateAborted) -> None:
    _halt(execution, frame)


def _waits(execution: Execution, frame: Frame, event: Event, fact: facts.WaitStarted) -> None:
    _ask(execution, frame, Timer(event.seq, fact.until))


def _retried(execution: Execution, frame: Frame, event: Event, fact: facts.RetryScheduled) -> None:
    _halt(execution, frame)
    frame.tries = frame.tries | {fact.retrier: frame.tries.get(fact.retrier, 0) + 1}
    frame.failure = None
    frame.evaluated = _NOTHING_EVALUATED
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
    frame.evaluated = _NOTHING_EVALUATED
    _ask(execution, frame, Invocation(event, fact, arguments))


def _invocation(frame: Frame) -> Invocation:
    if not isinstance(frame.waits, Invocation):
        raise AssertionError(f"frame {frame.seq} heard of a task that it does not wait for")
    return frame.waits


def _submitted(execution: Execution, frame: Frame, _event: Event, _fact: facts.TaskSubmitted) -> None:
    _invocation(frame).submitted = True


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
    call.since = call.beat = event.at


def _beat(execution: Execution, frame: Frame, event: Event, _: facts.HeartbeatReceived) -> None:
    _invocation(frame).beat = event.at


def _forked(execution: Execution, frame: Frame, _: Event, fact: facts.ParallelStarted) -> None:
    if fact.input is not UNSET:
        frame.value = fact.input.copy()
    frame.evaluated = _NOTHING_EVALUATED
    frame.waits = Branches(fact.branches)


def _mapped(execution: Execution, frame: Frame, event: Event, fact: facts.MapStarted) -> None:
    source = frame.value if fact.items is UNSET else fact.items.copy()
    frame.evaluated = _NOTHING_EVALUATED
    frame.waits = Items(fact, event, source, execution.started.limits.map_frames)


def _branched(execution: Execution, event: Event, fact: facts.BranchStarted | facts.IterationStarted) -> None:
    parent = execution.frames[fact.parent]
    waits = parent.waits
    if isinstance(waits, Items) and isinstance(fact, facts.IterationStarted):
        given = waits.source[fact.index] if fact.input is UNSET else fact.input
        child = Frame(event.seq, parent, fact.index, event.id, given.copy(), waits.start)
        parent.evaluated = _NOTHING_EVALUATED
    elif isinstance(waits, Branches) and isinstance(fact, facts.BranchStarted):
        child = Frame(event.seq, parent, fact.index, event.previous, parent.value, fact.start)
    else:
        raise AssertionError(f"frame {fact.parent} has no room for {type(fact).__name__}")
    waits.running[fact.index] = child
    waits.next = fact.index + 1
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
    _drop(execution, frame)
    parent.pointer = event.id or event.previous
    if isinstance(waits, Items) and waits.limited:
        waits.link = event.previous
    if (waits.has_room or waits.complete) and parent.evaluating is None:
        execution.ready[parent.seq] = parent


def _gathered(execution: Execution, frame: Frame, _event: Event, _fact: facts.Fact) -> None:
    if not isinstance(frame.waits, Branches):
        raise AssertionError(f"frame {frame.seq} gathered what it never spread")
    frame.value = values.join([output for output in frame.waits.outputs if output is not None])
    _be_ready(execution, frame, "leave")


def _scattered(execution: Execution, frame: Frame, _: Event, fact: facts.ParallelFailed | facts.MapFailed) -> None:
    _halt(execution, frame)
    frame.failure = Failure(fact.error, fact.cause)
    _be_ready(execution, frame, "handle")


def _evaluation_asked(execution: Execution, frame: Frame, event: Event, fact: facts.EvaluationAsked) -> None:
    frame.evaluating = Evaluation(event.seq, fact.field)
    execution.asked[event.seq] = frame
    execution.ready.pop(frame.seq, None)


def _evaluated(execution: Execution, frame: Frame, _: Event, fact: facts.EvaluationAnswered) -> None:
    if frame.evaluating is None:
        raise AssertionError(f"frame {frame.seq} heard of an evaluation that it does not wait for")
    del execution.asked[frame.evaluating.asked]
    frame.evaluating = None
    outcome = Failure(fact.error, fact.cause) if fact.value is UNSET else fact.value.copy()
    frame.evaluated = frame.evaluated | {fact.field: outcome}
    execution.ready[frame.seq] = frame


def _nothing(_execution: Execution, _frame: Frame, _event: Event, _fact: facts.Fact) -> None:
    """A fact for the history alone."""


_OPENS: Final[dict[type, Callable[[Execution, Event, Any], None]]] = {
    facts.ExecutionStarted: _started,
    facts.BranchStarted: _branched,
    facts.IterationStarted: _branched,
}

_APPLY: Final[dict[type, Apply]] = {
    facts.ExecutionSucceeded: _ended("SUCCEEDED"),
    facts.ExecutionFailed: _ended("FAILED"),
    facts.ExecutionAborted: _ended("ABORTED"),
    facts.ExecutionTimedOut: _ended("TIMED_OUT"),
    facts.StateEntered: _entered,
    facts.StateExited: _exited,
    facts.StateAborted: _cut_off,
    facts.WaitStarted: _waits,
    facts.RetryScheduled: _retried,
    facts.TimerRang: _rang,
    facts.TaskScheduled: _scheduled,
    facts.TaskStarted: _nothing,
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
    facts.EvaluationAsked: _evaluation_asked,
    facts.EvaluationAnswered: _evaluated,
}
