"""The service: every operation of the API by its name, over one engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import executions, machines, mapruns, tags, tasks, teststate, versions
from .protocol import Operation
from .served import Served

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
    """What the wire serves (see `protocol.Service`)."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Each takes this service and its request."""
        return OPERATIONS
