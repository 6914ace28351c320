"""The AWS API under load, durable: 16 keep-alive connections from another process, beside a bare Starlette handler.

Both servers are uvicorn with the settings of `stepfold serve`, one process each, and take turns under the same client.
The bare handler reads the body and answers the bytes that stepfold answered: nothing is decoded, kept or looked up.
`api_describe` goes round executions of which half have ended and half wait; `api_start` starts executions of one Pass
state under names of the server's choice, so that each answer stands for an execution that is on the disk, with its end.

python -m benchmarks.service ours|bare PORT-FILE FOLDER   # one of the servers alone, to be profiled
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
import structlog

from benchmarks.measure import ROUNDS, Line, Round, measured

if TYPE_CHECKING:
    from starlette.requests import Request

CONNECTIONS: Final = 16
KNOWN: Final = 1_000
"""Executions that are described, over and over."""
DESCRIBED: Final = 10_000
STARTED: Final = 5_000
TURNS: Final = 4
"""How often the two servers take turns within a round."""
MACHINE: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:"
PASSES: Final = '{"StartAt": "Only", "States": {"Only": {"Type": "Pass", "End": true}}}'
WAITS: Final = '{"StartAt": "Long", "States": {"Long": {"Type": "Wait", "Seconds": 86400, "End": true}}}'
INPUT: Final = '{"order": 4711, "customer": "c-15", "lines": [{"sku": "tea", "count": 2}, {"sku": "cup", "count": 1}]}'


# --- the servers ------------------------------------------------------------------------------------------------------


async def ours(folder: Path, port: Path) -> None:
    """Serve stepfold over a store in that folder."""
    from stepfold import Engine, Limits
    from stepfold.service.service import StepFunctions
    from stepfold.service.serving import serve

    async with Engine(folder / "service.db", limits=Limits.local()) as engine:
        await engine.create("passes", PASSES)
        await engine.create("waits", WAITS)
        await serve(StepFunctions(engine), port=0, announce=port.write_text)


async def bare(folder: Path, port: Path) -> None:
    """Serve a Starlette app of one handler, with the same settings; what it answers lies in the folder."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from stepfold.service.serving import serve_app

    answers = {name.stem: name.read_bytes() for name in folder.glob("*.answer")}  # noqa: ASYNC240  (nothing is served yet)

    async def handler(request: Request) -> Response:
        await request.body()
        answer = answers[request.headers["x-amz-target"].rpartition(".")[2]]
        return Response(answer, media_type="application/x-amz-json-1.0")

    await serve_app(Starlette(routes=[Route("/", handler, methods=["POST"])]), port=0, announce=port.write_text)


@contextlib.contextmanager
def server(which: str, folder: Path) -> Iterator[int]:
    """One of them in a process of its own, on that port."""
    port = folder / f"{which}.port"
    places = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.service", which, str(port), str(folder)], env=places)
    try:
        while not port.exists() or not port.read_text():
            if process.poll() is not None:
                raise RuntimeError(f"the server '{which}' did not start")
            time.sleep(0.02)
        yield int(port.read_text().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


# --- the client -------------------------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One keep-alive connection: the next request goes out when the answer before it is whole."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._received = b""
        self.answers: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport: Any = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Take the answer, and send the next."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._received.decode()))
            self._transport.close()
            return
        self.answers.append(body)
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up is no server."""
        if not self.done.done():
            self.done.set_exception(exc or RuntimeError("the server hung up"))

    def _next(self) -> None:
        if (request := next(self._requests, None)) is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


def request(operation: str, **members: str) -> bytes:
    """What goes over the wire, with the headers that boto3 sends."""
    body = msgspec.json.encode(members)
    head = (
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: identity\r\n"
        f"X-Amz-Target: AWSStepFunctions.{operation}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        "User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11 md/pyimpl#CPython\r\n"
        "X-Amz-Date: 20261123T000000Z\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/states/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}\r\n"
        f"amz-sdk-invocation-id: 00000000-0000-4000-8000-000000000000\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def asked(port: int, requests: Iterable[bytes]) -> tuple[float, list[bytes]]:
    """Seconds until all were answered over the connections, and the answers."""
    shared, loop = iter(requests), asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [await loop.create_connection(lambda: Connection(shared), "127.0.0.1", port) for _ in range(CONNECTIONS)]
    connections = [connection for _, connection in made]
    for connection in connections:
        await connection.done
    return time.perf_counter() - begun, [answer for connection in connections for answer in connection.answers]


async def first_answers(port: int) -> list[str]:
    """The ARNs of executions to describe: half of them have ended."""
    arns = []
    for machine in ("passes", "waits"):
        start = request("StartExecution", stateMachineArn=MACHINE + machine, input=INPUT)
        _, answers = await asked(port, repeat(start, KNOWN // 2))
        arns.append([msgspec.json.decode(answer)["executionArn"] for answer in answers])
    return [arn for pair in zip(*arns, strict=True) for arn in pair]


async def turns(operation: str, count: int, folder: Path, port: int) -> Round:
    """So many requests to each server, in turns; both have answered some before."""
    start = request("StartExecution", stateMachineArn=f"{MACHINE}passes", input=INPUT)
    describe = [request("DescribeExecution", executionArn=arn) for arn in await first_answers(port)]
    work = describe if operation == "DescribeExecution" else [start]
    _, (answer,) = await asked(port, work[:1])
    Path(folder, f"{operation}.answer").write_bytes(answer)  # noqa: ASYNC240  (the other server is not there yet)
    seconds = {"ours": 0.0, "bare": 0.0}
    with server("bare", folder) as other:
        ports = {"ours": port, "bare": other}
        for at in ports.values():
            await asked(at, islice(cycle(work), count // 10))
        for _ in range(TURNS):
            for which, at in ports.items():
                taken, _ = await asked(at, islice(cycle(work), count // TURNS))
                seconds[which] += taken
    done = count // TURNS * TURNS
    return Round(done / seconds["ours"], done / seconds["bare"], {})


def loaded(operation: str, count: int) -> Round:
    """One round."""
    with tempfile.TemporaryDirectory(dir=".") as made, server("ours", folder := Path(made)) as port:
        return asyncio.run(turns(operation, count, folder, port))


def _line(name: str, operation: str, count: int, *, quick: bool) -> Line:
    rounds, count = (1, 200) if quick else (ROUNDS, count)
    return measured(name, "requests/s", "a bare Starlette handler", rounds, loaded, operation, count)


def described(*, quick: bool) -> Line:
    """The line `api_describe`."""
    return _line("api_describe", "DescribeExecution", DESCRIBED, quick=quick)


def started(*, quick: bool) -> Line:
    """The line `api_start`."""
    return _line("api_start", "StartExecution", STARTED, quick=quick)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    anyio.run({"ours": ours, "bare": bare}[sys.argv[1]], Path(sys.argv[3]), Path(sys.argv[2]))
