"""One execution that never waits: a Pass and a Choice in a circle, durable; the yardstick is the core alone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import anyio

from benchmarks import machines
from benchmarks.core import begin, live
from benchmarks.measure import ROUNDS, Line, Round, measured
from stepfold import Engine, Limits
from stepfold.language.machine import load

CIRCLES = 30_000
TRANSITIONS_A_CIRCLE = 2


async def through_the_engine(path: Path, circles: int) -> float:
    """Seconds from the start to the result."""
    async with Engine(path, limits=Limits.local()) as engine:
        machine = await engine.create("loop", machines.loop(circles))
        begun = time.perf_counter()
        await (await engine.start(machine, {"n": 0})).output()
        return time.perf_counter() - begun


def core_alone(circles: int) -> float:
    """Seconds that the decisions take, with nothing encoded or kept on disk."""
    machine = load(machines.loop(circles))
    signal = begin(machine, {"n": 0})
    begun = time.perf_counter()
    live(machine, signal)
    return time.perf_counter() - begun


def looping(circles: int) -> Round:
    """One execution of so many circles."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        ours = anyio.run(through_the_engine, Path(folder, "loop.db"), circles)
    count = circles * TRANSITIONS_A_CIRCLE
    return Round(count / ours, count / core_alone(circles), {})


def looped(*, quick: bool) -> Line:
    """The line `loop`."""
    rounds, circles = (1, 100) if quick else (ROUNDS, CIRCLES)
    return measured("loop", "transitions/s", "the core alone", rounds, looping, circles)
