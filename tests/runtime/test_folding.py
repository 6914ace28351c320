"""Folding from a snapshot: it is used, it is never trusted too far, and without it all is as it would have been."""

import sqlite3
from contextlib import closing

import pytest
import structlog
from tests.laws.test_snapshots import portrait
from tests.runtime.world import YEAR, Around, asks, both, call, each, until, wait

from stepfold import Engine
from stepfold.errors import ExecutionSetAside
from stepfold.interpreter import snapshots
from stepfold.interpreter.execution import Execution
from stepfold.runtime import catalog
from stepfold.runtime.recovery.doctor import drop_snapshots, examine
from stepfold.runtime.runs import folding
from stepfold.runtime.runs.folding import Pace
from stepfold_store import Record, Snapshot, StoreError, open_reader, open_store
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
MACHINE = both(each(call()), asks())
NAMES = "one", "two"
ITEMS = list(range(6))


@pytest.fixture(autouse=True)
def said():
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def often(monkeypatch):
    """A snapshot with every decision."""
    monkeypatch.setattr(folding, "EVENTS", 1)
    monkeypatch.setattr(folding, "TIMES", 0)


@pytest.fixture
def now_and_then(often, monkeypatch):
    """One after some decisions, which is not the last of them."""
    monkeypatch.setattr(folding, "EVENTS", 30)


def engine_over(store):
    engine = Engine(store, seed=1)
    engine.work("work")(lambda event: {"did": event})
    engine.work("send")(lambda _: None)
    return engine


async def left(store, machine=MACHINE):
    """Executions that wait for an answer, and an engine that is gone; their ARNs."""
    async with engine_over(store) as engine:
        ref = await engine.create("kept", machine)
        arns = [(await engine.start(ref, ITEMS, name=name)).arn for name in NAMES]
        await until(lambda: not engine._busy)
    return arns


async def looked_at(path, arn):
    """How a resume would find an execution: it, how many events it would fold, and the execution as the log has it."""
    store = await open_store(path)
    try:
        found, pace = await folding.fold(store, arn)
        return found, pace.events, Execution.fold([event async for event in catalog.events(store, arn)])
    finally:
        await store.close()


async def carried_on(path, arns):
    async with engine_over(path) as engine:
        await until(lambda: not engine._busy)
        for arn in arns:
            run = engine.runs[arn]
            (frame,) = run.execution.asked.values()
            await engine.callbacks.succeed(frame.waits.token, '"heard"')
            assert await engine.execution(arn).result() == [[{"did": item} for item in ITEMS], "heard"]


def tamper(path, *statements):
    """Change a store's rows as no store would; `MINE` are those of the first execution."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement.replace("MINE", "stream = (SELECT key FROM stream WHERE name LIKE '%:one')"))
        db.commit()


def kept_in(path):
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, version FROM snapshot JOIN stream ON stream.key = snapshot.stream"))


async def test_what_a_snapshot_says_is_not_folded_again(often, tmp_path):
    path = tmp_path / "store.db"
    arns = await left(path)
    for arn in arns:
        found, folded, whole = await looked_at(path, arn)
        assert folded == 0
        assert portrait(found) == portrait(whole)
    assert kept_in(path) == {catalog.stream_of(arn): whole.version for arn in arns}
    await carried_on(path, arns)
    assert kept_in(path) == {}, "it goes with the end"


async def test_what_came_after_it_is(now_and_then, tmp_path):
    path = tmp_path / "store.db"
    arns = await left(path)
    for arn in arns:
        found, folded, whole = await looked_at(path, arn)
        assert folded == whole.version - kept_in(path)[catalog.stream_of(arn)] > 0
        assert portrait(found) == portrait(whole)
    await carried_on(path, arns)


UNTRUE = {
    "a byte of its body": "SET body = CAST(replace(CAST(body AS TEXT), 'did', 'dud') AS BLOB)",
    "its beginning": "SET body = substr(body, 2)",
    "its end": "SET body = substr(body, 1, length(body) - 1)",
    "nothing": "SET body = x''",
    "a number": "SET body = 7",
    "its checksum": "SET checksum = zeroblob(16)",
    "no checksum": "SET checksum = 1",
    "ahead of the log": "SET version = version + 1",
    "inside a decision": "SET version = version - 1",
    "an older decision": "SET version = (SELECT last FROM log WHERE MINE AND first = 1)",
    "a word for its version": "SET version = 'one'",
    "another's": "SET (version, body, checksum) = (SELECT version, body, checksum FROM snapshot WHERE NOT MINE)",
}


@pytest.mark.parametrize("untrue", UNTRUE.values(), ids=list(UNTRUE))
async def test_one_that_is_not_as_it_was_written_is_thrown_away(untrue, often, tmp_path):
    path = tmp_path / "store.db"
    arns = await left(path)
    before = kept_in(path)
    tamper(path, f"UPDATE snapshot {untrue} WHERE MINE")
    examined = await examine(str(path))
    assert (examined.sound, examined.snapshots, examined.useless) == (True, 1, arns[:1])
    found, folded, whole = await looked_at(path, arns[0])
    assert folded == whole.version == before[catalog.stream_of(arns[0])]
    assert portrait(found) == portrait(whole)
    await carried_on(path, arns)


async def test_one_of_another_form_is_thrown_away(often, tmp_path, monkeypatch, said):
    path = tmp_path / "store.db"
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "form", lambda: "another")
        arns = await left(path)
    found, folded, whole = await looked_at(path, arns[0])
    assert folded == whole.version
    assert portrait(found) == portrait(whole)
    assert [line["event"] for line in said if "snapshot" in line["event"]]
    examined = await examine(str(path))
    assert (examined.sound, examined.snapshots, examined.useless) == (True, 0, arns)
    await carried_on(path, arns)


async def test_one_that_the_rest_of_the_log_does_not_fit_is_thrown_away(now_and_then, tmp_path, monkeypatch):
    """No damage makes it so; but should our code be wrong, the log is right."""
    path = tmp_path / "store.db"
    arns = await left(path)
    restored = snapshots.restored

    def without_frames(text):
        execution = restored(text)
        execution.frames.clear()
        return execution

    monkeypatch.setattr(snapshots, "restored", without_frames)
    found, folded, whole = await looked_at(path, arns[0])
    assert folded == whole.version
    assert portrait(found) == portrait(whole)


@pytest.mark.parametrize("wrong", ["another's", "of another version"])
async def test_what_a_store_gives_is_looked_at_once_more(wrong, now_and_then):
    arn, other = await left(store := Around(MemoryStore()))
    kept = await store.snapshot(catalog.stream_of(other if wrong == "another's" else arn))
    if wrong == "of another version":
        kept = Snapshot(kept.version - 1, kept.body)

    async def snapshot(_):
        return kept

    store.snapshot = snapshot
    found, pace = await folding.fold(store, arn)
    assert pace.events == found.version
    assert portrait(found) == portrait(Execution.fold([event async for event in catalog.events(store, arn)]))


async def test_the_doctor_notices_one_that_is_not_what_its_log_comes_to(often, tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    written = snapshots.written

    def with_another_token(execution):
        for frame in execution.frames.values():
            frame.token = "another"  # noqa: S105
        return written(execution)

    monkeypatch.setattr(snapshots, "written", with_another_token)
    arns = await left(path)
    monkeypatch.setattr(snapshots, "written", written)
    examined = await examine(str(path))
    assert [one.arn for one in examined.broken] == arns
    assert "its snapshot is not what its log comes to" in examined.broken[0].what
    assert await drop_snapshots(str(path)) == 2
    assert (await examine(str(path))).sound


async def test_damage_before_it_is_found_by_who_reads_that_and_damage_after_it_by_a_resume(often, tmp_path):
    path = tmp_path / "store.db"
    arns = await left(path)
    tamper(path, "DROP TRIGGER log_is_never_changed", "UPDATE log SET body = body || ' ' WHERE MINE AND first = 1")
    assert [one.event for one in (await examine(str(path))).broken] == [1]
    async with engine_over(path) as engine:
        assert not engine.failed
        with pytest.raises(StoreError, match="damaged at event 1"):
            _ = [event async for event in catalog.events(engine.store, arns[0])]
    tamper(path, "UPDATE log SET at = 1 WHERE MINE AND first = (SELECT max(first) FROM log WHERE MINE)")
    async with engine_over(path) as engine:
        with pytest.raises(ExecutionSetAside, match="damaged at event"):
            await engine.execution(arns[0]).result()
        assert list(engine.failed) == arns[:1]


@pytest.mark.parametrize("machine", [MACHINE, wait(YEAR)], ids=["it asks again", "it only waits"])
async def test_a_resume_that_had_to_fold_much_is_the_last_one(machine, tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    arns = await left(path, machine)
    assert kept_in(path) == {}
    monkeypatch.setattr(folding, "EVENTS", 2)
    async with engine_over(path) as engine:
        await until(lambda: not engine._busy)
    assert kept_in(path).keys() == {catalog.stream_of(arn) for arn in arns}
    found, folded, whole = await looked_at(path, arns[0])
    assert folded < 2
    assert portrait(found) == portrait(whole)


async def test_a_table_that_is_damaged_ends_no_writing(often, tmp_path):
    """Then there are no snapshots, and nothing else is amiss."""
    path = tmp_path / "store.db"
    await left(path)
    tamper(path, "DROP TABLE snapshot", "CREATE TABLE snapshot (stream INTEGER PRIMARY KEY, other TEXT)")
    async with engine_over(path) as engine:
        assert await (await engine.start(await engine.create("calls", call()), 1)).result() == {"did": 1}
        assert (await engine.store.health()).writable
    assert (await examine(str(path))).sound


async def test_a_redrive_begins_from_the_log_and_goes_on_with_snapshots(often, tmp_path):
    path = tmp_path / "store.db"
    arn, _ = await left(path)
    async with engine_over(path) as engine:
        await engine.stop(arn)
        assert catalog.stream_of(arn) not in kept_in(path)
        await engine.redrive(arn)
        await until(lambda: not engine._busy)
    found, folded, whole = await looked_at(path, arn)
    assert folded == 0
    assert portrait(found) == portrait(whole)


async def test_an_older_store_has_none_until_it_is_opened_to_write(often, tmp_path):
    path = tmp_path / "store.db"
    (arn, _) = await left(path)
    tamper(path, "DROP TABLE snapshot")
    reader = await open_reader(path)
    assert await reader.snapshot(catalog.stream_of(arn)) is None
    assert (await folding.fold(reader, arn)).execution.status == "RUNNING"
    await reader.close()
    assert (await examine(str(path))).sound
    await carried_on(path, [arn])


# --- when -------------------------------------------------------------------------------------------------------------


def row(first, last, size):
    return Record(first, last, 0, b"x" * size)


async def test_the_next_is_due_after_so_many_events_of_so_many_bytes(monkeypatch):
    arn, _ = await left(store := Around(MemoryStore()))
    execution, _ = await folding.fold(store, arn)
    monkeypatch.setattr(snapshots, "written", lambda _: b"y" * 100)
    pace = Pace()
    pace.passed(row(1, folding.EVENTS - 1, 10**9))
    assert pace.due(execution) is None
    pace.passed(row(folding.EVENTS, folding.EVENTS, 1))
    assert pace.due(execution) == b"y" * 100
    pace.passed(row(1, 10 * folding.EVENTS, 100 * folding.TIMES - 1))
    assert pace.due(execution) is None
    pace.passed(row(1, 1, 1))
    monkeypatch.setattr(folding, "MOST_BYTES", 99)
    assert pace.due(execution) is None, "it is too large"
    monkeypatch.undo()
    assert pace.due(execution) is None, "and is not tried again at once"
    execution.status = "FAILED"
    pace.passed(row(1, folding.EVENTS, 10**9))
    assert pace.due(execution) is None, "nobody goes on from an end"


async def test_one_that_cannot_be_written_is_nobodys_harm(often, tmp_path, monkeypatch, said):
    def broken(_):
        raise RuntimeError("broken")

    monkeypatch.setattr(snapshots, "written", broken)
    arns = await left(tmp_path / "store.db")
    assert kept_in(tmp_path / "store.db") == {}
    assert [line["event"] for line in said if "snapshot" in line["event"]]
    await carried_on(tmp_path / "store.db", arns)
