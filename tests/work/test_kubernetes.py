"""`eks:call` and `eks:runJob`: who may be asked and by whose word, what is said, and jobs to their ends."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from stepfold import Engine
from stepfold.query.values import text
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold.runtime.outside import Outside, reach, reach_services
from stepfold.work.call import TaskError
from stepfold.work.services import service_jobs
from stepfold.work.services.hosts import Allowed

from .authority import Authority
from .far_side import Told

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("credentials_of_the_tests")]

ANYBODY = base64.b64encode(b"nobody asks for it").decode()
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi"}, "spec": {"backoffLimit": 0}}
JOBS = "/apis/batch/v1/namespaces/default/jobs"
MADE = JOB | {"metadata": {"name": "pi", "namespace": "default", "uid": "u-1"}}
CREATED = 201, MADE
RUNNING = 200, MADE | {"status": {"active": 1, "conditions": [{"type": "Failed", "status": "False"}]}}
GONE = (404, {"kind": "Status", "reason": "NotFound", "code": 404})


def ended(condition, **more):
    met = [{"type": name, "status": "True"} for name in ("SuccessCriteriaMet", condition)]
    return 200, MADE | {"status": {"conditions": met}} | more


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    monkeypatch.setattr(service_jobs, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(service_jobs, "LONGEST_DELAY", 0.02)


def task(action, server, arguments, **fields):
    asked = {"ClusterName": "main", "CertificateAuthority": ANYBODY, "Endpoint": server.url} | arguments
    return {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::eks:{action}", "Parameters": asked, "End": True, **fields}}}


def engine_at(server, store="memory://"):
    engine = Engine(store)
    reach(engine, Outside(services=True, hosts=[Allowed.read(server.url)]))
    return engine


async def run(server, definition):
    async with engine_at(server) as engine:
        handle = await engine.start(await engine.create("m", definition))
        try:
            return await handle.result()
        finally:
            run.history = json.dumps([event async for event in handle.events()])


async def failure(server, definition):
    with pytest.raises(ExecutionFailed) as failed:
        await run(server, definition)
    return failed.value.error, failed.value.cause


def requests(server):
    return [(one["method"], one["path"].partition("?")[0]) for one in server.asked]


async def until(condition):
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.005)


# --- a call -----------------------------------------------------------------------------------------------------------


GET = {"Method": "GET", "Path": "/api/v1/namespaces/default/pods"}


async def test_a_call_and_its_answer():
    with Told((200, {"items": []})) as server:
        asked = {**GET, "QueryParameters": {"labelSelector": ["job-name=pi", "a b"], "limit": ["1"]}}
        assert await run(server, task("call", server, asked)) == {
            "ResponseBody": {"items": []}, "StatusCode": 200, "StatusText": "OK"}
        assert server.asked[0]["method"] == "GET"
        assert server.asked[0]["path"] == f"{GET['Path']}?labelSelector=job-name%3Dpi&labelSelector=a+b&limit=1"
        assert server.asked[0]["body"] == ""


@pytest.mark.parametrize(("method", "body", "sent", "kind"), [
    ("POST", {"n": 1.5}, '{"n":1.5}', "application/json"), ("PUT", '{"n": 1}', '{"n": 1}', "application/json"),
    ("PATCH", {"n": 1}, '{"n":1}', "application/merge-patch+json"),
    ("PATCH", [{"op": "remove"}], '[{"op":"remove"}]', "application/json-patch+json"),
])
async def test_what_is_sent(method, body, sent, kind):
    with Told((200, {})) as server:
        await run(server, task("call", server, {"Method": method, "Path": "/x", "RequestBody": body}))
        assert (server.asked[0]["body"], server.asked[0]["headers"]["Content-Type"]) == (sent, kind)


async def test_it_is_shown_who_asks_and_nobody_else_sees_it():
    with Told((200, {})) as server:
        await run(server, task("call", server, GET))
        scheme, token = server.asked[0]["headers"]["Authorization"].split(" ")
        assert (scheme, token[:11]) == ("Bearer", "k8s-aws-v1.")
        url = urlsplit(base64.urlsafe_b64decode(token[11:] + "=" * (-len(token) % 4 + 3)).decode())
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert (url.scheme, url.netloc, url.path) == ("https", "sts.us-east-1.amazonaws.com", "/")
        assert (query["Action"], query["X-Amz-Expires"]) == ("GetCallerIdentity", "60")
        assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
        assert query["X-Amz-Credential"].startswith("testing/")
        assert token not in run.history


async def test_a_token_that_is_repeated_is_struck_out():
    with Told((200, {})) as server:
        server.answer = lambda asked: (200, {"you": asked["headers"]["Authorization"]})
        assert (await run(server, task("call", server, GET)))["ResponseBody"] == {"you": "Bearer [REDACTED]"}


async def test_the_cluster_says_no():
    body = {"kind": "Status", "status": "Failure", "reason": "Unauthorized", "code": 401}
    with Told((401, body)) as server:
        error, cause = await failure(server, task("call", server, GET))
        assert error == "EKS.401"
        assert json.loads(cause) == {"ResponseBody": body, "StatusCode": 401, "StatusText": "Unauthorized"}


async def test_a_cluster_is_believed_by_the_word_of_its_authority_alone(tmp_path):
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    with Told((200, {"kind": "PodList"}), context=authority.context("127.0.0.1")) as server:
        given = {**GET, "CertificateAuthority": authority.encoded}
        assert (await run(server, task("call", server, given)))["ResponseBody"] == {"kind": "PodList"}
        error, cause = await failure(server, task("call", server, {**GET, "CertificateAuthority": other.encoded}))
        assert error == "EKS.SdkClientException"
        assert "CERTIFICATE_VERIFY_FAILED" in cause
        assert len(server.asked) == 1


async def test_a_host_that_was_not_allowed():
    with Told((200, {})) as server:
        for reached in (reach_services, lambda engine, wanted: reach(engine, Outside(services=wanted))):
            engine = Engine()
            reached(engine, wanted=True)
            async with engine:
                handle = await engine.start(await engine.create("m", task("call", server, GET)))
                with pytest.raises(ExecutionFailed, match=r"States\.Permissions.*--allow-http"):
                    await handle.result()
        assert not server.asked


async def test_without_credentials_nobody_is_asked(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with Told((200, {})) as server:
        error, cause = await failure(server, task("call", server, GET))
        assert (error, "AWS_ACCESS_KEY_ID" in cause, server.asked) == ("EKS.SdkClientException", True, [])


@pytest.mark.parametrize(("action", "arguments", "why"), [
    ("call", {}, "The field 'Method' is required but was missing, The field 'Path' is required but was missing"),
    ("call", {**GET, "Method": "OPTIONS"}, "The value of the field 'Method' has an invalid format"),
    ("call", {**GET, "Body": {}}, "The field 'Body' is not supported by Step Functions"),
    ("call", {**GET, "QueryParameters": "a=b"}, "The value of the field 'QueryParameters' has an invalid format"),
    ("call", {**GET, "Endpoint": 7}, "The value of the field 'Endpoint' has an invalid format"),
    ("call", {**GET, "CertificateAuthority": ""}, "The value of the field 'CertificateAuthority' has an invalid"),
    ("call", {**GET, "CertificateAuthority": "?"}, "The value of the field 'CertificateAuthority' has an invalid"),
    ("runJob.sync", {"Job": "a: b"}, "The value of the field 'Job' has an invalid format"),
    ("runJob", {"Job": {"metadata": {"labels": "a=b"}}}, "The value of the field 'Job' has an invalid format"),
    ("runJob", {"Job": {"metadata": []}, "LogOptions": True}, "The value of the field 'LogOptions' has an invalid"),
])
async def test_what_is_no_request(action, arguments, why):
    with Told((200, {})) as server:
        error, cause = await failure(server, task(action, server, arguments))
        assert error == "States.Runtime"
        assert f"could not be used to start the Task: [{why}" in cause
        assert not server.asked


# --- jobs -------------------------------------------------------------------------------------------------------------


async def test_a_job_that_nobody_waits_for():
    with Told(CREATED) as server:
        result = await run(server, task("runJob", server, {"Job": json.dumps(JOB), "Namespace": "other"}))
        assert result == {"ResponseBody": MADE, "StatusCode": 201, "StatusText": "Created"}
        assert requests(server) == [("POST", "/apis/batch/v1/namespaces/other/jobs")]
        sent = json.loads(server.asked[0]["body"])
        assert sent["metadata"].pop("labels").keys() == {"stepfold/call"}
        assert sent == JOB


async def test_a_job_is_asked_after_until_it_is_complete():
    busy = (429, {"reason": "TooManyRequests"})
    with Told(CREATED, RUNNING, busy, (503, b"later"), ended("Complete")) as server:
        result = await run(server, task("runJob.sync", server, {"Job": JOB}))
        assert result == ended("Complete")[1]
        assert requests(server) == [("POST", JOBS)] + [("GET", f"{JOBS}/pi")] * 4


POD = {"metadata": {"name": "pi-1"}, "spec": {"containers": [{"name": "main"}, {"name": "side"}]}}
LOGS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(("options", "log"), [
    ({"RetrieveLogs": True, "LogParameters": {"tailLines": ["6"]}}, {"pi": 3.14}),
    ({"RetrieveLogs": "true", "RawLogs": True}, '{"pi": 3.14}\n'),
])
async def test_the_logs_of_a_job(options, log):
    told = (ended("Failed"), (200, {"items": [POD]}), (200, b'{"pi": 3.14}\n'), GONE)
    with Told(CREATED, *told) as server:
        definition = task("runJob.sync", server, {"Job": JOB, "LogOptions": options})
        error, cause = await failure(server, definition)
        assert error == "States.TaskFailed"
        side = {"error": "EKS.404", "cause": json.dumps(
            {"ResponseBody": GONE[1], "StatusCode": 404, "StatusText": "Not Found"}, separators=(",", ":"))}
        logs = {"pods": {"pi-1": {"containers": {"main": {"log": log}, "side": side}}}}
        assert json.loads(cause) == ended("Failed", logs=logs)[1]
        assert server.asked[2]["path"] == f"{LOGS}?labelSelector=job-name%3Dpi"
        more = "&tailLines=6" if "LogParameters" in options else ""
        assert server.asked[3]["path"] == f"{LOGS}/pi-1/log?container=main{more}"


async def test_logs_that_cannot_be_had_keep_nobody_from_the_result():
    with Told(CREATED, ended("Complete"), (403, {})) as server:
        result = await run(server, task("runJob.sync", server, {"Job": JOB, "LogOptions": {"RetrieveLogs": True}}))
        assert result["logs"]["error"] == "EKS.403"


async def test_a_job_that_nobody_wants_any_more_is_deleted():
    with Told((200, {})) as server:
        server.answer = lambda asked: {"POST": CREATED, "GET": RUNNING, "DELETE": (200, {})}[asked["method"]]
        async with engine_at(server) as engine:
            handle = await engine.start(await engine.create("m", task("runJob.sync", server, {"Job": JOB})))
            await until(lambda: len(server.asked) > 1)
            await handle.stop()
            with pytest.raises(ExecutionStopped):
                await handle.result()
        assert server.asked[-1]["method"] == "DELETE"
        assert server.asked[-1]["path"] == f"{JOBS}/pi?propagationPolicy=Background"


async def test_a_job_that_is_gone_need_not_be_deleted(call):
    with Told(GONE, (403, {})) as server:
        unwanted = call("arn:aws:states:::eks:runJob.sync", task("", server, {"Job": JOB})["States"]["T"]["Parameters"])
        engine = engine_at(server)
        job = engine.workers.find(unwanted.resource, unwanted.arguments).job
        receipt = text({"ResponseBody": MADE})
        await job.cancel(unwanted, receipt)
        with pytest.raises(TaskError, match=r"EKS\.403"):
            await job.cancel(unwanted, receipt)


async def test_a_job_of_the_log_is_asked_after_and_not_submitted_again(tmp_path):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with Told((200, {})) as server:
        server.answer = lambda asked: {"POST": CREATED, "GET": RUNNING}[asked["method"]]
        async with engine_at(server, store) as engine:
            handle = await engine.start(await engine.create("m", task("runJob.sync", server, {"Job": JOB})))
            await until(lambda: len(server.asked) > 2)
        server.answer = lambda _: ended("Complete")
        async with engine_at(server, store) as engine:
            assert (await engine.execution(handle.arn).result())["status"]
        assert [method for method, _ in requests(server)].count("POST") == 1
        assert "DELETE" not in dict(requests(server))


@pytest.mark.parametrize("there", [True, False])
async def test_a_job_that_was_handed_over_already_is_known_by_its_label(call, there):
    with Told((200, {})) as server:
        bare = {name: value for name, value in MADE.items() if name not in {"apiVersion", "kind"}}  # as lists have it
        server.answer = lambda asked: (
            CREATED if asked["method"] == "POST" else (200, {"items": [bare] if there else []}))
        engine = engine_at(server)
        arguments = task("runJob", server, {"Job": JOB})["States"]["T"]["Parameters"]
        resource = "arn:aws:states:::eks:runJob.sync"
        async with engine:
            first = await engine.workers.submit(call(resource, arguments))
            again = await engine.workers.submit(call(resource, arguments, attempt=2))
        assert first == again
        label = json.loads(server.asked[0]["body"])["metadata"]["labels"]["stepfold/call"]
        assert server.asked[1]["path"] == f"{JOBS}?labelSelector=stepfold%2Fcall%3D{label}"
        assert [method for method, _ in requests(server)] == ["POST", "GET"] + ["POST"] * (not there)
