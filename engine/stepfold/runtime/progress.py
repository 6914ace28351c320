"""Where an execution is, for a person who watches: read off its frames, so that watching costs it nothing.

What is told of a live execution may be a moment ahead of the disk; whoever must not see that reads the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stepfold.interpreter.execution import Execution
from stepfold.interpreter.frames import Branches, Frame, Invocation, Items, Timer, deadline

from .runs.run import Run


class MapProgress(NamedTuple):
    """A Map under way: `done` of `total` items have come to their end, `running` are begun."""

    frame: int
    state: str
    done: int
    total: int
    running: int


class At(NamedTuple):
    """A state that an execution is in: since when and, where it only waits, until when (milliseconds since 1970)."""

    state: str
    since: int
    until: int | None = None


class Progress(NamedTuple):
    """Where an execution is: the Maps under way, the states it is in outside of them, the length of its log."""

    maps: list[MapProgress]
    states: list[At]
    events: int = 0


def progress(execution: Execution) -> Progress:
    """Where an execution is; its Maps' items are counted, not visited."""
    found = Progress([], [], execution.version)
    if execution.status == "RUNNING":
        for frame in outer_frames(execution):
            waits = frame.waits
            if isinstance(waits, Items):
                running, total = len(waits.running), len(waits.outputs)
                found.maps.append(MapProgress(frame.seq, frame.state, waits.next - running, total, running))
            elif not isinstance(waits, Branches) and frame.state:
                until = waits.until if isinstance(waits, Timer) else None
                found.states.append(At(frame.state, frame.entered_at, until))
    return found


def outer_frames(execution: Execution, items: int = 0) -> Iterator[Frame]:
    """The frames of an execution, without those inside Maps of more than so many items; outer ones come first."""
    waiting = [execution.root]
    while waiting:
        frame = waiting.pop()
        yield frame
        waits = frame.waits
        if isinstance(waits, Branches) and (not isinstance(waits, Items) or len(waits.outputs) <= items):
            waiting.extend(reversed(waits.running.values()))


def only_waits(run: Run) -> bool:
    """Whether a run cannot go on by itself: all that it asked for is missing, or is to be answered from outside."""
    execution = run.execution
    if execution.ready or not run.quiet or not execution.asked:
        return False
    return all(asked in run.missing or _from_outside(frame) for asked, frame in execution.asked.items())


def _from_outside(frame: Frame) -> bool:
    waits = frame.waits
    return isinstance(waits, Invocation) and waits.outward and deadline(waits) is None
