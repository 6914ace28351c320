"""What holds in every log, read off the log alone: here is no code of the store, and none of the engine but its facts.

`of_file` takes a store file as a crash left it (its write-ahead log beside it) and works on a copy; `of_store` takes a
store in memory. Both give the logs by the execution's name, once every one of them is found lawful.
"""

import hashlib
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from tests.laws.checks import ENDS, FORKS, OUTCOMES, Broken, lawful, one_outcome

from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution

_ROWS = """
SELECT stream.name, first, last, at, body, first_id, last_id, checksum
FROM log LEFT JOIN stream ON stream.key = log.stream ORDER BY log.stream, first
"""


def copied(path, folder):
    """A store file and its write-ahead log, copied into a folder."""
    for part in (path, path.with_name(path.name + "-wal")):
        if part.exists():
            shutil.copyfile(part, Path(folder) / part.name)
    return Path(folder) / path.name


def of_file(path):
    """The logs of a store file, each found lawful, by the execution's name; none where there is no store yet."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(copied(path, folder))) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            raise Broken(f"SQLite finds the file damaged: {found}")
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {}
        rows = {}
        for stream, *row in db.execute(_ROWS):
            rows.setdefault(stream, []).append(row)
        if None in rows:
            raise Broken("there are rows of a stream that is not there")
        entries = dict(db.execute("SELECT key, status FROM catalog WHERE kind = 'execution'"))
        logs = {stream: _chained(stream, body) for stream, body in rows.items()}
    return _looked_over(logs, entries)


async def of_store(store):
    """The logs of a store in memory, each found lawful."""
    entries = {one.key: one.status for one in (await store.entries("execution", limit=1 << 20)).entries}
    logs = {
        stream: [event for record in records for event in facts.decode(record.body)]
        for stream, records in store._streams.items()
    }
    return _looked_over(logs, entries)


def _chained(stream, rows):
    """The events of a stream's rows, whose numbers and checksums must follow from one another."""
    before = hashlib.blake2b(stream.encode(), digest_size=16).digest()
    events, next_ = [], 1
    for first, last, at, body, first_id, last_id, checksum in rows:
        if first != next_:
            raise Broken(f"{stream}: a row begins at {first}, not at {next_}")
        numbers = struct.pack(">5q", first, last, first_id, last_id, at)
        before = hashlib.blake2b(before + numbers + body, digest_size=16).digest()
        if before != checksum:
            raise Broken(f"{stream}: the checksum at {first} does not follow from the one before")
        events += facts.decode(body)
        next_ = last + 1
        if events[-1].seq != last:
            raise Broken(f"{stream}: the row that begins at {first} does not hold what it says")
    return events


def _looked_over(logs, entries):
    found = {}
    for stream, events in logs.items():
        try:
            execution = _lawful(events)
        except Broken as broken:
            raise Broken(f"{stream}: {broken}") from None
        arn = stream.removeprefix("execution:")
        if execution.started.arn != arn or entries.get(arn) != execution.status:
            raise Broken(f"{stream}: the catalog says {entries.get(arn)}, the log {execution.status}")
        found[execution.started.name] = events
    if len(found) != len(entries):
        raise Broken("the catalog lists executions that have no log")
    return found


def _lawful(events):
    if any(isinstance(event.fact, facts.ExecutionRedriven) for event in events):
        _redriven(events)
    else:
        lawful(events)
    return Execution.fold(events)


def _redriven(events):
    """A log that goes on after its end does so by being redriven, and by nothing else."""
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        raise Broken("the numbers of the events are not dense")
    lives = [0, *(at for at, event in enumerate(events) if isinstance(event.fact, facts.ExecutionRedriven)), None]
    for begin, end in pairwise(lives):  # what was cut off by the end is asked for once more
        one_outcome(events[begin:end])
    for before, after in pairwise(events):
        if isinstance(before.fact, ENDS) and not isinstance(after.fact, facts.ExecutionRedriven):
            raise Broken("something other than a redrive happened after the end")


def is_beginning(before, after):
    """What was in the logs is in them still, and was not changed."""
    for name, events in before.items():
        if after.get(name, [])[: len(events)] != events:
            raise Broken(f"{name}: the log of {len(events)} events is no beginning of what it is now")


def scheduled(logs):
    """The tokens of all calls that the logs ask for."""
    return {
        f"{events[0].fact.arn}#{event.seq}"
        for events in logs.values()
        for event in events
        if isinstance(event.fact, facts.TaskScheduled)
    }


def answered(logs):
    """The tokens of all calls that have an outcome; one that is there twice was recorded twice."""
    found = Counter()
    for events in logs.values():
        asked = {}
        for event in events:
            if isinstance(event.fact, facts.TaskScheduled):
                asked[event.frame] = event.seq
            elif isinstance(event.fact, OUTCOMES):
                found[f"{events[0].fact.arn}#{asked[event.frame]}"] += 1
    return found


def results(events):
    """What the calls of one execution came to, by the place of their state: the same however it was cut."""
    found, place, state = Counter(), {1: ()}, {}
    for event in events:
        if isinstance(event.fact, FORKS):
            place[event.seq] = (*place[event.fact.parent], state[event.fact.parent], event.fact.index)
        elif isinstance(event.fact, facts.StateEntered):
            state[event.frame] = event.fact.name
        elif isinstance(event.fact, facts.TaskSucceeded):
            found[*place[event.frame], state[event.frame], bytes(event.fact.output)] += 1
    return found
