"""The tally of a map run: the fold of its log, and what it is to do next.

A map run writes down which executions it begins before it begins them, and how each ended. From that alone the tally
knows where it is: it holds what is unfinished and what failed, and of the rest but counts. So a run is gone on with
where its log ends, and no execution that has ended is begun again.

Entries last for ever, as the facts of an execution do: fields are only added, with defaults.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from stepfold.language.failures import DATA_LIMIT_EXCEEDED, EXCEED_TOLERATED_FAILURE_THRESHOLD, Failure
from stepfold.language.limits import MAP_RUN_EXECUTIONS

from .facts import NewerLog

Ended: TypeAlias = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
"""How an execution, or the run, has ended (a run never times out)."""

THRESHOLD: Final = Failure(
    EXCEED_TOLERATED_FAILURE_THRESHOLD, "The specified tolerated failure threshold was exceeded"
)


# --- what happens to a map run ----------------------------------------------------------------------------------------


class _Entry(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True, gc=False):
    pass


class RunStarted(_Entry, frozen=True):
    """The first entry: whose run it is, and how it is to be run.

    `execution` is the ARN of the execution whose Map `state` it runs, `machine` that of the machine of its own
    executions, `definition` the hash of what they run, `kind` their type. There are `length` items; `batch` bounds how
    many go into one execution (None: the bytes alone do). `payload` is the most bytes of the outputs together.
    """

    execution: str
    state: str
    machine: str
    definition: str
    kind: str
    length: int
    payload: int
    concurrency: int = 0
    tolerated: int | None = None
    percentage: float | None = None
    batch: int | None = 1


class ChildBegun(_Entry, frozen=True):
    """Execution number `child` is about to begin, for `count` items from the one of index `first` on."""

    child: int
    first: int
    count: int = 1


class ChildRedriven(_Entry, frozen=True):
    """An execution that ended badly is about to be redriven."""

    child: int


class ChildEnded(_Entry, frozen=True):
    """An execution has ended, with so many bytes of output. One that is `final` cannot be redriven."""

    child: int
    status: Ended
    size: int = 0
    final: bool = False


class SettingsChanged(_Entry, frozen=True):
    """Somebody changed how it is run; None leaves a setting as it is."""

    concurrency: int | None = None
    tolerated: int | None = None
    percentage: float | None = None


class RunFailing(_Entry, frozen=True):
    """It cannot go on (an item cannot be selected, say): it ends so once its executions have."""

    error: str | None = None
    cause: str | None = None


class RunEnded(_Entry, frozen=True):
    """It has ended."""

    status: Ended
    error: str | None = None
    cause: str | None = None


class RunRedriven(_Entry, frozen=True):
    """It goes on after a bad end, for the time `count`: what did not succeed is redriven, the rest is begun."""

    count: int


Said: TypeAlias = (
    RunStarted | ChildBegun | ChildRedriven | ChildEnded | SettingsChanged | RunFailing | RunEnded | RunRedriven
)
ENTRIES: tuple[type[_Entry], ...] = get_args(Said)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[tuple[int, int, Said]])


def encode(first: int, at: int, said: list[Said]) -> bytes:
    """Entries as one JSON array of [number, milliseconds since the epoch, entry]; `first` is the first one's number."""
    return _encoder.encode([(first + index, at, entry) for index, entry in enumerate(said)])


def decode(body: bytes) -> list[tuple[int, int, Said]]:
    """The reverse. Raises NewerLog for what this version does not know."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise NewerLog(f"this map run was written by a newer stepfold ({error}); open it with that version") from None


# --- what is true of it -----------------------------------------------------------------------------------------------


class Child(NamedTuple):
    """An execution that is unfinished or ended badly: its items, and how often it was begun."""

    first: int
    items: int
    begun: int = 1
    status: str = "RUNNING"
    final: bool = False


class Count(NamedTuple):
    """So many executions, of so many items."""

    executions: int = 0
    items: int = 0


NONE: Final = Count()


class Ledger:
    """The fold. Times are milliseconds since the epoch.

    `cursor` is the next item that nothing was begun for, `children` how many executions were begun. `running` holds
    those under way, `waiting` those that are to be redriven, `bad` those that ended otherwise than well, all by
    number. `counts` has every execution by its status.
    """

    __slots__ = (
        "at", "bad", "children", "concurrency", "counts", "cursor", "ended", "ended_at", "failing", "failure",
        "percentage", "redriven_at", "redrives", "running", "size", "started", "started_at", "tolerated", "version",
        "waiting",
    )
    started: RunStarted

    def __init__(self) -> None:
        self.version = 0
        self.at = 0
        self.started_at = 0
        self.ended_at: int | None = None
        self.concurrency = 0
        self.tolerated: int | None = None
        self.percentage: float | None = None
        self.cursor = 0
        self.children = 0
        self.running: dict[int, Child] = {}
        self.waiting: dict[int, Child] = {}
        self.bad: dict[int, Child] = {}
        self.counts: dict[str, Count] = {}
        self.size = 0
        self.failing: Failure | None = None
        self.ended: Ended | None = None
        self.failure: Failure | None = None
        self.redrives = 0
        self.redriven_at: int | None = None

    def apply(self, at: int, said: Said) -> None:
        """Make an entry so."""
        self.version += 1
        self.at = at
        match said:
            case RunStarted():
                self.started, self.started_at = said, at
                self.concurrency, self.tolerated, self.percentage = said.concurrency, said.tolerated, said.percentage
            case ChildBegun(number, first, count):
                self.running[number] = Child(first, count)
                self.children, self.cursor = number + 1, first + count
                self._count("RUNNING", count)
            case ChildRedriven(number):
                child = self.waiting.pop(number)
                self.running[number] = child._replace(begun=child.begun + 1, status="RUNNING")
                self._move("PENDING_REDRIVE", "RUNNING", child.items)
            case ChildEnded(number, status, size):
                self._child_ended(number, status, size, final=said.final)
            case SettingsChanged(concurrency, tolerated, percentage):
                self.concurrency = self.concurrency if concurrency is None else concurrency
                self.tolerated = self.tolerated if tolerated is None else tolerated
                self.percentage = self.percentage if percentage is None else percentage
            case RunFailing(error, cause):
                self.failing = Failure(error, cause)
            case RunEnded(status, error, cause):
                self.ended, self.ended_at = status, at
                self.failure = None if status == "SUCCEEDED" else Failure(error, cause)
            case RunRedriven(count):
                self._redriven(at, count)

    def _child_ended(self, number: int, status: Ended, size: int, *, final: bool) -> None:
        child = self.running.pop(number)
        self._move("RUNNING", status, child.items)
        if status == "SUCCEEDED":
            self.size += size
        else:
            self.bad[number] = child._replace(status=status, final=final)

    def _redriven(self, at: int, count: int) -> None:
        self.redrives, self.redriven_at = count, at
        self.ended = self.ended_at = self.failing = self.failure = None
        for number, child in list(self.bad.items()):
            if not child.final:
                self.waiting[number] = self.bad.pop(number)
                self._move(child.status, "PENDING_REDRIVE", child.items)

    def _count(self, status: str, items: int, executions: int = 1) -> None:
        was = self.counts.get(status, NONE)
        self.counts[status] = Count(was.executions + executions, was.items + items)

    def _move(self, before: str, after: str, items: int) -> None:
        self._count(before, -items, -1)
        self._count(after, items)

    # --- what it is to do -----------------------------------------------------------------------------------------

    @property
    def doomed(self) -> Failure | None:
        """Why it must fail, whatever its executions still come to."""
        return self.failing or (THRESHOLD if self._intolerable() else None)

    @property
    def room(self) -> int:
        """How many more executions may begin now."""
        window = min(self.concurrency or MAP_RUN_EXECUTIONS, MAP_RUN_EXECUTIONS)
        return max(window - len(self.running), 0)

    @property
    def unread(self) -> int:
        """Items that nothing was begun for."""
        return self.started.length - self.cursor

    @property
    def over(self) -> bool:
        """Whether nothing is under way, and nothing is to be begun."""
        return not self.running and (self.doomed is not None or not (self.waiting or self.unread))

    @property
    def verdict(self) -> RunEnded:
        """How it ends, once it is over."""
        failure = self.doomed or self._too_large()
        return RunEnded("SUCCEEDED") if failure is None else RunEnded("FAILED", failure.error, failure.cause)

    @property
    def pending(self) -> Count:
        """What is to be begun yet; batches that bytes alone bound cannot be counted beforehand."""
        batch = self.started.batch
        return Count(-(-self.unread // batch) if batch else 0, self.unread)

    def count(self, status: str) -> Count:
        """The executions of a status."""
        return self.counts.get(status, NONE)

    def _intolerable(self) -> bool:
        """Whether more items failed than is tolerated; where neither bound was given, none is.

        Items count that did not succeed, for whichever reason (unverified of those that were stopped).
        """
        failed = sum(self.count(status).items for status in ("FAILED", "TIMED_OUT", "ABORTED"))
        if self.tolerated is None and self.percentage is None:
            return failed > 0
        if self.tolerated is not None and failed > self.tolerated:
            return True
        return self.percentage is not None and failed * 100 > self.percentage * self.started.length

    def _too_large(self) -> Failure | None:
        succeeded = self.count("SUCCEEDED").executions
        if 2 + self.size + max(succeeded - 1, 0) <= self.started.payload:
            return None
        cause = (
            f"The state/task '{self.started.state}' returned a result with a size exceeding the maximum number of "
            "bytes service limit."
        )
        return Failure(DATA_LIMIT_EXCEEDED, cause)
