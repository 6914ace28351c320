"""A large inline Map, end to end and durable: items a second, peak memory, and frames alive at once.

The yardstick is the least that such a Map costs: a bare task group that makes the same calls in the same window, then
bare sqlite3 that commits the same rows in groups.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio

from benchmarks import machines, rows
from benchmarks.measure import ROUNDS, Line, Round, measured, peak_megabytes
from stepfold import Engine, Limits
from stepfold.work.functions.callables import Function

WINDOW = 40
LOOK_EVERY = 100
"""Calls between two looks at how many frames are alive."""
TELL_EVERY = 0.5
"""Seconds between two lines of progress."""


async def through_the_engine(url: str, items: int, window: int, handler: Callable[..., Any]) -> tuple[float, int]:
    """Seconds from the start to the result, and the most frames seen alive."""
    frames = calls = 0

    async def watched(event: Any) -> Any:
        nonlocal frames, calls
        calls += 1
        if calls % LOOK_EVERY == 1:
            frames = max(frames, *(len(run.execution.frames) for run in engine.runs.values()))
        return await handler(event)

    engine = Engine(url, limits=Limits.local(), calls=max(window, 200))
    engine.register("work", Function(watched))
    async with engine:
        machine = await engine.create("spread", machines.spread(window))
        begun = time.perf_counter()
        handle = await engine.start(machine, list(range(items)))
        output = await handle.output()
        taken = time.perf_counter() - begun
        if bytes(output).count(b",") != items - 1:
            raise AssertionError("the Map lost items")
    return taken, frames


async def bare(items: int, window: int) -> float:
    """Seconds that a task group takes for the same calls in the same window."""
    results: list[Any] = [None] * items
    left = iter(range(items))

    async def worker(left: Iterator[int]) -> None:
        for item in left:
            results[item] = await machines.work(item)
            await anyio.lowlevel.checkpoint()

    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(window):
            group.start_soon(worker, left)
    return time.perf_counter() - begun


def spreading(items: int) -> Round:
    """One Map of so many items."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store = Path(folder, "map.db")
        ours, frames = anyio.run(through_the_engine, str(store), items, WINDOW, machines.work)
        memory = peak_megabytes()
        floor = anyio.run(bare, items, WINDOW) + rows.written_again(store, Path(folder, "bare.db"))
    return Round(items / ours, items / floor, {"peak MB": memory, "frames": frames})


def inline(items: int, *, quick: bool) -> Line:
    """The line `map_inline_<items>`."""
    name = f"map_inline_{items}"
    against = "bare task group, then raw sqlite3"
    rounds, items = (1, min(items, 200)) if quick else (ROUNDS, items)
    return measured(name, "items/s", against, rounds, spreading, items)


# --- the user's own -------------------------------------------------------------------------------------------------


def found(handler: str) -> Callable[..., Any]:
    """The callable that `module:function` names."""
    module, _, function = handler.partition(":")
    sys.path.insert(0, "")
    called: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return called


async def own(items: int, window: int, handler: Callable[..., Any], url: str | None) -> None:
    """A Map over 0, 1, 2, ... with a handler of the user's own, with progress."""
    done = 0
    function = Function(handler)

    async def counted(call: Any) -> Any:
        nonlocal done
        answer = await function(call)
        done += 1
        return answer

    with tempfile.TemporaryDirectory(dir=".") as folder:
        engine = Engine(url or str(Path(folder, "map.db")), limits=Limits.local(), calls=max(window, 200))
        engine.register("work", counted, concurrency=window or function.concurrency)
        async with engine, anyio.create_task_group() as group:
            machine = await engine.create("spread", machines.spread(window), replace=True)
            begun = time.perf_counter()
            group.start_soon(_tell, lambda: done, items, begun)
            await (await engine.start(machine, list(range(items)))).output()
            group.cancel_scope.cancel()
            taken = time.perf_counter() - begun
    print(f"{items:,} items in {taken:.2f} s: {items / taken:,.0f} items/s, peak {peak_megabytes():.0f} MB")


async def _tell(done: Callable[[], int], items: int, begun: float) -> None:
    while True:
        count = done()
        rate = count / (time.perf_counter() - begun)
        left = f"{(items - count) / rate:.0f} s left" if rate else "waiting"
        print(f"{count:,} of {items:,} items, {rate:,.0f} items/s, {left}", file=sys.stderr)
        await anyio.sleep(TELL_EVERY)
