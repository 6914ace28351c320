"""The tally of a map run: its counts, its tolerance; and the law that it is gone on with wherever its log ends."""

import random

import pytest

from stepfold.interpreter import facts
from stepfold.interpreter.ledger import (
    ENTRIES,
    THRESHOLD,
    ChildBegun,
    ChildEnded,
    ChildRedriven,
    Count,
    Ledger,
    RunEnded,
    RunFailing,
    RunRedriven,
    RunStarted,
    SettingsChanged,
    decode,
    encode,
)


def started(length=4, **more):
    return RunStarted("execution", "M", "machine", "hash", "STANDARD", length, 10_000, **more)


def folded(*said):
    ledger = Ledger()
    for at, entry in enumerate(said):
        ledger.apply(at, entry)
    return ledger


def ended(*statuses, length=4, count=1, **more):
    """A run of which one execution after the other ended so."""
    said = [started(length, **more)]
    for child, status in enumerate(statuses):
        said += [ChildBegun(child, child * count, count), ChildEnded(child, status, 3)]
    return folded(*said)


def test_it_counts_executions_and_their_items():
    ledger = folded(
        started(9, batch=2), ChildBegun(0, 0, 2), ChildBegun(1, 2, 2), ChildBegun(2, 4, 2), ChildEnded(1, "SUCCEEDED"),
        ChildEnded(0, "TIMED_OUT"),
    )
    assert ledger.counts == {
        "RUNNING": Count(1, 2), "SUCCEEDED": Count(1, 2), "TIMED_OUT": Count(1, 2),
    }
    assert (ledger.cursor, ledger.children, ledger.pending) == (6, 3, Count(2, 3))
    assert set(ledger.running) == {2}


@pytest.mark.parametrize(
    ("statuses", "more", "exceeded"),
    [
        (["SUCCEEDED"], {}, False),
        (["FAILED"], {}, True),
        (["TIMED_OUT"], {}, True),
        (["ABORTED"], {}, True),
        (["FAILED", "FAILED"], {"tolerated": 2}, False),
        (["FAILED", "FAILED"], {"tolerated": 1}, True),
        (["FAILED"], {"tolerated": 0, "percentage": 100.0}, True),
        (["FAILED"], {"tolerated": 9, "percentage": 0.0}, True),
        (["FAILED"], {"percentage": 25.0}, False),
        (["FAILED"], {"percentage": 24.9}, True),
        (["FAILED"] * 4, {"percentage": 100.0}, False),
        (["FAILED"], {"tolerated": 1, "count": 2, "batch": 2}, True),
    ],
)
def test_the_threshold_is_of_items_and_either_bound_is_enough(statuses, more, exceeded):
    ledger = ended(*statuses, **more)
    assert (ledger.doomed == THRESHOLD) is exceeded
    assert ledger.over is (exceeded or len(statuses) == 4)


def test_a_window_of_executions():
    assert folded(started()).room == 10_000
    ledger = folded(started(concurrency=2), ChildBegun(0, 0))
    assert ledger.room == 1
    ledger.apply(5, SettingsChanged(concurrency=1))
    assert ledger.room == 0
    ledger.apply(5, SettingsChanged(tolerated=3, percentage=50.0))
    assert (ledger.concurrency, ledger.tolerated, ledger.percentage) == (1, 3, 50.0)


def test_a_result_that_is_too_large_is_told_by_its_sizes_alone():
    fits = folded(started(2), ChildBegun(0, 0), ChildEnded(0, "SUCCEEDED", 4_998), ChildBegun(1, 1),
                  ChildEnded(1, "SUCCEEDED", 4_999))
    assert fits.verdict == RunEnded("SUCCEEDED")
    over = folded(started(2), ChildBegun(0, 0), ChildEnded(0, "SUCCEEDED", 4_999), ChildBegun(1, 1),
                  ChildEnded(1, "SUCCEEDED", 4_999))
    assert over.verdict.error == "States.DataLimitExceeded"
    assert over.verdict.cause == (
        "The state/task 'M' returned a result with a size exceeding the maximum number of bytes service limit."
    )


def test_a_redrive_takes_up_what_did_not_succeed_and_can():
    ledger = ended("SUCCEEDED", "FAILED", "ABORTED", tolerated=0)
    ledger.apply(20, RunFailing(*[THRESHOLD.error, THRESHOLD.cause]))
    ledger.apply(20, ledger.verdict)
    assert (ledger.ended, ledger.failure) == ("FAILED", THRESHOLD)
    ledger.apply(30, RunRedriven(1))
    assert (ledger.ended, ledger.doomed, ledger.over) == (None, None, False)
    assert set(ledger.waiting) == {1, 2}
    assert ledger.count("PENDING_REDRIVE") == Count(2, 2)
    ledger.apply(31, ChildRedriven(1))
    assert ledger.running[1].begun == 2
    ledger.apply(32, ChildEnded(1, "FAILED", final=True))
    assert ledger.doomed == THRESHOLD
    ledger.apply(33, ledger.verdict)
    ledger.apply(34, RunRedriven(2))
    assert set(ledger.waiting) == {2}, "what cannot be redriven stays as it ended"
    assert ledger.doomed == THRESHOLD


def test_entries_are_read_as_they_were_written_and_newer_ones_are_left_alone():
    said = [started(tolerated=1, batch=None), ChildBegun(0, 0, 2), ChildRedriven(0), ChildEnded(0, "ABORTED", 5, True),
            SettingsChanged(percentage=2.5), RunFailing("E", "C"), RunEnded("FAILED", "E"), RunRedriven(1)]
    assert {type(entry) for entry in said} == set(ENTRIES)
    assert [entry for _, _, entry in decode(encode(7, 9, said))] == said
    assert [number for number, _, _ in decode(encode(7, 9, said))] == list(range(7, 15))
    with pytest.raises(facts.NewerLog):
        decode(b'[[1,0,{"type":"RunDreamtOf"}]]')


# --- the law ----------------------------------------------------------------------------------------------------------


class World:
    """Executions, which outlive a crash; each comes to what its number and turn say."""

    def __init__(self, seed):
        self.seed, self.ends, self.written = seed, {}, set()

    def begin(self, child, turn):
        assert (child, turn) not in self.written, "an execution whose end is in the log was begun again"

    def end(self, child, turn):
        chance = random.Random(f"{self.seed} {child} {turn}")
        status = chance.choice(["SUCCEEDED"] * 5 + ["FAILED", "TIMED_OUT"])
        return self.ends.setdefault((child, turn), status)


class Driver:
    """Does what the tally says, as a map run does, one entry at a time; `log` is what is on the disk."""

    def __init__(self, seed, world, log):
        self.world, self.log = world, log
        self.chance = random.Random(f"{seed} {len(log)}")
        self.ledger = Ledger()
        for said in log:
            self.ledger.apply(0, said)
        for child, known in self.ledger.running.items():  # begun, or only about to be
            world.begin(child, known.begun)

    def say(self, said):
        self.log.append(said)
        self.ledger.apply(0, said)

    def step(self):
        """One entry more; whether there was anything to do."""
        ledger = self.ledger
        if ledger.ended is not None:
            return False
        if ledger.over:
            self.say(ledger.verdict)
        elif ledger.doomed is not None and ledger.failing is None:
            self.say(RunFailing(ledger.doomed.error, ledger.doomed.cause))
        elif ledger.doomed is not None:
            self.over(min(ledger.running), "ABORTED")
        elif ledger.room and ledger.waiting:
            child = min(ledger.waiting)
            self.say(ChildRedriven(child))
            self.world.begin(child, ledger.running[child].begun)
        elif ledger.room and ledger.unread:
            count = min(self.ledger.children % 3 + 1, ledger.unread)
            self.say(ChildBegun(ledger.children, ledger.cursor, count))
            self.world.begin(ledger.children - 1, 1)
        else:
            child = self.chance.choice(sorted(ledger.running))
            self.over(child, self.world.end(child, ledger.running[child].begun))
        return True

    def over(self, child, status):
        self.world.written.add((child, self.ledger.running[child].begun))
        self.say(ChildEnded(child, status, 2))


def run(seed, *, crashes, redrives=2):
    """A run to its end, over a crash after every entry where `crashes`; its tally, and its executions."""
    world, log = World(seed), [started(20, concurrency=3, tolerated=seed % 3)]
    driver = Driver(seed, world, log)
    while True:
        while driver.step():
            if crashes:
                driver = Driver(seed, world, driver.log)
        if driver.ledger.ended == "SUCCEEDED" or driver.ledger.redrives == redrives:
            return driver.ledger, world
        driver.say(RunRedriven(driver.ledger.redrives + 1))


@pytest.mark.parametrize("seed", range(60))
def test_a_run_cut_after_every_entry_ends_and_begins_nothing_twice(seed):
    for crashes in (False, True):
        ledger, world = run(seed, crashes=crashes)
        assert not ledger.running
        assert sum(count.executions for count in ledger.counts.values()) == ledger.children
        assert sum(count.items for count in ledger.counts.values()) + ledger.unread == 20
        assert (ledger.ended == "SUCCEEDED") is (ledger.doomed is None)
        assert {child for child, _ in world.written} == set(range(ledger.children))


@pytest.mark.parametrize("seed", range(30))
def test_any_beginning_of_a_log_carried_on_comes_to_the_same_end(seed):
    """Where all is tolerated, the order in which executions end makes no difference."""
    world, log = World(seed), [started(12, concurrency=2, percentage=100.0)]
    driver = Driver(seed, world, log)
    while driver.step():
        pass
    assert len({*world.ends.values()}) > 1 or len(world.ends) < 8
    for cut in range(1, len(log)):
        other = World(seed)
        other.written = {(said.child, 1) for said in log[:cut] if isinstance(said, ChildEnded)}
        resumed = Driver(seed + 1, other, list(log[:cut]))
        while resumed.step():
            pass
        assert resumed.ledger.ended == "SUCCEEDED"
        assert other.written == world.written
        assert resumed.ledger.counts == driver.ledger.counts
        assert {child: known.status for child, known in resumed.ledger.bad.items()} == {
            child: known.status for child, known in driver.ledger.bad.items()
        }
