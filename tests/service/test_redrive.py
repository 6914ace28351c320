"""RedriveExecution: an execution that ended badly goes on, in this process or after a restart, and only once."""

import anyio
import pytest
from tests.runtime.world import FUNCTION, call, then, until, wait
from tests.service.asking import Client, Refused

from stepfold import Engine, Limits, TaskError

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
TWO = then(call("first"), call("second"))


class Work:
    """Two functions: `second` fails until it is mended."""

    def __init__(self, engine):
        self.calls, self.mended = [], False
        engine.work("first")(self.first)
        engine.work("second")(self.second)

    async def first(self, event):
        self.calls.append("first")
        return {"first": event}

    async def second(self, event):
        self.calls.append("second")
        if not self.mended:
            raise TaskError("Broken", "for now")
        return {"second": event}


async def why_not(client, arn, **params):
    with pytest.raises(Refused) as caught:
        await client("RedriveExecution", executionArn=arn, **params)
    assert caught.value.code == "ExecutionNotRedrivable"
    return caught.value.message


async def types(client, arn):
    return [event["type"] for event in (await client("GetExecutionHistory", executionArn=arn))["events"]]


async def test_it_goes_on_where_it_failed(clock):
    engine = Engine(clock=clock)
    work = Work(engine)
    async with engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", TWO), 7, name="e")
        failed = await client.until_ended(handle.arn)
        assert (failed["status"], failed["redriveStatus"]) == ("FAILED", "REDRIVABLE")
        clock.advance(60)
        work.mended = True
        assert await client("RedriveExecution", executionArn=handle.arn) == {"redriveDate": clock.now() / 1000}
        told = await client.until_ended(handle.arn)
        assert (told["status"], told["output"]) == ("SUCCEEDED", '{"second":{"first":7}}')
        assert (told["redriveCount"], told["redriveDate"]) == (1, clock.now() / 1000)
        assert told["startDate"] == failed["startDate"]
        assert told.keys() & {"error", "cause"} == set()
        assert work.calls == ["first", "second", "second"]
        history = await client("GetExecutionHistory", executionArn=handle.arn)
        redriven = next(event for event in history["events"] if event["type"] == "ExecutionRedriven")
        assert redriven["executionRedrivenEventDetails"] == {"redriveCount": 1}
        assert [event["id"] for event in history["events"]] == list(range(1, len(history["events"]) + 1))
        streamed = [event["type"] async for event in engine.execution(handle.arn).events()]
        assert streamed == await types(client, handle.arn)
        assert await why_not(client, handle.arn) == "Execution is SUCCEEDED and cannot be redriven"


@pytest.mark.parametrize("killed", [False, True])
async def test_a_redrive_after_a_restart(tmp_path, clock, killed):
    """The log is folded by an engine that never saw the execution; what it acknowledged outlives it too."""
    store = tmp_path / "store.db"
    engine = Engine(store, clock=clock)
    Work(engine)
    async with engine:
        handle = await engine.start(await engine.create("machine", TWO), name="e")
        await Client(engine).until_ended(handle.arn)
    clock.advance(10)
    engine = Engine(store, clock=clock)
    if not killed:
        work = Work(engine)
        work.mended = True
    async with engine:
        client = Client(engine)
        redriven = await client("RedriveExecution", executionArn=handle.arn, clientToken="one")
        if not killed:
            assert (await client.until_ended(handle.arn))["status"] == "SUCCEEDED"
            assert work.calls == ["second"]
            return
        await until(engine.waiting)
        assert engine.waiting() == {handle.arn: ["second"]}
    engine = Engine(store, clock=clock)
    work = Work(engine)
    work.mended = True
    async with engine:
        client = Client(engine)
        assert await client("RedriveExecution", executionArn=handle.arn, clientToken="one") == redriven
        told = await client.until_ended(handle.arn)
        assert (told["status"], told["redriveCount"]) == ("SUCCEEDED", 1)
        assert work.calls == ["second"]


async def test_one_that_was_stopped_or_timed_out(clock):
    async with Engine(clock=clock) as engine:
        client = Client(engine)
        machine = await engine.create("machine", {**wait(100), "TimeoutSeconds": 30})
        handle = await engine.start(machine)
        await client("StopExecution", executionArn=handle.arn)
        clock.advance(1000)
        await client("RedriveExecution", executionArn=handle.arn)
        assert await why_not(client, handle.arn) == "Execution is RUNNING and cannot be redriven"
        clock.advance(29)
        assert (await client("DescribeExecution", executionArn=handle.arn))["status"] == "RUNNING"
        clock.advance(1)
        told = await client.until_ended(handle.arn)
        assert told["status"] == "TIMED_OUT"
        assert told["stopDate"] == told["redriveDate"] + 30, "the machine's time starts over"
        await client("RedriveExecution", executionArn=handle.arn)
        await client("StopExecution", executionArn=handle.arn)
        told = await client("DescribeExecution", executionArn=handle.arn)
        assert (told["status"], told["redriveCount"]) == ("ABORTED", 2)
        assert await types(client, handle.arn) == [
            "ExecutionStarted", "WaitStateEntered", "ExecutionAborted", "ExecutionRedriven", "ExecutionTimedOut",
            "ExecutionRedriven", "ExecutionAborted",
        ]


async def test_tokens_make_a_repetition_harmless(clock):
    async with Engine(clock=clock) as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", wait(DAY)))
        dates = {}
        for number in range(12):
            await client("StopExecution", executionArn=handle.arn)
            clock.advance(1)
            asked = {"executionArn": handle.arn, "clientToken": f"token-{number}"}
            dates[number] = await client("RedriveExecution", **asked)
            assert await client("RedriveExecution", **asked) == dates[number]
        assert await client("RedriveExecution", executionArn=handle.arn, clientToken="token-2") == dates[2]
        await why_not(client, handle.arn, clientToken="token-1")  # the last ten are known
        clock.advance(15 * 60)
        assert await client("RedriveExecution", executionArn=handle.arn, clientToken="token-11") == dates[11]
        clock.advance(1)
        await why_not(client, handle.arn, clientToken="token-11")


@pytest.mark.parametrize("token", [None, "same"])
async def test_of_many_at_once_one_redrives(tmp_path, clock, token):
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", wait(DAY)))
        await client("StopExecution", executionArn=handle.arn)
        done, refused = [], []

        async def redrive():
            named = {} if token is None else {"clientToken": token}
            try:
                done.append(await client("RedriveExecution", executionArn=handle.arn, **named))
            except Refused as refusal:
                refused.append(refusal.code)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(redrive)
        assert len(done) == (1 if token is None else 20)
        assert refused == ["ExecutionNotRedrivable"] * (20 - len(done))
        assert (await types(client, handle.arn)).count("ExecutionRedriven") == 1
        assert (await client("DescribeExecution", executionArn=handle.arn))["redriveCount"] == 1


async def test_a_stop_that_comes_during_a_redrive_is_heard(tmp_path, clock):
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", wait(DAY)))
        for _ in range(10):
            await client("StopExecution", executionArn=handle.arn)
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: client("RedriveExecution", executionArn=handle.arn))
                group.start_soon(lambda: client("StopExecution", executionArn=handle.arn))
            told = await client("DescribeExecution", executionArn=handle.arn)
            assert told["status"] in {"RUNNING", "ABORTED"}
            assert (told["status"] == "RUNNING") == (handle.arn in engine.runs)


async def test_what_is_too_old_or_too_long(clock):
    async with Engine(clock=clock, limits=Limits(history=6)) as engine:
        client = Client(engine)
        machine = await engine.create("machine", wait(400 * DAY))
        soon = await engine.start(machine)
        await soon.stop()
        clock.advance(14 * DAY)
        assert (await client("DescribeExecution", executionArn=soon.arn))["redriveStatus"] == "REDRIVABLE"
        clock.advance(1)
        late = "Execution redrivable period exceeded."
        assert await why_not(client, soon.arn) == late
        told = await client("DescribeExecution", executionArn=soon.arn)
        assert (told["redriveStatus"], told["redriveStatusReason"]) == ("NOT_REDRIVABLE", late)

        long = await engine.start(machine)
        await long.stop()
        await client("RedriveExecution", executionArn=long.arn)
        await long.stop()  # 5 events: one more would be the last
        assert await why_not(client, long.arn) == "Execution history event limit exceeded."

        old = await engine.start(machine)
        clock.advance(366 * DAY)
        await old.stop()
        assert await why_not(client, old.arn) == "Execution has exceeded the max execution time."


async def test_one_that_fails_again_at_once(clock):
    async with Engine(clock=clock) as engine:
        client = Client(engine)
        fails = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}
        handle = await engine.start(await engine.create("machine", fails))
        await client.until_ended(handle.arn)
        for count in (1, 2):
            await client("RedriveExecution", executionArn=handle.arn)
            told = await client.until_ended(handle.arn)
            assert (told["status"], told["redriveCount"], told["error"]) == ("FAILED", count, "E")
        assert not engine.runs


async def test_the_context_tells_of_it(clock):
    engine = Engine(clock=clock)
    seen = []

    @engine.work("work")
    async def work(event):
        seen.append(event)
        if not event["count"]:
            raise TaskError("Broken")

    task = {"Type": "Task", "Resource": FUNCTION + "work", "End": True,
            "Parameters": {"count.$": "$$.Execution.RedriveCount"}}
    async with engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", {"StartAt": "T", "States": {"T": task}}))
        await client.until_ended(handle.arn)
        await client("RedriveExecution", executionArn=handle.arn)
        assert (await client.until_ended(handle.arn))["status"] == "SUCCEEDED"
    assert seen == [{"count": 0}, {"count": 1}]
