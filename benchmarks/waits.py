"""Ten thousand items that all wait for one second at once, durable: how long until the Map is whole.

The yardstick is as many bare anyio tasks, asleep for that second. Both are told as waits a second, so that the second
itself is the ceiling: 10,000 of them cannot be over faster than 10,000 a second.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.measure import ROUNDS, Line, Round, measured, peak_megabytes
from stepfold import Engine, Limits

ITEMS = 10_000
SECONDS = 1
WAITING: dict[str, Any] = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "MaxConcurrency": ITEMS,
            "ItemProcessor": {
                "StartAt": "Rest",
                "States": {"Rest": {"Type": "Wait", "Seconds": SECONDS, "End": True}},
            },
            "End": True,
        }
    },
}


async def through_the_engine(path: Path, items: int) -> float:
    """Seconds from the start to the result."""
    async with Engine(path, limits=Limits.local()) as engine:
        machine = await engine.create("waiting", WAITING)
        begun = time.perf_counter()
        await (await engine.start(machine, list(range(items)))).output()
        return time.perf_counter() - begun


async def bare(items: int) -> float:
    """Seconds that as many sleeping tasks take."""
    begun = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(items):
            group.start_soon(anyio.sleep, SECONDS)
    return time.perf_counter() - begun


def waiting(items: int) -> Round:
    """One Map of so many waits."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        ours = anyio.run(through_the_engine, Path(folder, "waits.db"), items)
    memory = peak_megabytes()
    floor = anyio.run(bare, items)
    return Round(items / ours, items / floor, {"s": ours, "peak MB": memory})


def waited(*, quick: bool) -> Line:
    """The line `waits`."""
    rounds, items = (1, 100) if quick else (ROUNDS, ITEMS)
    return measured("waits", "waits/s", "sleeping anyio tasks", rounds, waiting, items)
