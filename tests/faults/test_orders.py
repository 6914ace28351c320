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
from tests.runtime.world import asks, both, call, caught, wait

from stepfold import Engine
from stepfold.errors import CallerError, ExecutionAlreadyExists
from stepfold.interpreter import facts
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
