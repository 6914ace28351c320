"""`.sync` of AWS's services: the table holds against botocore's models, and each end of a job is heard."""

from __future__ import annotations

import json

import anyio
import boto3
import jmespath
import pytest

from stepfold import Engine
from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.resources import parse_resource
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold.runtime.outside import reach_services
from stepfold.work.services import models, service_jobs
from stepfold.work.services.awaited import AWAITED

from .far_side import ENVIRONMENT, MOTO, NO_MOTO, Moto, Told

pytestmark = pytest.mark.anyio

JOBS = [(kind, action, job) for kind, actions in AWAITED.items() for action, job in actions.items()]


@pytest.mark.parametrize(("kind", "action", "job"), JOBS, ids=[f"{kind}:{action}" for kind, action, _ in JOBS])
def test_the_table_asks_operations_that_there_are_for_what_they_need(kind, action, job):
    resource = parse_resource(f"arn:aws:states:::{kind}:{action}.sync")
    assert "sync" in INTEGRATIONS[kind][action]
    for name, by in ((job.ask, job.by), (job.stop, job.stop_by)):
        if not name:
            continue
        asked = models.of_service(resource, name)
        given = {pair["value"] for pair in jmespath.compile(by).parsed["children"]}
        assert given <= set(models.members(asked.input))
        assert {models.spelled(one) for one in asked.input.required_members} <= given
    told = models.of_service(resource, job.ask).output
    first = jmespath.compile(job.state).parsed
    while first["children"]:
        first = first["children"][0]
    assert first["value"] in models.members(told)
    assert job.done or job.gone
    assert not job.done & job.failed


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(service_jobs, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(service_jobs, "LONGEST_DELAY", 0.02)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def glue(**fields):
    return {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "Parameters": {"JobName": "j"},
        "End": True, **fields}}}


def run_is(state):
    return (200, {"JobRun": {"Id": "r", "JobRunState": state, "StartedOn": 1_767_323_045}})


STARTED = (200, {"JobRunId": "r"})
BUSY = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
BROKEN = (500, {"__type": "InternalServiceException", "message": "oh"})


def operations(server):
    return [one["headers"]["X-Amz-Target"].partition(".")[2] for one in server.asked]


async def asked(server, times):
    for _ in range(1_000):
        if len(server.asked) >= times:
            return
        await anyio.sleep(0.01)
    raise AssertionError(operations(server))


async def run(server, monkeypatch, definition):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    engine = Engine()
    reach_services(engine)
    async with engine:
        handle = await engine.start(await engine.create("m", definition))
        return await handle.result()


async def test_a_job_is_asked_after_until_it_is_over(monkeypatch):
    with Told(STARTED, run_is("RUNNING"), BUSY, BROKEN, run_is("SUCCEEDED")) as server:
        result = await run(server, monkeypatch, glue())
        assert result == {"Id": "r", "StartedOn": 1_767_323_045_000, "JobRunState": "SUCCEEDED"}
        assert operations(server) == ["StartJobRun"] + ["GetJobRun"] * 4
        assert json.loads(server.asked[-1]["body"]) == {"JobName": "j", "RunId": "r"}


async def test_a_job_that_fails(monkeypatch):
    with Told(STARTED, run_is("FAILED")) as server:
        with pytest.raises(ExecutionFailed) as failed:
            await run(server, monkeypatch, glue())
        assert failed.value.error == "States.TaskFailed"
        assert json.loads(failed.value.cause)["JobRunState"] == "FAILED"


async def test_a_job_that_is_refused_is_tried_again_by_retry(monkeypatch):
    refused = (400, {"__type": "ConcurrentRunsExceededException", "message": "Too many"})
    with Told(refused, STARTED, run_is("SUCCEEDED")) as server:
        retry = [{"ErrorEquals": ["Glue.ConcurrentRunsExceededException"], "IntervalSeconds": 1, "MaxAttempts": 1}]
        await run(server, monkeypatch, glue(Retry=retry))
        assert operations(server) == ["StartJobRun", "StartJobRun", "GetJobRun"]


async def test_a_job_that_cannot_be_told_of(monkeypatch):
    with Told(STARTED, (400, {"__type": "EntityNotFoundException", "message": "Gone"})) as server:
        wanted = pytest.raises(ExecutionFailed, match=r"Glue\.EntityNotFoundException")
        with wanted:
            await run(server, monkeypatch, glue())


@pytest.mark.parametrize("how", ["stopped", "timed out"])
async def test_a_job_that_nobody_wants_any_more_is_stopped(monkeypatch, how):
    with Told(STARTED, run_is("RUNNING")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        engine = Engine()
        reach_services(engine)
        async with engine:
            fields = {"TimeoutSeconds": 1} if how == "timed out" else {}
            handle = await engine.start(await engine.create("m", glue(**fields)))
            await asked(server, 2)
            if how == "stopped":
                await handle.stop()
            with pytest.raises((ExecutionStopped, ExecutionFailed)):
                await handle.result()
        stopped = next(one for one in server.asked if one["headers"]["X-Amz-Target"].endswith("BatchStopJobRun"))
        assert json.loads(stopped["body"]) == {"JobName": "j", "JobRunIds": ["r"]}


async def test_a_job_of_the_log_is_asked_after_and_not_submitted_again(monkeypatch, tmp_path):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with Told(STARTED, run_is("RUNNING")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        engine = Engine(store)
        reach_services(engine)
        async with engine:
            handle = await engine.start(await engine.create("m", glue()), name="x")
            await asked(server, 3)
        before = len(server.asked)
        server.answers = [run_is("SUCCEEDED")]
        engine = Engine(store)
        reach_services(engine)
        async with engine:
            assert (await engine.execution(handle.arn).result())["JobRunState"] == "SUCCEEDED"
        assert set(operations(server)[before:]) == {"GetJobRun"}
        assert operations(server).count("StartJobRun") == 1


async def test_a_container_that_fails_fails_its_task(monkeypatch):
    started = {"tasks": [{"taskArn": "t", "lastStatus": "PENDING"}], "failures": []}
    ended = {"tasks": [{"taskArn": "t", "lastStatus": "STOPPED", "containers": [{"name": "c", "exitCode": 3}]}]}
    definition = {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": True,
        "Parameters": {"Cluster": "c", "TaskDefinition": "d"}}}}
    with Told((200, started), (200, ended)) as server:
        with pytest.raises(ExecutionFailed) as failed:
            await run(server, monkeypatch, definition)
        assert json.loads(failed.value.cause)["Containers"] == [{"ExitCode": 3, "Name": "c"}]
    ended["tasks"][0]["containers"][0]["exitCode"] = 0
    with Told((200, started), (200, ended)) as server:
        assert (await run(server, monkeypatch, definition))["LastStatus"] == "STOPPED"
    with Told((200, {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]})) as server:
        with pytest.raises(ExecutionFailed) as failed:
            await run(server, monkeypatch, definition)
        assert failed.value.error == "AmazonECS.Unknown"


@pytest.mark.skipif(not MOTO, reason=NO_MOTO)
async def test_queries_and_builds_of_moto(monkeypatch):
    with Moto() as server:
        codebuild = boto3.client("codebuild", endpoint_url=server.url)
        codebuild.create_project(
            name="project", serviceRole="arn:aws:iam::123456789012:role/service-role/r",
            artifacts={"type": "NO_ARTIFACTS"},
            source={"type": "S3", "location": "bucket/path/file.zip"},
            environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        )
        build = {"StartAt": "T", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync", "End": True,
            "Parameters": {"ProjectName": "project"}}}}
        assert (await run(server, monkeypatch, build))["Build"]["BuildStatus"] == "SUCCEEDED"
        query = {"StartAt": "T", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:states:::athena:startQueryExecution.sync", "End": True,
            "Parameters": {"QueryString": "SELECT 1", "WorkGroup": "primary"}}}}
        result = await run(server, monkeypatch, query)
        assert result["QueryExecution"]["Status"]["State"] == "SUCCEEDED"
