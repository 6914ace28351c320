"""Local Lambda functions: unchanged handlers, each in child processes of its own that stay warm between calls.

A `Handler` says what there is to run; `Handlers` runs it. Node and Python handlers run under our own bootstraps,
`provided.*` runtimes under the executable `bootstrap` that they bring. Whatever goes wrong is reported as Lambda
reports it, so that Retry and Catch meet the same names as on AWS.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import structlog
from anyio.abc import TaskGroup

from stepfold.language.limits import PAYLOAD_BYTES
from stepfold.names import Home, parse_arn
from stepfold.query.values import NULL, NotAdmitted, Value, admit, text, tree
from stepfold.work.call import Call, TaskError

from . import lambdas
from .callables import LAMBDA_SECONDS, per_machine
from .processes import Child, Ended, Launch, Outcome, Stream
from .runtime_api import Fault

logger = structlog.get_logger(__name__)

NODE_MISSING = "Stepfold.NodeMissing"
"""Our own error name: a Node function was called where there is no Node, or none that is new enough."""
CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})
"""Variables that come together: half of one key and half of another sign nothing."""
UNSUPPORTED = "Stepfold.RuntimeNotSupported"
"""Our own error name: a function of a runtime (Java, Go, ...) that is not run here."""
NODE_OLDEST = 18
IDLE_SECONDS = 300
"""How long a child process is kept without work."""
INIT_SECONDS = 60
"""How long a child may take to become ready. AWS gives 10 s; a laptop that starts many at once needs more."""

OnOutput = Callable[[str, Stream, str], None]
"""Hears what functions write: the function's name, `stdout` or `stderr`, the line."""

_BOOTSTRAP = Path(__file__).parent / "bootstrap"


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A Lambda function on this machine: what AWS calls its configuration.

    `code` is the folder that holds it, `handler` the way to it from there; `timeout` in seconds is the function's
    own, `memory` in MB is only told to it. `concurrency` is how many child processes it may have.
    """

    name: str
    runtime: str
    handler: str = "index.handler"
    code: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    memory: int = 128
    concurrency: int | None = None


class Handlers:
    """The child processes of all local functions. They live while the `async with` block does.

    `on_output` hears every line a function writes, which goes to the log in any case. `clock` says when a child has
    been idle too long. `environment` is what every function finds in its own, where that sets nothing else.
    """

    def __init__(
        self,
        *,
        home: Home | None = None,
        on_output: OnOutput | None = None,
        idle_seconds: float = IDLE_SECONDS,
        init_seconds: float = INIT_SECONDS,
        node: str = "node",
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.home = home or Home()
        self.idle_seconds = idle_seconds
        self.init_seconds = init_seconds
        self.clock = clock
        self.environment = dict(environment or {})
        self._on_output = on_output
        self._node = node
        self._node_found: str | None = None
        self._functions: list[LocalFunction] = []
        self._children: set[Child] = set()
        self._group: TaskGroup | None = None
        self._closing = False

    def worker(self, handler: Handler) -> LocalFunction:
        """Make a worker of a function; it may be made before the block is entered, but not called."""
        function = LocalFunction(handler, self)
        self._functions.append(function)
        return function

    async def __aenter__(self) -> Self:
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group, self._closing = group, False
        group.start_soon(self._reap_now_and_then)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        group = self._group
        if group is None:
            return None
        try:
            await self.aclose()
        finally:
            self._group = None
            group.cancel_scope.cancel()
            try:
                ended = await group.__aexit__(kind, error, trace)
            finally:
                # A task that was cancelled before its first step never saw its child.
                for child in list(self._children):
                    child.bury()
                self._children.clear()
        return ended

    async def aclose(self) -> None:
        """Kill all children and wait for their end; no call can be made any more."""
        self._closing = True
        for child in self._children:
            child.kill()
        with anyio.CancelScope(shield=True):
            for child in list(self._children):
                await child.gone.wait()

    def reap(self) -> int:
        """End the children that have been idle for too long; returns how many."""
        return sum(function.reap(self.clock() - self.idle_seconds) for function in self._functions)

    async def _reap_now_and_then(self) -> None:
        while True:
            await anyio.sleep(max(1.0, self.idle_seconds / 4))
            self.reap()

    def start(self, name: str, launch: Launch) -> Child:
        """Start a child whose output is reported under the function's name."""
        if self._group is None or self._closing:
            raise TaskError(lambdas.EXIT, lambdas.cause(
                errorType=lambdas.EXIT, errorMessage="local functions are not running: their engine is closed",
            ))

        def on_line(request: str | None, stream: Stream, line: str) -> None:
            logger.info("function output", function=name, request=request, stream=stream, line=line)
            if self._on_output is not None:
                try:
                    self._on_output(name, stream, line)
                except Exception:
                    logger.exception("on_output failed", function=name)

        child = Child(launch, on_line)
        self._children.add(child)
        self._group.start_soon(self._attend, child, name)
        return child

    async def _attend(self, child: Child, name: str) -> None:
        try:
            await child.live()
        except Exception:
            logger.exception("lost a child process", function=name, pid=child.pid)
        finally:
            child.bury()
            self._children.discard(child)

    async def node(self) -> str:
        """Find Node once; raises TaskError where there is none, or an old one."""
        if self._node_found is None:
            needs = f"This function needs Node.js {NODE_OLDEST} or newer"
            path = shutil.which(self._node)
            if path is None:
                raise TaskError(NODE_MISSING, f"{needs}; none is installed.")
            answer = await anyio.run_process([path, "--version"], check=False)
            version = answer.stdout.decode(errors="replace").strip()
            found = re.match(r"v(\d+)\.", version)
            if not found or int(found[1]) < NODE_OLDEST:
                raise TaskError(NODE_MISSING, f"{needs}; {path} is {version!r}.")
            self._node_found = path
        return self._node_found


class LocalFunction:
    """A Handler as a worker: takes a warm child or starts one, and hands it the event."""

    def __init__(self, handler: Handler, pool: Handlers) -> None:
        self.handler = handler
        self.concurrency: int | None = handler.concurrency or per_machine()
        self._pool = pool
        self._idle: list[tuple[Child, float]] = []  # the last to come to rest is the first to be used again

    async def __call__(self, call: Call) -> Value:
        """Have a child answer the call. Cancelled, kill the child and wait for its end."""
        request = lambdas.request_id(call.token)
        outcome: Outcome | None = None
        while outcome is None:
            child, warm = await self._child()
            answered = False
            try:
                outcome = await self._ask(child, call, request, warm=warm)
                answered = child.failed is None
            finally:
                if answered:
                    self._idle.append((child, self._pool.clock()))
                else:
                    child.kill()
                    with anyio.CancelScope(shield=True):
                        await child.gone.wait()
        return _result(outcome, request)

    def reap(self, before: float) -> int:
        """End the children idle since before that moment; returns how many."""
        old = [child for child, since in self._idle if since <= before]
        self._idle = [(child, since) for child, since in self._idle if since > before]
        for child in old:
            child.kill()
        return len(old)

    async def _child(self) -> tuple[Child, bool]:
        """Take a child, and say whether it is a warm one."""
        while self._idle:
            child, _ = self._idle.pop()
            if child.alive:
                return child, True
            child.kill()  # and what it left behind
        launch = await self._launch()
        try:
            return self._pool.start(self.handler.name, launch), False
        except OSError as error:
            raise TaskError("Runtime.InvalidEntrypoint", lambdas.cause(
                errorType="Runtime.InvalidEntrypoint", errorMessage=f"Couldn't start the function: {error}",
            )) from error

    async def _ask(self, child: Child, call: Call, request: str, *, warm: bool) -> Outcome | None:
        """Hand over the event and hear the outcome; None from a warm child that ended before it took the event."""
        own = self.handler.timeout
        with anyio.move_on_after(self._pool.init_seconds):
            await child.ready.wait()
        if not child.ready.is_set():
            raise TaskError(lambdas.TIMED_OUT, lambdas.timed_out(self._pool.init_seconds, request))
        if child.failed:
            return None if warm else child.failed
        seconds = min(own or LAMBDA_SECONDS, call.timeout or LAMBDA_SECONDS)
        arn = call.resource if parse_arn(call.resource) else self._pool.home.function(self.handler.name)
        with anyio.move_on_after(own):
            return await child.invoke(bytes(call.arguments), request=request, deadline=time.time() + seconds, arn=arn)
        raise TaskError(lambdas.TIMED_OUT, lambdas.timed_out(own or 0, request))

    async def _launch(self) -> Launch:
        handler = self.handler
        folder = handler.code.absolute()
        guard = (sys.executable, "-I", "-S", str(_BOOTSTRAP / "bootstrap.py"), str(os.getpid()), "exec")
        environment = self._environment(folder)
        if handler.runtime.startswith("nodejs"):
            node = await self._pool.node()
            return Launch((*guard, node, str(_BOOTSTRAP / "bootstrap.mjs")), environment, folder)
        if handler.runtime.startswith("python"):
            # -P: the bootstrap's own folder is no place to import from.
            command = (sys.executable, "-u", "-P", str(_BOOTSTRAP / "bootstrap.py"), str(os.getpid()), "serve")
            return Launch(command, environment, folder)
        if handler.runtime.startswith("provided"):
            return Launch((*guard, str(folder / "bootstrap")), environment, folder, port=True)
        raise TaskError(UNSUPPORTED, (
            f"The runtime {handler.runtime!r} of the function {handler.name!r} is not supported locally: "
            "register a callable for it."
        ))

    def _environment(self, folder: Path) -> dict[str, str]:
        """All that a child finds in its environment: Lambda's variables and its own, nothing of the engine's."""
        handler, home = self.handler, self._pool.home
        given = CREDENTIALS if handler.environment.keys() & CREDENTIALS else ()
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "AWS_DEFAULT_REGION": home.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{handler.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(handler.memory),
            "AWS_LAMBDA_FUNCTION_NAME": handler.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{handler.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_REGION": home.region,
            "LAMBDA_RUNTIME_DIR": str(_BOOTSTRAP),
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": handler.handler,
            **{name: value for name, value in self._pool.environment.items() if name not in given},
            **handler.environment,
        }


def _result(outcome: Outcome, request: str) -> Value:
    """Turn what a child said into the result, or raise it as the failure that Lambda reports."""
    if isinstance(outcome, Ended):
        raise TaskError(lambdas.EXIT, lambdas.cause(
            errorType=lambdas.EXIT, errorMessage=f"RequestId: {request} Error: {outcome}",
        ))
    if isinstance(outcome, Fault):
        raise _fault(outcome)
    if outcome.excess:
        raise TaskError(lambdas.TOO_LARGE, lambdas.too_large())
    if not outcome.body.strip():
        return NULL
    try:
        return admit(outcome.body)
    except NotAdmitted as error:
        if len(outcome.body) > PAYLOAD_BYTES:
            return text(outcome.body.decode(errors="replace"))  # its size is what AWS looks at first (recorded)
        # Our bootstraps never send such an answer; what AWS says to it is not recorded.
        raise TaskError(lambdas.UNKNOWN, lambdas.cause(
            errorType=lambdas.UNKNOWN, errorMessage=f"RequestId: {request} Error: the response is not JSON: {error}",
        )) from None


def _fault(fault: Fault) -> TaskError:
    """Read an error that a runtime posted: JSON by the protocol, anything in practice."""
    kind = fault.kind or lambdas.UNKNOWN
    try:
        body = admit(fault.body)
        fields = tree(body)
    except NotAdmitted:
        return TaskError(kind, lambdas.cause(errorType=kind, errorMessage=fault.body.decode("utf-8", "replace")))
    if isinstance(fields, dict) and isinstance(fields.get("errorType"), str) and fields["errorType"]:
        kind = fields["errorType"]
    return TaskError(kind, bytes(body).decode())
