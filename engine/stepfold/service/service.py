"""The service: every operation of the API by its name, over one engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stepfold.runtime.engine import Engine

from . import own
from .operations import executions, machines, mapruns, tags, tasks, teststate, versions
from .operations.served import Served
from .wire.protocol import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    **machines.OPERATIONS,
    **versions.OPERATIONS,
    **tags.OPERATIONS,
    **tasks.OPERATIONS,
    **executions.OPERATIONS,
    **mapruns.OPERATIONS,
    **teststate.OPERATIONS,
}


class StepFunctions(Served):
    """What the wire serves (see `protocol.Service`); the engine's own Tasks may ask for it, too (see `own.py`)."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        resource = f"arn:{engine.home.partition}:states:::{own.SERVICE}:*"
        engine.register(resource, own.Own(self, OPERATIONS), outside_cap=True)  # GetActivityTask waits for others

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Each takes this service and its request."""
        return OPERATIONS
