"""The second shell of the core: the same decisions as in an engine, but the time is a number and the work is a script.

A `Simulation` performs what an execution owes without any waiting: timers and answers lie in one heap of times, the
clock jumps to the next of them, and evaluations are done on the spot. What a call comes to is asked of a script, by
the place of its state (names and item indexes from the root down) and by how often it was asked there. It can start
from a log that ends anywhere, as an engine does after a crash.

Nothing here is left to chance. All that looks like it (jitter, tokens, the order of what falls due at one moment) is
drawn from the seed and from the place in the log, so that a run that was cut and resumed draws what the whole one did.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from stepfold.language.failures import RUNTIME, Failure
from stepfold.language.limits import Limits
from stepfold.query.template import Moment, Overrun, QueryError, Scope, Template
from stepfold.query.values import EMPTY_OBJECT, Value

from . import effects, facts, signals
from .decide import Decision, decide, evaluation
from .execution import Execution
from .facts import Event
from .frames import Executions, Invocation
from .signals import Attend, Effect, Evaluate, Invoke, Offer, RunMap, Signal, Sleep

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

START: Final = 1_700_000_000_000
"""When a simulation begins, in milliseconds since the epoch."""
DECISIONS: Final = 100_000
"""After how many decisions a simulation is given up as one that never ends."""

MAP_RUN: Final = "mapRun"
"""What a script is asked for where a distributed Map is to be run."""

Place: TypeAlias = tuple[str | int, ...]
"""Where a state is: the names of the states around it and the indexes of branches or items, then its own name."""


class Asked(NamedTuple):
    """A call, as a script sees it: `attempt` counts from 1 how often this place was asked, over the whole log.

    The run of a distributed Map is asked for as `MAP_RUN`, over its items.
    """

    place: Place
    attempt: int
    resource: str
    arguments: Value


class Answer(NamedTuple):
    """What comes of a call, `after` so many milliseconds: a value, a failure, or nothing at all (None).

    `beats` says whether the work gives signs of life, for a HeartbeatSeconds. Where the answer comes from outside,
    they come every `beat` milliseconds (0: none) until then, and then the worker falls silent. With `job` the work is
    handed over first, at once, and then goes on by itself, as `.sync` has it.
    """

    outcome: Value | Failure | None
    after: int = 0
    beats: bool = True
    beat: int = 0
    job: bool = False


Script: TypeAlias = Callable[[Asked], Answer]


class Said(NamedTuple):
    """Something said from outside, such as a Stop, so many milliseconds after the simulation's beginning."""

    after: int
    signal: Signal


class _Due(NamedTuple):
    at: int
    tie: int
    order: int
    signal: Signal | None
    """None: an evaluation, done when its turn has come."""
    asked: int


def simulate(
    machine: Machine,
    input: Value,  # noqa: A002  (the language's word)
    script: Script,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    said: Iterable[Said] = (),
) -> tuple[list[Event], Execution]:
    """The whole of an execution: its log, and what it came to. One that waits for ever ends as RUNNING."""
    simulation = Simulation(machine, script, seed=seed)
    simulation.begin(input, limits=limits or Limits.local(), said=said)
    simulation.run()
    return simulation.events, simulation.execution


class Simulation:
    """An execution, and the world around it. `events` is its log, `ends` the number of the last event of each decision.

    After a crash, calls that were in flight are made again, as an engine makes them: they take their time anew, unless
    `seamless`; then they are answered when they would have been, and the whole log but for `Reattempted` is as if
    there had been no crash. With `echo`, each answer is given twice. `failing` names the states whose calls are not
    repeated after a crash (`on_interrupt="fail"`). An evaluation takes `evaluating` milliseconds.
    """

    def __init__(
        self,
        machine: Machine,
        script: Script,
        *,
        seed: int = 0,
        seamless: bool = False,
        echo: bool = False,
        failing: Collection[str] = (),
        evaluating: int = 0,
    ) -> None:
        self.machine = machine
        self.script = script
        self.seed = seed
        self.seamless = seamless
        self.echo = echo
        self.failing = failing
        self.evaluating = evaluating
        self.now = START
        self.events: list[Event] = []
        self.ends: list[int] = []
        self.execution = Execution()
        self._heap: list[_Due] = []
        self._order = 0
        self._continuing = False
        self._known = 0
        self._places = _Places()

    # --- its beginning ------------------------------------------------------------------------------------------------

    def begin(self, input: Value, *, limits: Limits, said: Iterable[Said] = ()) -> None:  # noqa: A002
        """Start afresh."""
        machine = self.machine
        started = facts.ExecutionStarted(
            input=input,
            arn="arn:aws:states:us-east-1:123456789012:execution:simulated:simulated",
            name="simulated",
            machine="arn:aws:states:us-east-1:123456789012:stateMachine:simulated",
            definition=machine.digest,
            start=machine.start_at,
            limits=limits,
            timeout=machine.timeout,
            region="us-east-1",
        )
        self._expect(said)
        self.tell(signals.Begin(started))

    def resume(self, log: Sequence[Event], *, away: int = 0, said: Iterable[Said] = ()) -> None:
        """Go on where a log ends, `away` milliseconds after its last event."""
        self.events = list(log)
        self._places.learn(log)
        self.execution = Execution.fold(log)
        self._known = self.execution.at
        self.now = self._known + away
        self._expect(said)
        calls = [
            (asked, frame)
            for asked, frame in self.execution.asked.items()
            if isinstance(frame.waits, Invocation) and frame.waits.asked == asked
        ]
        interrupted = tuple(asked for asked, frame in calls if _here(frame.waits))
        if interrupted:
            failing = {asked for asked, frame in calls if frame.state in self.failing}
            self.tell(signals.Interrupted(interrupted, tuple(sorted(failing.intersection(interrupted)))), owed=False)
        for asked, frame in calls:
            if _elsewhere(frame.waits) and self.execution.asked.get(asked) is frame:
                self._answer(asked)  # whoever was handed the job has not gone away
        self._begin(effects.owed(self.execution))
        self._continue()

    def _expect(self, said: Iterable[Said]) -> None:
        for after, signal in said:
            self._push(self.now + after, signal, 0)

    # --- its course ---------------------------------------------------------------------------------------------------

    @property
    def decisions(self) -> int:
        """How many decisions it has taken since it began or was resumed."""
        return len(self.ends)

    def run(self, decisions: int = DECISIONS) -> None:
        """Go on until it has ended, nothing is left to wait for, or so many decisions were taken: then it crashes."""
        while self._heap and self.execution.status == "RUNNING" and len(self.ends) < decisions:
            self._step()

    def _step(self) -> None:
        due = heapq.heappop(self._heap)
        self.now = max(self.now, due.at)
        signal = due.signal
        if signal is None:
            if due.asked not in self.execution.asked:
                return
            signal = self.evaluated(due.asked)
        if isinstance(signal, signals.Continue):
            self._continuing = False
        self.tell(signal)

    def tell(self, signal: Signal, *, owed: bool = True) -> Decision:
        """Say something to the execution, and begin what it then owes."""
        decision = self.decide(signal, self.moment())
        if decision.events:
            self.events.extend(decision.events)
            self.ends.append(decision.events[-1].seq)
            self._places.learn(decision.events)
            if owed:
                self._begin(decision.owed)
        self._continue()
        return decision

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        """The core's own word (here to be overridden by whoever wants to listen)."""
        return decide(self.machine, self.execution, signal, moment)

    def _continue(self) -> None:
        if self.execution.ready and not self._continuing:
            self._continuing = True
            self._push(self.now, signals.Continue(), self.execution.version)

    # --- what it owes -------------------------------------------------------------------------------------------------

    def _begin(self, owed: Iterable[Effect]) -> None:
        for effect in owed:
            match effect:
                case Invoke() | Offer() | Attend():
                    self._answer(effect.asked)
                case RunMap(asked):
                    self._run_map(asked)
                case Sleep(asked, until, True):
                    self._push(until, signals.TimedOut(asked), asked)
                case Sleep(asked, until):
                    self._push(until, signals.Rang(asked), asked)
                case Evaluate(asked):
                    asked_at = self._places.at[asked] if self.seamless else self.now
                    self._push(asked_at + self.evaluating, None, asked)

    def _answer(self, asked: int) -> None:
        """What comes of a call, as the script says: an answer, or the end of somebody's patience."""
        call = self.execution.asked[asked].waits
        if not isinstance(call, Invocation):
            raise AssertionError("an answer is owed to a call alone")
        place, attempt = self._places.asked[asked]
        answer = self.script(Asked(place, attempt, call.resource, call.arguments))
        begun = self._places.at[asked] if self.seamless or call.apart else self.now
        if answer.job and not call.submitted:
            self._push(begun, signals.Submitted(asked, EMPTY_OBJECT), asked)
            return
        done = begun + answer.after if answer.outcome is not None else None
        if call.outward:
            self._outside(call, answer, begun)
        elif not call.submitted:
            limits = [] if call.timeout is None else [(begun + call.timeout * 1000, signals.TimedOut(asked))]
            if call.heartbeat is not None and not answer.beats:
                limits.append((begun + call.heartbeat * 1000, signals.TimedOut(asked, heartbeat=True)))
            limit = min(limits, key=lambda limit: limit[0], default=None)
            if limit is not None and (done is None or limit[0] < done):
                self._push(*limit, asked)
                return
        if done is not None:
            self._push(done, _outcome(asked, answer), asked)

    def _run_map(self, asked: int) -> None:
        """What comes of a map run, which goes on where it was by itself."""
        waits = self.execution.asked[asked].waits
        if not isinstance(waits, Executions):
            raise AssertionError("a map run is owed to a distributed Map alone")
        place, attempt = self._places.asked[asked]
        answer = self.script(Asked(place, attempt, MAP_RUN, waits.source))
        if answer.outcome is not None:
            self._push(self._places.at[asked] + answer.after, signals.MapRunEnded(asked, answer.outcome), asked)

    def _outside(self, call: Invocation, answer: Answer, begun: int) -> None:
        """What comes from outside beside the answer: that it was taken on or handed over, and signs of life."""
        if call.activity and not call.started:
            self._push(begun, signals.Started(call.asked, "somebody"), call.asked)
        elif not call.activity and not call.submitted:
            self._push(begun, signals.Submitted(call.asked, EMPTY_OBJECT), call.asked)
        if answer.beat:
            for at in range(begun + answer.beat, begun + answer.after, answer.beat):
                if at >= self._known:
                    self._push(at, signals.Heartbeat(call.asked), call.asked)

    def evaluated(self, asked: int) -> Signal:
        """What comes of an evaluation."""
        frame = self.execution.asked[asked]
        wanted = evaluation(self.machine, self.execution, frame, self.moment())
        return signals.Evaluated(asked, None if wanted is None else self.render(*wanted))

    def render(self, template: Template, scope: Scope) -> Value | Failure:
        """What an expression comes to outside of a decision."""
        try:
            return template.render(scope, dataclasses.replace(self.moment(), unhurried=True))
        except QueryError as error:
            return Failure(error.error, error.cause, location=error.location)
        except Overrun:
            return Failure(RUNTIME, "The expression takes too many steps.")

    def _push(self, at: int, signal: Signal | None, asked: int) -> None:
        self._order += 1
        tie = _number(self.seed, "tie", self._places.steady(asked), type(signal).__name__)
        if self.seamless and isinstance(signal, signals.Continue):
            tie = -1  # a resume goes on at once with what was ready
        heapq.heappush(self._heap, _Due(at, tie, self._order, signal, asked))
        if self.echo and isinstance(signal, _TOLD_AGAIN):
            self._order += 1
            again = at + _number(self.seed, "echo", asked) % _ECHO_WITHIN
            heapq.heappush(self._heap, _Due(again, tie, self._order, signal, asked))

    # --- chance -------------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Now, with chance that depends on the seed and on the place in the log alone."""
        place = self._places.steady(self.execution.version)
        drawn = 0

        def draw(kind: str) -> bytes:
            nonlocal drawn
            drawn += 1
            return _digest(self.seed, kind, place, drawn)

        def random() -> float:
            return int.from_bytes(draw("random")[:7], "big") / (1 << 56)

        return Moment(self.now, random, lambda count: draw("secret")[:count])


_ECHO_WITHIN: Final = 5_000
_TOLD_AGAIN: Final = (
    signals.Succeeded, signals.Failed, signals.Unstarted, signals.TimedOut, signals.Started, signals.Submitted,
    signals.Rang, signals.MapRunEnded,
)


class _Places:
    """Where things are in a log: the place of each call, how often it was asked there, and when.

    A frame's place is read off the events, for it may be gone by the end of the decision that opened it. `steady`
    numbers the events without those that only a resume records, so that it is the same in a run that was never cut.
    """

    def __init__(self) -> None:
        self.asked: dict[int, tuple[Place, int]] = {}
        self.at: dict[int, int] = {}
        self._frames: dict[int, Place] = {}
        self._states: dict[int, str] = {}
        self._counts: dict[Place, int] = {}
        self._resumed: list[int] = []

    def learn(self, events: Iterable[Event]) -> None:
        """Take note of what was recorded."""
        for event in events:
            if type(event.fact) in _TELLING:
                self._note(event)

    def _note(self, event: Event) -> None:
        match event.fact:
            case facts.ExecutionStarted():
                self._frames[event.seq] = ()
            case facts.BranchStarted(parent, index) | facts.IterationStarted(parent, index):
                self._frames[event.seq] = (*self._frames[parent], self._states[parent], index)
            case facts.StateEntered(name):
                self._states[event.frame] = name
            case facts.TaskScheduled() | facts.MapRunStarted() | facts.MapRunRedriven():
                place = (*self._frames[event.frame], self._states[event.frame])
                attempt = self._counts[place] = self._counts.get(place, 0) + 1
                self.asked[event.seq] = place, attempt
                self.at[event.seq] = event.at
            case facts.EvaluationAsked():
                self.at[event.seq] = event.at
            case facts.Reattempted():
                self._resumed.append(event.seq)

    def steady(self, seq: int) -> int:
        """The number of an event, as if no run had ever been resumed."""
        return seq - bisect_right(self._resumed, seq)


_TELLING: Final = frozenset({
    facts.ExecutionStarted, facts.BranchStarted, facts.IterationStarted, facts.StateEntered, facts.TaskScheduled,
    facts.EvaluationAsked, facts.Reattempted, facts.MapRunStarted, facts.MapRunRedriven,
})


def _elsewhere(waits: object) -> bool:
    """Whether somebody outside has the task in hand, whom nobody here attends to."""
    return isinstance(waits, Invocation) and waits.outward and (waits.submitted or (waits.activity and waits.started))


def _here(waits: object) -> bool:
    """Whether the task was being done in this process."""
    return isinstance(waits, Invocation) and not waits.submitted and not waits.activity


def _outcome(asked: int, answer: Answer) -> Signal:
    if isinstance(answer.outcome, Failure):
        if answer.outcome.error == RUNTIME:  # what no task fails with: it could not be started
            return signals.Unstarted(asked, answer.outcome.cause or "")
        return signals.Failed(asked, answer.outcome)
    return signals.Succeeded(asked, answer.outcome or EMPTY_OBJECT)


def _digest(*of: object) -> bytes:
    return hashlib.blake2b(repr(of).encode(), digest_size=32).digest()


def _number(*of: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(of).encode(), digest_size=4).digest(), "big")
