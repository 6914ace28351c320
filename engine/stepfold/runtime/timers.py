"""One heap of timers for a whole engine: thousands of waits cost a row each, not a task each."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

import anyio

from .clock import Clock

SWEEP = 1024
"""Cancelled timers are swept out of the heap once there are so many, and more of them than others."""


class Alarm:
    """A timer that can be cancelled."""

    __slots__ = ("_timers", "ring")

    def __init__(self, timers: Timers, ring: Callable[[], None]) -> None:
        self._timers = timers
        self.ring: Callable[[], None] | None = ring

    def cancel(self) -> None:
        """It will not ring; nothing happens where it has rung."""
        if self.ring is not None:
            self.ring = None
            self._timers.forget()


class _Due(NamedTuple):
    at: int
    order: int
    alarm: Alarm


class Timers:
    """What is to be called when, by the engine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Due] = []
        self._count = 0
        self._cancelled = 0
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def at(self, moment: int, ring: Callable[[], None]) -> Alarm:
        """Call `ring` when the moment (milliseconds since the epoch) has come; it must not block or raise."""
        self._count += 1
        alarm = Alarm(self, ring)
        heapq.heappush(self._heap, _Due(moment, self._count, alarm))
        if self._heap[0].order == self._count:
            self._changed.set()
        return alarm

    def forget(self) -> None:
        """One alarm more was cancelled."""
        self._cancelled += 1
        if self._cancelled > SWEEP and self._cancelled * 2 > len(self._heap):
            self._heap = [due for due in self._heap if due.alarm.ring is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def keep(self) -> None:
        """Ring whatever is due, for ever."""
        while True:
            self._changed = anyio.Event()
            await self._clock.wait(self._heap[0].at if self._heap else None, self._changed)
            now = self._clock.now()
            while self._heap and self._heap[0].at <= now:
                alarm = heapq.heappop(self._heap).alarm
                ring, alarm.ring = alarm.ring, None
                if ring is None:
                    self._cancelled -= 1
                else:
                    ring()
