"""The catalog, whose entries carry no checksum: what is flipped in one is found by what it must agree with.

And whatever stands in one entry, the store opens and the others go on.
"""

import lzma
import random
import sqlite3
from collections import Counter
from contextlib import closing

import anyio
import anyio.lowlevel
import pytest
from tests.faults.levels import SEED, of_level
from tests.faults.test_copies import GOLDEN
from tests.runtime.test_maprun import distributed
from tests.runtime.world import DONE, wait

from stepfold import Engine, ExecutionFailed
from stepfold.runtime import catalog
from stepfold.runtime.clock import SystemClock
from stepfold.runtime.mapruns import tallies
from stepfold.runtime.recovery import claims, quarantine
from stepfold.runtime.recovery.doctor import examine

pytestmark = pytest.mark.anyio
BUSY = of_level(10, 50, 500)
FLIPS = of_level(80, 500, 20_000)
WITH_LOGS = catalog.EXECUTION, tallies.MAP_RUN
SAID = "parent", "status", "started", "ended", "data"
NONSENSE = of_level((b'{"na', 5), (b'{"na', 5, b"\xff\xfe", b"[]"))


class Ticking(SystemClock):
    """No two looks at it tell one time."""

    told = 0

    def now(self):
        self.told = max(super().now(), self.told + 1)
        return self.told


async def filled(path):
    """A store with an entry of every kind, of what has ended and of what has not."""
    async with Engine(path, seed=1, clock=Ticking()) as engine:

        @engine.work("work")
        async def work(event):
            return event

        waits = await engine.create("waits", wait(10**6))
        await engine.registry.update(waits.arn, {"role": "arn:aws:iam::123456789012:role/x"}, publish=True)
        await engine.registry.aliases.create("live", [(f"{waits.arn}:1", 100)], None)
        await engine.store.put([catalog.activity_entry(engine.home.activity("sent"), catalog.ActivityRow("sent"), 5)])
        done = await engine.create("done", distributed())
        await engine.start(waits, name="open")
        for name in ("one", "two"):
            assert await (await engine.start(done, [1, 2], name=name)).result() == [1, 2]
        failed = await engine.create("failed", {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}})
        with pytest.raises(Exception, match="E"):
            await (await engine.start(failed, name="failed")).result()
        arn = engine.home.execution("done", "aside")
        await quarantine.put(engine.store, arn, quarantine.AsideRow("it had no luck"), 5)
    found = await examine(path)
    assert found.sound, found.problems


def rows(path):
    with closing(sqlite3.connect(path)) as db:
        return list(db.execute(f"SELECT rowid, kind, {', '.join(SAID)} FROM catalog"))  # noqa: S608


def changed(source, path, row, column, value):
    """A copy of a store with one value of one row changed."""
    path.write_bytes(source.read_bytes())
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE catalog SET {column} = ? WHERE rowid = ?", (value, row))  # noqa: S608
        db.commit()
    return path


def flipped(value, chance):
    """The value with one bit changed."""
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(40))
    data = bytearray(value if isinstance(value, bytes) else value.encode())
    place = chance.randrange(len(data) * 8)
    data[place // 8] ^= 1 << place % 8
    return bytes(data) if isinstance(value, bytes) else bytes(data).decode("utf-8", "surrogateescape")


def flips(path, many):
    """Bits of the entries of what has a log, and what becomes of them: kind, row, column, value."""
    chance, there = random.Random(SEED), [row for row in rows(path) if row[1] in WITH_LOGS]
    while many:
        number, kind, *values = chance.choice(there)
        column = chance.randrange(len(SAID))
        value = values[column]
        if value is None or (SAID[column] == "data" and b'"output"' in value and chance.random() < 0.5):
            continue
        try:
            made = flipped(value, chance)
            if isinstance(made, str):
                made.encode()
        except UnicodeEncodeError:
            continue
        many -= 1
        yield kind, number, SAID[column], made


async def found_by_the_doctor(folder):
    """Each flip in turn; how many were found, by kind."""
    source, found = folder / "store.db", Counter()
    await filled(source)
    for kind, number, column, value in flips(source, FLIPS):
        examined = await examine(changed(source, folder / "flipped.db", number, column, value))
        grown = column == "data" and b'"events"' in value
        assert not examined.sound or grown, f"{kind} {number}: {column} is {value!r}, and nobody noticed"
        found[kind] += not examined.sound
    return found


async def test_a_bit_flipped_in_an_entry_that_has_a_log_is_found(tmp_path, figures):
    found = await found_by_the_doctor(tmp_path)
    figures.append(f"faults: bits flipped in the catalog: {found.total()} of {FLIPS} named")
    assert found.keys() == set(WITH_LOGS)
    assert found.total() > FLIPS * 0.9


async def test_no_entry_keeps_the_store_from_opening_and_the_others_from_going_on(tmp_path):
    source = tmp_path / "store.db"
    await filled(source)
    async with Engine(source) as engine:
        await engine.store.put([catalog.tombstone(claims.KIND, claims.KIND, 1)])
    seen = set()
    for number, kind, *_ in rows(source):
        for value in NONSENSE:
            path = changed(source, tmp_path / "changed.db", number, "data", value)
            examined = await examine(path)
            if kind not in {quarantine.KIND, claims.KIND}:
                assert any("cannot be read" in problem for problem in examined.problems), f"{kind}: {value!r}"
            async with Engine(path) as engine:
                seen.add(kind)
                assert {run.execution.started.name for run in engine.runs.values()} == {"open"}
                assert len(await engine.list()) >= 4
                with anyio.fail_after(10):
                    assert await (await engine.start(await engine.create("fresh", DONE))).result() == {}
            for part in tmp_path.glob("changed.db*"):
                part.unlink()
    assert seen >= {catalog.MACHINE, catalog.VERSION, catalog.ALIAS, catalog.EXECUTION, tallies.MAP_RUN,
                    quarantine.KIND, claims.KIND}


async def test_an_entry_that_cannot_be_read_is_named_to_whoever_asks_for_it(tmp_path):
    source = tmp_path / "store.db"
    await filled(source)
    (number,) = [row for row, kind, *_, data in rows(source) if kind == catalog.EXECUTION and b'"failed"' in data]
    async with Engine(changed(source, tmp_path / "changed.db", number, "data", b"{")) as engine:
        with pytest.raises(catalog.EntryDamaged, match="execution:failed:failed cannot be read"):
            await engine.describe("failed")
        assert "failed" in {one.name for one in await engine.list()}


async def busily_examined(path):
    """A store that is looked over while an engine starts, ends and redrives in it, map runs too."""
    async with Engine(path, seed=1) as engine, anyio.create_task_group() as group:
        failing = {1}

        @engine.work("work")
        async def work(event):
            await anyio.lowlevel.checkpoint()
            if event in failing:
                raise ValueError
            return event

        done = await engine.create("done", distributed())
        rounds = examined = 0

        async def go_on():
            nonlocal rounds
            while rounds < BUSY:
                failing.add(1)
                handle = await engine.start(done, [0, 1, 2])
                with pytest.raises(ExecutionFailed):
                    await handle.result()
                failing.clear()
                await engine.redrive(handle.arn)
                await engine.execution(handle.arn).result()
                rounds += 1

        group.start_soon(go_on)
        while rounds < BUSY:
            found = await examine(path)
            assert found.sound, (found.problems, found.broken)
            examined += 1
    return examined


async def test_a_busy_store_is_sound(tmp_path):
    assert await busily_examined(tmp_path / "store.db") > 2


async def test_a_machine_that_contradicts_its_key_or_names_nothing_is_found(tmp_path):
    source = tmp_path / "store.db"
    await filled(source)
    for number, kind, *_, data in rows(source):
        if kind in {catalog.MACHINE, catalog.VERSION, catalog.ALIAS}:
            for word in (b'"name":"', b'"definition":"', b'"number":'):
                if (place := data.find(word)) >= 0:
                    place += len(word)
                    wrong = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                    path = changed(source, tmp_path / "changed.db", number, "data", wrong)
                    assert not (await examine(path)).sound, wrong


@pytest.mark.parametrize("release", sorted(path.stem for path in GOLDEN.iterdir()))
async def test_a_store_of_each_release_is_sound(release, tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(lzma.decompress((GOLDEN / f"{release}.xz").read_bytes()))
    found = await examine(path)
    assert found.sound, found.problems
