"""All that can happen to an execution: facts, the events that stamp them, and their form in the log.

An execution *is* the fold of these events, so they last for ever: tags and field names are frozen by a golden file in
the tests, and fields are only ever added, with defaults. The log is AWS's history plus a few *silent* facts, which AWS
does not record but a resume must know (a drawn retry delay, the moment a Wait ends). Everything else becomes exactly
one event of AWS's history: see `stepfold.insight.history`.

Three rules keep the log small and whole:

* A value left out (`UNSET`) is *the frame's latest value*: what its newest event before this one gave or took. So
  `StateEntered` does not repeat the output that the state before it left. Values are left out where their texts are
  equal, not where they are one object: a fold has the same texts, but other objects.
* Whatever came from time, chance or a query is recorded where it was first computed; folding needs the log alone.
* `previous` follows AWS's chain (API notes, section 8.1). A fact says whether the chain `moves` on to it.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from stepfold.language.limits import Limits

FORMAT = 1
"""The version of this vocabulary, recorded in ExecutionStarted."""

Elided: TypeAlias = Raw | UnsetType


class _Fact(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True, gc=False):
    silent: ClassVar[bool] = False
    moves: ClassVar[bool] = True
    opens: ClassVar[bool] = False
    """Whether its event opens a frame, which is named by the event's own number."""
    carries: ClassVar[str] = ""
    """The field whose value counts towards the size of a decision."""


# --- the execution ----------------------------------------------------------------------------------------------------


class ExecutionStarted(_Fact, frozen=True):
    """The first event of every log; opens the root frame.

    `machine` is the machine's ARN, `definition` the SHA-256 of its text, `start` the first state, `timeout` the whole
    execution's seconds. `text` is the input as the caller wrote it, where that differs from its compact form; `trace`
    the X-Ray header that came with the start. An execution that a map run began (its ARN is `map_run`) is that one's
    number `child`, for so many `items`. `origin` is the name of the call that started it, where a Task did: asked for
    again, it is this one. `case` is the test case whose answers stand in for its tasks.
    """

    moves: ClassVar[bool] = False
    opens: ClassVar[bool] = True
    carries: ClassVar[str] = "input"
    input: Raw
    arn: str
    name: str
    machine: str
    definition: str
    start: str
    limits: Limits = Limits()
    format: int = FORMAT
    timeout: int | None = None
    role: str = ""
    region: str = ""
    version: str | None = None
    alias: str | None = None
    text: str | None = None
    trace: str | None = None
    map_run: str | None = None
    child: int = 0
    items: int = 0
    origin: str | None = None
    case: str | None = None


class ExecutionSucceeded(_Fact, frozen=True):
    """The end, with the root frame's latest value as output."""


class ExecutionFailed(_Fact, frozen=True):
    """The end, by a failure that nothing caught."""

    error: str | None = None
    cause: str | None = None


class ExecutionAborted(_Fact, frozen=True):
    """The end, by a stop from outside."""

    error: str | None = None
    cause: str | None = None


class ExecutionTimedOut(_Fact, frozen=True):
    """The end, by the machine's own TimeoutSeconds."""

    error: str | None = None
    cause: str | None = None


class ExecutionRedriven(_Fact, frozen=True):
    """An execution that ended badly goes on: what had not come to its end is done again. `count` is from 1.

    `token` is the caller's own, by which the same request is known when it comes again.
    """

    moves: ClassVar[bool] = False
    count: int
    token: str | None = None


# --- a state ----------------------------------------------------------------------------------------------------------


class StateEntered(_Fact, frozen=True):
    """A frame enters a state; `kind` is the state's Type."""

    carries: ClassVar[str] = "input"
    name: str
    kind: str
    input: Elided = UNSET


class StateExited(_Fact, frozen=True):
    """A frame leaves its state, towards `next` (None: the frame has come to its end).

    `assigned` is what Assign set, in the frame's own scope.
    """

    carries: ClassVar[str] = "output"
    name: str
    output: Elided = UNSET
    next: str | None = None
    assigned: dict[str, Raw] | None = None


class StateFailed(_Fact, frozen=True):
    """A state met with a failure that AWS has no event for (a payload past the limit, an intrinsic's)."""

    silent: ClassVar[bool] = True
    error: str | None = None
    cause: str | None = None


class StateAborted(_Fact, frozen=True):
    """A state was cut off because a sibling of its frame failed (a Task's also when the Task itself failed so)."""

    moves: ClassVar[bool] = False


class WaitStarted(_Fact, frozen=True):
    """A Wait waits until this moment (milliseconds since the epoch)."""

    silent: ClassVar[bool] = True
    until: int


class RetryScheduled(_Fact, frozen=True):
    """A failed state will be tried again at `until`, by the retrier of that index; its children are gone."""

    silent: ClassVar[bool] = True
    retrier: int
    until: int


class TimerRang(_Fact, frozen=True):
    """The moment has come: the Wait is over, or the retry begins."""

    silent: ClassVar[bool] = True


# --- a task -----------------------------------------------------------------------------------------------------------


class TaskScheduled(_Fact, frozen=True):
    """A resource is asked for work; the answer names this event. `timeout` and `heartbeat` are in seconds.

    `outward` tells that the answer comes from outside this process (a callback, an activity's worker); `role` is the
    role that Credentials name.
    """

    carries: ClassVar[str] = "arguments"
    resource: str
    arguments: Elided = UNSET
    timeout: int | None = None
    heartbeat: int | None = None
    token: str | None = None
    outward: bool = False
    role: str | None = None


class TaskStarted(_Fact, frozen=True):
    """The work was taken on (by `worker`, where one named itself)."""

    worker: str | None = None


class TaskSubmitted(_Fact, frozen=True):
    """A job was handed over, and is waited for; `output` is the receipt."""

    carries: ClassVar[str] = "output"
    output: Raw


class TaskSucceeded(_Fact, frozen=True):
    """The work is done."""

    carries: ClassVar[str] = "output"
    output: Raw


class TaskFailed(_Fact, frozen=True):
    """The work failed."""

    error: str | None = None
    cause: str | None = None


class TaskTimedOut(_Fact, frozen=True):
    """The work took too long, or (`heartbeat`) was silent for too long."""

    error: str | None = None
    cause: str | None = None
    heartbeat: bool = False


class Reattempted(_Fact, frozen=True):
    """The work in flight at a crash was begun again; its time-out counts from here, if it is done in the engine."""

    silent: ClassVar[bool] = True
    asked: int


class HeartbeatReceived(_Fact, frozen=True):
    """Whoever does the work still lives; its next heartbeat counts from here."""

    silent: ClassVar[bool] = True
    asked: int


# --- Parallel and Map -------------------------------------------------------------------------------------------------


class ParallelStarted(_Fact, frozen=True):
    """A Parallel begins; `input` is what every branch gets."""

    carries: ClassVar[str] = "input"
    branches: int
    input: Elided = UNSET


class BranchStarted(_Fact, frozen=True):
    """A branch of the frame `parent` begins at the state `start`; opens a frame."""

    silent: ClassVar[bool] = True
    opens: ClassVar[bool] = True
    parent: int
    index: int
    start: str


class BranchSucceeded(_Fact, frozen=True):
    """A branch has come to its end, with its frame's latest value; closes the frame."""

    silent: ClassVar[bool] = True


class ParallelSucceeded(_Fact, frozen=True):
    """All branches have; the frame's value is now the array of theirs."""

    moves: ClassVar[bool] = False


class ParallelFailed(_Fact, frozen=True):
    """A branch failed and no retrier took it; the other branches are gone. `heartbeat`: by a missed heartbeat."""

    error: str | None = None
    cause: str | None = None
    heartbeat: bool = False


class MapStarted(_Fact, frozen=True):
    """A Map begins. `items` is the array, `start` each item's first state, `concurrency` 0 where unlimited.

    The items of one that is `distributed` are executions of their own, which a map run begins.
    """

    carries: ClassVar[str] = "items"
    length: int
    start: str
    items: Elided = UNSET
    concurrency: int = 0
    distributed: bool = False


class IterationStarted(_Fact, frozen=True):
    """An item of the frame `parent` begins; without `input` it is given the item itself. Opens a frame."""

    opens: ClassVar[bool] = True
    carries: ClassVar[str] = "input"
    parent: int
    index: int
    input: Elided = UNSET


class IterationSucceeded(_Fact, frozen=True):
    """An item has come to its end, with its frame's latest value; closes the frame."""

    moves: ClassVar[bool] = False


class IterationFailed(_Fact, frozen=True):
    """An item failed; its Map decides what follows."""

    moves: ClassVar[bool] = False
    error: str | None = None
    cause: str | None = None


class IterationAborted(_Fact, frozen=True):
    """An item was cut off because a sibling failed."""

    moves: ClassVar[bool] = False


class MapSucceeded(_Fact, frozen=True):
    """All items have; the frame's value is now the array of their outputs."""

    moves: ClassVar[bool] = False


class MapFailed(_Fact, frozen=True):
    """An item failed and no retrier took it; the other items are gone. `heartbeat`: by a missed heartbeat."""

    error: str | None = None
    cause: str | None = None
    heartbeat: bool = False


# --- a distributed Map ------------------------------------------------------------------------------------------------


class MapRunStarted(_Fact, frozen=True):
    """The run of a distributed Map is asked for; its end names this event.

    `arn` is the map run's. Its executions are of the machine `machine` (an ARN with the Map's label), of the type
    `kind`, and use the definition of that SHA-256. Where neither tolerance is given, no failure is tolerated;
    `percentage` is of 100. `batch_items` and `batch_bytes` bound what goes into one execution; with neither it is given
    one item, and no `batch_input`.
    """

    carries: ClassVar[str] = "batch_input"
    arn: str
    machine: str
    definition: str
    kind: str
    tolerated: int | None = None
    percentage: float | None = None
    batch_items: int | None = None
    batch_bytes: int | None = None
    batch_input: Elided = UNSET


class MapRunRedriven(_Fact, frozen=True):
    """The map run goes on after its bad end, for the time `count` (from 1); its end names this event."""

    arn: str
    count: int


class MapRunSucceeded(_Fact, frozen=True):
    """The map run has ended well; `output` is the array of its executions' outputs."""

    moves: ClassVar[bool] = False
    carries: ClassVar[str] = "output"
    output: Raw


class MapRunFailed(_Fact, frozen=True):
    """The map run has failed; its Map decides what follows."""

    error: str | None = None
    cause: str | None = None


class MapRunAborted(_Fact, frozen=True):
    """The map run was cut off because a sibling of its frame failed."""

    moves: ClassVar[bool] = False


# --- evaluation -------------------------------------------------------------------------------------------------------


class EvaluationFailed(_Fact, frozen=True):
    """An expression of the state failed, and the state with it; `location` is its field, and the place in that."""

    state: str
    error: str | None = None
    cause: str | None = None
    location: str | None = None


class EvaluationAsked(_Fact, frozen=True):
    """An expression may cost too much for a decision; it is evaluated elsewhere, under limits.

    `token` is the one that the expression sees, and that its task is then asked with.
    """

    silent: ClassVar[bool] = True
    field: str
    token: str | None = None


class EvaluationAnswered(_Fact, frozen=True):
    """What came of it: a value, or an error and a cause; neither where, by time or chance, it was not needed.

    Unasked, it is what a decision had come to when it had to ask for something else.
    """

    silent: ClassVar[bool] = True
    carries: ClassVar[str] = "value"
    field: str
    value: Elided = UNSET
    error: str | None = None
    cause: str | None = None
    location: str | None = None


Fact: TypeAlias = (
    ExecutionStarted | ExecutionSucceeded | ExecutionFailed | ExecutionAborted | ExecutionTimedOut | ExecutionRedriven
    | StateEntered | StateExited | StateFailed | StateAborted | WaitStarted | RetryScheduled | TimerRang
    | TaskScheduled | TaskStarted | TaskSubmitted | TaskSucceeded | TaskFailed | TaskTimedOut
    | Reattempted | HeartbeatReceived
    | ParallelStarted | BranchStarted | BranchSucceeded | ParallelSucceeded | ParallelFailed
    | MapStarted | IterationStarted | IterationSucceeded | IterationFailed | IterationAborted | MapSucceeded | MapFailed
    | MapRunStarted | MapRunRedriven | MapRunSucceeded | MapRunFailed | MapRunAborted
    | EvaluationAsked | EvaluationAnswered | EvaluationFailed
)

FACTS: tuple[type[_Fact], ...] = get_args(Fact)
WORDED: frozenset[type[_Fact]] = frozenset(kind for kind in FACTS if "cause" in kind.__struct_fields__)
"""Those that tell an error and its cause."""


def within(fact: Any, limits: Limits) -> Any:
    """A fact of those, its error and its cause cut to what an execution may record."""
    error, cause = fact.error, fact.cause
    if len(error or "") <= limits.error_characters and len(cause or "") <= limits.cause_characters:
        return fact
    return msgspec.structs.replace(
        fact, error=error and error[: limits.error_characters], cause=cause and cause[: limits.cause_characters]
    )


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A fact, stamped.

    `seq` counts all events of the log from 1, `id` only those AWS records (0: silent), `previous` is the id that AWS
    gives as previousEventId, `frame` the frame it concerns, `at` milliseconds since the epoch.
    """

    seq: int
    id: int
    previous: int
    frame: int
    at: int
    fact: Fact


class NewerLog(Exception):
    """The log holds facts that this version does not know: a newer stepfold wrote it. It is left alone."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Event])


def encode(events: list[Event]) -> bytes:
    """The events of one decision as one JSON array."""
    return _encoder.encode(events)


def decode(body: bytes) -> list[Event]:
    """The reverse; values are slices of `body`. Raises NewerLog for what this version does not know."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise NewerLog(f"this log was written by a newer stepfold ({error}); open it with that version") from None
