"""The store that forgets everything at its end: for tests, and for executions that need no memory.

It keeps the whole promise but durability: an append is done when `submit` returns, so its ticket never suspends.
Nothing in it belongs to asyncio; it runs wherever anyio runs.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Generator, Sequence
from operator import attrgetter
from typing import Any

import anyio

from stepfold_store.contract import (
    MOST_MESSAGES,
    Conflict,
    Entry,
    Full,
    Health,
    Lease,
    LeaseLost,
    Message,
    Page,
    Record,
    Snapshot,
    StoreClosed,
    StoreError,
    check_append,
    has_ended,
    page_of,
    place_of,
    spoken_for,
)
from stepfold_store.refusals import Refusals

SOME = 256
"""Records handed out at a time by `read`."""


class _Outcome:
    """A ticket that is done."""

    __slots__ = ("_error", "_number", "_store", "_stream")

    def __init__(self, store: MemoryStore, stream: str, number: int, error: Exception | None) -> None:
        self._store, self._stream, self._number, self._error = store, stream, number, error

    def __await__(self) -> Generator[Any, Any, None]:
        if self._error is not None:
            self._store.refusals.heard(self._stream, self._number, self._store.submitted)
            raise self._error
        yield from ()


class MemoryStore:
    """A store in memory (see `contract.Store`)."""

    def __init__(self) -> None:
        self.location = "memory://"
        self.backlog = self.backlog_bytes = 0
        self.orphaned = False
        self.submitted = 0
        self.refusals = Refusals()
        self._streams: dict[str, list[Record]] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._belongings: dict[str, set[tuple[str, str]]] = {}
        self._inbox: dict[str, dict[int, bytes]] = {}
        self._posted = 0
        self._texts: dict[str, bytes] = {}
        self._leases: dict[str, Lease] = {}
        self._fence = 0
        self._grown: dict[str, anyio.Event] = {}
        self._closed: str | None = None

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
    ) -> _Outcome:
        """Append at once."""
        reached, _ = check_append(expected, records)
        self.submitted += 1
        error = self._refusal(stream, expected, fence)
        if error is None:
            self._accept(stream, records, entries, consumed)
            if snapshot is not None and reached:
                self._snapshots[stream] = Snapshot(reached, snapshot)
            if any(has_ended(stream, entry) for entry in entries):
                self._snapshots.pop(stream, None)
        elif not isinstance(error, StoreClosed):
            self.refusals.add(stream, reached, self.submitted)
        return _Outcome(self, stream, self.submitted, error)

    def _refusal(self, stream: str, expected: int, fence: int) -> Exception | None:
        if self._closed:
            return StoreClosed(self._closed)
        if fence and fence != self._fence_of(stream):
            return LeaseLost(f"{stream}: fence {fence} is old, {self._fence_of(stream)} holds it")
        version = self._version(stream)
        if version != expected:
            return Conflict(f"{stream}: version {expected} was expected, {version} is the last")
        if self.refusals.doom(stream, expected, self.submitted):
            return Conflict(f"{stream}: what this was decided on was refused")
        return None

    def _accept(
        self, stream: str, records: Sequence[Record], entries: Sequence[Entry], consumed: Sequence[int]
    ) -> None:
        waiting = self._inbox.get(stream, {})
        for number in consumed:
            waiting.pop(number, None)
        for entry in entries:
            self._entries[entry.kind, entry.key] = entry
            self._belongings.setdefault(stream, set()).add((entry.kind, entry.key))
        if records:
            self._streams.setdefault(stream, []).extend(records)
            self.refusals.passed(stream, records[-1].last)
            if (grown := self._grown.pop(stream, None)) is not None:
                grown.set()

    def _version(self, stream: str) -> int:
        records = self._streams.get(stream)
        return records[-1].last if records else 0

    def _fence_of(self, stream: str) -> int:
        lease = self._leases.get(stream)
        return lease.fence if lease else 0

    def _open(self) -> None:
        if self._closed:
            raise StoreClosed(self._closed)

    async def read(self, stream: str, after: int = 0, *, reverse: bool = False) -> AsyncIterator[list[Record]]:
        """Records past version `after`."""
        self._open()
        if reverse:
            newest = list(self._streams.get(stream, ()))
            while newest and newest[-1].last > after:
                some = [record for record in reversed(newest[-SOME:]) if record.last > after]
                del newest[-SOME:]
                yield some
            return
        while records := self._streams.get(stream):
            start = bisect_right(records, after, key=attrgetter("last"))
            some = records[start : start + SOME]
            if not some:
                return
            after = some[-1].last
            yield some

    async def snapshot(self, stream: str) -> Snapshot | None:
        """The stream's snapshot."""
        self._open()
        return self._snapshots.get(stream)

    async def drop_snapshots(self) -> int:
        """Throw all snapshots away."""
        self._open()
        dropped, self._snapshots = len(self._snapshots), {}
        return dropped

    async def post(self, stream: str, body: bytes) -> int:
        """Leave a message."""
        self._open()
        waiting = self._inbox.setdefault(stream, {})
        if len(waiting) >= MOST_MESSAGES:
            raise Full(stream)
        self._posted += 1
        waiting[self._posted] = body
        return self._posted

    async def peek(self, stream: str) -> list[Message]:
        """The messages waiting for a stream."""
        self._open()
        return [Message(number, stream, body) for number, body in self._inbox.get(stream, {}).items()]

    async def claim(self, owner: str, *, until: int, limit: int, now: int) -> list[Lease]:
        """Take streams that are due."""
        self._open()
        due = [entry for entry in self._entries.values() if self._is_claimable(entry, now)]
        due.sort(key=lambda entry: (entry.due or 0, entry.started, entry.kind, entry.key))
        taken = []
        for stream in [f"{entry.kind}:{entry.key}" for entry in due][:limit]:
            self._fence += 1
            self._leases[stream] = Lease(stream, owner, self._fence, until)
            taken.append(self._leases[stream])
        return taken

    def _is_claimable(self, entry: Entry, now: int) -> bool:
        stream = f"{entry.kind}:{entry.key}"
        lease = self._leases.get(stream)
        return (
            entry.ended is None
            and (stream in self._streams or stream in self._belongings)
            and (lease is None or lease.until <= now)
            and (entry.due is None or entry.due <= now or bool(self._inbox.get(stream)))
        )

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        self._open()
        for lease in leases:
            if self._fence_of(lease.stream) == lease.fence:
                self._leases[lease.stream] = Lease(lease.stream, "", lease.fence, 0)

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
        self._open()
        found = [
            entry
            for entry in self._entries.values()
            if entry.kind == kind and parent in (None, entry.parent) and status in (None, entry.status)
        ]
        if after is not None:
            place = place_of(after)
            found = [e for e in found if ((e.started, e.key) < place if newest_first else (e.started, e.key) > place)]
        found.sort(key=lambda entry: (entry.started, entry.key), reverse=newest_first)
        return page_of(found[: limit + 1], limit)

    async def entry(self, kind: str, key: str) -> Entry | None:
        """One entry."""
        self._open()
        return self._entries.get((kind, key))

    async def put(self, entries: Sequence[Entry], texts: Sequence[bytes] = ()) -> None:
        """Write entries and texts."""
        self._open()
        for entry in entries:
            self._entries[entry.kind, entry.key] = entry
        for text in texts:
            self._texts[hashlib.sha256(text).hexdigest()] = text

    async def text(self, digest: str) -> bytes | None:
        """A text kept by content."""
        self._open()
        return self._texts.get(digest)

    async def forget(self, stream: str) -> None:
        """Remove an ended stream."""
        self._open()
        own = self._entries.get(spoken_for(stream))
        if own is not None and own.ended is None:
            raise ValueError(f"{stream} has not ended: only what has ended can be forgotten")
        for name in [spoken_for(stream), *self._belongings.pop(stream, ())]:
            self._entries.pop(name, None)
        for table in (self._streams, self._inbox, self._leases, self._snapshots):
            table.pop(stream, None)
        self.refusals.forget(stream)

    async def watch(self, stream: str) -> AsyncIterator[int]:
        """The stream's version, each time it has grown."""
        self._open()
        seen = -1
        while True:
            version = self._version(stream)
            if version > seen:
                seen = version
                yield version
            elif self._closed:
                return
            else:
                await self._grown.setdefault(stream, anyio.Event()).wait()

    async def health(self) -> Health:
        """How the store is."""
        details = {"streams": len(self._streams), "entries": len(self._entries)}
        return Health(self._closed is None, self._closed, details)

    async def recovered(self) -> bool:
        """Never: what was in it is gone."""
        return False

    async def backup(self, path: str) -> None:
        """Refuse: there is nothing that could outlive the process."""
        raise StoreError(f"a memory store cannot be copied to {path}")

    async def close(self) -> None:
        """Take no more calls; end every watch."""
        self._closed = self._closed or "the store was closed"
        while self._grown:
            self._grown.popitem()[1].set()
