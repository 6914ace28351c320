"""Nested executions: what `states:startExecution` asks for, with every pattern of waiting for it.

    worker = Children(executions)         # for calls (an answer, a task token) and for jobs (.sync, .sync:2)

Who starts and ends executions is handed in. A child is told by its `origin`, a name made of the call's token: asked for
again after a crash, it is the one that was started before, whatever has become of it. The forms of answers and failures
are recorded, `.sync:2` among them; of a child that fails it is its description, and no more of it is known.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final, NamedTuple, Protocol

import msgspec

from stepfold.errors import CallerError
from stepfold.language.failures import TASK_FAILED
from stepfold.query.values import NULL, Json, Value, text, tree

from .call import Call, TaskError, Unstartable
from .functions import lambdas

_PARSED: Final = ".sync:2"


class Asked(NamedTuple):
    """A child to be started: its machine's ARN, its input as JSON text (None: none was given), its name.

    `attended` says that somebody will wait for its end.
    """

    machine: str
    input: str | None
    name: str | None
    trace: str | None
    origin: str
    attended: bool


class Born(NamedTuple):
    """A child that was started, at so many milliseconds since the epoch."""

    arn: str
    at: int


class Executions(Protocol):
    """Who starts executions, waits for them, and stops them; each raises CallerError."""

    async def start(self, asked: Asked) -> Born:
        """Start an execution, or find the one of that origin."""
        ...

    async def ended(self, arn: str) -> Mapping[str, Json]:
        """Wait for the end: what DescribeExecution then tells, by AWS's names, times in milliseconds."""
        ...

    async def stop(self, arn: str) -> None:
        """End it now; nothing happens where it has ended."""
        ...


class _Arguments(msgspec.Struct, rename="pascal"):
    state_machine_arn: str
    input: msgspec.Raw = NULL
    name: str | None = None
    trace_header: str | None = None


_arguments = msgspec.json.Decoder(_Arguments)


class Children:
    """A worker and a job (see `jobs.py`) for `arn:aws:states:::states:startExecution` and its patterns."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    async def __call__(self, call: Call) -> Value:
        """Start a child: the answer of StartExecution."""
        return await self._start(call, attended=False)

    async def submit(self, call: Call) -> Value:
        """Start a child that is waited for: the same answer."""
        return await self._start(call, attended=True)

    async def wait(self, call: Call, receipt: Value) -> Value:
        """The description of the child when it has ended; a bad end is States.TaskFailed, with it as the cause."""
        request = lambdas.request_id(call.token)
        try:
            told = dict(await self._executions.ended(_arn(receipt)))
        except CallerError as error:
            raise _refused(error, request) from None
        if call.resource.endswith(_PARSED):
            told |= {name: Value(told[name].encode()) for name in ("Input", "Output") if name in told}
        description = text(dict(sorted(told.items())))
        if told["Status"] != "SUCCEEDED":
            raise TaskError(TASK_FAILED, bytes(description).decode())
        return description

    async def cancel(self, _call: Call, receipt: Value) -> None:
        """Stop the child."""
        await self._executions.stop(_arn(receipt))

    async def _start(self, call: Call, *, attended: bool) -> Value:
        request = lambdas.request_id(call.token)
        try:
            asked = _arguments.decode(call.arguments)
        except msgspec.ValidationError as error:
            raise Unstartable(call.arguments, str(error)) from None
        try:
            born = await self._executions.start(Asked(
                machine=asked.state_machine_arn,
                input=_input(asked.input),
                name=asked.name,
                trace=asked.trace_header,
                origin=request,
                attended=attended,
            ))
        except CallerError as error:
            raise _refused(error, request) from None
        return _answer(born, request)


def _input(given: msgspec.Raw) -> str | None:
    """The child's input: a text is taken to be JSON itself (recorded), anything else is written as JSON."""
    if given == NULL:
        return None
    if bytes(memoryview(given)[:1]) == b'"':
        return msgspec.json.decode(given, type=str)
    return bytes(given).decode()


def _arn(receipt: Value) -> str:
    return str(tree(receipt)["ExecutionArn"])


def _answer(born: Born, request: str) -> Value:
    """The answer of StartExecution among the traces of the HTTP response that it travelled in (recorded)."""
    body = text({"executionArn": born.arn, "startDate": born.at / 1000})
    headers = {
        "connection": "keep-alive",
        "Content-Length": str(len(body)),
        "Content-Type": "application/x-amz-json-1.0",
        "Date": formatdate(time.time(), usegmt=True),
        "x-amzn-RequestId": request,
    }
    return text({
        "ExecutionArn": born.arn,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [headers[name]] for name in _AS_RECEIVED},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
        "StartDate": born.at,
    })


_AS_RECEIVED: Final = ("x-amzn-RequestId", "connection", "Content-Length", "Date", "Content-Type")


def _refused(error: CallerError, request: str) -> TaskError:
    """A refusal in the words of AWS's SDK for Java, as its first version has them (recorded)."""
    name = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
    told = f"Service: AWSStepFunctions; Status Code: 400; Error Code: {error.code}; Request ID: {request}; Proxy: null"
    return TaskError(f"StepFunctions.{name}", f"{error.message} ({told})")
