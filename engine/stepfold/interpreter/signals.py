"""What an execution may hear, and what it owes: signals come in by one door, effects go out by one.

A signal that answers something names the event that asked (`asked`, its number in the log). One that nobody waits for
any more, late or twice, changes nothing.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from stepfold.language.failures import Failure
from stepfold.query.values import Value

from .facts import ExecutionStarted


class _Message(msgspec.Struct, frozen=True, gc=False):
    pass


# --- signals ----------------------------------------------------------------------------------------------------------


class Begin(_Message, frozen=True):
    """Start, as this first fact says."""

    started: ExecutionStarted


class Started(_Message, frozen=True):
    """A worker took the task on."""

    asked: int
    worker: str | None = None


class Submitted(_Message, frozen=True):
    """The job was handed over, and `output` is the receipt; its end will be told later."""

    asked: int
    output: Value


class Succeeded(_Message, frozen=True):
    """The task is done."""

    asked: int
    output: Value


class Failed(_Message, frozen=True):
    """The task failed."""

    asked: int
    failure: Failure


class Unstarted(_Message, frozen=True):
    """The task cannot be done with what it was given, and `cause` says why."""

    asked: int
    cause: str


class TimedOut(_Message, frozen=True):
    """The task's time (or, with `heartbeat`, the patience between two heartbeats) is over."""

    asked: int
    heartbeat: bool = False


class Heartbeat(_Message, frozen=True):
    """Whoever does the task still lives."""

    asked: int


class Interrupted(_Message, frozen=True):
    """The engine went away while these tasks were in flight, and now begins them again.

    Those in `failing` are not begun again: they fail, and Retry decides (`on_interrupt="fail"`).
    """

    asked: tuple[int, ...]
    failing: tuple[int, ...] = ()


class Rang(_Message, frozen=True):
    """The moment has come that a Wait, a retry or the machine's TimeoutSeconds named."""

    asked: int


class Evaluated(_Message, frozen=True):
    """What an evaluation outside the decision came to; nothing where it was not needed after all."""

    asked: int
    outcome: Value | Failure | None


class MapRunEnded(_Message, frozen=True):
    """The map run has ended: with the array of its executions' outputs, or with a failure."""

    asked: int
    outcome: Value | Failure


class Stop(_Message, frozen=True):
    """End now, from outside."""

    error: str | None = None
    cause: str | None = None


class Redrive(_Message, frozen=True):
    """Go on after a bad end: do again what had not come to its end. `token` is the caller's name for it."""

    token: str | None = None


class Continue(_Message, frozen=True):
    """Go on with what is ready: the decision before this one had reached its limit."""


Signal: TypeAlias = (
    Begin | Started | Submitted | Succeeded | Failed | Unstarted | TimedOut | Heartbeat | Interrupted | Rang | Evaluated
    | MapRunEnded | Stop | Redrive | Continue
)


# --- effects ----------------------------------------------------------------------------------------------------------


class Invoke(_Message, frozen=True):
    """Have the resource do the work, and tell what came of it.

    `timeout` and `heartbeat` are in seconds, counted from when the work really begins. `attempt` counts how often this
    very work was begun, `retry` how often its state was tried before.
    """

    asked: int
    state: str
    resource: str
    arguments: Value
    timeout: int | None
    heartbeat: int | None
    token: str | None
    attempt: int
    retry: int
    outward: bool


class Attend(_Message, frozen=True):
    """Wait for the end of a job that was handed over, as `receipt` shows, and tell what came of it."""

    asked: int
    job: Invoke
    receipt: Value


class Offer(_Message, frozen=True):
    """Hold the task out to whoever polls for its activity, and tell `Started` once somebody takes it."""

    asked: int
    activity: str
    arguments: Value
    token: str


class Sleep(_Message, frozen=True):
    """Tell `Rang`, or for a task `TimedOut`, once the moment `until` has come."""

    asked: int
    until: int
    task: bool = False


class Evaluate(_Message, frozen=True):
    """Evaluate a field of the frame's state under limits of time and memory, and tell `Evaluated`."""

    asked: int
    frame: int
    field: str


class RunMap(_Message, frozen=True):
    """Run the executions of a distributed Map's frame, or go on after redrive number `redrives`; tell `MapRunEnded`."""

    asked: int
    frame: int
    arn: str
    redrives: int


Effect: TypeAlias = Invoke | Attend | Offer | Sleep | Evaluate | RunMap
