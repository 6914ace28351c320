"""One execution, alive in this process: signals go to the core, events to the store, effects to workers and timers.

The order is the promise. A signal is decided and submitted in one breath (no await between), so that decisions reach
the log in the order in which they were taken. What is no longer wanted is cancelled after that was decided. What is
newly owed is begun only once the decision is durable. A fresh start and a resume are the same line: begin what is owed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import anyio
import msgspec
import structlog
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from stepfold.interpreter import facts, signals
from stepfold.interpreter.decide import Decision, decide
from stepfold.interpreter.execution import EXPIRY, Execution
from stepfold.interpreter.frames import Invocation
from stepfold.interpreter.signals import Attend, Effect, Evaluate, Invoke, Offer, RunMap, Signal, Sleep
from stepfold.language.failures import Failure
from stepfold.work.call import Call, NoWorker, TaskError
from stepfold_store.contract import Conflict, Entry, Record, StoreClosed, Ticket

from .deadlines import Deadline
from .evaluating import evaluate
from .jobs import Handing, Jobs, call_off
from .timers import Alarm
from .world import World

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

logger = structlog.get_logger(__name__)

LANE = 256
"""Calls of one resource that one execution may have begun at once; the others wait in line without a task."""
AHEAD = 4
"""Decisions of a run that never waits which may be on their way to the disk at once."""


class Lane:
    """The calls of one resource: some in flight, the others in line."""

    __slots__ = ("active", "line")

    def __init__(self) -> None:
        self.active = 0
        self.line: deque[Invoke] = deque()


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
    events up to `folded` were there before. `entry` is the catalog's, as committed, where this process wrote one.
    """

    def __init__(self, world: World[Run], machine: Machine, execution: Execution, stream: str) -> None:
        self.world = world
        self.machine = machine
        self.execution = execution
        self.stream = stream
        self.begun: anyio.Event | None = anyio.Event()
        self.ended = anyio.Event()
        self.broken: Exception | None = None
        self.entry: Entry | None = None
        self.missing: dict[int, NoWorker] = {}
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._alarms: dict[int, Alarm] = {}
        self._lanes: dict[str, Lane] = {}
        self._maps: dict[int, str] = {}
        self._rung: list[Signal] = []
        self._carrying_on = False
        self._closing = False
        self._jobs = Jobs(execution.owed())
        self.folded = execution.version
        self.resumed = execution.version > 0 and execution.status == "RUNNING"

    # --- signals in ---------------------------------------------------------------------------------------------------

    def decide(self, signal: Signal) -> Told | None:
        """Decide and submit, in one breath. None where nothing follows."""
        if self.broken is not None:
            raise self.broken
        try:
            return self._submitted(signal)
        except Exception as error:  # memory may be ahead of the disk now: nothing more may be decided on it
            self.give_up(error)
            raise

    def _submitted(self, signal: Signal) -> Told | None:
        execution, world = self.execution, self.world
        before = execution.version
        decision = decide(self.machine, execution, signal, world.moment())
        if not decision.events:
            return None
        ended = execution.status != "RUNNING"
        entry = world.entry(execution, decision.events, ended=ended)
        entries = () if entry is None else (entry,)
        ticket = world.store.submit(self.stream, before, (record(decision),), entries=entries)
        unwanted = self._jobs.decided(signal, decision)
        for gone in decision.closed:
            self._cut_off(gone)
        waiting = self._alarms or self._scopes or self._maps
        if waiting and (asked := getattr(signal, "asked", 0)) not in execution.asked:
            self._maps.pop(asked, None)
            self._cut_off(asked)  # an answer from outside: its deadline has no meaning any more, nor has its call
        left = [self._maps.pop(gone) for gone in decision.closed if gone in self._maps]
        return Told(ticket, decision.owed, ended, entry, unwanted, left)

    async def follow(self, told: Told) -> None:
        """Wait until a decision is durable, and begin what is owed then."""
        self.begin(await self.settled(told))

    def _cut_off(self, asked: int) -> None:
        """What was asked is no longer wanted."""
        if (scope := self._scopes.get(asked)) is not None:
            scope.cancel()
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
            self.world.spawn(self, self._carry_on)
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
        self._rung.append(signal)
        if len(self._rung) == 1:
            self.world.spawn(self, self._answer_rung)

    async def _answer_rung(self) -> None:
        rung, self._rung = self._rung, []
        if self.broken is not None:
            return
        try:
            waiting: list[Told] = []
            for signal in rung:
                if (told := self.decide(signal)) is not None:
                    waiting.append(told)
                if self.world.crowded():
                    await checkpoint()
            for told in waiting:
                await self.follow(told)
        except (Conflict, StoreClosed):
            return

    # --- effects out --------------------------------------------------------------------------------------------------

    def begin(self, owed: Iterable[Effect]) -> None:
        """Have everything done that is owed; nothing of what memory owes matters once the run was given up."""
        if self.broken is not None:
            return
        for effect in owed:
            if isinstance(effect, Invoke):
                self._line_up(effect)
            elif isinstance(effect, Attend):
                self.world.spawn(self, self._attend, effect)
            elif isinstance(effect, Sleep):
                self._sleep(effect)
            elif isinstance(effect, Offer):
                self.world.offer(self, effect)
            elif isinstance(effect, RunMap):
                self._run_map(effect)
            else:
                self.world.spawn(self, self._evaluate, effect)

    async def go_on(self, owed: list[Effect]) -> None:
        """Have everything done that is owed, one call of it in the task that says so: another would cost more."""
        mine = next((effect for effect in owed if isinstance(effect, Invoke)), None)
        if mine is None or (lane := self._lane(mine)).active >= LANE:
            self.begin(owed)
            return
        lane.active += 1
        self.begin(effect for effect in owed if effect is not mine)
        await self._branch(mine, lane)

    def _lane(self, effect: Invoke) -> Lane:
        lane = self._lanes.get(effect.resource)
        if lane is None:
            lane = self._lanes[effect.resource] = Lane()
        return lane

    def _line_up(self, effect: Invoke) -> None:
        lane = self._lane(effect)
        if lane.active < LANE:
            lane.active += 1
            self.world.spawn(self, self._branch, effect, lane)
        else:
            lane.line.append(effect)

    async def _branch(self, first: Invoke, lane: Lane) -> None:
        """Make a call, tell what came of it, and carry on with what that owes; then with the next in line."""
        effect: Invoke | None = first
        try:
            while effect is not None and self.broken is None:
                signal = await self._perform(effect) if effect.asked in self.execution.asked else None
                if signal is not None:
                    # A worker that answers its cancellation by something else must not have that recorded: the engine
                    # is being closed, and the call will be made again.
                    await checkpoint_if_cancelled()
                    effect = self._mine(await self.hear(signal), effect.resource)
                else:
                    effect = None
                if self.world.crowded():
                    await checkpoint()
                if lane.line:  # in turn, so that those who loop leave nobody waiting
                    if effect is not None:
                        lane.line.append(effect)
                    effect = lane.line.popleft()
        except (Conflict, StoreClosed):
            return
        finally:
            lane.active -= 1

    def _mine(self, owed: list[Effect], resource: str) -> Invoke | None:
        """Of what is owed, one call to make in this task; the others are begun."""
        mine: Invoke | None = None
        rest: list[Effect] = []
        for effect in owed:
            if mine is None and isinstance(effect, Invoke) and effect.resource == resource:
                mine = effect
            else:
                rest.append(effect)
        if rest:
            self.begin(rest)
        return mine

    async def _perform(self, effect: Invoke | Attend) -> Signal | None:
        """The outside work, and nothing else, under a scope that can be cancelled; None where it was decided away."""
        asked = effect.asked
        signal: Signal | None = None
        deadline: Deadline | None = None
        with anyio.CancelScope() as scope:
            self._scopes[asked] = scope
            try:
                if isinstance(effect, Attend):
                    said = await self.world.workers.attend(self._call(effect.job), effect.receipt)
                    signal = signals.Succeeded(asked, said)
                else:
                    call = self._call(effect)
                    if not effect.outward and (effect.timeout is not None or effect.heartbeat is not None):
                        deadline = Deadline(self.world.clock, self.world.timers, effect, call, scope)
                    signal = await self._called(effect, call)
            except TaskError as error:
                signal = signals.Failed(asked, Failure(error.error, error.cause))
            except NoWorker as missing:
                self._miss(asked, missing)
            except BaseException as error:
                if _is_ours(error):
                    raise
                signal = signals.Failed(asked, Failure(type(error).__name__, str(error)))
            finally:
                self._performed(asked)
                if deadline is not None:
                    deadline.over()
        if deadline is not None and deadline.passed is not None:  # whatever else was said when it was cut off
            return signals.TimedOut(asked, deadline.passed == "heartbeat")
        return signal

    async def _called(self, effect: Invoke, call: Call) -> Signal | None:
        """What is to be told of a call; of a job nothing: that it was handed over is told by whoever did that."""
        workers, asked = self.world.workers, effect.asked
        if (mocked := workers.stand_in(call)) is not None:
            return signals.Succeeded(asked, mocked)
        if workers.hands_over(effect.resource, effect.arguments):
            handing = Handing()
            self._jobs.sent(asked)
            self._jobs.leaving += 1
            self.world.spawn(self, self._hand_over, asked, call, handing)
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

    async def _attend(self, effect: Attend) -> None:
        """Wait for a job, and tell what came of it."""
        if effect.asked not in self.execution.asked:
            return
        signal = await self._perform(effect)
        if signal is not None and self.broken is None:
            await checkpoint_if_cancelled()
            try:
                self.begin(await self.hear(signal))
            except (Conflict, StoreClosed):
                return

    def _see_off(self, job: Attend) -> None:
        """A job is wanted no more, and that is durable."""
        self._jobs.leaving += 1
        self.world.spawn(self, self._call_off, job)

    async def _call_off(self, job: Attend) -> None:
        try:
            await call_off(self.world.workers, self._call(job.job), job.receipt)
        finally:
            self._left()

    def _left(self) -> None:
        self._jobs.leaving -= 1
        self._close_if_done()

    def _performed(self, asked: int) -> None:
        del self._scopes[asked]
        self._close_if_done()

    def _miss(self, asked: int, missing: NoWorker) -> None:
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
        with anyio.CancelScope() as scope:
            self._scopes[effect.asked] = scope
            try:
                outcome = await evaluate(self.machine, self.execution, effect, self.world.moment())
            finally:
                self._performed(effect.asked)
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
        owed = [effect for effect in execution.owed() if effect.asked <= self.folded]
        if told is not None:
            owed += await self.settled(told)
        if execution.ready and not self._carrying_on:
            self._carrying_on = True
            self.world.spawn(self, self._carry_on)
        await self.go_on(owed)

    def look_again(self) -> None:
        """A worker was registered: calls that found none are made again."""
        missing, self.missing = self.missing, {}
        calls = [effect for effect in self.execution.owed() if isinstance(effect, Invoke | Attend)]
        self.begin(call for call in calls if call.asked in missing)

    @property
    def quiet(self) -> bool:
        """Whether it waits for nothing but time and the outside."""
        return not self._scopes and not self._maps and not self._carrying_on and not self._rung

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
            for scope in list(self._scopes.values()):
                scope.cancel()
            for lane in self._lanes.values():
                lane.line.clear()
            self._hush(*self._alarms)
            self.world.lost(self, error)

    def _close_if_done(self) -> None:
        if self._closing and not self._scopes and not self._jobs.leaving:
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


def _is_ours(error: BaseException) -> bool:
    """Whether what came out of a worker ends more than its call: a cancellation, or a person's Ctrl-C."""
    ours = (KeyboardInterrupt, GeneratorExit, anyio.get_cancelled_exc_class())
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(ours) is not None
    return isinstance(error, ours)


def record(decision: Decision) -> Record:
    """A decision as the store takes it."""
    events = decision.events
    ids = [event.id for event in events if event.id]
    return Record(
        first=events[0].seq,
        last=events[-1].seq,
        at=events[-1].at,
        body=facts.encode(events),
        first_id=ids[0] if ids else 0,
        last_id=ids[-1] if ids else 0,
    )
