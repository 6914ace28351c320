"""What a Task asks for, as whoever does it sees it; and how doing it can fail."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import structs

from stepfold.language.failures import RUNTIME
from stepfold.query.values import Value


class Trace:
    """What went over the wire for a call, told by its worker to whoever tries the call out, in the words of TestState.

    `request` has protocol, method, url, headers and body; `response` protocol, statusCode, statusMessage, headers and
    body; each is a text. Empty is what was not sent, or did not come. `reveal` asks for the secrets in them, too.
    """

    __slots__ = ("request", "response", "reveal")

    def __init__(self, *, reveal: bool = False) -> None:
        self.reveal = reveal
        self.request: dict[str, str] = {}
        self.response: dict[str, str] = {}


def _nothing() -> None:
    """Nobody asks when a call begins, or whether it lives."""


class Call(msgspec.Struct, kw_only=True, eq=False):
    """One piece of work that a Task asks for.

    `resource` is the Task's Resource as written; `arguments` its JSON; `execution` the ARN of the execution, `state`
    the name of the Task. `token` is the idempotency key: the same on every repeat of this attempt, also after a
    crash. `attempt` counts from 1 and grows when an interrupted call is made again; `retry` is how often the state
    was retried before. `timeout` and `heartbeat` are in seconds, or None. `case` is the test case of its execution.

    A worker calls `begin()` when it really starts (a call may queue for its turn first): the time-out counts from
    there. It calls `beat()` to say that it still lives. Where there is a `trace`, one that sends requests for its Task
    fills it in.
    """

    resource: str
    arguments: Value
    execution: str
    state: str
    token: str
    attempt: int = 1
    retry: int = 0
    timeout: float | None = None
    heartbeat: float | None = None
    begin: Callable[[], None] = _nothing
    beat: Callable[[], None] = _nothing
    case: str | None = None
    trace: Trace | None = None

    def __repr__(self) -> str:
        """Without what it carries, which is nobody's business where a call is shown or logged."""
        return f"<call of {self.resource} by {self.state} of {self.execution}>"

    def asking(self, resource: str, arguments: Value) -> Call:
        """The same call with another resource and other arguments, such as a function's ARN and event."""
        return structs.replace(self, resource=resource, arguments=arguments)


class TaskError(Exception):
    """Raised by a worker: the task failed, with an error name that Retry and Catch can match, and a cause."""

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Unstartable(TaskError):
    """The Task's arguments are none that its Resource takes: nobody was asked for anything. `why` lists the reasons.

    It fails the execution, as an error in the state's own fields does, and not the task: no Retry, no Catch.
    """

    def __init__(self, arguments: Value, why: str) -> None:
        shown = bytes(arguments).decode()
        super().__init__(RUNTIME, f"The Parameters '{shown}' could not be used to start the Task: [{why}]")


class NoWorker(Exception):
    """Nobody is registered for what a Task asks; `function` is the function's name where one was asked for."""

    def __init__(self, resource: str, function: str | None = None) -> None:
        asked = f"the function {function!r} ({resource})" if function else repr(resource)
        super().__init__(f"no worker is registered for {asked}")
        self.resource = resource
        self.function = function
