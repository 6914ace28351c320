"""Past its bounds an engine tells its callers to come again, and takes no memory for them."""

import tracemalloc
from collections import Counter

import anyio
import pytest
from tests.runtime.world import Holding, asks, call, let_go_on, until, wait

from stepfold import Engine
from stepfold.errors import ExecutionLimitExceeded, Throttled
from stepfold.runtime.bounds import Bounds
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


async def test_no_more_executions_are_open_than_the_bound(clock):
    async with Engine(clock=clock, bounds=Bounds(executions=5)) as engine:
        machine = await engine.create("machine", wait(5))
        handles = [await engine.start(machine) for _ in range(5)]
        with pytest.raises(ExecutionLimitExceeded, match="5 executions are open"):
            await engine.start(machine)
        clock.advance(5)
        for handle in handles:
            await handle.result()
        await engine.start(machine)


class Slow(Holding):
    """A store whose disk does not keep up; it counts what waits."""

    def __init__(self, store):
        super().__init__(store)
        self.backlog = self.backlog_bytes = 0

    def submit(self, stream, expected, records, **more):
        self.backlog += 1
        self.backlog_bytes += sum(len(record.body) for record in records)
        return super().submit(stream, expected, records, **more)


@pytest.mark.parametrize("bounds", [Bounds(writes=20), Bounds(write_bytes=20 * 10_000)], ids=["writes", "bytes"])
async def test_starts_that_come_faster_than_the_disk_are_throttled_in_flat_memory(bounds):
    store = Slow(MemoryStore())
    outcomes = Counter()
    async with Engine(store, bounds=bounds) as engine, anyio.create_task_group() as group:
        machine = await engine.create("machine", call())

        async def start():
            try:
                await engine.start(machine, "x" * 10_000)
                outcomes["started"] += 1
            except Throttled:
                outcomes["throttled"] += 1

        tracemalloc.start()
        for _ in range(2_000):
            group.start_soon(start)
        await until(lambda: outcomes["throttled"] >= 1_900)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert outcomes["started"] == 0
        assert store.backlog <= 21
        assert most < 40 << 20
        group.cancel_scope.cancel()


async def test_answers_from_outside_are_throttled_and_stops_are_not():
    store = Slow(MemoryStore())
    engine = Engine(store, bounds=Bounds(writes=3))
    engine.work("send")(lambda _: None)
    async with engine:
        machine = await engine.create("machine", asks())
        async with anyio.create_task_group() as group:
            group.start_soon(engine.start, machine)
            await let_go_on()
            store.let_go()
            await let_go_on()
            (run,) = engine.runs.values()
            (token,) = [frame.waits.token for frame in run.execution.asked.values()]
            store.backlog = 3
            with pytest.raises(Throttled, match="Rate exceeded"):
                await engine.callbacks.succeed(token, "1")
            group.start_soon(engine.stop, run.execution.started.arn)
            await let_go_on()
            assert run.execution.status == "ABORTED"
            store.let_go()
            group.cancel_scope.cancel()
