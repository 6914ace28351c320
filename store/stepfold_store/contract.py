"""The promise that every store keeps: append-only streams of records, a catalog, an inbox, texts by content, snapshots.

A store knows bytes, streams and versions; nothing of the States Language. What it promises:

* `submit` is synchronous and never blocks: it queues one append. The ticket it returns is awaited for the outcome;
  cancelling that wait never cancels the write. Appends submitted while a commit is under way share the next one.
* An append is whole or not at all, and is acknowledged only once it is durable. `expected`, the version on which the
  append was decided, must be the stream's last: otherwise `Conflict`, and nothing of it is written. Catalog entries
  and consumed messages of an append change in the same transaction.
* Appends onto one stream may follow each other without a wait. When one is refused, those decided on it are refused
  too, also when their version would fit by chance, until the refusal was heard (`refusals.py`).
* Versions are gapless; a record is never changed. Each record carries a checksum chained to the one before it.
* After any error at commit the store closes for writing: queued appends and all later ones fail with `StoreClosed`,
  reads go on, `health` says why. Only a fresh open tells what was written.
* A snapshot says nothing that its stream does not say, and may be lost at any time. It is written with the append that
  it goes up to, or not at all; it is handed out only as it was written, and beside that very append.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Generator, Sequence
from typing import Any, Literal, Protocol

import msgspec

Durability = Literal["full", "os"]
"""What power loss may take of a store on disk; a process that is killed loses nothing acknowledged under either.

`full`: nothing acknowledged, if the disk honours a flush. `os`: the newest acknowledged appends, back to the last
checkpoint (about a thousand pages of log); what remains is a whole beginning of each stream, never a gap.
"""


class Conflict(Exception):
    """Another append came first: the fold that this one was decided on is old. Fold again."""


class LeaseLost(Exception):
    """Another owner holds the stream now (its fence is higher)."""


class StoreClosed(Exception):
    """The store takes no more writes: it was closed, or an error at commit closed it; the message says which.

    `cause` is what went wrong at the commit, without a path, so that it may be told to anybody; empty after a close.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class StoreError(Exception):
    """A store that cannot be opened or read as it is: locked, newer, damaged, no space; the message says what to do."""


MOST_MESSAGES = 10_000
"""So many messages wait for one stream at most."""


class Full(StoreError):
    """As many messages wait for a stream as may: its owner does not take them."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"{MOST_MESSAGES} messages wait for {stream} already: nobody takes them")


class Damaged(StoreError):
    """One stream cannot be read on: what stands at event number `event` is not what was written there.

    All before `event` is as it was written, where the stream was read from its beginning. Other streams are whole.
    """

    def __init__(self, stream: str, event: int, what: str) -> None:
        super().__init__(
            f"{stream} is damaged at event {event}: {what}. Other streams are not touched by this; "
            "restore this one from a backup, or forget it"
        )
        self.stream, self.event, self.what = stream, event, what


class Record(msgspec.Struct, frozen=True):
    """What one append adds to a stream: one decision.

    `first` and `last` are the versions (event numbers) it covers, `at` milliseconds since the epoch, `body` the
    events as one JSON array. `first_id` and `last_id` are the outward event ids covered (0, 0 when there are none).
    """

    first: int
    last: int
    at: int
    body: bytes
    first_id: int = 0
    last_id: int = 0


class Entry(msgspec.Struct, frozen=True):
    """A row of the catalog: what can be listed and looked up without reading a stream.

    `kind` and `key` name it; `parent` groups (a machine's executions); `status` filters; `started`, `ended` and `due`
    are milliseconds since the epoch; `data` is JSON that the store does not read. Writing an entry of a known kind and
    key replaces it.

    An entry written by an append belongs to its stream and is forgotten with it. The entry `kind`, `key` speaks for the
    stream named `kind:key`: `claim` goes by its `ended` and `due`, `forget` wants it ended.
    """

    kind: str
    key: str
    parent: str = ""
    status: str = ""
    started: int = 0
    ended: int | None = None
    due: int | None = None
    data: bytes = b"{}"


class Snapshot(msgspec.Struct, frozen=True):
    """What a stream's owner made of it up to `version`, to go on from there; the store does not read it."""

    version: int
    body: bytes


class Message(msgspec.Struct, frozen=True):
    """Something said to a stream's owner by another process; `id` is given by the store."""

    id: int
    stream: str
    body: bytes


class Lease(msgspec.Struct, frozen=True):
    """The right to run a stream: `fence` grows with every claim; `until` is milliseconds since the epoch."""

    stream: str
    owner: str
    fence: int
    until: int


class Page(msgspec.Struct, frozen=True):
    """Some entries, and where to go on (`after` for the next call; None at the end)."""

    entries: list[Entry]
    after: str | None = None


class Health(msgspec.Struct, frozen=True):
    """Whether the store takes writes, why not, and figures for a person.

    `cause` is of the reason what may be told to anybody: no path, no statement.
    """

    writable: bool
    reason: str | None = None
    details: dict[str, Any] = {}
    cause: str | None = None


class Ticket(Protocol):
    """The outcome of an append, awaited (at most once): None once durable, else Conflict, LeaseLost, StoreClosed."""

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait for the outcome."""
        ...


class Store(Protocol):
    """See the module's first lines for the promise as a whole."""

    location: str
    """The URL it was opened from."""

    orphaned: bool
    """Whether the process that wrote to it before went away without closing it: it was killed, or it crashed."""

    @property
    def backlog(self) -> int:
        """How many writes were submitted and are not yet decided: what callers look at to slow down."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """How much they carry, but for snapshots, which no caller can slow down."""
        ...

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
    ) -> Ticket:
        """Queue one append: `records` follow version `expected` (0 for a new stream). `fence` 0 is not checked.

        Without records it only checks the version, writes entries and consumes messages. `snapshot` is what the owner
        has made of the stream, this append included: it takes the place of an earlier one, and goes when the entry that
        speaks for the stream ends. Records that do not follow each other are a ValueError. Called on the event loop's
        own thread.
        """
        ...

    def read(self, stream: str, after: int = 0, *, reverse: bool = False) -> AsyncIterator[list[Record]]:
        """Committed records past version `after`, in order, some at a time; raises StoreError where damaged."""
        ...

    async def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's snapshot; None where there is none, or where there is any doubt about it."""
        ...

    async def drop_snapshots(self) -> int:
        """Throw all snapshots away; how many there were, once that is durable."""
        ...

    async def post(self, stream: str, body: bytes) -> int:
        """Leave a message for the owner of a stream; returns its id once durable. Raises Full."""
        ...

    async def peek(self, stream: str) -> list[Message]:
        """The messages waiting for a stream, oldest first; they go when an append consumes them."""
        ...

    async def claim(self, owner: str, *, until: int, limit: int, now: int) -> list[Lease]:
        """Take up to `limit` streams that have not ended, whose lease is over, and which are due.

        Due is a stream whose `due` has come or is None, or that has a message waiting.
        """
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        ...

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
        """Entries of a kind by `started` then key, filtered; `after` is what the page before returned."""
        ...

    async def entry(self, kind: str, key: str) -> Entry | None:
        """One entry, as committed."""
        ...

    async def put(self, entries: Sequence[Entry], texts: Sequence[bytes] = ()) -> None:
        """Write catalog entries and texts by themselves, in one transaction; returns once durable."""
        ...

    async def text(self, digest: str) -> bytes | None:
        """A text kept by content; `digest` is its SHA-256 in lower-case hex."""
        ...

    async def forget(self, stream: str) -> None:
        """Remove an ended stream with its entries and messages (retention); ValueError if it has not ended."""
        ...

    def watch(self, stream: str) -> AsyncIterator[int]:
        """The stream's committed version now, then each time it has grown (coalesced); ends with the store."""
        ...

    async def health(self) -> Health:
        """How the store is."""
        ...

    async def recovered(self) -> bool:
        """Whether what closed it for writing seems to be over, so that it is worth a try to open it anew."""
        ...

    async def backup(self, path: str) -> None:
        """An online copy of the store at `path`."""
        ...

    async def close(self) -> None:
        """Commit what was submitted, then let go of the store."""
        ...


def check_append(expected: int, records: Sequence[Record]) -> tuple[int, int]:
    """The version that an append reaches, and its bytes; ValueError if records do not follow without a gap."""
    size = 0
    for record in records:
        if record.first != expected + 1 or record.last < record.first:
            raise ValueError(f"record {record.first}..{record.last} does not follow version {expected}")
        expected = record.last
        size += len(record.body)
    return expected, size


def spoken_for(stream: str) -> tuple[str, str]:
    """Kind and key of the entry that speaks for a stream."""
    kind, _, key = stream.partition(":")
    return kind, key


def has_ended(stream: str, entry: Entry) -> bool:
    """Whether an entry says that the stream has ended."""
    return entry.ended is not None and stream == f"{entry.kind}:{entry.key}"


def page_of(entries: list[Entry], limit: int) -> Page:
    """A page of at most `limit` entries out of one more than that, if there are so many."""
    if len(entries) <= limit:
        return Page(entries)
    return Page(entries[:limit], after_entry(entries[limit - 1]))


def after_entry(last: Entry) -> str:
    """Where a page that ended with this entry goes on; for whoever takes but a part of one."""
    return base64.urlsafe_b64encode(msgspec.json.encode((last.started, last.key))).decode()


def place_of(after: str) -> tuple[int, str]:
    """Where the page before ended: its last entry's `started` and key; ValueError if no page said so."""
    try:
        return msgspec.json.decode(base64.b64decode(after, altchars=b"-_", validate=True), type=tuple[int, str])
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise ValueError("this is not where a page of this store ended") from None
