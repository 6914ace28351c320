"""What is damaged, and what kills its process, is set aside: alone, by name, for good until somebody says otherwise."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import anyio
import pytest
import structlog
from tests.runtime.world import FUNCTION, YEAR, Around, asks, call, each, let_go_on, then, until, wait
from tests.service.asking import Client

from stepfold import Engine
from stepfold.errors import CallerError, ExecutionAlreadyExists, ExecutionSetAside
from stepfold.runtime import at_rest, catalog, express, starting
from stepfold.runtime.recovery import quarantine, resuming
from stepfold.runtime.recovery.claims import MOST
from stepfold.runtime.recovery.doctor import examine
from stepfold.runtime.runs import run as runs
from stepfold_store import StoreClosed, open_store
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _quiet():
    with structlog.testing.capture_logs():
        yield


def tamper(path, *statements):
    """Change a store's rows as no store would."""
    with closing(sqlite3.connect(path)) as db:
        for name in ("log_is_never_changed", "log_is_never_cut"):
            db.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            assert db.execute(statement.replace("BAD", BAD)).rowcount > 0, statement
        db.commit()


BAD = "stream = (SELECT key FROM stream WHERE name LIKE '%:bad')"
DAMAGES = {
    "a checksum": "UPDATE log SET checksum = zeroblob(16) WHERE BAD AND first = 1",
    "a bit of a body": "UPDATE log SET body = replace(CAST(body AS TEXT), 'Type', 'Tyqe') WHERE BAD AND first = 1",
    "a time": "UPDATE log SET at = at + 1 WHERE BAD AND first = 1",
    "a missing row": "DELETE FROM log WHERE BAD AND first = 1",
    "a swapped row": "UPDATE log SET body = (SELECT body FROM log WHERE NOT BAD LIMIT 1) WHERE BAD AND first = 1",
    "a number": "UPDATE log SET first_id = 'one' WHERE BAD AND first = 1",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
async def test_a_damaged_log_is_set_aside_by_name_and_number_and_the_others_go_on(damage, tmp_path):
    path = tmp_path / "store.db"
    async with Engine(path) as engine:
        machine = await engine.create("machine", call())
        bad = await engine.start(machine, 1, name="bad")
        good = [await engine.start(machine, number) for number in range(20)]
        await let_go_on()
    tamper(path, damage)

    engine = Engine(path)
    engine.work("work")(lambda event: event)
    for _ in range(2):  # found at the first opening, known at the second
        async with engine:
            assert [await engine.execution(one.arn).result() for one in good] == list(range(20))
            for ask in (engine.execution(bad.arn).result, engine.execution(bad.arn).stop):
                with pytest.raises(ExecutionSetAside, match=r":bad is set aside: its log is damaged at event 1"):
                    await ask()
            with pytest.raises(ExecutionAlreadyExists):
                await engine.start("machine", 1, name="bad")
            await engine.describe(bad.arn)
            assert (await (await engine.start("machine", 5)).result()) == 5
    found = await examine(str(path))
    assert [(one.arn, one.event, one.whole) for one in found.broken] == [(bad.arn, 1, 0)]
    assert [one.arn for one in found.aside] == [bad.arn]
    assert found.executions == 22


async def test_what_is_before_the_damage_can_be_read(tmp_path):
    path = tmp_path / "store.db"
    async with Engine(path, work=[str]) as engine:
        bad = await engine.start(await engine.create("machine", each(call("str"))), list(range(5)), name="bad")
        await bad.result()
        whole = [event.seq async for event in catalog.events(engine.store, bad.arn)]
    tamper(path, "UPDATE log SET body = body || ' ' WHERE BAD AND first = (SELECT max(first) FROM log WHERE BAD)")
    found = await examine(str(path))
    (broken,) = found.broken
    assert broken.status == "SUCCEEDED"
    assert 1 < broken.event <= len(whole)
    assert broken.whole == broken.event - 1
    assert found.events == broken.whole


async def test_a_log_whose_end_is_gone_is_told_by_the_catalog(tmp_path):
    path = tmp_path / "store.db"
    async with Engine(path) as engine:
        bad = await engine.start(await engine.create("machine", asks()), name="bad")
        await bad.stop()
    tamper(path, "DELETE FROM log WHERE BAD AND first = (SELECT max(first) FROM log WHERE BAD)")
    (broken,) = (await examine(str(path))).broken
    assert "the catalog says ABORTED" in broken.what


# --- poison -----------------------------------------------------------------------------------------------------------

POISONED = f"""
import os, sys, anyio, json, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from stepfold import Engine
MACHINE = {{"StartAt": "A", "States": {{"A": {{"Type": "Task", "Resource": "{FUNCTION}work", "End": True}}}}}}
async def work(event):
    if event == "poison":
        os._exit(9)
    if event == "slow":
        await anyio.sleep(60)
    return event
async def main():
    engine = Engine(sys.argv[1], work=[work])
    async with engine:
        if sys.argv[2:]:
            machine = await engine.create("machine", MACHINE)
            asked = json.loads(sys.argv[2])
            for name, event in asked[:2]:  # these are durable before the one that kills
                await engine.start(machine, event, name=name)
            async with anyio.create_task_group() as group:
                for name, event in asked[2:]:
                    group.start_soon(lambda name=name, event=event: engine.start(machine, event, name=name))
        while any(run.execution.started.name not in ("slow", "slow2") for run in engine.runs.values()):
            await anyio.sleep(0.01)
        await anyio.sleep(1.5)
    print("went on")
anyio.run(main)
"""


def opened(path, *more):
    """The code an engine's process ends with: 9 where the poison killed it."""
    done = subprocess.run(
        [sys.executable, "-c", POISONED, str(path), *more], timeout=60, check=False, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 9 or "went on" in done.stdout, done.stderr
    return done.returncode


async def test_what_kills_its_process_is_set_aside_after_three_claims_and_harms_nobody_else(tmp_path):
    path = tmp_path / "store.db"
    asked = [("slow", "slow"), ("slow2", "slow"), *((f"good{n}", n) for n in range(200)), ("poison", "poison")]
    assert opened(path, json.dumps(asked)) == 9
    codes = []
    while not codes or codes[-1] == 9:
        codes.append(opened(path))
        assert len(codes) < 10
    assert codes == [9] * MOST + [0]
    found = await examine(str(path))
    assert found.sound
    (aside,) = found.aside
    assert aside.arn.endswith(":poison"), "and not those that were as slow, but innocent"
    assert "taken up 3 times" in aside.reason
    store = await open_store(path)
    running = [entry.key async for entry in catalog.all_entries(store, catalog.EXECUTION, status="RUNNING")]
    await store.close()
    assert sorted(arn.rpartition(":")[2] for arn in running) == ["poison", "slow", "slow2"]
    assert opened(path) == 0, "it stays set aside"

    engine = Engine(path)
    engine.work("work")(lambda event: event)
    async with engine:
        await engine.retry("poison")
        assert await engine.execution(aside.arn).result() == "poison"
        with pytest.raises(CallerError, match="not set aside"):
            await engine.retry("poison")
    assert not (await examine(str(path))).aside


class Crashed(Around):
    """A store whose last owner was killed."""

    orphaned = True


async def test_what_waits_or_gets_on_or_was_closed_in_order_is_never_set_aside(clock):
    disk = MemoryStore()
    async with Engine(Around(disk), clock=clock) as engine:
        waits = await engine.start(await engine.create("waits", wait(YEAR)))
        asked = await engine.start(await engine.create("asks", asks()))
        hangs = await engine.start(await engine.create("hangs", call("hangs")))
        loops = await engine.start(
            await engine.create("loops", each(call("once"), MaxConcurrency=1)), list(range(100)), name="loops"
        )

    async def send(event):
        return None

    async def hangs_on(event):
        await anyio.sleep_forever()

    for opening in range(12):
        calls = []

        async def once(event, calls=calls):
            calls.append(event)
            if len(calls) > 2:
                await anyio.sleep_forever()

        # Every other time in order: of those that are in flight then, the count begins anew.
        around = (Crashed if opening % 2 else Around)(disk)
        async with Engine(around, clock=clock) as engine:
            engine.work("send")(send)
            engine.work("hangs")(hangs_on)
            engine.work("once")(once)
            await let_go_on()
            await until(lambda calls=calls: len(calls) >= 3)
            assert not engine.failed
            assert engine.runs.keys() == {waits.arn, asked.arn, hangs.arn, loops.arn}


class Killed(Crashed):
    """A store whose owner is killed at some moment: nothing is written from then on, and nothing let go in order."""

    dead = False

    async def put(self, *arguments, **more):
        if self.dead:
            raise StoreClosed("killed")
        await self.inner.put(*arguments, **more)


LATER = then(wait(5), call())


@pytest.mark.parametrize(("definition", "beside"), [(call(), ["slow", "slow"]), (LATER, [])], ids=["now", "later"])
async def test_an_express_execution_that_kills_its_process_is_set_aside_as_any_other(
    definition, beside, clock, monkeypatch
):
    monkeypatch.setattr(resuming, "TRIAL_SECONDS", 0.05)
    disk = MemoryStore()

    async def killed(*begun):
        """Whether the process was killed in this opening, rather than to set the poison aside."""
        store = Killed(disk)

        async def work(event):
            if event == "poison":
                store.dead = True
            await anyio.sleep_forever()

        async with Engine(store, clock=clock, work=[work]) as engine:
            if begun:
                machine = await engine.registry.resolve(await engine.create("machine", definition, type="EXPRESS"))
            for event in begun:
                await express.start(engine, machine, starting.wanted(event, name=event, limits=engine.limits))
            await let_go_on()
            clock.advance(5)
            await until(lambda: store.dead or engine.failed)
            return store.dead

    deaths = [await killed(*beside, "poison")]
    while deaths[-1] and len(deaths) < 10:
        deaths.append(await killed())
    assert deaths == [True] * (MOST + 1) + [False]
    ((arn, aside),) = (await quarantine.every(disk)).items()
    assert ":express:machine:poison:" in arn, "and not those that were as slow, but innocent"
    assert "taken up 3 times" in aside.reason

    engine = Engine(Around(disk), clock=clock)
    engine.work("work")(lambda event: event)
    async with engine:
        assert (engine.failed.keys(), arn in engine.runs) == ({arn}, False), "it stays set aside"
        await engine.retry(arn)
        await let_go_on()
        clock.advance(5)
        await until(lambda: not engine.runs)
    assert not await quarantine.every(disk)
    assert {one.status async for one in catalog.all_entries(disk, express.KIND)} == {"SUCCEEDED"}


class FullLater(Around):
    """A store whose disk is full when it is closed."""

    full = False

    async def put(self, *arguments, **more):
        if self.full:
            raise StoreClosed("the disk is full")
        await self.inner.put(*arguments, **more)


async def test_openings_that_ended_in_order_on_a_full_disk_are_held_against_nobody():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        handle = await engine.start(await engine.create("machine", call()))
        await let_go_on()
    for _ in range(2 * MOST):
        store = FullLater(disk)
        async with Engine(store) as engine:
            await let_go_on()
            assert engine.runs.keys() == {handle.arn}
            store.full = True


async def test_a_decision_that_raises_at_every_opening_is_set_aside_after_three(monkeypatch):
    real = runs.decide_together

    def breaks(machine, execution, said, moment):
        if execution.version > 4 and execution.started.name == "bad":
            raise ZeroDivisionError("a bug")
        return real(machine, execution, said, moment)

    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        machine = await engine.create("machine", call())
        bad = await engine.start(machine, name="bad")
        await let_go_on()
    monkeypatch.setattr(runs, "decide_together", breaks)
    for opening in range(MOST + 2):
        engine = Engine(Around(disk))
        engine.work("work")(lambda event: event)
        async with engine:
            good = await engine.start("machine", opening)
            assert await good.result() == opening
            await until(lambda engine=engine: bad.arn in engine.failed)
            kind = ExecutionSetAside if opening >= MOST else ZeroDivisionError
            assert isinstance(engine.failed[bad.arn], kind), opening
    monkeypatch.undo()
    await quarantine.give_back(disk, bad.arn, 0)
    engine = Engine(Around(disk))
    engine.work("work")(lambda _: "done")
    async with engine:
        assert await engine.execution(bad.arn).result() == "done"


async def test_one_that_is_set_aside_can_be_ended_while_no_engine_runs():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        handle = await engine.start(await engine.create("machine", call()))
        await quarantine.put(disk, handle.arn, quarantine.AsideRow("it was in the way"), 5)
    await at_rest.stop(disk, handle.arn)
    assert (await catalog.describe(disk, handle.arn)).status == "ABORTED"
    assert not await quarantine.every(disk)


async def test_one_of_an_express_machine_that_is_set_aside_can_be_ended_too():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        machine = await engine.create("machine", call(), type="EXPRESS")
        arn = (await Client(engine)("StartExecution", stateMachineArn=machine.arn))["executionArn"]
        await quarantine.put(disk, arn, quarantine.AsideRow("it was in the way"), 5)
    assert (await at_rest.stop(disk, arn, error="Enough")).error == "Enough"
    assert not await quarantine.every(disk)
    async with Engine(Around(disk)) as engine:
        assert not engine.runs


