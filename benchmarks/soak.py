"""Half of the highest load for as long as you like, to see whether anything grows.

python -m benchmarks soak [--minutes N] [--every SECONDS]

The highest load is measured first, with the same callers. Then each caller starts an execution of five states, waits
for its result, and rests until its next turn, so that all together reach half of that. Executions that have ended are
forgotten once there are many, as a service with a retention would do: what grows is not the work that was asked for.
What is looked at is this process, after the first part of the time: memory by a straight line through all samples, file
handles and tasks by their least number in the first half and in the second, for what is in flight comes and goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from benchmarks import machines
from stepfold import Engine, Limits
from stepfold.runtime import catalog
from stepfold.runtime.machines.registry import MachineRef
from stepfold.work.functions.callables import Function

CALLERS: Final = 100
KEPT: Final = 20_000
"""Ended executions past which the oldest are forgotten."""
RAMP_SECONDS: Final = 10.0
WARM: Final = 1 / 3
"""The part of the time that is not looked at: caches fill, and the allocator finds its size."""
IN_FLIGHT: Final = 2
"""Handles or tasks that the least may differ by, where something was in flight at every look."""
SLOPE: Final = 1.0
"""MiB in ten minutes that memory may grow."""


class Sample(NamedTuple):
    """This process at a moment: MiB resident, open files, tasks."""

    at: float
    memory: float
    files: int
    tasks: int


class Soaked(NamedTuple):
    """What became of it: MiB in ten minutes, and the least of files and tasks in either half."""

    slope: float
    memory: float
    files: tuple[int, int]
    tasks: tuple[int, int]

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew."""
        grown = max(later - earlier for earlier, later in (self.files, self.tasks))
        return self.slope < SLOPE and grown <= IN_FLIGHT


def looked() -> Sample:
    """This process, now."""
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return Sample(time.monotonic(), resident, sum(1 for _ in Path("/proc/self/fd").iterdir()), len(asyncio.all_tasks()))


def judged(samples: Sequence[Sample]) -> Soaked:
    """The samples of the time that counts."""
    line = statistics.linear_regression([one.at for one in samples], [one.memory for one in samples])
    halves = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    first, second = ((min(one.files for one in half), min(one.tasks for one in half)) for half in halves)
    return Soaked(line.slope * 600, samples[-1].memory, (first[0], second[0]), (first[1], second[1]))


class Load:
    """Callers of an engine, as fast as they can or at a pace."""

    def __init__(self, engine: Engine, machine: MachineRef) -> None:
        self.engine, self.machine = engine, machine
        self.done = 0
        self._ended: deque[str] = deque()

    async def run(self, seconds: float, rate: float | None) -> float:
        """Executions a second that were reached in that time."""
        begun, before = time.monotonic(), self.done
        async with anyio.create_task_group() as group:
            for number in range(CALLERS):
                group.start_soon(self._call, number, begun, begun + seconds, rate)
        return (self.done - before) / (time.monotonic() - begun)

    async def _call(self, number: int, begun: float, until: float, rate: float | None) -> None:
        turn = 0
        while (now := time.monotonic()) < until:
            if rate is not None and (due := begun + (turn * CALLERS + number) / rate) > now:
                await anyio.sleep(due - now)
            turn += 1
            handle = await self.engine.start(self.machine, {"order": self.done})
            await handle.output()
            self.done += 1
            self._ended.append(handle.arn)
            if len(self._ended) > KEPT:
                await self.engine.store.forget(catalog.stream_of(self._ended.popleft()))


async def soak(path: Path, minutes: float, every: float) -> Soaked:
    """Find the highest load, keep half of it for so long, and say what grew."""
    engine = Engine(path, limits=Limits.local())
    engine.register("work", Function(machines.work))
    async with engine:
        load = Load(engine, await engine.create("five", machines.FIVE))
        highest = await load.run(min(RAMP_SECONDS, minutes * 6), None)
        pace = highest / 2
        print(f"highest load {highest:,.0f} executions/s; {minutes:g} minutes at {pace:,.0f}", flush=True)
        samples: list[Sample] = []
        begun, reached = time.monotonic(), 0.0

        async def look() -> None:
            while True:
                await anyio.sleep(every)
                samples.append(looked())
                _tell(samples[-1], begun, path)

        async with anyio.create_task_group() as group:
            group.start_soon(look)
            reached = await load.run(minutes * 60, pace)
            group.cancel_scope.cancel()
    counted = [one for one in samples if one.at - begun > minutes * 60 * WARM and one.at - begun < minutes * 60 - every]
    print(f"reached {reached:,.0f} executions/s, {load.done:,} in all", flush=True)
    return judged(counted)


def _tell(sample: Sample, begun: float, path: Path) -> None:
    print(
        f"{(sample.at - begun) / 60:6.1f} min  {sample.memory:7.1f} MiB  {sample.files} files  {sample.tasks} tasks  "
        f"store {path.stat().st_size / (1 << 20):,.0f} MiB, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main(arguments: Sequence[str]) -> None:
    """Soak, and fail where something grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description="Does anything grow under load?")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default %(default)s)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks (default %(default)s)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = anyio.run(soak, Path(folder, "soak.db"), asked.minutes, asked.every)
    print(
        f"{'flat' if found.is_flat else 'NOT FLAT'}: {found.slope:+.2f} MiB in ten minutes (wanted: under {SLOPE:g}), "
        f"{found.memory:.0f} MiB at the end; files {found.files[0]} to {found.files[1]}, "
        f"tasks {found.tasks[0]} to {found.tasks[1]}"
    )
    if not found.is_flat:
        sys.exit(1)
