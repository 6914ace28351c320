"""Tasks that wait for somebody to come for them, by activity: first come, first served.

What waits is read off the folded executions, so nothing here needs to be remembered: an engine that opens a store finds
its runs offering again whatever nobody had taken.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import anyio

from stepfold.errors import ActivityWorkerLimitExceeded
from stepfold.interpreter.signals import Offer
from stepfold.language.limits import ACTIVITY_POLLERS

from .runs.run import Run


class Offered(NamedTuple):
    """A task, and the run that waits for it."""

    run: Run
    effect: Offer

    @property
    def wanted(self) -> bool:
        """Whether the execution still waits for somebody to take it."""
        return self.run.broken is None and self.effect.asked in self.run.execution.asked


class Activities:
    """The tasks on offer."""

    def __init__(self) -> None:
        self._offers: dict[str, deque[Offered]] = {}
        self._pollers: dict[str, deque[anyio.Event]] = {}

    def offer(self, run: Run, effect: Offer) -> None:
        """Hold a task out; the one who has polled longest is woken."""
        self._offers.setdefault(effect.activity, deque()).append(Offered(run, effect))
        self._wake(effect.activity)

    def pick(self, activity: str) -> Offered | None:
        """The task that has waited longest, taken off the offers; None where there is none."""
        offers = self._offers.get(activity)
        while offers:
            offered = offers.popleft()
            if not offers:
                del self._offers[activity]
            if offered.wanted:
                return offered
        return None

    async def come_for(self, activity: str) -> Offered:
        """A task of the activity, as soon as there is one. Raises ActivityWorkerLimitExceeded.

        Nothing is awaited once it is picked: a poller that goes away takes no task with it.
        """
        pollers = self._pollers.setdefault(activity, deque())
        if len(pollers) >= ACTIVITY_POLLERS:
            raise ActivityWorkerLimitExceeded(f"Activity Worker Limit Exceeded: '{activity}'")
        mine = anyio.Event()
        while (offered := self.pick(activity)) is None:
            pollers.append(mine)
            try:
                await mine.wait()
            finally:
                if mine in pollers:
                    pollers.remove(mine)
                elif mine.is_set() and self._offers.get(activity):
                    self._wake(activity)  # woken, but gone before it looked: the next one shall
            mine = anyio.Event()
        return offered

    def _wake(self, activity: str) -> None:
        pollers = self._pollers.get(activity)
        if pollers:
            pollers.popleft().set()
