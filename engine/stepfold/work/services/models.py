"""Which operation of which AWS service a Resource names, as botocore's models describe it.

    asked = operation(parse_resource("arn:aws:states:::aws-sdk:sfn:describeExecution"))
    asked.service, asked.name            # "stepfunctions", "DescribeExecution", as boto3 has them
    members(asked.output)["StartDate"]   # Member(name="startDate", shape=...), by the name that Step Functions uses

botocore comes with boto3 (extra `aws`) and is imported when the first model is asked for: it takes a tenth of a second,
and a model up to that again. Call from a thread where that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from stepfold.language.resources import Resource

from .awaited import AWAITED

MODELS: Final = 16
"""So many models are kept: EC2's takes tens of megabytes, and there are four hundred that a caller could ask for."""

_SDK: Final = "aws-sdk:"
_NAMED_APART: Final = {
    "directoryservicedata": "ds-data",
    "lexmodelsv2": "lexv2-models",
    "lexruntimev2": "lexv2-runtime",
    "pinpointsmsvoice": "sms-voice",
}
"""Services whose folder in botocore tells nothing of their id, and that its own table of such names leaves out."""

_SERVICES: Final = {"bedrockagentcore": "bedrock-agentcore", "elasticmapreduce": "emr", "states": "stepfunctions"}
"""Optimised integrations that botocore calls otherwise."""
_OPERATIONS: Final = {
    ("bedrock", "invokeModel"): ("bedrock-runtime", "InvokeModel"),
    ("elasticmapreduce", "addStep"): ("emr", "AddJobFlowSteps"),
    ("elasticmapreduce", "cancelStep"): ("emr", "CancelSteps"),
    ("elasticmapreduce", "createCluster"): ("emr", "RunJobFlow"),
    ("elasticmapreduce", "modifyInstanceFleetByName"): ("emr", "ModifyInstanceFleet"),
    ("elasticmapreduce", "modifyInstanceGroupByName"): ("emr", "ModifyInstanceGroups"),
    ("elasticmapreduce", "setClusterTerminationProtection"): ("emr", "SetTerminationProtection"),
    ("elasticmapreduce", "terminateCluster"): ("emr", "TerminateJobFlows"),
}
"""Actions of optimised integrations that are not named after what they call."""
_POLLED: Final = {("states", "startExecution"): "DescribeExecution", ("databrew", "startJobRun"): "ListJobRuns"}
"""What tells of a `.sync` by AWS's guide, where the table of jobs does not or asks something better."""
SPOKEN: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("elasticmapreduce", "addStep"): (
        "{JobFlowId: ClusterId, Steps: [Step], ExecutionRoleArn: ExecutionRoleArn}", "{StepId: StepIds[0]}"),
    ("elasticmapreduce", "cancelStep"): (
        "{ClusterId: ClusterId, StepIds: [StepId]}", "{CancelStepsInfo: CancelStepsInfoList[0]}"),
    ("elasticmapreduce", "createCluster"): ("@", "{ClusterArn: ClusterArn, ClusterId: JobFlowId}"),
    ("elasticmapreduce", "modifyInstanceFleetByName"): (
        "{ClusterId: ClusterId, InstanceFleet: merge(InstanceFleet, {InstanceFleetId: Id})}", "@"),
    ("elasticmapreduce", "modifyInstanceGroupByName"): (
        "{ClusterId: ClusterId, InstanceGroups: [merge(InstanceGroup, {InstanceGroupId: Id})]}", "@"),
    ("elasticmapreduce", "setClusterTerminationProtection"): (
        "{JobFlowIds: [ClusterId], TerminationProtected: TerminationProtected}", "@"),
    ("elasticmapreduce", "terminateCluster"): ("{JobFlowIds: [ClusterId]}", "@"),
}
"""Actions whose parameters and results are not the operation's: JMESPath from the one to the other (AWS's guide)."""


class ByName(NamedTuple):
    """What an action is told by its name: `ask` lists all of the cluster, as `listed`; `name` is the argument."""

    ask: str
    listed: str
    name: str


BY_NAME: Final[Mapping[tuple[str, str], ByName]] = {
    ("elasticmapreduce", "modifyInstanceFleetByName"): ByName(
        "ListInstanceFleets", "InstanceFleets", "InstanceFleetName"),
    ("elasticmapreduce", "modifyInstanceGroupByName"): ByName(
        "ListInstanceGroups", "InstanceGroups", "InstanceGroupName"),
}
"""Actions that find an `Id` first, which is then among the arguments that SPOKEN reads."""


class NoModels(Exception):
    """botocore is not installed; the message says what to do."""

    def __init__(self) -> None:
        super().__init__("the models of AWS's services come with boto3: pip install 'stepfold[aws]'")


class Operation(NamedTuple):
    """An operation: service and name as boto3 has them, and botocore's shapes (None where nothing is asked or told)."""

    service: str
    name: str
    input: Any
    output: Any


class Member(NamedTuple):
    """A member of a structure: its name in the service's own API, and botocore's shape of it."""

    name: str
    shape: Any


def operation(resource: Resource) -> Operation | None:
    """The operation that a Task calls, or None where botocore knows none such; raises NoModels."""
    if resource.family != "Task":
        return None
    service, name = _OPERATIONS.get((resource.kind, resource.action)) or (_service(resource.kind), resource.action)
    return _find(service, name)


def polled(resource: Resource) -> Operation | None:
    """The operation that tells a `.sync` Task how its job is, or None where none is known; raises NoModels."""
    job = AWAITED.get(resource.kind, {}).get(resource.action)
    name = _POLLED.get((resource.kind, resource.action)) or (job.ask if job else None)
    return None if name is None else _find(_service(resource.kind), name)


def of_service(resource: Resource, name: str) -> Operation | None:
    """Another operation of the service that a Resource names; raises NoModels."""
    return _find(_service(resource.kind), name)


def members(structure: Any) -> dict[str, Member]:
    """The members of one of botocore's structures, by the names that Step Functions gives them."""
    return {spelled(name): Member(name, shape) for name, shape in structure.members.items()}


def spelled(name: str) -> str:
    """The name of a member as Step Functions spells it.

    Upper case comes first whatever the service does (recorded: `ExecutionArn`, `MD5OfMessageBody`, `ETag`); the guide
    names one exception, `EqualsValue`, for the sake of a language in which every object has an `equals`.
    """
    pascal = name[:1].upper() + name[1:]
    return "EqualsValue" if pascal == "Equals" else pascal


def _service(kind: str) -> str:
    """The name in botocore of an integration's service; one that it does not know comes back as it is."""
    if kind.startswith(_SDK):
        return _sdk_services().get(kind.removeprefix(_SDK), kind)
    return _SERVICES.get(kind, kind)


def _find(service: str, name: str) -> Operation | None:
    model = _model(service)
    if model is None:
        return None
    known: str | None = {one.lower(): one for one in model.operation_names}.get(name.lower())
    if known is None:
        return None
    found = model.operation_model(known)
    return Operation(service, known, found.input_shape, found.output_shape)


@lru_cache(maxsize=1)
def _sdk_services() -> Mapping[str, str]:
    """The names in botocore by what stands behind `aws-sdk:`.

    That is the service's id as AWS's SDK for Java makes a name of it: in lower case, without spaces or a final Service.
    botocore's table has the ids of the services whose folders are called otherwise, with hyphens for the spaces.
    """
    try:
        from botocore.utils import EVENT_ALIASES
    except ImportError:
        raise NoModels from None
    found = {EVENT_ALIASES.get(name, name).replace("-", "").removesuffix("service"): name for name in _available()}
    return found | _NAMED_APART


@lru_cache(maxsize=1)
def _available() -> frozenset[str]:
    return frozenset(_loader().list_available_services("service-2"))


@lru_cache(maxsize=MODELS)
def _model(service: str) -> Any:
    """A service's model, or None where botocore has none."""
    if service not in _available():
        return None
    from botocore.model import ServiceModel

    return ServiceModel(_loader().load_service_model(service, "service-2"), service)


def _loader() -> Any:
    """A new one each time: a loader keeps all that it ever read."""
    try:
        from botocore.loaders import Loader
    except ImportError:
        raise NoModels from None
    return Loader()
