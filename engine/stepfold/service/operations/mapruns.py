"""Operations on map runs: describe, list, change."""

from __future__ import annotations

from typing import Final, cast

from stepfold import names
from stepfold.errors import ExecutionDoesNotExist, ResourceNotFound
from stepfold.interpreter.ledger import Count, SettingsChanged
from stepfold.runtime import catalog
from stepfold.runtime.engine import Engine
from stepfold.runtime.mapruns import tallies
from stepfold.runtime.mapruns.tallies import Found, MapRunRow
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Operation, timestamp

from .paging import page
from .served import Served


async def describe_map_run(service: Served, request: shapes.DescribeMapRunInput) -> shapes.DescribeMapRunOutput:
    """How a map run is run, and how far it is."""
    entry, row = await found(service.engine, request.mapRunArn)
    items = {name: count.items for name, count in _counts(row, ended=entry.ended is not None).items()}
    executions = {name: count.executions for name, count in _counts(row, ended=entry.ended is not None).items()}
    return shapes.DescribeMapRunOutput(
        mapRunArn=entry.key,
        executionArn=entry.parent,
        status=cast("shapes.MapRunStatus", entry.status),
        startDate=timestamp(entry.started),
        stopDate=None if entry.ended is None else timestamp(entry.ended),
        maxConcurrency=row.concurrency,
        toleratedFailurePercentage=row.percentage or 0.0,
        toleratedFailureCount=row.tolerated or 0,
        itemCounts=shapes.MapRunItemCounts(**items),
        executionCounts=shapes.MapRunExecutionCounts(**executions),
        redriveCount=row.redrives,
        redriveDate=None if row.redriven is None else timestamp(row.redriven),
    )


def _counts(row: MapRunRow, *, ended: bool) -> dict[str, Count]:
    """AWS's names. Results count as written once the run has ended (recorded), those of successes (unverified)."""
    counts = {
        "pending": row.pending,
        "running": row.count("RUNNING"),
        "succeeded": row.count("SUCCEEDED"),
        "failed": row.count("FAILED"),
        "timedOut": row.count("TIMED_OUT"),
        "aborted": row.count("ABORTED"),
        "pendingRedrive": row.count("PENDING_REDRIVE"),
    }
    total = Count(sum(count.executions for count in counts.values()), row.length)
    written = row.count("SUCCEEDED") if ended else Count()
    return {**counts, "total": total, "resultsWritten": written, "failuresNotRedrivable": row.final}


async def list_map_runs(service: Served, request: shapes.ListMapRunsInput) -> shapes.ListMapRunsOutput:
    """The map runs of an execution, the oldest first (AWS's order is not verified)."""
    store, arn = service.engine.store, names.execution_arn(request.executionArn)
    if await store.entry(catalog.EXECUTION, arn) is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    all_ = [entry async for entry in catalog.all_entries(store, tallies.MAP_RUN, parent=arn, newest_first=False)]
    some, following = page(
        all_,
        lambda entry: [entry.started, entry.key],
        request,
        scope=f"ListMapRuns {arn}",
        now=service.engine.clock.now(),
    )
    runs = [
        shapes.MapRunListItem(
            executionArn=entry.parent,
            mapRunArn=entry.key,
            stateMachineArn=tallies.row_of(entry).machine,
            startDate=timestamp(entry.started),
            stopDate=None if entry.ended is None else timestamp(entry.ended),
        )
        for entry in some
    ]
    return shapes.ListMapRunsOutput(mapRuns=runs, nextToken=following)


async def update_map_run(service: Served, request: shapes.UpdateMapRunInput) -> shapes.UpdateMapRunOutput:
    """Change how a map run is run, while it is."""
    await found(service.engine, request.mapRunArn)
    settings = SettingsChanged(
        request.maxConcurrency, request.toleratedFailureCount, request.toleratedFailurePercentage
    )
    await service.engine.maps.change(request.mapRunArn, settings)
    return shapes.UpdateMapRunOutput()


async def found(engine: Engine, arn: str) -> Found:
    """A map run, by its ARN; raises InvalidArn, ResourceNotFound."""
    names.states_arn(arn, "mapRun")
    run = await tallies.find(engine.store, arn)
    if run is None:
        raise ResourceNotFound(f"Resource not found: '{arn}'")
    return run


OPERATIONS: Final[dict[str, Operation]] = {
    "DescribeMapRun": describe_map_run,
    "ListMapRuns": list_map_runs,
    "UpdateMapRun": update_map_run,
}
