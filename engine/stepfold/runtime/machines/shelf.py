"""What versions, aliases and tags ask of the registry that holds them: a promise, so that they know no registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import anyio

from stepfold.runtime.clock import Chance, Clock
from stepfold_store.contract import Store

from .known import Known, Version


class Updated(NamedTuple):
    """What came of an update: since when the machine is as it is, the new revision, the version that was asked for."""

    at: int
    revision: str | None
    version: Version | None


class Shelf(Protocol):
    """Machines by ARN, changed by one at a time (`changing`)."""

    clock: Clock
    chance: Chance
    changing: anyio.Lock

    @property
    def store(self) -> Store:
        """Where everything is written before it is remembered."""
        ...

    def peek(self, arn: str) -> Known | None:
        """A machine by its own ARN, if it is known."""
        ...

    async def alive(self, arn: str) -> Known:
        """A machine by its own ARN, to be changed; raises where there is none, or not for long."""
        ...

    async def update(
        self,
        arn: str,
        changes: Mapping[str, Any],
        definition: str | None = None,
        *,
        publish: bool = False,
        description: str | None = None,
    ) -> Updated:
        """Change a machine, or publish it as it is."""
        ...

    async def bury(self, kind: str, arn: str) -> None:
        """Remove one entry for good."""
        ...
