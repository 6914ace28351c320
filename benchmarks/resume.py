"""Coming back: a log of 10^5 events read from a SQLite store and folded, and an engine opened on it.

The yardstick reads the same rows with bare sqlite3 and decodes them with bare msgspec: no checksums, no fold.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks.core import begin, live
from benchmarks.machines import spread
from benchmarks.measure import ROUNDS, Line, Round, measured
from stepfold import Engine
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.language.machine import load
from stepfold.runtime import catalog
from stepfold.runtime.run import record
from stepfold.work.functions import Function
from stepfold_store import open_store

EVENTS = 100_000
EVENTS_AN_ITEM = 7
WINDOW = 40


async def written(path: Path, events: int) -> tuple[str, int]:
    """The log of a Map that was cut off shortly before its end: the execution's ARN, and how many events it has."""
    machine = load(spread(WINDOW))
    signal = begin(machine, [{"orderId": n, "total": n} for n in range(events // EVENTS_AN_ITEM)])
    decisions = live(machine, signal)[:-WINDOW]
    execution = Execution.fold(decisions[0].events)
    arn = execution.started.arn
    store = await open_store(path)
    await store.put([], [machine.text])
    tickets = [
        store.submit(
            catalog.stream_of(arn),
            decision.events[0].seq - 1,
            (record(decision),),
            entries=() if number else (catalog.execution_entry(execution),),
        )
        for number, decision in enumerate(decisions)
    ]
    for ticket in tickets:
        await ticket
    await store.close()
    return arn, decisions[-1].events[-1].seq


async def folded(path: Path, arn: str) -> float:
    """Seconds to read and fold the log through the store."""
    store = await open_store(path)
    begun = time.perf_counter()
    await catalog.fold(store, arn)
    taken = time.perf_counter() - begun
    await store.close()
    return taken


async def opened(path: Path) -> float:
    """Seconds until an engine that is opened on the log has taken up what was in flight."""

    async def work(_: Any) -> None:
        await anyio.sleep_forever()

    engine = Engine(path)
    engine.register("work", Function(work))
    begun = time.perf_counter()
    async with engine:
        return time.perf_counter() - begun


def bare(path: Path) -> float:
    """Seconds to read and decode the same rows without a store."""
    db = sqlite3.connect(path)
    decoder = msgspec.json.Decoder(list[Event])
    begun = time.perf_counter()
    for (body,) in db.execute("SELECT body FROM log ORDER BY first"):
        decoder.decode(body)
    taken = time.perf_counter() - begun
    db.close()
    return taken


def resuming(events: int) -> Round:
    """One log, folded and opened."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "resume.db")
        arn, count = anyio.run(written, path, events)
        floor = bare(path)
        ours = anyio.run(folded, path, arn)
        opening = anyio.run(opened, path)
    return Round(count / ours, count / floor, {"fold s": ours, "engine open s": opening})


def resumed(*, quick: bool) -> Line:
    """The line `resume`."""
    rounds, events = (1, 1_000) if quick else (ROUNDS, EVENTS)
    return measured("resume", "events/s", "sqlite3 read, msgspec decode", rounds, resuming, events)
