"""The jobs of one run: which were handed over, and which nobody wants any more.

A job outlives the task that asked for it, unless somebody calls it off. So it is seen to the end of its handing over
even where its task was cut off meanwhile, and what was handed over is kept in mind until the task has its answer. Where
the task is aborted or timed out instead, the job is to be called off, once that is durable: an abort that a crash took
back must find the job alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio
import structlog

from stepfold.interpreter.decide import Decision
from stepfold.interpreter.signals import Attend, Effect, Failed, Succeeded, TimedOut
from stepfold.query.values import Value
from stepfold.work.call import Call, NoWorker, TaskError
from stepfold.work.workers import Workers

logger = structlog.get_logger(__name__)

PATIENCE = 60
"""Seconds that calling a job off may take; its run's end waits for that."""


class Handing:
    """A job on its way to whoever does it: `failed` says why it did not get there."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.failed: TaskError | NoWorker | None = None

    async def arrived(self) -> None:
        """Wait until it was handed over. Raises TaskError, NoWorker."""
        await self.over.wait()
        if self.failed is not None:
            raise self.failed


class Jobs:
    """What a run knows of its jobs. `leaving` counts those on their way in or out, which its end waits for."""

    __slots__ = ("_kept", "_on_their_way", "leaving")

    def __init__(self, owed: Iterable[Effect]) -> None:
        self.leaving = 0
        self._on_their_way: set[int] = set()
        self._kept = {effect.asked: effect for effect in owed if isinstance(effect, Attend)}

    def sent(self, asked: int) -> None:
        """A job is on its way."""
        self._on_their_way.add(asked)

    def arrived(self, asked: int) -> bool:
        """It was handed over: whether nobody has answered for it meanwhile."""
        left = asked in self._on_their_way
        self._on_their_way.discard(asked)
        return left

    def decided(self, decision: Decision) -> Sequence[Attend]:
        """Take note of a decision: the jobs to be called off, for it has cut them off."""
        self._kept.update((effect.asked, effect) for effect in decision.owed if isinstance(effect, Attend))
        if not self._kept and not self._on_their_way:
            return ()
        gone = decision.closed
        for signal in decision.heard:
            if isinstance(signal, Succeeded | Failed):  # by the job itself, or by the task's token: it is left alone
                self._kept.pop(signal.asked, None)
                self._on_their_way.discard(signal.asked)
            elif isinstance(signal, TimedOut):
                gone = [*gone, signal.asked]
        return [self._kept.pop(asked) for asked in gone if asked in self._kept]


async def call_off(workers: Workers, call: Call, receipt: Value) -> None:
    """Have a job cancelled, if that can be done; what goes wrong with it is told in the log alone."""
    said = {"resource": call.resource, "execution": call.execution, "state": call.state}
    try:
        with anyio.move_on_after(PATIENCE) as scope:
            await workers.call_off(call, receipt)
    except Exception:
        logger.exception("a job could not be called off", **said)
    else:
        if scope.cancelled_caught:
            logger.warning("a job was not called off in time", **said)
