"""Activities and task tokens: whoever does work elsewhere comes for it here, and tells here what came of it."""

from __future__ import annotations

from typing import Final

from stepfold import names
from stepfold.errors import ActivityDoesNotExist
from stepfold.runtime import catalog
from stepfold.runtime.catalog import ActivityRow

from . import shapes
from .arns import arn_of
from .paging import page_size, read_token, token_of
from .protocol import Operation, timestamp
from .service import StepFunctions

POLL_SECONDS = 60
"""How long GetActivityTask waits for a task (AWS)."""


async def create_activity(service: StepFunctions, request: shapes.CreateActivityInput) -> shapes.CreateActivityOutput:
    """CreateActivity: the same name is the same activity, whatever its tags."""
    engine = service.engine
    arn = service.home.activity(names.check_name(request.name))
    async with service.changing:  # of two who create one name at once, the second is to see the first
        entry = await engine.store.entry(catalog.ACTIVITY, arn)
        if entry is None:
            tags = {tag.key or "": tag.value or "" for tag in request.tags or ()}
            entry = catalog.activity_entry(arn, ActivityRow(request.name, tags), engine.clock.now())
            await engine.store.put([entry])
    return shapes.CreateActivityOutput(activityArn=arn, creationDate=timestamp(entry.started))


async def describe_activity(
    service: StepFunctions, request: shapes.DescribeActivityInput
) -> shapes.DescribeActivityOutput:
    """DescribeActivity."""
    arn = arn_of(request.activityArn, "activity")
    entry = await service.engine.store.entry(catalog.ACTIVITY, arn)
    if entry is None:
        raise ActivityDoesNotExist(f"Activity Does Not Exist: '{arn}'")
    return shapes.DescribeActivityOutput(
        activityArn=arn,
        name=catalog.activity_row(entry).name,
        creationDate=timestamp(entry.started),
        encryptionConfiguration=shapes.EncryptionConfiguration(type="AWS_OWNED_KEY"),
    )


async def list_activities(service: StepFunctions, request: shapes.ListActivitiesInput) -> shapes.ListActivitiesOutput:
    """ListActivities, oldest first."""
    page = await service.engine.store.entries(
        catalog.ACTIVITY, newest_first=False, after=read_token(request.nextToken), limit=page_size(request.maxResults)
    )
    return shapes.ListActivitiesOutput(
        activities=[
            shapes.ActivityListItem(
                activityArn=entry.key,
                name=catalog.activity_row(entry).name,
                creationDate=timestamp(entry.started),
            )
            for entry in page.entries
        ],
        nextToken=token_of(page.after),
    )


async def delete_activity(service: StepFunctions, request: shapes.DeleteActivityInput) -> None:
    """DeleteActivity: one that is not there is gone already."""
    arn = arn_of(request.activityArn, "activity")
    async with service.changing:
        await service.engine.store.forget(catalog.activity_stream(arn))


async def get_activity_task(
    service: StepFunctions, request: shapes.GetActivityTaskInput
) -> shapes.GetActivityTaskOutput:
    """GetActivityTask: a task as soon as there is one, or nothing after a minute."""
    arn = arn_of(request.activityArn, "activity")
    if await service.engine.store.entry(catalog.ACTIVITY, arn) is None:
        raise ActivityDoesNotExist(f"Activity Does Not Exist: '{arn}'")
    polled = await service.engine.callbacks.poll(arn, worker=request.workerName, seconds=POLL_SECONDS)
    if polled is None:
        return shapes.GetActivityTaskOutput()
    return shapes.GetActivityTaskOutput(taskToken=polled.token, input=bytes(polled.input).decode())


async def send_task_success(service: StepFunctions, request: shapes.SendTaskSuccessInput) -> None:
    """SendTaskSuccess."""
    await service.engine.callbacks.succeed(request.taskToken, request.output)


async def send_task_failure(service: StepFunctions, request: shapes.SendTaskFailureInput) -> None:
    """SendTaskFailure."""
    await service.engine.callbacks.fail(request.taskToken, request.error, request.cause)


async def send_task_heartbeat(service: StepFunctions, request: shapes.SendTaskHeartbeatInput) -> None:
    """SendTaskHeartbeat."""
    await service.engine.callbacks.beat(request.taskToken)


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
