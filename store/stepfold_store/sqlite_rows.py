"""What runs on a SQLite connection's own thread: rows written and read, one function a hop.

Nothing here awaits. `Writer` decides each append of a group against the heads it remembers, and writes the group in one
transaction; the reading functions take a read-only connection. The statements are in `sqlite.sql`.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any, final

import msgspec

from stepfold_store.contract import (
    MOST_MESSAGES,
    Conflict,
    Damaged,
    Entry,
    Lease,
    LeaseLost,
    Message,
    Page,
    Record,
    Snapshot,
    StoreError,
    has_ended,
    page_of,
    place_of,
    spoken_for,
)
from stepfold_store.refusals import Refusals

SOME_ROWS = 256
"""Rows handed out at a time by a reading, unless their bytes come first."""
SOME_BYTES = 1 << 20
"""Bytes after which a reading hands out what it has."""
UNREADABLE = sqlite3.DatabaseError, UnicodeDecodeError
"""What a damaged file comes to; where names are damaged, too, SQLite's own words about it cannot be decoded."""
MOST_HEADS = 1 << 16
"""Heads remembered; past that they are all dropped and looked up again."""

_PARTS = re.split(
    r"^-- name: (\w+)\n", files(__package__).joinpath("sqlite.sql").read_text("utf-8"), flags=re.MULTILINE
)
SQL = {name: text.strip() for name, text in zip(_PARTS[1::2], _PARTS[2::2], strict=True)}
"""Each statement by its name."""


def _add_rows(count: int) -> str:
    """The statement that adds so many rows at once; a row of many costs a third less than one by itself."""
    one = SQL["add_row"].removesuffix(";")
    return one + f",\n{one.splitlines()[-1]}" * (count - 1)


_COLUMNS = SQL["add_row"].count("?")
_ADD_ROWS = [(count * _COLUMNS, _add_rows(count)) for count in (64, 16, 4, 1)]
"""Statements, each with how many values it takes."""
_DAMAGES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""What SQLite says of a page that cannot be what was written; a disk that fails to answer may answer later."""
_OF_ONE_TABLE = _DAMAGES | {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG}
"""What it says where a table is not as this release makes it, or holds what it does not take."""
_columns = struct.Struct(">5q").pack
_newest = (1 << 63) - 1, "\U0010ffff"
_oldest = -1 << 63, ""


def seed(stream: str) -> bytes:
    """What the first row's checksum is chained to: the stream's name."""
    return hashlib.blake2b(stream.encode(), digest_size=16).digest()


def chained(before: bytes, record: Record) -> bytes:
    """A row's checksum: over the row before and all that the record says."""
    numbers = _columns(record.first, record.last, record.first_id, record.last_id, record.at)
    return hashlib.blake2b(before + numbers + record.body, digest_size=16).digest()


def sealed(chain: bytes, body: bytes) -> bytes:
    """A snapshot's checksum: over that of the row it goes up to, and with it over all before, and over its body."""
    return hashlib.blake2b(chain + body, digest_size=16).digest()


class Append(msgspec.Struct, eq=False):
    """One queued append, which reaches a version and is the store's submit `number`, and its fate."""

    stream: str
    expected: int
    records: Sequence[Record]
    reached: int
    fence: int
    entries: Sequence[Entry]
    consumed: Sequence[int]
    snapshot: bytes | None
    number: int
    error: Exception | None = None


@final
class Job(msgspec.Struct, eq=False):
    """One queued write that is no append: a function of the writer, and what came of it."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: Any = None
    error: Exception | None = None


class _Head:
    """Where a stream ends: its number (None until it has a row), last version, last checksum, fence."""

    __slots__ = ("checksum", "fence", "key", "last")

    def __init__(self, key: int | None, last: int, checksum: bytes, fence: int) -> None:
        self.key, self.last, self.checksum, self.fence = key, last, checksum, fence


class Writer:
    """The only one who writes: the connection's thread calls it; the event loop tells it what was heard of refusals.

    After an exception out of `commit` its memory of the heads may be ahead of the file, and the file may or may not
    hold the group: it must not be called again. `snapshots` names the streams that may have one.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.refusals = Refusals()
        self.grown: dict[str, int] = {}
        self._heads: dict[str, _Head] = {}
        self._last_key: int = db.execute(SQL["last_key"]).fetchone()[0]
        self._streams: list[tuple[Any, ...]] = []
        self._rows: list[Any] = []
        self._entries: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._consumed: list[tuple[int, str]] = []
        self._snapshots: dict[int, tuple[Any, ...] | None] = {}
        self.snapshots = with_snapshots(db)

    def commit(self, group: Sequence[Append | Job]) -> dict[str, int]:
        """Decide and write a group in one transaction; returns the streams that grew, with their versions."""
        if len(self._heads) > MOST_HEADS:
            self._heads.clear()
        self.grown = {}
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for item in group:
                if type(item) is Job:
                    self._flush()
                    item.result = item.work(self, *item.arguments)
                else:
                    self._append(item)
            self._flush()
            self.db.execute("COMMIT")
        except BaseException:
            # Lets go of the lock; it cannot undo a commit that reached the disk before its error.
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise
        return self.grown

    def _head(self, stream: str) -> _Head:
        head = self._heads.get(stream)
        if head is None:
            row = self.db.execute(SQL["head"], (stream,)).fetchone() or (None, None, None, 0)
            head = self._heads[stream] = _Head(row[0], row[1] or 0, row[2] or seed(stream), row[3])
        return head

    def _append(self, append: Append) -> None:
        stream = append.stream
        head, doubts = self._heads.get(stream) or self._head(stream), bool(self.refusals)
        if append.expected != head.last or append.fence or doubts:
            refusal = self._refusal(append, head)
            if refusal is not None:
                append.error = refusal
                self.refusals.add(stream, append.reached, append.number)
                return
        if head.key is None and (append.records or append.entries):  # entries are forgotten with their stream, too
            head.key = self._last_key = self._last_key + 1
            self._streams.append((head.key, stream))
        if append.records:
            for one in append.records:
                head.checksum = checksum = chained(head.checksum, one)
                self._rows += (head.key, one.first, one.last, one.at, one.body, one.first_id, one.last_id, checksum)
            head.last = self.grown[stream] = append.reached
            if doubts:
                self.refusals.passed(stream, append.reached)
        if append.snapshot is not None and head.key and head.last:
            seal = sealed(head.checksum, append.snapshot)
            self._snapshots[head.key] = (head.key, append.reached, append.snapshot, seal)
            self.snapshots.add(stream)
        for entry in append.entries:
            self._entries[entry.kind, entry.key] = _entry_row(entry, head.key)
            if head.key is not None and stream in self.snapshots and has_ended(stream, entry):
                self._snapshots[head.key] = None
                self.snapshots.discard(stream)
        for number in append.consumed:
            self._consumed.append((number, stream))

    def _refusal(self, append: Append, head: _Head) -> Exception | None:
        if append.fence and append.fence != head.fence:
            return LeaseLost(f"{append.stream}: fence {append.fence} is old, {head.fence} holds it")
        if append.expected != head.last:
            return Conflict(f"{append.stream}: version {append.expected} was expected, {head.last} is the last")
        if self.refusals and self.refusals.doom(append.stream, append.expected, append.number):
            return Conflict(f"{append.stream}: what this was decided on was refused")
        return None

    def _flush(self) -> None:
        for name, rows in (
            ("add_stream", self._streams),
            ("add_entry", list(self._entries.values())),
            ("consume", self._consumed),
        ):
            if rows:
                self.db.executemany(SQL[name], rows)
        self._flush_rows()
        self._streams.clear()
        self._entries.clear()
        self._consumed.clear()
        if self._snapshots:
            self._flush_snapshots()

    def _flush_rows(self) -> None:
        written = 0
        for size, statement in _ADD_ROWS:
            while len(self._rows) - written >= size:
                self.db.execute(statement, self._rows[written : written + size])
                written += size
        self._rows.clear()

    def _flush_snapshots(self) -> None:
        """Damage to what may be lost must not end all writing: then there are no snapshots any more, that is all."""
        self.db.execute("SAVEPOINT snapshots")
        try:
            for key, row in self._snapshots.items():
                self.db.execute(SQL["add_snapshot" if row else "drop_snapshot"], row or (key,))
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _OF_ONE_TABLE:
                raise
            self.db.execute("ROLLBACK TO snapshots")
        self.db.execute("RELEASE snapshots")
        self._snapshots.clear()

    def drop_snapshots(self) -> int:
        """Remove all snapshots; how many there were."""
        self.snapshots.clear()
        return self.db.execute(SQL["drop_snapshots"]).rowcount

    def post(self, stream: str, body: bytes) -> int | None:
        """Leave a message; None where too many are waiting."""
        if self.db.execute(SQL["waiting"], (stream,)).fetchone()[0] >= MOST_MESSAGES:
            return None
        return self.db.execute(SQL["post"], (stream, body)).lastrowid

    def put(self, entries: Sequence[Entry], texts: Sequence[tuple[str, bytes]]) -> None:
        """Write entries that belong to no stream, and texts with their digests."""
        self.db.executemany(SQL["add_entry"], [_entry_row(entry, None) for entry in entries])
        self.db.executemany(SQL["add_text"], texts)

    def claim(self, owner: str, until: int, limit: int, now: int) -> list[Lease]:
        """Take streams that are due, each under a new fence."""
        taken = []
        for key, stream in self.db.execute(SQL["claimable"], {"now": now, "limit": limit}).fetchall():
            (fence,) = self.db.execute(SQL["next_fence"]).fetchone()
            self.db.execute(SQL["take"], (key, owner, fence, until))
            self._head(stream).fence = fence
            taken.append(Lease(stream, owner, fence, until))
        return taken

    def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        self.db.executemany(SQL["release"], [(lease.stream, lease.fence) for lease in leases])

    def forget(self, stream: str) -> bool:
        """Remove a stream; False if it has not ended."""
        kind, key = spoken_for(stream)
        if self.db.execute(SQL["still_open"], (kind, key)).fetchone():
            return False
        if stream in self.snapshots and (number := self._head(stream).key) is not None:
            self._snapshots[number] = None
            self._flush_snapshots()
            self.snapshots.discard(stream)
        for statement in SQL["forget"].split(";\n"):
            self.db.execute(statement, {"stream": stream, "kind": kind, "key": key})
        self._heads.pop(stream, None)
        self.refusals.forget(stream)
        return True


def _entry_row(entry: Entry, stream: int | None) -> tuple[Any, ...]:
    return (
        entry.kind,
        entry.key,
        entry.parent,
        entry.status,
        entry.started,
        entry.ended,
        entry.due,
        entry.data,
        stream,
    )


class Reading:
    """A walk along a stream, some records a hop; each row is checked against the one before it.

    It remembers a place and a checksum between hops instead of an open cursor: a reader that rests must not keep the
    WAL from being folded back into the file. `over` is known with the last records: a hop to hear of no more would
    double what a short stream costs.
    """

    def __init__(self, stream: str, after: int, *, reverse: bool) -> None:
        self.stream, self.after, self.reverse = stream, after, reverse
        self._place: int | None = None
        self._before: bytes | None = None
        self._next = self._size = 0
        self.over = False

    def more(self, db: sqlite3.Connection) -> list[Record]:
        """The next records; none at the end."""
        self._next, self._size = self._place or self.after + 1, 0
        found: list[Record] = []
        self.over = True
        try:
            return self._more_back(db) if self.reverse else self._more(db, found)
        except Damaged:
            if not found:
                raise
            self.over = False
            return found  # what is whole is handed out first; the next hop comes upon the damage at once
        except (*UNREADABLE, TypeError) as error:  # a page, or a number that is none
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGES:
                raise
            if found:
                self.over = False
                return found
            raise self._damage(self._next, str(error)) from error

    def _more(self, db: sqlite3.Connection, found: list[Record]) -> list[Record]:
        if self._place is None:
            question = {"stream": self.stream, "after": self.after}
            self._place = (db.execute(SQL["start_of_reading"], question).fetchone() or (1,))[0]
            self._before = seed(self.stream) if self._place == 1 else None
        for record, checksum in self._rows(db, "read", self._place):
            if self._before is not None:
                self._check(record, self._place, self._before, checksum)
            self._place, self._before = record.last + 1, checksum
            self._next = self._place
            if record.last > self.after:
                found.append(record)
                if self._are_some(found):
                    break
        return found

    def _more_back(self, db: sqlite3.Connection) -> list[Record]:
        found: list[Record] = []
        later: tuple[Record, bytes] | None = None
        for record, checksum in self._rows(db, "read_back", _newest[0] if self._place is None else self._place):
            if later is not None:
                self._check(later[0], record.last + 1, checksum, later[1])
                found.append(later[0])
                later = None
                if self._are_some(found):
                    break
            elif self._place is not None and record.last != self._place:
                raise self._damage(self._place, "it is missing")
            if record.last <= self.after:
                break
            later = record, checksum
            self._next = record.first - 1
        if later is not None:
            self._check(later[0], 1, seed(self.stream), later[1])
            found.append(later[0])
        if found:
            self._place = found[-1].first - 1
        return found

    def _rows(self, db: sqlite3.Connection, name: str, place: int) -> Iterator[tuple[Record, bytes]]:
        cursor = db.execute(SQL[name], {"stream": self.stream, "place": place})
        try:
            for *values, checksum in cursor:
                yield Record(*values), checksum
        finally:
            cursor.close()

    def _check(self, record: Record, first: int, before: bytes, checksum: bytes) -> None:
        if record.first != first:
            raise self._damage(first, "it is missing")
        try:
            fits = chained(before, record) == checksum
        except (TypeError, struct.error):  # SQLite keeps whatever kind of value it is given
            fits = False
        if not fits:
            raise self._damage(record.first, "its checksum does not fit")

    def _are_some(self, found: list[Record]) -> bool:
        self._size += len(found[-1].body)
        self.over = len(found) < SOME_ROWS and self._size < SOME_BYTES
        return not self.over

    def _damage(self, event: int, what: str) -> Damaged:
        return Damaged(self.stream, event, what)


def version(db: sqlite3.Connection, stream: str) -> int:
    """A stream's committed version, 0 if there is none."""
    return int((db.execute(SQL["version"], (stream,)).fetchone() or (0,))[0])


def with_snapshots(db: sqlite3.Connection) -> set[str]:
    """The streams that have a snapshot, as far as that can be read."""
    with contextlib.suppress(*UNREADABLE):
        return {name for (name,) in db.execute(SQL["with_snapshots"])}
    return set()


def snapshot(db: sqlite3.Connection, stream: str) -> Snapshot | None:
    """A stream's snapshot, where it is as it was written and the log has the row that it goes up to."""
    try:
        version, body, checksum, chain = db.execute(SQL["snapshot"], (stream,)).fetchone() or (0, b"", b"", b"")
        return Snapshot(version, body) if version and sealed(chain, body) == checksum else None
    except (*UNREADABLE, TypeError):  # (SQLite keeps whatever kind of value it is given)
        return None


def peek(db: sqlite3.Connection, stream: str) -> list[Message]:
    """The messages waiting for a stream."""
    return [Message(*row) for row in db.execute(SQL["peek"], (stream,))]


def entry(db: sqlite3.Connection, kind: str, key: str) -> Entry | None:
    """One entry."""
    row = db.execute(SQL["entry"], (kind, key)).fetchone()
    return Entry(*row) if row else None


def entries(
    db: sqlite3.Connection,
    kind: str,
    parent: str | None,
    status: str | None,
    newest_first: bool,
    after: str | None,
    limit: int,
) -> Page:
    """A page of entries."""
    statement = SQL["entries"]
    if parent is None:
        statement = statement.replace("AND parent = :parent", "")
    if status is None:
        statement = statement.replace("AND status = :status", "")
    if not newest_first:
        statement = statement.replace("<", ">").replace("DESC", "ASC")
    started, key = place_of(after) if after is not None else _newest if newest_first else _oldest
    question = {
        "kind": kind,
        "parent": parent,
        "status": status,
        "started": started,
        "key": key,
        "limit": limit + 1,
    }
    return page_of([Entry(*row) for row in db.execute(statement, question)], limit)


def text(db: sqlite3.Connection, digest: str) -> bytes | None:
    """A text by its digest, checked against it."""
    row = db.execute(SQL["text"], (digest,)).fetchone()
    if row is None:
        return None
    body = bytes(row[0])
    if hashlib.sha256(body).hexdigest() != digest:
        raise StoreError(f"the text {digest} is damaged; restore it from a backup")
    return body
