"""The machines that an engine knows: created, changed, looked up, deleted, and what a start on one of them means.

While an engine holds a store nobody else writes machines into it, so all but the texts is kept in memory, and read off
the store when the engine opens. Every change is written first and remembered second, one at a time.

A definition is kept by its hash: a running execution keeps the one it began with, whatever becomes of its machine.
AWS takes definitions that stepfold cannot run yet; those can be created, changed and told of, and only a start is
refused.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import msgspec

from stepfold import names
from stepfold.errors import (
    CallerError,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
    StateMachineLimitExceeded,
)
from stepfold.language import limits
from stepfold.language.machine import Machine, accept, load
from stepfold.language.reading import files
from stepfold.names import Home
from stepfold.query.values import Json
from stepfold.runtime import catalog
from stepfold.runtime.catalog import MachineRow
from stepfold.runtime.clock import Chance, Clock
from stepfold_store.contract import Entry, Store, StoreClosed

from .aliases import Aliases
from .known import Alias, Known, Version, entry_of, load_all
from .shelf import Updated
from .tags import Tags
from .versions import Versions

COMPILED = 1_000
"""So many definitions stay ready to run beside those that are running."""
THREAD_BYTES = 65_536
"""A definition longer than this is checked in a thread: nobody else should wait for it."""


class MachineRef(NamedTuple):
    """A machine that the engine knows."""

    arn: str
    name: str
    definition: str


class Target(NamedTuple):
    """What a start on a machine's ARN means: the machine, the definition's hash, and by which version or alias.

    `machine`, `version` and `alias` are ARNs; `row` is the machine's as it is, or as it was for that version.
    """

    machine: str
    row: MachineRow
    definition: str
    version: str | None = None
    alias: str | None = None


class Registry:
    """Machines by ARN. `store` gives the open store."""

    def __init__(self, store: Callable[[], Store], clock: Clock, home: Home, chance: Chance | None = None) -> None:
        self._store = store
        self.clock = clock
        self.chance = chance or Chance()
        self.changing = anyio.Lock()
        self.versions = Versions(self)
        self.aliases = Aliases(self)
        self.tags = Tags(self)
        self._home = home
        self._known: dict[str, Known] = {}
        self._compiled: dict[str, Machine] = {}

    @property
    def store(self) -> Store:
        """The open store."""
        return self._store()

    async def open(self) -> None:
        """Read what the store has; forget what a deletion left behind when it was cut short."""
        self._known, dead = await load_all(self.store)
        await self._forget(dead)

    # --- changes ------------------------------------------------------------------------------------------------------

    async def register(
        self,
        name: str,
        definition: Mapping[str, Json] | str | bytes | PathLike[str],
        *,
        type: str = "STANDARD",  # noqa: A002  (AWS's word)
        role: str | None = None,
        replace: bool = False,
    ) -> MachineRef:
        """Make a machine known to a program, which wants to run it (see `Engine.create`)."""
        names.check_name(name)
        text = files.read(definition) if isinstance(definition, PathLike) else definition
        machine = load(text, type=type)
        self._remember(machine)
        arn = self._home.machine(name)
        await self._settle(arn)
        async with self.changing:  # of two who create one name at once, the second is to see the first
            known = self._known.get(arn)
            role = role or self._home.role()
            if known is None:
                await self._add(Known(arn, MachineRow(name, machine.digest, type, role), self.clock.now()),
                                machine.text, {})
                return MachineRef(arn, name, machine.digest)
            known.check_alive()
            if known.row.definition != machine.digest and not replace:
                raise StateMachineAlreadyExists(f"State Machine Already Exists: '{arn}'")
            given = {"definition": machine.digest, "type": type, "role": role}
            await self._change(known, given, machine.text, publish=False)
        return MachineRef(arn, name, machine.digest)

    async def create(
        self, row: MachineRow, definition: str, tags: Mapping[str, str]
    ) -> tuple[Known, Version | None]:
        """A new machine as the API creates it; `row.definition` need not be set.

        The same again is the machine that is there, whatever its role and tags. Raises InvalidDefinition, InvalidName,
        StateMachineAlreadyExists, StateMachineDeleting, StateMachineLimitExceeded.
        """
        names.check_name(row.name)
        text, digest = await self._accepted(definition, row.type)
        row = msgspec.structs.replace(row, definition=digest)
        arn = self._home.machine(row.name)
        await self._settle(arn)
        async with self.changing:
            known = self._known.get(arn)
            if known is not None:
                known.check_alive()
                was = msgspec.structs.replace(known.row, role=row.role, revision=None, updated=None, versions=0)
                if was != row:
                    raise StateMachineAlreadyExists(f"State Machine Already Exists: '{arn}'")
                return known, known.versions.get(1) if row.published else None
            if len(self._known) >= limits.MACHINES:
                raise StateMachineLimitExceeded(f"There can be at most {limits.MACHINES} state machines")
            known = Known(arn, row, self.clock.now())
            await self._add(known, text, tags)
            return known, known.current

    async def update(
        self,
        arn: str,
        changes: Mapping[str, Any],
        definition: str | None = None,
        *,
        publish: bool = False,
        description: str | None = None,
    ) -> Updated:
        """Change fields of a machine's row, or publish it as it is then; what changes nothing is no revision.

        Raises InvalidDefinition, StateMachineDoesNotExist, StateMachineDeleting, ServiceQuotaExceeded.
        """
        known = await self.alive(arn)
        text, given = None, dict(changes)
        if definition is not None:
            text, given["definition"] = await self._accepted(definition, known.row.type)
        async with self.changing:
            known = self._present(arn)
            return await self._change(known, given, text, publish=publish, description=description)

    async def delete(self, arn: str) -> None:
        """Delete a machine with its versions and aliases, now or when its executions have ended; or nothing.

        Raises InvalidArn.
        """
        _own_arn(arn)
        async with self.changing:
            known = self._known.get(arn)
            if known is None:
                return
            if not await self._runs(arn):
                await self._remove(known)
            elif not known.deleting:
                with anyio.CancelScope(shield=True):
                    entry = catalog.machine_entry(arn, known.row, known.created, catalog.DELETING)
                    await self.store.put([entry])
                    known.deleting = True

    async def _add(self, known: Known, text: bytes, tags: Mapping[str, str]) -> None:
        version = known.next_version(known.row, known.row.description, known.created) if known.row.published else None
        row = known.row if version is None else msgspec.structs.replace(known.row, versions=1)
        entries = [catalog.machine_entry(known.arn, row, known.created), self.tags.entry(known.arn, tags)]
        if version is not None:
            entries.append(entry_of(version, known.arn))
        with anyio.CancelScope(shield=True):  # what is written is remembered, also where the caller goes away
            await self.store.put(entries, [text])
            known.row = row
            if version is not None:
                known.versions[1] = version
            self._known[known.arn] = known

    async def _change(
        self,
        known: Known,
        given: Mapping[str, Any],
        text: bytes | None,
        *,
        publish: bool,
        description: str | None = None,
    ) -> Updated:
        now, row = self.clock.now(), msgspec.structs.replace(known.row, **given)
        revision = None
        if row != known.row:
            revision = str(uuid.UUID(bytes=self.chance.secret(16), version=4))
            row = msgspec.structs.replace(row, revision=revision, updated=now)
        version = None if revision is not None else known.current
        entries: list[Entry] = []
        if publish and version is None:
            version = known.next_version(row, description, now)
            row = msgspec.structs.replace(row, versions=version.row.number)
            entries.append(entry_of(version, known.arn))
        if row != known.row:
            entries.append(catalog.machine_entry(known.arn, row, known.created))
            with anyio.CancelScope(shield=True):
                await self.store.put(entries, [] if text is None else [text])
                known.row = row
                if publish and version is not None:
                    known.versions[version.row.number] = version
        return Updated(row.updated or known.created, revision, version if publish else None)

    async def _remove(self, known: Known) -> None:
        tombstones = known.tombstones(self.clock.now())
        with anyio.CancelScope(shield=True):
            await self.store.put(tombstones)  # all of it goes at once
            self._known.pop(known.arn, None)
            await self._forget(tombstones)

    async def _forget(self, dead: Sequence[Entry]) -> None:
        """Take tombstones off the store; whichever a crash leaves there is met when it is opened."""

        async def forget(entry: Entry) -> None:
            with suppress(StoreClosed):  # that it is gone is written already
                await self.store.forget(f"{entry.kind}:{entry.key}")

        async with anyio.create_task_group() as group:  # so that they share commits
            for entry in dead:
                group.start_soon(forget, entry)

    async def bury(self, kind: str, arn: str) -> None:
        """Remove one entry for good; called while the registry is `changing`."""
        tombstone = catalog.tombstone(kind, arn, self.clock.now())
        await self.store.put([tombstone])
        await self._forget([tombstone])

    # --- look-ups -----------------------------------------------------------------------------------------------------

    async def all(self) -> list[Known]:
        """Every machine, by name."""
        for known in [known for known in self._known.values() if known.deleting]:
            await self._settle(known.arn)
        return sorted(self._known.values(), key=lambda known: known.row.name)

    async def find(self, arn: str) -> tuple[Known, Version | Alias | None]:
        """A machine by its ARN, also one on its way out, and the version or alias that the ARN names.

        Raises InvalidArn, StateMachineDoesNotExist.
        """
        said = names.machine_arn(arn)
        await self._settle(said.arn)
        known = self._known.get(said.arn)
        part = None if known is None or said.qualifier is None else known.part(said.qualifier)
        if known is None or said.label is not None or (said.qualifier is not None and part is None):
            raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
        return known, part

    async def alive(self, arn: str) -> Known:
        """A machine by its own ARN, to be changed.

        Raises InvalidArn, StateMachineDoesNotExist, StateMachineDeleting.
        """
        _own_arn(arn)
        await self._settle(arn)
        return self._present(arn)

    def _present(self, arn: str) -> Known:
        known = self._known.get(arn)
        if known is None:
            raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
        known.check_alive()
        return known

    def peek(self, arn: str) -> Known | None:
        """A machine by its own ARN, as it is known, if it is."""
        return self._known.get(arn)

    async def resolve(self, machine: MachineRef | str) -> Target:
        """What a start on it means: where it is an alias, one of its versions, by their weights.

        A name without `arn:` stands for its ARN here.

        Raises InvalidArn, StateMachineDoesNotExist, StateMachineDeleting.
        """
        arn = machine.arn if isinstance(machine, MachineRef) else machine
        if not arn.startswith("arn:"):
            arn = self._home.machine(arn)
        known, part = await self.find(arn)
        known.check_alive()
        if part is None:
            return Target(known.arn, known.row, known.row.definition)
        alias = part if isinstance(part, Alias) else None
        version = part if isinstance(part, Version) else known.versions[self.aliases.draw(part)]
        row = version.row.machine
        return Target(known.arn, row, row.definition, version.arn, alias.arn if alias is not None else None)

    async def text(self, digest: str) -> bytes:
        """The definition of that hash, as it was given. Raises StateMachineDoesNotExist where the store has none."""
        text = await self.store.text(digest)
        if text is None:
            raise StateMachineDoesNotExist(f"the store has no definition {digest}")
        return text

    async def machine(self, digest: str, type: str = "STANDARD") -> Machine:  # noqa: A002  (AWS's word)
        """The definition of that hash, ready to run as a machine of that type.

        Raises InvalidDefinition for what cannot be run yet, StateMachineDoesNotExist where the store has none.
        """
        machine = self._compiled.get(digest)
        if machine is None:
            machine = load(await self.text(digest), type=type)
            self._remember(machine)
        return machine

    # --- within -------------------------------------------------------------------------------------------------------

    async def _accepted(self, definition: str, kind: str) -> tuple[bytes, str]:
        def look() -> tuple[bytes, Machine | None]:
            return accept(definition, type=kind)

        text, machine = look() if len(definition) <= THREAD_BYTES else await anyio.to_thread.run_sync(look)
        if machine is None:
            return text, hashlib.sha256(text).hexdigest()
        self._remember(machine)
        return text, machine.digest

    def _remember(self, machine: Machine) -> None:
        self._compiled[machine.digest] = machine
        if len(self._compiled) > COMPILED:
            del self._compiled[next(iter(self._compiled))]

    async def _settle(self, arn: str) -> None:
        """Let go of a machine that was waiting for its last execution to end, if it has."""
        known = self._known.get(arn)
        if known is None or not known.deleting or await self._runs(arn):
            return
        async with self.changing:
            if self._known.get(arn) is known:
                await self._remove(known)

    async def _runs(self, arn: str) -> bool:
        page = await self.store.entries(catalog.EXECUTION, parent=arn, status="RUNNING", limit=1)
        return bool(page.entries)


def _own_arn(arn: str) -> None:
    """Raises InvalidArn, and CallerError for that of a Map state inside a machine."""
    if names.machine_arn(arn).label is not None:
        raise CallerError(
            f"The ARN of a Map state is not supported by this operation: '{arn}'",
            reason="API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
