"""The jobs of AWS's services, one table: how each is asked after, which states end it, and how it is called off.

What `.sync` waits for is the same everywhere: an operation is asked about the job until it says that the job is over.
The entries are JMESPath expressions, in the names that Step Functions uses. Those of parameters read `asked`, the
Task's arguments, and `told`, the receipt; those of `state`, `broken` and `result` read what the operation answered.

States and operations are those of each service's API; which of them Step Functions asks is in the permissions that its
guide lists. Where the guide does not show the result of a `.sync`, it is what the operation answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Awaited(NamedTuple):
    """A job: `ask` is the operation that tells its state, `by` its parameters.

    A state in `failed` fails the Task with the result as its cause, and so does one in `done` where `broken` is told.
    `stop` and `stop_by` call it off. `gone` is the error by which the operation says that there is nothing left to ask
    after, `taken` the one by which a second submission learns that the first had come through.
    """

    ask: str
    by: str
    state: str
    done: frozenset[str]
    failed: frozenset[str]
    result: str = "@"
    broken: str = ""
    stop: str = ""
    stop_by: str = ""
    gone: str = ""
    taken: str = ""


def _states(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """`DONE OTHER | FAILED STOPPED`."""
    done, _, failed = text.partition("|")
    return frozenset(done.split()), frozenset(failed.split())


def _job(ask: str, by: str, state: str, states: str, **more: str) -> Awaited:
    done, failed = _states(states)
    return Awaited(ask, by, state, done, failed, **more)


_CLUSTER: Final = "{ClusterId: told.ClusterId || asked.ClusterId}"
_VIRTUAL: Final = "{Id: told.Id}"
_APPLICATION: Final = "{ApplicationId: told.ApplicationId || asked.ApplicationId}"
_RUN: Final = "{ApplicationId: asked.ApplicationId, JobRunId: told.JobRunId || asked.JobRunId}"
_NODES: Final = "{ClusterName: asked.ClusterName, NodegroupName: asked.NodegroupName}"
_FARGATE: Final = "{ClusterName: asked.ClusterName, FargateProfileName: asked.FargateProfileName}"
_GONE: Final = "ResourceNotFoundException"
_BUILT: Final = "SUCCEEDED | FAILED FAULT TIMED_OUT STOPPED"


def _batch_of_builds(**more: str) -> Awaited:
    return _job(
        "BatchGetBuildBatches", "{Ids: [told.BuildBatch.Id]}", "BuildBatches[0].BuildBatchStatus", _BUILT,
        result="{BuildBatch: BuildBatches[0]}", stop="StopBuildBatch", stop_by="{Id: told.BuildBatch.Id}", **more,
    )


def _sagemaker(kind: str) -> Awaited:
    name = f"{{{kind}JobName: asked.{kind}JobName}}"
    return _job(
        f"Describe{kind}Job", name, f"{kind}JobStatus", "Completed | Failed Stopped",
        stop=f"Stop{kind}Job", stop_by=name, taken="ResourceInUse",
    )


AWAITED: Final[Mapping[str, Mapping[str, Awaited]]] = {
    "athena": {"startQueryExecution": _job(
        "GetQueryExecution", "{QueryExecutionId: told.QueryExecutionId}", "QueryExecution.Status.State",
        "SUCCEEDED | FAILED CANCELLED", stop="StopQueryExecution", stop_by="{QueryExecutionId: told.QueryExecutionId}",
    )},
    "batch": {"submitJob": _job(
        "DescribeJobs", "{Jobs: [told.JobId]}", "Jobs[0].Status", "SUCCEEDED | FAILED", result="Jobs[0]",
        stop="TerminateJob", stop_by="{JobId: told.JobId, Reason: 'Stopped by the state machine'}",
    )},
    "bedrock": {"createModelCustomizationJob": _job(
        "GetModelCustomizationJob", "{JobIdentifier: told.JobArn}", "Status", "Completed | Failed Stopped",
        stop="StopModelCustomizationJob", stop_by="{JobIdentifier: told.JobArn}",
    )},
    "codebuild": {
        "startBuild": _job(
            "BatchGetBuilds", "{Ids: [told.Build.Id]}", "Builds[0].BuildStatus", _BUILT,
            result="{Build: Builds[0]}", stop="StopBuild", stop_by="{Id: told.Build.Id}",
        ),
        "startBuildBatch": _batch_of_builds(),
        "retryBuildBatch": _batch_of_builds(),
    },
    "databrew": {"startJobRun": _job(
        "DescribeJobRun", "{Name: asked.Name, RunId: told.RunId}", "State", "SUCCEEDED | FAILED STOPPED TIMEOUT",
        stop="StopJobRun", stop_by="{Name: asked.Name, RunId: told.RunId}",
    )},
    "ecs": {"runTask": _job(
        "DescribeTasks", "{Cluster: asked.Cluster, Tasks: told.Tasks[].TaskArn}", "Tasks[0].LastStatus", "STOPPED |",
        # A container without an exit code was never started.
        broken="Tasks[].Containers[?ExitCode != `0`][] | [0]", result="Tasks[0]",
        stop="StopTask",
        stop_by="{Cluster: asked.Cluster, Task: told.Tasks[0].TaskArn, Reason: 'Stopped by the state machine'}",
    )},
    "eks": {
        "createCluster": _job("DescribeCluster", "{Name: asked.Name}", "Cluster.Status", "ACTIVE | FAILED"),
        "deleteCluster": _job("DescribeCluster", "{Name: asked.Name}", "Cluster.Status", "| FAILED", gone=_GONE),
        "createFargateProfile": _job(
            "DescribeFargateProfile", _FARGATE, "FargateProfile.Status", "ACTIVE | CREATE_FAILED"),
        "deleteFargateProfile": _job(
            "DescribeFargateProfile", _FARGATE, "FargateProfile.Status", "| DELETE_FAILED", gone=_GONE),
        "createNodegroup": _job("DescribeNodegroup", _NODES, "Nodegroup.Status", "ACTIVE | CREATE_FAILED DEGRADED"),
        "deleteNodegroup": _job("DescribeNodegroup", _NODES, "Nodegroup.Status", "| DELETE_FAILED", gone=_GONE),
    },
    "elasticmapreduce": {
        "createCluster": _job(
            "DescribeCluster", _CLUSTER, "Cluster.Status.State", "WAITING | TERMINATED TERMINATED_WITH_ERRORS",
            result="merge(@, {ClusterId: Cluster.Id})", stop="TerminateJobFlows",
            stop_by="{JobFlowIds: [told.ClusterId]}",
        ),
        "terminateCluster": _job(
            "DescribeCluster", _CLUSTER, "Cluster.Status.State", "TERMINATED | TERMINATED_WITH_ERRORS"),
        "addStep": _job(
            "DescribeStep", "{ClusterId: asked.ClusterId, StepId: told.StepId}", "Step.Status.State",
            "COMPLETED | FAILED CANCELLED INTERRUPTED",
            stop="CancelSteps", stop_by="{ClusterId: asked.ClusterId, StepIds: [told.StepId]}",
        ),
    },
    "emr-containers": {
        "createVirtualCluster": _job(
            "DescribeVirtualCluster", _VIRTUAL, "VirtualCluster.State", "RUNNING | TERMINATED ARRESTED",
            stop="DeleteVirtualCluster", stop_by=_VIRTUAL,
        ),
        "deleteVirtualCluster": _job(
            "DescribeVirtualCluster", _VIRTUAL, "VirtualCluster.State", "TERMINATED | ARRESTED"),
        "startJobRun": _job(
            "DescribeJobRun", "{VirtualClusterId: asked.VirtualClusterId, Id: told.Id}", "JobRun.State",
            "COMPLETED | FAILED CANCELLED",
            stop="CancelJobRun", stop_by="{VirtualClusterId: asked.VirtualClusterId, Id: told.Id}",
        ),
    },
    "emr-serverless": {
        "createApplication": _job(
            "GetApplication", _APPLICATION, "Application.State", "CREATED STARTED | TERMINATED"),
        "startApplication": _job("GetApplication", _APPLICATION, "Application.State", "STARTED | TERMINATED"),
        "stopApplication": _job("GetApplication", _APPLICATION, "Application.State", "STOPPED | TERMINATED"),
        "deleteApplication": _job("GetApplication", _APPLICATION, "Application.State", "TERMINATED |", gone=_GONE),
        "startJobRun": _job(
            "GetJobRun", _RUN, "JobRun.State", "SUCCESS | FAILED CANCELLED", stop="CancelJobRun", stop_by=_RUN),
        "cancelJobRun": _job("GetJobRun", _RUN, "JobRun.State", "CANCELLED SUCCESS FAILED |"),
    },
    "glue": {"startJobRun": _job(
        "GetJobRun", "{JobName: asked.JobName, RunId: told.JobRunId}", "JobRun.JobRunState",
        "SUCCEEDED | FAILED STOPPED TIMEOUT ERROR EXPIRED", result="JobRun",
        stop="BatchStopJobRun", stop_by="{JobName: asked.JobName, JobRunIds: [told.JobRunId]}",
    )},
    "mediaconvert": {"createJob": _job(
        "GetJob", "{Id: told.Job.Id}", "Job.Status", "COMPLETE | ERROR CANCELED",
        stop="CancelJob", stop_by="{Id: told.Job.Id}",
    )},
    "sagemaker": {f"create{kind}Job": _sagemaker(kind) for kind in (
        "HyperParameterTuning", "Labeling", "Processing", "Training", "Transform",
    )},
}
"""Jobs by service and action, as `language.integrations.INTEGRATIONS` has them."""
