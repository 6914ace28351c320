"""The heap of timers: in order, once, and gone when they are cancelled."""

import anyio
import pytest
from tests.runtime.world import let_go_on

from stepfold import ManualClock
from stepfold.runtime.timers import SWEEP, Timers

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(clock):
    timers = Timers(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(timers.keep)
        await let_go_on()
        yield timers
        group.cancel_scope.cancel()


async def test_they_ring_in_the_order_of_their_moments(kept, clock):
    rung = []
    now = clock.now()
    for late in (3, 1, 2, 1):
        kept.at(now + late * 1000, lambda late=late: rung.append(late))
    kept.at(now - 5, lambda: rung.append("at once"))
    await let_go_on()
    assert rung == ["at once"]
    for _ in range(3):
        clock.advance(1)
        await let_go_on()
    assert rung == ["at once", 1, 1, 2, 3]
    clock.advance(1000)
    await let_go_on()
    assert len(rung) == 5, "each rings once"
    assert not len(kept)


async def test_an_earlier_one_is_not_late_because_a_later_one_was_there(kept, clock):
    rung = []
    kept.at(clock.now() + 60_000, lambda: rung.append("later"))
    await let_go_on()
    kept.at(clock.now() + 1_000, lambda: rung.append("earlier"))
    clock.advance(1)
    await let_go_on()
    assert rung == ["earlier"]


async def test_a_cancelled_one_does_not_ring(kept, clock):
    rung = []
    alarms = [kept.at(clock.now() + 1_000, lambda number=number: rung.append(number)) for number in range(3)]
    alarms[1].cancel()
    alarms[1].cancel()
    assert len(kept) == 2
    clock.advance(1)
    await let_go_on()
    assert rung == [0, 2]
    assert not len(kept)
    alarms[0].cancel()  # it has rung: nothing happens
    assert not len(kept)


async def test_one_may_cancel_another_that_is_due_with_it(kept, clock):
    rung = []
    alarms = []

    def first():
        rung.append("first")
        alarms[0].cancel()

    kept.at(clock.now() + 1_000, first)
    alarms.append(kept.at(clock.now() + 1_000, lambda: rung.append("second")))
    clock.advance(1)
    await let_go_on()
    assert rung == ["first"]
    assert not len(kept)


async def test_one_may_set_another(kept, clock):
    rung = []
    kept.at(clock.now() + 1_000, lambda: kept.at(clock.now(), lambda: rung.append(clock.now())))
    clock.advance(1)
    await let_go_on()
    assert rung == [clock.now()]


async def test_thousands_cancelled_leave_the_heap(kept, clock):
    rung = []
    stays = clock.now() + 1_000
    kept.at(stays, lambda: rung.append(1))
    for _ in range(20):
        for alarm in [kept.at(stays + number, lambda: rung.append(2)) for number in range(SWEEP)]:
            alarm.cancel()
    assert len(kept) == 1
    assert len(kept._heap) <= 2 * SWEEP + 2
    clock.advance(10_000)
    await let_go_on()
    assert rung == [1]
    assert not len(kept)


async def test_a_clock_that_goes_back_rings_nothing_twice(clock):
    clock = ManualClock(100_000)
    timers = Timers(clock)
    rung = []
    async with anyio.create_task_group() as group:
        group.start_soon(timers.keep)
        timers.at(101_000, lambda: rung.append("first"))
        timers.at(200_000, lambda: rung.append("second"))
        clock.advance(1)
        await let_go_on()
        clock.advance(-90)
        clock.advance(90)
        await let_go_on()
        assert rung == ["first"]
        group.cancel_scope.cancel()
