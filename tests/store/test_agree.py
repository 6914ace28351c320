"""Law: whatever is asked of them, the two stores answer alike."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.store.rows import everything, fate

from stepfold_store import Entry, Record, open_store

MEMORY = Path("/dev/shm")  # noqa: S108
"""Where files are that no disk is waited for: what the stores answer is tried, not what outlives a power cut."""
STREAMS = st.sampled_from(["k:a", "k:b"])
SMALL = st.integers(0, 4)
ENTRIES = st.lists(
    st.builds(
        Entry,
        kind=st.just("k"),
        key=st.sampled_from("abc"),
        parent=st.sampled_from("xy"),
        status=st.sampled_from("xy"),
        started=SMALL,
        ended=st.none() | SMALL,
        due=st.none() | SMALL,
    ),
    max_size=2,
)
STEPS = st.one_of(
    st.tuples(
        st.just("submit"), STREAMS, SMALL, st.lists(st.integers(1, 3), max_size=2), SMALL, ENTRIES, SMALL,
        st.none() | st.just(b"all of it"),
    ),
    st.tuples(st.just("settle")),
    st.tuples(st.just("post"), STREAMS),
    st.tuples(st.just("claim"), SMALL, SMALL, SMALL),
    st.tuples(st.just("release")),
    st.tuples(st.just("put"), ENTRIES),
    st.tuples(st.just("forget"), STREAMS),
    st.tuples(st.just("drop_snapshots")),
)


class Play:
    """One store, led through the steps; `seen` is all that it answered."""

    def __init__(self, store):
        self.store, self.seen, self.tickets, self.leases = store, [], [], []

    def submit(self, stream, expected, counts, fence, entries, consumed, snapshot):
        rows, last = [], expected
        for count in counts:
            rows.append(Record(last + 1, last + count, last, b"[%d]" % len(self.seen)))
            last += count
        ticket = self.store.submit(stream, expected, rows, fence=fence, entries=entries, consumed=[consumed],
                                   snapshot=snapshot)
        self.tickets.append(ticket)

    async def settle(self):
        while self.tickets:
            self.seen.append(await fate(self.tickets.pop(0)))

    async def post(self, stream):
        self.seen.append(await self.store.post(stream, b"x"))

    async def claim(self, until, limit, now):
        taken = await self.store.claim("me", until=until, limit=limit, now=now)
        self.leases += taken
        self.seen.append(sorted((lease.stream, lease.until) for lease in taken))

    async def release(self):
        await self.store.release(self.leases)
        self.leases.clear()

    async def put(self, entries):
        await self.store.put(entries)

    async def forget(self, stream):
        try:
            await self.store.forget(stream)
        except ValueError as error:
            self.seen.append(str(error))

    async def drop_snapshots(self):
        self.seen.append(await self.store.drop_snapshots())

    async def look(self):
        for stream in ("k:a", "k:b"):
            self.seen.append(await self.store.snapshot(stream))
            self.seen += [await everything(self.store, stream), await self.store.peek(stream)]
            self.seen.append(await everything(self.store, stream, 2, reverse=True))
        for parent in (None, "x"):
            for status in (None, "y"):
                self.seen.append(await self.store.entries("k", parent=parent, status=status))
                self.seen.append(
                    await self.store.entries("k", parent=parent, status=status, newest_first=False, limit=1)
                )


async def play(url, steps):
    store = await open_store(url)
    try:
        one = Play(store)
        for name, *arguments in steps:
            answer = getattr(one, name)(*arguments)
            if answer is not None:
                await answer
        await one.settle()
        await one.look()
        return one.seen
    finally:
        await store.close()


ENTRY_ALONE = [("submit", "k:a", 0, [], 0, [Entry("k", "a")], 0, None), ("claim", 0, 1, 0)]
"""A stream that has an entry, and no row as yet."""


@settings(deadline=None, max_examples=100)
@given(st.lists(STEPS, max_size=25))
@example(ENTRY_ALONE)
def test_the_stores_agree(steps):
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        assert asyncio.run(play("memory://", steps)) == asyncio.run(play(f"{folder}/store.db", steps))
