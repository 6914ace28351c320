"""The jobs of AWS's services: handed over, asked after until they are over, called off; told by the table of jobs.

A job is asked after by what its receipt and the Task's arguments say, so that any process can do it that finds both in
its log. Where the service takes a client token, a submission that is made again after a crash is the same job; where
the caller names the job, the second is refused by the service, and the first goes on. Of the others (the README's table
says which) a call that was in flight at a crash may leave a job twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import anyio.to_thread
import structlog

from stepfold.language.failures import RUNTIME, TASK_FAILED
from stepfold.language.resources import Resource, parse_resource
from stepfold.query.values import EMPTY_OBJECT, Json, Value, admit_tree, tree
from stepfold.work.call import Call, TaskError

from . import faults, models, shaped
from .awaited import AWAITED, Awaited
from .calls import Services, picked

logger = structlog.get_logger(__name__)

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
"""How long after an answer the service is asked again, in seconds: at first, and at last."""
_GROWTH: Final = 1.5
_TOO_MANY: Final = 429
_THROTTLED: Final = frozenset({
    "RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException",
})


class ServiceJobs(Services):
    """Calls services, and does their jobs."""

    async def submit(self, call: Call) -> Value:
        """Hand the job over: what the service answered. Raises TaskError."""
        resource, job = _job(call)
        try:
            return admit_tree(await self.answer(call, resource, tree(call.arguments)))
        except faults.Refused as refused:
            if call.attempt > 1 and job.taken and refused.told.code == job.taken:
                return EMPTY_OBJECT
            raise

    async def wait(self, call: Call, receipt: Value) -> Value:
        """What came of the job; raises TaskError where it failed, or where the service will not tell."""
        resource, job = _job(call)
        parameters = picked(job.by, _known(call, receipt))

        async def ask() -> Value | None:
            try:
                return _over(job, await self._other(call, resource, job.ask, parameters))
            except faults.Refused as refused:
                if job.gone and refused.told.code == job.gone:
                    return EMPTY_OBJECT
                raise

        return await asked_after(call, ask)

    async def cancel(self, call: Call, receipt: Value) -> None:
        """Call the job off, where the service can do that."""
        resource, job = _job(call)
        if job.stop:
            await self._other(call, resource, job.stop, picked(job.stop_by, _known(call, receipt)))

    async def _other(self, call: Call, resource: Resource, name: str, parameters: Json) -> dict[str, Json]:
        asked = await anyio.to_thread.run_sync(models.of_service, resource, name)
        if asked is None:
            raise TaskError(RUNTIME, f"botocore knows no operation {name} for {call.resource}; a newer boto3 may.")
        return (await self.ask(call, resource, asked, parameters))[0]


async def asked_after(call: Call, ask: Callable[[], Awaitable[Value | None]]) -> Value:
    """The result of a job, as soon as `ask` gives one; an answer that says nothing of the job is passed over.

    Raises what else `ask` raises.
    """
    delay = FIRST_DELAY
    while True:
        try:
            if (over := await ask()) is not None:
                return over
        except faults.Refused as refused:
            if not _passing(refused.told):
                raise
        except faults.Unanswered as silent:  # the job goes on, whether we hear of it or not
            logger.warning("a job cannot be asked after", resource=call.resource, execution=call.execution,
                           error=silent.error)
        await anyio.sleep(delay)
        delay = min(delay * _GROWTH, LONGEST_DELAY)


def _job(call: Call) -> tuple[Resource, Awaited]:
    resource = parse_resource(call.resource)
    job = AWAITED.get(resource.kind, {}).get(resource.action)
    if job is None:
        raise TaskError(RUNTIME, f"The resource provided {call.resource} is not supported.")
    return resource, job


def _known(call: Call, receipt: Value) -> dict[str, Json]:
    return {"asked": tree(call.arguments), "told": tree(receipt)}


def _passing(told: faults.Told) -> bool:
    """Whether an error says nothing of the job, but that the service has no time for us."""
    return told.status >= 500 or told.status == _TOO_MANY or told.code in _THROTTLED


def _over(job: Awaited, found: dict[str, Json]) -> Value | None:
    """The result of a job that is over; raises TaskError for one that failed."""
    state: Any = picked(job.state, found)
    if state not in job.done and state not in job.failed:
        return None
    result = picked(job.result, found)
    if state in job.failed or (job.broken and picked(job.broken, found) is not None):
        raise TaskError(TASK_FAILED, shaped.written(result))
    return admit_tree(result)
