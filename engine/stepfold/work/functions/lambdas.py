"""What is Lambda's own about a Task: how a function is named, what `lambda:invoke` wraps, how a fault is written.

A Task calls a function in one of two ways. With the function's ARN as its Resource, the function gets the Task's
arguments and its result is the Task's. With `lambda:invoke` the function gets `Payload`, and its result comes back
inside a copy of the answer that Lambda's own API gives, HTTP headers included (recorded).
"""

from __future__ import annotations

import time
import uuid
from email.utils import formatdate
from typing import NamedTuple

import msgspec

from stepfold.language.resources import parse_resource
from stepfold.names import Home, parse_arn
from stepfold.query.values import EMPTY_OBJECT, NULL, Json, NotAdmitted, Value, admit, text

RESPONSE_BYTES = 6_291_556
"""The longest answer of a function (AWS: 6 MB and a little, as its message says)."""

EXIT = "Runtime.ExitError"
"""A process that ended before its answer (the name Lambda uses; not in the recorded histories)."""
TIMED_OUT = "Sandbox.Timedout"
"""The function's own time-out, as the guide names it for today's runtimes (not in the recorded histories)."""
TOO_LARGE = "Function.ResponseSizeTooLarge"
NOT_FOUND = "Lambda.ResourceNotFoundException"
MARSHAL = "Runtime.MarshalError"
"""A result that is not JSON, as AWS's Python runtime names it (not in the recorded histories)."""
UNKNOWN = "Lambda.Unknown"


class Invocation(NamedTuple):
    """One function to call: its name and ARN, its event, and, for `lambda:invoke`, what the answer depends on."""

    name: str
    arn: str
    event: Value
    version: str = "$LATEST"
    wrapped: bool = False
    kind: str = "RequestResponse"


class _Arguments(msgspec.Struct, rename="pascal"):
    function_name: str
    payload: msgspec.Raw = EMPTY_OBJECT
    qualifier: str | None = None
    invocation_type: str = "RequestResponse"


_arguments = msgspec.json.Decoder(_Arguments)


def named(function: str, home: Home) -> tuple[str, str, str | None]:
    """The plain name, full ARN and qualifier of a function called by name, `NAME:QUALIFIER`, partial or full ARN."""
    if arn := parse_arn(function):
        parts = arn.resource.split(":")
        partition, region, account = arn.partition, arn.region, arn.account
    else:
        parts = function.split(":")
        partition, region, account = home.partition, home.region, home.account
        if len(parts) > 2 and parts[1] == "function":
            account, parts = parts[0], parts[1:]
    if parts[0] == "function" and len(parts) > 1:
        parts = parts[1:]
    name, qualifier = parts[0], parts[1] if len(parts) > 1 else None
    arn_text = f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    return name, f"{arn_text}:{qualifier}" if qualifier else arn_text, qualifier


def invokes(resource: str) -> bool:
    """Whether the Resource is `lambda:invoke`, whose arguments say which function is called."""
    try:
        asked = parse_resource(resource)
    except ValueError:
        return False
    return asked.kind == "lambda" and asked.family == "Task" and asked.action == "invoke"


def invocation(resource: str, arguments: Value, home: Home) -> Invocation | None:
    """The function that a Task calls, or None where the Task calls something else, or names no function."""
    try:
        asked = parse_resource(resource)
    except ValueError:
        return None
    if asked.family == "Lambda":
        return Invocation(asked.action, resource, arguments)
    if asked.kind != "lambda" or asked.action != "invoke":
        return None
    try:
        request = _arguments.decode(arguments)
    except msgspec.ValidationError:
        return None
    name, arn, qualifier = named(request.function_name, home)
    if qualifier is None and request.qualifier:
        qualifier, arn = request.qualifier, f"{arn}:{request.qualifier}"
    # Which version an alias stands for is known to AWS alone: an alias is shown as the latest.
    version = qualifier if qualifier and qualifier.isdigit() else "$LATEST"
    # No payload, or null: the function is handed an empty object (recorded). It is copied: a slice would keep the
    # whole of the arguments alive.
    event = EMPTY_OBJECT if request.payload == NULL else _unquoted(request.payload.copy())
    return Invocation(name, arn, event, version, wrapped=True, kind=request.invocation_type)


def _unquoted(payload: Value) -> Value:
    """A text that is itself JSON is sent as that JSON (recorded: services/test_lambda_task_service, json_values).

    What AWS does with any other text is not recorded: it stays a text.
    """
    if bytes(memoryview(payload)[:1]) != b'"':
        return payload
    try:
        return admit(msgspec.json.decode(payload, type=str))
    except NotAdmitted:
        return payload


def wrap(asked: Invocation, payload: Value, request: str) -> Value:
    """The answer of `lambda:invoke`: the payload among the traces of an HTTP response that it travelled in.

    For the invocation types `Event` (202) and `DryRun` (204) the payload is an empty text (not recorded).
    """
    status = {"Event": 202, "DryRun": 204}.get(asked.kind, 200)
    if status != 200:
        payload = Value(b'""')
    length = str(len(payload))
    date = formatdate(time.time(), usegmt=True)
    trace = f"root=1-{int(time.time()):08x}-{request.replace('-', '')[:24]};sampled=0"
    headers = {
        "Connection": "keep-alive",
        "Content-Length": length,
        "Content-Type": "application/json",
        "Date": date,
        "X-Amz-Executed-Version": asked.version,
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": request,
        "X-Amzn-Trace-Id": trace,
    }
    return text({
        "ExecutedVersion": asked.version,
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [headers[name]] for name in _AS_RECEIVED},
            "HttpHeaders": headers,
            "HttpStatusCode": status,
        },
        "SdkResponseMetadata": {"RequestId": request},
        "StatusCode": status,
    })


_AS_RECEIVED = (
    "X-Amz-Executed-Version", "x-amzn-Remapped-Content-Length", "Connection", "x-amzn-RequestId", "Content-Length",
    "Date", "X-Amzn-Trace-Id", "Content-Type",
)
"""The order in which Lambda sends its headers (recorded); `HttpHeaders` has them sorted."""

_NAMESPACE = uuid.UUID("b4aef7a8-6a6c-5f0e-9a55-8f2a25bd4b47")


def request_id(token: str) -> str:
    """The request id of a call: a UUID, the same whenever the same call is made again."""
    return str(uuid.uuid5(_NAMESPACE, token))


def cause(**fields: Json) -> str:
    """A failure's cause: compact JSON of the given fields, in the order given."""
    return bytes(text(fields)).decode()


def timed_out(seconds: float, request: str) -> str:
    """The cause of a function that overran its own time-out."""
    message = f"RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
    return cause(errorType=TIMED_OUT, errorMessage=message)


def not_found(asked: Invocation, home: Home, token: str) -> str:
    """The cause of a call of a function that is not there (recorded for `lambda:invoke`)."""
    _, _, qualifier = named(asked.arn, home)
    arn = asked.arn if qualifier else f"{asked.arn}:$LATEST"
    answer = f"Status Code: 404; Error Code: ResourceNotFoundException; Request ID: {request_id(token)}"
    return f"Function not found: {arn} (Service: AWSLambda; {answer}; Proxy: null)"


def too_large() -> str:
    """The cause of a function whose answer is longer than Lambda carries."""
    return cause(
        errorType=TOO_LARGE,
        errorMessage=f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes).",
    )
