"""The executions of a map run: named, begun, found again, redriven, stopped.

Their names are made of the map run's ARN and their numbers, so that one that is begun twice, before and after a crash,
is one execution. They come in two types, which differ in where they are kept; everything that knows that is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import structlog
from msgspec import UnsetType

from stepfold.errors import ExecutionNotRedrivable
from stepfold.interpreter import signals
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import ExecutionStarted
from stepfold.interpreter.ledger import RunStarted
from stepfold.language.machine import Machine
from stepfold.query.values import Value
from stepfold.runtime import catalog, express, redriving
from stepfold.runtime.host import Host
from stepfold.runtime.runs.run import Run, Told
from stepfold_store.contract import Conflict, Entry, StoreClosed

logger = structlog.get_logger(__name__)


class Kept(NamedTuple):
    """What the catalog has of an execution: its status, how often it was redriven, and its output."""

    number: int
    status: str
    redrives: int
    output: Value | None

    @property
    def size(self) -> int:
        """The bytes of its output."""
        return 0 if self.output is None else len(self.output)


class Children:
    """The executions of one map run."""

    def __init__(self, host: Host, arn: str, how: RunStarted) -> None:
        self._host = host
        self._arn = arn
        self._how = how
        self._express = how.kind == "EXPRESS"
        self._kind = express.KIND if self._express else catalog.EXECUTION

    def arn(self, number: int) -> str:
        """The ARN of an execution."""
        name = _uuid(f"{self._arn}#{number}")
        if self._express:
            return f"{self._how.machine.replace(':stateMachine:', ':express:', 1)}:{name}:{_uuid(name)}"
        return f"{self._how.machine.replace(':stateMachine:', ':execution:', 1)}:{name}"

    # --- begun --------------------------------------------------------------------------------------------------------

    def begin(self, parent: ExecutionStarted, machine: Machine, number: int, items: int, given: Value) -> None:
        """Begin one, under the limits and the role of the execution that its map run belongs to."""
        arn = self.arn(number)
        self._begin(machine, ExecutionStarted(
            input=given,
            arn=arn,
            name=_uuid(f"{self._arn}#{number}"),
            machine=self._how.machine,
            definition=self._how.definition,
            start=machine.start_at,
            limits=parent.limits,
            role=parent.role,
            region=parent.region,
            case=parent.case,
            map_run=self._arn,
            child=number,
            items=items,
        ))  # fmt: skip

    def _begin(self, machine: Machine, started: ExecutionStarted, redrives: int = 0) -> None:
        if self._express:
            run, told = express.begin(
                self._host, machine, express.bounded(started, machine), kept=True, redrives=redrives
            )
            row = express.entry(run.execution, redrives)
        else:
            run, row = Run(self._host, machine, Execution(), catalog.stream_of(started.arn)), None
            begun = run.decide(signals.Begin(started))
            if begun is None:
                raise AssertionError("an execution that begins records its beginning")
            told = begun
        self._host.runs[started.arn] = run
        self._host.spawn(run, self._follow, run, told, row)

    async def _follow(self, run: Run, told: Told, row: Entry | None) -> None:
        try:
            if row is not None:
                await self._host.store.put([row])
            owed = await run.settled(told)
        except (Conflict, StoreClosed):  # the run has given up; after a conflict, its log goes on
            return
        await run.go_on(owed)

    # --- found again --------------------------------------------------------------------------------------------------

    async def kept(self, number: int) -> Kept | None:
        """What is committed of one, if it was ever begun."""
        entry = await self._host.store.entry(self._kind, self.arn(number))
        return None if entry is None else self._read(entry)

    async def all(self, status: str) -> AsyncIterator[Kept]:
        """All of a status."""
        async for entry in catalog.all_entries(self._host.store, self._kind, parent=self._arn, status=status):
            yield self._read(entry)

    def _read(self, entry: Entry) -> Kept:
        if self._express:
            row = express.row_of(entry)
            number, redrives, output = row.started.child, row.redrives, row.output
        else:
            kept = catalog.execution_row(entry)
            number, redrives, output = kept.child, kept.redrives, kept.output
        return Kept(number, entry.status, redrives, None if isinstance(output, UnsetType) else output)

    # --- redriven, stopped --------------------------------------------------------------------------------------------

    async def redrive(self, number: int) -> bool:
        """Have one go on after its bad end, or for EXPRESS begin anew; whether that could be."""
        arn, host = self.arn(number), self._host
        if not self._express:
            try:
                await redriving.redrive(host, arn, None, by_map_run=True)
            except ExecutionNotRedrivable as why:
                logger.info("not redrivable", execution=arn, why=str(why))
                return False
            return True
        entry = await host.store.entry(self._kind, arn)
        if entry is None:
            return False
        row = express.row_of(entry)
        self._begin(await host.registry.machine(row.started.definition, "EXPRESS"), row.started, row.redrives + 1)
        return True

    async def stop(self, number: int) -> None:
        """End one now; nothing happens where it has ended."""
        arn = self.arn(number)
        try:
            while (run := await self._host.alive(arn)) is not None and run.execution.status == "RUNNING":
                try:
                    told = run.decide(signals.Stop())
                    if told is not None:
                        await self._host.followed(run, told)
                except Conflict:  # it is folded afresh, and then told again
                    continue
                return
        except StoreClosed:
            return
        except Exception:  # it was set aside: nobody can end it
            logger.exception("an execution of a map run cannot be stopped", execution=arn)


def _uuid(of: str) -> str:
    made = hashlib.sha256(of.encode()).hexdigest()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-a{made[17:20]}-{made[20:32]}"
