"""How AWS names and words what went wrong with a call to a service.

Step Functions shows the SDK that it calls services with: the second generation of AWS's SDK for Java behind `aws-sdk:`,
the first behind the optimised integrations. An error that the service's model knows has its own name, any other the one
that all errors of the service share:

    aws-sdk:dynamodb  DynamoDb.ResourceNotFoundException   DynamoDb.DynamoDbException
    dynamodb          DynamoDB.ResourceNotFoundException   DynamoDB.AmazonDynamoDBException

Recorded for DynamoDB, SQS, SNS, Lambda, Step Functions, S3, Secrets Manager; for the others it is what the same rules
give, with the names of the SDK's own classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stepfold.language.resources import Resource
from stepfold.work.call import TaskError

SDK: Final = "aws-sdk:"
TRIED: Final = " (SDK Attempt Count: 1)"
"""How the second generation tells, since February 2025, how often it sent a request: it is the last thing it says.

Recorded in November 2025 (Sfn), absent from all that was recorded in 2023; the first generation says nothing of the
kind in either year. Always once here: whether a call is made again is the state's Retry to say.
"""

_FIRST: Final[Mapping[str, tuple[str, str]]] = {
    "athena": ("Athena", "AmazonAthena"),
    "batch": ("Batch", "AWSBatch"),
    "bedrock": ("Bedrock", "AmazonBedrock"),
    "bedrock-agentcore": ("BedrockAgentCore", "AmazonBedrockAgentCore"),
    "bedrockagentcore": ("BedrockAgentCore", "AmazonBedrockAgentCore"),
    "codebuild": ("CodeBuild", "AWSCodeBuild"),
    "databrew": ("DataBrew", "AWSGlueDataBrew"),
    "dynamodb": ("DynamoDB", "AmazonDynamoDBv2"),
    "ecs": ("ECS", "AmazonECS"),
    "eks": ("EKS", "AmazonEKS"),
    "elasticmapreduce": ("ElasticMapReduce", "AmazonElasticMapReduce"),
    "emr-containers": ("EMRContainers", "AmazonEMRContainers"),
    "emr-serverless": ("EMRServerless", "AWSEMRServerless"),
    "events": ("EventBridge", "AmazonEventBridge"),
    "glue": ("Glue", "AWSGlue"),
    "lambda": ("Lambda", "AWSLambda"),
    "mediaconvert": ("MediaConvert", "AWSMediaConvert"),
    "sagemaker": ("SageMaker", "AmazonSageMaker"),
    "sns": ("SNS", "AmazonSNS"),
    "sqs": ("SQS", "AmazonSQS"),
    "states": ("StepFunctions", "AWSStepFunctions"),
}
"""Optimised integrations: what stands before their errors, and what their client is called in the SDK."""


class Told(NamedTuple):
    """An error as a service answered it."""

    code: str
    message: str
    status: int
    request: str
    extended: str = ""


class Refused(TaskError):
    """The service answered with an error."""

    def __init__(self, error: str, cause: str, told: Told) -> None:
        super().__init__(error, cause)
        self.told = told


class Unanswered(TaskError):
    """No answer came."""


def refused(resource: Resource, model: Any, told: Told) -> Refused:
    """The service answered with an error; `model` is botocore's of the service."""
    known = model.shape_for_error_code(told.code)
    if resource.kind.startswith(SDK):
        service = _spoken(model.service_id)
        name = f"{service}Exception" if known is None else _pascal(_exception(known.name))
        extended = f", Extended Request ID: {told.extended}" if told.extended else ""
        where = f"(Service: {service}, Status Code: {told.status}, Request ID: {told.request}{extended}){TRIED}"
    else:
        service, client = _FIRST[resource.kind]
        name = f"{client.removesuffix('v2')}Exception" if known is None else _exception(known.name)
        where = (
            f"(Service: {client}; Status Code: {told.status}; Error Code: {told.code}; "
            f"Request ID: {told.request}; Proxy: null)"
        )
    return Refused(f"{service}.{name}", f"{told.message} {where}", told)


def unanswered(resource: Resource, model: Any, why: str, *, sent: bool = False) -> Unanswered:
    """No answer came to what was `sent`, or no request could be made: the SDK's own failure. `why` is the cause."""
    if not resource.kind.startswith(SDK):
        return Unanswered(f"{_FIRST[resource.kind][0]}.SdkClientException", why)
    return Unanswered(f"{_spoken(model.service_id)}.SdkClientException", why + (TRIED if sent else ""))


def _exception(shape: str) -> str:
    """The name of the SDK's class for an error of the model."""
    return f"{shape.removesuffix('Fault').removesuffix('Exception')}Exception"


def _spoken(service_id: str) -> str:
    """The SDK's name of a service: `DynamoDB` is `DynamoDb`, `CloudWatch Logs` is `CloudWatchLogs`."""
    return _pascal(service_id).removeprefix("Amazon").removeprefix("Aws").removesuffix("Service")


_BREAKS: Final = (
    re.compile(r"[^A-Za-z0-9]+"),
    re.compile(r"(?<=[A-Z]{2})(?=v[0-9])|(?<=[a-z]{2})(?=V[0-9])"),  # SES|v2
    re.compile(r"(?<=[a-z])(?=[A-Z][A-Za-z0-9])"),  # Dynamo|DB
    re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])"),  # KMS|Disabled
    re.compile(r"(?<=[0-9])(?=[A-Za-z])"),
)


def _pascal(name: str) -> str:
    """A name with each word capitalised and nothing else: how the SDK's second generation spells."""
    for where in _BREAKS:
        name = where.sub(" ", name)
    return "".join(word[:1].upper() + word[1:].lower() for word in name.split())
