"""Taking up, at an opening, what was interrupted: folded, claimed, and set going; what cannot be, set aside."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio
import structlog

from stepfold.interpreter.execution import Execution
from stepfold_store.contract import Damaged, StoreClosed

from . import catalog, express, quarantine
from .claims import MOST, Claims, is_risky
from .host import Host
from .quarantine import AsideRow
from .run import Run

logger = structlog.get_logger(__name__)

TOGETHER: Final = 256
"""Executions that are folded before they go on, so that the first decisions of all share a commit."""
AT_ONCE: Final = 8
"""Logs that are read at once: alone, each would wait for a thread to wake up, twice."""
TRIAL_SECONDS: Final = 0.5
"""How long those on trial have to get on, before the next are tried beside them."""


async def resume_all(engine: Host, claims: Claims) -> None:
    """Set going whatever was interrupted, but for what is set aside; those under suspicion one after the other."""
    await claims.open()
    aside = await quarantine.every(engine.store)
    engine.failed.update({arn: one.error for arn, one in aside.items()})
    arns = [
        entry.key
        async for entry in catalog.all_entries(engine.store, catalog.EXECUTION, status="RUNNING", newest_first=False)
        if entry.key not in aside
    ]
    suspects: list[tuple[int, Run]] = []
    for start in range(0, len(arns), TOGETHER):
        suspects += await _take_up(engine, claims, arns[start : start + TOGETHER])
    await claims.drop_others(arn for arn in arns if arn in engine.runs)
    if arns:
        logger.info("resumed", executions=len(arns))
    if suspects:
        logger.warning("died before these got on; they are tried one after the other", executions=len(suspects))
        engine.aside(_try, engine, claims, suspects)
    await express.resume(engine)


async def _take_up(engine: Host, claims: Claims, arns: Sequence[str]) -> list[tuple[int, Run]]:
    """Set these going; returns those that were taken up in vain before, and how often."""
    suspects: list[tuple[int, Run]] = []
    going: list[Run] = []
    counted: dict[Execution, int] = {}
    for run in await _fold_all(engine, arns):
        arn = run.execution.started.arn
        count = await claims.count(run.execution)
        if count >= MOST:
            why = f"it was taken up {count} times, and each time the process died or gave it up before it got on"
            del engine.runs[arn]
            await set_aside(engine, arn, AsideRow(why))
        elif is_risky(run.execution):
            counted[run.execution] = max(count, 1)
            if count:
                suspects.append((count, run))
            else:
                going.append(run)
        else:
            going.append(run)
    if counted:
        await claims.keep(counted)
    for run in going:
        engine.spawn(run, run.resume)
    return suspects


async def _try(engine: Host, claims: Claims, suspects: list[tuple[int, Run]]) -> None:
    """Set going those under suspicion, the least suspicious first: ever more at once, but alone at the last chance."""
    with suppress(StoreClosed):
        await _one_after_the_other(engine, claims, suspects)


async def _one_after_the_other(engine: Host, claims: Claims, suspects: list[tuple[int, Run]]) -> None:
    left = [run for _, run in sorted(suspects, key=lambda suspect: suspect[0])]
    counts = {run: count for count, run in suspects}
    size = 1
    while left:
        size = 1 if counts[left[0]] >= MOST - 1 else size
        now = [run for run in left[:size] if counts[run] == counts[left[0]]]
        left = left[len(now) :]
        await claims.try_out([run.execution for run in now])
        before = {run: run.execution.version + len(run.execution.asked) for run in now}
        for run in now:
            if run.broken is None:
                engine.spawn(run, run.resume)
        with anyio.move_on_after(TRIAL_SECONDS):
            for run in now:
                while not run.ended.is_set() and run.execution.version <= before[run]:  # noqa: ASYNC110  (it tells nobody)
                    await anyio.sleep(TRIAL_SECONDS / 50)
        size *= 2
    await claims.end_trial()


async def _fold_all(engine: Host, arns: Sequence[str]) -> list[Run]:
    """Fold executions, some at once: the store reads the next logs while one is folded."""
    folded: dict[str, Run | None] = dict.fromkeys(arns)
    left = iter(arns)
    closed: list[StoreClosed] = []

    async def some() -> None:
        try:
            for arn in left:
                folded[arn] = await fold(engine, arn)
        except StoreClosed as error:
            closed.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(some)
    if closed:
        raise closed[0]  # as it came: a caller must not have to look into a group of errors for it
    return [run for run in folded.values() if run is not None]


async def fold(engine: Host, arn: str) -> Run | None:
    """An execution as its log has it, ready to go on; one that cannot be read is set aside, and harms nobody."""
    try:
        execution = await catalog.fold(engine.store, arn)
        machine = await engine.registry.machine(execution.started.definition)
        if execution.status != "RUNNING" or arn in engine.runs:  # ended, or started, while this was on its way
            return None
        run = Run(engine, machine, execution, catalog.stream_of(arn))
        run.entry = catalog.execution_entry(execution)
        engine.runs[arn] = run
    except StoreClosed:
        raise
    except Damaged as error:
        await set_aside(engine, arn, quarantine.told(error))
        return None
    except Exception as error:  # whatever is wrong with one log must not keep the others from going on
        engine.runs.pop(arn, None)
        engine.failed[arn] = error
        logger.exception("execution set aside", execution=arn)
        return None
    return run


async def set_aside(engine: Host, arn: str, row: AsideRow) -> None:
    """Set an execution aside, until somebody asks to try it again."""
    logger.error("execution set aside", execution=arn, reason=row.reason)
    engine.failed[arn] = (await quarantine.put(engine.store, arn, row, engine.clock.now())).error


async def retry(engine: Host, arn: str) -> None:
    """Try an execution again that was set aside. Raises CallerError where it is not, and whatever is wrong with it."""
    await quarantine.give_back(engine.store, arn, engine.clock.now())
    engine.failed.pop(arn, None)
    if (run := await fold(engine, arn)) is not None:
        engine.spawn(run, run.resume)
    elif arn in engine.failed:
        raise engine.failed[arn]
