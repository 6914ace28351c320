"""Who does what a Task asks: a call, a worker, and the routing from the one to the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from stepfold.query.values import Value


class TaskError(Exception):
    """Raised by a worker: the task failed, with an error name that Retry and Catch can match, and a cause."""

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Call:
    """One piece of work that a Task asks for.

    `resource` is the Task's Resource as written; `arguments` its JSON; `execution` the ARN of the execution, `state`
    the name of the Task. `token` is the idempotency key: the same on every repeat of this attempt, also after a
    crash. `attempt` counts from 1 and grows when an interrupted call is made again; `retry` is how often the state
    was retried before. `timeout` and `heartbeat` are in seconds, or None.

    A worker calls `begin()` when it really starts (a call may queue for its turn first): the time-out counts from
    there. It calls `beat()` to say that it still lives.
    """

    __slots__ = (
        "arguments", "attempt", "beat", "begin", "execution", "heartbeat", "resource", "retry", "state", "timeout",
        "token",
    )

    def __init__(
        self,
        *,
        resource: str,
        arguments: Value,
        execution: str,
        state: str,
        token: str,
        attempt: int = 1,
        retry: int = 0,
        timeout: float | None = None,
        heartbeat: float | None = None,
        begin: Callable[[], None] = lambda: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.resource = resource
        self.arguments = arguments
        self.execution = execution
        self.state = state
        self.token = token
        self.attempt = attempt
        self.retry = retry
        self.timeout = timeout
        self.heartbeat = heartbeat
        self.begin = begin
        self.beat = beat


Worker: TypeAlias = Callable[[Call], Awaitable[Value]]
"""Does one call: returns its result as admitted JSON, raises TaskError, and stops when it is cancelled."""
