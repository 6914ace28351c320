"""Every optimised integration of an AWS service, through each way in which a call can end.

One action a service by default; with STEPFOLD_EVERY_INTEGRATION=1 every action.
"""

from __future__ import annotations

import os

import pytest

from stepfold import Engine, ManualClock
from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.resources import parse_resource
from stepfold.runtime.handle import ExecutionFailed
from stepfold.runtime.outside import Outside, reach
from stepfold.work.services import clients, hosts, models
from stepfold.work.services.hosts import Allowed

from .far_side import Told

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials_of_the_tests")]

ELSEWHERE = {"apigateway", "http", "states"}  # (called by HTTP, or in this very engine: tested beside those)
OF_CLUSTERS = {"eks:call": {"Method": "GET", "Path": "/api"}, "eks:runJob": {"Job": {}}}
BY_NAME = {
    f"elasticmapreduce:modifyInstance{kind}ByName": {
        "ClusterId": "x", f"Instance{kind}Name": "n", f"Instance{kind}": {},
    }
    for kind in ("Fleet", "Group")
}
LISTED = {"InstanceFleets": [{"Name": "n", "Id": "i"}], "InstanceGroups": [{"Name": "n", "Id": "i"}]}
"""What is found first, by its name."""
SPOKEN = BY_NAME | {
    "elasticmapreduce:addStep": {"ClusterId": "x", "Step": {"Name": "x", "HadoopJarStep": {"Jar": "x"}}},
}
"""What is asked for otherwise than the operation's model has it."""


def chosen():
    for service in INTEGRATIONS.keys() - ELSEWHERE:
        actions = [f"{service}:{action}" for action in INTEGRATIONS[service]]
        actions = [name for name in actions if name not in OF_CLUSTERS | BY_NAME]
        yield from actions if os.environ.get("STEPFOLD_EVERY_INTEGRATION") else actions[:1]
    yield from BY_NAME


SLOW = {"__type": "ThrottlingException", "message": "slow"}
NO = {"__type": "Refused", "message": "no"}


def least(shape, name=""):
    """The smallest value that a request's shape takes."""
    match shape.type_name:
        case "structure":
            return {models.spelled(key): least(shape.members[key], key) for key in shape.required_members}
        case "list":
            return [least(shape.member)] * shape.metadata.get("min", 0)
        case "map":
            return {}
        case "integer" | "long" | "float" | "double":
            return max(1, shape.metadata.get("min", 1))
        case "boolean":
            return True
        case "timestamp":
            return "2024-01-01T00:00:00Z"
    if getattr(shape, "enum", None):
        return shape.enum[0]
    return "http://q" if name == "QueueUrl" else "x" * max(1, shape.metadata.get("min", 1))


def definition(name, **fields):
    asked = models.operation(parse_resource(f"arn:aws:states:::{name}"))
    arguments = SPOKEN.get(name) or ({} if asked.input is None else least(asked.input))
    return {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::{name}", "Parameters": arguments, "End": True, **fields}}}


def said(name, status, plain):
    """An answer in the protocol of the service: JSON, or XML."""
    asked = models.operation(parse_resource(f"arn:aws:states:::{name}"))
    if models._model(asked.service).metadata["protocol"] != "query":
        return status, plain
    text = f"<{asked.name}Response><{asked.name}Result/></{asked.name}Response>"
    if status != 200:
        text = f"<ErrorResponse><Error><Code>{plain['__type']}</Code></Error></ErrorResponse>"
    return status, text.encode(), {"Content-Type": "text/xml"}


def calling(*allowed):
    """An engine that calls services; it serves several calls, for a client takes longer to make than a call."""
    engine = Engine(clock=ManualClock(jumps=True))
    reach(engine, Outside(hosts=[Allowed.read(host) for host in allowed]))
    return engine


async def run(engine, made):
    machine = await engine.create("m", made, replace=True)
    return await (await engine.start(machine)).result()


async def error_of(engine, made):
    with pytest.raises(ExecutionFailed) as failed:
        await run(engine, made)
    return failed.value.error


@pytest.mark.parametrize("name", sorted(chosen()))
async def test_each_way_in_which_it_can_end(name, monkeypatch):
    found = [said(name, 200, LISTED)] if name in BY_NAME else []
    with Told(said(name, 400, SLOW), *found, said(name, 200, {}), said(name, 400, NO), None) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with calling() as engine:
            retry = [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}]
            await run(engine, definition(name, Retry=retry))  # what a service has too much of is the state's to retry
            assert len(server.asked) == 2 + len(found)
            refused = await error_of(engine, definition(name))
            assert refused.endswith("Exception")
            assert not refused.startswith("States.")
        unanswered = refused.partition(".")[0] + ".SdkClientException"
        monkeypatch.setattr(clients, "ANSWER_SECONDS", 0.2)
        monkeypatch.setattr(clients, "_SLOW", {})
        async with calling() as engine:
            assert await error_of(engine, definition(name)) == unanswered  # nothing is said for too long
            server.close()
            assert await error_of(engine, definition(name)) == unanswered  # nobody is there


@pytest.mark.parametrize("name", OF_CLUSTERS)
async def test_each_way_in_which_a_cluster_can_answer(name, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # (STS is asked nothing)
    with Told((429, SLOW), (200, {}), (403, NO), None) as server:
        cluster = {"ClusterName": "c", "CertificateAuthority": "eA==", "Endpoint": server.url} | OF_CLUSTERS[name]
        asking = {"Type": "Task", "Resource": f"arn:aws:states:::{name}", "Parameters": cluster, "End": True}
        once = {"StartAt": "T", "States": {"T": asking}}
        retry = [{"ErrorEquals": ["EKS.429"], "MaxAttempts": 1}]
        async with calling(server.url) as engine:
            await run(engine, {"StartAt": "T", "States": {"T": {**asking, "Retry": retry}}})
            assert len(server.asked) == 2
            assert await error_of(engine, once) == "EKS.403"
            monkeypatch.setattr(hosts, "SECONDS", 0.2)
            assert await error_of(engine, once) == "EKS.SdkClientException"  # nothing is said for too long
            server.close()
            assert await error_of(engine, once) == "EKS.SdkClientException"  # nobody is there
