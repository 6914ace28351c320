"""One heap of timers for a whole engine: thousands of waits cost a row each, not a task each."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

import anyio

from .clock import Clock


class _Due(NamedTuple):
    at: int
    order: int
    ring: Callable[[], None]


class Timers:
    """What is to be called when, by the engine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Due] = []
        self._count = 0
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, moment: int, ring: Callable[[], None]) -> None:
        """Call `ring` when the moment (milliseconds since the epoch) has come; it must not block or raise."""
        self._count += 1
        heapq.heappush(self._heap, _Due(moment, self._count, ring))
        if self._heap[0].order == self._count:
            self._changed.set()

    async def keep(self) -> None:
        """Ring whatever is due, for ever."""
        while True:
            self._changed = anyio.Event()
            await self._clock.wait(self._heap[0].at if self._heap else None, self._changed)
            now = self._clock.now()
            while self._heap and self._heap[0].at <= now:
                heapq.heappop(self._heap).ring()
