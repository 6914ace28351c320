"""The lines of control of an execution: frames, and what each of them can wait for.

This is data; nothing but `Execution.apply` writes to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from stepfold.language.failures import Failure
from stepfold.query import values
from stepfold.query.template import NO_VARIABLES, Variables
from stepfold.query.values import Value

from . import facts
from .facts import Event

Stage: TypeAlias = Literal["enter", "work", "leave", "fail", "handle", "give up", "end"]
"""Where in its state a ready frame is: about to enter `next`; to do the state's work; to shape the result and leave; to
answer a failure that cut its work short, or one that its work came to; to give up, as a catcher's expression failed; or
at the end of its block."""

FAILING: Final[dict[Stage, Stage]] = {
    "work": "fail", "leave": "handle", "fail": "give up", "handle": "give up",
}
"""The stage after a failure in the midst of one."""

class Invocation:
    """A frame waits for a task: `since` when its time began, `beat` the last sign of life (both milliseconds).

    `receipt` is what it was given for the task when that was handed over.
    """

    __slots__ = (
        "arguments", "asked", "attempt", "beat", "heartbeat", "outward", "receipt", "resource", "since", "started",
        "timeout", "token",
    )

    def __init__(self, event: Event, fact: facts.TaskScheduled, arguments: Value) -> None:
        self.asked = event.seq
        self.since = event.at
        self.beat = event.at
        self.resource = fact.resource
        self.arguments = arguments
        self.timeout = fact.timeout
        self.heartbeat = fact.heartbeat
        self.token = fact.token
        self.outward = fact.outward
        self.attempt = 1
        self.started = False
        self.receipt: Value | None = None

    @property
    def submitted(self) -> bool:
        """Whether it was handed over."""
        return self.receipt is not None

    @property
    def apart(self) -> bool:
        """Whether it goes on while the engine is away: its time-out then counts from when it was asked for."""
        return self.outward or self.submitted

    @property
    def activity(self) -> bool:
        """Whether somebody must come for it."""
        return self.outward and ":activity:" in self.resource


class Timer:
    """A frame waits for a moment, in milliseconds since the epoch."""

    __slots__ = ("asked", "until")

    def __init__(self, asked: int, until: int) -> None:
        self.asked = asked
        self.until = until


class Evaluation:
    """A frame waits for an expression that is evaluated elsewhere."""

    __slots__ = ("asked", "field")

    def __init__(self, asked: int, field: str) -> None:
        self.asked = asked
        self.field = field


class Branches:
    """A frame waits for the branches of its Parallel: `running` by index, `outputs` as they come."""

    __slots__ = ("next", "outputs", "running")

    def __init__(self, count: int) -> None:
        self.next = 0
        self.outputs: list[Value | None] = [None] * count
        self.running: dict[int, Frame] = {}

    @property
    def has_room(self) -> bool:
        """Whether a branch has not begun yet."""
        return self.next < len(self.outputs)

    @property
    def complete(self) -> bool:
        """Whether every branch has come to its end."""
        return not self.running and not self.has_room


class Items(Branches):
    """A frame waits for the items of its Map: `source`, which are slices of the array `text`.

    `link` is the event id that the next iteration follows in AWS's chain: MapStateStarted, or with a limited
    concurrency the last event of the iteration whose place it takes.
    """

    __slots__ = ("concurrency", "limited", "link", "source", "start", "text")

    def __init__(self, fact: facts.MapStarted, event: Event, source: Value, ahead: int) -> None:
        super().__init__(fact.length)
        self.start = fact.start
        self.limited = fact.concurrency > 0
        self.concurrency = fact.concurrency or ahead
        self.link = event.id
        self.text = source
        self.source = values.items(source)

    @property
    def has_room(self) -> bool:
        """Whether one more item may begin now."""
        return self.next < len(self.outputs) and len(self.running) < self.concurrency

    @property
    def room(self) -> int:
        """How many more items may begin now."""
        return min(len(self.outputs) - self.next, self.concurrency - len(self.running))

    @property
    def complete(self) -> bool:
        """Whether every item has come to its end."""
        return not self.running and self.next == len(self.outputs)


class Executions:
    """A frame waits for the map run of its distributed Map, which `asked` began or redrove (0: not begun yet).

    `source` is the array, or the object, of the items; `run` how it was begun. `redrives` counts redrives, and
    `failure` is what it ended by. One that has `ended` otherwise has nothing left to redrive.
    """

    __slots__ = ("asked", "concurrency", "ended", "failure", "length", "redrives", "run", "source")

    def __init__(self, fact: facts.MapStarted, source: Value) -> None:
        self.asked = 0
        self.length = fact.length
        self.concurrency = fact.concurrency
        self.source = source
        self.run: facts.MapRunStarted | None = None
        self.redrives = 0
        self.ended = False
        self.failure: Failure | None = None


Waits: TypeAlias = Invocation | Timer | Branches | Executions


class Frame:
    """One line of control, named by the number of the event that opened it.

    `value` is the latest value (what an event leaves out), `input` what the current state was given. `pointer` is the
    id at the end of AWS's chain here, `before` the same as it was when the state was entered; `entered_id` and
    `entered_at` tell when that was. `tries` counts retries by retrier within this visit. `evaluated` holds what
    expressions came to that were evaluated elsewhere, `token` the task token that they saw. `variables` are
    those it sees: its own, and its parent's.
    A frame that is `stilled` was cut off; it stays until its parent leaves the state, for a redrive to go on with.
    """

    __slots__ = (
        "before", "entered_at", "entered_id", "evaluated", "evaluating", "failure", "index", "input", "kind", "next",
        "parent", "pointer", "seq", "stage", "state", "stilled", "token", "tries", "value",
        "variables", "waits",
    )

    def __init__(  # (positional: the hottest call of a fold)
        self, seq: int, parent: Frame | None, index: int, pointer: int, value: Value, start: str
    ) -> None:
        self.seq = seq
        self.parent = parent
        self.index = index
        self.pointer = pointer
        self.before = pointer
        self.value = value
        self.input = value
        self.next: str | None = start
        self.state = ""
        self.kind = ""
        self.stage: Stage = "enter"
        self.entered_id = 0
        self.entered_at = 0
        self.stilled = False
        self.waits: Waits | None = None
        self.evaluating: Evaluation | None = None
        self.tries: dict[int, int] = NO_TRIES
        self.failure: Failure | None = None
        self.evaluated: dict[str, Value | Failure] = NOTHING_EVALUATED
        self.token: str | None = None
        self.variables: Variables = NO_VARIABLES if parent is None else parent.variables

    @property
    def retries(self) -> int:
        """How often the state was tried again in this visit, by whichever retrier."""
        return sum(self.tries.values()) if self.tries else 0

    def lineage(self) -> Iterator[Frame]:
        """The frame, its parent, and so on up to the root."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


NO_TRIES: Final[dict[int, int]] = {}
NOTHING_EVALUATED: Final[dict[str, Value | Failure]] = {}

DEADLINE_ALLOWANCE = 8
"""A heartbeat within an eighth of its interval is not recorded; deadlines are that much more patient."""


def deadline(call: Invocation) -> int | None:
    """When the task must be answered or give a sign of life, in milliseconds since the epoch.

    For an activity's task the time begins when somebody comes for it.
    """
    if call.activity and not call.started:
        return None
    due = None if call.timeout is None else call.since + call.timeout * 1000
    if (silent := silence(call)) is not None:
        due = silent if due is None else min(due, silent)
    return due


def silence(call: Invocation) -> int | None:
    """When it will have given no sign of life for too long; of a job that the engine itself attends to, none is due."""
    if call.heartbeat is None or (call.submitted and not call.outward):
        return None
    return call.beat + call.heartbeat * (1000 + 1000 // DEADLINE_ALLOWANCE)
