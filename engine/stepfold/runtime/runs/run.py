"""One execution, alive in this process: signals go to the core, events to the store, effects to workers and timers.

The order is the promise. A signal is decided and submitted in one breath (no await between), so that decisions reach
the log in the order in which they were taken. What is no longer wanted is cancelled after that was decided. What is
newly owed is begun only once the decision is durable. A fresh start and a resume are the same line: begin what is owed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import structlog
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from stepfold.interpreter import effects, facts, signals
from stepfold.interpreter.decide import Decision, decide_together
from stepfold.interpreter.execution import EXPIRY, Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.frames import Invocation
from stepfold.interpreter.signals import Attend, Effect, Evaluate, Invoke, Offer, RunMap, Signal, Sleep
from stepfold.runtime.evaluations.evaluating import evaluate
from stepfold.runtime.timers import Alarm
from stepfold.work.call import Call, NoWorker, TaskError
from stepfold_store.contract import Conflict, Entry, Record, StoreClosed, Ticket

from . import calls, lanes
from .deadlines import Deadline
from .folding import Pace
from .jobs import Handing, Jobs, call_off
from .lanes import Lane
from .world import World

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

logger = structlog.get_logger(__name__)

AHEAD = 4
"""Decisions of a run that never waits which may be on their way to the disk at once."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """A decision on its way to the disk, with what the catalog learns from it, and what is owed once it is there.

    `unwanted` are jobs to be called off then, `left` the map runs that are not wanted any more.
    """

    ticket: Ticket
    owed: list[Effect]
    ended: bool
    entry: Entry | None = None
    unwanted: Sequence[Attend] = ()
    left: list[str] = []


class Run:
    """An execution, alive.

    `begun` is set, and gone, once its start is durable; `ended` is set once its end is; `broken` says why it was given
    up instead. `resumed` says whether it goes on where a process left it, rather than being started or redriven; its
    events up to `folded` were there before. `entry` is the catalog's, as committed, where this process wrote one;
    `pace` says when a snapshot is due.
    """

    def __init__(
        self, world: World[Run], machine: Machine, execution: Execution, stream: str, pace: Pace | None = None
    ) -> None:
        self.world = world
        self.machine = machine
        self.execution = execution
        self.stream = stream
        self.pace = pace or Pace()
        self.begun: anyio.Event | None = anyio.Event()
        self.ended = anyio.Event()
        self.broken: Exception | None = None
        self.entry: Entry | None = None
        self.missing: dict[int, NoWorker] = {}
        self.said: deque[Signal] = deque()
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.lanes: dict[str, Lane] = {}
        self._alarms: dict[int, Alarm] = {}
        self._maps: dict[int, str] = {}
        self._ringing = False
        self._carrying_on = False
        self._closing = False
        self._jobs = Jobs(effects.owed(execution))
        self.folded = execution.version
        self.resumed = execution.version > 0 and execution.status == "RUNNING"

    # --- signals in ---------------------------------------------------------------------------------------------------

    def decide(self, signal: Signal) -> Told | None:
        """Decide and submit, in one breath. None where nothing follows."""
        return self._decided(deque((signal,)))

    def _decided(self, said: deque[Signal]) -> Told | None:
        """Decide what was said, as much of it as a decision may hold, and submit that in one breath."""
        if self.broken is not None:
            raise self.broken
        try:
            return self._submitted(said)
        except Exception as error:  # memory may be ahead of the disk now: nothing more may be decided on it
            self.give_up(error)
            raise

    def _submitted(self, said: deque[Signal]) -> Told | None:
        execution, world = self.execution, self.world
        before = execution.version
        decision = decide_together(self.machine, execution, said, world.moment())
        if not decision.events:
            return None
        unwanted = self._jobs.decided(decision)
        left = self._let_go(decision)
        ended = execution.status != "RUNNING"
        entry = world.entry(execution, decision.events, ended=ended)
        row = record(decision.events)
        self.pace.passed(row)
        ticket = world.store.submit(
            self.stream, before, (row,), entries=() if entry is None else (entry,), snapshot=self.pace.due(execution)
        )
        return Told(ticket, decision.owed, ended, entry, unwanted, left)

    def _let_go(self, decision: Decision) -> list[str]:
        """Cut off what is no longer wanted; which map runs are among that."""
        left = [self._maps.pop(gone) for gone in decision.closed if gone in self._maps]
        for gone in decision.closed:
            self._cut_off(gone)
        if self._alarms or self.scopes or self._maps:
            for signal in decision.heard:
                if (asked := getattr(signal, "asked", 0)) not in self.execution.asked:
                    self._maps.pop(asked, None)
                    # An answer from outside: its deadline has no meaning any more, nor has its call.
                    self._cut_off(asked)
        return left

    async def follow(self, told: Told) -> None:
        """Wait until a decision is durable, and begin what is owed then."""
        self.begin(await self.settled(told))

    def _cut_off(self, asked: int) -> None:
        """What was asked is no longer wanted."""
        calls.cut_off(self, (asked,))
        self._hush(asked)
        self.missing.pop(asked, None)

    async def hear(self, signal: Signal) -> list[Effect]:
        """Decide, and wait until it is durable: what is owed then."""
        told = self.decide(signal)
        return [] if told is None else await self.settled(told)

    async def settled(self, told: Told) -> list[Effect]:
        """Wait until a decision is durable: what is owed then."""
        try:
            await told.ticket
        except (Conflict, StoreClosed) as error:
            self.give_up(error)
            raise
        self.entry = told.entry or self.entry
        self._has_begun()
        for job in told.unwanted:
            self._see_off(job)
        for arn in told.left:
            self.world.leave_map(arn)
        if told.ended:
            self._closing = True
            self._close_if_done()
        elif self.execution.ready and not self._carrying_on:
            self._carrying_on = True
            self.spawn(self._carry_on)
        return told.owed

    async def _carry_on(self) -> None:
        """Go on while something is ready, a decision at a time; others are heard in between."""
        ahead: deque[Told] = deque()
        try:
            # What others decide while the last of these is on its way to the disk may leave something ready, too; they
            # leave it to this task as long as it is there.
            while (going_on := bool(self.execution.ready) and self.broken is None) or ahead:
                if going_on and (told := self.decide(signals.Continue())) is not None:
                    ahead.append(told)
                if not going_on or len(ahead) >= AHEAD:
                    await self.follow(ahead.popleft())
                await checkpoint()  # a ticket may be done at once, and then nobody else would have a turn
        except (Conflict, StoreClosed):
            return
        finally:
            self._carrying_on = False

    def _ring(self, signal: Signal) -> None:
        """A timer has come: gathered, so that thousands at one moment share their commits."""
        self.said.append(signal)
        if not self._ringing:
            self._ringing = True
            self.spawn(self._answer_rung)

    async def _answer_rung(self) -> None:
        self._ringing = False
        if self.broken is None:
            try:
                await self.deliver(self.begin)
            except (Conflict, StoreClosed):
                return

    async def deliver(self, begin: Callable[[list[Effect]], None]) -> None:
        """Decide all that was said, and begin what is owed once that is durable. Raises Conflict, StoreClosed."""
        waiting: list[Told] = []
        while self.said:
            if (told := self._decided(self.said)) is not None:
                waiting.append(told)
            if self.said or self.world.crowded():
                await checkpoint()
        for told in waiting:
            begin(await self.settled(told))

    # --- effects out --------------------------------------------------------------------------------------------------

    def begin(self, owed: Iterable[Effect]) -> None:
        """Have everything done that is owed; nothing of what memory owes matters once the run was given up."""
        if self.broken is not None:
            return
        for effect in owed:
            if isinstance(effect, Invoke):
                lanes.line_up(self, effect)
            elif isinstance(effect, Offer) and self.execution.started.case is None:
                self.world.offer(self, effect)
            elif isinstance(effect, Attend | Offer):
                self.spawn(self._attend, effect)
            elif isinstance(effect, Sleep):
                self._sleep(effect)
            elif isinstance(effect, RunMap):
                self._run_map(effect)
            else:
                self.spawn(self._evaluate, effect)

    async def go_on(self, owed: list[Effect]) -> None:
        """Have everything done that is owed, some calls of it in the task that says so: another would cost more."""
        await lanes.lend_a_hand(self, owed)

    async def call(self, effect: Invoke, scope: anyio.CancelScope) -> Signal | None:
        """Make a call: what is to be told of it; of a job nothing, for that it was handed over is told by who did it.

        None also where it was decided away, or nobody does such work.
        """
        if effect.asked not in self.execution.asked:
            return None
        if effect.outward or (effect.timeout is None and effect.heartbeat is None):
            return await calls.outcome(self, effect.asked, scope, self._called, effect, self._call(effect))
        return await self._limited(effect)

    async def _limited(self, effect: Invoke) -> Signal | None:
        """A call that has so much time and no more; whatever else it says when that is over."""
        call, signal = self._call(effect), None
        with anyio.CancelScope() as scope:
            deadline = Deadline(self.world.clock, self.world.timers, effect, call, scope)
            try:
                signal = await calls.outcome(self, effect.asked, scope, self._called, effect, call)
            finally:
                deadline.over()
        return signal if deadline.passed is None else signals.TimedOut(effect.asked, deadline.passed == "heartbeat")

    async def _called(self, effect: Invoke, call: Call) -> Signal | None:
        workers, asked = self.world.workers, effect.asked
        if call.case is not None and (mocked := workers.stand_in(call)) is not None:
            return signals.Succeeded(asked, mocked)
        if workers.hands_over(effect.resource, effect.arguments):
            handing = Handing()
            self._jobs.sent(asked)
            self._jobs.leaving += 1
            self.spawn(self._hand_over, asked, call, handing)
            await handing.arrived()
            return None
        said = await workers.perform(call)
        # Where the answer comes from outside, what the worker says is but a receipt.
        return signals.Submitted(asked, said) if effect.outward else signals.Succeeded(asked, said)

    async def _hand_over(self, asked: int, call: Call, handing: Handing) -> None:
        """Hand a job over, whatever becomes of its task meanwhile: without a receipt, nobody could call it off."""
        try:
            receipt = await self.world.workers.submit(call)
            await checkpoint_if_cancelled()
            left = self._jobs.arrived(asked)
            told = self.decide(signals.Submitted(asked, receipt))
            handing.over.set()
            if told is not None:
                await self.follow(told)
            elif left:
                await call_off(self.world.workers, call, receipt)
        except (TaskError, NoWorker) as failed:
            self._jobs.arrived(asked)
            handing.failed = failed
        except (Conflict, StoreClosed):
            return
        finally:
            handing.over.set()
            self._left()

    async def _attend(self, effect: Attend | Offer) -> None:
        """Wait for what others do, and tell what came of it."""
        if effect.asked not in self.execution.asked:
            return
        signal = None
        with anyio.CancelScope() as scope:
            work = self._attended if isinstance(effect, Attend) else self._stood_in
            signal = await calls.outcome(self, effect.asked, scope, work, effect)
        if signal is not None and self.broken is None:
            await checkpoint_if_cancelled()
            try:
                self.begin(await self.hear(signal))
            except (Conflict, StoreClosed):
                return

    async def _attended(self, effect: Attend) -> Signal:
        said = await self.world.workers.attend(self._call(effect.job), effect.receipt)
        return signals.Succeeded(effect.asked, said)

    async def _stood_in(self, effect: Offer) -> Signal | None:
        """What a test case answers in the place of whoever would come for a task; else the task is held out to them."""
        frame = self.execution.asked[effect.asked]
        if isinstance(frame.waits, Invocation):
            mocked = self.world.workers.stand_in(self._call(effects.invoke(frame, frame.waits)))
            if mocked is not None:
                return signals.Succeeded(effect.asked, mocked)
        self.world.offer(self, effect)
        return None

    def _see_off(self, job: Attend) -> None:
        """A job is wanted no more, and that is durable."""
        self._jobs.leaving += 1
        self.spawn(self._call_off, job)

    async def _call_off(self, job: Attend) -> None:
        try:
            await call_off(self.world.workers, self._call(job.job), job.receipt)
        finally:
            self._left()

    def _left(self) -> None:
        self._jobs.leaving -= 1
        self._close_if_done()

    def spawn(self, task: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Have a task done beside; what goes wrong in it harms this run alone."""
        self.world.spawn(self, task, *given)

    def performed(self) -> None:
        """A piece of work has ended: it may have been the last that the end waits for."""
        if self._closing:
            self._close_if_done()

    def miss(self, asked: int, missing: NoWorker) -> None:
        """Nobody does what was asked: it waits for somebody to be registered."""
        if all(known.resource != missing.resource for known in self.missing.values()):
            self.world.missing(self, missing)
        self.missing[asked] = missing

    def _call(self, effect: Invoke) -> Call:
        return Call(
            resource=effect.resource,
            arguments=effect.arguments,
            execution=self.execution.started.arn,
            state=effect.state,
            token=effect.token or f"{self.execution.started.arn}#{effect.asked}",
            attempt=effect.attempt,
            retry=effect.retry,
            timeout=effect.timeout,
            heartbeat=effect.heartbeat,
            case=self.execution.started.case,
        )

    def _sleep(self, effect: Sleep) -> None:
        asked = effect.asked
        if asked not in self.execution.asked and (asked != EXPIRY or self.execution.expiry is None):
            return  # decided away while its own decision was on its way to the disk
        signal: Signal = signals.TimedOut(asked) if effect.task else signals.Rang(asked)

        def ring() -> None:
            del self._alarms[asked]
            self._ring(signal)

        if (before := self._alarms.get(asked)) is not None:
            before.cancel()
        self._alarms[asked] = self.world.timers.at(effect.until, ring)

    def _run_map(self, effect: RunMap) -> None:
        if effect.asked in self.execution.asked:
            self._maps[effect.asked] = effect.arn
            self.world.run_map(self, effect)

    async def _evaluate(self, effect: Evaluate) -> None:
        if effect.asked not in self.execution.asked:
            return
        with anyio.CancelScope() as scope, calls.under(self, scope, effect.asked):
            outcome = await evaluate(self.machine, self.execution, effect, self.world.moment())
        if not scope.cancelled_caught and self.broken is None:
            try:
                self.begin(await self.hear(signals.Evaluated(effect.asked, outcome)))
            except (Conflict, StoreClosed):
                return

    # --- its own life -------------------------------------------------------------------------------------------------

    async def resume(self) -> None:
        """Go on where the log ends: whatever was in flight is begun again, and said so."""
        self._has_begun()
        execution = self.execution
        failing = []
        asked = []
        for seq, frame in execution.asked.items():
            call = frame.waits
            mine = seq <= self.folded  # what others, who were faster, have had it ask since is theirs to begin
            if mine and isinstance(call, Invocation) and call.asked == seq and not call.submitted and not call.activity:
                asked.append(seq)
                found = self.world.workers.find(call.resource, call.arguments)
                if found is not None and found.on_interrupt == "fail":
                    failing.append(seq)
        told = self.decide(signals.Interrupted(tuple(asked), tuple(failing))) if asked else None
        owed = [effect for effect in effects.owed(execution) if effect.asked <= self.folded]
        if told is not None:
            owed += await self.settled(told)
        if self.broken is None and (snapshot := self.pace.due(execution)) is not None:  # much had to be folded
            self.world.store.submit(self.stream, execution.version, (), snapshot=snapshot)
        if execution.ready and not self._carrying_on:
            self._carrying_on = True
            self.spawn(self._carry_on)
        await self.go_on(owed)

    def look_again(self) -> None:
        """A worker was registered: calls that found none are made again."""
        missing, self.missing = self.missing, {}
        calls = [effect for effect in effects.owed(self.execution) if isinstance(effect, Invoke | Attend | Offer)]
        self.begin(call for call in calls if call.asked in missing)

    @property
    def quiet(self) -> bool:
        """Whether it waits for nothing but time and the outside."""
        return not self.scopes and not self._maps and not self._carrying_on and not self.said

    def _has_begun(self) -> None:
        if self.begun is not None:
            self.begun.set()
            self.begun = None
            if self.broken is None:
                self.world.begun(self)

    def abandon(self, error: Exception) -> None:
        """The engine is gone, and with it whoever could bring this to its end: those who wait for it are told."""
        self.broken = self.broken or error
        self._has_begun()
        self.ended.set()

    def give_up(self, error: Exception) -> None:
        """What memory holds is no longer sure to be what the disk holds: forget it; the engine may fold afresh."""
        if self.broken is None:
            self.broken = error
            self._has_begun()
            calls.cut_off(self, list(self.scopes))
            for lane in self.lanes.values():
                lane.line.clear()
            self._hush(*self._alarms)
            self.world.lost(self, error)

    def _close_if_done(self) -> None:
        if self._closing and not self.scopes and not self._jobs.leaving:
            self._close()

    def _close(self) -> None:
        """The end, once it is durable and every call that was cut off has ended."""
        if not self.ended.is_set():
            self._hush(*self._alarms)
            self.ended.set()
            self.world.finished(self)

    def _hush(self, *asked: int) -> None:
        for one in asked:
            if (alarm := self._alarms.pop(one, None)) is not None:
                alarm.cancel()


def record(events: list[Event]) -> Record:
    """A decision as the store takes it."""
    return Record(
        first=events[0].seq,
        last=events[-1].seq,
        at=events[-1].at,
        body=facts.encode(events),
        first_id=next((event.id for event in events if event.id), 0),
        last_id=next((event.id for event in reversed(events) if event.id), 0),
    )
