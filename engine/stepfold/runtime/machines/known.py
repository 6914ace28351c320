"""A machine as the registry holds it in memory: its row, its versions, its aliases, and how they come off the store."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from stepfold.errors import ServiceQuotaExceeded, StateMachineDeleting
from stepfold.language import limits
from stepfold.runtime import catalog
from stepfold.runtime.catalog import AliasRow, MachineRow, VersionRow
from stepfold_store.contract import Entry, Store

logger = structlog.get_logger(__name__)

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Version(NamedTuple):
    """A published version. Times are milliseconds since the epoch."""

    arn: str
    row: VersionRow
    created: int


class Alias(NamedTuple):
    """A name for one or two versions."""

    arn: str
    row: AliasRow
    created: int


@dataclass(slots=True)
class Known:
    """All that is known of a machine; only the registry changes it, once what changes is durable."""

    arn: str
    row: MachineRow
    created: int
    deleting: bool = False
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)

    @property
    def current(self) -> Version | None:
        """The version of the revision as it stands, if it was published and is still there."""
        newest = self.versions.get(self.row.versions)
        return newest if newest is not None and newest.row.machine.revision == self.row.revision else None

    def part(self, qualifier: str) -> Version | Alias | None:
        """The version of that number or the alias of that name; an alias is never digits alone."""
        number = number_of(qualifier)
        return self.versions.get(number) if number is not None else self.aliases.get(qualifier)

    def check_alive(self) -> None:
        """Raises StateMachineDeleting where it is on its way out."""
        if self.deleting:
            raise StateMachineDeleting(f"State Machine is being deleted: '{self.arn}'")

    def users(self, number: int) -> list[str]:
        """The aliases that refer to a version."""
        return [name for name, alias in self.aliases.items() if any(number == way.version for way in alias.row.routes)]

    def next_version(self, row: MachineRow, description: str | None, at: int) -> Version:
        """The version that a publication of `row` makes; raises ServiceQuotaExceeded."""
        if len(self.versions) >= limits.VERSIONS:
            raise ServiceQuotaExceeded(f"A state machine can have at most {limits.VERSIONS} versions")
        number = row.versions + 1
        return Version(f"{self.arn}:{number}", VersionRow(number, row, description), at)

    def tombstones(self, at: int) -> list[Entry]:
        """What takes the place of everything of it."""
        return [catalog.tombstone(kind, arn, at) for kind, arn in self._keys()]

    def _keys(self) -> Iterator[tuple[str, str]]:
        yield catalog.MACHINE, self.arn
        yield catalog.TAGS, self.arn
        yield from ((catalog.VERSION, version.arn) for version in self.versions.values())
        yield from ((catalog.ALIAS, alias.arn) for alias in self.aliases.values())


def number_of(qualifier: str | None) -> int | None:
    """The version's number that qualifies an ARN, if it is one."""
    return int(qualifier) if qualifier is not None and _NUMBER.fullmatch(qualifier) else None


def entry_of(part: Version | Alias, machine: str) -> Entry:
    """A version or an alias, for the store."""
    return catalog.part_entry(part.arn, machine, part.row, part.created)


async def load_all(store: Store) -> tuple[dict[str, Known], list[Entry]]:
    """Every machine that the store has, and the tombstones that were met.

    What is damaged, and what belongs to no machine any more, is passed over, and said: the others go on.
    """
    dead: list[Entry] = []
    found: dict[str, Known] = {}
    async for entry in _living(store, catalog.MACHINE, dead):
        with _passed_over():
            row = catalog.machine_row(entry)
            found[entry.key] = Known(entry.key, row, entry.started, entry.status == catalog.DELETING)
    async for entry in _living(store, catalog.VERSION, dead):
        with _passed_over():
            version = Version(entry.key, catalog.row_of(entry, VersionRow), entry.started)
            _owner(found, entry).versions[version.row.number] = version
    async for entry in _living(store, catalog.ALIAS, dead):
        with _passed_over():
            alias = Alias(entry.key, catalog.row_of(entry, AliasRow), entry.started)
            _owner(found, entry).aliases[alias.row.name] = alias
    for kind in (catalog.TAGS, catalog.ACTIVITY):  # read when asked for; here only for the dead among them
        async for _ in _living(store, kind, dead):
            pass
    return found, dead


@contextlib.contextmanager
def _passed_over() -> Iterator[None]:
    try:
        yield
    except catalog.EntryDamaged as error:
        logger.error("passed over", reason=str(error))  # noqa: TRY400  (it says all)


def _owner(found: Mapping[str, Known], entry: Entry) -> Known:
    if (known := found.get(entry.parent)) is None:
        raise catalog.EntryDamaged(entry, f"there is no machine {entry.parent}")
    return known


async def _living(store: Store, kind: str, dead: list[Entry]) -> AsyncIterator[Entry]:
    async for entry in catalog.all_entries(store, kind, newest_first=False):
        if entry.status == catalog.DELETED:
            dead.append(entry)
        else:
            yield entry
