"""A store examined: its file, the chain and the fold of every execution, and what the catalog says beside them.

It only reads, and may do so while an engine runs the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepfold.interpreter import facts, snapshots
from stepfold.interpreter.execution import Execution
from stepfold.runtime import catalog
from stepfold.runtime.mapruns import tallies
from stepfold_store import Damaged, Entry, Snapshot, Store, StoreError, open_reader, open_store
from stepfold_store.sqlite_check import EMPTY, check_file

from . import entries as listed
from . import quarantine
from .quarantine import SetAside

_EXECUTION = catalog.stream_of("")


class Broken(NamedTuple):
    """An execution with something wrong in its log.

    `event` is the first that is lost; those before it, `whole` in number, can be read and are as they were written.
    `status` is what the catalog says of it, None where it says nothing.
    """

    arn: str
    status: str | None
    event: int
    whole: int
    what: str


class Examination(NamedTuple):
    """What a store is like. `problems` concern the whole file; `executions` and `events` were read and are sound.

    `snapshots` counts those that a resume may begin from, `useless` names the executions whose snapshot is none;
    nothing is lost with it.
    """

    problems: Sequence[str]
    broken: Sequence[Broken]
    aside: Sequence[SetAside]
    executions: int
    events: int
    texts: int
    snapshots: int
    useless: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether all of it is as it was written."""
        return not self.problems and not self.broken


async def examine(location: str) -> Examination:
    """Examine the store at a path or URL. Raises StoreError where nothing of it can be opened."""
    store = await open_reader(location)
    try:
        checked = await check_file((await store.health()).details["path"])
        problems = list(checked.problems)
        if EMPTY in problems:
            return Examination(problems, [], [], 0, 0, 0, 0, [])
        entries = await _entries(store, problems)
        names = [name for name in checked.streams if name.startswith(_EXECUTION)]
        others = [name for name in checked.streams if not name.startswith(_EXECUTION)]
        arns = dict.fromkeys([*(name.removeprefix(_EXECUTION) for name in names), *entries])
        broken: list[Broken] = []
        executions = events = 0
        useless: list[str] = []
        for arn in arns:
            kept = await _snapshot(store, arn)
            if kept is None and catalog.stream_of(arn) in checked.snapshots and await _is_open(store, arn):
                useless.append(arn)
            read, wrong, other = await _examine(store, arn, entries.get(arn), kept)
            events += read
            problems += other
            if wrong is None:
                executions += 1
            else:
                broken.append(wrong)
        for name in others:
            problems += await _other(store, name)
        problems += [wrong async for wrong in listed.without_logs(store)]
        aside = await _aside(store, problems)
        kept_well = len(checked.snapshots) - len(useless)
        return Examination(problems, broken, aside, executions, events, checked.texts, kept_well, useless)
    finally:
        await store.close()


async def drop_snapshots(location: str) -> int:
    """Throw all snapshots of a store away that no engine runs; how many there were. Raises StoreError."""
    store = await open_store(location)
    try:
        return await store.drop_snapshots()
    finally:
        await store.close()


async def _snapshot(store: Store, arn: str) -> Snapshot | None:
    """An execution's snapshot, where a resume by this release would begin from it."""
    kept = await store.snapshot(catalog.stream_of(arn))
    return kept if kept is not None and snapshots.restored(kept.body) is not None else None


async def _is_open(store: Store, arn: str) -> bool:
    """Whether an execution goes on: at its end, which may have come by now, its snapshot goes."""
    try:
        entry = await store.entry(catalog.EXECUTION, arn)
    except StoreError:
        return False
    return entry is not None and entry.ended is None


async def _entries(store: Store, problems: list[str]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    try:
        async for entry in catalog.all_entries(store, catalog.EXECUTION):
            found[entry.key] = entry
    except StoreError as error:
        problems.append(f"the catalog cannot be read to its end: {error}")
    return found


async def _other(store: Store, stream: str) -> list[str]:
    """What is wrong with a stream that is no execution's: a map run's, as yet."""
    kind, _, key = stream.partition(":")
    try:
        if kind == tallies.MAP_RUN:
            return await _map_run(store, key)
        async for _ in store.read(stream):
            pass
    except catalog.EntryDamaged as error:
        return [str(error)]
    except Damaged as error:
        return [f"{stream} is damaged at event {error.event}: {error.what}"]
    except Exception as error:  # noqa: BLE001  (whatever it is, the others are to be looked at too)
        return [f"{stream} cannot be folded ({type(error).__name__})"]
    return []


async def _aside(store: Store, problems: list[str]) -> list[SetAside]:
    try:
        return list((await quarantine.every(store)).values())
    except StoreError as error:
        problems.append(f"the list of executions that are set aside cannot be read: {error}")
        return []


async def _map_run(store: Store, arn: str) -> list[str]:
    before = await store.entry(tallies.MAP_RUN, arn)
    while True:
        ledger = await tallies.fold(store, arn)
        entry = await store.entry(tallies.MAP_RUN, arn)
        if entry != before:  # an engine runs the store: what was read belongs to neither
            before = entry
        elif entry is None:
            return [f"the catalog has no entry of {arn}"]
        elif wrong := listed.of_map_run(entry, ledger):
            return [_unlike(entry, wrong)]
        else:
            return []


def _unlike(entry: Entry, fields: Sequence[str]) -> str:
    return f"the catalog's entry of {entry.key} is not what its log comes to: {', '.join(fields)}"


async def _examine(
    store: Store, arn: str, entry: Entry | None, kept: Snapshot | None
) -> tuple[int, Broken | None, list[str]]:
    """How many events of an execution are sound, what is wrong with its log or snapshot, and what with its entry."""
    while True:
        execution = Execution()
        whole, broken = await _fold(store, arn, entry, kept, execution)
        try:
            now = await store.entry(catalog.EXECUTION, arn)
        except StoreError:  # which was told already
            return whole, broken, []
        if now == entry:
            break
        entry = now  # an engine runs the store: what was read belongs to neither
    if broken is not None or entry is None:
        return whole, broken, []
    try:
        wrong = listed.of_execution(entry, execution)
    except catalog.EntryDamaged as error:
        return whole, None, [str(error)]
    return whole, None, [_unlike(entry, wrong)] if wrong else []


async def _fold(
    store: Store, arn: str, entry: Entry | None, kept: Snapshot | None, execution: Execution
) -> tuple[int, Broken | None]:
    """Fold a log; how many of its events are sound, and what is wrong with it, or with what its snapshot says of it."""
    whole = 0

    def wrong(event: int, what: str) -> tuple[int, Broken]:
        return whole, Broken(arn, None if entry is None else entry.status, event, whole, what)

    try:
        async for records in store.read(catalog.stream_of(arn)):
            for record in records:
                for event in facts.decode(record.body):
                    execution.apply(event)
                whole = record.last
                if kept is not None and kept.version == whole and snapshots.written(execution) != kept.body:
                    return wrong(whole + 1, "its snapshot is not what its log comes to: have the snapshots dropped")
    except Damaged as error:
        return wrong(error.event, error.what)
    except Exception as error:  # noqa: BLE001  (whatever it is, the others are to be looked at too)
        return wrong(whole + 1, f"it cannot be folded ({type(error).__name__})")
    if not whole:
        return wrong(1, "its log is not there")
    if entry is None:
        return wrong(whole + 1, "the catalog has no entry of it")
    if entry.ended is not None and execution.status == "RUNNING":
        return wrong(whole + 1, f"the catalog says {entry.status}, but the end of its log is missing")
    return whole, None
