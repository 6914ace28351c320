"""The operations on map runs, and what those on executions say of a map run's own."""

import json

import pytest
from tests.runtime.test_maprun import PASS, Working, distributed
from tests.runtime.world import let_go_on, until
from tests.service.asking import ROLE, Client, refused
from tests.service.served import Served

pytestmark = pytest.mark.anyio
NONE = dict.fromkeys(
    ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten",
     "failuresNotRedrivable", "pendingRedrive"), 0,
)


async def started(client, definition, given, **more):
    machine = (await client.create("orders", json.dumps(definition), **more))["stateMachineArn"]
    begun = await client("StartExecution", stateMachineArn=machine, name="monday", input=json.dumps(given))
    return begun["executionArn"]


async def only_run(client, arn):
    (run,) = (await client("ListMapRuns", executionArn=arn))["mapRuns"]
    return run


async def test_a_run_is_described_while_it_runs_and_after(clock):
    async with Working(held={2}, clock=clock) as engine:
        client = Client(engine)
        arn = await started(client, distributed(MaxConcurrency=1, ToleratedFailurePercentage=12.5), [1, 2, 3])
        await until(lambda: len(engine.seen) == 2)
        clock.advance(5)
        listed = await only_run(client, arn)
        assert listed["executionArn"] == arn
        assert listed["stateMachineArn"] == engine.home.machine("orders/Each")
        assert listed["mapRunArn"].startswith(engine.home.machine("orders/Each:").replace("stateMachine", "mapRun"))
        assert "stopDate" not in listed
        told = await client("DescribeMapRun", mapRunArn=listed["mapRunArn"])
        counts = {**NONE, "pending": 1, "running": 1, "succeeded": 1, "total": 3}
        assert told == {
            "mapRunArn": listed["mapRunArn"], "executionArn": arn, "status": "RUNNING",
            "startDate": listed["startDate"], "maxConcurrency": 1, "toleratedFailurePercentage": 12.5,
            "toleratedFailureCount": 0, "itemCounts": counts, "executionCounts": counts, "redriveCount": 0,
        }  # fmt: skip
        engine.gate.set()
        assert (await client.until_ended(arn))["output"] == "[1,2,3]"
        told = await client("DescribeMapRun", mapRunArn=listed["mapRunArn"])
        assert (told["status"], told["stopDate"]) == ("SUCCEEDED", clock.now() / 1000)
        assert told["itemCounts"] == {**NONE, "succeeded": 3, "total": 3, "resultsWritten": 3}


async def test_items_and_executions_are_counted_apart():
    async with Working(bad=["{'Items': [3]}"]) as engine:
        client = Client(engine)
        batches = distributed(ItemBatcher={"MaxItemsPerBatch": 2}, ToleratedFailureCount=1)
        arn = await started(client, batches, [1, 2, 3])
        assert json.loads((await client.until_ended(arn))["output"]) == [{"Items": [1, 2]}]
        told = await client("DescribeMapRun", mapRunArn=(await only_run(client, arn))["mapRunArn"])
        assert told["itemCounts"] == {**NONE, "succeeded": 2, "failed": 1, "total": 3, "resultsWritten": 2}
        assert told["executionCounts"] == {**NONE, "succeeded": 1, "failed": 1, "total": 2, "resultsWritten": 1}


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
async def test_its_executions_are_listed_and_described(kind):
    async with Working(bad={2}) as engine:
        client = Client(engine)
        arn = await started(client, distributed(kind=kind, ToleratedFailureCount=1), [1, 2, 3])
        await client.until_ended(arn)
        run = (await only_run(client, arn))["mapRunArn"]
        pages = [page async for page in client.pages("ListExecutions", "executions", mapRunArn=run, maxResults=2)]
        assert [len(page) for page in pages] == [2, 1]
        items = [item for page in pages for item in page]
        assert {item["mapRunArn"] for item in items} == {run}
        assert {item["itemCount"] for item in items} == {1}
        assert {item["stateMachineArn"] for item in items} == {engine.home.machine("orders/Each")}
        failed = await client("ListExecutions", mapRunArn=run, statusFilter="FAILED")
        (one,) = failed["executions"]
        told = await client("DescribeExecution", executionArn=one["executionArn"])
        assert (told["mapRunArn"], told["input"], told["error"]) == (run, "2", "Bad")
        assert told["name"] == one["name"]
        assert told["stateMachineArn"] == engine.home.machine("orders/Each")
        assert told["redriveStatus"] == ("REDRIVABLE" if kind == "STANDARD" else "REDRIVABLE_BY_MAP_RUN")
        machine = await client("DescribeStateMachineForExecution", executionArn=one["executionArn"])
        assert (machine["mapRunArn"], machine["label"], machine["name"]) == (run, "Each", "orders")
        assert machine["stateMachineArn"] == engine.home.machine("orders/Each")
        assert json.loads(machine["definition"])["StartAt"] == "I"
        assert (await client("ListExecutions", stateMachineArn=engine.home.machine("orders")))["executions"][0][
            "executionArn"
        ] == arn, "they are no executions of the machine itself"
        if kind == "STANDARD":
            history = await client("GetExecutionHistory", executionArn=one["executionArn"])
            assert [event["type"] for event in history["events"]][-1] == "ExecutionFailed"


async def test_the_execution_itself_tells_of_no_map_run():
    async with Working() as engine:
        client = Client(engine)
        arn = await started(client, distributed(block=PASS), [])
        told = await client.until_ended(arn)
        machine = await client("DescribeStateMachineForExecution", executionArn=arn)
        assert not {"mapRunArn", "label"} & (told.keys() | machine.keys())


async def test_an_express_execution_of_no_map_run_is_not_told_of():
    async with Working() as engine:
        client = Client(engine)
        machine = (await client.create("quick", json.dumps(PASS), type="EXPRESS"))["stateMachineArn"]
        begun = await client("StartExecution", stateMachineArn=machine)
        await refused(client("DescribeExecution", executionArn=begun["executionArn"]), "InvalidArn")


async def test_a_change_is_told_and_counts():
    async with Working(held={1, 2, 3}, bad={1}) as engine:
        client = Client(engine)
        arn = await started(client, distributed(MaxConcurrency=1), [1, 2, 3])
        run = (await only_run_soon(client, arn))["mapRunArn"]
        assert await client("UpdateMapRun", mapRunArn=run, maxConcurrency=3, toleratedFailureCount=1,
                            toleratedFailurePercentage=50) == {}
        told = await client("DescribeMapRun", mapRunArn=run)
        assert (told["maxConcurrency"], told["toleratedFailureCount"], told["toleratedFailurePercentage"]) == (3, 1, 50)
        await until(lambda: len(engine.seen) == 3)
        engine.gate.set()
        assert (await client.until_ended(arn))["output"] == "[2,3]"
        error = await refused(client("UpdateMapRun", mapRunArn=run, maxConcurrency=1), "ValidationException")
        assert error["reason"] == "CANNOT_UPDATE_COMPLETED_MAP_RUN"


async def only_run_soon(client, arn):
    while not (runs := (await client("ListMapRuns", executionArn=arn))["mapRuns"]):
        await let_go_on(1)
    return runs[0]


async def test_a_stop_aborts_it_and_a_redrive_goes_on_with_it(clock):
    async with Working(held={2}, clock=clock) as engine:
        client = Client(engine)
        arn = await started(client, distributed(), [1, 2])
        await until(lambda: len(engine.seen) == 2)
        await client("StopExecution", executionArn=arn)
        await until(lambda: not engine.runs and not engine.maps._alive)
        run = (await only_run(client, arn))["mapRunArn"]
        told = await client("DescribeMapRun", mapRunArn=run)
        assert (told["status"], told["itemCounts"]["aborted"]) == ("ABORTED", 1)
        clock.advance(9)
        engine.held.clear()
        await client("RedriveExecution", executionArn=arn)
        assert (await client.until_ended(arn))["output"] == "[1,2]"
        told = await client("DescribeMapRun", mapRunArn=run)
        assert (told["status"], told["redriveCount"], told["redriveDate"]) == ("SUCCEEDED", 1, clock.now() / 1000)
        assert told["itemCounts"] == {**NONE, "succeeded": 2, "total": 2, "resultsWritten": 2}
        redriven = await client("ListExecutions", mapRunArn=run, redriveFilter="REDRIVEN")
        (one,) = redriven["executions"]
        assert one["redriveCount"] == 1


async def test_what_is_not_there_is_refused():
    async with Working() as engine:
        client = Client(engine)
        unknown = engine.home.machine("orders/Each:7").replace("stateMachine", "mapRun")
        for operation in ("DescribeMapRun", "UpdateMapRun"):
            await refused(client(operation, mapRunArn=unknown), "ResourceNotFound", f"Resource not found: '{unknown}'")
            await refused(client(operation, mapRunArn=engine.home.machine("orders")), "InvalidArn")
        arn = engine.home.execution("orders", "monday")
        await refused(client("ListMapRuns", executionArn=arn), "ExecutionDoesNotExist",
                      f"Execution Does Not Exist: '{arn}'")


async def test_an_execution_without_a_distributed_map_has_none():
    async with Working() as engine:
        client = Client(engine)
        arn = await started(client, PASS, 1)
        await client.until_ended(arn)
        assert await client("ListMapRuns", executionArn=arn) == {"mapRuns": []}


def test_a_client_meets_them_over_the_wire(tmp_path):
    """The ordinary client, its paginator, and a server that is killed and begun anew."""
    with Served(tmp_path) as server:
        client = server.client()
        wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}
        made = client.create_state_machine(
            name="orders", definition=json.dumps(distributed(block=wait, MaxConcurrency=2)),
            roleArn=ROLE.replace("123456789012", "111111111111"),
        )
        arn = client.start_execution(stateMachineArn=made["stateMachineArn"], input="[1,2,3,4,5]")["executionArn"]
        while not (runs := client.list_map_runs(executionArn=arn)["mapRuns"]):
            pass
        run = runs[0]["mapRunArn"]
        server.kill()
        server.start()
        while (told := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            pass
        assert told["output"] == "[1,2,3,4,5]"
        pages = client.get_paginator("list_executions").paginate(mapRunArn=run, PaginationConfig={"PageSize": 2})
        assert [item["itemCount"] for page in pages for item in page["executions"]] == [1] * 5
        described = client.describe_map_run(mapRunArn=run)
        assert described["executionCounts"]["succeeded"] == 5
        with pytest.raises(client.exceptions.ValidationException) as error:
            client.update_map_run(mapRunArn=run, maxConcurrency=1)
        assert error.value.response["reason"] == "CANNOT_UPDATE_COMPLETED_MAP_RUN"
