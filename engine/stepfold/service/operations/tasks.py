"""Activities and task tokens: whoever does work elsewhere comes for it here, and tells here what came of it."""

from __future__ import annotations

from typing import Final

from stepfold import names
from stepfold.errors import ActivityDoesNotExist, ActivityLimitExceeded
from stepfold.language import limits
from stepfold.runtime import catalog
from stepfold.runtime.catalog import ActivityRow
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Operation, timestamp
from stepfold_store.contract import Entry

from . import paging
from .served import Served

POLL_SECONDS = 60
"""How long GetActivityTask waits for a task (AWS)."""


async def create_activity(service: Served, request: shapes.CreateActivityInput) -> shapes.CreateActivityOutput:
    """CreateActivity: the same name is the same activity, whatever its tags."""
    engine = service.engine
    arn = service.home.activity(names.check_name(request.name))
    async with engine.registry.changing:  # of two who create one name at once, the second is to see the first
        entry = await _find(service, arn)
        if entry is None:
            there = await engine.store.entries(catalog.ACTIVITY, status=catalog.ACTIVE, limit=limits.ACTIVITIES)
            if len(there.entries) >= limits.ACTIVITIES:
                raise ActivityLimitExceeded(f"There can be at most {limits.ACTIVITIES} activities")
            entry = catalog.activity_entry(arn, ActivityRow(request.name), engine.clock.now())
            tags = {tag.key or "": tag.value or "" for tag in request.tags or ()}
            await engine.store.put([entry, engine.registry.tags.entry(arn, tags)])
    return shapes.CreateActivityOutput(activityArn=arn, creationDate=timestamp(entry.started))


async def describe_activity(
    service: Served, request: shapes.DescribeActivityInput
) -> shapes.DescribeActivityOutput:
    """DescribeActivity."""
    entry = await _known(service, request.activityArn)
    return shapes.DescribeActivityOutput(
        activityArn=entry.key,
        name=catalog.activity_row(entry).name,
        creationDate=timestamp(entry.started),
        encryptionConfiguration=shapes.EncryptionConfiguration(type="AWS_OWNED_KEY"),
    )


async def list_activities(service: Served, request: shapes.ListActivitiesInput) -> shapes.ListActivitiesOutput:
    """ListActivities, by name."""
    store = service.engine.store
    entries = [entry async for entry in catalog.all_entries(store, catalog.ACTIVITY, status=catalog.ACTIVE)]
    entries.sort(key=lambda entry: entry.key)
    some, token = paging.page(
        entries,
        lambda entry: entry.key,
        request,
        scope="ListActivities",
        now=service.engine.clock.now(),
    )
    items = [
        shapes.ActivityListItem(
            activityArn=entry.key, name=catalog.activity_row(entry).name, creationDate=timestamp(entry.started)
        )
        for entry in some
    ]
    return shapes.ListActivitiesOutput(activities=items, nextToken=token)


async def delete_activity(service: Served, request: shapes.DeleteActivityInput) -> None:
    """DeleteActivity: one that is not there is gone already."""
    names.states_arn(request.activityArn, "activity")
    registry = service.engine.registry
    async with registry.changing:
        if await _find(service, request.activityArn) is not None:
            await registry.bury(catalog.ACTIVITY, request.activityArn)


async def get_activity_task(
    service: Served, request: shapes.GetActivityTaskInput
) -> shapes.GetActivityTaskOutput:
    """GetActivityTask: a task as soon as there is one, or nothing after a minute."""
    entry = await _known(service, request.activityArn)
    polled = await service.engine.callbacks.poll(entry.key, worker=request.workerName, seconds=POLL_SECONDS)
    if polled is None:
        return shapes.GetActivityTaskOutput()
    return shapes.GetActivityTaskOutput(taskToken=polled.token, input=bytes(polled.input).decode())


async def send_task_success(service: Served, request: shapes.SendTaskSuccessInput) -> None:
    """SendTaskSuccess."""
    await service.engine.callbacks.succeed(request.taskToken, request.output)


async def send_task_failure(service: Served, request: shapes.SendTaskFailureInput) -> None:
    """SendTaskFailure."""
    await service.engine.callbacks.fail(request.taskToken, request.error, request.cause)


async def send_task_heartbeat(service: Served, request: shapes.SendTaskHeartbeatInput) -> None:
    """SendTaskHeartbeat."""
    await service.engine.callbacks.beat(request.taskToken)


async def _find(service: Served, arn: str) -> Entry | None:
    entry = await service.engine.store.entry(catalog.ACTIVITY, arn)
    return None if entry is None or entry.status == catalog.DELETED else entry


async def _known(service: Served, arn: str) -> Entry:
    names.states_arn(arn, "activity")
    if (entry := await _find(service, arn)) is None:
        raise ActivityDoesNotExist(f"Activity Does Not Exist: '{arn}'")
    return entry


OPERATIONS: Final[dict[str, Operation]] = {
    "CreateActivity": create_activity,
    "DescribeActivity": describe_activity,
    "ListActivities": list_activities,
    "DeleteActivity": delete_activity,
    "GetActivityTask": get_activity_task,
    "SendTaskSuccess": send_task_success,
    "SendTaskFailure": send_task_failure,
    "SendTaskHeartbeat": send_task_heartbeat,
}
