"""How writes come together in commits: what the event loop and the writer's thread hand each other, in what order."""

import sqlite3
import sys
import threading
from contextlib import closing

import anyio
import pytest
import structlog
from tests.store.rows import everything, fate, record

from stepfold_store import StoreClosed, open_store, sqlite

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
async def store(path):
    store = await open_store(path)
    yield store
    await store.close()


class Gate:
    """The writing connection, each of whose commits waits at `COMMIT` until it is let through, or fails there."""

    def __init__(self, store):
        self._db = store._writer.db
        self._arrived, self._open = threading.Semaphore(0), threading.Semaphore(0)
        self.fails, self.commits = False, 0
        store._writer.db = self

    def execute(self, statement, *arguments):
        if statement == "COMMIT":
            self.commits += 1
            self._arrived.release()
            assert self._open.acquire(timeout=20)
            if self.fails:
                raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *arguments)

    def executemany(self, statement, rows):
        return self._db.executemany(statement, rows)

    def wait(self):
        """Until the next commit is at the gate. The event loop stands still meanwhile."""
        assert self._arrived.acquire(timeout=20)

    def let(self, count=1):
        self._open.release(count)


async def written(path, stream):
    again = await open_store(path)
    try:
        return await everything(again, stream)
    finally:
        await again.close()


async def test_the_next_group_is_written_without_the_event_loop(store):
    gate = Gate(store)
    first = store.submit("s", 0, [record(1)])
    gate.wait()
    second = store.submit("s", 1, [record(2)])
    gate.let()
    gate.wait()  # (no await in between)
    gate.let()
    assert (await fate(first), await fate(second)) == (None, None)


async def test_a_group_is_told_of_while_the_next_is_being_written(store):
    gate = Gate(store)
    first = store.submit("s", 0, [record(1)])
    gate.wait()
    second = store.submit("s", 1, [record(2)])
    gate.let()
    gate.wait()
    with anyio.fail_after(20):
        assert await fate(first) is None
    assert await everything(store, "s") == [record(1)]
    assert store.backlog == 1
    gate.let()
    assert await fate(second) is None


async def test_what_comes_during_a_commit_is_one_group(store):
    gate = Gate(store)
    tickets = [store.submit("s", 0, [record(1)])]
    gate.wait()
    for number in range(1, 40):
        tickets.append(store.submit("s", number, [record(number + 1)]))
        await anyio.lowlevel.checkpoint()
    gate.let(2)
    assert {await fate(ticket) for ticket in tickets} == {None}
    assert gate.commits == 2


async def test_nothing_slips_into_a_group_that_was_taken():
    """A write is added or it is not; it is never added to what the thread has looked through."""
    group = sqlite._Group()
    seen = []

    class Writes(list):
        def append(self, write):
            thread = threading.Thread(target=lambda: seen.extend(group.take()))
            thread.start()
            thread.join(0.05)  # the thread cannot come to its end before this append does
            super().append(write)
            self.thread = thread

    group.writes = Writes()
    added = group.add("write", 1, 0)
    group.writes.thread.join()
    assert (added, seen) == (True, ["write"])
    assert not group.add("another", 1, 0)
    assert seen == group.take() == ["write"]


async def test_whatever_is_accepted_is_written_in_order_however_the_threads_take_turns(store):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with anyio.fail_after(60):
            tickets = []
            for number in range(4_000):
                tickets.append(store.submit("s", number, [record(number + 1)]))
                if number % 7 == 0:
                    await anyio.lowlevel.checkpoint()
            assert {await fate(ticket) for ticket in tickets} == {None}
    finally:
        sys.setswitchinterval(interval)
    assert [row.first for row in await everything(store, "s")] == list(range(1, 4_001))
    assert (store.backlog, store.backlog_bytes) == (0, 0)


async def test_a_close_commits_what_is_being_written_and_what_waits(store, path):
    gate = Gate(store)
    first = store.submit("s", 0, [record(1)])
    gate.wait()
    second = store.submit("s", 1, [record(2)])
    async with anyio.create_task_group() as group:
        group.start_soon(store.close)
        while (await store.health()).writable:
            await anyio.lowlevel.checkpoint()
        late = store.submit("s", 2, [record(3)])
        gate.let(2)
        assert [await fate(ticket) for ticket in (first, second, late)] == [None, None, StoreClosed]
    assert await written(path, "s") == [record(1), record(2)]


async def test_all_behind_a_failed_group_fall_and_what_was_before_stands(store, path, monkeypatch):
    monkeypatch.setattr(sqlite, "GROUP_BYTES", 1)  # each write is a group
    gate = Gate(store)
    tickets = [store.submit("s", number, [record(number + 1)]) for number in range(5)]
    gate.wait()
    gate.let()
    gate.wait()
    gate.fails = True
    gate.let(5)
    with structlog.testing.capture_logs() as logs, anyio.fail_after(20):
        assert [await fate(ticket) for ticket in tickets] == [None] + [StoreClosed] * 4
    assert [line["event"] for line in logs] == ["store_closed_for_writing"]
    assert (store.backlog, store.backlog_bytes) == (0, 0)
    assert await fate(store.submit("s", 1, [record(2)])) is StoreClosed
    await store.close()
    assert await written(path, "s") == [record(1)]


async def test_a_row_that_the_file_refuses_takes_its_group_with_it(store, path):
    await store.submit("s", 0, [record(1)])
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO log SELECT NULL, stream, 3, 3, at, body, first_id, last_id, checksum FROM log WHERE first = 1"
        )
        db.commit()
    with structlog.testing.capture_logs():
        other = store.submit("t", 0, [record(1)])
        assert await fate(store.submit("s", 1, [record(2), record(3), record(4)])) is StoreClosed
        assert await fate(other) is StoreClosed
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT stream, first FROM log ORDER BY 1, 2").fetchall() == [(1, 1), (1, 3)]


@pytest.mark.parametrize("count", [1, 4, 5, 16, 21, 64, 85, 149])
async def test_rows_are_written_in_order_however_many_share_a_statement(store, count):
    rows = [record(number) for number in range(1, count + 1)]
    await store.submit("s", 0, rows)
    assert await everything(store, "s") == rows


async def test_a_writer_that_is_cancelled_begins_nothing_more(store, path):
    gate = Gate(store)
    under_way = store.submit("s", 0, [record(1)])
    gate.wait()
    waiting = store.submit("s", 1, [record(2)])
    store._task.cancel()
    assert [await fate(ticket) for ticket in (under_way, waiting)] == [StoreClosed] * 2
    gate.let(2)
    await store.close()
    assert await written(path, "s") == [record(1)]


LEFT = """
import asyncio, sys, threading
from stepfold_store import Record, open_store
begun, go_on, committed = threading.Event(), threading.Event(), []
async def main():
    store = await open_store(sys.argv[1])
    commit = store._writer.commit
    def held(group):
        begun.set()
        assert go_on.wait(20)
        committed.append(group)
        return commit(group)
    store._writer.commit = held
    for number in range(int(sys.argv[2])):
        store.submit("s", number, [Record(number + 1, number + 1, 0, b"[]")])
        while not begun.is_set():
            await asyncio.sleep(0)
    threading.Timer(0.1, go_on.set).start()
asyncio.run(main())
print(len(committed))
"""


@pytest.mark.parametrize("count", [0, 1])
async def test_an_event_loop_that_ends_with_an_open_store_lets_the_commit_under_way_end_first(path, count):
    child = [sys.executable, "-W", "ignore", "-c", LEFT, str(path), str(count)]
    ended = await anyio.run_process(child, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"%d\n" % count, b"")
    assert len(await written(path, "s")) == count
