"""What the store adds to a durable append: groups of 256 events through SqliteStore, beside raw sqlite3.

`append` makes a group when the one before it is durable, so that each waits for two threads to wake up. `append_ahead`
makes it while the one before it is on its way, as an engine with many executions does: what came meanwhile, the store
writes as one.

The yardstick writes the same rows into the same tables with the same checksums, in one transaction a group, on one
connection set as the store's, without queue, tickets or threads. The two take turns, so that the machine's moods hit
both; each figure is the median of five rounds.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks.measure import Line
from stepfold_store import Record, open_store, sqlite_file, sqlite_rows
from stepfold_store.contract import Ticket

EVENTS = 256
GROUPS = 200
ROUNDS = 5
STREAMS = 8

Group = list[tuple[str, int, Record]]


def groups(round_number: int, count: int) -> list[Group]:
    """So many groups: decisions of 4 to 7 events of about 90 bytes, spread over some executions."""
    chance = random.Random(round_number)
    names = [f"arn:aws:states:eu-west-1:000000000000:execution:orders:{round_number}-{n}" for n in range(STREAMS)]
    last = dict.fromkeys(names, 0)
    made = []
    for _ in range(count):
        group: Group = []
        left = EVENTS
        while left:
            size = min(left, chance.randint(4, 7))
            name = chance.choice(names)
            group.append((name, last[name], decision(last[name], size)))
            last[name] += size
            left -= size
        made.append(group)
    return made


def decision(version: int, count: int) -> Record:
    """One decision's record."""
    at = 1_700_000_000_000 + version
    events = (
        f'[{n},{n},{n - 1},1,{at},{{"type":"TaskSucceeded","output":{{"orderId":{n},"total":19.90}}}}]'
        for n in range(version + 1, version + count + 1)
    )
    body = f"[{','.join(events)}]".encode()
    return Record(version + 1, version + count, at, body, version + 1, version + count)


async def through_the_store(path: Path, work: list[Group], ahead: int) -> float:
    """Seconds that the store takes, with so many groups made before the one to be waited for is durable."""
    store = await open_store(path)
    made: deque[list[Ticket]] = deque()
    try:
        begun = time.perf_counter()
        for group in work:
            made.append([store.submit(stream, expected, (record,)) for stream, expected, record in group])
            if len(made) > ahead:
                await durable(made.popleft())
        while made:
            await durable(made.popleft())
        return time.perf_counter() - begun
    finally:
        await store.close()


async def durable(tickets: list[Ticket]) -> None:
    """Wait for a group."""
    for ticket in tickets:
        await ticket


def raw(path: Path, work: list[Group]) -> float:
    """Seconds that bare sqlite3 takes for the same rows."""
    sqlite_file.prepare(path)
    db = sqlite3.connect(path, isolation_level=None)
    sqlite_file.set_up(db, path, "full")
    keys: dict[str, int] = {}
    checksums: dict[str, bytes] = {}
    begun = time.perf_counter()
    for group in work:
        rows: list[tuple[Any, ...]] = []
        db.execute("BEGIN IMMEDIATE")
        for stream, _, one in group:
            if stream not in keys:
                keys[stream] = len(keys) + 1
                checksums[stream] = sqlite_rows.seed(stream)
                db.execute(sqlite_rows.SQL["add_stream"], (keys[stream], stream))
            checksum = checksums[stream] = sqlite_rows.chained(checksums[stream], one)
            rows.append((keys[stream], one.first, one.last, one.at, one.body, one.first_id, one.last_id, checksum))
        db.executemany(sqlite_rows.SQL["add_row"], rows)
        db.execute("COMMIT")
    taken = time.perf_counter() - begun
    db.close()
    return taken


def run(name: str, ahead: int, *, quick: bool = False) -> Line:
    """The line of that name."""
    rounds, count = (1, 10) if quick else (ROUNDS, GROUPS)
    ours, floor = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for number in range(rounds):
            work = groups(number, count)
            floor.append(EVENTS * count / raw(Path(folder, f"raw{number}.db"), work))
            path = Path(folder, f"store{number}.db")
            ours.append(EVENTS * count / asyncio.run(through_the_store(path, work, ahead)))
    figure, yardstick = statistics.median(ours), statistics.median(floor)
    return {
        "name": name,
        "figure": round(figure),
        "unit": "events/s",
        "yardstick": round(yardstick),
        "ratio": round(figure / yardstick, 3),
        "against": "raw sqlite3 of the same rows",
    }


def appended(*, quick: bool) -> Line:
    """The line `append`."""
    return run("append", 0, quick=quick)


def appended_ahead(*, quick: bool) -> Line:
    """The line `append_ahead`."""
    return run("append_ahead", 1, quick=quick)
