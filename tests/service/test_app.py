"""The app and the server: bounds on what comes in, health, the log, the stop."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap

import anyio
import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.routing import Mount

from stepfold.service import serving
from stepfold.service.asgi import app
from stepfold.service.serving import BindRefused, serve
from stepfold.service.wire.keys import Allow, Key
from stepfold.service.wire.protocol import Condition

from .conftest import EXECUTION, MACHINE, ask, client, told

pytestmark = pytest.mark.anyio
KEYS = {"AKID": Key("AKID", "a secret of thirty-two characters", (Allow(("states:*",)),))}


async def test_an_operation(http, service):
    response = await http.post("/", **ask("StartExecution", {"stateMachineArn": MACHINE, "input": "{}"}))
    assert response.status_code == 200
    assert response.json() == {"executionArn": EXECUTION, "startDate": 1700000000.123}
    assert response.headers["content-type"] == "application/x-amz-json-1.0"
    assert service.calls[0].stateMachineArn == MACHINE


async def test_errors_of_an_operation(http):
    assert EXECUTION in told(
        await http.post("/", **ask("DescribeExecution", {"executionArn": EXECUTION})), 400, "ExecutionDoesNotExist"
    )
    told(await http.post("/", **ask("ListActivities", {})), 400, "UnknownOperationException")  # has no handler here


async def test_a_fault_tells_nobody_what_it_was_about(http):
    with structlog.testing.capture_logs() as logs:
        response = await http.post("/", **ask("StopExecution", {"executionArn": EXECUTION}))
    told(response, 500, "InternalFailure")
    assert [line["event"] for line in logs] == ["fault", "request"]
    assert logs[0]["type"] == "KeyError"
    assert "conftest.py:" in logs[0]["at"]
    assert "canary" not in f"{response.text} {logs}"


async def test_the_access_log_has_no_payload(http):
    with structlog.testing.capture_logs() as logs:
        response = await http.post("/", **ask("StartExecution", {"stateMachineArn": "canary", "input": "canary"}))
        await http.post("/", **ask("canary", {}))
    line = logs[0]
    assert (line["operation"], line["status"]) == ("StartExecution", 200)
    assert line["request_id"] == response.headers["x-amzn-requestid"]
    assert logs[1]["code"] == "UnknownOperationException"
    assert "canary" not in str(logs)


@pytest.mark.parametrize("host", [
    "localhost", "localhost:1", "127.0.0.1:8083", "[::1]:8083", "[::1]", "sync-localhost:8083", "sync-127.0.0.1",
    "LOCALHOST", "states.test", "sync-states.test:443", "exact.test:99",
])  # fmt: skip
async def test_hosts_that_are_taken(service, host):
    async with client(app(service, hosts=["States.test", "exact.test:99"]), host) as http:
        response = await http.post("/", **ask("StartExecution", {"stateMachineArn": MACHINE}, host=host))
        assert response.status_code == 200


@pytest.mark.parametrize("host", [
    "evil.test", "localhost.evil.test", "127.0.0.1.evil.test:8083", "sync-evil.test", "", "localhost:evil",
    "exact.test:98", "sync-sync-localhost", "0.0.0.0",
])  # fmt: skip
async def test_hosts_that_are_refused(service, host):
    async with client(app(service, hosts=["exact.test:99"])) as http:
        for path in ("/", "/health"):
            request = ask("StartExecution", {"stateMachineArn": MACHINE}, host=host)
            told(await http.post(path, **request), 403, "AccessDeniedException")
    assert not service.calls


async def test_any_host_where_that_is_asked_for_or_keys_are(service):
    async with client(app(service, hosts=["*"]), "evil.test") as http:
        assert (await http.get("/health")).status_code == 200
    async with client(app(service, keys=KEYS), "evil.test") as http:
        told(await http.post("/", **ask("StartExecution", {})), 403, "MissingAuthenticationTokenException")
    assert not service.calls


async def test_health_and_readiness(http, service):
    assert (await http.get("/health")).json() == {"status": "ok"}
    assert (await http.get("/ready")).status_code == 200
    service.condition = Condition("read-only", "SQLITE_FULL: database or disk is full", {"setAside": 2})
    told = {"status": "read-only", "cause": "SQLITE_FULL: database or disk is full", "setAside": 2}
    for path in ("/health", "/ready"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (503, told)
    service.condition = Condition("closed", "the store is not open")  # as while it cannot be opened anew
    for path in ("/health", "/ready"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (503, {"status": "closed", "cause": "the store is not open"})
    service.condition = Condition("ok")
    service.is_ready = False
    assert (await http.get("/ready")).status_code == 503
    assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("OPTIONS", "/"), ("PUT", "/"), ("POST", "/other")])
async def test_other_methods_and_paths(http, method, path):
    request = ask("StartExecution", {"stateMachineArn": MACHINE}, origin="http://evil.test")
    told(await http.request(method, path, **request), 404, "UnknownOperationException")


async def test_a_body_within_its_bounds(service):
    async with client(app(service, body_bytes=1000)) as http:
        good = json.dumps({"stateMachineArn": MACHINE}).encode().ljust(1000)
        assert (await http.post("/", **ask("StartExecution", good))).status_code == 200
        response = await http.post("/", **ask("StartExecution", good + b" "))
        told(response, 413, "RequestEntityTooLargeException")
        assert response.headers["connection"] == "close"


async def test_a_body_without_end_is_not_read_to_its_end(service):
    sent = 0

    async def endless():
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            yield b" " * 1000

    request = ask("StartExecution", b"") | {"content": endless()}
    async with client(app(service, body_bytes=5000)) as http:
        told(await http.post("/", **request), 413, "RequestEntityTooLargeException")
    assert sent < 10


async def test_all_bodies_together_have_a_bound(service):
    """Many who send much and slowly, or wait for long, do not fill the memory: others are told to come again."""
    async with client(app(service, held_bytes=1000, body_seconds=10)) as http, anyio.create_task_group() as group:
        taken, more = anyio.Event(), anyio.Event()

        async def slow():
            yield b" " * 900
            taken.set()
            await more.wait()
            yield b" " * 90 + b"{}"

        answers = []

        async def send():
            answers.append(await http.post("/", **ask("ListStateMachines", b"") | {"content": slow()}))

        group.start_soon(send)
        await taken.wait()
        small, large = (json.dumps({"stateMachineArn": MACHINE}).encode().ljust(size) for size in (95, 300))
        told(await http.post("/", **ask("StartExecution", large)), 400, "ThrottlingException")
        assert (await http.post("/", **ask("StartExecution", small))).status_code == 200
        more.set()
        while not answers:
            await anyio.lowlevel.checkpoint()
        assert (await http.post("/", **ask("StartExecution", large))).status_code == 200


async def test_a_body_that_never_comes(service):
    async def stalled():
        yield b"{"
        await anyio.sleep_forever()

    request = ask("StartExecution", b"") | {"content": stalled()}
    async with client(app(service, body_seconds=0.01)) as http:
        told(await http.post("/", **request), 408, "RequestTimeoutException")


async def test_mounted_in_another_app(service):
    outer = Starlette(routes=[Mount("/aws", app(service))])
    async with client(outer) as http:
        response = await http.post("/aws/", **ask("StartExecution", {"stateMachineArn": MACHINE}))
        assert response.status_code == 200
        told(await http.post("/aws/x", **ask("StartExecution", {})), 404, "UnknownOperationException")


async def test_a_poll_ends_with_its_client(service):
    made = app(service)
    gone = anyio.Event()

    async def receive():
        if not receive.read:
            receive.read = True
            return {"type": "http.request", "body": b'{"activityArn":"a"}'}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    receive.read = False
    headers = [(name.encode(), value.encode()) for name, value in ask("GetActivityTask", {})["headers"].items()]
    scope = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [*headers, (b"host", b"localhost")],
    }  # fmt: skip
    async with anyio.create_task_group() as group:
        group.start_soon(made, scope, receive, send)
        await service.polling.wait()
        gone.set()
        with anyio.fail_after(5):
            await service.left.wait()


async def test_a_poll_goes_home_empty_when_the_door_closes(service):
    made = app(service)
    async with client(made) as http, anyio.create_task_group() as group:

        async def close():
            await service.polling.wait()
            made.state.door.close()

        group.start_soon(close)
        with anyio.fail_after(5):
            response = await http.post("/", **ask("GetActivityTask", {"activityArn": "a"}))
        assert (response.status_code, response.json()) == (200, {})
        assert (await http.get("/ready")).status_code == 503
        assert (await http.post("/", **ask("GetActivityTask", {"activityArn": "a"}))).json() == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_a_public_bind_wants_keys(service, host):
    with pytest.raises(BindRefused):
        await serve(service, host=host, port=0)


class Served:
    """A server of this process on a free port."""

    def __init__(self, service, **options):
        self.service, self.options, self.lines = service, options, []

    async def __aenter__(self):
        listening = asyncio.Event()

        def announce(line):
            self.lines.append(line)
            listening.set()

        self.task = asyncio.create_task(serve(self.service, port=0, announce=announce, **self.options))
        await listening.wait()
        self.url = self.lines[0].removeprefix("listening on ")
        self.port = int(self.url.rpartition(":")[2])
        return self

    async def __aexit__(self, *error):
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.fail_after(15):
            await self.task


async def test_boto3_talks_to_it(service):
    boto3 = pytest.importorskip("boto3", reason="NO BOTO3: the ordinary client is not tried in this run")
    from botocore.config import Config
    from botocore.exceptions import ClientError

    def talk(url):
        sfn = boto3.client(
            "stepfunctions", endpoint_url=url, region_name="us-east-1", aws_access_key_id="AKID",
            aws_secret_access_key=KEYS["AKID"].secret, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        started = sfn.start_execution(stateMachineArn=MACHINE, input="{}")
        with pytest.raises(sfn.exceptions.ExecutionDoesNotExist):
            sfn.describe_execution(executionArn=EXECUTION)
        with pytest.raises(ClientError, match=r"ValidationException.*1 validation error detected: Value '1001'"):
            sfn.list_activities(maxResults=1001)
        sfn.close()
        return started

    for keys in (None, KEYS):
        async with Served(service, keys=keys) as served:
            started = await anyio.to_thread.run_sync(talk, served.url)
        assert started["executionArn"] == EXECUTION
        assert started["startDate"].timestamp() == 1700000000.123


async def test_slow_clients_are_dropped(service, monkeypatch):
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.1)
    async with Served(service) as served:
        streams = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(50)]
        for _, writer in streams[:30]:
            writer.write(b"POST / HTTP/1.1\r\nhost: local")
        for _, writer in streams[:15]:
            writer.write(b"host\r\ncontent-length: 10\r\n\r\n{")
        async with httpx.AsyncClient(base_url=served.url) as http:  # others are served meanwhile, and stay
            assert (await http.get("/health")).status_code == 200
            with anyio.fail_after(5):
                for reader, writer in streams:
                    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                        await reader.readexactly(1)
                    writer.close()
            assert (await http.get("/health")).status_code == 200


async def test_more_connections_than_it_takes(service, monkeypatch):
    monkeypatch.setattr(serving, "CONNECTIONS", 2)
    async with Served(service) as served:
        streams = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
        with anyio.fail_after(5), pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await streams[2][0].readexactly(1)
        for _, writer in streams:
            writer.close()


async def test_a_head_too_long(service):
    async with Served(service) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000)
        with anyio.fail_after(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


SERVER = """
import anyio, sys
from stepfold.names import Home
from stepfold.service.wire import shapes
from stepfold.service.serving import serve

async def stop(service, request):
    print("working", flush=True)
    await anyio.sleep(0.5)
    return shapes.StopExecutionOutput(stopDate=1.0)

class Service:
    operations = {"StopExecution": stop}
    home = Home()
    def ready(self):
        return True

async def main():
    await serve(Service(), port=0, announce=lambda line: print(line, flush=True))
    print("closed", flush=True)

anyio.run(main)
"""


def test_sigterm_lets_work_in_flight_end_and_exits_with_0(tmp_path):
    program = tmp_path / "server.py"
    program.write_text(textwrap.dedent(SERVER), encoding="utf-8")
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            body = b'{"executionArn":"e"}'
            head = (
                "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\n"
                f"x-amz-target: AWSStepFunctions.StopExecution\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            assert server.stdout.readline() == "working\n"
            server.send_signal(signal.SIGTERM)
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"stopDate":1.0}')
        assert server.stdout.read().splitlines()[-1] == "closed"
        assert server.wait(10) == 0


async def test_middleware_that_a_user_adds_sees_every_request(service):
    made, seen = app(service), []

    class Watching:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            seen.append(scope["path"])
            await self.inner(scope, receive, send)

    made.add_middleware(Watching)
    async with client(made) as http:
        for path in ("/", "/health"):
            assert (await http.post(path, **ask("StartExecution", {"stateMachineArn": MACHINE}))).status_code
    assert seen == ["/", "/health"]
