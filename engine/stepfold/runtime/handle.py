"""An execution as its starter holds it: to await, watch and stop; and what a bad end is called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from stepfold.insight.history import HistoryEvent, Projection
from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution
from stepfold.query.values import Json, Value, tree
from stepfold_store.contract import Store, StoreClosed

from . import catalog
from .catalog import Description
from .runs.run import Run


class Keeper(Protocol):
    """What a handle asks of the engine that gave it out."""

    @property
    def store(self) -> Store:
        """Where the log is."""
        ...

    async def stop(self, name_or_arn: str, *, error: str | None = None, cause: str | None = None) -> None:
        """End an execution."""
        ...

    async def alive(self, arn: str) -> Run | None:
        """The run of an execution; None where it has ended."""
        ...


class ExecutionFailed(Exception):
    """The execution failed; `error` and `cause` are the language's, and may be absent."""

    status = "FAILED"

    def __init__(self, error: str | None, cause: str | None) -> None:
        super().__init__(f"{error}: {cause}" if cause else str(error))
        self.error = error
        self.cause = cause


class ExecutionStopped(ExecutionFailed):
    """The execution was stopped."""

    status = "ABORTED"


class ExecutionTimedOut(ExecutionFailed):
    """The execution took longer than its machine allows."""

    status = "TIMED_OUT"


_OUTCOMES = {kind.status: kind for kind in (ExecutionFailed, ExecutionStopped, ExecutionTimedOut)}


class Handle:
    """An execution, to await, watch and stop."""

    __slots__ = ("_engine", "_run", "arn", "name")

    def __init__(self, engine: Keeper, arn: str, run: Run | None = None) -> None:
        self._engine = engine
        self._run = run
        self.arn = arn
        self.name = arn.rpartition(":")[2]

    async def result(self) -> Json:
        """The output as Python data. Raises ExecutionFailed, ExecutionStopped or ExecutionTimedOut."""
        return tree(await self.output())

    async def output(self) -> Value:
        """The output as JSON text; raises as `result` does."""
        run = self._run or await self._engine.alive(self.arn)
        while run is not None:
            await run.ended.wait()
            if run.broken is None:
                return _outcome(run.execution)
            run = await self._engine.alive(self.arn)
        described = await self.describe()
        if described.output is not None:
            return Value(described.output)
        if described.status == "RUNNING":
            raise RuntimeError(f"{self.arn} is not run by this engine")
        raise _OUTCOMES[described.status](described.error, described.cause)

    async def describe(self) -> Description:
        """What is committed about it."""
        return await catalog.describe(self._engine.store, self.arn)

    async def events(self, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Its history as AWS tells it, past event id `after`: what is committed, then what is, as it comes.

        Raises ExecutionDoesNotExist, and StoreClosed where the engine is closed before the execution has ended.
        """
        projection = Projection()
        seen, ended = 0, False
        store = self._engine.store
        await catalog.find_execution(store, self.arn)
        async for version in store.watch(catalog.stream_of(self.arn)):
            if version <= seen:
                continue
            async for event in catalog.events(store, self.arn, seen):
                seen = event.seq
                told = projection.tell(event)
                if told is not None and told["id"] > after:
                    yield told
                ended = isinstance(event.fact, _ENDS)
            if ended:  # and no redrive follows
                return
        raise StoreClosed("the store was closed before the execution ended")

    async def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """End it now; nothing happens where it has ended."""
        await self._engine.stop(self.arn, error=error, cause=cause)


_ENDS = (facts.ExecutionSucceeded, facts.ExecutionFailed, facts.ExecutionAborted, facts.ExecutionTimedOut)


def _outcome(execution: Execution) -> Value:
    failure = execution.ending
    if failure is None:
        return execution.root.value
    raise _OUTCOMES[execution.status](failure.error, failure.cause)
