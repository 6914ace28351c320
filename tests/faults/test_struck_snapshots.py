"""A real engine process that leaves a snapshot with every decision, struck at every write and every sync of its store.

After each: a snapshot goes up to the last event of its log, whatever the disk kept, and what a resume begins from is
what the log comes to. Then all is carried to its end twice, from the snapshots and after `doctor --drop-snapshots`, and
both ends are those of a life that was never struck.
"""

import random
import signal
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing

import anyio
import pytest
from tests.faults import invariants, lives
from tests.faults.levels import SEED, of_level
from tests.faults.test_injected import CALLS, FAULTS, calls_of, sweep
from tests.faults.victim import PLAN
from tests.laws.checks import Broken, summary
from tests.laws.test_snapshots import portrait

from stepfold.interpreter.execution import Execution
from stepfold.runtime.recovery.doctor import drop_snapshots, examine
from stepfold.runtime.runs import folding
from stepfold_store import open_reader

OFTEN = {"names": (*PLAN, "large"), "pace": 1}
"""A snapshot with every decision; one of them goes over several pages."""
SPILLING = {"checkpoint": 20, "cache": 1}
"""With so small a cache most commits write pages ahead of their end, as one with a large snapshot does."""
WAYS = {
    "anew, spilling": (SPILLING, False),
    "midway, spilling": (SPILLING, True),
    "anew": ({}, False),
}
"""How a victim writes, and whether it goes on with the snapshots of one that was killed midway."""
MOST = of_level(4, 20, 100_000)
"""So many of the calls are tried, for each fault and way."""
_SNAPSHOTS = """
SELECT snapshot.stream, snapshot.version, coalesce(max(log.last), 0) FROM snapshot
LEFT JOIN log ON log.stream = snapshot.stream GROUP BY snapshot.stream
"""


def kept_in(path):
    """Of each snapshot the event that it goes up to, and the last of its log (0: there is none)."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(invariants.copied(path, folder))) as db:
        there = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'snapshot'").fetchone()[0]
        return [versions for _, *versions in db.execute(_SNAPSHOTS)] if there else []


async def begun_from(path, logs):
    """How many of the executions that go on a resume begins from a snapshot, and not from the first event."""
    reader, found = await open_reader(path), 0
    try:
        for events in logs.values():
            whole = Execution.fold(events)
            if whole.status == "RUNNING":
                execution, pace = await folding.fold(reader, events[0].fact.arn)
                if portrait(execution) != portrait(whole):
                    raise Broken(f"{execution.started.name}: a resume would begin from what its log does not say")
                found += pace.events < whole.version
    finally:
        await reader.close()
    return found


class Resumed:
    """What is looked at after a strike, and how many snapshots each left."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.left = []

    def __call__(self, nursery, folder, before, *, pace, **how):
        path = folder / "store.db"
        kept = kept_in(path) if path.exists() else []
        for version, last in kept:
            if version != last:
                raise Broken(f"a snapshot goes up to event {version}, and its log to {last}")
        open_ = sum(summary(events).status == "RUNNING" for events in before.values())
        if len(kept) != open_:
            raise Broken(f"{open_} executions go on, and {len(kept)} of them have a snapshot")
        self.left.append(len(kept))
        twin = folder.with_name(folder.name + ".twin")
        lives.twin(folder, twin)
        if kept:
            anyio.run(self._told, twin / "store.db", before, len(kept))
        lives.to_the_end(nursery, folder, before, pace=pace, **how)
        lives.to_the_end(nursery, twin, before, **how)
        self.ends_alike(folder)
        self.ends_alike(twin)

    @staticmethod
    async def _told(path, before, many):
        """What the doctor says of them, what a resume begins from; then the doctor drops them."""
        examined = await examine(str(path))
        if not examined.sound or (examined.snapshots, examined.useless) != (many, []):
            raise Broken(f"the doctor finds {examined}")
        if await begun_from(path, before) != many:
            raise Broken("a resume does not begin from a snapshot that is there")
        if await drop_snapshots(str(path)) != many or kept_in(path):
            raise Broken("the doctor did not drop them all")

    def ends_alike(self, folder):
        for name, end in ends_in(folder).items():
            if end != self.oracle[name]:
                raise Broken(f"{folder.name}: {name} ended otherwise: {end}, not {self.oracle[name]}")


def ends_in(folder):
    logs = invariants.of_file(folder / "store.db")
    return {name: (summary(events), invariants.results(events)) for name, events in logs.items()}


def points_of(counts):
    """Every call, or as many as the level has, evenly spread."""
    points = [(call, when) for call in CALLS for when in range(1, counts[call] + 1)]
    step = -(-len(points) // MOST)
    return points[random.Random(SEED).randrange(step) :: step]


def midway(nurseries, folder, counts, way):
    """A victim that was killed after a third of its writes, with executions in the midst of their work."""
    nursery, begun = nurseries.get(), folder / "begun"
    begun.mkdir()
    try:
        kill = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:{FAULTS['kill']}:when={counts['pwrite64'] // 3}"]
        assert nursery.live(begun, trace=kill, **OFTEN, **way) == -signal.SIGKILL
    finally:
        nurseries.put(nursery)
    assert kept_in(begun / "store.db")
    return {"begun": begun, "life": 1}


@pytest.mark.parametrize("way", of_level(["anew, spilling"], ["anew, spilling", "midway, spilling"], WAYS))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_resume_after_any_strike_is_as_without_snapshots(fault, way, nurseries, tmp_path, figures):
    how, goes_on = {**OFTEN, **WAYS[way][0]}, WAYS[way][1]
    counts = calls_of(nurseries, tmp_path / "whole", **how)
    resumed = Resumed(ends_in(tmp_path / "whole" / "counted"))
    if goes_on:
        how |= midway(nurseries, tmp_path, counts, WAYS[way][0])
        counts = calls_of(nurseries, tmp_path, **how)
    ended = Counter(sweep(nurseries, tmp_path, fault, points_of(counts), then=resumed, **how))
    assert any(resumed.left)
    figures.append(f"faults: {fault} at {ended.total()} calls of an engine that leaves snapshots ({way}), exit codes "
                   + ", ".join(f"{code}: {many}" for code, many in sorted(ended.items()))
                   + f"; {sum(map(bool, resumed.left))} times there were some")
