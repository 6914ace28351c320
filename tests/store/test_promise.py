"""The promise of `contract.py`, put to every store alike."""

import hashlib
from contextlib import aclosing

import anyio
import pytest
from tests.store.rows import everything, fate, record

from stepfold_store import Conflict, Entry, LeaseLost, Snapshot, StoreClosed, open_store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    store = await open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db")
    yield store
    await store.close()


def running(key, **changes):
    return Entry(**{"kind": "execution", "key": key, "status": "RUNNING", **changes})


# Appending and reading


async def test_what_is_appended_is_read_back(store):
    rows = [record(1, 3), record(4), record(5, 2)]
    await store.submit("s", 0, rows[:2])
    await store.submit("s", 4, rows[2:])
    assert await everything(store, "s") == rows
    assert await everything(store, "s", reverse=True) == rows[::-1]
    assert await everything(store, "another") == []


@pytest.mark.parametrize("reverse", [False, True])
async def test_reading_begins_within_a_decision(store, reverse):
    rows = [record(1, 3), record(4), record(5, 2)]
    await store.submit("s", 0, rows)
    for after, left in {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 5: 1, 6: 0, 7: 0}.items():
        wanted = rows[3 - left :]
        assert await everything(store, "s", after, reverse=reverse) == (wanted[::-1] if reverse else wanted)


@pytest.mark.parametrize("reverse", [False, True])
async def test_a_long_stream_is_read_some_at_a_time(store, reverse):
    rows = [record(n) for n in range(1, 1001)]
    await store.submit("s", 0, rows)
    parts = [some async for some in store.read("s", 10, reverse=reverse)]
    assert len(parts) > 2
    read = [one for some in parts for one in some]
    assert read == (rows[:9:-1] if reverse else rows[10:])


async def test_a_stale_append_is_refused_whole(store):
    number = await store.post("s", b"hello")
    await store.submit("s", 0, [record(1, 2)])
    for expected in (0, 1, 3):
        late = store.submit("s", expected, [record(expected + 1, 9)], entries=[running("s")], consumed=[number])
        assert await fate(late) is Conflict
    assert await everything(store, "s") == [record(1, 2)]
    assert await store.entry("execution", "s") is None
    assert [message.id for message in await store.peek("s")] == [number]


@pytest.mark.parametrize(
    "rows",
    [[record(1)], [record(3)], [record(2), record(2)], [record(2, 2), record(5)], [record(2, 0)]],
    ids=["early", "late", "twice", "gap", "empty"],
)
async def test_versions_have_no_gaps(store, rows):
    with pytest.raises(ValueError, match="does not follow"):
        store.submit("s", 1, rows)


async def test_appends_follow_each_other_without_a_wait(store):
    tickets = [store.submit("s", n, [record(n + 1)]) for n in range(100)]
    others = [store.submit(f"s{n}", 0, [record(1)]) for n in range(100)]
    assert {await fate(ticket) for ticket in tickets + others} == {None}
    assert len(await everything(store, "s")) == 100


async def test_a_refused_append_takes_nobody_with_it(store):
    tickets = [
        store.submit(stream, expected, [record(expected + 1)])
        for stream, expected in ("a0", "b7", "c0", "a1")
        for expected in [int(expected)]
    ]
    assert [await fate(ticket) for ticket in tickets] == [None, Conflict, None, None]


async def test_what_was_decided_on_a_refused_append_is_refused(store):
    winner = store.submit("s", 0, [record(1, 3)])
    loser = store.submit("s", 0, [record(1, 3, "B")])
    built_on_it = store.submit("s", 3, [record(4, 2, "B")])  # the number fits, the fold does not
    built_on_that = store.submit("s", 5, [record(6, 1, "B")])
    await winner
    unaware = store.submit("s", 3, [record(4, 1, "B")])
    assert [await fate(one) for one in (unaware, built_on_that, built_on_it, loser)] == [Conflict] * 4
    await store.submit("s", 3, [record(4)])  # by one who has heard, and folded anew
    assert await everything(store, "s") == [record(1, 3), record(4)]


async def test_what_was_submitted_before_the_refusal_was_heard_stays_refused(store):
    store.submit("s", 0, [record(1)])
    loser = store.submit("s", 0, [record(1, 2, "B")])
    await store.submit("another", 0, [record(1)])
    store.submit("s", 1, [record(2)])
    early = store.submit("s", 2, [record(3, 1, "B")])
    assert await fate(loser) is Conflict
    assert await fate(early) is Conflict
    await store.submit("s", 2, [record(3)])


async def test_racing_writers_leave_one_line(store):
    async def write(word):
        for _ in range(25):
            outcome = Conflict
            while outcome is Conflict:
                rows = await everything(store, "s")
                version = rows[-1].last if rows else 0
                outcome = await fate(store.submit("s", version, [record(version + 1, 2, word)]))

    async with anyio.create_task_group() as group:
        for word in "ABCD":
            group.start_soon(write, word)
    rows = await everything(store, "s")
    assert [row.first for row in rows] == list(range(1, 200, 2))
    assert sorted(chr(row.body.split(b'"')[3][0]) for row in rows) == sorted("ABCD" * 25)


async def test_cancelling_the_wait_does_not_cancel_the_write(store):
    with anyio.CancelScope() as scope:
        ticket = store.submit("s", 0, [record(1)])
        scope.cancel()
        await ticket
    await store.submit("s", 1, [record(2)])
    assert await everything(store, "s") == [record(1), record(2)]


async def test_a_ticket_that_is_done_does_not_suspend(store):
    ticket = store.submit("s", 0, [record(1)])
    await store.submit("s", 1, [record(2)])
    with pytest.raises(StopIteration):
        ticket.__await__().send(None)


async def test_an_append_may_carry_no_records(store):
    number = await store.post("s", b"stale")
    await store.submit("s", 0, [record(1)])
    assert await fate(store.submit("s", 0, [], consumed=[number])) is Conflict
    await store.submit("s", 1, [], entries=[running("s")], consumed=[number])
    assert await store.peek("s") == []
    assert await store.entry("execution", "s") == running("s")


# The catalog


async def test_entries_are_replaced(store):
    await store.submit("s", 0, [record(1)], entries=[running("s", started=5, data=b'{"n":1}')])
    ended = running("s", status="SUCCEEDED", started=5, ended=9, due=7)
    await store.submit("s", 1, [record(2)], entries=[running("s", status="FAILED"), ended])
    assert await store.entry("execution", "s") == ended
    assert await store.entry("machine", "s") is None


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(("parent", "status"), [(None, None), ("m1", None), ("m1", "A"), (None, "B")])
async def test_entries_are_paged(store, parent, status, newest_first):
    written = [
        Entry("execution", f"e{n:02}", parent=f"m{n % 2}", status="AB"[n % 3 == 0], started=n // 4) for n in range(40)
    ]
    await store.put([*written, Entry("machine", "m1")])
    wanted = [one for one in written if parent in (None, one.parent) and status in (None, one.status)]
    wanted.sort(key=lambda one: (one.started, one.key), reverse=newest_first)
    found, after, pages = [], None, 0
    while pages == 0 or after:
        page = await store.entries(
            "execution", parent=parent, status=status, newest_first=newest_first, after=after, limit=7
        )
        found, after, pages = found + page.entries, page.after, pages + 1
    assert found == wanted
    assert pages == -(-len(wanted) // 7)


async def test_a_page_goes_on_where_it_ended_though_entries_come_and_go(store):
    await store.put([Entry("k", str(n), started=n) for n in range(6)])
    page = await store.entries("k", limit=3)
    await store.put([Entry("k", "9", started=9), Entry("k", "3", started=8)])
    rest = await store.entries("k", limit=3, after=page.after)
    assert [one.key for one in rest.entries] == ["2", "1", "0"]
    assert rest.after is None


@pytest.mark.parametrize("after", ["", "x", "bm8=", "é"])
async def test_a_page_that_never_was_is_refused(store, after):
    with pytest.raises(ValueError, match="page"):
        await store.entries("k", after=after)


async def test_texts_are_kept_by_content(store):
    text = '{"StartAt":"é"}'.encode()
    await store.put([Entry("machine", "m")], [text, text, b""])
    assert await store.text(hashlib.sha256(text).hexdigest()) == text
    assert await store.text(hashlib.sha256(b"").hexdigest()) == b""
    assert await store.text("0" * 64) is None
    assert await store.entry("machine", "m") == Entry("machine", "m")


# Messages, leases


async def test_messages_wait_until_they_are_consumed(store):
    ids = [await store.post("s", body) for body in (b"1", b"2", b"3")]
    other = await store.post("t", b"4")
    assert [(one.id, one.stream, one.body) for one in await store.peek("s")] == [
        (ids[0], "s", b"1"),
        (ids[1], "s", b"2"),
        (ids[2], "s", b"3"),
    ]
    assert ids == sorted(ids)
    await store.submit("s", 0, [record(1)], consumed=[ids[1], other])
    assert [one.id for one in await store.peek("s")] == [ids[0], ids[2]]
    assert [one.id for one in await store.peek("t")] == [other]


async def begin(store, stream, **changes):
    await store.submit(stream, 0, [record(1)], entries=[running(stream.removeprefix("execution:"), **changes)])


async def test_what_is_due_is_claimed(store):
    await begin(store, "execution:now")
    await begin(store, "execution:past", due=10)
    await begin(store, "execution:later", due=99)
    await begin(store, "execution:told", due=99)
    await begin(store, "execution:ended", ended=5)
    await store.put([running("no stream")])
    await store.post("execution:told", b"stop")
    leases = await store.claim("me", until=100, limit=9, now=50)
    assert {lease.stream for lease in leases} == {"execution:now", "execution:past", "execution:told"}
    assert {(lease.owner, lease.until) for lease in leases} == {("me", 100)}
    assert len({lease.fence for lease in leases}) == 3
    assert await store.claim("you", until=200, limit=9, now=60) == []
    assert {lease.stream for lease in await store.claim("you", until=200, limit=9, now=100)} == {
        "execution:now",
        "execution:past",
        "execution:later",
        "execution:told",
    }


async def test_a_claim_takes_no_more_than_its_limit(store):
    for n in range(5):
        await begin(store, f"execution:s{n}", started=n)
    assert [lease.stream for lease in await store.claim("me", until=9, limit=2, now=0)] == [
        "execution:s0",
        "execution:s1",
    ]
    assert [lease.stream for lease in await store.claim("me", until=9, limit=9, now=0)] == [
        "execution:s2",
        "execution:s3",
        "execution:s4",
    ]


async def test_an_old_fence_is_refused(store):
    await begin(store, "execution:s")
    (old,) = await store.claim("me", until=10, limit=1, now=0)
    await store.submit("execution:s", 1, [record(2)], fence=old.fence)
    (new,) = await store.claim("you", until=20, limit=1, now=10)
    assert new.fence > old.fence
    assert await fate(store.submit("execution:s", 2, [record(3)], fence=old.fence)) is LeaseLost
    await store.submit("execution:s", 2, [record(3)], fence=new.fence)
    await store.submit("execution:s", 3, [record(4)])  # 0: not checked


async def test_a_lease_is_given_back_by_its_holder_alone(store):
    await begin(store, "execution:s")
    (old,) = await store.claim("me", until=10, limit=1, now=0)
    await store.release([old])
    (new,) = await store.claim("you", until=10, limit=1, now=0)
    await store.release([old])
    assert await store.claim("me", until=10, limit=1, now=0) == []
    await store.release([new])
    assert len(await store.claim("me", until=10, limit=1, now=0)) == 1


# Forgetting, watching, closing


async def test_what_has_ended_can_be_forgotten(store):
    token = Entry("token", "t1", parent="s")
    await store.submit("execution:s", 0, [record(1)], entries=[running("s"), token])
    await store.submit("execution:kept", 0, [record(1)], entries=[running("kept")])
    await store.post("execution:s", b"late")
    with pytest.raises(ValueError, match="not ended"):
        await store.forget("execution:s")
    await store.submit("execution:s", 1, [record(2)], entries=[running("s", ended=9)])
    await store.forget("execution:s")
    await store.forget("never was")
    assert await everything(store, "execution:s") == []
    assert await store.peek("execution:s") == []
    assert await store.entry("execution", "s") is None
    assert await store.entry("token", "t1") is None
    assert await everything(store, "execution:kept") == [record(1)]
    await store.submit("execution:s", 0, [record(1, 2, "B")])
    assert await everything(store, "execution:s") == [record(1, 2, "B")]


async def test_a_watcher_is_told_of_growth(store):
    await store.submit("s", 0, [record(1, 2)])
    with anyio.fail_after(5):
        async with aclosing(store.watch("s")) as versions, aclosing(store.watch("new")) as others:
            assert await anext(versions) == 2
            assert await anext(others) == 0
            tickets = [store.submit("s", n, [record(n + 1)]) for n in range(2, 12)]
            await store.submit("new", 0, [record(1)])
            assert {await fate(ticket) for ticket in tickets} == {None}
            assert await anext(versions) == 12
            assert await anext(others) == 1


async def test_watchers_wake_and_end_with_the_store(store):
    seen = []

    async def watch(task_status):
        async with aclosing(store.watch("s")) as versions:
            async for version in versions:
                seen.append(version)
                if version == 0:
                    task_status.started()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(2):
                await group.start(lambda *, task_status: watch(task_status))
            await store.submit("s", 0, [record(1)])
            await store.close()
    assert sorted(seen) == [0, 0, 1, 1]


async def test_a_closed_store_takes_nothing(store):
    early = store.submit("s", 0, [record(1)])
    await store.close()
    await store.close()
    assert await fate(early) is None
    assert await fate(store.submit("s", 1, [record(2)])) is StoreClosed
    for call in (
        store.post("s", b""),
        store.put([]),
        store.forget("s"),
        store.release([]),
        store.peek("s"),
        store.claim("me", until=1, limit=1, now=0),
        store.entry("k", "k"),
        store.entries("k"),
        store.text("0"),
        everything(store, "s"),
    ):
        with pytest.raises(StoreClosed):
            await call
    health = await store.health()
    assert not health.writable
    assert "closed" in health.reason


async def test_a_cancelled_close_still_closes(store):
    ticket = store.submit("s", 0, [record(1)])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.close()
    assert await fate(ticket) is None
    assert not (await store.health()).writable


async def test_health_and_backlog(store):
    tickets = [store.submit("s", n, [record(n + 1)]) for n in range(5)]
    assert store.backlog in {0, 5}
    for ticket in tickets:
        await ticket
    assert store.backlog == 0
    health = await store.health()
    assert (health.writable, health.reason) == (True, None)


# Snapshots


async def test_a_snapshot_goes_up_to_its_append_and_takes_the_place_of_the_one_before(store):
    assert await store.snapshot("s") is None
    await store.submit("s", 0, [record(1, 3)], snapshot=b"three")
    assert await store.snapshot("s") == Snapshot(3, b"three")
    await store.submit("s", 3, [record(4)])
    assert await store.snapshot("s") == Snapshot(3, b"three")
    await store.submit("s", 4, (), snapshot=b"four")
    assert await store.snapshot("s") == Snapshot(4, b"four")
    assert await store.snapshot("another") is None


async def test_the_snapshot_of_a_refused_append_is_not_kept(store):
    await store.submit("s", 0, [record(1, 3)], snapshot=b"three")
    other, late = store.submit("s", 3, [record(4)]), store.submit("s", 3, [record(4)], snapshot=b"another four")
    assert (await fate(other), await fate(late)) == (None, Conflict)
    assert await store.snapshot("s") == Snapshot(3, b"three")


async def test_a_snapshot_goes_with_the_end_of_its_stream_and_with_the_stream(store):
    for end in (running("s", status="SUCCEEDED", ended=5), running("s", status="FAILED", ended=6)):
        await store.submit("execution:s", 0, [record(1)], entries=[running("s")], snapshot=b"one")
        await store.submit("execution:s", 1, [record(2)], entries=[running("another", ended=5)], snapshot=b"two")
        assert await store.snapshot("execution:s") == Snapshot(2, b"two")
        await store.submit("execution:s", 2, [record(3)], entries=[end], snapshot=b"three")
        assert await store.snapshot("execution:s") is None
        await store.submit("execution:s", 3, [record(4)], snapshot=b"again")  # (it was redriven)
        assert await store.snapshot("execution:s") == Snapshot(4, b"again")
        await store.forget("execution:s")
        assert await store.snapshot("execution:s") is None
        assert await store.drop_snapshots() == 0


async def test_a_stream_without_records_has_no_snapshot(store):
    await store.submit("s", 0, (), entries=[running("s")], snapshot=b"nothing")
    assert await store.snapshot("s") is None


async def test_all_snapshots_can_be_thrown_away(store):
    for stream in ("a", "b"):
        await store.submit(stream, 0, [record(1)], snapshot=b"one")
    assert await store.drop_snapshots() == 2
    assert await store.snapshot("a") is None
    assert await store.drop_snapshots() == 0
    await store.submit("a", 1, [record(2)], snapshot=b"two")
    assert await store.snapshot("a") == Snapshot(2, b"two")
