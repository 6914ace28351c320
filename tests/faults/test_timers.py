"""Timers are moments: they outlive a crash, a clock that is set and a year away; they ring once, and never early."""

import anyio
import pytest
from tests.faults import invariants, seeded
from tests.faults.living import Disk
from tests.faults.seeded import START, LoopClock
from tests.runtime.world import YEAR, call, then, wait

from stepfold import Engine
from stepfold.interpreter import facts
from stepfold_store.memory import MemoryStore

CUT = 10_000
HOUR, DAY = 3_600_000, 86_400_000
RETRIED = call("flaky", Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "JitterStrategy": "FULL"}])
LIMITED = {**then(wait(YEAR), call("flaky")), "TimeoutSeconds": 600}


class Disturbed(LoopClock):
    """A wall clock that somebody sets, while the time itself goes on."""

    def set(self, milliseconds):
        self.ahead += milliseconds


async def _rang(definition, away, jumps=()):
    """A machine with a timer, cut ten seconds after it was set and away for so long: its moment, and when it rang."""
    disk, clock = Disk(MemoryStore(), 1), Disturbed()
    for life in range(2):
        async with Engine(disk, clock=clock, seed=1) as engine, anyio.create_task_group() as group:

            @engine.work("flaky")
            async def flaky(event, life=life):
                if not life:
                    raise ValueError("not yet")
                return event

            handle = await engine.start(await engine.create("timed", definition), 1, name="one")
            for after, jump in jumps if life else ():
                group.start_soon(_disturb, clock, after, jump)
            with anyio.move_on_after(2 * YEAR if life else CUT / 1000):
                await engine.runs[handle.arn].ended.wait()
            group.cancel_scope.cancel()
            disk.dead = not life
        disk.revive()
        clock.set(0 if life else away)
    (events,) = (await invariants.of_store(disk.inner)).values()
    (rang,) = (event for event in events if isinstance(event.fact, (facts.TimerRang, facts.ExecutionTimedOut)))
    set_for = (event.fact for event in events if isinstance(event.fact, (facts.RetryScheduled, facts.WaitStarted)))
    return next(set_for).until, rang.at


async def _disturb(clock, after, jump):
    await anyio.sleep(after)
    clock.set(jump)


@pytest.mark.parametrize("away", [0, 1_000, DAY, 300 * DAY])
@pytest.mark.parametrize("definition", [wait(600), RETRIED], ids=["wait", "retry"])
def test_a_timer_outlives_a_crash(definition, away):
    due, at = seeded.run(1, _rang, definition, away)
    moment = max(due, START + CUT + away)
    assert moment <= at <= moment + 100


def test_the_limit_of_a_machine_outlives_a_crash():
    _, at = seeded.run(1, _rang, LIMITED, 589_000)
    assert START + 600_000 <= at <= START + 600_100


@pytest.mark.parametrize(("jump", "late"), [(-HOUR, 0), (10 * DAY, HOUR), (-10 * DAY, 0), (300_000, 300_000)])
def test_a_clock_that_is_set_rings_nothing_early(jump, late):
    """Late by no more than the hour after which a timer looks at the clock again."""
    due, at = seeded.run(1, _rang, wait(20_000), 0, [(10, jump)])
    assert due <= at <= max(due, START + 20_000 + jump) + late + 100


def test_a_wait_of_a_year_is_as_long_as_it_says():
    due, at = seeded.run(1, _rang, wait(YEAR), 300 * DAY)
    assert due == START + YEAR * 1000
    assert due <= at <= due + 100
