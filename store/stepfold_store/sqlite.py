"""The store on SQLite: one writer that gathers what was submitted into commits, readers that never disturb it.

`submit` puts an append into the group that is open. The writing connection's thread stays with the groups for as long
as the store is open (one hop, `_write`): it takes the oldest as it is, decides and writes it in one transaction, tells
the event loop of the commit, and takes the next. So the disk never waits for the loop while there is something to
write, and a group costs the thread and the loop a wake-up each, however many appends it holds. aiosqlite's public calls
would need a hop a statement (the two more per commit cost a quarter of the speed of `benchmarks/append.py`), hence
`_execute`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, TypeVar

import aiosqlite
import anyio
import anyio.to_thread
import structlog

from stepfold_store import sqlite_file, sqlite_rows, sqlite_wal
from stepfold_store.contract import (
    Durability,
    Entry,
    Full,
    Health,
    Lease,
    Message,
    Page,
    Record,
    Snapshot,
    StoreClosed,
    StoreError,
    check_append,
)
from stepfold_store.sqlite_rows import Append, Job, Reading, Writer

T = TypeVar("T")

READERS = 2
"""Read-only connections of a store."""
GROUP_BYTES = 8 << 20
"""Bytes after which a group is full and the next begins."""
WRITE_BYTES = 2 << 10
"""What a write weighs besides what it carries, so that a group of very many small ones is full too."""
log = structlog.get_logger("stepfold.store")


class _Group:
    """What shares a commit, filled by the event loop until it is full or the writer's thread takes it."""

    __slots__ = ("carried", "closed", "decided", "lock", "size", "waiters", "writes")

    def __init__(self) -> None:
        self.writes: list[Append | Job] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.size = self.carried = 0
        self.closed = self.decided = False
        self.lock = Lock()

    def add(self, write: Append | Job, size: int, beside: int) -> bool:
        """Add a write that carries `size` bytes, and `beside` that are no backlog; False if it is too late for that."""
        with self.lock:
            if self.closed:
                return False
            self.writes.append(write)
        self.carried += size
        self.size += size + beside + WRITE_BYTES
        if self.size >= GROUP_BYTES:
            self.closed = True
        return True

    def take(self) -> list[Append | Job]:
        """All that was added; nothing is from now on."""
        with self.lock:
            self.closed = True
        return self.writes

    def decision(self) -> asyncio.Future[None]:
        """What to wait on until all is decided. Whoever is cancelled meanwhile cancels this, and no write."""
        self.waiters.append(waiter := asyncio.get_running_loop().create_future())
        return waiter

    def decide(self) -> None:
        """Wake all who wait: each write has its outcome."""
        self.decided = True
        self.writes = []  # their tickets refer to this group: together they would be garbage for the collector
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


_DECIDED = _Group()
_DECIDED.closed = _DECIDED.decided = True


class _Ticket(Append, eq=False, kw_only=True):
    """An append that can be awaited."""

    store: SqliteStore
    group: _Group = _DECIDED

    def __await__(self) -> Generator[Any, Any, None]:
        if not self.group.decided:
            yield from self.group.decision()
        if self.error is not None:
            self.store.told(self)
            raise self.error


class _Watched:
    """A stream somebody watches: its version as last heard, and what wakes them."""

    __slots__ = ("version", "wake", "watchers")

    def __init__(self) -> None:
        self.version, self.watchers, self.wake = -1, 0, asyncio.Event()


class SqliteStore:
    """A store in a SQLite file (see `contract.Store`). Made by `open_sqlite`.

    One opened to read only is a store that was closed for writing from its first moment.
    """

    def __init__(self, path: Path, location: str, durability: str, poll: float) -> None:
        self.location = location
        self.orphaned = False
        self._path, self._durability, self._poll = path, durability, poll
        self._lock: sqlite_file.Lock | None = None
        self._readers: list[aiosqlite.Connection] = []
        self._turn = 0
        self._connection: aiosqlite.Connection | None = None
        self._writer: Writer | None = None
        self._task: asyncio.Task[None] | None = None
        self._group = _DECIDED
        self._groups: deque[_Group] = deque()
        self._queue: SimpleQueue[_Group | None] = SimpleQueue()
        self._submitted = 0
        self._alarm = sqlite_file.WalAlarm(path)
        self._watched: dict[str, _Watched] = {}
        self._reason: str | None = None
        self._cause = ""
        self._closing: asyncio.Task[None] | None = None

    async def _open(self, durability: Durability | None) -> None:
        sqlite_file.refuse_cut(self._path)
        if durability is not None:
            sqlite_file.prepare(self._path)
            self._lock = sqlite_file.lock(self._path)
            if durability == "full":  # else a loss of power may well take commits out of the midst
                await anyio.to_thread.run_sync(sqlite_wal.refuse, self._path)
            sqlite_file.warn_of_loss(self._path, self._lock)
            self.orphaned = self._lock.orphaned
            self._connection = await sqlite_file.connect(self._path, read_only=False)
            db = self._connection._conn  # noqa: SLF001
            await self._hop(self._connection, sqlite_file.set_up, db, self._path, durability)
            self._writer = await self._hop(self._connection, Writer, db)
        else:
            self._reason = "the store was opened read-only"
        for _ in range(READERS):
            self._readers.append(await sqlite_file.connect(self._path, read_only=True))
            await self._read(sqlite_file.check, self._path)
        if self._connection is not None and self._writer is not None:
            self._task = asyncio.create_task(self._write(self._connection, self._writer))

    @staticmethod
    async def _hop(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: Any) -> T:
        execute: Callable[..., Awaitable[T]] = connection._execute  # noqa: SLF001  (pinned by a test)
        return await execute(work, *arguments)

    async def _read(self, work: Callable[..., T], *arguments: Any) -> T:
        if not self._readers:
            raise StoreClosed("the store was closed")
        self._turn = (self._turn + 1) % len(self._readers)
        reader = self._readers[self._turn]
        try:
            return await self._hop(reader, work, reader._conn, *arguments)  # noqa: SLF001
        except sqlite_rows.UNREADABLE as error:
            raise StoreError(f"{self._path} cannot be read: {error}") from error

    # Writing

    @property
    def backlog(self) -> int:
        """Writes not yet decided."""
        return sum(len(group.writes) for group in self._groups)

    @property
    def backlog_bytes(self) -> int:
        """What they carry."""
        return sum(group.carried for group in self._groups)

    def submit(
        self,
        stream: str,
        expected: int,
        records: Sequence[Record],
        *,
        fence: int = 0,
        entries: Sequence[Entry] = (),
        consumed: Sequence[int] = (),
        snapshot: bytes | None = None,
    ) -> _Ticket:
        """Queue one append."""
        reached, size = check_append(expected, records)
        self._submitted += 1
        ticket = _Ticket(
            stream, expected, records, reached, fence, entries, consumed, snapshot, self._submitted, store=self
        )
        ticket.group = self._enqueue(ticket, size, 0 if snapshot is None else len(snapshot))
        return ticket

    def _enqueue(self, write: Append | Job, size: int, beside: int = 0) -> _Group:
        if self._reason is not None:
            write.error = StoreClosed(self._reason, self._cause)
            return _DECIDED
        if not self._group.add(write, size, beside):
            self._group = group = _Group()
            group.add(write, size, beside)
            self._groups.append(group)
            self._queue.put(group)
        return self._group

    async def _job(self, work: Callable[..., T], size: int, *arguments: Any) -> T:
        job = Job(work, arguments)
        group = self._enqueue(job, size)
        if not group.decided:
            await group.decision()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def _write(self, connection: aiosqlite.Connection, writer: Writer) -> None:
        """Have the connection's thread write until the store closes; the first error ends it, and all writing."""
        try:
            await self._hop(connection, self._commit_all, writer, asyncio.get_running_loop())
        except asyncio.CancelledError:  # the event loop ends, and nobody closed the store
            self._reason = self._reason or f"{self._path} was not closed, and its event loop ends"
            self._reject()
            await self._hop(connection, int)  # until the thread has come back: it must not call on a closed loop
            raise
        except BaseException as error:
            self._give_up(error)
            if not isinstance(error, Exception):
                raise

    def _commit_all(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        """What the connection's thread does: commit group after group, until None comes."""
        for group in iter(self._queue.get, None):
            grown = writer.commit(group.take())
            loop.call_soon_threadsafe(self._committed, group, grown)

    def _committed(self, group: _Group, grown: dict[str, int]) -> None:
        if group.decided:  # the event loop ends, and all were told otherwise
            return
        self._groups.popleft()
        group.decide()
        if self._watched:
            self._tell(grown)
        self._alarm.look()

    def _give_up(self, error: BaseException) -> None:
        """Close for writing: what the failed commit left on the disk only a fresh open can tell."""
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        self._cause = f"{name}: {error}"
        self._reason = f"{self._path}: a commit failed ({self._cause}); open the store anew to see what was written"
        self._reject()  # first of all: the log may go to the very disk that is full
        errno = getattr(error, "sqlite_errorcode", None)
        with contextlib.suppress(OSError):
            log.error("store_closed_for_writing", path=str(self._path), error=name, errno=errno)

    def _reject(self) -> None:
        """Tell all who wait that nothing more is written, and take from the thread what it has not begun."""
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        for group in self._groups:
            for write in group.take():
                write.error = StoreClosed(self._reason or "", self._cause)
            group.decide()
        self._groups.clear()
        for watched in self._watched.values():
            watched.wake.set()

    def told(self, append: Append) -> None:
        """Somebody heard that an append was refused: what is submitted from here on is decided afresh."""
        if self._writer is not None:
            self._writer.refusals.heard(append.stream, append.number, self._submitted)

    async def drop_snapshots(self) -> int:
        """Throw all snapshots away."""
        return await self._job(Writer.drop_snapshots, 0)

    async def post(self, stream: str, body: bytes) -> int:
        """Leave a message."""
        number = await self._job(Writer.post, len(body), stream, body)
        if number is None:
            raise Full(stream)
        return number

    async def claim(self, owner: str, *, until: int, limit: int, now: int) -> list[Lease]:
        """Take streams that are due."""
        return await self._job(Writer.claim, 0, owner, until, limit, now)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        await self._job(Writer.release, 0, leases)

    async def put(self, entries: Sequence[Entry], texts: Sequence[bytes] = ()) -> None:
        """Write entries and texts."""
        named = [(hashlib.sha256(text).hexdigest(), text) for text in texts]
        await self._job(Writer.put, sum(map(len, texts)), entries, named)

    async def forget(self, stream: str) -> None:
        """Remove an ended stream."""
        if not await self._job(Writer.forget, 0, stream):
            raise ValueError(f"{stream} has not ended: only what has ended can be forgotten")

    # Reading

    async def read(self, stream: str, after: int = 0, *, reverse: bool = False) -> AsyncIterator[list[Record]]:
        """Records past version `after`."""
        reading = Reading(stream, after, reverse=reverse)
        while not reading.over and (some := await self._read(reading.more)):
            yield some

    async def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's snapshot; where it has none, as most have, that is known without asking the file."""
        if self._writer is not None and stream not in self._writer.snapshots:
            return None
        return await self._read(sqlite_rows.snapshot, stream)

    async def peek(self, stream: str) -> list[Message]:
        """The messages waiting for a stream."""
        return await self._read(sqlite_rows.peek, stream)

    async def entries(
        self,
        kind: str,
        *,
        parent: str | None = None,
        status: str | None = None,
        newest_first: bool = True,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Entries of a kind."""
        return await self._read(sqlite_rows.entries, kind, parent, status, newest_first, after, limit)

    async def entry(self, kind: str, key: str) -> Entry | None:
        """One entry."""
        return await self._read(sqlite_rows.entry, kind, key)

    async def text(self, digest: str) -> bytes | None:
        """A text kept by content."""
        return await self._read(sqlite_rows.text, digest)

    async def watch(self, stream: str) -> AsyncIterator[int]:
        """The stream's version, each time it has grown: told by the writer, or polled where another process writes."""
        if self._writer is None:
            async for version in self._poll_for(stream):
                yield version
            return
        watched = self._watched.setdefault(stream, _Watched())
        watched.watchers += 1
        try:
            seen = -1
            watched.version = max(watched.version, await self._read(sqlite_rows.version, stream))
            while True:
                if watched.version > seen:
                    seen = watched.version
                    yield seen
                elif self._reason is not None:
                    return
                else:
                    watched.wake.clear()
                    await watched.wake.wait()
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                self._watched.pop(stream, None)

    async def _poll_for(self, stream: str) -> AsyncIterator[int]:
        seen = -1
        while self._readers:
            version = await self._read(sqlite_rows.version, stream)
            if version > seen:
                seen = version
                yield version
            await anyio.sleep(self._poll)

    def _tell(self, grown: dict[str, int]) -> None:
        for stream in self._watched.keys() & grown.keys():
            watched = self._watched[stream]
            watched.version = grown[stream]
            watched.wake.set()

    async def health(self) -> Health:
        """How the store is."""
        details: dict[str, Any] = {
            "path": str(self._path),
            "durability": self._durability,
            "sqlite": sqlite3.sqlite_version,
            "backlog": self.backlog,
            **sqlite_file.sizes(self._path),
        }
        if details["wal_bytes"] > sqlite_file.WAL_ALARM:
            details["warning"] = "the write-ahead log is large: some process reads without end"
        return Health(self._reason is None, self._reason, details, self._cause or None)

    async def recovered(self) -> bool:
        """Whether the disk takes writes again, as a small file beside the store tells."""
        return await anyio.to_thread.run_sync(sqlite_file.takes_writes, self._path)

    async def backup(self, path: str) -> None:
        """An online copy; writing goes on meanwhile."""
        source = await sqlite_file.connect(self._path, read_only=True)
        try:
            await self._hop(source, sqlite_file.copy, source._conn, Path(path))  # noqa: SLF001
        finally:
            with anyio.CancelScope(shield=True):
                await source.close()

    async def close(self) -> None:
        """Commit what was submitted, then let go of the file; a cancelled caller does not stop it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._finish())
        with anyio.CancelScope(shield=True):
            await asyncio.shield(self._closing)

    async def _finish(self) -> None:
        self._reason = self._reason or "the store was closed"
        self._queue.put(None)
        if self._task is not None:
            await asyncio.wait({self._task})
        self._reject()
        readers, self._readers = self._readers, []
        for connection in readers:
            await connection.close()
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a failing disk was reported already
                await self._connection.close()
        if self._lock is not None:
            self._lock.let_go()


async def open_sqlite(path: Path, durability: Durability = "full", *, location: str = "") -> SqliteStore:
    """The one store of this file that writes, made anew if there is none."""
    path = sqlite_file.true_path(path)
    return await _opened(path, SqliteStore(path, location or str(path), durability, 0), durability)


async def open_sqlite_reader(path: Path, *, location: str = "", poll: float = 0.25) -> SqliteStore:
    """A store that only reads, also while another process writes; `poll` is how often it looks for news (seconds)."""
    path = sqlite_file.true_path(path, there=True)
    return await _opened(path, SqliteStore(path, location or str(path), "read-only", poll), None)


async def _opened(path: Path, store: SqliteStore, durability: Durability | None) -> SqliteStore:
    try:
        with sqlite_file.explained(path):
            await store._open(durability)  # noqa: SLF001
    except BaseException:
        await store.close()
        raise
    return store
