"""The AWS JSON 1.0 protocol, bytes in and bytes out: requests to validated Structs, answers and errors to replies.

    operation, request = read(call)         # raises CallerError, among them Refusal
    reply = answer(output)                  # or refuse(error)

Nothing here awaits, listens or knows an operation. An operation is an async function of the service and its request:

    async def start(service, request: shapes.StartExecutionInput) -> shapes.StartExecutionOutput

and a service holds them by AWS's names (`Service.operations`). One that the model has and the service lacks is an
UnknownOperationException, as it is to AWS.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from stepfold.errors import CallerError
from stepfold.names import Home
from stepfold.query.values import MAX_DEPTH, NotAdmitted, admit, fields

from .shapes import OPERATIONS, Shape
from .violations import message, violations

CONTENT_TYPE: Final = "application/x-amz-json-1.0"
TARGET: Final = "AWSStepFunctions."
BODY_BYTES: Final = 4 * 1_048_576
"""The largest body: a definition of 1 MiB whose every character is escaped, and room for the rest."""

# The part of `__type` before the `#`, which every SDK cuts off. The first and the last were seen on the wire.
SERVICE: Final = "com.amazonaws.swf.service.v2.model"
FRAMEWORK: Final = "com.amazon.coral.service"
CONSTRAINT: Final = "com.amazon.coral.validate"
_FRAMEWORK_CODES: Final = frozenset({
    "AccessDeniedException", "IncompleteSignatureException", "InternalFailure", "InvalidSignatureException",
    "MissingAuthenticationTokenException", "RequestEntityTooLargeException", "RequestTimeoutException",
    "SerializationException", "ServiceUnavailable", "ThrottlingException", "UnknownOperationException",
    "UnrecognizedClientException",
})

Answer: TypeAlias = "Shape | Mapping[str, Any] | msgspec.Raw | None"
"""What an operation may return: the Struct of its answer, plain data or JSON text of that form, or None for `{}`."""
Operation: TypeAlias = Callable[[Any, Any], Awaitable[Answer]]


class Condition(NamedTuple):
    """How a service is: `ok`, `closed` or `read-only`, and of the last why; what `told` adds is for a person."""

    status: str
    cause: str | None = None
    told: Mapping[str, Any] = {}

    @property
    def writes(self) -> bool:
        """Whether it takes work."""
        return self.status == "ok"

    def plain(self) -> dict[str, Any]:
        """As it is answered."""
        return {"status": self.status, **({} if self.cause is None else {"cause": self.cause}), **self.told}


class Service(Protocol):
    """What the wire serves: the operations by their names, whether they may be called now, and where it is."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Each takes this service and the Struct of its request."""

    @property
    def home(self) -> Home:
        """Account, region and partition of its ARNs."""

    def ready(self) -> bool:
        """Whether calls can be answered; False while it starts or stops."""

    async def health(self) -> Condition:
        """How it is, and why."""


class Refusal(CallerError):
    """A request turned away before any operation sees it."""

    def __init__(self, code: str, text: str, *, status: int = 400, namespace: str = FRAMEWORK) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.namespace = namespace


class Call(NamedTuple):
    """A request as it came; header names are lower case, repeated ones joined by a comma.

    `path` is as it was written, percent signs and all; `root` is what of it the app is mounted at.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    root: str = ""


class Reply(NamedTuple):
    """What goes back: status, headers, body; `code` is AWS's name of the error, for the log."""

    status: int
    headers: dict[str, str]
    body: bytes
    code: str = ""


def operation(call: Call) -> str:
    """The operation that is asked for, from the headers alone; raises Refusal."""
    if call.method != "POST" or call.path.removeprefix(call.root).strip("/"):
        raise Refusal("UnknownOperationException", "Requests are a POST to /", status=404)
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE:  # a browser cannot send this one across sites without asking first
        raise Refusal("UnknownOperationException", f"The Content-Type of a request is {CONTENT_TYPE}")
    target = call.headers.get("x-amz-target", "")
    name = target.removeprefix(TARGET)
    if name == target or name not in OPERATIONS:
        raise Refusal("UnknownOperationException", "The X-Amz-Target header names no operation of this service")
    return name


def read(name: str, body: bytes) -> Shape:
    """The request of an operation, decoded and validated; raises CallerError."""
    try:
        if not body.isascii():
            body.decode()  # what msgspec skips it does not look at
        request = _decoder(name).decode(body)
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            _shallow(body)
    except msgspec.ValidationError:
        raise _refused(name, body) from None
    except (msgspec.DecodeError, NotAdmitted, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error) from None
    return request


def answer(output: Answer, request_id: str) -> Reply:
    """The reply that carries an operation's answer."""
    return Reply(200, _headers(request_id), b"{}" if output is None else _encoder.encode(output))


def refuse(error: CallerError, request_id: str) -> Reply:
    """The reply that tells of a caller's mistake; an error's `members` go along where the model has some."""
    code = error.code
    namespace = getattr(error, "namespace", FRAMEWORK if code in _FRAMEWORK_CODES else SERVICE)
    told = {"__type": f"{namespace}#{code}", "message": error.message, **getattr(error, "members", {})}
    try:
        body = _encoder.encode(told)
    except UnicodeEncodeError:  # a lone surrogate that an operation told back
        body = _encoder.encode({**told, "message": error.message.encode("utf-8", "replace").decode()})
    return Reply(getattr(error, "status", 400), _headers(request_id), body, code)


def fail(request_id: str) -> Reply:
    """The reply to a fault of ours, which tells nothing of it."""
    told = {"__type": f"{FRAMEWORK}#InternalFailure", "message": "The request failed by a fault of the service"}
    return Reply(500, _headers(request_id), _encoder.encode(told), "InternalFailure")


def request_id() -> str:
    """A new id, which a client finds beside its answer and in the log."""
    digits = f"{random.getrandbits(128):032x}"  # a name, no secret: no system call
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def timestamp(milliseconds: int) -> float:
    """A point in time as the API tells it."""
    return milliseconds / 1000


_encoder = msgspec.json.Encoder()


@cache
def _decoder(name: str) -> msgspec.json.Decoder[Shape]:
    return msgspec.json.Decoder(OPERATIONS[name].input)


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": request_id}


def _shallow(body: bytes) -> None:
    """Raises NotAdmitted where a field nests too deeply; the brackets that were counted may well lie in a text."""
    for value in fields(msgspec.Raw(body)).values():
        if memoryview(value)[0] in b"[{":
            admit(bytes(value))


def _unreadable(error: Exception) -> Refusal:
    why = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
    return Refusal("SerializationException", f"The body cannot be read: {why}")


def _refused(name: str, body: bytes) -> CallerError:
    """Why msgspec would not take a body that is JSON, in AWS's words."""
    try:
        found = violations(OPERATIONS[name].input, msgspec.json.decode(body))
    except CallerError as error:
        return error
    except (msgspec.DecodeError, RecursionError) as error:
        return _unreadable(error)
    if not found:
        return Refusal("SerializationException", "A value has the wrong type")
    return Refusal("ValidationException", message(found), namespace=CONSTRAINT)
