"""The TestState operation: what it refuses, how it words that, and what it performs by the engine's workers."""

import json
import uuid

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs
from tests.work.far_side import Told

from stepfold.errors import CallerError
from stepfold.language.limits import Limits
from stepfold.runtime.engine import Engine
from stepfold.runtime.outside import Outside, reach
from stepfold.service.door import Door
from stepfold.service.service import StepFunctions
from stepfold.service.wire.protocol import Call, read
from stepfold.work.call import TaskError
from stepfold.work.services.connections import Connection
from stepfold.work.services.hosts import Allowed

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::123456789012:role/tester"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:nobody"
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": True}
PASS = {"Type": "Pass", "End": True}
BRANCH = {"StartAt": "In", "States": {"In": PASS}}
PARALLEL = {"Type": "Parallel", "Branches": [BRANCH, {"StartAt": "Too", "States": {"Too": PASS}}], "End": True}
EACH = {"Type": "Map", "ItemProcessor": BRANCH, "End": True}
MACHINE = {"StartAt": "Each", "States": {"Each": EACH}}
WRITTEN = {
    **EACH, "ItemProcessor": {**BRANCH, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
    "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}},
}


@pytest.fixture
async def service(clock):
    async with Engine(limits=Limits.local(), clock=clock) as engine:
        yield StepFunctions(engine)


@pytest.fixture
async def hasty(jumping_clock):
    """The same, where no time is lost in waiting."""
    async with Engine(limits=Limits.local(), clock=jumping_clock) as engine:
        yield StepFunctions(engine)


async def ask(service, definition, **fields):
    body = {"definition": definition if isinstance(definition, str) else json.dumps(definition), **fields}
    answer = await service.operations["TestState"](service, read("TestState", json.dumps(body).encode()))
    return msgspec.to_builtins(answer)


def result(value):
    return {"result": json.dumps(value)}


INVALID = "ValidationException"
ONE_OF = "A test mock should have only one of the following fields: [result, errorOutput]."
NO_MAP = (
    "TestState API does not support Map or Parallel states. Supported state types include: "
    "[Task, Wait, Pass, Succeed, Fail, Choice]"
)
NO_COUNT = "TestState does not support MapIterationFailureCount when a mock is not specified."
COUNT = "Map iteration failure count must be less than or equal to the number of Map iterations"
CONTEXT = "Invalid Context object provided: "
CALLBACK = {**TASK, "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"}


@pytest.mark.parametrize(
    ("definition", "fields", "code", "says"),
    [
        ("{", {}, "InvalidDefinition", "Invalid State Machine Definition: "),
        ({"Type": "Pass"}, {}, "InvalidDefinition", "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: "),
        (MACHINE, {"stateName": "Nowhere"}, INVALID, "State not found in definition"),
        (EACH, {}, "InvalidDefinition", NO_MAP),
        (TASK, {}, INVALID, "RoleArn must be specified when testing a Task state"),
        (PASS, {"roleArn": "x"}, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'"),
        (PASS, {"mock": result({})}, INVALID, "State type 'Pass' is not supported when a mock is specified"),
        (TASK, {"mock": {**result({}), "errorOutput": {"error": "E"}}}, INVALID, ONE_OF),
        (TASK, {"mock": {}}, INVALID, ONE_OF),
        (
            TASK, {"mock": result({}), "revealSecrets": True}, INVALID,
            "TestState does not support RevealSecrets when a mock is specified.",
        ),
        (TASK, {"mock": {"result": "{"}}, INVALID, "Mocked result must be valid JSON"),
        (EACH, {"mock": result({})}, INVALID, "Mocked result must be an array."),
        (PARALLEL, {"mock": result({})}, INVALID, "Mocked result must be an array."),
        (
            PARALLEL, {"mock": result([1])}, INVALID,
            "Mocked result must contain the same number of items as number of Parallel branches.",
        ),
        (WRITTEN, {"mock": result([1])}, INVALID, "Mocked result must be a JSON object."),
        (PASS, {"stateConfiguration": {"mapIterationFailureCount": 1}}, INVALID, NO_COUNT),
        (
            EACH, {"mock": result([1]), "input": "[1]", "stateConfiguration": {"mapIterationFailureCount": 2}},
            INVALID, COUNT,
        ),
        (PASS, {"context": '{"Pokedex": {}}'}, INVALID, f"{CONTEXT}Field 'Pokedex' is not allowed"),
        (
            PASS, {"context": '{"Map": {}}'}, INVALID,
            f"{CONTEXT}'Map' field is not supported when mocking a Context object",
        ),
        (PASS, {"context": "[]"}, INVALID, CONTEXT),
        (PASS, {"context": '{"State": {"RetryCount": true}}'}, INVALID, CONTEXT),
        (PASS, {"variables": "[]"}, INVALID, "Invalid variables provided: "),
        (
            PASS, {"input": "{"}, "InvalidExecutionInput",
            "Invalid State Machine Execution Input: 'Unexpected end-of-input: expected close marker for Object'",
        ),
        (
            PASS, {"input": ""}, "InvalidExecutionInput",
            "Invalid State Machine Execution Input: 'Invalid execution input.'",
        ),
        (
            TASK, {"mock": result({"StatusCode": "200"})}, INVALID,
            "Mock result schema validation error: Field 'StatusCode' must be a number",
        ),
        (TASK, {"roleArn": ROLE, "revealSecrets": True}, INVALID, "RevealSecrets is supported with "),
        (CALLBACK, {"roleArn": ROLE}, "InvalidDefinition", "TestState API does not support the resource "),
    ],
)
async def test_what_is_refused(service, definition, fields, code, says):
    with pytest.raises(CallerError) as raised:
        await ask(service, definition, **fields)
    assert raised.value.code == code
    assert raised.value.message.startswith(says)


async def test_the_levels_of_inspection(service):
    whole = {"status": "SUCCEEDED", "output": '{"a":1}'}
    assert await ask(service, PASS, input='{"a": 1}') == whole
    assert await ask(service, PASS, input='{"a": 1}', inspectionLevel="INFO") == whole
    seen = dict.fromkeys(
        ("input", "afterInputPath", "afterParameters", "afterResultSelector", "afterResultPath"), '{"a":1}'
    )
    for level in ("DEBUG", "TRACE"):
        assert await ask(service, PASS, input='{"a": 1}', inspectionLevel=level) == {**whole, "inspectionData": seen}


async def test_a_state_in_a_machine_may_be_nested(service):
    assert await ask(service, MACHINE, stateName="In", input="5") == {"status": "SUCCEEDED", "output": "5"}


async def test_a_mock_that_fails(service):
    state = {**TASK, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 2}]}
    mock = {"errorOutput": {"error": "E", "cause": "why"}}
    told = await ask(service, state, mock=mock, stateConfiguration={"retrierRetryCount": 1}, inspectionLevel="DEBUG")
    assert (told["status"], told["error"], told["cause"]) == ("RETRIABLE", "E", "why")
    assert told["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 4}


async def test_a_mock_of_a_result_writer_is_an_object(service):
    told = await ask(service, WRITTEN, mock=result({"MapRunArn": "x"}), input="[1]")
    assert json.loads(told["output"]) == {"MapRunArn": "x"}


async def test_tasks_are_performed_by_the_engines_workers(service):
    @service.engine.work("f")
    def double(event):
        return event["n"] * 2

    state = {**TASK, "Parameters": {"FunctionName": "f", "Payload.$": "$"}, "ResultSelector": {"n.$": "$.Payload"}}
    told = await ask(service, state, roleArn=ROLE, input='{"n": 4}')
    assert (told["status"], json.loads(told["output"])) == ("SUCCEEDED", {"n": 8})


async def test_a_worker_that_fails_or_is_missing(service):
    @service.engine.work("f")
    async def fails(event):
        raise TaskError("Mine", "because")

    state = {**TASK, "Catch": [{"ErrorEquals": ["Mine"], "Next": "Mend"}]}
    told = await ask(service, state, roleArn=ROLE)
    assert (told["status"], told["nextState"]) == ("CAUGHT_ERROR", "Mend")
    assert json.loads(told["output"]) == {"Error": "Mine", "Cause": "because"}
    told = await ask(service, {**TASK, "Resource": "arn:aws:states:::sqs:sendMessage"}, roleArn=ROLE)
    assert (told["status"], told["error"]) == ("FAILED", "States.TaskFailed")


@pytest.mark.parametrize(
    ("state", "qualifier"),
    [
        ({"Parameters": {"FunctionName": "nobody"}}, "$LATEST"),
        ({"Parameters": {"FunctionName": "nobody:7"}}, "7"),
        ({"Parameters": {"FunctionName": "nobody", "Qualifier": "7"}}, "7"),
        ({"Resource": FUNCTION, "Parameters": {}}, "$LATEST"),
        ({"Resource": f"{FUNCTION}:live", "Parameters": {}}, "live"),
    ],
)
async def test_a_function_that_is_not_there_fails_in_lambdas_words(service, state, qualifier):
    told = await ask(service, {**TASK, **state}, roleArn=ROLE)
    assert (told["status"], told["error"]) == ("FAILED", "Lambda.ResourceNotFoundException")
    cause, _, rest = told["cause"].partition("Request ID: ")
    assert cause == (
        f"Function not found: {FUNCTION}:{qualifier} "
        "(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; "
    )
    assert str(uuid.UUID(rest.removesuffix("; Proxy: null)"))) + "; Proxy: null)" == rest


@pytest.mark.parametrize("fields", [{"TimeoutSeconds": 3}, {"TimeoutSeconds": 100, "HeartbeatSeconds": 3}, {}])
async def test_nothing_takes_longer_than_it_may(hasty, fields):
    @hasty.engine.work("f")
    async def sleeps(event):
        await anyio.sleep_forever()

    told = await ask(hasty, {**TASK, **fields}, roleArn=ROLE)
    assert (told["status"], told["error"]) == ("FAILED", "States.Timeout")


async def test_waits_are_waited_for_but_not_for_ever(hasty):
    began = hasty.engine.clock.now()
    assert (await ask(hasty, {"Type": "Wait", "Seconds": 200, "Next": "On"}))["nextState"] == "On"
    assert hasty.engine.clock.now() - began == 200_000
    told = await ask(hasty, {"Type": "Wait", "Seconds": 301, "Next": "On"})
    assert (told["status"], told["error"]) == ("FAILED", "States.Timeout")


async def test_awss_limits_hold_whatever_the_engines_are(service):
    big = {**TASK, "Parameters": {"FunctionName": "f", "a.$": "$", "b.$": "$"}}
    told = await ask(service, big, mock=result({}), input=json.dumps("x" * 140_000))
    assert (told["status"], told["error"]) == ("FAILED", "States.DataLimitExceeded")
    with pytest.raises(CallerError) as raised:
        await ask(service, PASS, input=json.dumps("é" * 140_000, ensure_ascii=False))
    assert raised.value.code == "InvalidExecutionInput"


# --- HTTP tasks -------------------------------------------------------------------------------------------------------

SECRETS = ("s3cret-word", "YWRhOnMzY3JldC13b3Jk", "seven-secret", "eight-secret", "nine-secret")
CONNECTION = Connection(
    "c", username="ada", password="s3cret-word", headers={"X-Tenant": "seven-secret"},
    query={"tenant": "eight-secret"}, body={"tenant": "nine-secret"},
)
REQUEST = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "End": True, "Parameters": {
    "Method": "POST", "Authentication": {"ConnectionArn": "c"}, "Headers": {"Mine": "h1"},
    "QueryParameters": {"q": "1"}, "RequestBody": {"message": "hello"},
}}
ANSWER = (200, b'{"you": "said s3cret-word"}', {"Content-Type": "application/json", "Said": "nine-secret"})


@pytest.fixture
async def tracing(clock):
    """A service whose HTTP tasks reach one server, and what to ask it to see what they send."""
    with Told(ANSWER) as server:
        engine = Engine(clock=clock)
        reach(engine, Outside(services=False, hosts=[Allowed.read(server.url)], connections={"c": CONNECTION}))
        service = StepFunctions(engine)
        definition = {**REQUEST, "Parameters": {**REQUEST["Parameters"], "ApiEndpoint": f"{server.url}/path"}}

        async def traced(**fields):
            asked = {"roleArn": ROLE, "inspectionLevel": "TRACE", **fields}
            return await ask(service, definition, **asked)

        async with engine:
            traced.service, traced.server, traced.definition = service, server, definition
            yield traced


async def test_what_an_http_task_sends_is_shown_without_what_its_connection_adds(tracing):
    told = await tracing()
    assert told["inspectionData"]["request"] == {
        "protocol": "http", "method": "POST", "url": f"{tracing.server.url}/path?q=1",
        "headers": (
            "[Mine: h1, User-Agent: Amazon|StepFunctions|HttpInvoke|us-east-1, Range: bytes=0-262144, "
            "Content-Type: application/json; charset=UTF-8]"
        ),
        "body": '{"message":"hello"}',
    }
    answer = told["inspectionData"]["response"]
    assert (answer["protocol"], answer["statusCode"], answer["statusMessage"]) == ("http", "200", "OK")
    assert answer["body"] == '{"you": "said [REDACTED]"}'
    assert "Said: [REDACTED]" in answer["headers"]
    assert not any(secret in json.dumps(told) for secret in SECRETS)
    assert "tenant=eight-secret" in tracing.server.asked[0]["path"]  # (it was sent all the same)


async def test_secrets_are_shown_to_whoever_asks_for_them_and_to_nobody_else(tracing):
    told = await tracing(revealSecrets=True)
    request, answer = told["inspectionData"].pop("request"), told["inspectionData"].pop("response")
    assert request["url"].endswith("/path?q=1&tenant=eight-secret")
    assert request["headers"].startswith(
        "[Mine: h1, X-Tenant: seven-secret, Authorization: Basic YWRhOnMzY3JldC13b3Jk, User-Agent: "
    )
    assert json.loads(request["body"]) == {"message": "hello", "tenant": "nine-secret"}
    assert answer["body"] == '{"you": "said s3cret-word"}'
    assert not any(secret in json.dumps(told) for secret in SECRETS), "the output is what a history would hold"


async def test_the_log_says_nothing_of_what_is_revealed(tracing):
    asked = {"definition": json.dumps(tracing.definition), "roleArn": ROLE, "inspectionLevel": "TRACE",
             "revealSecrets": True}
    headers = {"x-amz-target": "AWSStepFunctions.TestState", "content-type": "application/x-amz-json-1.0"}
    with capture_logs() as lines:
        reply = await Door(tracing.service).answer(Call("POST", "/", "", headers, json.dumps(asked).encode()))
    assert b"s3cret-word" in reply.body
    assert lines
    assert not any(secret in repr(lines) for secret in SECRETS)


async def test_a_trace_is_shown_at_its_level_alone_and_as_far_as_it_came(tracing):
    assert not {"request", "response"} & (await tracing(inspectionLevel="DEBUG"))["inspectionData"].keys()
    mocked = await tracing(mock={"errorOutput": {"error": "E"}})
    assert not {"request", "response"} & mocked["inspectionData"].keys()
    tracing.server.answers = [(503, b"busy")]
    failed = await tracing()
    assert (failed["error"], failed["inspectionData"]["response"]["body"]) == ("States.Http.StatusCode.503", "busy")
    tracing.server.answers = [None]
    tracing.server.hold.set()
    cut = await tracing()
    assert (cut["error"], "response" in cut["inspectionData"]) == ("States.Http.Socket", False)
    assert cut["inspectionData"]["request"]["method"] == "POST"
