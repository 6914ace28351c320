"""What the world outside tells of a task, by its token: that it was taken, lives, is done, or has failed.

The reply is given after the commit, and it is an error where nobody waits for the task any more: so no answer that was
accepted is ever lost.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import NamedTuple, Protocol

import anyio

from stepfold.errors import InvalidOutput, InvalidToken, TaskTimedOut
from stepfold.interpreter import signals
from stepfold.interpreter.frames import Invocation
from stepfold.interpreter.signals import Signal
from stepfold.language.failures import Failure
from stepfold.names import read_token
from stepfold.query.values import NotAdmitted, Value, admit
from stepfold_store.contract import Store

from .activities import Activities
from .bounds import Bounds
from .runs.run import Run


class Polled(NamedTuple):
    """A task that somebody came for."""

    token: str
    input: Value


class Listener(Protocol):
    """What is asked of the engine."""

    bounds: Bounds

    @property
    def store(self) -> Store:
        """Where answers go."""
        ...

    async def alive(self, arn: str) -> Run | None:
        """The run of an execution; None where it has ended or is not known."""
        ...

    async def tell(self, run: Run, signal: Signal) -> None:
        """Say something to an execution; returns once it is durable."""
        ...


class Callbacks:
    """Speaks to executions by task token."""

    def __init__(self, engine: Listener, activities: Activities) -> None:
        self._engine = engine
        self._activities = activities

    async def poll(self, activity: str, *, worker: str | None = None, seconds: float = 60) -> Polled | None:
        """Come for a task of the activity; None where there is none for so long."""
        offered = None
        with anyio.move_on_after(seconds):
            offered = await self._activities.come_for(activity)
        if offered is None:
            return None
        with anyio.CancelScope(shield=True):  # it was picked: it must be recorded as taken
            await self._engine.tell(offered.run, signals.Started(offered.effect.asked, worker))
        return Polled(offered.effect.token, offered.effect.arguments)

    async def succeed(self, token: str, output: str) -> None:
        """The task is done. Raises InvalidOutput, InvalidToken, TaskTimedOut."""
        try:
            value = admit(output)
        except NotAdmitted as error:
            raise InvalidOutput(f"Invalid Output: '{error}'") from None
        await self._say(token, lambda asked: signals.Succeeded(asked, value))

    async def fail(self, token: str, error: str | None = None, cause: str | None = None) -> None:
        """The task failed. Raises InvalidToken, TaskTimedOut."""
        await self._say(token, lambda asked: signals.Failed(asked, Failure(error, cause)))

    async def beat(self, token: str) -> None:
        """Whoever does the task still lives. Raises InvalidToken, TaskTimedOut."""
        await self._say(token, signals.Heartbeat)

    async def _say(self, token: str, signal: Callable[[int], Signal]) -> None:
        told = read_token(token)
        if told is None:
            raise InvalidToken("Invalid Token: 'Invalid token'")
        arn, asked = told
        run = await self._engine.alive(arn)
        frame = None if run is None else run.execution.asked.get(asked) or run.execution.frames.get(asked)
        if run is None or frame is None or not isinstance(frame.waits, Invocation):
            raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
        if not hmac.compare_digest((frame.waits.token or "").encode(), token.encode()):
            raise InvalidToken("Invalid Token: 'Invalid token'")
        self._engine.bounds.check_backlog(self._engine.store)
        await self._engine.tell(run, signal(frame.waits.asked))
