"""What memory says of executions to whoever asks: what is committed, and no more of it than fits."""

import anyio
import pytest
from tests.runtime.world import DONE, YEAR, Around, Holding, call, let_go_on, wait

from stepfold import Engine, TaskError
from stepfold.interpreter import signals
from stepfold.runtime import lately
from stepfold.runtime.clock import Chance
from stepfold.runtime.lately import Committed, Lately
from stepfold_store import Entry
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Unread(Around):
    """A store that counts what is asked of its catalog."""

    reads = 0

    async def entry(self, kind, key):
        self.reads += 1
        return await self.inner.entry(kind, key)


async def status(engine, handle):
    return (await engine.committed(handle.arn)).entry.status


@pytest.mark.parametrize(("definition", "said"), [(DONE, "SUCCEEDED"), (wait(YEAR), "RUNNING")])
async def test_what_runs_or_has_ended_here_is_told_without_reading(definition, said):
    store = Unread(MemoryStore())
    async with Engine(store) as engine:
        handle = await engine.start(await engine.create("machine", definition), {"n": 1}, name="e")
        before = store.reads
        told = await engine.committed(handle.arn)
        assert (told.entry.status, bytes(told.started.input)) == (said, b'{"n":1}')
        assert store.reads == before


async def test_what_ended_before_the_engine_was_opened_is_read_once():
    store = Unread(MemoryStore())
    engine = Engine(store)
    async with engine:
        handle = await engine.start(await engine.create("machine", DONE))
    async with engine:
        before = store.reads
        assert [await status(engine, handle), await status(engine, handle)] == ["SUCCEEDED", "SUCCEEDED"]
        assert store.reads == before + 1


async def test_an_end_is_told_when_it_is_durable():
    store = Holding(MemoryStore(), holds=False)
    async with Engine(store) as engine, anyio.create_task_group() as group:
        handle = await engine.start(await engine.create("machine", wait(YEAR)))
        store.holds = True
        group.start_soon(engine.tell, engine.runs[handle.arn], signals.Stop())
        await let_go_on()
        assert await status(engine, handle) == "RUNNING"
        store.let_go()
        await let_go_on()
        assert await status(engine, handle) == "ABORTED"


async def test_a_redrive_is_told_when_it_is_durable():
    store = Holding(MemoryStore(), holds=False)
    async with Engine(store) as engine, anyio.create_task_group() as group:
        failing = [True]

        @engine.work()
        async def work(event):
            if failing[0]:
                raise TaskError("Broken")
            await anyio.sleep_forever()

        handle = await engine.start(await engine.create("machine", call()))
        await let_go_on()
        assert await status(engine, handle) == "FAILED"
        failing[0] = False
        store.holds = True
        group.start_soon(engine.redrive, handle.arn)
        await let_go_on()
        assert await status(engine, handle) == "FAILED"
        store.holds = False
        store.let_go()
        await let_go_on()
        assert await status(engine, handle) == "RUNNING"


async def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(lately, "KEPT", 2)
    monkeypatch.setattr(lately, "KEPT_BYTES", 1000)
    async with Engine() as engine:
        handle = await engine.start(await engine.create("machine", DONE))
        started = (await engine.committed(handle.arn)).started

    kept = Lately()

    def keep(arn, size):
        kept.keep(Committed(Entry("execution", arn, "", "FAILED", 0, 0, data=b"x" * size), started))

    for arn in "abca":
        keep(arn, 10)
    assert [arn for arn in "abc" if kept.get(arn)] == ["a", "c"]
    keep("d", 990)
    assert [arn for arn in "acd" if kept.get(arn)] == ["d"]
    keep("e", 2000)
    assert not kept.get("d")
    assert not kept.get("e")
    keep("f", 990)
    kept.drop("f")
    keep("g", 900)
    assert kept.get("g")


def test_names_that_are_made_sort_by_the_time():
    chance = Chance(seed=1)
    names = [chance.name(at) for at in range(1_700_000_000_000, 1_700_000_000_100)]
    assert names == sorted(names)
    assert len({chance.name(0) for _ in range(1000)}) == 1000
    assert Chance(seed=1).name(0) != Chance(seed=1).name(0)
