"""Starting, describing, listing and stopping executions through the wire layer; texts and shapes are AWS's."""

import uuid

import anyio
import pytest
from tests.runtime.world import DONE, both, call, one, wait
from tests.service.asking import Client, Refused

from stepfold import Engine, Limits
from stepfold.query import jackson
from stepfold.service.operations import executions

pytestmark = pytest.mark.anyio

WORDS = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.fixture
async def engine(clock):
    async with Engine(clock=clock, limits=Limits.aws()) as engine:
        yield engine


@pytest.fixture
def client(engine):
    return Client(engine)


async def refused(client, code, operation, **params):
    with pytest.raises(Refused) as caught:
        await client(operation, **params)
    assert caught.value.code == code
    return caught.value.message


# --- StartExecution ---------------------------------------------------------------------------------------------------


async def test_a_start_and_what_is_told_of_it(engine, client, clock):
    machine = await engine.create("machine", DONE)
    started = await client("StartExecution", stateMachineArn=machine.arn, input='{ "n": 1.0 }', traceHeader="Root=1-a")
    assert started.keys() == {"executionArn", "startDate"}
    assert started["startDate"] == clock.now() / 1000
    name = started["executionArn"].rpartition(":")[2]
    assert uuid.UUID(name).version == 4
    told = await client.until_ended(started["executionArn"])
    assert told == {
        "executionArn": started["executionArn"], "stateMachineArn": machine.arn, "name": name, "status": "SUCCEEDED",
        "startDate": clock.now() / 1000, "stopDate": clock.now() / 1000,
        "input": '{ "n": 1.0 }', "inputDetails": {"included": True},
        "output": '{"n":1.0}', "outputDetails": {"included": True}, "traceHeader": "Root=1-a",
        "redriveCount": 0, "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
    }
    (event, *_) = (await client("GetExecutionHistory", executionArn=started["executionArn"]))["events"]
    assert event["executionStartedEventDetails"]["input"] == '{ "n": 1.0 }'


async def test_a_start_without_input_has_an_empty_object(engine, client):
    machine = await engine.create("machine", DONE)
    started = await client("StartExecution", stateMachineArn=machine.arn)
    told = await client.until_ended(started["executionArn"])
    assert (told["input"], told["output"]) == ("{}", "{}")


async def test_the_same_name_again(engine, client, clock):
    """The table of the API notes, section 3: the texts are compared."""
    machine = await engine.create("machine", wait(10))
    asked = {"stateMachineArn": machine.arn, "name": "monday", "input": '{"n": 1}'}
    first = await client("StartExecution", **asked)
    clock.advance(1)
    assert await client("StartExecution", **asked) == first
    text = f"Execution Already Exists: '{first['executionArn']}'"
    for other in ({"input": '{"n":1}'}, {"input": '{"n": 2}'}):
        assert await refused(client, "ExecutionAlreadyExists", "StartExecution", **{**asked, **other}) == text
    clock.advance(10)
    await client.until_ended(first["executionArn"])
    assert await refused(client, "ExecutionAlreadyExists", "StartExecution", **asked) == text


async def test_fifty_who_race_for_one_name(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        client = Client(engine)
        machine = await engine.create("machine", wait(60))
        answers, taken = [], []

        async def racer(number):
            try:
                answers.append(await client("StartExecution", stateMachineArn=machine.arn, name="race",
                                            input=f'{{"team":{number % 2}}}'))
            except Refused as refusal:
                taken.append(refusal.code)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(racer, number)
        assert taken == ["ExecutionAlreadyExists"] * 25
        assert len(answers) == 25
        assert all(answer == answers[0] for answer in answers)
        listed = await client("ListExecutions", stateMachineArn=machine.arn)
        assert [item["name"] for item in listed["executions"]] == ["race"]


@pytest.mark.parametrize(("text", "why"), [
    ("not json", f"Unrecognized token 'not': was expecting {WORDS}"),
    ("{'a'", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
    ("", "Invalid execution input."),
    ("  \n", "Invalid execution input."),
    ('{"a":1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name"),
    ('{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value"),
    ('{"a":1 "b":2}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries"),
    ("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries"),
    ("[1,]", f"Unexpected character (']' (code 93)): expected a valid value {WORDS}"),
    ("[tru]", f"Unrecognized token 'tru': was expecting {WORDS}"),
    ("{", "Unexpected end-of-input: expected close marker for Object"),
    ('{"a":[1', "Unexpected end-of-input: expected close marker for Array"),
    ('"a', "Unexpected end-of-input: was expecting closing quote for a string value"),
    ('"\\x"', "Unrecognized character escape 'x' (code 120)"),
    ("01", "Invalid numeric value: Leading zeroes not allowed"),
    ("{} {}", "Unexpected character ('{' (code 123)): expected the end after the value"),
])
async def test_inputs_that_are_no_json(engine, client, text, why):
    machine = await engine.create("machine", DONE)
    message = await refused(client, "InvalidExecutionInput", "StartExecution", stateMachineArn=machine.arn, input=text)
    assert message == f"Invalid State Machine Execution Input: '{why}'"
    assert not engine.runs
    assert not (await client("ListExecutions", stateMachineArn=machine.arn))["executions"]


def test_what_is_json_is_not_complained_of():
    for text in ('{"a":[1,-2.5e3,{"b":null}],"c":"\\u00e9\\n"}', "[]", "{}", "0", "true", '"x"', "[[],[{}]]"):
        assert jackson.complaint(text) is None
    assert jackson.complaint("[" * 100_000) == "Unexpected end-of-input: expected close marker for Array"


async def test_inputs_that_are_too_large_or_too_deep(engine, client):
    machine = await engine.create("machine", DONE)
    for text in ('"' + "é" * 140_000 + '"', "[" * 300 + "]" * 300):
        asked = {"stateMachineArn": machine.arn, "input": text}
        message = await refused(client, "InvalidExecutionInput", "StartExecution", **asked)
        assert message.startswith("Invalid State Machine Execution Input: '")


async def test_starts_that_name_no_machine(client, engine):
    unknown = engine.home.machine("nobody")
    assert await refused(client, "StateMachineDoesNotExist", "StartExecution", stateMachineArn=unknown) == (
        f"State Machine Does Not Exist: '{unknown}'"
    )
    assert await refused(client, "InvalidArn", "StartExecution", stateMachineArn="nobody") == (
        "Invalid Arn: 'Invalid ARN prefix: nobody'"
    )
    machine = await engine.create("machine", DONE)
    assert await refused(client, "InvalidName", "StartExecution", stateMachineArn=machine.arn, name="a b") == (
        "Invalid Name: 'a b'"
    )


# --- DescribeExecution ------------------------------------------------------------------------------------------------


async def test_what_is_told_by_status(engine, client, clock):
    running = await engine.start(await engine.create("waits", wait(10)), name="e")
    told = await client("DescribeExecution", executionArn=running.arn)
    assert told.keys() & {"stopDate", "output", "outputDetails", "error", "cause", "traceHeader"} == set()
    assert told["redriveStatusReason"] == "Execution is RUNNING and cannot be redriven"

    failed = await engine.start(await engine.create("fails", one(Type="Fail", Error="E", Cause="why")), name="e")
    told = await client.until_ended(failed.arn)
    assert (told["status"], told["error"], told["cause"]) == ("FAILED", "E", "why")
    assert told["redriveStatus"] == "REDRIVABLE"
    assert "redriveStatusReason" not in told

    slow = await engine.start(await engine.create("slow", {**wait(10), "TimeoutSeconds": 3}), name="e")
    clock.advance(3.25)
    told = await client.until_ended(slow.arn)
    assert told["status"] == "TIMED_OUT"
    assert told.keys() & {"error", "cause", "output"} == set()
    assert told["stopDate"] == told["startDate"] + 3, "it is dated when it was due"


async def test_only_metadata(engine, client):
    handle = await engine.start(await engine.create("machine", DONE), {"secret": 1})
    await handle.result()
    told = await client("DescribeExecution", executionArn=handle.arn, includedData="METADATA_ONLY")
    assert told.keys() & {"input", "output"} == set()
    assert told["inputDetails"] == told["outputDetails"] == {"included": False}
    machine = await client("DescribeStateMachineForExecution", executionArn=handle.arn, includedData="METADATA_ONLY")
    assert machine["definition"] == "{}"


async def test_the_definition_as_used(engine, client, clock):
    text = '{"StartAt": "A",\n "States": {"A": {"Type": "Wait", "Seconds": 5, "End": true}}}'
    machine = await engine.create("machine", text, role="arn:aws:iam::123456789012:role/first")
    handle = await engine.start(machine)
    await engine.create("machine", DONE, role="arn:aws:iam::123456789012:role/second", replace=True)
    told = await client("DescribeStateMachineForExecution", executionArn=handle.arn)
    assert told == {
        "stateMachineArn": machine.arn, "name": "machine", "definition": text, "updateDate": clock.now() / 1000,
        "roleArn": "arn:aws:iam::123456789012:role/first",
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False}, "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
    }


@pytest.mark.parametrize("operation", [
    "DescribeExecution", "DescribeStateMachineForExecution", "GetExecutionHistory", "StopExecution", "RedriveExecution",
])
async def test_executions_that_are_not_there(engine, client, operation):
    arn = engine.home.execution("machine", "nobody")
    assert await refused(client, "ExecutionDoesNotExist", operation, executionArn=arn) == (
        f"Execution Does Not Exist: '{arn}'"
    )
    for wrong, why in (
        ("nobody", "Invalid ARN prefix: nobody"),
        (engine.home.express("m", "e", "u"), "Resource type not valid in this context: express"),
        (engine.home.machine("m"), "Resource type not valid in this context: stateMachine"),
    ):
        assert await refused(client, "InvalidArn", operation, executionArn=wrong) == f"Invalid Arn: '{why}'"


# --- versions and aliases ---------------------------------------------------------------------------------------------


class Qualified:
    """Resolves `...:1` as a version and `...:live` as an alias of it, as a registry with versions does."""

    def __init__(self, registry):
        self.resolve_plain = registry.resolve

    async def __call__(self, arn):
        base, _, qualifier = str(arn).rpartition(":")
        if qualifier not in {"1", "live"}:
            return await self.resolve_plain(arn)
        target = await self.resolve_plain(base)
        return target._replace(version=f"{base}:1", alias=arn if qualifier == "live" else None)


async def test_qualified_starts_are_told_and_listed_by_what_they_named(engine, client, clock, monkeypatch):
    machine = await engine.create("machine", DONE)
    monkeypatch.setattr(engine.registry, "resolve", Qualified(engine.registry))
    ways = {"plain": machine.arn, "version": f"{machine.arn}:1", "alias": f"{machine.arn}:live"}
    for name, arn in ways.items():
        await client("StartExecution", stateMachineArn=arn, name=name)
        clock.advance(1)
    listed = {
        way: [item["name"] for item in (await client("ListExecutions", stateMachineArn=arn))["executions"]]
        for way, arn in ways.items()
    }
    assert listed == {"plain": ["alias", "version", "plain"], "version": ["alias", "version"], "alias": ["alias"]}
    for name, keys in (("plain", set()), ("version", {"stateMachineVersionArn"}),
                       ("alias", {"stateMachineVersionArn", "stateMachineAliasArn"})):
        told = await client.until_ended(engine.home.execution("machine", name))
        assert told.keys() & {"stateMachineVersionArn", "stateMachineAliasArn"} == keys
        assert told["stateMachineArn"] == machine.arn


# --- ListExecutions ---------------------------------------------------------------------------------------------------


async def test_pages_stay_where_they_are(engine, client, clock):
    machine = await engine.create("machine", wait(1000))

    async def start(number):
        clock.advance(1)
        await client("StartExecution", stateMachineArn=machine.arn, name=f"e-{number:02}")

    for number in range(7):
        await start(number)
    seen = []
    async for page in client.pages("ListExecutions", "executions", stateMachineArn=machine.arn, maxResults=3):
        assert len(page) <= 3
        seen += [item["name"] for item in page]
        await start(10 + len(seen))  # a page that is being read does not move
        await client("StopExecution", executionArn=page[0]["executionArn"])
    assert seen == [f"e-{number:02}" for number in reversed(range(7))]


async def test_filters(engine, client, clock):
    machine = await engine.create("machine", wait(1000))
    other = await engine.create("other", wait(1000))
    for number in range(6):
        clock.advance(1)
        handle = await engine.start(machine, name=f"e-{number}")
        if number % 2:
            await handle.stop()
        if number == 5:
            await client("RedriveExecution", executionArn=handle.arn)
    await engine.start(other)

    async def listed(**params):
        pages = client.pages("ListExecutions", "executions", stateMachineArn=machine.arn, maxResults=1, **params)
        return "".join([item["name"][-1] async for page in pages for item in page])

    assert await listed() == "543210"
    assert await listed(statusFilter="ABORTED") == "31"
    assert await listed(statusFilter="RUNNING") == "5420"
    assert await listed(statusFilter="SUCCEEDED") == ""
    assert await listed(redriveFilter="REDRIVEN") == "5"
    assert await listed(redriveFilter="NOT_REDRIVEN") == "43210"
    assert await listed(statusFilter="RUNNING", redriveFilter="NOT_REDRIVEN") == "420"
    (item,) = (await client("ListExecutions", stateMachineArn=machine.arn, maxResults=1))["executions"]
    assert item == {
        "executionArn": engine.home.execution("machine", "e-5"), "stateMachineArn": machine.arn, "name": "e-5",
        "status": "RUNNING", "startDate": clock.now() / 1000, "redriveCount": 1, "redriveDate": clock.now() / 1000,
    }


async def test_a_filter_that_keeps_little_gives_short_pages_and_misses_nothing(engine, client, clock, monkeypatch):
    monkeypatch.setattr(executions, "LOOKED_AT", 4)
    monkeypatch.setattr(executions, "STEP", 2)
    machine = await engine.create("machine", wait(1000))
    for number in range(12):
        clock.advance(1)
        handle = await engine.start(machine, name=f"e-{number}")
        if number in {0, 7}:
            await handle.stop()
            await engine.redrive(handle.arn)
    pages = [
        [item["name"] for item in page]
        async for page in client.pages("ListExecutions", "executions", stateMachineArn=machine.arn, maxResults=1,
                                       redriveFilter="REDRIVEN")
    ]
    assert [name for page in pages for name in page] == ["e-7", "e-0"]


async def test_lists_that_are_refused(engine, client, clock):
    machine = await engine.create("machine", DONE)
    express = await engine.create("express", DONE, type="EXPRESS")
    unknown = engine.home.machine("nobody")
    assert await refused(client, "StateMachineDoesNotExist", "ListExecutions", stateMachineArn=unknown) == (
        f"State Machine Does Not Exist: '{unknown}'"
    )
    assert await refused(client, "StateMachineTypeNotSupported", "ListExecutions", stateMachineArn=express.arn) == (
        "This operation is not supported by this type of state machine"
    )
    run = machine.arn.replace("stateMachine:machine", "mapRun:machine/Each:7")
    await refused(client, "ValidationException", "ListExecutions")
    await refused(client, "ValidationException", "ListExecutions", stateMachineArn=machine.arn, mapRunArn=run)
    await refused(client, "ResourceNotFound", "ListExecutions", mapRunArn=run)
    await refused(client, "ValidationException", "ListExecutions", stateMachineArn=machine.arn,
                  statusFilter="PENDING_REDRIVE")


async def test_tokens_are_for_one_list_and_one_day(engine, client, clock):
    machine = await engine.create("machine", DONE)
    for _ in range(3):
        await engine.start(machine)
    asked = {"stateMachineArn": machine.arn, "maxResults": 1}
    token = (await client("ListExecutions", **asked))["nextToken"]
    invalid = "Invalid Token: 'Invalid token'"
    for wrong in ({"nextToken": "x"}, {"nextToken": token[:-4]}, {"nextToken": token, "statusFilter": "SUCCEEDED"}):
        assert await refused(client, "InvalidToken", "ListExecutions", **{**asked, **wrong}) == invalid
    clock.advance(24 * 3600)
    assert len((await client("ListExecutions", **asked, nextToken=token))["executions"]) == 1
    clock.advance(1)
    assert await refused(client, "InvalidToken", "ListExecutions", **asked, nextToken=token) == invalid


# --- StopExecution ----------------------------------------------------------------------------------------------------


async def test_a_stop_and_another(engine, client, clock):
    handle = await engine.start(await engine.create("machine", both(wait(50), wait(60))))
    clock.advance(1)
    stopped = await client("StopExecution", executionArn=handle.arn, error="Enough", cause="of it")
    assert stopped == {"stopDate": clock.now() / 1000}
    clock.advance(1)
    assert await client("StopExecution", executionArn=handle.arn, error="More") == stopped
    told = await client("DescribeExecution", executionArn=handle.arn)
    assert (told["status"], told["error"], told["cause"]) == ("ABORTED", "Enough", "of it")
    assert told["redriveStatus"] == "REDRIVABLE"
    assert told["stopDate"] == stopped["stopDate"]


# --- what was acknowledged is there after a restart -------------------------------------------------------------------


async def test_a_restart(tmp_path, clock):
    store, asked = tmp_path / "store.db", {"name": "monday", "input": '{"n": 1}', "traceHeader": "Root=1"}
    async with Engine(store, clock=clock) as engine:
        client = Client(engine)
        machine = await engine.create("machine", call("nobody"))
        first = await client("StartExecution", stateMachineArn=machine.arn, **asked)
        clock.advance(1)
        stopped = await engine.start(machine, name="tuesday")
        stop = await client("StopExecution", executionArn=stopped.arn)
        listed = await client("ListExecutions", stateMachineArn=machine.arn, maxResults=1)
    clock.advance(60)
    async with Engine(store, clock=clock) as engine:
        client = Client(engine)
        assert await client("StartExecution", stateMachineArn=machine.arn, **asked) == first
        assert await client("StopExecution", executionArn=stopped.arn) == stop
        told = await client("DescribeExecution", executionArn=first["executionArn"])
        assert (told["status"], told["input"], told["traceHeader"]) == ("RUNNING", '{"n": 1}', "Root=1")
        rest = await client("ListExecutions", stateMachineArn=machine.arn, nextToken=listed["nextToken"])
        assert [item["name"] for item in rest["executions"]] == ["monday"]
        assert await refused(client, "ExecutionAlreadyExists", "StartExecution", stateMachineArn=machine.arn,
                             name="tuesday", input="{}")
