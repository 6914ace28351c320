"""Promises broken on purpose, one at a time: each mutant must turn a test red, or that test proves nothing.

A mutant is a function that changes the running product through `patch(object, name, value)`. `TABLE` says which promise
each one breaks. They are applied in this process by a test, and in a victim's by name.
"""

import fcntl
import itertools
import os
import shutil
import sqlite3
from contextlib import nullcontext

import anyio
from anyio.lowlevel import checkpoint
from msgspec import structs
from tests.laws import test_mutants as law_mutants

from stepfold import Engine
from stepfold.cli import reopening
from stepfold.errors import TaskTimedOut
from stepfold.interpreter import signals, snapshots
from stepfold.interpreter.frames import NO_TRIES, Items, Timer
from stepfold.names import read_token
from stepfold.query.values import NULL
from stepfold.runtime import catalog, starting
from stepfold.runtime.callbacks import Callbacks
from stepfold.runtime.clock import SystemClock
from stepfold.runtime.machines import known
from stepfold.runtime.recovery import doctor, entries
from stepfold.runtime.runs import folding
from stepfold.runtime.runs.run import Run
from stepfold.runtime.timers import Timers
from stepfold.service import door, serving
from stepfold.service.operations import served
from stepfold.service.wire import protocol
from stepfold.service.wire.protocol import Condition
from stepfold.work.functions import handlers
from stepfold.work.functions.callables import Function
from stepfold_store import sqlite, sqlite_file, sqlite_rows, sqlite_wal
from stepfold_store.memory import MemoryStore

TABLE = {}


def breaks(*promises):
    def named(mutant):
        TABLE[mutant.__name__] = (mutant, promises)
        return mutant

    return named


def apply(name, patch=setattr):
    TABLE[name][0](patch)


# --- the store --------------------------------------------------------------------------------------------------------


@breaks("P1")
def synchronous_normal(patch):
    patch(sqlite_file, "_SYNCHRONOUS", {"full": "NORMAL", "os": "NORMAL"})


@breaks("P1", "P2")
def acknowledged_before_the_commit(patch):
    patch(sqlite._Ticket, "__await__", lambda _: iter(()))


@breaks("P1")
def a_group_stays_open_while_it_is_written(patch):
    """What is submitted meanwhile is acknowledged with it."""
    patch(sqlite._Group, "take", lambda group: list(group.writes))


@breaks("P7")
def a_commit_is_tried_again(patch):
    commit = sqlite_rows.Writer.commit

    def again(writer, group):
        heads = {stream: (head.key, head.last, head.checksum) for stream, head in writer._heads.items()}
        key = writer._last_key
        try:
            return commit(writer, group)
        except sqlite3.OperationalError:
            writer._last_key = key
            for stream, head in list(writer._heads.items()):
                if stream in heads:
                    head.key, head.last, head.checksum = heads[stream]
                else:
                    del writer._heads[stream]
            for rows in (writer._streams, writer._rows, writer._entries, writer._consumed):
                rows.clear()
            return commit(writer, group)

    patch(sqlite_rows.Writer, "commit", again)


@breaks("P14")
def a_full_disk_is_swallowed(patch):
    commit = sqlite_rows.Writer.commit

    def swallowed(writer, group):
        try:
            return commit(writer, group)
        except sqlite3.OperationalError:
            return {}

    patch(sqlite_rows.Writer, "commit", swallowed)


@breaks("P3", "P8")
def no_version_is_checked(patch):
    """Neither the number that an append was decided on, nor whether what it was decided on was refused."""
    submit = MemoryStore.submit

    def unchecked(store, stream, expected, records, **more):
        there = store._streams.get(stream)
        return submit(store, stream, there[-1].last if there else 0, _renumbered(there, records), **more)

    patch(MemoryStore, "submit", unchecked)


def _renumbered(there, records):
    last = there[-1].last if there else 0
    moved = []
    for record in records:
        length = record.last - record.first
        moved.append(structs.replace(record, first=last + 1, last=last + 1 + length))
        last += 1 + length
    return moved


@breaks("P15")
def checksums_are_not_looked_at(patch):
    patch(sqlite_rows.Reading, "_check", lambda *_: None)


@breaks("P8")
def the_file_is_not_locked(patch):
    patch(fcntl, "flock", lambda *_: None)


@breaks("P18")
def any_format_is_read(patch):
    patch(sqlite_file, "FORMAT", 1_000_000)


@breaks("P19")
def a_backup_copies_the_file(patch):
    def copy(db, path):
        ((_, _, source),) = db.execute("PRAGMA database_list")
        shutil.copyfile(source, path)

    patch(sqlite_file, "copy", copy)


@breaks("P15")
def a_damaged_snapshot_is_believed(patch):
    patch(sqlite_rows, "sealed", lambda *_: b"sealed")


@breaks("P4")
def a_snapshot_is_written_before_its_events(patch):
    """As it comes, and not in the transaction of the append that it goes with."""
    commit = sqlite_rows.Writer.commit

    def early(writer, group):
        for item in group:
            if getattr(item, "snapshot", None) is not None:
                key = writer._head(item.stream).key or writer._last_key + 1
                writer.db.execute(sqlite_rows.SQL["add_snapshot"], (key, item.reached, item.snapshot, b""))
        return commit(writer, group)

    patch(sqlite_rows.Writer, "commit", early)


@breaks("P1", "P14")
def what_fails_under_a_snapshot_takes_its_append_along(patch):
    """A snapshot may be lost, so an error at writing one is nobody's harm: but it has undone the whole transaction."""
    flush = sqlite_rows.Writer._flush_snapshots

    def swallowed(writer):
        try:
            flush(writer)
        except sqlite3.DatabaseError:
            writer._snapshots.clear()
            if not writer.db.in_transaction:
                writer.db.execute("BEGIN IMMEDIATE")

    patch(sqlite_rows.Writer, "_flush_snapshots", swallowed)


@breaks("P16")
def a_reader_keeps_its_place_open(patch):
    """A walk along a stream holds a cursor between its hops, and with it all that was written since."""
    rows = sqlite_rows.Reading._rows

    def kept(reading, db, name, place):
        reading.kept = db.execute("SELECT 1 FROM log")
        reading.kept.fetchone()
        return rows(reading, db, name, place)

    patch(sqlite_rows.Reading, "_rows", kept)


@breaks("P3", "P8")
def no_version_is_checked_in_the_file(patch):
    patch(sqlite_rows.Writer, "_refusal", lambda *_: None)


@breaks("P8")
def an_old_fence_is_let_in(patch):
    refusal = sqlite_rows.Writer._refusal

    def unfenced(writer, append, head):
        append.fence = 0
        return refusal(writer, append, head)

    patch(sqlite_rows.Writer, "_refusal", unfenced)


@breaks("P7")
def who_goes_away_takes_the_write_along(patch):
    """An append is a coroutine of whoever waits for it, and may be cancelled with it."""
    submit = sqlite.SqliteStore.submit

    async def unshielded(*arguments, **more):
        await checkpoint()
        await submit(*arguments, **more)

    patch(sqlite.SqliteStore, "submit", unshielded)


@breaks("P15")
def a_damaged_log_beside_the_file_is_cut_short(patch):
    """As SQLite does it: the rest is forgotten, and written over."""
    patch(sqlite_wal, "refuse", lambda _: None)


@breaks("P15")
def a_torn_commit_is_taken_for_damage(patch):
    """Whatever lies in the log after the last commit that is read."""

    def after(log, last):
        log.seek(0, os.SEEK_END)
        return sqlite_wal.Lost(1, last) if log.tell() > 32 + last * (24 + 4096) else None

    patch(sqlite_wal, "_after", after)


@breaks("P15")
def a_file_that_was_cut_is_a_new_store(patch):
    patch(sqlite_file, "refuse_cut", lambda _: None)


@breaks("P15")
def what_sqlite_says_is_not_put_into_words(patch):
    patch(sqlite_file, "explained", nullcontext)


@breaks("P14")
def what_a_disk_refuses_is_not_put_into_words(patch):
    patch(sqlite_file, "explained", nullcontext)
    patch(sqlite_file, "prepare", lambda path: os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600)))


@breaks("P18")
def older_stores_are_refused(patch):
    patch(sqlite_file, "FORMAT", 0)


@breaks("P18")
def an_opening_changes_the_schema(patch):
    patch(sqlite_file, "SQL", {**sqlite_file.SQL, "snapshot_table": "ALTER TABLE meta ADD COLUMN more"})


@breaks("P15")
def a_damaged_entry_is_made_up(patch):
    read = catalog.execution_row

    def made_up(entry):
        try:
            return read(entry)
        except catalog.EntryDamaged:
            return catalog.ExecutionRow(entry.key.rpartition(":")[2], "")

    patch(catalog, "execution_row", made_up)


@breaks("P15")
def what_has_no_log_is_not_looked_at(patch):
    async def nothing(_):
        for none in ():
            yield none

    patch(entries, "without_logs", nothing)


@breaks("P15")
def an_entry_is_compared_with_a_log_of_another_moment(patch):
    fold = doctor._fold

    async def late(store, arn, entry, kept, execution):
        looked_up = type(store).entry

        async def same(kind, key):
            return entry if kind == catalog.EXECUTION else await looked_up(store, kind, key)

        store.entry = same
        return await fold(store, arn, entry, kept, execution)

    patch(doctor, "_fold", late)


@breaks("P15")
def what_the_catalog_says_is_believed(patch):
    patch(entries, "of_execution", lambda *_: [])


@breaks("P15")
def a_damaged_entry_stops_everything(patch):
    patch(known, "_passed_over", nullcontext)


# --- the runtime ------------------------------------------------------------------------------------------------------


@breaks("P2", "P5")
def called_before_it_is_durable(patch):
    settled = Run.settled

    async def early(run, told):
        run.begin(told.owed)
        await settled(run, told)
        return []

    patch(Run, "settled", early)


@breaks("P7", "P10")
def what_nobody_waits_for_is_not_followed(patch):
    async def followed(engine, run, told):
        with anyio.CancelScope() as scope:
            engine._awaited.add(scope)
            try:
                await run.follow(told)
            finally:
                engine._awaited.discard(scope)

    patch(Engine, "followed", followed)


@breaks("P10")
def a_run_falls_asleep_with_work_left(patch):
    """What others leave ready while the last decision is on its way to the disk is not looked at again."""

    async def once(run):
        try:
            while run.execution.ready and run.broken is None and (told := run.decide(signals.Continue())) is not None:
                await run.follow(told)
                return
        finally:
            run._carrying_on = False

    patch(Run, "_carry_on", once)


@breaks("P10")
def accepted_before_it_is_durable(patch):
    """Who answers or stops is told at once, and what came of it follows."""

    async def tell(engine, run, signal):
        if (told := run.decide(signal)) is not None:
            engine.spawn(run, run.follow, told)

    patch(Engine, "tell", tell)


@breaks("P6")
def a_second_answer_is_let_in(patch):
    """Whoever answers by a token that was answered before is heard, and another call has its answer."""

    async def say(callbacks, token, signal):
        arn, asked = read_token(token)
        run = await callbacks._engine.alive(arn)
        if run is None:
            raise TaskTimedOut
        await callbacks._engine.tell(run, signal(asked))

    patch(Callbacks, "_say", say)
    law_mutants.asked_ignored(_Patch(patch))


class _Patch:
    """What a mutant of the laws expects."""

    def __init__(self, patch):
        self.setattr = patch


@breaks("P5", "P6")
def a_token_is_drawn_for_each_call(patch):
    call = Run._call
    drawn = itertools.count(1_000)

    def another(run, effect):
        made = call(run, effect)
        if effect.token is None:
            made.token = f"{made.execution}#{next(drawn)}"
        return made

    patch(Run, "_call", another)


def _each_fold_is_followed_by(change, patch):
    fold = folding.fold

    async def changed(store, arn):
        folded = await fold(store, arn)
        change(folded.execution)
        return folded

    patch(folding, "fold", changed)


@breaks("P9")
def timers_are_kept_as_seconds_left(patch):
    """Each fold sets a timer anew, with all the time that it had when it was set."""

    def restarted(execution):
        for frame in execution.asked.values():
            if isinstance(frame.waits, Timer):
                frame.waits.until += 60_000

    _each_fold_is_followed_by(restarted, patch)


@breaks("P9")
def a_clock_that_was_set_is_believed_late(patch):
    """A timer waits by the monotonic clock alone, however long."""

    async def wait(clock, until, changed):
        with anyio.move_on_after(None if until is None else max(until - clock.now(), 0) / 1000):
            await changed.wait()

    patch(SystemClock, "wait", wait)


@breaks("P9", "P10")
def the_flag_is_lowered_after_the_look(patch):
    """What wakes the keeper of timers is lowered after it looked at them, and not before."""
    keep = Timers.keep

    class Late:
        def __init__(self, clock):
            self.now, self._wait = clock.now, clock.wait

        async def wait(self, until, changed):
            await checkpoint()
            if changed.is_set():
                changed = timers._changed = anyio.Event()
            await self._wait(until, changed)

    timers = None

    async def late(kept):
        nonlocal timers
        timers = kept
        timers._clock = Late(timers._clock)
        await keep(timers)

    patch(Timers, "keep", late)


@breaks("P9")
def the_limit_of_a_machine_begins_anew(patch):
    def restarted(execution):
        if execution.expiry is not None:
            execution.expiry += 60_000

    _each_fold_is_followed_by(restarted, patch)


@breaks("P1", "P2")
def told_before_it_is_durable(patch):
    """Whoever starts an execution is told at once."""

    async def followed(engine, run, told):
        engine.spawn(run, run.follow, told)

    patch(Engine, "followed", followed)


@breaks("P16")
def what_has_ended_is_kept(patch):
    patch(Engine, "finished", lambda *_: None)


@breaks("P13")
def what_never_began_is_set_aside(patch):
    patch(Engine, "lost", lambda engine, run, error: engine.failed.update({run.stream: error}))


@breaks("P13")
def a_handler_holds_the_loop(patch):
    async def here(function, event, context):
        return function._call(event, context)

    patch(Function, "_in_thread", here)


@breaks("P13")
def a_process_that_dies_has_answered(patch):
    patch(handlers, "_result", lambda *_: NULL)


@breaks("P11")
def any_input_is_the_same(patch):
    patch(starting, "_same", lambda *_: True)


@breaks("P12")
def the_end_waits_for_nobody(patch):
    patch(Run, "_close_if_done", lambda run: run._close() if run._closing else None)


@breaks("P13")
def what_goes_wrong_reaches_the_others(patch):
    async def unguarded(engine, run, task, arguments):
        try:
            await task(*arguments)
        finally:
            engine._rest()

    patch(Engine, "_guarded", unguarded)


@breaks("P21")
def a_redrive_does_all_again(patch):
    """The fold forgets what the items of a Map have come to."""

    def forgotten(execution):
        for frame in execution.frames.values():
            if isinstance(frame.waits, Items):
                frame.waits.outputs = [None] * len(frame.waits.outputs)

    _each_fold_is_followed_by(forgotten, patch)


@breaks("P4", "P5")
def a_snapshot_leaves_a_field_out(patch):
    """How often a state was tried is not in it."""
    restored = snapshots.restored

    def forgetful(text):
        execution = restored(text)
        for frame in execution.frames.values():
            frame.tries = NO_TRIES
        return execution

    patch(snapshots, "restored", forgetful)


@breaks("P17")
def a_stop_cuts_off(patch):
    """Who is told to stop is gone at once."""

    async def gone(*_):
        os._exit(1)

    patch(Engine, "__aexit__", gone)


# --- the server -------------------------------------------------------------------------------------------------------


@breaks("P14")
def what_the_file_was_asked_for_is_not_looked_at(patch):
    """Whether the file could be made one with a write-ahead log shows only once the answer is fetched to its end."""
    set_up = sqlite_file.set_up
    patch(sqlite_file, "set_up", lambda db, *arguments: set_up(_Unfetched(db), *arguments))


class _Unfetched:
    """A connection whose first change to a file fails late, and nobody hears of it."""

    def __init__(self, db):
        self._db = db

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, statement, *arguments):
        cursor = self._db.execute(statement, *arguments)
        return _Unread() if statement.endswith("journal_mode = WAL") else cursor


class _Unread:
    def fetchall(self):
        """Nothing, and no error."""


@breaks("P14")
def a_failed_store_is_said_to_be_well(patch):
    async def well(_service):
        return Condition("ok")

    patch(served.Served, "health", well)


@breaks("P14")
def a_store_is_opened_anew_but_once(patch):
    wanted = reopening.Reopening.wanted

    async def once(waiting, store):
        if waiting._pause > reopening.PAUSE_SECONDS:
            await waiting._over.wait()
            return False
        return await wanted(waiting, store)

    patch(reopening.Reopening, "wanted", once)


@breaks("P7", "P14")
def a_refusal_is_answered_as_if_done(patch):
    answer = door.Door.answer

    async def done(asked, call, gone=None):
        reply = await answer(asked, call, gone)
        return protocol.answer(None, protocol.request_id()) if reply.status == 503 else reply

    patch(door.Door, "answer", done)


@breaks("P17")
def a_stop_hangs_up_on_clients(patch):
    """What is in flight is dropped, though it was begun."""

    def stop(server, *_):
        server.should_exit = server.force_exit = True

    patch(serving._Server, "_stop", stop)
