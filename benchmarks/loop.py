"""One execution that never waits: a Pass and a Choice in a circle, durable, in both query languages.

The yardstick of JSONPath is the core alone; that of JSONata is the same work in JSONPath.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks import machines
from benchmarks.core import begin, live
from benchmarks.measure import ROUNDS, Line, Round, measured
from stepfold import Engine, Limits
from stepfold.language.machine import load

CIRCLES = 30_000
TRANSITIONS_A_CIRCLE = 2


async def through_the_engine(path: Path, definition: dict[str, Any]) -> float:
    """Seconds from the start to the result."""
    async with Engine(path, limits=Limits.local()) as engine:
        machine = await engine.create("loop", definition)
        begun = time.perf_counter()
        await (await engine.start(machine, {"n": 0})).output()
        return time.perf_counter() - begun


def durable(definition: dict[str, Any]) -> float:
    """Likewise, with a store of its own."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        return anyio.run(through_the_engine, Path(folder, "loop.db"), definition)


def core_alone(definition: dict[str, Any]) -> float:
    """Seconds that the decisions take, with nothing encoded or kept on disk."""
    machine = load(definition)
    signal = begin(machine, {"n": 0})
    begun = time.perf_counter()
    live(machine, signal)
    return time.perf_counter() - begun


def looping(circles: int) -> Round:
    """One execution of so many circles."""
    definition = machines.loop(circles)
    count = circles * TRANSITIONS_A_CIRCLE
    return Round(count / durable(definition), count / core_alone(definition), {})


def looping_in_jsonata(circles: int) -> Round:
    """Likewise in JSONata, beside JSONPath."""
    definition = machines.loop_in_jsonata(circles)
    count = circles * TRANSITIONS_A_CIRCLE
    ceiling = {"the core alone": count / core_alone(definition)}
    return Round(count / durable(definition), count / durable(machines.loop(circles)), ceiling)


def looped(*, quick: bool) -> Line:
    """The line `loop`."""
    rounds, circles = (1, 100) if quick else (ROUNDS, CIRCLES)
    return measured("loop", "transitions/s", "the core alone", rounds, looping, circles)


def looped_in_jsonata(*, quick: bool) -> Line:
    """The line `loop_jsonata`."""
    rounds, circles = (1, 100) if quick else (ROUNDS, CIRCLES)
    return measured("loop_jsonata", "transitions/s", "the same in JSONPath", rounds, looping_in_jsonata, circles)
