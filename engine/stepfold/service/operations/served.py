"""What every operation is given: the engine that is served, and how far readers of histories have come."""

from __future__ import annotations

from stepfold.names import Home
from stepfold.runtime.engine import Engine

from .bookmarks import Bookmarks


class Served:
    """An engine, as the operations see it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bookmarks = Bookmarks()

    @property
    def home(self) -> Home:
        """Account, region and partition of its ARNs."""
        return self.engine.home

    def ready(self) -> bool:
        """Whether work is taken."""
        return self.engine.is_open
