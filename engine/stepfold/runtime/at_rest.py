"""What can be done to an execution that no engine runs: ending it, without setting the others of its store going."""

from __future__ import annotations

from stepfold.errors import StateMachineDoesNotExist
from stepfold.interpreter import signals
from stepfold.interpreter.decide import decide
from stepfold.language.failures import Failure
from stepfold.language.machine import load
from stepfold_store.contract import Entry, Store

from . import catalog, express
from .catalog import Description
from .clock import Chance, SystemClock
from .recovery import quarantine
from .runs import folding
from .runs.run import record


async def stop(
    store: Store, name_or_arn: str, *, error: str | None = None, cause: str | None = None
) -> Description:
    """Stop an execution in a store that was opened to write; what it is then, once that is durable.

    One of an EXPRESS machine, named by its ARN, would be run again from its start: now it will not. Nothing happens
    where it has ended. Raises ExecutionDoesNotExist.
    """
    if (entry := await store.entry(express.KIND, name_or_arn)) is not None:
        return await _stop_express(store, entry, Failure(error, cause))
    entry = await catalog.find_execution(store, name_or_arn)
    if entry.status == "RUNNING":
        await _stop_standard(store, entry, signals.Stop(error, cause))
    return await catalog.describe(store, entry.key)


async def _stop_standard(store: Store, entry: Entry, stop: signals.Stop) -> None:
    execution, _ = await folding.fold(store, entry.key)
    text = await store.text(execution.started.definition)
    if text is None:
        raise StateMachineDoesNotExist(f"the store has no definition {execution.started.definition}")
    before = execution.version
    decision = decide(load(text), execution, stop, Chance().moment(SystemClock().now()))
    if decision.events:
        entries = [catalog.execution_entry(execution), *await _given_up(store, entry.key, execution.at)]
        await store.submit(catalog.stream_of(entry.key), before, (record(decision.events),), entries=entries)


async def _stop_express(store: Store, entry: Entry, why: Failure) -> Description:
    if entry.status == "RUNNING":
        now = SystemClock().now()
        entry = express.aborted(entry, why, now)
        await store.put([entry, *await _given_up(store, entry.key, now)])
    return express.described(entry)


async def _given_up(store: Store, arn: str, now: int) -> list[Entry]:
    """One that was set aside will never be tried again."""
    if await quarantine.find(store, arn) is None:
        return []
    return [catalog.tombstone(quarantine.KIND, arn, now)]
