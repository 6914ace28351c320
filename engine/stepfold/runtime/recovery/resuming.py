"""Taking up, at an opening, what was interrupted: folded, claimed, and set going; what cannot be, set aside."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, NamedTuple

import anyio
import structlog

from stepfold.interpreter.execution import Execution
from stepfold.runtime import catalog, express
from stepfold.runtime.host import Host
from stepfold.runtime.runs import folding
from stepfold.runtime.runs.run import Run, Told
from stepfold_store.contract import Damaged, StoreClosed

from . import quarantine
from .claims import MOST, Claims, is_risky
from .quarantine import AsideRow

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
    cut_off = [entry for entry in await express.cut_off(engine) if entry.key not in aside]
    suspects: list[tuple[int, _Ready]] = []
    for start in range(0, len(arns), TOGETHER):
        with _nothing_collected():
            folded = await _fold_all(engine, arns[start : start + TOGETHER])
            suspects += await _take_up(engine, claims, [_going_on(run) for run in folded])
    for start in range(0, len(cut_off), TOGETHER):
        begun = [await express.again(engine, entry) for entry in cut_off[start : start + TOGETHER]]
        suspects += await _take_up(engine, claims, [_beginning(*one) for one in begun if one is not None])
    await claims.drop_others(arn for arn in (*arns, *(entry.key for entry in cut_off)) if arn in engine.runs)
    if arns or cut_off:
        logger.info("resumed", executions=len(arns) + len(cut_off))
    if suspects:
        logger.warning("died before these got on; they are tried one after the other", executions=len(suspects))
        engine.aside(_try, engine, claims, suspects)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Python's collector rests meanwhile: nearly all that is made lives on, to be looked through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Ready(NamedTuple):
    """An execution that can be set going by `go`; `risky` where that has anything done in this process."""

    run: Run
    go: Callable[[], Awaitable[None]]
    risky: bool


def _going_on(run: Run) -> _Ready:
    return _Ready(run, run.resume, is_risky(run.execution))


def _beginning(run: Run, told: Told) -> _Ready:
    """One of EXPRESS: all that it does, it does again, also what comes after a Wait."""
    return _Ready(run, partial(run.follow, told), risky=True)


async def _take_up(engine: Host, claims: Claims, found: Sequence[_Ready]) -> list[tuple[int, _Ready]]:
    """Set these going; returns those that were taken up in vain before, and how often."""
    suspects: list[tuple[int, _Ready]] = []
    going: list[_Ready] = []
    counted: dict[Execution, int] = {}
    for ready in found:
        run, arn = ready.run, ready.run.execution.started.arn
        count = await claims.count(run.execution)
        if count >= MOST:
            why = f"it was taken up {count} times, and each time the process died or gave it up before it got on"
            del engine.runs[arn]
            await set_aside(engine, arn, AsideRow(why))
        elif ready.risky:
            counted[run.execution] = max(count, 1)
            if count:
                suspects.append((count, ready))
            else:
                going.append(ready)
        else:
            going.append(ready)
    if counted:
        await claims.keep(counted)
    for ready in going:
        engine.spawn(ready.run, ready.go)
    return suspects


async def _try(engine: Host, claims: Claims, suspects: list[tuple[int, _Ready]]) -> None:
    """Set going those under suspicion, the least suspicious first: ever more at once, but alone at the last chance."""
    with suppress(StoreClosed):
        await _one_after_the_other(engine, claims, suspects)


async def _one_after_the_other(engine: Host, claims: Claims, suspects: list[tuple[int, _Ready]]) -> None:
    left = [ready for _, ready in sorted(suspects, key=lambda suspect: suspect[0])]
    counts = {ready: count for count, ready in suspects}
    size = 1
    while left:
        size = 1 if counts[left[0]] >= MOST - 1 else size
        group = [ready for ready in left[:size] if counts[ready] == counts[left[0]]]
        left = left[len(group) :]
        now = [ready.run for ready in group]
        await claims.try_out([run.execution for run in now])
        before = {run: run.execution.version + len(run.execution.asked) for run in now}
        for ready in group:
            if ready.run.broken is None:
                engine.spawn(ready.run, ready.go)
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
        execution, pace = await folding.fold(engine.store, arn)
        machine = await engine.registry.machine(execution.started.definition)
        if execution.status != "RUNNING" or arn in engine.runs:  # ended, or started, while this was on its way
            return None
        run = Run(engine, machine, execution, catalog.stream_of(arn), pace)
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


async def retry(engine: Host, name_or_arn: str) -> None:
    """Try an execution again that was set aside. Raises CallerError where it is not, and whatever is wrong with it."""
    arn = await quarantine.give_back(engine.store, name_or_arn, engine.clock.now())
    engine.failed.pop(arn, None)
    if (entry := await engine.store.entry(express.KIND, arn)) is not None:
        begun = await express.again(engine, entry)
        ready = None if begun is None else _beginning(*begun)
    else:
        run = await fold(engine, arn)
        ready = None if run is None else _going_on(run)
    if ready is not None:
        engine.spawn(ready.run, ready.go)
    elif arn in engine.failed:
        raise engine.failed[arn]
