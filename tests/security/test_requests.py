"""What comes in from outside: compressed, deep, and in the place of files; and what of it goes into the log."""

import io
import json
import zlib

import anyio
import httpx
import pytest
import structlog
from tests.memory import forget_the_most, most_held
from tests.runtime.world import DONE, FUNCTION

import stepfold.service
from stepfold import Engine
from stepfold.cli import options
from stepfold.errors import CallerError
from stepfold.query.values import MAX_DEPTH
from stepfold.service.wire.protocol import CONTENT_TYPE, TARGET

pytestmark = pytest.mark.anyio
ROLE = "arn:aws:iam::123456789012:role/worker"


class Api:
    """The API over an engine, without a port."""

    def __init__(self, engine):
        transport = httpx.ASGITransport(stepfold.service.app(engine))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def __call__(self, operation, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post("/", content=content, headers={
            "content-type": CONTENT_TYPE, "x-amz-target": TARGET + operation, **headers})


@pytest.fixture
async def api(anyio_backend):
    async with Engine() as engine:
        await engine.create("done", DONE)
        api = Api(engine)
        api.engine = engine
        yield api


@pytest.fixture(scope="module")
def bomb():
    """256 MiB of blanks, packed bit by bit."""
    packer, blanks = zlib.compressobj(9, wbits=zlib.MAX_WBITS + 16), b" " * (1 << 20)
    return b"".join([*(packer.compress(blanks) for _ in range(256)), packer.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_nothing_is_unpacked(api, encoding, bomb):
    forget_the_most()
    before = most_held()
    answer = await api("ListStateMachines", bomb, **{"content-encoding": encoding})
    assert answer.status_code == 400
    assert answer.json()["__type"].endswith("#SerializationException")
    assert most_held() - before < 64 << 20


@pytest.mark.parametrize("depth", [1, MAX_DEPTH - 2, MAX_DEPTH + 2, 1_000, 100_000, 1_000_000])
@pytest.mark.parametrize("brackets", ["[]", '{"a":|}'], ids=["arrays", "objects"])
async def test_depth_is_answered_and_never_a_fault(api, depth, brackets):
    opening, closing = brackets.split("|") if "|" in brackets else brackets
    text = opening * depth + ("1" if "|" in brackets else "") + closing * depth
    machine = api.engine.home.machine("done")
    bodies = {
        "an input": ("StartExecution", {"stateMachineArn": machine, "input": text}),
        "a definition": ("CreateStateMachine", {"name": "deep", "roleArn": ROLE, "definition": text}),
        "an output": ("SendTaskSuccess", {"taskToken": "token", "output": text}),
    }
    for operation, body in bodies.values():
        answer = await api(operation, body)
        assert answer.status_code in {200, 400, 413}, operation
    answer = await api("StartExecution", f'{{"stateMachineArn":"{machine}","input":"1","x":{text}}}'.encode())
    assert answer.status_code in {200, 400, 413}
    assert not api.engine.failed


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd"])
async def test_no_file_is_read_for_a_caller_of_the_api(api, path):
    for operation, body in (
        ("CreateStateMachine", {"name": "file", "roleArn": ROLE, "definition": path}),
        ("ValidateStateMachineDefinition", {"definition": path}),
        ("StartExecution", {"stateMachineArn": api.engine.home.machine("done"), "input": path}),
    ):
        answer = await api(operation, body)
        assert answer.status_code in {200, 400}
        assert "root:" not in answer.text
    with pytest.raises(CallerError):
        await api.engine.create("file", path)


async def test_secrets_and_payloads_stay_out_of_the_log(api, monkeypatch):
    canaries = [f"canary-{number}" for number in range(6)]

    async def leaks(event):
        raise ValueError(canaries[1])

    api.engine.work("leaks")(leaks)
    task = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": FUNCTION + "leaks", "End": True,
                                             "Comment": canaries[4]}}}
    chosen = options.Settings()
    chosen.verbose = 2
    paper = io.StringIO()
    monkeypatch.setattr("sys.stderr", paper)
    options.configure_log(chosen)
    try:
        machine = await api.engine.create("leaks", task)
        started = await api(
            "StartExecution", {"stateMachineArn": machine.arn, "input": json.dumps({"password": canaries[0]})},
            authorization=f"AWS4-HMAC-SHA256 Credential=AKID/{canaries[2]}, Signature={canaries[5]}",
        )
        arn = started.json()["executionArn"]
        with anyio.fail_after(5):
            while api.engine.runs:
                await anyio.lowlevel.checkpoint()
        await api("SendTaskSuccess", {"taskToken": canaries[3], "output": "1"})
        await api("StopExecution", {"executionArn": arn, "cause": canaries[0]})
        await api("StartExecution", {"stateMachineArn": machine.arn, "input": "[" + canaries[0]})
    finally:
        structlog.reset_defaults()
    said = paper.getvalue()
    assert "StartExecution" in said, "it does log"
    assert [canary for canary in canaries if canary in said] == []
