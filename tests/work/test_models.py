"""From a Resource to an operation of a service: every action that a Task may name, and the spelling of members."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import botocore
import pytest
from botocore.loaders import Loader

from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.resources import parse_resource
from stepfold.work.services import models

NO_OPERATION = {"apigateway:invoke", "eks:call", "eks:runJob", "http:invoke"}
"""Actions that are Step Functions' own."""


def resource(name):
    return parse_resource(f"arn:aws:states:::{name}")


@pytest.mark.parametrize(
    ("name", "service", "operation"),
    [
        ("aws-sdk:sfn:describeExecution", "stepfunctions", "DescribeExecution"),
        ("aws-sdk:cloudwatchlogs:putLogEvents", "logs", "PutLogEvents"),
        ("aws-sdk:s3:listObjectsV2", "s3", "ListObjectsV2"),
        ("aws-sdk:s3:listobjectsv2", "s3", "ListObjectsV2"),
        ("aws-sdk:config:putConfigRule", "config", "PutConfigRule"),
        ("aws-sdk:databasemigration:startReplicationTask", "dms", "StartReplicationTask"),
        ("aws-sdk:elasticloadbalancingv2:describeTargetHealth", "elbv2", "DescribeTargetHealth"),
        ("aws-sdk:eventbridge:putEvents", "events", "PutEvents"),
        ("aws-sdk:sqs:sendMessage.waitForTaskToken", "sqs", "SendMessage"),
        ("events:putEvents", "events", "PutEvents"),
        ("states:startExecution.sync:2", "stepfunctions", "StartExecution"),
        ("lambda:invoke", "lambda", "Invoke"),
        ("elasticmapreduce:createCluster.sync", "emr", "RunJobFlow"),
        ("bedrock:invokeModel", "bedrock-runtime", "InvokeModel"),
    ],
)
def test_what_a_resource_calls(name, service, operation):
    found = models.operation(resource(name))
    assert (found.service, found.name) == (service, operation)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:states:::aws-sdk:nobody:doThings",
        "arn:aws:states:::aws-sdk:s3:getObjct",
        "arn:aws:states:::aws-sdk:stepfunctions:startExecution",  # boto3's name is not Step Functions'
        "arn:aws:states:::http:invoke",
        "arn:aws:states:::eks:call",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:states:us-east-1:123456789012:activity:a",
    ],
)
def test_what_calls_no_operation(arn):
    assert models.operation(parse_resource(arn)) is None


def test_every_action_of_the_optimised_integrations_is_an_operation():
    named = {f"{kind}:{action}" for kind, actions in INTEGRATIONS.items() for action in actions}
    assert {name for name in named if models.operation(resource(name)) is None} == NO_OPERATION


def test_every_job_is_asked_after():
    jobs = {
        f"{kind}:{action}.sync"
        for kind, actions in INTEGRATIONS.items() for action, suffixes in actions.items() if "sync" in suffixes
    }
    unasked = {name for name in jobs if models.polled(resource(name)) is None}
    assert unasked == {"eks:runJob.sync"}  # Kubernetes' own
    assert models.polled(resource("states:startExecution.sync:2")).name == "DescribeExecution"
    assert models.polled(resource("sqs:sendMessage")) is None


def _service_ids():
    """Every service's id by its folder; the files are read from the front, for whole they are a gigabyte of objects."""
    loader, data = Loader(), Path(botocore.__file__).parent / "data"
    for name in loader.list_available_services("service-2"):
        (path,) = (data / name / loader.determine_latest_version(name, "service-2")).glob("service-2.json*")
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            yield name, re.search(r'"serviceId": ?"([^"]+)"', file.read(8192))[1]


def test_every_service_of_botocore_has_its_name_behind_aws_sdk():
    known = models._sdk_services()
    wanted = {re.sub(r"service$", "", found.lower().replace(" ", "")): name for name, found in _service_ids()}
    assert len(wanted) > 400
    assert {kind: known.get(kind) for kind in wanted} == wanted


def test_members_are_spelled_as_step_functions_spells_them():
    answer = models.members(models.operation(resource("states:startExecution")).output)
    assert {name: member.name for name, member in answer.items()} == {
        "ExecutionArn": "executionArn", "StartDate": "startDate",
    }
    assert answer["StartDate"].shape.type_name == "timestamp"
    assert "MD5OfMessageBody" in models.members(models.operation(resource("sqs:sendMessage")).output)
    assert [models.spelled(name) for name in ("equals", "Equals", "equalsIgnoreCase", "eTag")] == [
        "EqualsValue", "EqualsValue", "EqualsIgnoreCase", "ETag",
    ]


def test_an_operation_that_answers_nothing_has_no_output():
    assert models.operation(resource("aws-sdk:sqs:deleteQueue")).output is None


def test_without_botocore_it_is_said_what_to_install(monkeypatch):
    for cached in (models._available, models._model, models._sdk_services):
        cached.cache_clear()
    for part in ("botocore.loaders", "botocore.utils"):
        monkeypatch.setitem(sys.modules, part, None)
    for name in ("lambda:invoke", "aws-sdk:s3:getObject"):
        with pytest.raises(models.NoModels, match=r"pip install 'stepfold\[aws\]'"):
            models.operation(resource(name))
    monkeypatch.undo()
    assert models.operation(resource("lambda:invoke")).name == "Invoke"
