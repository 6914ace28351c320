"""A service of four operations behind the real wire."""

import anyio
import httpx
import msgspec
import pytest

from stepfold.errors import ExecutionDoesNotExist
from stepfold.names import Home
from stepfold.service.asgi import app
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import CONTENT_TYPE, TARGET, Condition, timestamp

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:orders:one"


async def start(service, request: shapes.StartExecutionInput) -> shapes.StartExecutionOutput:
    service.calls.append(request)
    return shapes.StartExecutionOutput(executionArn=EXECUTION, startDate=timestamp(1_700_000_000_123))


async def describe(service, request: shapes.DescribeExecutionInput) -> shapes.DescribeExecutionOutput:
    raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{request.executionArn}'")


async def stop(service, request: shapes.StopExecutionInput) -> shapes.StopExecutionOutput:
    raise KeyError("canary-payload")


async def poll(service, request: shapes.GetActivityTaskInput) -> shapes.GetActivityTaskOutput:
    service.polling.set()
    try:
        await anyio.sleep_forever()
    finally:
        service.left.set()


class FakeService:
    home = Home()

    def __init__(self):
        self.calls = []
        self.is_ready = True
        self.condition = Condition("ok")
        self.polling, self.left = anyio.Event(), anyio.Event()
        self.operations = {
            "StartExecution": start, "DescribeExecution": describe, "StopExecution": stop, "GetActivityTask": poll,
        }

    def ready(self):
        return self.is_ready

    async def health(self):
        return self.condition


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def service(anyio_backend):
    return FakeService()


def client(made, host="localhost:8083"):
    return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=f"http://{host}")


def ask(operation, body, **headers):
    """What httpx needs to send a request for an operation."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    given = {"content-type": CONTENT_TYPE, "x-amz-target": f"{TARGET}{operation}"}
    return {"content": raw, "headers": given | headers}


@pytest.fixture
async def http(service):
    async with client(app(service)) as one:
        yield one


def told(response, status, code):
    """The message of an error in AWS's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == CONTENT_TYPE
    assert response.headers["x-amzn-requestid"]
    assert response.json()["__type"].rpartition("#")[2] == code
    assert not [name for name in response.headers if name.startswith("access-control")]
    return response.json()["message"]
