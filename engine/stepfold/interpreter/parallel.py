"""Parallel: fork into branches, and join."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from stepfold.query.template import Moment

from . import dataflow, facts
from .execution import Execution, Facts
from .frames import Branches, Frame

if TYPE_CHECKING:
    from stepfold.language.machine import Machine


def fork(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Begin every branch; once all have come to their end, join them."""
    step = machine.steps[frame.state]
    if frame.waits is None:
        given = dataflow.arguments(step, execution, frame, moment)
        dataflow.within(execution, given, step.name, "provided parameters")
        yield facts.ParallelStarted(len(step.blocks), UNSET if given == frame.value else given)
    waits = frame.waits
    if not isinstance(waits, Branches):
        raise AssertionError("a Parallel that has begun waits for its branches")
    while waits.has_room:
        yield facts.BranchStarted(frame.seq, waits.next, step.blocks[waits.next])
    if waits.complete:
        yield facts.ParallelSucceeded()
