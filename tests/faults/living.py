"""Made machines alive in a real engine, on a loop of seeded order: a disk that takes its time and dies, and a world.

The `Disk` outlives engines. It commits what was submitted in groups, some drawn moments later, as a real one does; from
a drawn commit on it is dead, and so is the engine over it: nothing that is submitted later is written, and nothing that
is done later is counted. The `World` does the calls by a machine's script, from inside and from outside.
"""

import asyncio
import contextlib
import random
from collections import Counter

import anyio
from tests.faults.seeded import LoopClock
from tests.laws.checks import Broken
from tests.laws.machines import INVOKE
from tests.runtime.world import Around

from stepfold import Engine
from stepfold.errors import CallerError
from stepfold.interpreter.frames import Invocation
from stepfold.interpreter.simulate import Asked, _Places
from stepfold.language.failures import Failure
from stepfold.names import read_token
from stepfold.query.values import EMPTY_OBJECT
from stepfold.runtime import catalog
from stepfold.runtime.handle import ExecutionFailed
from stepfold.work.call import TaskError
from stepfold_store import StoreClosed

FOR_EVER = 10_000_000
LONG = 100_000
"""Seconds that no made machine needs: it is stuck."""
NAME = "monday"
CRASHED = StoreClosed("the machine has crashed")


class Disk(Around):
    """What is submitted is durable `slow` seconds later at most; at commit number `dies` all is over.

    `landed` says whether that last commit is on the disk nevertheless, which nobody was told.
    """

    def __init__(self, store, seed, *, slow=0.005):
        super().__init__(store)
        self.chance = random.Random(seed)
        self.slow = slow
        self.dies, self.landed = FOR_EVER, False
        self.commits = 0
        self.dead = False
        self.orphaned = False
        self.crashed = anyio.Event()
        self._waiting = []

    def revive(self, dies=FOR_EVER, *, landed=False):
        """Another life over what was written."""
        self.dies, self.landed = dies, landed
        self.commits = 0
        self.orphaned = self.orphaned or self.dead
        self.dead = False
        self.crashed = anyio.Event()
        self._waiting = []

    def submit(self, *arguments, **more):
        ticket = _Ticket(arguments, more)
        if self.dead:
            ticket.fail()
        else:
            if not self._waiting:
                asyncio.get_running_loop().call_later(self.chance.random() * self.slow, self._commit)
            self._waiting.append(ticket)
        return ticket

    def _commit(self):
        group, self._waiting = self._waiting, []
        if self.dead:
            return
        self.commits += 1
        self.dead = self.commits >= self.dies
        for ticket in group:
            if not self.dead or self.landed:
                ticket.write(self.inner)
            if self.dead:
                ticket.fail()
        if self.dead:
            self.crashed.set()

    async def entry(self, kind, key):
        if self.dead:
            raise CRASHED
        return await self.inner.entry(kind, key)

    def version(self, stream):
        """What of a stream is durable."""
        return self.inner._streams[stream][-1].last if stream in self.inner._streams else 0


class _Ticket:
    def __init__(self, arguments, more):
        self.arguments, self.more = arguments, more
        self.decided = anyio.Event()
        self.outcome = None

    def write(self, store):
        self.outcome = store.submit(*self.arguments, **self.more)
        self.decided.set()

    def fail(self):
        self.outcome = None
        self.decided.set()

    def __await__(self):
        yield from self.decided.wait().__await__()
        if self.outcome is None:
            raise CRASHED
        yield from self.outcome.__await__()


class World:
    """What the calls of one made machine come to, by its script; it remembers who was called, over all lives."""

    def __init__(self, made, disk):
        self.made, self.disk = made, disk
        self.called = Counter()
        self.told = set()
        self.accepted = set()
        self.at_work = 0
        self.created = False
        self.wrong = []

    async def work(self, engine, call):
        """A call from inside: as the script says, at the time it says."""
        _, asked = read_token(call.token) or (None, int(call.token.rpartition("#")[2]))
        place, attempt, _ = await self._place(call.execution, asked)
        if self.disk.dead:
            await anyio.sleep_forever()
        frame = engine.runs[call.execution].execution.asked.get(asked)
        self.called[f"{call.execution}#{asked}"] += 1
        if frame is not None and frame.waits.outward:
            return EMPTY_OBJECT  # a receipt: the answer comes from outside
        self.at_work += 1
        try:
            return await self._answered(call, self.made.script(Asked(place, attempt, call.resource, call.arguments)))
        finally:
            self.at_work -= 1

    @staticmethod
    async def _answered(call, answer):
        left = answer.after / 1000
        while answer.beats and answer.outcome is not None and left > 0.5:
            await anyio.sleep(0.5)
            left -= 0.5
            call.beat()
        if answer.outcome is None:
            await anyio.sleep_forever()
        await anyio.sleep(left)
        if isinstance(answer.outcome, Failure):
            raise TaskError(answer.outcome.error, answer.outcome.cause)
        return answer.outcome

    async def _place(self, arn, asked):
        places = _Places()
        places.learn([event async for event in catalog.events(self.disk.inner, arn)])
        if asked not in places.asked:
            self.wrong.append(f"the call that event {asked} asks for was made before that was durable")
            await anyio.sleep_forever()
        return *places.asked[asked], places.at[asked]

    async def outside(self, engine):
        """Whoever answers by token: a person who looks now and then, and who outlives every engine."""
        async with anyio.create_task_group() as answers:
            while True:
                for run in list(engine.runs.values()):
                    for asked, frame in list(run.execution.asked.items()):
                        waits = frame.waits
                        if (
                            isinstance(waits, Invocation) and waits.asked == asked and waits.outward
                            and (run, asked) not in self.told and self.disk.version(run.stream) >= asked
                            and (waits.activity or f"{run.execution.started.arn}#{asked}" in self.called)
                        ):
                            self.told.add((run, asked))
                            answers.start_soon(self._answer_outside, engine, run, waits)
                await anyio.sleep(0.05)

    async def _answer_outside(self, engine, run, waits):
        place, attempt, at = await self._place(run.execution.started.arn, waits.asked)
        answer = self.made.script(Asked(place, attempt, waits.resource, waits.arguments))
        while waits.activity and not waits.started and waits.asked in run.execution.asked:
            await engine.callbacks.poll(waits.resource, seconds=1)  # (which may be given another's task first)
        if answer.outcome is None:
            await anyio.sleep_forever()
        left = at + answer.after - engine.clock.now()  # (no engine's crash delays whoever is outside)
        await anyio.sleep(max(left, 0) / 1000)
        try:
            if isinstance(answer.outcome, Failure):
                await engine.callbacks.fail(waits.token, answer.outcome.error, answer.outcome.cause)
            else:
                await engine.callbacks.succeed(waits.token, bytes(answer.outcome).decode())
        except (CallerError, StoreClosed):
            return
        self.accepted.add(f"{run.execution.started.arn}#{waits.asked}")


def engine_over(disk, world, seed, *, ahead=0):
    engine = Engine(disk, clock=LoopClock(ahead), seed=seed)
    for name in ("*", INVOKE):  # that one as it is, without Lambda's envelope around it
        engine.register(name, lambda call: world.work(engine, call))
    return engine


async def live(world, disk, seed, *, ahead=0):
    """One life of an engine, until the machine's execution has ended or the disk dies; whether it has ended."""
    ended = False
    try:
        async with engine_over(disk, world, seed, ahead=ahead) as engine, anyio.create_task_group() as group:
            group.start_soon(world.outside, engine)
            group.start_soon(_cut_off, disk, group.cancel_scope)
            if not world.created:  # checking a definition takes longer than all its life
                await engine.create("made", world.made.definition)
                world.created = True
            with contextlib.suppress(ExecutionFailed, CallerError):  # a bad end is an end; so is one of an earlier life
                handle = await engine.start("made", text=bytes(world.made.input).decode(), name=NAME)
                if not disk.version(catalog.stream_of(handle.arn)):
                    world.wrong.append("a start was acknowledged before it was durable")
                with anyio.fail_after(LONG):
                    await handle.output()
            ended = not disk.dead
            if ended and world.at_work:
                world.wrong.append("the execution has ended, and a call is still at work")
            group.cancel_scope.cancel()
    except* StoreClosed:
        ended = False
    except* TimeoutError:
        world.wrong.append("the execution is stuck")
    if world.wrong:
        raise Broken("; ".join(world.wrong))
    return ended


async def _cut_off(disk, scope):
    await disk.crashed.wait()
    scope.cancel()
