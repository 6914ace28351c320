"""Entries of the catalog held against what they must agree with: they carry no checksum of their own.

An execution's entry, or a map run's, is made of its log alone, so it is made once more and compared. What has no log
(machines, versions, aliases, activities, tags, executions of EXPRESS machines) is held against its own key, and against
the definitions that the store has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from stepfold.interpreter.execution import Execution
from stepfold.interpreter.ledger import Ledger
from stepfold.runtime import catalog, express
from stepfold.runtime.mapruns import tallies
from stepfold_store import Entry, Store, StoreError

_GROWING: Final = {"events"}
"""What an entry says as of the last change of its status, and the log has gone on since."""


def of_execution(entry: Entry, execution: Execution) -> list[str]:
    """What of an execution's entry is not what its log comes to, by the names of the fields."""
    return _other_than(catalog.execution_entry(execution), entry, _GROWING if entry.ended is None else set())


def of_map_run(entry: Entry, ledger: Ledger) -> list[str]:
    """Likewise of a map run's."""
    return _other_than(tallies.entry(entry.key, ledger), entry, set())


def _other_than(made: Entry, entry: Entry, growing: set[str]) -> list[str]:
    """The fields that differ; one that an older release did not write yet does not. Raises EntryDamaged."""
    names = [name for name in ("parent", "status", "started", "ended", "due")
             if getattr(made, name) != getattr(entry, name)]
    wanted, said = (catalog.row_of(one, dict[str, msgspec.Raw]) for one in (made, entry))
    return names + [name for name, value in said.items() if name not in growing and wanted.get(name) != value]


def _of_machine(entry: Entry) -> tuple[str, list[str]]:
    row = catalog.machine_row(entry)
    return row.definition, _unless(_last(entry.key) == row.name == entry.parent, "name")


def _of_version(entry: Entry) -> tuple[str, list[str]]:
    row = catalog.row_of(entry, catalog.VersionRow)
    wrong = _unless(entry.key == f"{entry.parent}:{row.number}", "number")
    return row.machine.definition, wrong + _unless(_last(entry.parent) == row.machine.name, "name")


def _of_alias(entry: Entry) -> tuple[str, list[str]]:
    row = catalog.row_of(entry, catalog.AliasRow)
    wrong = _unless(entry.key == f"{entry.parent}:{row.name}", "name")
    return "", wrong + _unless(sum(route.weight for route in row.routes) == 100, "routes")


def _of_activity(entry: Entry) -> tuple[str, list[str]]:
    return "", _unless(_last(entry.key) == catalog.activity_row(entry).name, "name")


def _of_tags(entry: Entry) -> tuple[str, list[str]]:
    catalog.row_of(entry, dict[str, str])
    return "", []


def _of_express(entry: Entry) -> tuple[str, list[str]]:
    started = express.row_of(entry).started
    parent = started.map_run or started.machine
    return started.definition, _unless(entry.key == started.arn, "arn") + _unless(entry.parent == parent, "parent")


_KINDS: Final[dict[str, Callable[[Entry], tuple[str, list[str]]]]] = {
    catalog.MACHINE: _of_machine,
    catalog.VERSION: _of_version,
    catalog.ALIAS: _of_alias,
    catalog.ACTIVITY: _of_activity,
    catalog.TAGS: _of_tags,
    express.KIND: _of_express,
}
"""By the kind of an entry without a log: the definition that it names, and which of its fields contradict its key."""


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def _unless(holds: Any, name: str) -> list[str]:
    return [] if holds else [name]


async def without_logs(store: Store) -> AsyncIterator[str]:
    """What is wrong with the entries that have no log, as sentences."""
    for kind, look in _KINDS.items():
        try:
            async for entry in catalog.all_entries(store, kind):
                if entry.status == catalog.DELETED:
                    continue
                if wrong := await _wrong(store, entry, look):
                    yield wrong
        except StoreError as error:
            yield f"the catalog's {kind} entries cannot be read to their end: {error}"


async def _wrong(store: Store, entry: Entry, look: Callable[[Entry], tuple[str, list[str]]]) -> str | None:
    try:
        definition, wrong = look(entry)
    except catalog.EntryDamaged as error:
        return str(error)
    if wrong:
        return f"the catalog's entry of {entry.key} contradicts itself: {', '.join(wrong)}"
    if definition and await store.text(definition) is None:
        return f"the catalog's entry of {entry.key} names a definition that is not there"
    return None
