"""What runs inside a child process: the guard that dies with the engine, and the runtime of Python handlers.

    bootstrap.py PARENT exec COMMAND...     become COMMAND, which dies with PARENT
    bootstrap.py PARENT serve SOCKET        run the Python handler that `_HANDLER` names

It stands alone: it imports nothing of stepfold, and nothing that a handler does not need, for each cold start pays.
"""
# ruff: noqa: INP001 - a script, of no package

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_KILL = 9
_SET_PARENT_DEATH_SIGNAL = 1
_API = "/2018-06-01/runtime/"
_DEPLOYED = "/var/task/"


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the engine's thread that made it ends, however it ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, _KILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be asked
        os._exit(1)


class Api:
    """The Runtime API, over the socket that the engine holds the other end of."""

    def __init__(self, descriptor: int) -> None:
        import socket

        self.socket = socket.socket(fileno=descriptor)
        self.socket.set_inheritable(False)
        self.file = self.socket.makefile("rb")

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[dict[str, str], bytes]:
        """Send a request and read the answer; leave when the engine has gone."""
        head = f"{method} {_API}{path} HTTP/1.1\r\nHost: stepfold\r\nContent-Length: {len(body)}\r\n"
        if kind:
            head += f"Lambda-Runtime-Function-Error-Type: {kind}\r\n"
        try:
            self.socket.sendall(head.encode("latin-1", "replace") + b"\r\n" + body)
            first = self.file.readline()
        except OSError:
            first = b""
        if not first:
            os._exit(0)
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers, self.file.read(int(headers.get("content-length", 0)))


class Context:
    """The context of a Lambda handler."""

    def __init__(self, headers: dict[str, str]) -> None:
        environment = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.function_name = environment["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = environment["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = environment["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = environment["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.identity = None
        self._deadline = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self) -> int:
        """How long until the function times out."""
        import time

        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


class Fault(Exception):
    """A failure that Lambda has a name for; its stack is not shown."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def load(name: str) -> Callable[[Any, Context], Any]:
    """Find the handler: `module.function`, where the module may be written as a path."""
    import importlib

    if "." not in name:
        raise Fault(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        )
    module_name, function_name = name.rsplit(".", 1)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}") from error
    try:
        found: Callable[[Any, Context], Any] = getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'"
        ) from None
    return found


def shaped(error: Exception, request: str) -> tuple[str, bytes]:
    """An error as AWS's Python runtime reports it: its name, and its JSON."""
    import json
    import traceback

    stack: list[str] = []
    if isinstance(error, Fault):
        kind = error.kind
    else:
        kind = type(error).__name__
        for frame in traceback.extract_tb(error.__traceback__):
            if stack or frame.filename not in (__file__, "<frozen importlib._bootstrap>"):
                place = _as_deployed(frame.filename)
                stack.append(f'  File "{place}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n')
    fields = {"errorMessage": str(error), "errorType": kind, "requestId": request, "stackTrace": stack}
    return kind, json.dumps(fields, separators=(",", ":")).encode()


def _as_deployed(file: str) -> str:
    """Where Lambda would have had the file: histories are to be alike, wherever the function's folder lies."""
    root = os.environ.get("LAMBDA_TASK_ROOT", "").rstrip(os.sep) + os.sep
    return _DEPLOYED + file.removeprefix(root) if file.startswith(root) and len(root) > 1 else file


def number(value: object) -> int | float:
    """Write a Decimal as a number, as AWS does; nothing else that is not JSON."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def answer(handler: Callable[[Any, Context], Any], headers: dict[str, str], body: bytes) -> bytes:
    """Call the handler and write its result as JSON; bytes are taken as JSON already, as AWS's runtime does.

    (Recorded: services/test_lambda_task, bytes_payload.)
    """
    import json

    result = handler(json.loads(body), Context(headers))
    if isinstance(result, bytes | bytearray):
        return bytes(result)
    try:
        text = json.dumps(result, default=number, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        encoded = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    return encoded


def serve(descriptor: int) -> NoReturn:
    """Answer events until the engine hangs up."""
    api = Api(descriptor)
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001 - reported to the engine
        kind, body = shaped(error, "")
        api.ask("POST", "init/error", body, kind)
        os._exit(1)
    while True:
        headers, event = api.ask("GET", "invocation/next")
        request = headers["lambda-runtime-aws-request-id"]
        try:
            body = answer(handler, headers, event)
        except Exception as error:  # noqa: BLE001 - reported to the engine
            kind, body = shaped(error, request)
            api.ask("POST", f"invocation/{request}/error", body, kind)
        else:
            api.ask("POST", f"invocation/{request}/response", body)


def main() -> None:
    """Do what the arguments say."""
    parent, what, *rest = sys.argv[1:]
    die_with(int(parent))
    if what == "exec":
        os.execv(rest[0], rest)  # noqa: S606 - the very purpose
    sys.argv[1:] = []
    serve(int(rest[0]))


if __name__ == "__main__":
    main()
