"""aws-sdk:sfn: a Task speaks to the service that runs it, in the words of AWS's SDK for Java."""

import re

import anyio
import pytest
from tests.runtime.world import DONE, Around, each, facts_of, one, then, until

from stepfold import Engine
from stepfold.interpreter.frames import Invocation
from stepfold.runtime.handle import ExecutionFailed
from stepfold.service import own
from stepfold.service.operations import executions
from stepfold.service.service import StepFunctions
from stepfold.service.wire import shapes
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
CHILD = "arn:aws:states:us-east-1:123456789012:stateMachine:child"
ONE = "arn:aws:states:us-east-1:123456789012:execution:child:one"
SFN = "arn:aws:states:::aws-sdk:sfn:"


def does(action, parameters):
    """A machine that makes one call of the API."""
    return one(Type="Task", Resource=SFN + action, Parameters=parameters)


@pytest.fixture
def engine(clock):
    engine = Engine(clock=clock)
    StepFunctions(engine)
    return engine


async def outcome(engine, action, parameters, given=None):
    machine = await engine.create("parent", does(action, parameters), replace=True)
    return await (await engine.start(machine, given)).result()


async def refusal(engine, action, parameters):
    with pytest.raises(ExecutionFailed) as failed:
        await outcome(engine, action, parameters)
    return failed.value.error, failed.value.cause


@pytest.mark.parametrize(("given", "text"), [({"n": 1}, '{"n":1}'), ('{"n": 1}', '{"n": 1}'), (None, "{}")])
async def test_an_execution_is_started_and_described(engine, given, text):
    async with engine:
        await engine.create("child", DONE)
        begun = await outcome(engine, "startExecution", {"StateMachineArn": CHILD, "Name": "one", "Input": given})
        assert begun == {"ExecutionArn": ONE, "StartDate": "2023-11-14T22:13:20Z"}
        await engine.execution(ONE).result()
        engine.clock.advance(0.25)
        told = await outcome(engine, "describeExecution", {"ExecutionArn": ONE})
    assert told["Input"] == text
    assert (told["Status"], told["InputDetails"]) == ("SUCCEEDED", {"Included": True})
    assert told["StopDate"] == "2023-11-14T22:13:20Z"
    assert all(name[0].isupper() for name in told)


def test_times_are_texts_as_java_writes_them():
    answer = shapes.StartExecutionOutput(executionArn=ONE, startDate=1_700_000_000.007)
    assert own._told(answer) == {"ExecutionArn": ONE, "StartDate": "2023-11-14T22:13:20.007Z"}


async def test_lists_and_what_is_in_them_are_renamed_too(engine):
    async with engine:
        await outcome(engine, "createActivity", {"Name": "post", "Tags": [{"Key": "a", "Value": "b"}]})
        arn = engine.home.activity("post")
        assert await outcome(engine, "listTagsForResource", {"ResourceArn": arn}) == {
            "Tags": [{"Key": "a", "Value": "b"}],
        }
        listed = await outcome(engine, "listActivities", {"MaxResults": 5})
        assert [item["ActivityArn"] for item in listed["Activities"]] == [arn]


async def test_a_history_is_told_as_structures(engine):
    async with engine:
        await engine.create("child", DONE)
        await (await engine.start("child", {"n": 1}, name="one")).result()
        told = await outcome(engine, "getExecutionHistory", {"ExecutionArn": ONE})
    first = told["Events"][0]
    assert (first["Id"], first["Type"], first["Timestamp"]) == (1, "ExecutionStarted", "2023-11-14T22:13:20Z")
    assert first["ExecutionStartedEventDetails"]["Input"] == '{"n":1}'


@pytest.mark.parametrize(("action", "parameters", "error", "cause"), [
    ("sendTaskFailure", {"TaskToken": "no"}, "Sfn.InvalidTokenException", "Invalid Token: 'Invalid token'"),
    ("describeExecution", {"ExecutionArn": ONE}, "Sfn.ExecutionDoesNotExistException", "Execution Does Not Exist: 'a"),
    ("startExecution", {"StateMachineArn": CHILD, "Name": "a b"}, "Sfn.InvalidNameException", "Invalid Name: 'a b'"),
    ("describeExecution", {"ExecutionArn": "x"}, "Sfn.InvalidArnException", "Invalid Arn: 'Invalid ARN prefix: x'"),
    ("startExecution", {}, "Sfn.ValidationException", "1 validation error detected: Value null at 'stateMachineArn'"),
    ("doNothing", {}, "Sfn.SfnException", "DoNothing is not an operation"),
])
async def test_errors_are_named_and_worded_as_the_sdk_does(engine, action, parameters, error, cause):
    async with engine:
        await engine.create("child", DONE)
        found, told = await refusal(engine, action, parameters)
    assert found == error
    assert told.startswith(cause)
    assert re.search(r" \(Service: Sfn, Status Code: 400, Request ID: [0-9a-f-]{36}\) \(SDK Attempt Count: 1\)$", told)


async def test_an_activity_is_worked_on_by_another_execution(engine):
    arn = engine.home.activity("post")
    worker = then(
        does("getActivityTask", {"ActivityArn": arn, "WorkerName": "me"}),
        then(does("sendTaskHeartbeat", {"TaskToken.$": "$.TaskToken"}), one(Type="Pass")),
    )
    states = worker["States"]
    beat = next(state for state in states.values() if state.get("Resource", "").endswith("Heartbeat"))
    beat["ResultPath"] = "$.beat"
    last = next(state for state in states.values() if state["Type"] == "Pass")
    last |= {"Type": "Task", "Resource": SFN + "sendTaskSuccess",
             "Parameters": {"TaskToken.$": "$.TaskToken", "Output.$": "$.Input"}}
    async with engine:
        await outcome(engine, "createActivity", {"Name": "post"})
        working = await engine.start(await engine.create("worker", worker))
        asking = await engine.create("asking", one(Type="Task", Resource=arn, HeartbeatSeconds=9))
        assert await (await engine.start(asking, {"n": 1})).result() == {"n": 1}
        assert await working.result() == {}


async def test_polls_leave_the_turns_to_others(clock):
    engine = Engine(clock=clock, calls=1)
    StepFunctions(engine)
    engine.work("work")(lambda event: event)
    arn = engine.home.activity("post")
    async with engine:
        await outcome(engine, "createActivity", {"Name": "post"})
        polling = await engine.start(await engine.create("polling", does("getActivityTask", {"ActivityArn": arn})))
        machine = one(Type="Task", Resource="arn:aws:lambda:us-east-1:123456789012:function:work")
        assert await (await engine.start(await engine.create("work", machine), 1)).result() == 1
        await polling.stop()


async def test_a_task_by_token_waits_for_it(engine):
    task = one(Type="Task", Resource=SFN + "startExecution.waitForTaskToken", Parameters={
        "StateMachineArn": CHILD, "Input": {"token.$": "$$.Task.Token"},
    })
    async with engine:
        answer = does("sendTaskSuccess", {"TaskToken.$": "$.token", "Output": {"n": 5}})
        await engine.create("child", answer)
        handle = await engine.start(await engine.create("parent", task))
        assert await handle.result() == {"n": 5}


@pytest.mark.parametrize("name", [{}, {"Name": "one"}], ids=["unnamed", "named"])
async def test_a_start_in_flight_at_a_crash_is_not_made_twice(name, monkeypatch):
    disk = MemoryStore()
    start = executions.start_execution

    async def slow(*arguments, **more):
        await start(*arguments, **more)
        await anyio.sleep_forever()

    async with Engine(Around(disk)) as engine:
        StepFunctions(engine)
        await engine.create("child", DONE)
        machine = await engine.create("parent", does("startExecution", {"StateMachineArn": CHILD, "Input": 5, **name}))
        with monkeypatch.context() as patched:
            patched.setattr(executions, "start_execution", slow)
            handle = await engine.start(machine, name="monday")
            await until(lambda: len(engine.lately._kept) == 1)
            assert (await facts_of(disk, handle.arn))[-1] == "TaskStarted"
    engine = Engine(Around(disk))
    StepFunctions(engine)
    async with engine:
        told = await (await engine.find("monday")).result()
        [child] = await engine.list(machine=CHILD)
        assert told["ExecutionArn"] == child.arn


async def test_without_the_service_such_a_task_waits_for_it(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("parent", each(does("listActivities", {})))
        handle = await engine.start(machine, [1])
        await until(engine.waiting)
        assert isinstance(next(iter(engine.runs[handle.arn].execution.asked.values())).waits, Invocation)
        StepFunctions(engine)
        assert await handle.result() == [{"Activities": []}]


async def test_a_task_has_no_secrets_revealed(engine):
    async with engine:
        asked = {"Definition": {"Type": "Pass", "End": True}, "InspectionLevel": "TRACE", "RevealSecrets": True}
        error, cause = await refusal(engine, "testState", asked)
    assert (error, "history" in cause) == ("Sfn.ValidationException", True)
