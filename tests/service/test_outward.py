"""What is told to the outside: log lines by level, with and without data, and events of a changed status."""

import json

import anyio
import pytest
from tests.service.asking import Client

from stepfold import Engine, Limits
from stepfold.service.outward import Outward, is_told

pytestmark = pytest.mark.anyio

GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/orders:*"
FAILING = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "why"}}})
PASSING = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})


class Heard:
    """Lines and events, and how to wait for so many of them."""

    def __init__(self):
        self.told, self._more = [], anyio.Event()

    def __call__(self, told):
        self.told.append(told)
        self._more.set()

    async def upto(self, count):
        with anyio.fail_after(20):
            while len(self.told) < count:
                self._more = anyio.Event()
                await self._more.wait()
        return self.told


@pytest.fixture
async def served(clock):
    async with Engine(clock=clock, limits=Limits.aws()) as engine:
        client = Client(engine)
        client.lines, client.statuses = Heard(), Heard()
        client.outward = Outward(client.service, on_line=client.lines, on_status=client.statuses)
        yield client


async def start(client, definition, *, level, data=True, kind="STANDARD", given='{"n":1}'):
    logging = {
        "level": level, "includeExecutionData": data,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": GROUP}}],
    }
    machine = await client.create("orders", definition, loggingConfiguration=logging, type=kind)
    return await client("StartExecution", stateMachineArn=machine["stateMachineArn"], input=given)


async def test_every_event_is_a_line_as_aws_shapes_it(served):
    started = await start(served, PASSING, level="ALL")
    lines = await served.lines.upto(4)
    assert [line["type"] for line in lines] == [
        "ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded",
    ]
    assert lines[3] == {
        "id": "4", "type": "ExecutionSucceeded", "previous_event_id": "3", "redrive_count": "0",
        "details": {"output": '{"n":1}', "outputDetails": {"truncated": False}},
        "event_timestamp": str(served.engine.clock.now()), "execution_arn": started["executionArn"],
    }


@pytest.mark.parametrize(("level", "types"), [
    ("ERROR", ["FailStateEntered", "ExecutionFailed"]), ("FATAL", ["ExecutionFailed"]),
])
async def test_levels_and_data(served, level, types):
    await start(served, FAILING, level=level, data=False)
    lines = await served.lines.upto(len(types))
    assert [line["type"] for line in lines] == types
    assert all(not {"input", "output", "inputDetails", "outputDetails"} & line["details"].keys() for line in lines)
    assert lines[-1]["details"] == {"error": "E", "cause": "why"}


def test_which_types_a_level_tells():
    assert is_told("LambdaFunctionScheduleFailed", "ERROR")
    assert not is_told("LambdaFunctionSucceeded", "ERROR")
    assert not is_told("TaskFailed", "FATAL")
    assert not is_told("ExecutionFailed", "OFF")


async def test_an_express_execution_is_logged_and_emits_no_status(served):
    started = await start(served, PASSING, level="ALL", kind="EXPRESS")
    lines = await served.lines.upto(4)
    assert {line["execution_arn"] for line in lines} == {started["executionArn"]}
    assert served.statuses.told == []


async def test_status_events_at_the_start_and_at_the_end(served):
    started = await start(served, FAILING, level="OFF")
    began, ended = await served.statuses.upto(2)
    arn = started["executionArn"]
    for event in (began, ended):
        assert event["detail-type"] == "Step Functions Execution Status Change"
        assert (event["source"], event["account"], event["region"]) == ("aws.states", "123456789012", "us-east-1")
        assert event["resources"] == [arn]
        assert event["detail"]["input"] == '{"n":1}'
        assert event["detail"]["output"] is None
    assert (began["detail"]["status"], began["detail"]["stopDate"]) == ("RUNNING", None)
    assert (ended["detail"]["status"], ended["detail"]["error"]) == ("FAILED", "E")
    assert ended["detail"]["stopDate"] == served.engine.clock.now()
    assert served.lines.told == []


async def test_a_redrive_is_told_from_where_it_goes_on(served):
    started = await start(served, FAILING, level="ALL")
    await served.lines.upto(3)
    await served.statuses.upto(2)
    await served("RedriveExecution", executionArn=started["executionArn"])
    lines = await served.lines.upto(5)
    assert [line["type"] for line in lines[3:]] == ["ExecutionRedriven", "ExecutionFailed"]
    assert lines[4]["redrive_count"] == "1"
    told = [event["detail"] for event in await served.statuses.upto(4)]
    assert [(one["status"], one["redriveCount"]) for one in told] == [
        ("RUNNING", 0), ("FAILED", 0), ("RUNNING", 1), ("FAILED", 1),
    ]


async def test_who_looks_on_harms_nobody(served):
    def fail(_):
        raise RuntimeError("the disk of the log is full")

    served.engine._followers.clear()
    Outward(served.service, on_line=fail, on_status=fail)
    started = await start(served, PASSING, level="ALL")
    assert (await served.until_ended(started["executionArn"]))["status"] == "SUCCEEDED"
