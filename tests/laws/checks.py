"""What the laws look at in a log: what must hold in any log, and what two runs of one machine are compared by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.laws.machines import Made

from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.frames import Branches

ENDS = (facts.ExecutionSucceeded, facts.ExecutionFailed, facts.ExecutionAborted, facts.ExecutionTimedOut)
OUTCOMES = (facts.TaskSucceeded, facts.TaskFailed, facts.TaskTimedOut)
_ENDS = set(ENDS)
MAP_RUNS = (facts.MapRunStarted, facts.MapRunRedriven)
MAP_RUN_ENDS = (facts.MapRunSucceeded, facts.MapRunFailed, facts.MapRunAborted)
_ABOUT_TASKS = {facts.TaskScheduled, facts.Reattempted, *OUTCOMES, *MAP_RUNS, *MAP_RUN_ENDS}
FORKS = (facts.BranchStarted, facts.IterationStarted)
CLOSES = (facts.BranchSucceeded, facts.IterationSucceeded, facts.IterationFailed, facts.IterationAborted)
GATHERS = (facts.ParallelSucceeded, facts.MapSucceeded, facts.ParallelFailed, facts.MapFailed)


class Broken(AssertionError):
    """A law does not hold."""


def reread(events: list[Event]) -> list[Event]:
    """The events as they come back from a store."""
    return facts.decode(facts.encode(events))


# --- what must hold in any log ----------------------------------------------------------------------------------------


def lawful(events: Sequence[Event]) -> None:
    """Numbers, times, outcomes and lines of control are as they must be; raises Broken."""
    _numbered(events)
    one_outcome(events)
    _Frames().follow(events)


def _numbered(events: Sequence[Event]) -> None:
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise Broken("the numbers of the events are not dense")
    if [event.id for event in events if event.id] != list(range(1, 1 + sum(1 for event in events if event.id))):
        raise Broken("the ids that AWS counts are not dense")
    if any(bool(event.id) is event.fact.silent for event in events):
        raise Broken("a silent event has an id, or another has none")
    if any(before.at > after.at for before, after in pairwise(events)):
        raise Broken("time went back")
    known = {0}
    for event in events:
        if event.previous not in known:
            raise Broken(f"event {event.id} follows {event.previous}, which is not before it")
        known.add(event.id)
    if any(type(event.fact) in _ENDS for event in events[:-1]):
        raise Broken("something happened after the end")


def one_outcome(events: Iterable[Event]) -> None:
    """Each schedule, and each map run, has one outcome at most, and each outcome its schedule."""
    open_: dict[int, int] = {}
    for event in events:
        if type(event.fact) not in _ABOUT_TASKS:
            continue
        if isinstance(event.fact, (facts.TaskScheduled, *MAP_RUNS)):
            if event.frame in open_:
                raise Broken(f"frame {event.frame} asks again before it was answered")
            open_[event.frame] = event.seq
        elif isinstance(event.fact, OUTCOMES + MAP_RUN_ENDS):
            if open_.pop(event.frame, None) is None:
                raise Broken(f"event {event.seq} answers what nobody asked")
        elif isinstance(event.fact, facts.Reattempted) and open_.get(event.frame) != event.fact.asked:
            raise Broken(f"event {event.seq} takes up again what is not in flight")


class _Frames:
    """Follows every line of control, by the events alone: entered before left, left before ended, ended but once."""

    def __init__(self) -> None:
        self.state: dict[int, str | None] = {}
        self.inside: dict[int, dict[int, str]] = {}  # frame -> its children that are at work, and what they are
        self.parent: dict[int, int] = {}

    def follow(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event.fact, facts.ExecutionStarted):
                self.state[event.seq] = None
            elif isinstance(event.fact, FORKS):
                self.opened(event.seq, event.fact.parent, type(event.fact).__name__)
            elif isinstance(event.fact, ENDS):
                if isinstance(event.fact, facts.ExecutionSucceeded) and len(self.state) > 1:
                    raise Broken("the execution succeeded while something was at work in it")
            else:
                self.moved(event)

    def opened(self, frame: int, parent: int, kind: str) -> None:
        if self.state.get(parent) is None:
            raise Broken(f"frame {frame} is opened by {parent}, which is in no state")
        self.state[frame] = None
        self.parent[frame] = parent
        self.inside.setdefault(parent, {})[frame] = kind

    def moved(self, event: Event) -> None:
        frame, fact = event.frame, event.fact
        if frame not in self.state:
            raise Broken(f"event {event.seq} concerns the frame {frame}, which is gone")
        state = self.state[frame]
        if isinstance(fact, facts.StateEntered):
            if state is not None:
                raise Broken(f"frame {frame} enters {fact.name} before it has left {state}")
            self.state[frame] = fact.name
        elif isinstance(fact, facts.StateExited):
            if state != fact.name:
                raise Broken(f"frame {frame} leaves {fact.name}, but is in {state}")
            self.state[frame] = None
        elif isinstance(fact, facts.BranchSucceeded | facts.IterationSucceeded):
            if state is not None:
                raise Broken(f"frame {frame} ends inside of {state}")
            self.closed(frame)
        elif isinstance(fact, facts.IterationAborted | facts.IterationFailed):
            self.inside[self.parent[frame]][frame] = "over"  # (a failed Task's own end is recorded after its item's)
        elif isinstance(fact, facts.StateAborted):
            self.state[frame] = None
        elif state is None:
            raise Broken(f"event {event.seq} happens in frame {frame} between two states")
        if isinstance(fact, facts.ParallelSucceeded | facts.MapSucceeded) and self.inside.get(frame):
            raise Broken(f"frame {frame} gathers while something is at work in it")
        if isinstance(fact, facts.ParallelFailed | facts.MapFailed | facts.RetryScheduled | facts.StateExited):
            for child in list(self.inside.get(frame, ())):
                if self.inside[frame][child] == "IterationStarted":
                    raise Broken(f"the item {child} is neither failed nor aborted, but its Map {frame} has gone on")
                self.gone(child)

    def closed(self, frame: int) -> None:
        if self.inside.pop(frame, None):
            raise Broken(f"frame {frame} ends while something is at work in it")
        del self.inside[self.parent.pop(frame)][frame]
        del self.state[frame]

    def gone(self, frame: int) -> None:
        for child in list(self.inside.get(frame, ())):
            self.gone(child)
        self.closed(frame)


# --- what two runs are compared by ------------------------------------------------------------------------------------


def history(events: Sequence[Event], after: int = 0) -> list[tuple[Any, ...]]:
    """The log past event `after` (no resume before it), but for what a resume alone records, and its numbers."""
    return list(_steady(events, after, exact=True))


def course(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    """The same without times: how it went, where nothing is concurrent."""
    return list(_steady(events, 0, exact=False))


def _steady(events: Sequence[Event], after: int, *, exact: bool) -> Iterator[tuple[Any, ...]]:
    number = {seq: seq for seq in range(1, after + 1)}
    for event in events[after:]:
        fact = event.fact
        if isinstance(fact, facts.Reattempted) or (isinstance(fact, facts.HeartbeatReceived) and not exact):
            continue
        number[event.seq] = len(number) + 1
        yield event.id, event.previous, number[event.frame], event.at if exact else 0, _told(fact, number, exact=exact)


def _told(fact: facts.Fact, number: dict[int, int], *, exact: bool) -> tuple[Any, ...]:
    told = []
    for name in fact.__struct_fields__:
        value = getattr(fact, name)
        if name in {"parent", "asked"}:
            value = number[value]
        elif name == "token" or (name in {"until", "arn"} and not exact):
            value = value is not None
        elif isinstance(value, facts.Raw):
            value = bytes(value)
        told.append(value)
    return (type(fact).__name__, *told)


class Summary(NamedTuple):
    """What must be the same wherever a run was cut and in whichever order its answers came."""

    status: str
    output: bytes | None
    ending: Any
    visits: Counter[tuple[Any, ...]]
    attempts: Counter[tuple[Any, ...]]


def summary(events: Sequence[Event]) -> Summary:
    execution = Execution.fold(events)
    visits: Counter[tuple[Any, ...]] = Counter()
    attempts: Counter[tuple[Any, ...]] = Counter()
    place: dict[int, tuple[Any, ...]] = {1: ()}
    state: dict[int, str] = {}
    for event in events:
        fact = event.fact
        if isinstance(fact, FORKS):
            place[event.seq] = (*place[fact.parent], state[fact.parent], fact.index)
        elif isinstance(fact, facts.StateEntered):
            state[event.frame] = fact.name
            visits[(*place[event.frame], fact.name)] += 1
        elif isinstance(fact, (facts.TaskScheduled, *OUTCOMES, *MAP_RUNS, *MAP_RUN_ENDS)):
            attempts[(*place[event.frame], state[event.frame], type(fact).__name__)] += 1
    output = bytes(execution.root.value) if execution.status == "SUCCEEDED" else None
    return Summary(execution.status, output, _reason(execution), visits, attempts)


def _reason(execution: Execution) -> Any:
    ending = execution.ending
    return ending and (ending.error, (ending.cause or "").partition(" (entered at")[0])


# --- what was in a run ------------------------------------------------------------------------------------------------


def features(made: Made, events: Sequence[Event]) -> set[str]:
    """Which of the hard things happened (not: stand in the definition)."""
    found: set[str] = set()
    machine = made.machine
    state: dict[int, str] = {}
    nested: set[int] = set()
    for event in events:
        fact = event.fact
        match fact:
            case facts.StateEntered(name):
                state[event.frame] = name
                found.add(fact.kind)
            case facts.BranchStarted(parent) | facts.IterationStarted(parent):
                nested.add(event.seq)
                if parent in nested:
                    found.add("nested Map or Parallel")
            case facts.RetryScheduled(retrier):
                found.add("retry")
                if machine.steps[state[event.frame]].retry[retrier].jitter_strategy == "FULL":
                    found.add("Retry with FULL jitter")
            case facts.WaitStarted():
                found.add("Wait")
            case facts.MapRunStarted():
                found.add("distributed Map")
            case facts.TaskTimedOut():
                found.add("timeout")
            case facts.EvaluationAsked():
                found.add("evaluation")
    return found | _caught(events)


def _caught(events: Sequence[Event]) -> set[str]:
    """Whether a catcher answered a Parallel or Map whose other branches or items were at work and were cut off."""
    execution = Execution()
    cut: set[int] = set()
    found: set[str] = set()
    for event in events:
        fact = event.fact
        if isinstance(fact, facts.ParallelFailed | facts.MapFailed):
            waits = execution.frames[event.frame].waits
            if isinstance(waits, Branches) and len(waits.running) > 1:
                cut.add(event.frame)
        elif isinstance(fact, facts.StateExited) and event.frame in cut:
            found.add("Catch that aborts siblings")
        execution.apply(event)
    return found


HARD = ("nested Map or Parallel", "Retry with FULL jitter", "Catch that aborts siblings", "Wait", "timeout")
