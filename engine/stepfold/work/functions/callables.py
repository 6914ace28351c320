"""Python callables as workers: async ones on the event loop, the others each in a thread.

A callable takes the event, or the event and a context that looks like Lambda's and says more. What it returns must
be JSON, as on AWS; what it raises becomes the failure that AWS's Python runtime would report.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
import structlog
from anyio import CapacityLimiter

from stepfold.query.values import Json, NotAdmitted, Value, admit_tree, tree
from stepfold.work.call import Call, TaskError

from . import lambdas

logger = structlog.get_logger(__name__)

PER_CORE = 2
"""How many calls of one function run at once on a core, where they need a thread or a process."""
LAMBDA_SECONDS = 900
"""What a function that has no deadline is told it has left at its start: Lambda's longest time-out."""

Callee: TypeAlias = Callable[..., Any]


def per_machine() -> int:
    """How many calls of one function run at once in threads or child processes, unless its registration says."""
    return PER_CORE * (os.cpu_count() or 1)


class Context:
    """What a callable may ask about its call: the names of Lambda's context, and stepfold's own.

    `token` is the idempotency key; `attempt` counts from 1, and grows when an interrupted call is made again.
    """

    __slots__ = ("_began", "_call", "_request")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._began = time.monotonic()
        self._request: str | None = None

    @property
    def token(self) -> str:
        """The same on every repeat of this attempt, also after a crash."""
        return self._call.token

    @property
    def attempt(self) -> int:
        """1, and more when an interrupted call is made again."""
        return self._call.attempt

    @property
    def execution(self) -> str:
        """The ARN of the execution."""
        return self._call.execution

    @property
    def state(self) -> str:
        """The name of the Task."""
        return self._call.state

    @property
    def deadline(self) -> float | None:
        """When the Task times out, in seconds since 1970; None where it does not."""
        timeout = self._call.timeout
        return None if timeout is None else time.time() - (time.monotonic() - self._began) + timeout

    @property
    def function_name(self) -> str:
        """The function's name; the Resource as written where the Task calls no function."""
        resource = self._call.resource
        return resource.split(":")[6] if ":function:" in resource else resource

    @property
    def invoked_function_arn(self) -> str:
        """The ARN by which the function was called."""
        return self._call.resource

    @property
    def aws_request_id(self) -> str:
        """A UUID that belongs to this call; made from the token, so a repeat has the same."""
        if self._request is None:
            self._request = lambdas.request_id(self._call.token)
        return self._request

    def heartbeat(self) -> None:
        """Say that the call still lives."""
        self._call.beat()

    def get_remaining_time_in_millis(self) -> int:
        """How long until the deadline; a call without one is told as much as Lambda can give."""
        timeout = self._call.timeout
        left = (LAMBDA_SECONDS if timeout is None else timeout) - (time.monotonic() - self._began)
        return max(0, int(left * 1000))


class _ThreadContext(Context):
    """The context of a callable in a thread: its heartbeat crosses to the event loop, until nobody listens there."""

    __slots__ = ("abandoned", "thread")

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.abandoned = False
        self.thread: str | None = None  # the thread's name, while it works

    def heartbeat(self) -> None:
        if not self.abandoned:
            anyio.from_thread.run_sync(self._call.beat)


class Function:
    """A Python callable as a worker. `concurrency` is what it may do at once, unless its registration says."""

    def __init__(self, function: Callee) -> None:
        self.function = function
        self._wants_context, self._by_name = _context_wanted(function)
        self._asynchronous = _is_async(function)
        self.concurrency = None if self._asynchronous else per_machine()
        # No bound here: the registration has one. Its own, because anyio's default is shared with all who use it.
        self._threads = CapacityLimiter(math.inf)

    async def __call__(self, call: Call) -> Value:
        """Hand the event over, and take the result in."""
        event = tree(call.arguments)
        try:
            if not self._asynchronous:
                result = await self._in_thread(event, _ThreadContext(call))
            elif self._wants_context:
                result = await self._call(event, Context(call))
            else:
                result = await self.function(event)
        except TaskError:
            raise
        except Exception as error:
            raise failed(error, lambdas.request_id(call.token)) from error
        except SystemExit as error:  # on AWS it ends the process; here it must not end the engine
            raise exited(error, lambdas.request_id(call.token)) from error
        return _admitted(result, call)

    def _call(self, event: Json, context: Context) -> Any:
        return self.function(event, context=context) if self._by_name else self.function(event, context)

    async def _in_thread(self, event: Json, context: _ThreadContext) -> Json:
        def work() -> Any:
            context.thread = threading.current_thread().name
            try:
                return self._call(event, context) if self._wants_context else self.function(event)
            finally:
                context.thread = None

        try:
            result = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
        except anyio.get_cancelled_exc_class():
            context.abandoned = True
            if context.thread:
                # Python has no way to stop a thread. It runs on, and what it returns is nobody's.
                logger.warning(
                    "function runs on after its call was cancelled", function=context.function_name,
                    execution=context.execution, state=context.state, thread=context.thread,
                )
            raise
        return await result if isinstance(result, Awaitable) else result


def _admitted(result: Json, call: Call) -> Value:
    """The result as a Value, or the failure that AWS's Python runtime reports for what is not JSON."""
    try:
        value = admit_tree(result)  # first, for it also says where a result holds itself
        if type(result) in _SCALARS or not _has_decimals(result):
            return value
        return admit_tree(_without_decimals(result))
    except NotAdmitted as error:
        reason = str(error)
    raise TaskError(lambdas.MARSHAL, lambdas.cause(
        errorMessage=f"Unable to marshal response: {reason}",
        errorType=lambdas.MARSHAL, requestId=lambdas.request_id(call.token), stackTrace=[],
    ))


def failed(error: Exception, request: str) -> TaskError:
    """The failure of a callable that raised: named after the class, with the cause that AWS records (recorded)."""
    name = type(error).__name__
    return TaskError(name, lambdas.cause(
        errorMessage=str(error), errorType=name, requestId=request, stackTrace=_stack(error.__traceback__),
    ))


def exited(error: SystemExit, request: str) -> TaskError:
    """The failure of a callable that called `sys.exit`."""
    status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return TaskError(lambdas.EXIT, lambdas.cause(
        errorType=lambdas.EXIT,
        errorMessage=f"RequestId: {request} Error: Runtime exited with error: exit status {status}",
    ))


def _stack(trace: TracebackType | None) -> list[str]:
    """The frames of a traceback as AWS writes them, from the callable's own on."""
    import linecache

    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename
        if frames or not file.startswith(_NOT_SHOWN):
            line = linecache.getline(file, trace.tb_lineno, trace.tb_frame.f_globals).strip()
            frames.append(f'  File "{file}", line {trace.tb_lineno}, in {code.co_name}\n    {line}\n')
        trace = trace.tb_next
    return frames


_NOT_SHOWN = (__file__, os.path.dirname(anyio.__file__))  # noqa: PTH120 - compared with a code's file name, a text

_SCALARS = frozenset({str, int, float, bool, type(None)})


def _has_decimals(result: Json) -> bool:
    """Whether the result holds Decimals, for which AWS writes numbers. Raises NotAdmitted for what is not JSON's.

    The encoder takes more than AWS's runtime does (bytes, sets, dates): a function that works here must not fail
    there.
    """
    waiting = [result]
    decimals = False
    for value in waiting:  # grows while it is walked
        kind = type(value)
        if kind in _SCALARS:
            continue
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        elif isinstance(value, Decimal):
            decimals = True
        elif not isinstance(value, str | int | float):
            raise NotAdmitted(f"Object of type {kind.__name__} is not JSON serializable")
    return decimals


def _without_decimals(value: Json) -> Json:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _without_decimals(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_decimals(child) for child in value]
    return value


def _is_async(function: Callee) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _context_wanted(function: Callee) -> tuple[bool, bool]:
    """Whether a callable takes the context, and whether by name. Raises TypeError where it takes no event.

    A second parameter that has a default takes it only if it is called `context`.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins do not say
        return False, False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return True, False
    if not positional:
        raise TypeError(f"{function!r} takes no event: a worker is f(event) or f(event, context)")
    if len(positional) > 1:
        second = positional[1]
        return second.default is second.empty or second.name == "context", False
    named = any(one.kind is one.KEYWORD_ONLY and one.name == "context" for one in parameters)
    return named, named
