"""Arguments to requests and answers to results, by botocore's shapes."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from stepfold.language.resources import parse_resource
from stepfold.work.services import models, shaped


def operation(name):
    return models.operation(parse_resource(f"arn:aws:states:::{name}"))


def test_members_are_named_as_the_service_has_them():
    arguments = {"Cluster": "c", "Overrides": {"ContainerOverrides": [{"Name": "n", "Environment": [{"Name": "a"}]}]}}
    assert shaped.request(operation("ecs:runTask").input, arguments) == {
        "cluster": "c", "overrides": {"containerOverrides": [{"name": "n", "environment": [{"name": "a"}]}]},
    }


@pytest.mark.parametrize(("given", "sent"), [({"n": 1.50}, '{"n":1.5}'), ([1], "[1]"), (True, "true"), ("t", "t")])
def test_what_stands_for_a_text_is_sent_as_its_json(given, sent):
    assert shaped.request(operation("sqs:sendMessage").input, {"MessageBody": given}) == {"MessageBody": sent}


def test_bytes_are_given_as_text():
    asked = operation("aws-sdk:s3:putObject").input
    assert shaped.request(asked, {"Body": "t"}) == {"Body": b"t"}
    assert shaped.request(asked, {"Body": {"n": 0}}) == {"Body": b'{"n":0}'}


def test_nulls_are_left_out():
    assert shaped.request(operation("dynamodb:putItem").input, {"TableName": "t", "Item": None}) == {"TableName": "t"}


def test_keys_of_maps_are_the_users():
    item = {"id": {"S": "1"}, "n": {"M": {"lower": {"N": "1"}}}}
    assert shaped.request(operation("dynamodb:putItem").input, {"Item": item}) == {"Item": item}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"Query": 1}, "The field 'Query' is not supported by Step Functions"),
        ({"queueUrl": "u"}, "The field 'queueUrl' is not supported by Step Functions"),
        ({"DelaySeconds": "soon"}, "The value of the field 'DelaySeconds' has an invalid format"),
        ({"MessageAttributes": []}, "The value of the field 'MessageAttributes' has an invalid format"),
        ([], "The value of the field 'Parameters' has an invalid format"),
    ],
)
def test_what_the_operation_does_not_take(arguments, why):
    with pytest.raises(shaped.NotARequest, match=why):
        shaped.request(operation("sqs:sendMessage").input, arguments)


def test_results_have_upper_case_names_and_times_of_their_sdk():
    output = operation("ecs:runTask").output
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    answer = {"tasks": [{"taskArn": "a", "createdAt": moment}], "ResponseMetadata": {}}
    assert shaped.result(output, answer) == {"Tasks": [{"CreatedAt": "2026-01-02T03:04:05Z", "TaskArn": "a"}]}
    assert shaped.result(output, answer, epoch=True)["Tasks"][0]["CreatedAt"] == 1_767_323_045_000


@pytest.mark.parametrize(("data", "told"), [(b"text", "text"), (b"\xff\x00", "/wA="), (io.BytesIO(b"s"), "s")])
def test_bytes_are_told_as_text_or_base64(data, told):
    assert shaped.result(operation("aws-sdk:s3:getObject").output, {"Body": data}) == {"Body": told}
