"""Mocks of TestState held against the models of what they stand for: what is asked of them, and in which words."""

import json
import sys

import pytest

from stepfold.errors import CallerError
from stepfold.language.single import single
from stepfold.query.values import tree
from stepfold.service.operations.mocks import mocked
from stepfold.service.wire import shapes
from stepfold.work.services import models

pytestmark = pytest.mark.anyio

BAD = "Mock result schema validation error: "
OBJECT = "Mocked result must be a JSON object."
ECHO = {"ExecutionArn": "arn", "StartDate": "today"}
DONE = {**ECHO, "StateMachineArn": "arn", "Status": "SUCCEEDED"}


async def said(resource, mock):
    """What the mock of a Task that calls the resource comes to."""
    arn = resource if resource.startswith("arn:") else f"arn:aws:states:::{resource}"
    found = single(json.dumps({"Type": "Task", "Resource": arn, "Parameters": {}, "End": True}))
    return await mocked(found.machine.steps[found.name], shapes.TestStateInput(definition="", mock=mock))


async def answer(resource, result, mode=None):
    return tree(await said(resource, shapes.MockInput(result=json.dumps(result), fieldValidationMode=mode)))


async def refusal(resource, result, mode=None):
    with pytest.raises(CallerError) as raised:
        await answer(resource, result, mode)
    assert raised.value.code == "ValidationException"
    return raised.value.message


@pytest.mark.parametrize(
    ("resource", "result", "says"),
    [
        # types
        ("events:putEvents", {"Entries": {}}, "Field 'Entries' must be an array"),
        ("events:putEvents", {"Entries": ["x"]}, "Field 'Entries' must be an object"),
        ("events:putEvents", {"Entries": [{}, {"EventId": 1}]}, "Field 'EventId' must be a string"),
        ("lambda:invoke", {"StatusCode": "200"}, "Field 'StatusCode' must be a number"),
        ("lambda:invoke", {"StatusCode": True}, "Field 'StatusCode' must be a number"),
        ("lambda:invoke", {"Payload": {"a": 1}}, "Field 'Payload' must be a string"),
        ("aws-sdk:lambda:getFunction", {"Configuration": []}, "Field 'Configuration' must be an object"),
        ("aws-sdk:s3:getObject", {"LastModified": 1764103483}, "Field 'LastModified' must be a string"),
        ("aws-sdk:s3:getObject", {"DeleteMarker": "true"}, "Field 'DeleteMarker' must be a boolean"),
        ("aws-sdk:s3:getObject", {"Metadata": ["a"]}, "Field 'Metadata' must be an object"),
        ("aws-sdk:s3:getObject", {"Metadata": {"k": 1}}, "Field 'Metadata' must be a string"),
        ("dynamodb:getItem", {"Item": {"id": {"S": 1}}}, "Field 'S' must be a string"),
        ("dynamodb:getItem", {"Item": {"l": {"L": [{"M": {"a": {"BOOL": 1}}}]}}}, "Field 'BOOL' must be a boolean"),
        # bounds and enums
        ("aws-sdk:kms:encrypt", {"CiphertextBlob": ""}, "Field 'CiphertextBlob' is smaller than the minimum length"),
        ("aws-sdk:kms:encrypt", {"CiphertextBlob": "x" * 6145}, "Field 'CiphertextBlob' exceeds the maximum length"),
        ("aws-sdk:kms:encrypt", {"KeyId": ""}, "Field 'KeyId' is smaller than the minimum length"),
        (
            "aws-sdk:lambda:getFunction", {"Configuration": {"MemorySize": 127}},
            "Field 'MemorySize' is less than the minimum value",
        ),
        (
            "aws-sdk:lambda:getFunction", {"Configuration": {"MemorySize": 10**6}},
            "Field 'MemorySize' exceeds the maximum value",
        ),
        ("aws-sdk:s3:getObject", {"StorageClass": "Papyrus"}, "Field 'StorageClass' is not an expected value"),
        # a job's mock is what is told of the job
        ("states:startExecution.sync:2", {**DONE, "Status": "DONE"}, "Field 'Status' is not an expected value"),
        ("batch:submitJob.sync", {"Jobs": "none"}, "Field 'Jobs' must be an array"),
    ],
)
async def test_what_is_there_must_be_as_the_api_has_it(resource, result, says):
    assert await refusal(resource, result) == BAD + says
    assert await refusal(resource, result, "PRESENT") == BAD + says
    assert await answer(resource, result, "NONE") == result


@pytest.mark.parametrize(
    ("resource", "result", "missing"),
    [
        ("states:startExecution", {}, "ExecutionArn"),
        ("states:startExecution", {"executionArn": "arn", "startDate": "today"}, "ExecutionArn"),
        ("states:startExecution", {"ExecutionArn": "arn"}, "StartDate"),
        ("states:startExecution", {**ECHO, "StartDate": None}, "StartDate"),
        ("states:startExecution.sync", ECHO, "StateMachineArn"),
        ("aws-sdk:sfn:listActivities", {"Activities": [{"Name": "a"}]}, "ActivityArn"),
    ],
)
async def test_what_the_api_requires_may_be_missing_where_only_what_is_present_counts(resource, result, missing):
    wanted = f"{BAD}Required field '{missing}' is missing"
    assert await refusal(resource, result) == wanted
    assert await refusal(resource, result, "STRICT") == wanted
    for mode in ("PRESENT", "NONE"):
        assert await answer(resource, result, mode) == result


@pytest.mark.parametrize(
    ("resource", "result"),
    [
        ("states:startExecution", ECHO),
        ("states:startExecution.sync", DONE),
        ("events:putEvents", {}),
        ("lambda:invoke", {"anything": ["else"], "SdkHttpMetadata": {"HttpStatusCode": 200}}),
        ("lambda:invoke", {"StatusCode": None}),
        ("lambda:invoke", {"StatusCode": 200, "Payload": "{}"}),
        ("dynamodb:putItem", {"ConsumedCapacity": {"CapacityUnits": 1.5}}),
        ("dynamodb:putItem", {"ConsumedCapacity": {"CapacityUnits": 1}}),
        ("aws-sdk:s3:getObject", {"StorageClass": "GLACIER", "Metadata": {"k": "v"}}),
        ("aws-sdk:kms:encrypt", {"CiphertextBlob": "x"}),
        ("aws-sdk:kms:encrypt", {"CiphertextBlob": "x" * 6144}),
        ("aws-sdk:lambda:getFunction", {"Configuration": {"MemorySize": 128}}),
        ("aws-sdk:sqs:deleteQueue", {"nothing": "is told"}),
        # no API answers these
        ("http:invoke", {"StatusCode": "200"}),
        ("apigateway:invoke", [1]),
        ("eks:createCluster", {"Cluster": 1}),
        ("sqs:sendMessage.waitForTaskToken", {"MessageId": 1}),
        ("states:startExecution.waitForTaskToken", 5),
        ("arn:aws:lambda:us-east-1:123456789012:function:f", [1]),
        ("arn:aws:states:us-east-1:123456789012:activity:a", "text"),
    ],
)
async def test_what_fits(resource, result):
    assert await answer(resource, result) == result


@pytest.mark.parametrize("result", [[], "text", 5, None])
async def test_an_api_answers_an_object(result):
    assert await refusal("lambda:invoke", result) == OBJECT
    assert await answer("lambda:invoke", result, "NONE") == result


async def test_an_action_that_no_model_knows_is_not_passed_over():
    says = await refusal("aws-sdk:s3:getObjct", {})
    assert "arn:aws:states:::aws-sdk:s3:getObjct" in says
    assert await answer("aws-sdk:s3:getObjct", {}, "NONE") == {}


async def test_without_the_models_it_is_said_what_to_install(monkeypatch):
    models._available.cache_clear()
    models._model.cache_clear()
    monkeypatch.setitem(sys.modules, "botocore.loaders", None)
    says = await refusal("lambda:invoke", {})
    assert "pip install 'stepfold[aws]'" in says
    assert "NONE" in says
    assert await answer("lambda:invoke", {}, "NONE") == {}
    assert await answer("sqs:sendMessage.waitForTaskToken", {}) == {}


async def test_a_document_may_be_anything():
    for anything in (5, "text", [{}], {"Usage": 5}):
        result = {"AdditionalModelResponseFields": anything}
        assert await answer("aws-sdk:bedrockruntime:converse", result, "PRESENT") == result


async def test_an_error_is_held_against_nothing():
    mock = shapes.MockInput(errorOutput=shapes.MockErrorOutput(error="E", cause="C"))
    failure = await said("states:startExecution", mock)
    assert (failure.error, failure.cause) == ("E", "C")
