"""Many small executions of five states, one of them a call, durable; the yardstick commits the same rows bare."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from benchmarks import machines, rows
from benchmarks.measure import ROUNDS, Line, Round, measured, peak_megabytes
from stepfold import Engine, Limits
from stepfold.runtime.machines.registry import MachineRef
from stepfold.work.functions.callables import Function

EXECUTIONS = 10_000
CALLERS = 100
"""Callers at once, each of which starts an execution, waits for its result, and starts the next."""


async def through_the_engine(path: Path, executions: int) -> float:
    """Seconds until every caller has had its results."""
    engine = Engine(path, limits=Limits.local())
    engine.register("work", Function(machines.work))

    async def caller(machine: MachineRef, left: Iterator[int]) -> None:
        for number in left:
            await (await engine.start(machine, {"order": number})).output()

    async with engine:
        machine = await engine.create("five", machines.FIVE)
        left = iter(range(executions))
        begun = time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(caller, machine, left)
        return time.perf_counter() - begun


async def one_by_one(path: Path, executions: int) -> float:
    """The median of seconds from a start to its result, one after the other."""
    engine = Engine(path, limits=Limits.local())
    engine.register("work", Function(machines.work))
    async with engine:
        machine = await engine.create("five", machines.FIVE)
        stamps = [time.perf_counter()]
        for number in range(executions):
            await (await engine.start(machine, {"order": number})).output()
            stamps.append(time.perf_counter())
    return sorted(later - earlier for earlier, later in itertools.pairwise(stamps))[executions // 2]


def running(executions: int) -> Round:
    """So many executions, and some more one after the other."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store = Path(folder, "many.db")
        ours = anyio.run(through_the_engine, store, executions)
        memory = peak_megabytes()
        floor = rows.written_again(store, Path(folder, "bare.db"))
        alone = anyio.run(one_by_one, Path(folder, "alone.db"), max(executions // 20, 5))
    return Round(executions / ours, executions / floor, {"peak MB": memory, "one after the other p50 ms": alone * 1000})


def ran(*, quick: bool) -> Line:
    """The line `many`."""
    rounds, executions = (1, 100) if quick else (ROUNDS, EXECUTIONS)
    return measured("many", "executions/s", "raw sqlite3 of the same rows", rounds, running, executions)
