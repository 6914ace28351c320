"""AWS's services behind Tasks: moto's, and a server that fails in each way a service can."""

from __future__ import annotations

import json
import sys

import boto3
import pytest

from stepfold import Engine, ManualClock
from stepfold.language.resources import parse_resource
from stepfold.runtime.handle import ExecutionFailed
from stepfold.runtime.outside import Outside, reach, reach_services
from stepfold.work.services import clients, models
from stepfold.work.services.calls import Services
from stepfold.work.services.clients import Clients

from .far_side import ENVIRONMENT, MOTO, NO_MOTO, Moto, Told, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials_of_the_tests")]

needs_moto = pytest.mark.skipif(not MOTO, reason=NO_MOTO)


@pytest.fixture(scope="module")
def moto():
    with Moto() as server:
        yield server


@pytest.fixture
def at_moto(moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    return lambda service: boto3.client(service, endpoint_url=moto.url)


def task(name, arguments=None, **fields):
    return {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::{name}", "Parameters": arguments or {}, "End": True, **fields}}}


async def run(definition, data=None, **options):
    engine = Engine(clock=ManualClock(jumps=True), **options)
    reach(engine, Outside())
    async with engine:
        machine = await engine.create("m", definition)
        handle = await engine.start(machine, data)
        return await handle.result()


async def failure(definition, data=None, **options):
    with pytest.raises(ExecutionFailed) as failed:
        await run(definition, data, **options)
    return failed.value.error, failed.value.cause


# --- against moto -----------------------------------------------------------------------------------------------------


@needs_moto
async def test_sqs(at_moto):
    sqs = at_moto("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    result = await run(task("sqs:sendMessage", {"QueueUrl": url, "MessageBody": {"n.$": "$.n"}}), {"n": 1})
    assert set(result) == {"MD5OfMessageBody", "MessageId", "SdkHttpMetadata", "SdkResponseMetadata"}
    assert result["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == '{"n":1}'
    error, cause = await failure(task("sqs:sendMessage", {"QueueUrl": url + "gone", "MessageBody": "m"}))
    assert error.startswith("SQS.")
    assert "(Service: AmazonSQS; Status Code: 400; Error Code: " in cause
    assert cause.endswith("; Proxy: null)")


@needs_moto
async def test_sns(at_moto):
    topic = at_moto("sns").create_topic(Name="t")["TopicArn"]
    result = await run(task("sns:publish", {"TopicArn": topic, "Message": {"a": 1}}))
    assert set(result) == {"MessageId", "SdkHttpMetadata", "SdkResponseMetadata"}
    error, cause = await failure(task("sns:publish", {"TopicArn": topic + "gone", "Message": "m"}))
    assert error == "SNS.NotFoundException"
    assert "(Service: AmazonSNS; Status Code: 404; Error Code: NotFound; Request ID: " in cause


@needs_moto
async def test_dynamodb(at_moto):
    at_moto("dynamodb").create_table(
        TableName="t", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    item = {"id": {"S": "1"}, "n": {"N": "7"}}
    for name in ("dynamodb", "aws-sdk:dynamodb"):
        await run(task(f"{name}:putItem", {"TableName": "t", "Item": item}))
        await run(task(f"{name}:updateItem", {
            "TableName": "t", "Key": {"id": {"S": "1"}}, "UpdateExpression": "SET n = n + :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }))
        found = await run(task(f"{name}:getItem", {"TableName": "t", "Key": {"id": {"S": "1"}}}))
        assert found["Item"]["n"] == {"N": "8"}
        assert ("SdkHttpMetadata" in found) is (name == "dynamodb")
        await run(task(f"{name}:deleteItem", {"TableName": "t", "Key": {"id": {"S": "1"}}}))
    error, cause = await failure(task("dynamodb:putItem", {"TableName": "none", "Item": item}))
    assert error == "DynamoDB.ResourceNotFoundException"
    assert "Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException" in cause
    error, cause = await failure(task("aws-sdk:dynamodb:putItem", {"TableName": "none", "Item": item}))
    assert error == "DynamoDb.ResourceNotFoundException"
    assert "(Service: DynamoDb, Status Code: 400, Request ID: " in cause


@needs_moto
async def test_events(at_moto):
    entry = {"Detail": {"a": 1}, "DetailType": "d", "Source": "s"}
    result = await run(task("events:putEvents", {"Entries": [entry]}))
    assert set(result) == {"Entries", "FailedEntryCount"}
    del entry["Source"]
    error, cause = await failure(task("events:putEvents", {"Entries": [entry]}))
    assert error == "EventBridge.FailedEntry"
    assert json.loads(cause)["FailedEntryCount"] == 1


@needs_moto
async def test_any_service_by_its_sdk(at_moto):
    s3 = at_moto("s3")
    s3.create_bucket(Bucket="bucket")
    await run(task("aws-sdk:s3:putObject", {"Bucket": "bucket", "Key": "k", "Body": {"n": 1}}))
    assert (await run(task("aws-sdk:s3:getObject", {"Bucket": "bucket", "Key": "k"})))["Body"] == '{"n":1}'
    error, cause = await failure(task("aws-sdk:s3:getObject", {"Bucket": "bucket", "Key": "gone"}))
    assert error == "S3.NoSuchKeyException"
    assert "(Service: S3, Status Code: 404, Request ID: " in cause
    await run(task("aws-sdk:secretsmanager:createSecret", {"Name": "n", "SecretString": "s"}))
    error, _ = await failure(task("aws-sdk:secretsmanager:getSecretValue", {"SecretId": "gone"}))
    assert error == "SecretsManager.ResourceNotFoundException"


@needs_moto
async def test_a_function_that_is_not_here_is_lambdas(at_moto):
    error, cause = await failure(task("lambda:invoke", {"FunctionName": "gone", "Payload": {}}))
    assert error == "Lambda.ResourceNotFoundException"
    assert "Service: AWSLambda; Status Code: 404" in cause


# --- what a service can do wrong --------------------------------------------------------------------------------------


def at(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)


SEND = {"QueueUrl": "http://q", "MessageBody": "m"}
THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


async def test_throttling_is_the_states_to_retry(monkeypatch):
    taken = (200, {"MessageId": "1", "MD5OfMessageBody": "6f8f57715090da2632453988d9a1501b"})
    with Told(THROTTLED, THROTTLED, taken) as server:
        at(server, monkeypatch)
        retry = [{"ErrorEquals": ["SQS.AmazonSQSException"], "MaxAttempts": 2}]
        assert (await run(task("sqs:sendMessage", SEND, Retry=retry)))["MessageId"] == "1"
        assert len(server.asked) == 3


async def test_what_a_model_does_not_know_has_the_services_own_name(monkeypatch):
    with Told(THROTTLED) as server:
        at(server, monkeypatch)
        error, cause = await failure(task("aws-sdk:sqs:sendMessage", SEND))
        told = "Rate exceeded (Service: Sqs, Status Code: 400, Request ID: r-1) (SDK Attempt Count: 1)"
        assert (error, cause) == ("Sqs.SqsException", told)
        assert len(server.asked) == 1


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "broken"])
async def test_an_answer_that_does_not_come(monkeypatch, silent):
    monkeypatch.setattr(clients, "ANSWER_SECONDS", 0.2)
    with Told(None) as server:
        if not silent:
            server.hold.set()
        at(server, monkeypatch)
        error, cause = await failure(task("sqs:sendMessage", SEND))
        assert error == "SQS.SdkClientException"
        assert cause.startswith("Unable to execute HTTP request: ")


async def test_nobody_there(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    error, cause = await failure(task("aws-sdk:sqs:sendMessage", SEND))
    assert error == "Sqs.SdkClientException"
    assert cause.startswith("Unable to execute HTTP request: ")


async def test_the_tasks_own_time_cuts_the_call_off(monkeypatch):
    with Told(None) as server:
        at(server, monkeypatch)
        engine = Engine()
        reach_services(engine)
        async with engine:
            machine = await engine.create("m", task("sqs:sendMessage", SEND, TimeoutSeconds=1))
            handle = await engine.start(machine)
            with pytest.raises(ExecutionFailed, match=r"States\.Timeout"):
                await handle.result()


async def test_credentials_are_never_made_up(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    error, cause = await failure(task("sqs:sendMessage", SEND))
    assert error == "SQS.SdkClientException"
    assert "AWS_ACCESS_KEY_ID" in cause


async def test_what_the_operation_does_not_take_fails_without_a_call(monkeypatch):
    with Told((200, {})) as server:
        at(server, monkeypatch)
        error, cause = await failure(task("sqs:sendMessage", {**SEND, "Nonsense": 1}))
        assert error == "States.Runtime"
        assert "[The field 'Nonsense' is not supported by Step Functions]" in cause
        assert not server.asked


FLEET = {"ClusterId": "j-1", "InstanceFleetName": "core", "InstanceFleet": {"TargetSpotCapacity": 0}}
GROUP = {"ClusterId": "j-1", "InstanceGroupName": "core", "InstanceGroup": {"InstanceCount": 8}}
LISTED = [{"Name": "core", "Id": "i-2"}, {"Name": "core", "Id": "i-3"}]


@pytest.mark.parametrize(("kind", "arguments", "sent"), [
    ("Fleet", FLEET, {"ClusterId": "j-1", "InstanceFleet": {"TargetSpotCapacity": 0, "InstanceFleetId": "i-2"}}),
    ("Group", GROUP, {"ClusterId": "j-1", "InstanceGroups": [{"InstanceCount": 8, "InstanceGroupId": "i-2"}]}),
])
async def test_parts_of_an_emr_cluster_are_changed_by_their_names(monkeypatch, kind, arguments, sent):
    first = {f"Instance{kind}s": [{"Name": "master", "Id": "i-1"}, {"Id": "i-0"}], "Marker": "more"}
    with Told((200, first), (200, {f"Instance{kind}s": LISTED}), (200, {})) as server:
        at(server, monkeypatch)
        result = await run(task(f"elasticmapreduce:modifyInstance{kind}ByName", arguments))
        assert result["SdkHttpMetadata"]["HttpStatusCode"] == 200
        asked = [(one["headers"]["X-Amz-Target"].rpartition(".")[2], json.loads(one["body"])) for one in server.asked]
        listing = f"ListInstance{kind}s"
        assert asked[:2] == [(listing, {"ClusterId": "j-1"}), (listing, {"ClusterId": "j-1", "Marker": "more"})]
        assert asked[2][0].startswith(f"ModifyInstance{kind}")
        assert asked[2:] == [(asked[2][0], sent)]


async def test_parts_of_an_emr_cluster_that_are_not_there(monkeypatch):
    with Told((200, {"InstanceFleets": [{"Name": "master", "Id": "i-1"}]})) as server:
        at(server, monkeypatch)
        error, cause = await failure(task("elasticmapreduce:modifyInstanceFleetByName", FLEET))
        assert (error, cause) == (
            "ElasticMapReduce.InvalidRequestException", "The cluster has no InstanceFleetName 'core'.")
        asked = len(server.asked)
        wrong = {**FLEET, "InstanceFleet": "all"}
        error, cause = await failure(task("elasticmapreduce:modifyInstanceFleetByName", wrong))
        assert error == "States.Runtime"
        assert len(server.asked) == asked


async def test_an_address_that_is_not_whole(monkeypatch):
    with Told((200, {})) as server:
        at(server, monkeypatch)
        error, cause = await failure(task("aws-sdk:s3:getObject", {"Bucket": "bucket"}))
        assert (error, cause) == ("S3.SdkClientException", "Parameter 'Key' must not be null")
        assert not server.asked


async def test_what_a_model_of_bedrock_says_is_told_as_json(monkeypatch):
    with Told((200, {"text": "yes"}, {"Content-Type": "application/json"})) as server:
        at(server, monkeypatch)
        result = await run(task("bedrock:invokeModel", {"ModelId": "m", "Body": {"prompt": "?"}}))
        assert (result["Body"], "SdkHttpMetadata" in result) == ({"text": "yes"}, False)
        assert server.asked[0]["body"] == '{"prompt":"?"}'


async def test_what_a_model_is_told_and_says_may_lie_in_s3(monkeypatch):
    prompt, said = b'{"prompt": "a long one"}', b'{"text": "' + b"x" * 300_000 + b'"}'
    with Told((200, prompt), (200, said, {"Content-Type": "application/json"}), (200, b"")) as server:
        at(server, monkeypatch)
        result = await run(task("bedrock:invokeModel", {
            "ModelId": "m", "Input": {"S3Uri": "s3://there/a/prompt 1.json"}, "Output": {"S3Uri": "s3://here/said"}}))
        assert result == {"Body": "s3://here/said", "ContentType": "application/json"}
        read, asked, written = server.asked
        assert (read["method"], read["path"]) == ("GET", "/there/a/prompt%201.json")
        assert (asked["path"], asked["body"]) == ("/model/m/invoke", prompt.decode())
        assert (written["method"], written["path"].partition("?")[0]) == ("PUT", "/here/said")
        assert said.decode() in written["body"]
        assert written["headers"]["Content-Type"] == "application/json"


async def test_only_the_input_of_a_model_in_s3(monkeypatch):
    with Told((200, {"prompt": "?"}), (200, {"text": "yes"}, {"Content-Type": "application/json"})) as server:
        at(server, monkeypatch)
        result = await run(task("bedrock:invokeModel", {"ModelId": "m", "Input": {"S3Uri": "s3://there/p"}}))
        assert result["Body"] == {"text": "yes"}
        assert json.loads(server.asked[1]["body"]) == {"prompt": "?"}


async def test_an_input_of_a_model_that_is_not_there(monkeypatch):
    gone = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
    with Told((404, gone, {"Content-Type": "application/xml"})) as server:
        at(server, monkeypatch)
        arguments = {"ModelId": "m", "Input": {"S3Uri": "s3://there/p"}}
        error, cause = await failure(task("bedrock:invokeModel", arguments))
        assert error == "S3.NoSuchKeyException"
        assert cause.startswith("The specified key does not exist. ")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"Input": {"S3Uri": "https://there/p"}}, "The value of the field 'S3Uri' has an invalid format"),
        ({"Input": {"S3Uri": "s3://there"}}, "The value of the field 'S3Uri' has an invalid format"),
        ({"Body": {}, "Output": {"Bucket": "here"}}, "The value of the field 'S3Uri' has an invalid format"),
        ({"Body": {}, "Input": {"S3Uri": "s3://there/p"}}, "The fields 'Body' and 'Input' cannot both be present"),
    ],
)
async def test_what_is_no_place_of_a_model_s_input_or_output(monkeypatch, arguments, why):
    with Told((200, {})) as server:
        at(server, monkeypatch)
        error, cause = await failure(task("bedrock:invokeModel", {"ModelId": "m", **arguments}))
        assert error == "States.Runtime"
        assert cause.endswith(f"could not be used to start the Task: [{why}]")
        assert not server.asked


async def test_a_repeated_call_has_the_same_client_token(monkeypatch, call):
    with Told((200, {"tasks": [], "failures": []})) as server:
        at(server, monkeypatch)
        services = Services(Clients("us-east-1"))
        resource = parse_resource("arn:aws:states:::ecs:runTask")
        for token in ("a", "a", "b"):
            made = call(resource.arn, {"TaskDefinition": "t"}, token=token)
            await services.ask(made, resource, models.operation(resource), {"TaskDefinition": "t"})
        services.clients.close()
        sent = [json.loads(one["body"])["clientToken"] for one in server.asked]
        assert sent[0] == sent[1] != sent[2]


async def test_functions_called_over_the_wire(monkeypatch):
    ok = (200, {"n": 2}, {"X-Amz-Executed-Version": "$LATEST"})
    failed = (200, {"errorType": "Boom", "errorMessage": "why"}, {"X-Amz-Function-Error": "Unhandled"})
    with Told(ok, ok, failed) as server:
        at(server, monkeypatch)
        result = await run(task("lambda:invoke", {"FunctionName": "f", "Payload": {"n": 1}}))
        assert (result["Payload"], result["StatusCode"], result["ExecutedVersion"]) == ({"n": 2}, 200, "$LATEST")
        assert json.loads(server.asked[0]["body"]) == {"n": 1}
        by_arn = {"StartAt": "T", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": True}}}
        assert await run(by_arn, "text") == {"n": 2}
        assert server.asked[1]["body"] == '"text"'
        error, cause = await failure(task("lambda:invoke", {"FunctionName": "f"}))
        assert (error, json.loads(cause)["errorMessage"]) == ("Boom", "why")


# --- whether services may be called at all ----------------------------------------------------------------------------


async def test_work_of_ones_own_comes_before_the_service(monkeypatch):
    with Told((200, {})) as server:
        at(server, monkeypatch)
        engine = Engine()
        reach_services(engine)
        engine.work("arn:aws:states:::sqs:*")(lambda event: {"here": event["MessageBody"]})
        async with engine:
            handle = await engine.start(await engine.create("m", task("sqs:sendMessage", SEND)))
            assert await handle.result() == {"here": "m"}
        assert not server.asked


def test_services_are_off_where_the_environment_names_none(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    assert reach_services(Engine()) is None
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    assert reach_services(Engine()) is not None
    assert reach_services(Engine(), wanted=False) is None


def test_without_boto3_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert reach_services(Engine()) is None
    with pytest.raises(clients.NoClients, match=r"stepfold\[aws\]"):
        reach_services(Engine(), wanted=True)
