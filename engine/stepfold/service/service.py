"""The service: every operation of the API by its name, over one engine."""

from __future__ import annotations

from collections.abc import Mapping

from stepfold.names import Home
from stepfold.runtime.engine import Engine

from . import executions, machines, tags, tasks, teststate, versions
from .protocol import Operation
from .starts import Starts


class StepFunctions:
    """What the wire serves (see `protocol.Service`); operations reach the engine by it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.starts = Starts()
        self.operations: Mapping[str, Operation] = {
            **machines.OPERATIONS,
            **versions.OPERATIONS,
            **tags.OPERATIONS,
            **tasks.OPERATIONS,
            **executions.OPERATIONS,
            **teststate.OPERATIONS,
        }

    @property
    def home(self) -> Home:
        """Account, region and partition of its ARNs."""
        return self.engine.home

    def ready(self) -> bool:
        """Whether work is taken."""
        return self.engine.is_open
