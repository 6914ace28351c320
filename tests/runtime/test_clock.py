"""The clocks: the system's, one moved by hand, and one that jumps when all is idle."""

from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.runtime.world import YEAR, both, call, each, let_go_on, until, wait

from stepfold import Engine, ManualClock
from stepfold.runtime.clock import Chance, SystemClock

pytestmark = pytest.mark.anyio


async def waits(clock, when, changed=None):
    """Begin a wait; what is returned is set when it is over."""
    over = anyio.Event()

    async def wait():
        await clock.wait(when, changed or anyio.Event())
        over.set()

    return over, wait


async def test_a_clock_moved_by_hand_wakes_whoever_it_has_reached():
    clock = ManualClock(1_000)
    async with anyio.create_task_group() as group:
        changed = anyio.Event()
        early, first = await waits(clock, 2_000)
        late, second = await waits(clock, 3_000)
        never, third = await waits(clock, None)
        told, fourth = await waits(clock, 9_000, changed)
        for wait in (first, second, third, fourth):
            group.start_soon(wait)
        await let_go_on()
        clock.advance(0.999)
        await let_go_on()
        assert not early.is_set()
        clock.advance(0.001)
        await early.wait()
        await let_go_on()
        assert not late.is_set()
        changed.set()
        await told.wait()
        clock.advance(100)
        await late.wait()
        await let_go_on()
        assert not never.is_set()
        group.cancel_scope.cancel()
    assert clock.now() == 102_000


async def test_a_moment_that_has_passed_is_not_waited_for():
    clock = ManualClock(1_000)
    with anyio.fail_after(1):
        await clock.wait(1_000, anyio.Event())
        await SystemClock().wait(0, anyio.Event())


async def test_the_clock_jumps_only_when_all_is_idle():
    clock = ManualClock(1_000, jumps=True)
    busy = True
    looked = 0

    def idle():
        nonlocal looked
        looked += 1
        return not busy

    clock.idle = idle
    async with anyio.create_task_group() as group:
        over, wait = await waits(clock, 60_000)
        group.start_soon(wait)
        await let_go_on(500)
        assert clock.now() == 1_000
        assert looked < 5, "it is told when to look again, and does not ask for ever"
        busy = False
        clock.look()
        await over.wait()
        assert clock.now() == 60_000


async def test_the_jumping_clock_does_not_jump_past_a_change():
    clock = ManualClock(1_000, jumps=True)
    changed = anyio.Event()
    async with anyio.create_task_group() as group:
        over, wait = await waits(clock, 60_000, changed)
        group.start_soon(wait)
        changed.set()
        await over.wait()
    assert clock.now() == 1_000


async def test_the_systems_clock_waits_for_the_moment_or_the_change():
    clock = SystemClock()
    with anyio.fail_after(5):
        begun = clock.now()
        await clock.wait(begun + 20, anyio.Event())
        assert clock.now() >= begun + 20
        changed = anyio.Event()
        changed.set()
        await clock.wait(begun + 3_600_000, changed)
        await clock.wait(None, changed)


def test_chance_of_two_kinds():
    drawn = [Chance(7, secret=bytes).moment(1) for _ in range(2)]
    assert drawn[0].random() == drawn[1].random()
    assert drawn[0].secret(3) == b"\0\0\0"
    assert Chance().moment(1).secret(16) != Chance().moment(1).secret(16)


# --- in an engine -----------------------------------------------------------------------------------------------------


async def test_a_years_wait_takes_no_time(jumping_clock):
    begun = jumping_clock.now()
    with anyio.fail_after(2):
        async with Engine(clock=jumping_clock) as engine:
            handle = await engine.start(await engine.create("machine", wait(YEAR)), "patience")
            assert await handle.result() == "patience"
    assert jumping_clock.now() == begun + YEAR * 1000


async def test_a_year_of_retries_takes_no_time(jumping_clock):
    engine = Engine(clock=jumping_clock)
    times = []

    @engine.work()
    async def work(event):
        times.append(jumping_clock.now())
        if len(times) < 6:
            raise ValueError("not yet")
        return "at last"

    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 86_400, "BackoffRate": 3, "MaxAttempts": 9}]
    async with engine:
        handle = await engine.start(await engine.create("machine", call(Retry=retry)))
        assert await handle.result() == "at last"
    days = [(after - before) // 86_400_000 for before, after in pairwise(times)]
    assert days == [1, 3, 9, 27, 81]


async def test_ten_thousand_items_wait_together(jumping_clock):
    """Two caps, not one window: an item that waits holds no call."""
    begun = jumping_clock.now()
    async with Engine(clock=jumping_clock) as engine:
        machine = await engine.create("machine", each(wait(1)))
        handle = await engine.start(machine, list(range(10_000)))
        assert await handle.result() == list(range(10_000))
    assert jumping_clock.now() == begun + 1_000


async def test_time_stands_still_while_work_is_done(jumping_clock):
    engine = Engine(clock=jumping_clock)
    told = []

    @engine.work()
    async def work(event):
        for _ in range(200):
            await checkpoint()
        told.append(jumping_clock.now())
        return event

    begun = jumping_clock.now()
    async with engine:
        machine = await engine.create("machine", both(call(TimeoutSeconds=5), wait(60)))
        assert await (await engine.start(machine, 1)).result() == [1, 1]
    assert told == [begun]


async def test_the_machines_own_time_is_over(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", {**wait(YEAR), "TimeoutSeconds": 90})
        handle = await engine.start(machine)
        clock.advance(89)
        await let_go_on()
        assert (await handle.describe()).status == "RUNNING"
        clock.advance(1)
        await until(lambda: not engine.runs)
        described = await handle.describe()
        assert (described.status, described.error, described.cause) == ("TIMED_OUT", "States.Timeout", None)
        assert described.stopped - described.started == 90_000
        assert not len(engine.timers), "the year's alarm is gone with it"
