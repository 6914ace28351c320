"""Copies and ages of a store: a backup taken while an engine is busy, stores of each release and of a later one."""

import lzma
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from tests.faults import invariants
from tests.faults.levels import of_level
from tests.laws.checks import summary
from tests.runtime.world import call, each

from stepfold import Engine
from stepfold_store import StoreError, open_store, sqlite_file

pytestmark = pytest.mark.anyio
GOLDEN = Path(__file__).with_name("stores")
"""A store of each release, packed by `lzma`: executions that have ended, and some that wait to go on."""
BACKUPS = of_level(6, 20, 100)
ITEMS = list(range(40))
MACHINE = each(call(), MaxConcurrency=4)


def engine_over(path):
    engine = Engine(path, seed=1)

    @engine.work("work")
    async def work(event):
        await anyio.sleep(0.001)
        return event

    return engine


async def backed_up(folder, number):
    """A store that is copied while executions are under way in it; the copy is carried to its end."""
    copy, started = folder / f"copy-{number}.db", []
    async with engine_over(folder / f"store-{number}.db") as engine:
        machine = await engine.create("copied", MACHINE)
        for name in ("one", "two", "three"):
            started += [await engine.start(machine, ITEMS, name=name)]
        await anyio.sleep(number / 200)
        await engine.store.backup(str(copy))
        for handle in started:
            assert await handle.result() == ITEMS
    before, whole = invariants.of_file(copy), invariants.of_file(folder / f"store-{number}.db")
    assert before.keys() == {"one", "two", "three"}, "all three had begun when the copy was made"
    invariants.is_beginning(before, whole)
    async with engine_over(copy) as engine:
        for handle in started:
            assert await engine.execution(handle.arn).result() == ITEMS
    after = invariants.of_file(copy)
    invariants.is_beginning(before, after)
    return sum(len(events) for events in whole.values()) - sum(len(events) for events in before.values())


async def test_a_backup_of_a_busy_store_goes_on_as_the_store_would(tmp_path):
    assert max([await backed_up(tmp_path, number) for number in range(BACKUPS)]) > 0, "some were copied in the middle"


async def refused(path, version):
    """A store whose format is of a later release, at every way in."""
    async with engine_over(path) as engine:
        await (await engine.start(await engine.create("copied", MACHINE), [1])).result()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"format {version}.*newer release"):
        await open_store(path)
    assert path.read_bytes() == before, "what is refused is left alone"


async def test_a_store_of_a_later_release_is_refused_and_left_alone(tmp_path):
    await refused(tmp_path / "store.db", sqlite_file.FORMAT + 1)


@pytest.mark.parametrize("release", sorted(path.stem for path in GOLDEN.iterdir()))
async def test_a_store_of_each_release_opens_and_goes_on(release, tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(lzma.decompress((GOLDEN / f"{release}.xz").read_bytes()))
    before = invariants.of_file(path)
    ends = {name: summary(events).status for name, events in before.items()}
    assert ends == {"ended": "SUCCEEDED", "failed": "FAILED", "under-way": "RUNNING"}
    async with engine_over(path) as engine:
        assert await (await engine.find("under-way")).result() == ITEMS[:3]
        await engine.redrive("failed")
        assert await (await engine.find("failed")).result() == ITEMS[:3]
    invariants.is_beginning(before, invariants.of_file(path))


@pytest.mark.parametrize("release", sorted(path.stem for path in GOLDEN.iterdir()))
async def test_a_store_that_was_opened_can_be_opened_by_the_release_that_made_it(release, tmp_path):
    """What this release adds is beside what there was: nothing of that is changed, and the format is the same."""
    path = tmp_path / "store.db"
    path.write_bytes(lzma.decompress((GOLDEN / f"{release}.xz").read_bytes()))
    before = made_of(path)
    async with engine_over(path):
        pass
    after = made_of(path)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() <= {"table snapshot"}


def made_of(path):
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return {"format": version, **dict(db.execute("SELECT type || ' ' || name, sql FROM sqlite_master"))}


async def write_golden(path):
    """A store of this release (done once for each, and kept)."""
    engine = Engine(path, seed=1)
    failing, hold = set(), anyio.Event()

    @engine.work("work")
    async def work(event, context):
        name = context.execution.rpartition(":")[2]
        if name == "failed" and event == 1 and not failing:
            failing.add(name)
            raise ValueError("once")
        if name == "under-way" and event == 1:
            hold.set()
            await anyio.sleep_forever()
        return event

    async with engine:
        machine = await engine.create("copied", each(call(), MaxConcurrency=1))
        for name in ("ended", "failed"):
            with suppress(Exception):
                await (await engine.start(machine, ITEMS[:3], name=name)).result()
        await engine.start(machine, ITEMS[:3], name="under-way")
        await hold.wait()


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(write_golden, Path(folder) / "store.db")
        (GOLDEN / f"{sys.argv[1]}.xz").write_bytes(lzma.compress((Path(folder) / "store.db").read_bytes()))
