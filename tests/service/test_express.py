"""Executions of EXPRESS machines: those that somebody waits for, and those that nobody does."""

import json
import uuid

import anyio
import pytest
from tests.runtime.world import DONE, Around, call, let_go_on, one, until, wait
from tests.service.asking import Client, Refused

from stepfold import Engine, TaskError
from stepfold.runtime import catalog, express
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


async def kept(engine):
    """What the catalog says of express executions: ARN and status, the oldest first."""
    return [(row.key, row.status) async for row in catalog.all_entries(engine.store, express.KIND, newest_first=False)]


# --- StartSyncExecution -----------------------------------------------------------------------------------------------


async def test_one_that_somebody_waits_for(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", DONE, type="EXPRESS")
        told = await Client(engine)("StartSyncExecution", stateMachineArn=machine.arn, input='{ "n": 1}',
                                    traceHeader="Root=1")
        arn = told["executionArn"].split(":")
        assert arn[5:7] == ["express", "machine"]
        assert told["name"] == arn[7]
        assert [uuid.UUID(part).version for part in arn[7:]] == [4, 4]
        assert {key: value for key, value in told.items() if key not in {"executionArn", "name"}} == {
            "stateMachineArn": machine.arn, "status": "SUCCEEDED",
            "startDate": clock.now() / 1000, "stopDate": clock.now() / 1000,
            "input": '{ "n": 1}', "inputDetails": {"included": True},
            "output": '{"n":1}', "outputDetails": {"included": True}, "traceHeader": "Root=1",
            "billingDetails": {"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64},
        }
        assert not await kept(engine)
        assert not engine.runs
        page = await engine.store.entries(catalog.EXECUTION)
        assert not page.entries


async def test_bad_ends_are_answers(jumping_clock):
    async with Engine(clock=jumping_clock) as engine:
        client = Client(engine)
        fails = await engine.create("fails", one(Type="Fail", Error="E", Cause="why"), type="EXPRESS")
        told = await client("StartSyncExecution", stateMachineArn=fails.arn)
        assert (told["status"], told["error"], told["cause"]) == ("FAILED", "E", "why")
        assert "output" not in told
        assert told["outputDetails"] == {"included": True}
        slow = await engine.create("slow", {**wait(100), "TimeoutSeconds": 7}, type="EXPRESS")
        told = await client("StartSyncExecution", stateMachineArn=slow.arn)
        assert (told["status"], told["stopDate"] - told["startDate"]) == ("TIMED_OUT", 7)
        assert told["billingDetails"]["billedDurationInMilliseconds"] == 7000
        endless = await engine.create("endless", wait(1000), type="EXPRESS")
        told = await client("StartSyncExecution", stateMachineArn=endless.arn)
        assert (told["status"], told["stopDate"] - told["startDate"]) == ("TIMED_OUT", 300), "five minutes at most"


async def test_time_is_billed_in_steps(clock):
    engine = Engine(clock=clock)

    @engine.work("work")
    async def work(event):
        clock.advance(event)

    async with engine:
        client = Client(engine)
        machine = await engine.create("machine", call(), type="EXPRESS")
        for seconds, billed in ((0.1, 100), (0.101, 200), (2, 2000)):
            told = await client("StartSyncExecution", stateMachineArn=machine.arn, input=json.dumps(seconds))
            assert told["billingDetails"] == {"billedDurationInMilliseconds": billed, "billedMemoryUsedInMB": 64}


async def test_retries_and_timers_are_those_of_any_execution(jumping_clock):
    engine = Engine(clock=jumping_clock)
    tries = []

    @engine.work("work")
    async def work(event):
        tries.append(jumping_clock.now())
        raise TaskError("Broken")

    async with engine:
        machine = await engine.create("machine", call(Retry=[{"ErrorEquals": ["States.ALL"]}]), type="EXPRESS")
        told = await Client(engine)("StartSyncExecution", stateMachineArn=machine.arn)
        assert (told["status"], told["error"]) == ("FAILED", "Broken")
        assert [(at - tries[0]) / 1000 for at in tries] == [0, 1, 3, 7]


async def test_sync_is_for_express_alone_and_metadata_go_without_data():
    async with Engine() as engine:
        client = Client(engine)
        standard = await engine.create("standard", DONE)
        with pytest.raises(Refused, match="StateMachineTypeNotSupported: This operation is not supported by this type"):
            await client("StartSyncExecution", stateMachineArn=standard.arn, input="{}", name="x")
        machine = await engine.create("machine", DONE, type="EXPRESS")
        with pytest.raises(Refused, match="InvalidExecutionInput"):
            await client("StartSyncExecution", stateMachineArn=machine.arn, input="{")
        told = await client("StartSyncExecution", stateMachineArn=machine.arn, includedData="METADATA_ONLY")
        assert told.keys() & {"input", "output"} == set()
        assert told["inputDetails"] == told["outputDetails"] == {"included": False}


async def test_one_who_goes_away_does_not_end_it(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", wait(5), type="EXPRESS")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: Client(engine)("StartSyncExecution", stateMachineArn=machine.arn))
            await until(lambda: engine.runs)
            group.cancel_scope.cancel()
        assert engine.runs
        clock.advance(5)
        await until(lambda: not engine.runs)


async def test_who_waits_hears_that_the_engine_closes():
    closed = []
    async with anyio.create_task_group() as group, Engine() as engine:
        machine = await engine.create("machine", wait(50), type="EXPRESS")

        async def ask():
            with pytest.raises(StoreClosed):
                await Client(engine)("StartSyncExecution", stateMachineArn=machine.arn)
            closed.append(True)

        group.start_soon(ask)
        await until(lambda: engine.runs)
    assert closed == [True]


# --- StartExecution ---------------------------------------------------------------------------------------------------


async def test_one_that_nobody_waits_for(clock):
    async with Engine(clock=clock) as engine:
        client = Client(engine)
        machine = await engine.create("machine", wait(5), type="EXPRESS")
        first = await client("StartExecution", stateMachineArn=machine.arn, name="e", input='{"n":1}')
        again = await client("StartExecution", stateMachineArn=machine.arn, name="e", input='{"n":1}')
        assert first["executionArn"] != again["executionArn"], "a name may be given again and again"
        assert first["executionArn"].split(":")[5:8] == ["express", "machine", "e"]
        assert first["startDate"] == clock.now() / 1000
        arns = {first["executionArn"], again["executionArn"]}
        assert set(await kept(engine)) == {(arn, "RUNNING") for arn in arns}
        clock.advance(5)
        await until(lambda: not engine.runs)
        assert set(await kept(engine)) == {(arn, "SUCCEEDED") for arn in arns}
        row = await engine.store.entry(express.KIND, first["executionArn"])
        told = json.loads(row.data)
        assert (told["output"], told["started"]["name"]) == ({"n": 1}, "e")
        assert row.ended - row.started == 5000


async def test_a_crash_runs_it_again_from_its_start(tmp_path, clock):
    calls = []

    async def first(event):
        calls.append("first")

    async def second(event):
        calls.append("second")
        if calls.count("second") == 1:
            await anyio.sleep_forever()
        return "done"

    definition = {"StartAt": "A", "States": {
        "A": {**call("first")["States"].popitem()[1], "Next": "B"}, "B": call("second")["States"].popitem()[1],
    }}
    del definition["States"]["A"]["End"]
    store = tmp_path / "store.db"
    async with Engine(store, work=[first, second], clock=clock) as engine:
        machine = await engine.create("machine", definition, type="EXPRESS")
        started = await Client(engine)("StartExecution", stateMachineArn=machine.arn)
        await until(lambda: calls == ["first", "second"])
    async with Engine(store, work=[first, second], clock=clock) as engine:
        await until(lambda: not engine.runs)
        assert calls == ["first", "second"] * 2
    async with Engine(store, work=[first, second], clock=clock) as engine:
        assert await kept(engine) == [(started["executionArn"], "SUCCEEDED")]
        assert not engine.runs
        assert calls == ["first", "second"] * 2, "its end was durable"


async def test_one_that_cannot_be_run_again_harms_nobody(clock):
    disk = Around(MemoryStore())
    async with Engine(disk, clock=clock) as engine:
        client = Client(engine)
        machine = await engine.create("machine", wait(5), type="EXPRESS")
        bad = (await client("StartExecution", stateMachineArn=machine.arn))["executionArn"]
        good = (await client("StartExecution", stateMachineArn=machine.arn))["executionArn"]
        row = await disk.entry(express.KIND, bad)
        await disk.put([type(row)(row.kind, row.key, row.parent, row.status, row.started, data=b'{"started":7}')])
    async with Engine(disk, clock=clock) as engine:
        assert set(engine.failed) == {bad}
        assert set(engine.runs) == {good}
        await let_go_on()
        clock.advance(5)
        await until(lambda: not engine.runs)
        assert dict(await kept(engine)) == {bad: "RUNNING", good: "SUCCEEDED"}
