"""What grows, grows with open work alone: the log beside the file, and in the course of time memory, files, tasks."""

import asyncio
import gc
import os
import time
from pathlib import Path

import anyio
import pytest
from tests.faults.levels import LEVEL, of_level
from tests.runtime.world import both, call
from tests.store.rows import record

from stepfold import Engine
from stepfold_store import open_store

pytestmark = pytest.mark.anyio
MEGABYTE = 1 << 20
SECONDS = of_level(2, 20, 1_800)
SLOPE = 0.1 * MEGABYTE
"""Bytes a minute that memory may grow by, after it has warmed up; only a long run can tell."""


async def slowly_read(path):
    """Thirty megabytes are written while somebody walks along a stream; how large the log beside the file became."""
    store = await open_store(path)
    body = b"x" * 4_096
    largest = 0
    try:
        for number in range(600):
            await store.submit("read", number, [record(number + 1)])
        walk = store.read("read")
        await anext(walk)
        for number in range(60):
            tickets = [store.submit("written", number * 120 + at, [_heavy(number * 120 + at + 1, body)])
                       for at in range(120)]
            for ticket in tickets:
                await ticket
            largest = max(largest, (await store.health()).details["wal_bytes"])
        assert sum([len(some) async for some in walk]) == 600 - 256
    finally:
        await store.close()
    return largest


def _heavy(number, body):
    one = record(number)
    return type(one)(one.first, one.last, one.at, body, one.first_id, one.last_id)


async def test_a_slow_reader_does_not_let_the_log_grow(tmp_path, figures):
    largest = await slowly_read(tmp_path / "store.db")
    figures.append(f"faults: the write-ahead log came to {largest / MEGABYTE:.1f} MiB under a slow reader")
    assert largest < 12 * MEGABYTE


def _files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_time_alone_costs_nothing(tmp_path, figures):
    """Executions one after the other, for as long as the level says; the second half is held against the first."""
    seen = []
    async with Engine(tmp_path / "store.db", seed=1) as engine:

        @engine.work("work")
        async def work(event):
            return event

        machine = await engine.create("soaked", both(call(), call()))
        began, done = time.monotonic(), 0
        while time.monotonic() - began < SECONDS:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(_one, engine, machine)
            done += 20
            gc.collect(0)
            seen.append((time.monotonic() - began, _memory(), _files(), len(asyncio.all_tasks())))
        assert not engine.runs
        assert not len(engine.timers)
    late = seen[len(seen) // 2 :]
    assert max(files for *_, files, _ in late) <= seen[0][2]
    assert max(tasks for *_, tasks in late) <= seen[0][3]
    slope = (late[-1][1] - late[0][1]) / max(late[-1][0] - late[0][0], 1) * 60
    if LEVEL > 1:
        figures.append(f"faults: {done} executions in {SECONDS} s, memory {slope / MEGABYTE:+.2f} MiB a minute")
        assert slope < SLOPE


async def _one(engine, machine):
    assert await (await engine.start(machine, 1)).result() == [1, 1]
