"""An execution that is poison harms itself alone: the good ones beside it all end."""

import os
import sys
import threading
import time

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.faults import invariants
from tests.faults.levels import of_level
from tests.laws.checks import summary
from tests.runtime.world import DONE, call

from stepfold import Engine
from stepfold.interpreter import decide, facts
from stepfold.runtime.handle import ExecutionFailed
from stepfold.work.functions.handlers import Handler, Handlers
from stepfold_store import sqlite_rows

pytestmark = pytest.mark.anyio
GOOD = of_level(60, 300, 1_000)

EXITS = """
import os

def handler(event, context):
    os._exit(7)
"""


async def beside(path, poison, *, prepare=lambda _: None):
    """Good executions around a poisonous one; what the engine set aside, how the poison ended, the logs."""
    engine = Engine(path, seed=1)

    @engine.work("good")
    async def good(event):
        await checkpoint()
        return event

    prepare(engine)
    async with engine:
        machine = await engine.create("good", call("good"))
        bad = await engine.create("bad", call(poison))
        handles, end = [], None
        for number in range(GOOD):
            handles += [await engine.start(machine, number, name="last" if number == GOOD - 1 else None)]
            if number == GOOD // 2:
                poisoned = await engine.start(bad, "bad", name="bad")
        with anyio.fail_after(60):
            assert [await handle.result() for handle in handles] == list(range(GOOD))
            try:
                await poisoned.result()
            except ExecutionFailed as failed:
                end = failed.error
            except RuntimeError as broken:  # ours, raised by whatever was broken on purpose
                end = str(broken)
        aside = [arn.rpartition(":")[2] for arn in engine.failed]
    return aside, end, invariants.of_file(path)


async def raised_in_a_task(path, patch):
    """What a decision raises, for this one execution alone."""
    hear = decide._hear

    def poisonous(execution, signal, *rest):
        if execution.version and execution.started.name == "bad":
            raise RuntimeError("poison")
        return hear(execution, signal, *rest)

    patch(decide, "_hear", poisonous)
    return await beside(path, "good")


async def test_a_decision_that_raises_sets_its_execution_aside(tmp_path, monkeypatch):
    aside, end, logs = await raised_in_a_task(tmp_path / "store.db", monkeypatch.setattr)
    assert (aside, end) == (["bad"], "poison")
    assert summary(logs["bad"]).status == "RUNNING", "its log is whole, and goes on once the fault is mended"


async def test_a_handler_that_burns_its_processor_holds_nobody_up(tmp_path):
    """It burns until one of the others, which is started after it, has ended."""
    ended = threading.Event()

    def prepare(engine):
        @engine.work("burns")
        def burns(event):
            ends = time.monotonic() + 30
            while not ended.is_set() and time.monotonic() < ends:
                pass
            return ended.is_set()

        engine.follow(lambda run: _told(run, ended) if run.execution.started.name == "last" else None)

    aside, end, logs = await beside(tmp_path / "store.db", "burns", prepare=prepare)
    assert (aside, end) == ([], None)
    assert len(logs) == GOOD + 1
    (output,) = (event.fact.output for event in logs["bad"] if isinstance(event.fact, facts.TaskSucceeded))
    assert bytes(output) == b"true", "others ended meanwhile"


async def _told(run, ended):
    await run.ended.wait()
    ended.set()


async def test_a_handler_whose_process_dies_fails_its_own_task(tmp_path):
    (tmp_path / "index.py").write_text(EXITS)

    def prepare(engine):
        handlers = engine.keep(Handlers())
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        engine.register("exits", handlers.worker(
            Handler(name="exits", runtime=version, code=tmp_path, environment=dict(os.environ))
        ))

    aside, end, logs = await beside(tmp_path / "store.db", "exits", prepare=prepare)
    assert (aside, end) == ([], "Runtime.ExitError")
    assert len(logs) == GOOD + 1


async def test_a_log_that_cannot_be_folded_is_set_aside(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    await raised_in_a_task(path, monkeypatch.setattr)
    monkeypatch.undo()
    chained = sqlite_rows.chained
    monkeypatch.setattr(sqlite_rows, "chained", lambda before, record: chained(before, record)[::-1])
    async with Engine(path, seed=1) as engine:
        assert [arn.rpartition(":")[2] for arn in engine.failed] == ["bad"]


async def test_a_start_that_cannot_be_decided_is_told_to_its_caller_alone(monkeypatch):
    async with Engine(seed=1) as engine:
        machine = await engine.create("good", DONE)
        with monkeypatch.context() as broken:
            broken.setattr(decide, "_hear", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await engine.start(machine)
        assert await (await engine.start(machine)).result() == {}
        assert not engine.failed
