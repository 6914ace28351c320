"""What every operation is given: the engine that is served, and where readers of histories have been."""

from __future__ import annotations

from typing import Any

from stepfold.names import Home
from stepfold.runtime.engine import Engine
from stepfold.service.wire.protocol import Condition

from .bookmarks import Bookmarks
from .recollections import RecollectionsOfMany


class Served:
    """An engine, as the operations see it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bookmarks = Bookmarks()
        self.recollections = RecollectionsOfMany()

    @property
    def home(self) -> Home:
        """Account, region and partition of its ARNs."""
        return self.engine.home

    def ready(self) -> bool:
        """Whether calls can be answered."""
        return self.engine.is_open

    async def health(self) -> Condition:
        """How the store is, and how many executions are set aside."""
        engine = self.engine
        if not engine.is_open:
            return Condition("closed", "the store is not open")
        told: dict[str, Any] = {"setAside": len(engine.failed)} if engine.failed else {}
        health = await engine.store.health()
        if not health.writable:
            return Condition("read-only", health.cause or "the store was closed", told)
        if warning := health.details.get("warning"):
            told["warning"] = warning
        return Condition("ok", None, told)
