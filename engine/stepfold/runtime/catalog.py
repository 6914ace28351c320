"""What the catalog says of machines and executions: rows written by the engine, read by whoever opens the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from stepfold.errors import ExecutionDoesNotExist
from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution, Status
from stepfold.interpreter.facts import Event
from stepfold_store.contract import Damaged, Entry, Store, StoreError

from .lately import Committed

Row = TypeVar("Row")

EXECUTION = "execution"
MACHINE = "machine"
VERSION = "version"
ALIAS = "alias"
TAGS = "tags"
ACTIVITY = "activity"

ACTIVE = "ACTIVE"
DELETING = "DELETING"
DELETED = "DELETED"
"""The status of an entry that is about to be forgotten; whoever meets one passes it over."""

# These Structs are what the store holds: a field may be added, with a default, and none may go or change its meaning.


class Logging(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a machine logs, how much of it, and to which log groups (None: never said)."""

    level: str = "OFF"
    data: bool = False
    destinations: tuple[str, ...] | None = None


class Encryption(msgspec.Struct, frozen=True, omit_defaults=True):
    """The key that a machine names. Nothing is encrypted by it here: it is kept, and told."""

    type: str = "AWS_OWNED_KEY"
    key: str | None = None
    reuse: int | None = None


class MachineRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of a machine: `definition` is the SHA-256 of its text.

    `revision` is None until the first update, at `updated`. `versions` is the highest number ever given to a version.
    `published` and `description` are what its creation said of a first version.
    """

    name: str
    definition: str
    type: str = "STANDARD"
    role: str = ""
    logging: Logging = Logging()
    tracing: bool = False
    encryption: Encryption = Encryption()
    revision: str | None = None
    updated: int | None = None
    versions: int = 0
    published: bool = False
    description: str | None = None


class VersionRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of a version: its number, and the machine as it was when it was published."""

    number: int
    machine: MachineRow
    description: str | None = None


class Route(msgspec.Struct, frozen=True):
    """A version's number, and of a hundred starts how many go to it."""

    version: int
    weight: int


class AliasRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of an alias."""

    name: str
    routes: tuple[Route, ...]
    description: str | None = None
    updated: int | None = None


class ActivityRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of an activity."""

    name: str


class ExecutionRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of an execution beside its times and status, for lists and descriptions.

    `redriven` is when it last was, `tokens` those that redrives were asked for by, and when; `events` is AWS's count of
    its history, as of the entry.
    """

    name: str
    definition: str
    output: Raw | UnsetType = UNSET
    error: str | None = None
    cause: str | None = None
    version: str | None = None
    alias: str | None = None
    trace: str | None = None
    redrives: int = 0
    redriven: int | None = None
    tokens: tuple[tuple[str, int], ...] = ()
    events: int = 0
    machine: str | None = None
    child: int = 0
    items: int = 0


class Summary(NamedTuple):
    """An execution in a list. Times are milliseconds since the epoch."""

    arn: str
    name: str
    machine: str
    status: Status
    started: int
    stopped: int | None


class Description(NamedTuple):
    """An execution, as committed. Times are milliseconds since the epoch; `input` is the text as it was given.

    Where its log is damaged at its very beginning, there is no input to tell.
    """

    arn: str
    name: str
    machine: str
    status: Status
    started: int
    stopped: int | None
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    definition: str


class EntryDamaged(Damaged):
    """An entry of the catalog that is not what was written; what has a log has it still."""

    def __init__(self, entry: Entry, what: str) -> None:
        StoreError.__init__(self, f"the catalog's entry of {entry.key} cannot be read: {what}")
        self.stream, self.event, self.what = f"{entry.kind}:{entry.key}", 0, what


def row_of(entry: Entry, kind: type[Row]) -> Row:
    """What an entry says beside its times and status. Raises EntryDamaged."""
    try:
        return msgspec.json.decode(entry.data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:  # (SQLite keeps whatever it is given)
        raise EntryDamaged(entry, str(error)) from error


def stream_of(arn: str) -> str:
    """The stream that holds an execution's log."""
    return f"execution:{arn}"


def machine_entry(arn: str, row: MachineRow, created: int, status: str = ACTIVE) -> Entry:
    """The catalog's entry of a machine."""
    return Entry(MACHINE, arn, row.name, status, created, data=msgspec.json.encode(row))


def activity_entry(arn: str, row: ActivityRow, created: int) -> Entry:
    """The catalog's entry of an activity."""
    return Entry(ACTIVITY, arn, "", ACTIVE, created, data=msgspec.json.encode(row))


def activity_row(entry: Entry) -> ActivityRow:
    """The reverse."""
    return row_of(entry, ActivityRow)


def machine_row(entry: Entry) -> MachineRow:
    """The reverse."""
    return row_of(entry, MachineRow)


def part_entry(arn: str, machine: str, row: VersionRow | AliasRow, created: int) -> Entry:
    """The catalog's entry of a version or an alias of a machine."""
    kind = VERSION if isinstance(row, VersionRow) else ALIAS
    return Entry(kind, arn, machine, ACTIVE, created, data=msgspec.json.encode(row))


def tombstone(kind: str, arn: str, at: int) -> Entry:
    """What takes an entry's place until it is forgotten."""
    return Entry(kind, arn, "", DELETED, at, at)


def execution_entry(execution: Execution) -> Entry:
    """The catalog's entry of an execution, as it is after a decision."""
    started, failure = execution.started, execution.ending
    ended = execution.status != "RUNNING"
    row = ExecutionRow(
        started.name,
        started.definition,
        execution.root.value if execution.status == "SUCCEEDED" else UNSET,
        failure.error if failure is not None else None,
        failure.cause if failure is not None else None,
        started.version,
        started.alias,
        started.trace,
        execution.redrives,
        execution.redriven_at,
        execution.tokens,
        execution.ids,
        None if started.map_run is None else started.machine,
        started.child,
        started.items,
    )
    return Entry(
        EXECUTION,
        started.arn,
        started.map_run or started.machine,
        execution.status,
        execution.started_at,
        execution.at if ended else None,
        data=msgspec.json.encode(row),
    )


def execution_row(entry: Entry) -> ExecutionRow:
    """What an execution's entry says beside its times and status. Raises EntryDamaged."""
    return row_of(entry, ExecutionRow)


def machine_of(entry: Entry) -> str:
    """The ARN of the machine of an execution's entry, whose parent is the map run where one began it."""
    return execution_row(entry).machine or entry.parent


async def find_execution(store: Store, name_or_arn: str) -> Entry:
    """The entry of an execution by its ARN, or by its name where only one has it. Raises ExecutionDoesNotExist."""
    if (entry := await store.entry(EXECUTION, name_or_arn)) is not None:
        return entry
    found = [entry async for entry in all_entries(store, EXECUTION) if entry.key.endswith(f":{name_or_arn}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ExecutionDoesNotExist(f"{len(found)} executions are called '{name_or_arn}': give the whole ARN")
    raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{name_or_arn}'")


async def all_entries(
    store: Store, kind: str, *, parent: str | None = None, status: str | None = None, newest_first: bool = True
) -> AsyncIterator[Entry]:
    """Every entry of a kind, page by page."""
    after: str | None = None
    while True:
        page = await store.entries(kind, parent=parent, status=status, newest_first=newest_first, after=after)
        for entry in page.entries:
            yield entry
        if (after := page.after) is None:
            return


def summary(entry: Entry) -> Summary:
    """An execution's entry, for a list; one that is damaged keeps no list from being told."""
    try:
        row = execution_row(entry)
    except EntryDamaged:
        row = ExecutionRow(entry.key.rpartition(":")[2], "")
    return Summary(entry.key, row.name, row.machine or entry.parent, _status(entry), entry.started, entry.ended)


async def describe(store: Store, name_or_arn: str) -> Description:
    """All about an execution but its history. Raises ExecutionDoesNotExist."""
    entry = await find_execution(store, name_or_arn)
    row = execution_row(entry)
    try:
        text: str | None = given(await started(store, entry.key))
    except Damaged:
        text = None
    return Description(
        entry.key,
        row.name,
        row.machine or entry.parent,
        _status(entry),
        entry.started,
        entry.ended,
        text,
        None if isinstance(row.output, UnsetType) else bytes(row.output).decode(),
        row.error,
        row.cause,
        row.definition,
    )


async def started(store: Store, arn: str) -> facts.ExecutionStarted:
    """The first fact of an execution's log. Raises Damaged."""
    first = await anext(events(store, arn), None)
    if first is None:
        raise Damaged(stream_of(arn), 1, "its log is not there")
    if not isinstance(first.fact, facts.ExecutionStarted):
        raise AssertionError("a log begins with ExecutionStarted")
    return first.fact


async def committed(store: Store, arn: str) -> Committed:
    """What the store says of an execution and how it began. Raises ExecutionDoesNotExist."""
    entry = await store.entry(EXECUTION, arn)
    if entry is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    return Committed(entry, await started(store, arn))


def given(started: facts.ExecutionStarted) -> str:
    """The input as the caller wrote it."""
    return started.text if started.text is not None else bytes(started.input).decode()


async def events(store: Store, arn: str, after: int = 0) -> AsyncIterator[Event]:
    """The committed events of an execution's log past number `after`."""
    async for records in store.read(stream_of(arn), after):
        for record in records:
            for event in facts.decode(record.body):
                if event.seq > after:
                    yield event


async def events_back(store: Store, arn: str, before: int) -> AsyncIterator[list[Event]]:
    """The committed events of an execution's log before number `before`, newest first: a few, then more at a time."""
    size = _FEW
    while before > 1:
        after = max(before - size, 1) - 1
        some: list[Event] = []
        async for records in store.read(stream_of(arn), after):
            for record in records:
                if record.first < before:
                    some += facts.decode(record.body)
            if records[-1].last >= before - 1:
                break
        yield [event for event in reversed(some) if after < event.seq < before]
        before, size = after + 1, min(2 * size, _MANY)


async def newest(store: Store, arn: str) -> int:
    """The number of the newest committed event of an execution's log; 0 where there is none."""
    async for records in store.read(stream_of(arn), reverse=True):
        return records[0].last
    return 0


_FEW: Final = 256
_MANY: Final = 8_192


def _status(entry: Entry) -> Status:
    return cast("Status", entry.status)
