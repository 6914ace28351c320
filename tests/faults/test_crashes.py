"""A crash at every append, before and after it reached the disk, and again while resuming: it ends as if never cut.

Forty made machines, in both query languages, each in a real engine. Where the order of answers cannot matter, the end,
the states visited and what every call came to are those of the run that was never cut; in any case the log is lawful,
what was in it stays, no call is made before its schedule is durable, and none has two outcomes.
"""

import json
from itertools import count
from typing import NamedTuple

import pytest
from tests.faults import invariants, seeded
from tests.faults.levels import of_level
from tests.faults.living import NAME, Disk, World, live
from tests.laws.checks import Broken, summary
from tests.laws.machines import make
from tests.laws.machines import seeded as drawn
from tests.laws.resuming import confluent

from stepfold_store.memory import MemoryStore

MACHINES = of_level(40, 80, 400)
ALIKE = 3, 5
"""So many of so many machines are such that a crash may not change the end."""
MOST = of_level(100, 300)
"""Events of a machine's log."""


class Whole(NamedTuple):
    """A machine, and the run of it that is never cut."""

    seed: int
    made: object
    log: list
    commits: int
    alike: bool


class Tally:
    crashes = again = alike = machines = 0


async def _whole(made, seed):
    disk = Disk(MemoryStore(), seed)
    if not await live(World(made, disk), disk, seed):
        raise Broken("an execution did not end")
    logs = await invariants.of_store(disk.inner)
    return logs[NAME], disk.commits


def machines(many):
    """So many machines, with what they come to; of those whose end may not change enough."""
    found, others = 0, 0
    for seed in count():
        made = make(drawn(seed))
        if found + others == many:
            return
        if "DISTRIBUTED" in json.dumps(made.definition):  # (their items are executions of their own)
            continue
        log, commits = seeded.run(seed, _whole, made, seed)
        alike = confluent(made, log)
        if commits < 3 or len(log) > MOST or (not alike and others >= many * (1 - ALIKE[0] / ALIKE[1])):
            continue
        found, others = found + alike, others + (not alike)
        yield Whole(seed, made, log, commits, alike)


async def crashed(whole, deaths):
    """A run that dies at each of these commits, one life after the other; its log, and who was called."""
    disk = Disk(MemoryStore(), whole.seed)
    world = World(whole.made, disk)
    before = {}
    for dies, landed in deaths:
        disk.revive(dies, landed=landed)
        ended = await live(world, disk, whole.seed)
        before = await _looked_at(disk, world, before)
        if ended:
            break
    disk.revive()
    if not await live(world, disk, whole.seed):
        raise Broken("an execution did not end")
    return (await _looked_at(disk, world, before))[NAME]


async def _looked_at(disk, world, before):
    logs = await invariants.of_store(disk.inner)
    invariants.is_beginning(before, logs)
    if not world.called.keys() <= invariants.scheduled(logs):
        raise Broken("a call was made whose schedule is not in the log")
    if not world.accepted <= invariants.answered(logs).keys():
        raise Broken("an answer was accepted that is not in the log")
    return logs


def check(whole, deaths):
    log = seeded.run(whole.seed, crashed, whole, deaths)
    if whole.alike and (summary(log), invariants.results(log)) != (summary(whole.log), invariants.results(whole.log)):
        raise Broken(f"it ended otherwise: {summary(log)}, not {summary(whole.log)}")


def check_every_crash(whole, tally):
    tally.machines += 1
    tally.alike += whole.alike
    for dies in range(1, whole.commits + 1):
        for landed in (False, True):
            tally.crashes += 1
            check(whole, [(dies, landed)])
        if dies % 2:
            tally.again += 2  # (a third death in a row without progress would set it aside)
            check(whole, [(dies, False), (1, True), (2, False)])


def test_a_crash_at_any_append_changes_nothing(figures):
    tally = Tally()
    for whole in machines(MACHINES):
        try:
            check_every_crash(whole, tally)
        except Broken as broken:
            raise AssertionError(f"machine {whole.seed}: {broken}\n{whole.made!r}") from broken
    figures.append(f"faults: {tally.machines} machines ({tally.alike} that end alike), {tally.crashes} crashes at an "
                   f"append, {tally.again} more while resuming")
    assert tally.machines == MACHINES


@pytest.mark.parametrize("deaths", [[(1, False)], [(1, True)], [(1, False), (1, True)]])
def test_a_start_that_was_never_acknowledged_may_be_repeated(deaths):
    whole = next(iter(machines(1)))
    check(whole, deaths)
