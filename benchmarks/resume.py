"""Coming back: logs read from a SQLite store and folded, and an engine opened on them.

`resume` folds one log of 10^5 events; `resume_million` opens an engine on one of 10^6, `resume_many` on 10,000
executions of one call each, until all that was in flight is in flight again. The logs are written by a process of
their own, so that the peak is the resume's. The yardstick reads the same rows with bare sqlite3 and decodes them with
bare msgspec: no checksums, no fold.

`resume_snapshot` opens the log of 10^6 with the snapshot that a run would have left in it; its yardstick is the same
without one.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks.core import MOMENT, begin, live
from benchmarks.machines import FIVE, spread
from benchmarks.measure import ROUNDS, Line, Round, fresh, measured, peak_megabytes
from stepfold import Engine
from stepfold.interpreter.decide import Decision, decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.language.machine import Machine, load
from stepfold.runtime import catalog
from stepfold.runtime.runs.folding import Pace, fold
from stepfold.runtime.runs.run import record
from stepfold.work.functions.callables import Function
from stepfold_store import open_store
from stepfold_store.contract import Store, Ticket

EVENTS = 100_000
MILLION = 1_000_000
EVENTS_AN_ITEM = 7
WINDOW = 40
EXECUTIONS = 10_000


def map_cut_off(events: int) -> tuple[Machine, list[list[Decision]]]:
    """The log of a Map that was cut off shortly before its end."""
    machine = load(spread(WINDOW))
    signal = begin(machine, [{"orderId": n, "total": n} for n in range(events // EVENTS_AN_ITEM)])
    return machine, [live(machine, signal)[:-WINDOW]]


def calls_cut_off(executions: int) -> tuple[Machine, list[list[Decision]]]:
    """The logs of as many executions, each of which was cut off in its call."""
    machine = load(FIVE)
    begun = (begin(machine, {"order": n}, name=str(n)) for n in range(executions))
    return machine, [[decide(machine, Execution(), signal, MOMENT)] for signal in begun]


Logs = Callable[[int], tuple[Machine, list[list[Decision]]]]


async def written(path: Path, machine: Machine, logs: list[list[Decision]]) -> tuple[str, int]:
    """Keep logs in a store: the first execution's ARN, and the events of all."""
    store = await open_store(path)
    await store.put([], [machine.text])
    for ticket in [ticket for log in logs for ticket in submitted(store, log)]:
        await ticket
    await store.close()
    return Execution.fold(logs[0][0].events).started.arn, sum(log[-1].events[-1].seq for log in logs)


def submitted(store: Store, log: Iterable[Decision]) -> Iterator[Ticket]:
    """Hand one log to the store, with snapshots as a run would write them."""
    execution, pace = Execution(), Pace()
    for decision in log:
        for event in decision.events:
            execution.apply(event)
        row = record(decision.events)
        pace.passed(row)
        entries = (catalog.execution_entry(execution),) if row.first == 1 else ()
        yield store.submit(
            catalog.stream_of(execution.started.arn), row.first - 1, (row,), entries=entries,
            snapshot=pace.due(execution),
        )


async def without_snapshots(path: Path) -> None:
    """Have a store's logs folded whole."""
    store = await open_store(path)
    await store.drop_snapshots()
    await store.close()


async def left_to_fold(path: Path, arn: str) -> int:
    """The events of a log after its snapshot."""
    store = await open_store(path)
    _, pace = await fold(store, arn)
    await store.close()
    return pace.events


def kept(path: Path, made: Logs, size: int) -> tuple[str, int]:
    """Likewise, of logs that are made for it."""
    return anyio.run(written, path, *made(size))


async def folded(path: Path, arn: str) -> float:
    """Seconds to read and fold the log through the store."""
    store = await open_store(path)
    begun = time.perf_counter()
    await fold(store, arn)
    taken = time.perf_counter() - begun
    await store.close()
    return taken


async def opened(path: Path, in_flight: int) -> tuple[float, float]:
    """Seconds until an engine is open on those logs, and until so many calls are in flight again."""
    calls, all_there = 0, anyio.Event()

    async def work(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == in_flight:
            all_there.set()
        await anyio.sleep_forever()

    engine = Engine(path, calls=in_flight)
    engine.register("work", Function(work), concurrency=in_flight)
    begun = time.perf_counter()
    async with engine:
        open_after = time.perf_counter() - begun
        with anyio.fail_after(60):
            await all_there.wait()
        return open_after, time.perf_counter() - begun


def bare(path: Path) -> float:
    """Seconds to read and decode the same rows without a store."""
    db = sqlite3.connect(path)
    decoder = msgspec.json.Decoder(list[Event])
    begun = time.perf_counter()
    for (body,) in db.execute("SELECT body FROM log ORDER BY stream, first"):
        decoder.decode(body)
    taken = time.perf_counter() - begun
    db.close()
    return taken


def folding(events: int) -> Round:
    """One log, folded and opened."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "resume.db")
        arn, count = fresh(kept, path, map_cut_off, events)
        anyio.run(without_snapshots, path)
        floor = bare(path)
        ours = anyio.run(folded, path, arn)
        _, all_there = anyio.run(opened, path, 1)
    return Round(count / ours, count / floor, {"fold s": ours, "first call s": all_there})


def opening(events: int) -> Round:
    """One large log, opened."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "resume.db")
        _, count = fresh(kept, path, map_cut_off, events)
        anyio.run(without_snapshots, path)
        floor = bare(path)
        _, all_there = anyio.run(opened, path, 1)
    return Round(count / all_there, count / floor, {"first call s": all_there, "peak MB": peak_megabytes()})


def opening_with_a_snapshot(events: int) -> Round:
    """One large log, opened with its snapshot and without."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "resume.db")
        arn, count = fresh(kept, path, map_cut_off, events)
        left = anyio.run(left_to_fold, path, arn)
        _, ours = anyio.run(opened, path, 1)
        anyio.run(without_snapshots, path)
        _, floor = anyio.run(opened, path, 1)
    return Round(count / ours, count / floor, {"first call s": ours, "without s": floor, "events after it": left})


def reopening(executions: int) -> Round:
    """Many small logs, opened."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "resume.db")
        fresh(kept, path, calls_cut_off, executions)
        floor = bare(path)
        open_after, all_there = anyio.run(opened, path, executions)
    seen = {"open s": open_after, "all calls s": all_there, "peak MB": peak_megabytes()}
    return Round(executions / all_there, executions / floor, seen)


def resumed(*, quick: bool) -> Line:
    """The line `resume`."""
    rounds, events = (1, 1_000) if quick else (ROUNDS, EVENTS)
    return measured("resume", "events/s", "sqlite3 read, msgspec decode", rounds, folding, events)


def resumed_million(*, quick: bool) -> Line:
    """The line `resume_million`."""
    rounds, events = (1, 1_000) if quick else (ROUNDS, MILLION)
    return measured("resume_million", "events/s", "sqlite3 read, msgspec decode", rounds, opening, events)


def resumed_with_a_snapshot(*, quick: bool) -> Line:
    """The line `resume_snapshot`."""
    rounds, events = (1, 1_000) if quick else (ROUNDS, MILLION)
    return measured("resume_snapshot", "events/s", "the same, folded whole", rounds, opening_with_a_snapshot, events)


def resumed_many(*, quick: bool) -> Line:
    """The line `resume_many`."""
    rounds, executions = (1, 20) if quick else (ROUNDS, EXECUTIONS)
    return measured("resume_many", "executions/s", "sqlite3 read, msgspec decode", rounds, reopening, executions)
