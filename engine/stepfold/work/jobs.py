"""Work that is handed over and then waited for: what the pattern `.sync` of a Resource asks of a worker.

A job has three parts, and a worker for jobs a method for each:

    class Builds:
        async def submit(self, call):             # hand it over; gives the receipt, a JSON object
        async def wait(self, call, receipt):      # the result, once there is one; raises TaskError
        async def cancel(self, call, receipt):    # nobody wants it any more

    engine.register("arn:aws:states:::codebuild:startBuild.sync", Builds())

The receipt is recorded as the task's TaskSubmitted, and is all that `wait` and `cancel` may rely on: by a restart the
worker has forgotten everything else. What the engine promises in turn:

- `submit` is called again only where the log has no receipt: after a crash in the midst of it. It is then called with
  the same `call.token` and a higher `call.attempt`, and must find what the first call handed over, if it did: by a
  client token of the service, or by a name made of the token. What it raises fails the task.
- `submit` takes its turn among the calls in flight, and is cancelled by nothing but the end of the engine: whoever
  loses interest meanwhile has the job cancelled as soon as there is a receipt.
- `wait` is called once the receipt is durable, in each process that finds it in its log, and holds no turn: a thousand
  jobs may be waited for at once. It is cancelled when the engine is closed, or when the job is no longer wanted; it
  must not take that for a reason to cancel the job. The task's TimeoutSeconds is watched by the engine, and counts from
  when the task was scheduled, also while the engine is away.
- `cancel` is called once it is durable that the task was timed out, or aborted with its execution or its siblings (not
  where somebody answered it by its token). It is tried once, as on AWS: an engine that dies just then leaves the job
  alone, and what `cancel` raises is but logged.

A worker that has these methods and can also be called does both: it is called for a Resource without `.sync`. One that
can only be called answers for `.sync`, too, as for any other Resource: at once, without a receipt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, runtime_checkable

from stepfold.language.resources import parse_resource
from stepfold.query.values import Value

from .call import Call


@runtime_checkable
class Job(Protocol):
    """A worker for what is handed over first and waited for then; the promises are those of this file."""

    async def submit(self, call: Call) -> Value:
        """Hand the job over: its receipt. Raises TaskError."""
        ...

    async def wait(self, call: Call, receipt: Value) -> Value:
        """Its result, as admitted JSON. Raises TaskError."""
        ...

    async def cancel(self, call: Call, receipt: Value) -> None:
        """Stop it, as far as that can be done."""
        ...


@lru_cache(maxsize=4096)
def handed_over(resource: str) -> bool:
    """Whether a Resource asks for a job to be waited for."""
    try:
        return parse_resource(resource).pattern == "sync"
    except ValueError:
        return False
