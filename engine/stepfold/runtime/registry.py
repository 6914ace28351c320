"""The machines that an engine knows: created, looked up, and what a start on one of them means.

A definition is kept by its hash: a running execution keeps the one it began with, whatever becomes of its machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import NamedTuple

import anyio

from stepfold import names
from stepfold.errors import StateMachineAlreadyExists, StateMachineDoesNotExist
from stepfold.language import files
from stepfold.language.machine import Machine, load
from stepfold.names import Home
from stepfold.query.values import Json
from stepfold_store.contract import Store

from . import catalog
from .catalog import MachineRow
from .clock import Clock


class MachineRef(NamedTuple):
    """A machine that the engine knows."""

    arn: str
    name: str
    definition: str


class Target(NamedTuple):
    """What a start on a machine's ARN means: the machine, the definition's hash, and by which version or alias."""

    machine: str
    row: MachineRow
    definition: str
    version: str | None = None
    alias: str | None = None


class Registry:
    """Machines by ARN. `store` gives the open store."""

    def __init__(self, store: Callable[[], Store], clock: Clock, home: Home) -> None:
        self._store = store
        self._clock = clock
        self._home = home
        self._rows: dict[str, MachineRow] = {}
        self._machines: dict[str, Machine] = {}
        self._changing = anyio.Lock()

    async def create(
        self,
        name: str,
        definition: Mapping[str, Json] | str | bytes | PathLike[str],
        *,
        type: str = "STANDARD",  # noqa: A002  (AWS's word)
        role: str | None = None,
        replace: bool = False,
    ) -> MachineRef:
        """Make a machine known (see `Engine.create`)."""
        names.check_name(name)
        text = files.read(definition) if isinstance(definition, PathLike) else definition
        machine = load(text, type=type)
        arn = self._home.machine(name)
        row = MachineRow(name, machine.digest, type, role or self._home.role())
        store = self._store()
        async with self._changing:  # of two who create one name at once, the second is to see the first
            known = await store.entry(catalog.MACHINE, arn)
            if known is not None and not replace and catalog.machine_row(known).definition != machine.digest:
                raise StateMachineAlreadyExists(f"State Machine Already Exists: '{arn}'")
            created = self._clock.now() if known is None else known.started
            with anyio.CancelScope(shield=True):  # what is written is remembered, also where the caller goes away
                await store.put([catalog.machine_entry(arn, row, created)], [machine.text])
                self._rows[arn] = row
        self._machines[machine.digest] = machine
        return MachineRef(arn, name, machine.digest)

    async def resolve(self, machine: MachineRef | str) -> Target:
        """What a start on it means; a name stands for its ARN here. Raises StateMachineDoesNotExist."""
        arn = machine.arn if isinstance(machine, MachineRef) else machine
        if not arn.startswith("arn:"):
            arn = self._home.machine(arn)
        row = self._rows.get(arn)  # while the engine holds the store, nobody else writes machines
        if row is None:
            entry = await self._store().entry(catalog.MACHINE, arn)
            if entry is None:
                raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
            row = self._rows.setdefault(arn, catalog.machine_row(entry))
        return Target(arn, row, row.definition)

    async def machine(self, digest: str) -> Machine:
        """The definition of that hash, ready to run. Raises StateMachineDoesNotExist where the store has none."""
        machine = self._machines.get(digest)
        if machine is None:
            text = await self._store().text(digest)
            if text is None:
                raise StateMachineDoesNotExist(f"the store has no definition {digest}")
            machine = self._machines[digest] = load(text)
        return machine
