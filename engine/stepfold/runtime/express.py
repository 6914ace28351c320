"""Executions of EXPRESS machines: each runs on a store of its own that forgets.

One that somebody waits for (StartSyncExecution) is never written down. Of the others the start and the end are: a row
of the catalog, and no log. What a crash cut off is run again from its start, for AWS promises but at least once; also
then it never got on, as far as `claims` can know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import anyio
import msgspec
import structlog
from msgspec import UNSET, Raw, UnsetType

from stepfold.interpreter import signals
from stepfold.interpreter.execution import Execution, Status
from stepfold.interpreter.facts import Event, ExecutionStarted
from stepfold.language.failures import Failure
from stepfold.language.limits import EXPRESS_SECONDS
from stepfold.language.machine import Machine
from stepfold.query.template import Moment
from stepfold.work.call import NoWorker
from stepfold_store.contract import Entry, StoreClosed
from stepfold_store.memory import MemoryStore

from . import catalog, starting
from .host import Host
from .machines.registry import Target
from .runs.run import Run, Told
from .starting import Begun, Wanted

logger = structlog.get_logger(__name__)

KIND: Final = "express"
"""The catalog's kind of these rows; ListExecutions never tells them."""
BASE_MEGABYTES: Final = 50
"""What an execution needs beside its data (AWS's guide to its prices)."""


class ExpressRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of an execution: its first fact, from which it can be run again, and how it ended.

    `redrives` counts how often a map run had one of its executions run anew, under its old ARN.
    """

    started: ExecutionStarted
    output: Raw | UnsetType = UNSET
    error: str | None = None
    cause: str | None = None
    redrives: int = 0


class Ended(NamedTuple):
    """An execution that has ended, and a guess of the memory that AWS would have needed."""

    execution: Execution
    megabytes: int


class Apart:
    """A run's world: the engine's, but for a store that goes with it. `kept` has its end written down."""

    def __init__(self, engine: Host, *, kept: bool, redrives: int = 0) -> None:
        self.workers = engine.workers
        self.timers = engine.timers
        self.clock = engine.clock
        self.store = MemoryStore()
        self._engine = engine
        self._kept = kept
        self._redrives = redrives

    def moment(self) -> Moment:
        """Now, with chance."""
        return self._engine.moment()

    def entry(self, _execution: Execution, _events: Sequence[Event], *, ended: bool) -> Entry | None:
        """Nothing that this store could be asked for."""

    def spawn(self, run: Run, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Have a task done in the engine's group."""
        self._engine.spawn(run, task, *arguments)

    def crowded(self) -> bool:
        """Whether it is time to give the others a turn."""
        return self._engine.crowded()

    def begun(self, run: Run) -> None:
        """The run has begun."""
        self._engine.begun(run)

    def offer(self, run: Run, effect: signals.Offer) -> None:
        """Nobody comes for the activities of an EXPRESS machine: they are refused when it is created."""
        raise AssertionError(f"{run.execution.started.arn} offers {effect.activity}")

    def run_map(self, run: Run, effect: signals.RunMap) -> None:
        """An EXPRESS machine has no distributed Map: one is refused when it is created."""
        raise AssertionError(f"{run.execution.started.arn} asks for {effect.arn}")

    def leave_map(self, arn: str) -> None:
        """Nor is one left."""
        raise AssertionError(f"{arn} is left, which nobody began")

    def missing(self, run: Run, missing: NoWorker) -> None:
        """The run waits for work that nobody is registered for."""
        self._engine.missing(run, missing)

    def finished(self, run: Run) -> None:
        """The run has ended: what is kept of that is on its way to the disk, and nobody waits for it."""
        if self._kept:
            row = entry(run.execution, self._redrives)
            self._engine.store.submit(f"{KIND}:{row.key}", 0, (), entries=(row,))
        self._engine.finished(run)

    def lost(self, run: Run, error: Exception) -> None:
        """The run was given up; where its start was kept, it is run again when the store is opened anew."""
        self._engine.lost(run, error)


def entry(execution: Execution, redrives: int = 0) -> Entry:
    """The catalog's entry, as an execution is now."""
    started, failure = execution.started, execution.ending
    row = ExpressRow(
        started,
        execution.root.value if execution.status == "SUCCEEDED" else UNSET,
        failure.error if failure is not None else None,
        failure.cause if failure is not None else None,
        redrives,
    )
    ended = execution.at if execution.status != "RUNNING" else None
    parent = started.map_run or started.machine
    return Entry(
        KIND, started.arn, parent, execution.status, execution.started_at, ended, data=msgspec.json.encode(row)
    )


def row_of(entry: Entry) -> ExpressRow:
    """What the entry of an execution says."""
    return catalog.row_of(entry, ExpressRow)


def aborted(entry: Entry, why: Failure, now: int) -> Entry:
    """The entry of an execution that was stopped."""
    row = msgspec.structs.replace(row_of(entry), error=why.error, cause=why.cause)
    return msgspec.structs.replace(entry, status="ABORTED", ended=now, data=msgspec.json.encode(row))


def described(entry: Entry) -> catalog.Description:
    """All that is kept of an execution."""
    row = row_of(entry)
    started = row.started
    return catalog.Description(
        entry.key, started.name, started.machine, cast("Status", entry.status), entry.started, entry.ended,
        catalog.given(started), None if isinstance(row.output, UnsetType) else bytes(row.output).decode(),
        row.error, row.cause, started.definition,
    )


async def start(engine: Host, target: Target, wish: Wanted) -> Begun:
    """Start an execution that nobody waits for; returns once its start is durable."""
    run, told = await _new(engine, target, wish, kept=True)
    with anyio.CancelScope(shield=True):  # its start, once durable, is followed by its life
        await engine.store.put([entry(run.execution)])
        await _live(engine, run, told)
    return Begun(run.execution.started.arn, run.execution.started_at, run)


async def run(engine: Host, target: Target, wish: Wanted) -> Ended:
    """Run an execution to its end, of which nothing is kept; one who goes away does not end it."""
    one, told = await _new(engine, target, wish, kept=False)
    await _live(engine, one, told)
    await one.ended.wait()
    if one.broken is not None:
        raise one.broken
    size = 0
    async for records in one.world.store.read(one.stream):
        size += sum(len(record.body) for record in records)
    return Ended(one.execution, BASE_MEGABYTES + size // 1_000_000)


async def cut_off(engine: Host) -> list[Entry]:
    """Those whose end was not written down, the oldest first."""
    return [one async for one in catalog.all_entries(engine.store, KIND, status="RUNNING", newest_first=False)]


async def again(engine: Host, one: Entry) -> tuple[Run, Told] | None:
    """One that was cut off, begun again from its start; one that cannot be is told of, and harms nobody."""
    try:
        row = row_of(one)
        machine = await engine.registry.machine(row.started.definition, "EXPRESS")
        run, told = begin(engine, machine, row.started, kept=True, redrives=row.redrives)
    except StoreClosed:
        raise
    except Exception as error:  # whatever is wrong with one must not keep the others from going on
        engine.failed[one.key] = error
        logger.exception("execution set aside", execution=one.key)
        return None
    engine.runs[one.key] = run
    return run, told


async def _new(engine: Host, target: Target, wish: Wanted, *, kept: bool) -> tuple[Run, Told]:
    starting.check_room(engine)
    machine = await engine.registry.machine(target.definition, target.row.type)
    name, unique = wish.name or engine.chance.name(engine.clock.now()), engine.chance.uuid()
    arn = engine.home.express(target.row.name, name, unique)
    starting.check_room(engine)
    started = starting.first_fact(engine, target, machine, wish, arn, name)
    return begin(engine, machine, bounded(started, machine), kept=kept)


def bounded(started: ExecutionStarted, machine: Machine) -> ExecutionStarted:
    """The first fact with the limits of an EXPRESS execution: five minutes, and no count of events."""
    timeout = EXPRESS_SECONDS if machine.timeout is None else min(machine.timeout, EXPRESS_SECONDS)
    limits = msgspec.structs.replace(started.limits, history=None)
    return msgspec.structs.replace(started, timeout=timeout, limits=limits)


def begin(
    engine: Host, machine: Machine, started: ExecutionStarted, *, kept: bool, redrives: int = 0
) -> tuple[Run, Told]:
    """An execution's run and its first decision, by its first fact."""
    one = Run(Apart(engine, kept=kept, redrives=redrives), machine, Execution(), catalog.stream_of(started.arn))
    told = one.decide(signals.Begin(started))
    if told is None:
        raise AssertionError("an execution that begins records its beginning")
    return one, told


async def _live(engine: Host, one: Run, told: Told) -> None:
    engine.runs[one.execution.started.arn] = one
    await engine.followed(one, told)
