"""Snapshots under faults: every crash resumed from one, commits that fail under them, bits flipped in them.

A snapshot goes with every decision here. Whatever becomes of one, an execution is what its log says, and ends as if it
had never been cut.
"""

import random
import sqlite3
from contextlib import closing, suppress
from itertools import count

import anyio
import pytest
from tests.faults import invariants, test_crashes
from tests.faults.levels import SEED, of_level
from tests.laws.test_snapshots import portrait
from tests.runtime.world import asks, both, call, each, until

from stepfold import Engine
from stepfold.interpreter import snapshots
from stepfold.interpreter.execution import Execution
from stepfold.runtime.runs import folding
from stepfold_store import StoreClosed, StoreError, open_reader, open_store

MACHINES = of_level(20, 40, 200)
FLIPS = of_level(150, 1_000, 10_000)
NAMES = "one", "two"
ITEMS = list(range(6))


@pytest.fixture(autouse=True)
def always(monkeypatch):
    with_every_decision(monkeypatch.setattr)


def with_every_decision(patch):
    patch(folding, "EVENTS", 1)
    patch(folding, "TIMES", 0)


def test_a_crash_at_any_append_is_resumed_from_a_snapshot(figures, monkeypatch):
    restored, tally, used = snapshots.restored, test_crashes.Tally(), []
    monkeypatch.setattr(snapshots, "restored", lambda text: used.append(len(text)) or restored(text))
    for whole in test_crashes.machines(MACHINES):
        test_crashes.check_every_crash(whole, tally)
    figures.append(f"faults: {tally.crashes + tally.again} crashes of {tally.machines} machines, {len(used)} of their "
                   f"resumes from a snapshot, of {sum(used) // len(used):,} bytes")
    assert len(used) > tally.crashes


# --- a commit that fails ----------------------------------------------------------------------------------------------


class Failing:
    """The writing connection; its commit number `at` fails."""

    def __init__(self, db, at):
        self.db, self.left = db, at

    def execute(self, statement, *arguments):
        self.left -= statement == "COMMIT"
        if statement == "COMMIT" and self.left == 0:
            raise sqlite3.OperationalError("the disk is gone")
        return self.db.execute(statement, *arguments)

    def __getattr__(self, name):
        return getattr(self.db, name)


async def cut_off(path, at):
    """An engine whose disk fails at that commit; whether it came to it."""
    store = await open_store(path)
    failing = store._writer.db = Failing(store._writer.db, at)
    with suppress(StoreClosed, ExceptionGroup):
        async with engine_over(store) as engine:
            machine = await engine.create("kept", each(call(), MaxConcurrency=2))
            handle = await engine.start(machine, ITEMS * 3, name="one")
            await handle.output()
    await store.close()
    return failing.left <= 0


def kept_in(path):
    """Of each snapshot the event that it goes up to, and the last of its log (0: there is none)."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT version, coalesce(max(last), 0) FROM snapshot "
                          "LEFT JOIN log ON log.stream = snapshot.stream GROUP BY snapshot.stream").fetchall()


def commits_that_fail(folder):
    """Each commit of a run fails once; one after the other."""
    for at in count(1):
        path = folder / f"store-{at}.db"
        if not anyio.run(cut_off, path, at):
            return
        kept = kept_in(path)
        assert all(version <= last for version, last in kept), f"commit {at}: a snapshot is ahead of its log"
        yield len(kept)


def test_a_snapshot_is_never_ahead_of_its_events(tmp_path):
    found = list(commits_that_fail(tmp_path))
    assert len(found) > 5  # (the thread may find two decisions waiting, and write them as one)
    assert sum(found) > 3


# --- damage -----------------------------------------------------------------------------------------------------------


def engine_over(store):
    engine = Engine(store, seed=1)
    engine.work("work")(lambda event: {"did": [event] * 40})
    engine.work("send")(lambda _: None)
    return engine


async def filled(path):
    """A store with executions that wait, and a snapshot of each; the logs."""
    async with engine_over(path) as engine:
        machine = await engine.create("kept", both(each(call()), asks()))
        for name in NAMES:
            await engine.start(machine, ITEMS, name=name)
        await until(lambda: not engine._busy)
    return invariants.of_file(path)


async def folded(path):
    """What a resume would go on with, by name; None where it would set aside."""
    found = {}
    reader = await open_reader(path)
    try:
        for name in NAMES:
            found[name] = None
            with suppress(StoreError):
                arn = f"arn:aws:states:us-east-1:123456789012:execution:kept:{name}"
                found[name], _ = await folding.fold(reader, arn)
    finally:
        await reader.close()
    return found


def places(path):
    """Bytes of the file: one in two is of a snapshot, the others are of anything."""
    chance, data = random.Random(SEED), path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        bodies = [body for (body,) in db.execute("SELECT body FROM snapshot")]
    used = [place for place, byte in enumerate(data) if byte]
    for turn in range(FLIPS):
        body = chance.choice(bodies)
        start = chance.randrange(len(body) - 24)
        found = data.rfind(body[start : start + 24])  # (none where it goes over the end of a page)
        yield chance.choice(used) if turn % 2 or found < 0 else found + chance.randrange(24)


async def flipped(folder, tell=lambda _: None):
    """One bit after the other is flipped in a store; whatever can still be folded is what its log said."""
    source, path = folder / "store.db", folder / "flipped.db"
    logs = await filled(source)
    truths = {name: [portrait(Execution.fold(log[:version])) for version in range(1, len(log) + 1)]
              for name, log in logs.items()}
    for place in places(source):
        data = bytearray(source.read_bytes())
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            found = await folded(path)
        except StoreError:
            found = dict.fromkeys(NAMES)
        for name, execution in found.items():
            if execution is not None:
                assert portrait(execution) == truths[name][execution.version - 1], f"byte {place}: {name}"
        tell(sum(1 for execution in found.values() if execution is not None))
        for part in folder.glob("flipped.db*"):
            part.unlink()


@pytest.mark.anyio
async def test_no_execution_is_folded_otherwise_than_its_log_was_written(tmp_path, figures):
    whole = []
    await flipped(tmp_path, whole.append)
    figures.append(f"faults: {len(whole)} bits flipped in a store with snapshots: {whole.count(2)} times both "
                   "executions could be folded, and as they were written")
    assert whole.count(2) > FLIPS / 4
