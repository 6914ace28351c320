"""Step Functions Local's mock configuration files."""

from __future__ import annotations

import json

import pytest

from stepfold import Engine, ManualClock
from stepfold.runtime.handle import ExecutionFailed
from stepfold.service.operations.executions import start_execution
from stepfold.service.service import StepFunctions
from stepfold.service.wire.shapes import StartExecutionInput
from stepfold.work.mocked import MocksRefused, NoTestCase, load_mocks

pytestmark = pytest.mark.anyio

LAMBDA = "arn:aws:states:::lambda:invoke"
ORDERS = {"StartAt": "Charge", "States": {
    "Charge": {"Type": "Task", "Resource": LAMBDA, "Parameters": {"FunctionName": "charge"}, "Next": "Tell",
               "Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 3}], "ResultPath": "$.charged"},
    "Tell": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Next": "Build",
             "Parameters": {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"}, "ResultPath": "$.told"},
    "Build": {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "Parameters": {"TaskDefinition": "t"},
              "ResultPath": "$.built", "End": True},
}}
MOCKS = {
    "StateMachines": {"Orders": {"TestCases": {
        "Good": {"Charge": "BusyThenPaid", "Tell": "Answered", "Build": "Built"},
        "Bad": {"Charge": "AlwaysBusy"},
        "Short": {"Charge": "OnceBusy"},
    }}},
    "MockedResponses": {
        "BusyThenPaid": {"0-1": {"Throw": {"Error": "Busy", "Cause": "later"}},
                         "2": {"Return": {"StatusCode": 200, "Payload": {"n": 1.50}}}},
        "Answered": {"0": {"Return": {"by": "token"}}},
        "Built": {"0": {"Return": {"LastStatus": "STOPPED"}}},
        "AlwaysBusy": {"0-9": {"Throw": {"Error": "Gone"}}},
        "OnceBusy": {"0": {"Throw": {"Error": "Busy", "Cause": "later"}}},
    },
}


@pytest.fixture
def file(tmp_path):
    def write(mocks):
        path = tmp_path / "mocks.json"
        path.write_text(json.dumps(mocks))
        return path

    return write


async def run(file, case, store="memory://"):
    engine = Engine(store, clock=ManualClock(jumps=True))
    engine.mock(load_mocks(file(MOCKS)))
    async with engine:
        handle = await engine.start(await engine.create("Orders", ORDERS), {}, case=case)
        return await handle.result()


async def test_answers_by_attempt_and_for_each_pattern(file):
    assert await run(file, "Good") == {
        "charged": {"StatusCode": 200, "Payload": {"n": 1.5}}, "told": {"by": "token"},
        "built": {"LastStatus": "STOPPED"},
    }


async def test_what_is_thrown(file):
    with pytest.raises(ExecutionFailed) as failed:
        await run(file, "Bad")
    assert (failed.value.error, failed.value.cause) == ("Gone", None)
    with pytest.raises(ExecutionFailed, match="no answer for the attempt 1"):
        await run(file, "Short")


async def test_the_case_stands_behind_the_arn_and_only_where_there_are_mocks(file):
    engine = Engine(clock=ManualClock(jumps=True))
    engine.mock(load_mocks(file(MOCKS)))
    async with engine:
        machine = await engine.create("Orders", ORDERS)
        service = StepFunctions(engine)
        asked = StartExecutionInput(stateMachineArn=f"{machine.arn}#Good", input="{}")
        begun = await start_execution(service, asked)
        assert (await engine.execution(begun.executionArn).result())["told"] == {"by": "token"}
        with pytest.raises(NoTestCase, match="has no test case 'Better' among the mocks; there is Bad, Good, Short"):
            await start_execution(service, StartExecutionInput(stateMachineArn=f"{machine.arn}#Better"))
        plain = await engine.start(machine, {})
        assert engine.waiting() == {} or plain.arn in engine.waiting()


HANDS = "arn:aws:states:us-east-1:123456789012:activity:hands"
BY_HAND = {"StartAt": "Pack", "States": {
    "Pack": {"Type": "Task", "Resource": HANDS, "Next": "Sign", "ResultPath": "$.packed",
             "Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}]},
    "Sign": {"Type": "Task", "Resource": HANDS, "ResultPath": "$.signed", "End": True},
}}
NESTED = {"StartAt": "Order", "States": {"Order": {
    "Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True,
    "Parameters": {"StateMachineArn.$": "$.machine", "Input": {}}, "OutputPath": "$.Output"}}}
CASES = {
    "StateMachines": {**MOCKS["StateMachines"], "ByHand": {"TestCases": {"Packed": {"Pack": "BusyThenPacked"}}}},
    "MockedResponses": {**MOCKS["MockedResponses"], "BusyThenPacked": {
        "0": {"Throw": {"Error": "Busy"}}, "1": {"Return": "packed"}}},
}


async def test_an_activity_is_answered_for_or_held_out(file):
    engine = Engine(clock=ManualClock(jumps=True))
    engine.mock(load_mocks(file(CASES)))
    async with engine:
        handle = await engine.start(await engine.create("ByHand", BY_HAND), {}, case="Packed")
        task = await engine.callbacks.poll(HANDS)  # the other state's: nobody answers for it
        assert json.loads(bytes(task.input)) == {"packed": "packed"}
        await engine.callbacks.succeed(task.token, '"signed"')
        assert await handle.result() == {"packed": "packed", "signed": "signed"}
        kinds = [event["type"] async for event in handle.events()]
        assert (kinds.count("ActivityFailed"), kinds.count("ActivitySucceeded"), kinds.count("ActivityStarted")) == (
            1, 2, 1)


async def test_a_task_starts_another_machine_in_a_test_case(file):
    engine = Engine(clock=ManualClock(jumps=True))
    engine.mock(load_mocks(file(CASES)))
    async with engine:
        child, parent = await engine.create("Orders", ORDERS), await engine.create("Parent", NESTED)
        handle = await engine.start(parent, {"machine": f"{child.arn}#Good"})
        assert (await handle.result())["told"] == {"by": "token"}
        handle = await engine.start(parent, {"machine": f"{child.arn}#Better"})
        with pytest.raises(ExecutionFailed, match=r"StepFunctions\..*has no test case 'Better'"):
            await handle.result()


async def test_a_case_without_its_mocks_waits_and_calls_nobody(file, tmp_path):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    slow = {**ORDERS, "StartAt": "Wait", "States": {
        **ORDERS["States"], "Wait": {"Type": "Wait", "Seconds": 60, "Next": "Charge"}}}
    clock = ManualClock()
    engine = Engine(store, clock=clock)
    engine.mock(load_mocks(file(MOCKS)))
    async with engine:
        handle = await engine.start(await engine.create("Orders", slow), {}, case="Good")
    called = []
    engine = Engine(store, clock=ManualClock(clock.now() + 120_000, jumps=True), work=[])
    engine.work("charge")(called.append)
    async with engine:
        import anyio

        with anyio.fail_after(5):
            while handle.arn not in engine.waiting():  # noqa: ASYNC110
                await anyio.sleep(0.01)
    assert not called


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"MockedResponses": {}}, "no mocked response is called"),
        ({"MockedResponses": {"X": {"one": {"Return": 1}}}}, "'one' is no attempt"),
        ({"MockedResponses": {"X": {"3-2": {"Return": 1}}}}, "'3-2' is no attempt"),
        ({"MockedResponses": {"X": {"0": {}}}}, "either Return or Throw"),
        ({"MockedResponses": {"X": {"0": {"Give": 1}}}}, "unknown field"),
        ({"StateMachines": []}, "Expected `object`"),
    ],
)
def test_files_that_are_refused(file, change, why):
    with pytest.raises(MocksRefused, match=why):
        load_mocks(file(MOCKS | change))
