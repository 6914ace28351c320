"""An event loop whose order is drawn from a seed, and whose time is a number: one seed, one run.

Before each turn the tasks that are ready are shuffled. When none is, the time jumps to the next timer; when there is no
timer either, whoever waits would wait for ever, and that is an error. It relies on two private names of asyncio
(`_ready`, `_run_once`), which `test_orders.py` holds to what is known of them.
"""

import asyncio
import contextlib
import random

import anyio.to_thread
from anyio.lowlevel import checkpoint

from stepfold.runtime.clock import SystemClock

START = 1_700_000_000_000


class Stuck(AssertionError):
    """Everybody waits, and nothing is left to wait for."""


class SeededLoop(asyncio.SelectorEventLoop):
    def __init__(self, seed):
        super().__init__()
        self.order = []
        self._chance = random.Random(seed)
        self._now = 0.0

    def time(self):
        return self._now

    def _run_once(self):
        if len(self._ready) > 1:
            ready = list(self._ready)
            self._chance.shuffle(ready)
            self._ready.clear()
            self._ready.extend(ready)
        elif not self._ready:
            times = [timer.when() for timer in self._scheduled if not timer.cancelled()]
            if not times and not self._stopping:
                raise Stuck("everybody waits, and nothing is left to wait for")
            self._now = max(self._now, min(times, default=0.0))
        super()._run_once()


class LoopClock(SystemClock):
    """The loop's time as an engine's; `ahead` milliseconds later where a life begins later."""

    def __init__(self, ahead=0):
        self.ahead = ahead

    def now(self):
        return START + self.ahead + round(asyncio.get_running_loop().time() * 1000)


@contextlib.contextmanager
def loop_of(seed):
    """A loop of its own for as long as is wanted; what belongs in threads, evaluations included, is done in line."""

    async def in_line(work, *given, **_):
        await checkpoint()
        return work(*given)

    threaded, anyio.to_thread.run_sync = anyio.to_thread.run_sync, in_line
    loop = SeededLoop(seed)
    try:
        yield loop
    finally:
        anyio.to_thread.run_sync = threaded
        loop.close()


def run(seed, main, *arguments):
    """Run a coroutine function on a loop of its own."""
    with loop_of(seed) as loop:
        return loop.run_until_complete(main(*arguments))
