"""What can be done to an execution that no engine runs: ending it, without setting the others of its store going."""

from __future__ import annotations

from stepfold.errors import StateMachineDoesNotExist
from stepfold.interpreter import signals
from stepfold.interpreter.decide import decide
from stepfold.language.machine import load
from stepfold_store.contract import Store

from . import catalog
from .clock import Chance, SystemClock
from .recovery import quarantine
from .runs import folding
from .runs.run import record


async def stop(store: Store, name_or_arn: str, *, error: str | None = None, cause: str | None = None) -> str:
    """Stop an execution in a store that was opened to write; its ARN, once that is durable.

    Nothing happens where it has ended. Raises ExecutionDoesNotExist.
    """
    entry = await catalog.find_execution(store, name_or_arn)
    if entry.status != "RUNNING":
        return entry.key
    execution, _ = await folding.fold(store, entry.key)
    text = await store.text(execution.started.definition)
    if text is None:
        raise StateMachineDoesNotExist(f"the store has no definition {execution.started.definition}")
    before = execution.version
    decision = decide(load(text), execution, signals.Stop(error, cause), Chance().moment(SystemClock().now()))
    if decision.events:
        entries = [catalog.execution_entry(execution)]
        if await quarantine.find(store, entry.key) is not None:  # it will never be tried again
            entries.append(catalog.tombstone(quarantine.KIND, entry.key, execution.at))
        await store.submit(catalog.stream_of(entry.key), before, (record(decision.events),), entries=entries)
    return entry.key
