"""The service integrations that a Task may name, how each of their actions may be waited for, and forbidden headers.

Of `aws-sdk:` only the form is judged: its services and actions are those of AWS's SDK, and there are thousands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .resources import Resource

ANSWER = ""
_JOB = frozenset({ANSWER, "sync"})
_TOKEN = frozenset({ANSWER, "waitForTaskToken"})
_ONLY_ANSWER = frozenset({ANSWER})


def _service(**actions: str) -> Mapping[str, frozenset[str]]:
    """Actions by what they know besides an answer: `answer=` nothing, `job=` .sync, `token=` .waitForTaskToken."""
    kinds = {"answer": _ONLY_ANSWER, "job": _JOB, "token": _TOKEN}
    return {action: kinds[kind] for kind, names in actions.items() for action in names.split()}


INTEGRATIONS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "apigateway": _service(token="invoke"),  # noqa: S106 -- the names of actions, here and below
    "athena": _service(answer="stopQueryExecution getQueryExecution getQueryResults", job="startQueryExecution"),
    "batch": _service(job="submitJob"),
    "bedrock": _service(answer="invokeModel", job="createModelCustomizationJob"),
    "bedrockagentcore": _service(answer="invokeHarness"),
    "codebuild": _service(
        answer="stopBuild batchDeleteBuilds batchGetReports stopBuildBatch deleteBuildBatch",
        job="startBuild startBuildBatch retryBuildBatch",
    ),
    "databrew": _service(job="startJobRun"),
    "dynamodb": _service(answer="getItem putItem updateItem deleteItem"),
    "ecs": {"runTask": _JOB | _TOKEN},
    "eks": _service(
        answer="call",
        job="createCluster deleteCluster createFargateProfile deleteFargateProfile createNodegroup deleteNodegroup "
        "runJob",
    ),
    "elasticmapreduce": _service(
        answer="setClusterTerminationProtection cancelStep modifyInstanceFleetByName modifyInstanceGroupByName",
        job="createCluster terminateCluster addStep",
    ),
    "emr-containers": _service(job="createVirtualCluster deleteVirtualCluster startJobRun"),
    "emr-serverless": _service(
        job="createApplication startApplication stopApplication deleteApplication startJobRun cancelJobRun",
    ),
    "events": _service(token="putEvents"),  # noqa: S106
    "glue": _service(job="startJobRun"),
    "http": _service(answer="invoke"),
    "lambda": _service(token="invoke"),  # noqa: S106
    "mediaconvert": _service(job="createJob"),
    "sagemaker": _service(
        answer="createEndpoint createEndpointConfig createModel updateEndpoint",
        job="createHyperParameterTuningJob createLabelingJob createProcessingJob createTrainingJob createTransformJob",
    ),
    "sns": _service(token="publish"),  # noqa: S106
    "sqs": _service(token="sendMessage"),  # noqa: S106
    "states": {"startExecution": _JOB | _TOKEN | {"sync:2"}},
}

_SDK_SERVICE = re.compile(r"aws-sdk:[a-z][a-z0-9]*")
_SDK_ACTION = re.compile(r"[a-z][A-Za-z0-9]*")


def known(resource: Resource) -> bool:
    """Whether the service has such an action, and the action such a pattern (a function or an activity has)."""
    if resource.family != "Task":
        return True
    if resource.kind.startswith("aws-sdk:"):
        formed = _SDK_SERVICE.fullmatch(resource.kind) and _SDK_ACTION.fullmatch(resource.action)
        return bool(formed) and resource.suffix in _TOKEN
    return resource.suffix in INTEGRATIONS.get(resource.kind, {}).get(resource.action, ())


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FORBIDDEN_HEADERS: Mapping[str, frozenset[str]] = {
    "apigateway": _names(
        "authorization connection content-md5 expect host max-forwards proxy-authenticate server te trailer "
        "transfer-encoding upgrade via www-authenticate"
    ),
    "http": _names(
        "a-im accept-charset accept-datetime accept-encoding authorization cache-control connection content-encoding "
        "content-md5 date expect forwarded from host http2-settings if-match if-modified-since if-none-match if-range "
        "if-unmodified-since max-forwards origin pragma proxy-authorization referer server te trailer "
        "transfer-encoding upgrade via warning"
    ),
}
"""What AWS's guide lists; `authorization` of `http`, which it leaves out, was seen refused in 2025."""
_FORBIDDEN_PREFIXES = {"apigateway": ("x-forwarded", "x-amz"), "http": ("x-forwarded-", "x-amz-", "x-amzn-")}


def forbidden_headers(service: str, names: Iterable[str]) -> str | None:
    """What AWS says of the headers that a Task of this integration sets, where some of them are forbidden.

    The words were seen at the creation of a machine, with one header; how several are told is unverified.
    """
    forbidden, prefixes = FORBIDDEN_HEADERS.get(service, frozenset()), _FORBIDDEN_PREFIXES.get(service, ())
    found = [name for name in map(str.lower, names) if name in forbidden or name.startswith(prefixes)]
    return f"The 'Headers' field contains unsupported values: [{', '.join(found)}]" if found else None
