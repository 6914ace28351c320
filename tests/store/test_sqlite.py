"""What only a file can do: be held, damaged, full, newer, copied, looked at from outside."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import aclosing, closing

import anyio
import pytest
import structlog
from tests.store.rows import everything, fate, record

from stepfold_store import (
    Conflict,
    Entry,
    StoreClosed,
    StoreError,
    open_reader,
    open_store,
    sqlite_file,
    sqlite_rows,
)
from stepfold_store.contract import Full

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
async def store(path):
    store = await open_store(path)
    yield store
    await store.close()


class Tampered:
    """The writing connection, with something of the test's own before or after a COMMIT."""

    def __init__(self, db, before=None, after=None):
        self.db, self.before, self.after, self.statements = db, before, after, []

    def execute(self, statement, *arguments):
        self.statements.append(statement)
        if statement == "COMMIT" and self.before:
            self.before()
        result = self.db.execute(statement, *arguments)
        if statement == "COMMIT" and self.after:
            self.after()
        return result

    def executemany(self, statement, rows):
        self.statements.append(statement)
        return self.db.executemany(statement, rows)


def tamper(store, **hooks):
    store._writer.db = Tampered(store._writer.db, **hooks)
    return store._writer.db


def outside(path, *statements):
    with closing(sqlite3.connect(path)) as db:
        rows = [db.execute(statement).fetchall() for statement in statements]
        db.commit()
        return rows[-1]


def child(code, path):
    return subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)


# Commits


async def test_what_is_submitted_meanwhile_shares_a_commit(store):
    db = tamper(store)
    for ticket in [store.submit("s", n, [record(n + 1)], entries=[Entry("k", "s", data=b"%d" % n)]) for n in range(50)]:
        await ticket
    assert db.statements.count("COMMIT") == 1
    assert sum("INTO log" in one for one in db.statements) == 3 + 2, "rows of 16, and of 1"
    assert sum("INSERT INTO catalog" in one for one in db.statements) == 1
    assert (await store.entry("k", "s")).data == b"49"


async def test_nothing_is_acknowledged_or_seen_before_its_commit(store):
    arrived, go_on = threading.Event(), threading.Event()
    told = []

    async def tell(ticket):
        await ticket
        told.append("acknowledged")

    async def watch():
        async with aclosing(store.watch("s")) as versions:
            async for version in versions:
                if version:
                    told.append("watched")
                    return

    tamper(store, before=lambda: arrived.set() or go_on.wait(10))
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        group.start_soon(tell, store.submit("s", 0, [record(1)]))
        await anyio.to_thread.run_sync(arrived.wait)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert await everything(store, "s") == []
        assert told == []
        go_on.set()
    assert sorted(told) == ["acknowledged", "watched"]
    assert store.backlog == 0


@pytest.mark.parametrize("landed", [False, True])
async def test_a_failed_commit_is_never_tried_again(store, path, landed):
    def fail():
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname, error.sqlite_errorcode = "SQLITE_IOERR_FSYNC", 1034
        raise error

    await store.submit("s", 0, [record(1)])
    db = tamper(store, **{"after" if landed else "before": fail})
    with structlog.testing.capture_logs() as logs:
        first = [store.submit("s", 1, [record(2, word="secret")]), store.submit("t", 0, [record(1)])]
        assert await fate(first[0]) is StoreClosed
        later = store.submit("s", 2, [record(3)])
        with pytest.raises(StoreClosed, match="SQLITE_IOERR_FSYNC"):
            await later
        with pytest.raises(StoreClosed):
            await store.post("s", b"")
    assert await fate(first[1]) is StoreClosed
    assert db.statements.count("COMMIT") == db.statements.count("BEGIN IMMEDIATE") == 1
    (line,) = logs
    assert (line["path"], line["errno"], line["error"]) == (str(path), 1034, "SQLITE_IOERR_FSYNC")
    assert "secret" not in str(logs)
    health = await store.health()
    assert not health.writable
    assert "disk I/O error" in health.reason
    assert store.backlog == 0
    assert (await everything(store, "s"))[0] == record(1)
    await store.close()
    again = await open_store(path)
    assert len(await everything(again, "s")) == 1 + landed
    await again.close()


async def test_queued_appends_fall_with_a_failed_commit(store):
    arrived, go_on = threading.Event(), threading.Event()

    def fail():
        arrived.set()
        go_on.wait(10)
        raise sqlite3.OperationalError("database or disk is full")

    tamper(store, before=fail)
    first = store.submit("s", 0, [record(1)])
    await anyio.to_thread.run_sync(arrived.wait)
    queued = [store.submit("s", 1, [record(2)]), store.submit("t", 0, [record(1)])]
    go_on.set()
    with anyio.fail_after(5):
        assert [await fate(ticket) for ticket in [first, *queued]] == [StoreClosed] * 3


async def test_a_full_disk_stops_the_writing_and_keeps_the_reading(store, path):
    await store._job(lambda writer: writer.db.execute("PRAGMA max_page_count = 60"), 0)
    done = 0
    with structlog.testing.capture_logs():
        while await fate(store.submit("s", done, [record(done + 1, word="A" * 3000)])) is None:
            done += 1
    assert done > 5
    assert "SQLITE_FULL" in (await store.health()).reason
    assert len(await everything(store, "s")) == done
    await store.close()
    again = await open_store(path)
    await again.submit("s", done, [record(done + 1)])
    await again.close()


async def test_cancelling_the_writer_itself_closes_the_store(store):
    arrived, go_on = threading.Event(), threading.Event()
    tamper(store, before=lambda: arrived.set() or go_on.wait(10))
    ticket = store.submit("s", 0, [record(1)])
    await anyio.to_thread.run_sync(arrived.wait)
    with structlog.testing.capture_logs():
        store._task.cancel()
        assert await fate(ticket) is StoreClosed
    go_on.set()


async def test_the_private_call_of_aiosqlite_is_as_we_know_it(path):
    """`_execute` runs a function on the connection's thread; `_conn` is the connection; `_thread` can be a daemon."""
    connection = sqlite_file.connect(path, read_only=False)
    assert connection._thread.daemon
    path.touch()
    async with connection:
        assert isinstance(connection._conn, sqlite3.Connection)
        thread = await connection._execute(threading.current_thread)
        assert thread is connection._thread
        with pytest.raises(ZeroDivisionError):
            await connection._execute(divmod, 1, 0)


@pytest.mark.parametrize(("query", "synchronous"), [("", 2), ("?durability=full", 2), ("?durability=os", 1)])
async def test_durability(path, query, synchronous):
    store = await open_store(f"sqlite:///{path}{query}")
    for pragma, value in {"synchronous": synchronous, "journal_mode": "wal"}.items():
        ask = f"PRAGMA {pragma}"
        assert await store._job(lambda writer, ask=ask: writer.db.execute(ask).fetchone(), 0) == (value,)
    assert (await store.health()).details["durability"] == ("os" if synchronous == 1 else "full")
    await store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///x.db?durability=off", "durability is full or os"),
        ("sqlite:///x.db?speed=1", "no setting speed"),
        ("sqlite://x.db", "names no store"),
        ("sqlite:///", "names no store"),
        ("sqlite:///:memory:", "memory://"),
        ("postgresql://x", "names no store"),
        ("memory:", "names no store"),
    ],
)
async def test_urls_that_are_refused(url, words):
    with pytest.raises(StoreError, match=words):
        await open_store(url)
    with pytest.raises(StoreError):
        await open_reader(url)


async def test_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a%20b.db", "plain.db", tmp_path / "c.db", f"sqlite:///{tmp_path}/d.db"):
        store = await open_store(url)
        assert store.location == str(url)
        await store.close()
    assert {one.name for one in tmp_path.iterdir() if one.suffix == ".db"} == {"a b.db", "plain.db", "c.db", "d.db"}
    with pytest.raises(StoreError, match="memory"):
        await open_reader("memory://")


# The file


async def test_files_are_their_owners_alone(tmp_path):
    folder = tmp_path / "new" / "folder"
    store = await open_store(folder / "store.db")
    await store.submit("s", 0, [record(1)])
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert {one.name for one in folder.iterdir()} == {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    await store.close()
    assert {one.name for one in folder.iterdir()} == {"store.db", "store.db.lock"}


HOLD = """
import asyncio, sys
from stepfold_store import Record, open_store
async def main():
    store = await open_store(sys.argv[1])
    version = 0
    while True:
        await store.submit("s", version, [Record(version + 1, version + 1, 0, b"[]")])
        version += 1
        print(version, flush=True)
asyncio.run(main())
"""


async def test_a_second_engine_is_refused_and_death_frees_the_file(path):
    with child(HOLD, path) as holder:
        assert holder.stdout.readline() == "1\n"
        for stop in (signal.SIGCONT, signal.SIGSTOP):
            holder.send_signal(stop)
            with pytest.raises(StoreError, match=f"held by process {holder.pid}, started 20.*read-only"):
                await open_store(path)
        holder.kill()
        told = holder.stdout.read().splitlines() or ["1"]
    reader = await open_reader(path)  # also before anyone has opened it to write again
    rows = await everything(reader, "s")
    await reader.close()
    store = await open_store(path)
    assert await everything(store, "s") == rows
    assert len(rows) >= int(told[-1])
    await store.submit("s", len(rows), [record(len(rows) + 1)])
    await store.close()


async def test_a_link_leads_to_the_same_lock(store, path, tmp_path):
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreError, match=f"held by process {os.getpid()}"):
        await open_store(tmp_path / "link.db")


async def test_a_forgotten_close_does_not_hang_the_exit(path):
    code = "import asyncio, sys, stepfold_store as s; store = asyncio.run(s.open_store(sys.argv[1])); print('end')"
    with child(code, path) as process:
        assert process.communicate(timeout=20)[0] == "end\n"


async def test_a_newer_store_is_refused(path):
    await (await open_store(path)).close()
    outside(path, "PRAGMA user_version = 2")
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match=r"format 2.*newer release"):
            await opening(path)


async def test_another_programs_database_is_refused(path):
    outside(path, "CREATE TABLE customers (name)")
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match="no store of stepfold"):
            await opening(path)
    assert outside(path, "SELECT name FROM sqlite_master") == [("customers",)]


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 99, b"SQLite format 3\0xx"])
async def test_what_is_no_database_is_refused(path, content):
    path.write_bytes(content)
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match=r"store\.db cannot be opened.*backup"):
            await opening(path)
    assert path.read_bytes() == content


async def test_a_damaged_database_is_refused_by_name(path):
    await (await open_store(path)).close()
    content = bytearray(path.read_bytes())
    content[100:2000] = os.urandom(1900)
    path.write_bytes(content)
    for opening in (open_store, open_reader):
        with pytest.raises(StoreError, match=r"store\.db cannot be opened.*backup"):
            await opening(path)


async def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        await open_store(tmp_path / "file" / "store.db")
    with pytest.raises(StoreError, match="there is no store"):
        await open_reader(tmp_path / "none.db")


async def test_sqlite_without_json_is_refused(path):
    class Plain:
        def execute(self, _statement):
            raise sqlite3.OperationalError("no such table: json_each")

    with pytest.raises(StoreError, match="without JSON"):
        sqlite_file.check(Plain(), path)


async def test_the_log_cannot_be_changed(store, path):
    await store.submit("s", 0, [record(1)])
    for statement in ("UPDATE log SET at = 0", "DELETE FROM log", "UPDATE log SET body = x'00' WHERE first = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            outside(path, statement)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        outside(
            path, "INSERT INTO log SELECT NULL, stream, first, last + 1, at, body, first_id, last_id, checksum FROM log"
        )
    assert await everything(store, "s") == [record(1)]


async def test_the_wal_stays_small(store):
    for version in range(400):
        await store.submit("s", version, [record(version + 1, word="A" * 60_000)])
        if version == 50:
            reading = store.read("s")
            await anext(reading)  # a reader at rest holds nothing up
    await reading.aclose()
    details = (await store.health()).details
    assert details["file_bytes"] > 20_000_000
    assert details["wal_bytes"] < 8_000_000


async def test_a_reader_that_holds_a_moment_is_told_of_and_the_log_shrinks_when_it_is_gone(path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "WAL_ALARM", 8 << 20)
    monkeypatch.setattr(sqlite_file, "WAL_KEPT", 2 << 20)
    store = await open_store(path)
    version = 0

    async def write(megabytes):
        nonlocal version
        for _ in range(megabytes * 16):
            await store.submit("s", version, [record(version + 1, word="A" * 65_000)])
            version += 1

    async def wal():
        return (await store.health()).details["wal_bytes"]

    await write(20)
    quiet = await wal()
    assert quiet < 8 << 20, "without such a reader it stays small"
    with structlog.testing.capture_logs() as logs, closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log").fetchone()
        await write(20)
        assert await wal() > 16 << 20, "what the reader may still want to see is kept"
        assert [line["event"] for line in logs] == ["wal_is_large"]
        assert "reads without end" in (await store.health()).details["warning"]
        reader.rollback()
        await write(20)
        assert await wal() <= 8 << 20
    assert [line["event"] for line in logs] == ["wal_is_large", "wal_is_small_again"]
    assert "warning" not in (await store.health()).details
    await store.close()


async def test_an_inbox_that_nobody_empties_takes_no_more(store, monkeypatch):
    monkeypatch.setattr(sqlite_rows, "MOST_MESSAGES", 3)
    assert [await store.post("s", b"") for _ in range(3)] == [1, 2, 3]
    with pytest.raises(Full, match="wait for s already"):
        await store.post("s", b"")
    await store.post("t", b"")
    await store.submit("s", 0, [record(1)], consumed=[2])
    await store.post("s", b"")


async def test_what_waits_for_the_disk_is_counted_in_bytes_too(store):
    arrived, go_on = threading.Event(), threading.Event()
    tamper(store, before=lambda: arrived.set() or go_on.wait(10))
    first = store.submit("s", 0, [record(1)])
    await anyio.to_thread.run_sync(arrived.wait)
    rest = [store.submit("s", number, [record(number + 1, word="A" * 1_000)]) for number in range(1, 5)]
    assert store.backlog == 5
    assert 4_000 < store.backlog_bytes < 6_000
    go_on.set()
    for ticket in [first, *rest]:
        await ticket
    assert (store.backlog, store.backlog_bytes) == (0, 0)


@pytest.mark.parametrize("end", ["closed", "killed", "failed"])
async def test_whether_the_one_before_was_killed_is_known(path, end):
    if end == "killed":
        with child(HOLD, path) as holder:
            holder.stdout.readline()
            holder.kill()
    else:
        store = await open_store(path)
        assert not store.orphaned, "a new store"
        if end == "failed":
            tamper(store, before=lambda: 1 / 0)
            with structlog.testing.capture_logs():
                assert await fate(store.submit("s", 0, [record(1)])) is StoreClosed
        await store.close()
    store = await open_store(path)
    assert store.orphaned == (end == "killed")
    await store.close()


# Damage


async def damaged(store, path, *statements):
    for stream in ("s", "t"):
        await store.submit(stream, 0, [record(n, 1, stream * 3) for n in range(1, 6)])
    await store.close()
    outside(
        path,
        "DROP TRIGGER log_is_never_changed",
        "DROP TRIGGER log_is_never_cut",
        "CREATE TEMP TABLE was AS SELECT first, body FROM log WHERE stream = 1",
        *statements,
    )
    return await open_store(path)


SWAP = """
UPDATE log SET body = (SELECT body FROM was WHERE was.first = 7 - log.first) WHERE stream = 1 AND first IN (3, 4)
"""


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("UPDATE log SET body = replace(body, '1.5', '2.5') WHERE stream = 1 AND first = 3", 3),
        ("UPDATE log SET at = 0 WHERE stream = 1 AND first = 1", 1),
        ("UPDATE log SET last_id = 9 WHERE stream = 1 AND first = 5", 5),
        ("DELETE FROM log WHERE stream = 1 AND first = 2", 2),
        ("DELETE FROM log WHERE stream = 1 AND first = 1", 1),
        (SWAP, 3),
    ],
    ids=["body", "time", "number", "missing", "beginning", "swapped"],
)  # fmt: skip
@pytest.mark.parametrize("reverse", [False, True])
async def test_damage_is_named_and_stays_where_it_is(store, path, statement, event, reverse):
    store = await damaged(store, path, statement)
    first_met = event + (reverse and statement == SWAP)
    with pytest.raises(StoreError, match=f"s is damaged at event {first_met}"):
        await everything(store, "s", reverse=reverse)
    assert len(await everything(store, "t", reverse=reverse)) == 5
    await store.close()


@pytest.mark.parametrize("reverse", [False, True])
async def test_a_row_out_of_another_stream_does_not_fit(store, path, reverse):
    """Its own checksum is right; only the chain tells."""
    store = await damaged(
        store,
        path,
        "UPDATE log SET stream = 3 WHERE stream = 1 AND first = 4",
        "UPDATE log SET stream = 1 WHERE stream = 2 AND first = 4",
        "UPDATE log SET stream = 2 WHERE stream = 3",
    )
    for stream in ("s", "t"):
        with pytest.raises(StoreError, match=f"{stream} is damaged at event {5 if reverse else 4}"):
            await everything(store, stream, reverse=reverse)
    await store.close()


async def test_a_damaged_page_is_named_by_stream_and_event(path):
    store = await open_store(path)
    await store.submit("s", 0, [record(n, 1, "A" * 3000) for n in range(1, 21)])
    await store.close()
    page = path.read_bytes().index(b"[[10,10") // 4096 * 4096
    with path.open("r+b") as file:
        file.seek(page)
        file.write(b"\xff" * 100)
    reader = await open_reader(path)
    with pytest.raises(StoreError, match=r"s is damaged at event (9|10)"):
        await everything(reader, "s")
    await reader.close()


async def test_a_damaged_text_is_found(store, path):
    await store.put([], [b"one"])
    outside(path, "UPDATE text SET body = x'00'")
    digest = outside(path, "SELECT digest FROM text")[0][0]
    with pytest.raises(StoreError, match="is damaged"):
        await store.text(digest)


# From outside


async def test_the_shell_sees_an_event_a_line(store, path):
    await store.submit("arn:a", 0, [record(1, 2), record(3, 1, "B")])
    rows = outside(path, "SELECT execution, seq, id, previous, frame, at, type, fact FROM event ORDER BY seq")
    assert rows[1:] == [
        ("arn:a", 2, 2, 1, 1, "2023-11-14T22:13:20.123Z", "A", '{"n":1.50}'),
        ("arn:a", 3, 3, 2, 1, "2023-11-14T22:13:20.123Z", "B", '{"n":1.50}'),
    ]


async def test_a_reader_reads_while_another_process_writes(path):
    with child(HOLD, path) as holder:
        holder.stdout.readline()
        reader = await open_reader(path, poll=0.01)
        with anyio.fail_after(20):
            async with aclosing(reader.watch("s")) as versions:
                first = await anext(versions)
                assert await anext(versions) > first >= 1
        assert len(await everything(reader, "s")) > first
        assert await fate(reader.submit("s", 0, [record(1)])) is StoreClosed
        for call in (
            reader.post("s", b""),
            reader.put([]),
            reader.forget("s"),
            reader.release([]),
            reader.claim("me", until=1, limit=1, now=0),
        ):
            with pytest.raises(StoreClosed, match="read-only"):
                await call
        assert (await reader.health()).reason == "the store was opened read-only"
        holder.kill()
        await reader.close()


async def test_readers_cannot_write(store):
    for reader in store._readers:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.execute("DELETE FROM text")


async def test_a_reader_that_stays_does_not_lose_the_last_appends(path):
    store = await open_store(path)
    reader = await open_reader(path)
    await store.submit("s", 0, [record(1)])
    await store.close()
    assert await everything(reader, "s") == [record(1)]
    await reader.close()
    store = await open_store(path)
    assert await everything(store, "s") == [record(1)]
    await store.close()


async def test_a_backup_is_a_store(store, path, tmp_path):
    copy = tmp_path / "copies" / "copy.db"
    tickets = [store.submit("s", n, [record(n + 1)]) for n in range(100)]
    await tickets[0]
    await store.backup(str(copy))
    with pytest.raises(StoreError, match="there already"):
        await store.backup(str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [one.name for one in copy.parent.iterdir()] == ["copy.db"]
    other = await open_store(copy)
    rows = await everything(other, "s")
    assert rows == [record(n + 1) for n in range(len(rows))]
    await other.submit("s", len(rows), [record(len(rows) + 1)])
    await other.close()


async def test_a_new_process_owns_every_stream_and_fences_grow(path):
    store = await open_store(path)
    await store.submit("execution:s", 0, [record(1)], entries=[Entry("execution", "s")])
    (old,) = await store.claim("a", until=10**15, limit=1, now=0)
    await store.close()
    store = await open_store(path)
    (new,) = await store.claim("b", until=10**15, limit=1, now=0)
    assert new.fence > old.fence
    assert await fate(store.submit("execution:s", 0, [record(1)])) is Conflict
    await store.close()


async def test_heads_are_looked_up_again_when_there_are_too_many(store, monkeypatch):
    monkeypatch.setattr("stepfold_store.sqlite_rows.MOST_HEADS", 3)
    for version in range(3):
        for stream in "abcdef":
            await store.submit(stream, version, [record(version + 1)])
    assert len(store._writer._heads) <= 4
    for stream in "abcdef":
        assert await everything(store, stream) == [record(1), record(2), record(3)]


async def test_a_full_group_makes_way_for_the_next(store, monkeypatch):
    monkeypatch.setattr("stepfold_store.sqlite.GROUP_BYTES", 10 * 2048)
    db = tamper(store)
    tickets = [store.submit("s", n, [record(n + 1)]) for n in range(95)]
    assert store.backlog == 95
    assert {await fate(ticket) for ticket in tickets} == {None}
    assert 10 <= db.statements.count("COMMIT") <= 12


async def test_the_store_lives_and_ends_within_asyncio_run(path):
    code = """
import asyncio, sys
from stepfold_store import Record, open_store
async def main():
    store = await open_store(sys.argv[1])
    try:
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
    finally:
        ticket = store.submit("s", 0, [Record(1, 1, 0, b"[]")])
        await store.close()
        await ticket
        print("written")
try:
    asyncio.run(main())
except asyncio.CancelledError:
    print("cancelled")
"""
    with child(code, path) as process:
        assert process.communicate(timeout=20)[0] == "written\ncancelled\n"


async def test_watchers_of_one_stream_share_and_leave(store):
    async with aclosing(store.watch("s")) as one, aclosing(store.watch("s")) as two:
        assert [await anext(one), await anext(two)] == [0, 0]
        await store.submit("s", 0, [record(1)])
        assert [await anext(one), await anext(two)] == [1, 1]
    assert store._watched == {}


async def test_an_empty_file_that_was_opened_before_is_not_made_a_store_in_silence(path):
    with structlog.testing.capture_logs() as logs:
        await (await open_store(path)).close()
        await (await open_store(path)).close()
    assert not logs
    path.write_bytes(b"")
    with structlog.testing.capture_logs() as logs:
        await (await open_store(path)).close()
    assert [(line["log_level"], line["event"]) for line in logs] == [("warning", "an_empty_file_becomes_a_new_store")]
