"""Redrive: an execution that ended badly is folded from its log, told to go on, and lives again under its old ARN.

Whether it may be is asked twice: for a description, of the catalog alone; before it is done, of the fold.
"""

from __future__ import annotations

from typing import Final

import anyio

from stepfold import names
from stepfold.errors import ExecutionDoesNotExist, ExecutionNotRedrivable
from stepfold.interpreter import signals
from stepfold.language.limits import REDRIVABLE_DAYS, REDRIVE_TOKEN_MINUTES, STANDARD_DAYS, Limits
from stepfold_store.contract import Conflict, Entry

from . import catalog, starting
from .host import Host
from .runs import folding
from .runs.run import Run, Told

_MINUTE: Final = 60 * 1000
_DAY: Final = 24 * 60 * _MINUTE


def refusal(entry: Entry, limits: Limits, now: int, *, deleting: bool = False) -> str | None:
    """Why an execution cannot be redriven, in AWS's words (API notes, section 4); None where it can."""
    if entry.ended is None or entry.status == "SUCCEEDED":
        return f"Execution is {entry.status} and cannot be redriven"
    if deleting:
        return "State machine is in DELETING status."
    if limits.history is not None and catalog.execution_row(entry).events >= limits.history - 1:
        return "Execution history event limit exceeded."
    if now - entry.started > STANDARD_DAYS * _DAY:
        return "Execution has exceeded the max execution time."
    if now - entry.ended > REDRIVABLE_DAYS * _DAY:
        return "Execution redrivable period exceeded."
    return None


def is_deleting(engine: Host, machine: str) -> bool:
    """Whether a machine is gone, or about to go."""
    known = engine.registry.peek(names.machine_arn(machine).arn)
    return known is None or known.deleting


async def redrive(engine: Host, arn: str, token: str | None, *, by_map_run: bool = False) -> int:
    """Have an execution go on after its bad end; when it was (milliseconds since the epoch), once that is durable.

    The same token within its time gives the same answer. An execution that a map run began goes on with its map run
    alone (unverified: AWS may redrive it by itself). Raises ExecutionDoesNotExist, ExecutionNotRedrivable.
    """
    while True:
        entry = await _at_rest(engine, arn)
        if catalog.execution_row(entry).machine is not None and not by_map_run:
            raise ExecutionNotRedrivable("Execution was started by a Map Run and is redriven with it")
        if (before := _done_before(entry, token, engine.clock.now())) is not None:
            return before
        if entry.ended is None or entry.status == "SUCCEEDED":
            raise ExecutionNotRedrivable(refusal(entry, engine.limits, 0) or "")
        starting.check_room(engine)
        # No await since nobody ran it, until it is marked as being folded: two redrives would be one too many.
        folded = engine.folding[arn] = anyio.Event()
        try:
            run, told = await _told(engine, entry, token)
        finally:
            del engine.folding[arn]
            folded.set()
        redriven = run.execution.redriven_at
        try:
            await engine.followed(run, told)
        except Conflict:  # another append came first, and it is folded afresh
            continue
        if redriven is None:
            raise AssertionError("a redrive records when it was")
        return redriven


async def _at_rest(engine: Host, arn: str) -> Entry:
    """What is committed about an execution, at a moment at which it neither runs nor is about to."""
    while True:
        run = await engine.alive(arn)
        if run is not None:
            if run.execution.status == "RUNNING":
                if run.begun is not None:
                    await run.begun.wait()  # it may have been redriven a moment ago, which is not durable yet
            else:
                await run.ended.wait()
        entry = await engine.store.entry(catalog.EXECUTION, arn)
        if entry is None:
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
        if entry.ended is None or (arn not in engine.runs and arn not in engine.folding):
            return entry


def _done_before(entry: Entry, token: str | None, now: int) -> int | None:
    if token is None:
        return None
    known = dict(catalog.execution_row(entry).tokens)
    at = known.get(token)
    return at if at is not None and now - at <= REDRIVE_TOKEN_MINUTES * _MINUTE else None


async def _told(engine: Host, entry: Entry, token: str | None) -> tuple[Run, Told]:
    """The run that goes on, and its first decision; raises ExecutionNotRedrivable."""
    execution, pace = await folding.fold(engine.store, entry.key)
    deleting = is_deleting(engine, execution.started.machine)
    if (why := refusal(entry, execution.started.limits, engine.clock.now(), deleting=deleting)) is not None:
        raise ExecutionNotRedrivable(why)
    machine = await engine.registry.machine(execution.started.definition)
    run = Run(engine, machine, execution, catalog.stream_of(entry.key), pace)
    told = run.decide(signals.Redrive(token))
    if told is None:
        raise AssertionError(f"{entry.key} ended badly, but had nothing to do again")
    engine.runs[entry.key] = run
    engine.lately.drop(entry.key)
    return run, told
