"""One seed, one order: what runs at once in an engine is run in orders drawn by the hundred, and the time is a number.

In each order the same must hold: nothing is told or begun before it is durable, whatever was accepted has acted, a name
is started once, and whoever runs beside a failure is cut off before the end is told.
"""

import asyncio
import contextlib
import json
import random

import anyio
import pytest
from tests.faults import invariants, seeded
from tests.faults.levels import SEED, of_level
from tests.faults.living import Disk
from tests.faults.seeded import LoopClock, SeededLoop, Stuck
from tests.faults.test_crashes import MACHINES, Broken, _whole, machines
from tests.laws.checks import summary
from tests.runtime.world import DONE, asks, both, call, caught, one, then, wait
from tests.runtime.world import each as each_

from stepfold import Engine
from stepfold.errors import CallerError, ExecutionAlreadyExists
from stepfold.interpreter import facts
from stepfold.names import read_token
from stepfold.runtime import catalog
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

SEEDS = of_level(500, 2_000, 10_000)


def seeds(share):
    """A share of the level's seeds, beginning where STEPFOLD_FAULTS_SEED says."""
    return range(SEED, SEED + round(SEEDS * share))


def each(share, main, *arguments):
    """Run it once for each seed of a share; which seed it was is told where it goes wrong."""
    for seed in seeds(share):
        try:
            yield seed, seeded.run(seed, main, seed, *arguments)
        except BaseException as error:
            error.add_note(f"seed {seed}: STEPFOLD_FAULTS_SEED={seed} begins there")
            raise


# --- the loop itself --------------------------------------------------------------------------------------------------


async def _order(_seed):
    done = []

    async def one(number):
        for _ in range(3):
            await anyio.sleep(number % 2)
            done.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, number)
    return tuple(done), asyncio.get_running_loop().time()


def test_a_seed_is_an_order_and_time_is_a_number():
    runs = [seeded.run(seed, _order, seed) for seed in range(50)]
    assert runs == [seeded.run(seed, _order, seed) for seed in range(50)]
    assert len({order for order, _ in runs}) > 40
    assert {time for _, time in runs} == {3.0}


def test_the_private_names_of_the_loop_are_as_we_know_them():
    loop = SeededLoop(1)
    try:
        assert hasattr(loop, "_ready")
        assert callable(asyncio.SelectorEventLoop._run_once)
        with pytest.raises(Stuck):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()


# --- laws in any order ------------------------------------------------------------------------------------------------


def test_made_machines_end_alike_in_any_order(figures):
    """(Each seed is an order, and a draw of how long the disk takes.)"""
    whole = list(machines(MACHINES))
    for seed in seeds(0.4):
        one = whole[seed % len(whole)]
        log, _ = seeded.run(seed, _whole, one.made, one.seed)
        if one.alike and summary(log) != summary(one.log):
            raise Broken(f"machine {one.seed} ended otherwise in the order {seed}")
    figures.append(f"faults: {len(seeds(0.4))} orders of {len(whole)} machines, {SEEDS} seeds in all")


async def _told(seed):
    """Callers answer, beat and stop at drawn moments, as the run falls asleep or its commits are on the way."""
    chance, disk = random.Random(seed), Disk(MemoryStore(), seed)
    accepted, stopped = {}, []
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine, anyio.create_task_group() as group:
        sent = {}

        async def tell(token, word):
            await anyio.sleep(chance.random() / 50)
            try:
                if chance.random() < 0.5:
                    await engine.callbacks.beat(token)
                await engine.callbacks.succeed(token, json.dumps(word))
            except CallerError:
                return
            accepted[token] = word

        @engine.work("send")
        async def send(event, context):
            sent[context.token] = len(sent)
            for word in range(2):  # twice, and at once: one of them is refused
                group.start_soon(tell, context.token, word)

        async def stop(handle):
            await anyio.sleep(chance.random() / 20)
            await handle.stop("Enough")
            stopped.append(handle)

        branches = [asks(HeartbeatSeconds=3600) for _ in range(3)]
        handle = await engine.start(await engine.create("told", both(*branches, wait(0))), name="told")
        if seed % 2:
            group.start_soon(stop, handle)
        with anyio.fail_after(10_000), contextlib.suppress(ExecutionStopped):
            await handle.output()
    (events,) = (await invariants.of_store(disk.inner)).values()
    said = [json.loads(bytes(event.fact.output)) for event in events if isinstance(event.fact, facts.TaskSucceeded)]
    assert sorted(said) == sorted(accepted.values())
    return len(accepted), bool(stopped)


def test_whatever_is_accepted_acts():
    found = [one for _, one in each(0.25, _told)]
    assert {3} < {accepted for accepted, _ in found}, "some are answered in full, some are stopped before"
    assert {stopped for _, stopped in found} == {True, False}


async def _raced(seed):
    """Fifty who start one name: with its input, and with another."""
    disk, answers = Disk(MemoryStore(), seed), []
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine:
        machine = await engine.create("raced", wait(10))

        async def start(number):
            try:
                handle = await engine.start(machine, number % 2, name="one")
            except ExecutionAlreadyExists:
                return
            answers.append((number % 2, handle.arn))

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(start, number)
        await engine.execution(answers[0][1]).output()
    assert len(set(answers)) == 1
    assert len(answers) == 25
    assert len(await invariants.of_store(disk.inner)) == 1
    return answers[0][0]


def test_a_name_is_started_once_by_any_number_of_clients():
    assert {winner for _, winner in each(0.05, _raced)} == {0, 1}


async def _failing(seed):
    """A branch fails, and others are at work: they are cut off before the end is told, and what they say is nothing."""
    chance, disk, live = random.Random(seed), Disk(MemoryStore(), seed), set()
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine:

        @engine.work("work")
        async def work(event, context):
            live.add(context.token)
            try:
                await anyio.sleep(chance.random())
                if chance.random() < 0.4:
                    raise ValueError("drawn")
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(chance.random() / 10)  # (it takes its time to go)
                live.discard(context.token)

        branches = [caught(errors=["Other"]), call(), call(), wait(1), call()]
        handle = await engine.start(await engine.create("failing", both(*branches)))
        ended = True
        try:
            await handle.output()
        except ExecutionFailed:
            ended = False
        assert not live, "a handler is at work after the end was told"
    await invariants.of_store(disk.inner)
    return ended


def test_nobody_is_at_work_after_the_end():
    assert {ended for _, ended in each(0.2, _failing)} == {True, False}


async def _cancelled(seed):
    """Callers go away at drawn moments: while they wait for a start, an answer or a stop to be durable."""
    chance, disk, left = random.Random(seed), Disk(MemoryStore(), seed), []
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine:

        async def impatient(number):
            with anyio.move_on_after(chance.random() / 150):
                await engine.start(machine, number, name=f"n{number}")
                return
            left.append(number)

        @engine.work("work")
        async def work(event):
            await anyio.sleep(chance.random() / 100)
            return event

        machine = await engine.create("cancelled", then(call(), both(call(), wait(1))))
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(impatient, number)
        with anyio.fail_after(1_000):
            for run in list(engine.runs.values()):
                await run.ended.wait()
    ends = [type(events[-1].fact) for events in (await invariants.of_store(disk.inner)).values()]
    assert set(ends) <= {facts.ExecutionSucceeded}
    return len(left), len(ends)


def test_who_goes_away_unsays_nothing_and_nothing_is_stuck():
    found = [one for _, one in each(0.2, _cancelled)]
    assert any(left and ends == 6 for left, ends in found), "somebody left, and what was begun has ended"


async def _late(seed):
    """Answers and time-outs of one moment, while another call waits: who comes second is heard by nobody."""
    chance, disk = random.Random(seed), Disk(MemoryStore(), seed)
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine, anyio.create_task_group() as group:

        async def tell(token, until):
            await anyio.sleep((until - engine.clock.now() - 1) / 1000 + chance.random() / 250)
            with contextlib.suppress(CallerError):
                await engine.callbacks.succeed(token, "1")

        @engine.work("send")
        async def send(event, context):
            asked = read_token(context.token)[1]
            run = engine.runs[context.execution]
            seconds = run.execution.asked[asked].waits.timeout
            begun = [event.at async for event in catalog.events(disk.inner, context.execution) if event.seq == asked]
            group.start_soon(tell, context.token, begun[0] + (seconds * 1000 if seconds < 5 else 3_000))

        branches = [_asked_and_caught(seconds) for seconds in (1, 1, 1, 60)]
        await (await engine.start(await engine.create("late", both(*branches)), name="late")).output()
    (events,) = (await invariants.of_store(disk.inner)).values()
    begun = {event.frame: event for event in events if isinstance(event.fact, facts.TaskScheduled)}
    out = [event for event in events if isinstance(event.fact, facts.TaskTimedOut)]
    for event in out:
        asked = begun[event.frame]
        assert event.at - asked.at >= asked.fact.timeout * 1000, "one call's time-out was another's"
    return len(out)


def _asked_and_caught(seconds):
    asked = asks(TimeoutSeconds=seconds)
    (state,) = asked["States"].values()
    state["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": f"Over-{id(asked)}"}]
    asked["States"][f"Over-{id(asked)}"] = {"Type": "Pass", "End": True}
    return asked


def test_what_comes_too_late_is_nobodys():
    found = {out for _, out in each(0.2, _late)}
    assert len(found) > 2, "now the answer is first, now the time-out"


async def _set_together(seed):
    """Waits that begin at once, each for less long than the one before: none of them rings late."""
    memory = MemoryStore()
    async with Engine(memory, clock=LoopClock(), seed=seed) as engine:
        machine = await engine.create("waits", one(Type="Wait", SecondsPath="$"))

        async def start(seconds):
            await (await engine.start(machine, seconds)).output()

        async with anyio.create_task_group() as group:
            for seconds in range(12, 0, -1):
                group.start_soon(start, seconds)
        logs = await invariants.of_store(memory)
    for events in logs.values():
        (begun,) = [event for event in events if isinstance(event.fact, facts.WaitStarted)]
        (rang,) = [event for event in events if isinstance(event.fact, facts.TimerRang)]
        assert 0 <= rang.at - begun.fact.until < 500, "a timer was not looked at when it was set"


def test_a_timer_rings_in_time_whenever_it_was_set():
    assert len(list(each(0.1, _set_together))) >= 50


async def _long(seed):
    """A run of many decisions, none of which waits for anybody outside."""
    disk = Disk(MemoryStore(), seed)
    async with Engine(disk, clock=LoopClock(), seed=seed) as engine:
        handle = await engine.start(await engine.create("long", each_(DONE)), list(range(700)))
        with anyio.fail_after(1_000):
            assert await handle.result() == list(range(700))
    (events,) = (await invariants.of_store(disk.inner)).values()
    return len(events)


def test_a_long_run_is_carried_to_its_end():
    assert min(events for _, events in each(0.02, _long)) > 2_500, "more than a decision may hold"


async def _owned_twice(seed):
    """Two engines over one store, which no lock prevents in memory: the log stays one line."""
    chance, memory, calls = random.Random(seed), MemoryStore(), []
    disks = [Disk(memory, seed), Disk(memory, -seed)]
    engines = [Engine(disk, clock=LoopClock(), seed=seed) for disk in disks]

    async def work(event):
        calls.append(event)
        await anyio.sleep(chance.random() / 20)
        return event

    for engine in engines:
        engine.work("work")(work)
    async with engines[0]:
        machine = await engines[0].create("owned", each_(call(), MaxConcurrency=2))
        handle = await engines[0].start(machine, [1, 2, 3, 4])
        await anyio.sleep(chance.random() / 20)
        async with engines[1]:  # which folds what the other goes on with
            with anyio.fail_after(10_000):
                ends = [await engine.execution(handle.arn).output() for engine in engines]
    assert {bytes(end) for end in ends} == {b"[1,2,3,4]"}
    (events,) = (await invariants.of_store(memory)).values()
    assert max(invariants.answered({"one": events}).values()) == 1
    return len(calls)


def test_two_owners_leave_one_line():
    assert max(calls for _, calls in each(0.1, _owned_twice)) > 4, "some call is made by both: at least once it is made"


async def _cut(seed):
    """Starts, answers and stops on a disk that dies at a drawn commit: what was acknowledged is what is there."""
    chance, disk = random.Random(seed), Disk(MemoryStore(), seed)
    disk.revive(1 + chance.randrange(12), landed=chance.random() < 0.5)
    started, ended = set(), {}

    async def one(engine, machine, number):
        await anyio.sleep(chance.random() / 20)
        handle = await engine.start(machine, number, name=f"n{number}")
        started.add(handle.name)
        ended[handle.name] = await handle.output()

    try:
        async with Engine(disk, clock=LoopClock(), seed=seed) as engine, anyio.create_task_group() as group:

            @engine.work("work")
            async def work(event):
                await anyio.sleep(chance.random() / 20)
                return event

            machine = await engine.create("cut", both(call(), call()))
            for number in range(5):
                group.start_soon(one, engine, machine, number)
    except* StoreClosed:
        pass
    logs = await invariants.of_store(disk.inner)
    assert started <= logs.keys()
    assert all(isinstance(logs[name][-1].fact, facts.ExecutionSucceeded) for name in ended)
    return len(logs) - len(started)


def test_what_was_acknowledged_outlives_a_crash_in_any_order():
    assert max(unheard for _, unheard in each(0.1, _cut)) > 0, "a start may be written, and its caller never told"
