"""What starting, redriving, nesting and express executions ask of the engine: promises, so that none knows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import anyio

from stepfold.language.limits import Limits
from stepfold.names import Home
from stepfold.work.mocked import Mocks

from .bounds import Bounds
from .clock import Chance
from .lately import Committed, Lately
from .machines.registry import Registry
from .runs.run import Run, Told
from .runs.world import World


class Host(World[Run], Protocol):
    """The world of runs, and which there are by ARN: alive (`runs`), `failed`, being folded, ended lately.

    Whoever wants to hear of the end of one says so in `awaited`, by its ARN.
    """

    runs: dict[str, Run]
    failed: dict[str, Exception]
    folding: dict[str, anyio.Event]
    lately: Lately
    awaited: dict[str, Callable[[Run], None]]
    registry: Registry
    limits: Limits
    bounds: Bounds
    home: Home
    chance: Chance

    def aside(self, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Have a task done beside that is no run's; it must not fail."""
        ...

    async def followed(self, run: Run, told: Told) -> None:
        """Wait until a decision is durable and followed, also where the one who waits goes away."""
        ...

    async def alive(self, arn: str) -> Run | None:
        """The run of an execution, after a fold that is under way; None where it has ended."""
        ...


class Parent(Host, Protocol):
    """What nested executions ask of it besides."""

    mocks: Mocks | None

    async def committed(self, arn: str) -> Committed:
        """What the catalog says of an execution and how it began. Raises ExecutionDoesNotExist."""
        ...

    async def stop(self, name_or_arn: str, *, error: str | None = None, cause: str | None = None) -> None:
        """End an execution now."""
        ...

    def asleep(self) -> AbstractContextManager[None]:
        """While a task waits within this for another execution, only that one keeps the engine busy."""
        ...
