"""Bytes that were flipped in every part of a file: it is found and named, or it is nowhere that matters.

No event is ever read otherwise than it was written. What can be read is what was written, up to some event; and an
execution whose log is damaged is set aside, while the others go on.
"""

import random
import re
import sqlite3
from collections import Counter
from contextlib import closing

import aiosqlite
import pytest
from tests.faults import invariants
from tests.faults.levels import SEED, of_level
from tests.runtime.world import asks, both, call, each, until

from stepfold import Engine
from stepfold.runtime import catalog
from stepfold.runtime.recovery.doctor import examine
from stepfold_store import StoreError, open_reader, open_store
from stepfold_store.sqlite_check import EMPTY

pytestmark = pytest.mark.anyio
FLIPS = of_level(120, 1_000, 10_000)
NAMES = "one", "two", "three"


async def filled(path):
    """A store with executions that wait for an answer; the logs of them."""
    async with Engine(path, seed=1) as engine:

        @engine.work("work")
        async def work(event):
            return {"echo": [event] * 300}

        @engine.work("send")
        async def send(event):
            return None

        machine = await engine.create("kept", both(each(call()), asks()))
        for name in NAMES:
            await engine.start(machine, list(range(6)), name=name)
        await until(lambda: not engine._busy)
    return invariants.of_file(path)


def kinds_of(path):
    """What each page of a file is: the header, or a table or an index and its name."""
    with closing(sqlite3.connect(path)) as db:
        roots = dict(db.execute("SELECT rootpage, name FROM sqlite_master WHERE rootpage > 0"))
    data = path.read_bytes()
    known = {1: "schema"}
    for number in range(1, len(data) // 4096 + 1):
        kind = data[(number - 1) * 4096 + (100 if number == 1 else 0)]
        known[number] = roots.get(number) or {2: "interior index", 5: "interior table", 10: "leaf index",
                                              13: "leaf table"}.get(kind, "overflow")
    return known


async def read(path):
    """What a reader makes of a file: each log, or None for one that it says is damaged."""
    reader = await open_reader(path)
    found = {}
    try:
        for name in NAMES:
            arn = f"arn:aws:states:us-east-1:123456789012:execution:kept:{name}"
            try:
                found[name] = [event async for event in catalog.events(reader, arn)]
            except StoreError:
                found[name] = None
    finally:
        await reader.close()
    return found


async def flipped(source, folder, place, bit):
    """A copy of a store with one bit flipped, and what is read of it; None where it is refused."""
    path = folder / "flipped.db"
    data = bytearray(source.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)
    try:
        return await read(path)
    except StoreError:
        return None
    finally:
        for part in folder.glob("flipped.db*"):
            part.unlink()


def places(path, many):
    """Bytes of every kind of page, and every kind alike often."""
    chance, pages = random.Random(SEED), kinds_of(path)
    by_kind = {}
    for number, kind in pages.items():
        by_kind.setdefault(kind, []).append(number)
    by_kind["header"] = [0]
    used = [place for place, byte in enumerate(path.read_bytes()) if byte]
    for turn in range(many):
        if turn % 2:  # half of them where something is written at all
            yield "used", chance.choice(used)
            continue
        kind = sorted(by_kind)[turn % len(by_kind)]
        number = chance.choice(by_kind[kind])
        yield kind, chance.randrange(100) if kind == "header" else (number - 1) * 4096 + chance.randrange(4096)


async def test_no_event_is_read_otherwise_than_it_was_written(tmp_path, figures):
    source = tmp_path / "store.db"
    logs = await filled(source)
    found = Counter()
    for kind, place in places(source, FLIPS):
        outcome = await flipped(source, tmp_path, place, place % 8)
        if outcome is None:
            found["refused"] += 1
            continue
        named = False
        for name, events in outcome.items():
            named = named or events is None
            assert events is None or events == logs[name][: len(events)], f"byte {place} ({kind}) of {name}"
            found["shorter"] += events is not None and len(events) < len(logs[name])
        found["named" if named else "harmless"] += 1
    figures.append("faults: bits flipped in a store: " + ", ".join(f"{what} {many}" for what, many in found.items()))
    assert found["named"] > FLIPS / 20


async def test_a_damaged_execution_is_set_aside_and_the_others_go_on(tmp_path):
    path = tmp_path / "store.db"
    await filled(path)
    async with aiosqlite.connect(path) as db:
        await db.execute("DROP TRIGGER log_is_never_changed")
        await db.execute("UPDATE log SET body = CAST(replace(CAST(body AS TEXT), 'echo', 'ecbo') AS BLOB) "
                         "WHERE stream = (SELECT key FROM stream WHERE name LIKE '%two')")
        await db.commit()
    async with Engine(path, seed=2) as engine:
        assert [arn.rpartition(":")[2] for arn in engine.failed] == ["two"]
        assert "damaged at event" in str(next(iter(engine.failed.values())))
        runs = list(engine.runs.values())
        assert sorted(run.execution.started.name for run in runs) == ["one", "three"]
        for run in runs:
            for frame in list(run.execution.asked.values()):
                await engine.callbacks.succeed(frame.waits.token, "1")
            await run.ended.wait()
            assert run.execution.status == "SUCCEEDED"


@pytest.mark.parametrize("cut", [0, 1, 99, 4095, 4096, 20_000])
async def test_a_file_that_was_cut_off_is_refused_or_named(cut, tmp_path):
    path = tmp_path / "store.db"
    await filled(path)
    path.write_bytes(path.read_bytes()[:cut])
    if cut > 1:
        with pytest.raises(StoreError, match=re.escape(str(path))):
            await open_store(path)
        return
    assert (await examine(path)).problems == [EMPTY]
    await (await open_store(path)).close()  # (to SQLite, a file of a byte is empty, and so a new store)
    assert invariants.of_file(path) == {}


async def test_a_file_that_was_cut_to_nothing_beside_its_log_is_refused_and_left_alone(tmp_path):
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    log, copied_log = tmp_path / "store.db-wal", tmp_path / "copy.db-wal"
    async with Engine(path):
        copied_log.write_bytes(log.read_bytes())
    copy.write_bytes(b"")
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match="was cut to nothing"):
            await opening(copy)
    assert (copy.stat().st_size, copied_log.stat().st_size > 0) == (0, True)
    copied_log.unlink()
    await (await open_store(copy)).close()


async def test_a_damage_that_sqlite_cannot_put_into_words_is_refused_as_one(tmp_path):
    """SQLite quotes a name out of the schema, and what it quotes is no text any more."""
    path = tmp_path / "store.db"
    await filled(path)
    data = path.read_bytes()
    assert data.count(b"CREATE TABLE stream (") == 1
    path.write_bytes(data.replace(b"CREATE TABLE stream (", b"CREATE TABLE stream \xe5"))
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match=re.escape(str(path))):
            await opening(path)
