"""Time and chance, handed in: the system's, and a clock moved by hand, which jumps when all is asleep."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

from stepfold.query.template import Moment


class Clock(Protocol):
    """What time it is, in milliseconds since the epoch, and waiting for a later one."""

    def now(self) -> int:
        """The time."""
        ...

    async def wait(self, until: int | None, changed: anyio.Event) -> None:
        """Return when `until` has come or `changed` is set, whichever is first; None waits for the change alone."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """The wall clock's time."""
        return time.time_ns() // 1_000_000

    async def wait(self, until: int | None, changed: anyio.Event) -> None:
        """Wait by the monotonic clock, an hour at most: a wall clock that was set is looked at again then."""
        if until is None:
            await changed.wait()
            return
        with anyio.move_on_after(min(max(until - self.now(), 0) / 1000, 3600)):
            await changed.wait()


class ManualClock:
    """A clock for tests: it stands still until it is moved, or, when `jumps`, until all wait for it.

    `idle` says whether anything but time is waited for (the engine sets it): only then may the clock jump.
    """

    def __init__(self, now: int = 1_700_000_000_000, *, jumps: bool = False) -> None:
        self.time = now
        self.jumps = jumps
        self.idle: Callable[[], bool] = lambda: True
        self._moved = anyio.Event()

    def now(self) -> int:
        """The time it was last moved to."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += round(seconds * 1000)
        self.look()

    def look(self) -> None:
        """Have whoever waits look again: the time is another, or all may be idle now."""
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def wait(self, until: int | None, changed: anyio.Event) -> None:
        """Wait until the clock has been moved far enough; where it jumps, move it there once all is idle."""
        while not changed.is_set() and (until is None or self.time < until):
            moved = self._moved
            if self.jumps and until is not None:
                await checkpoint()  # whoever the last jump has woken goes first
                if changed.is_set():
                    return
                if self.idle():
                    self.advance((until - self.time) / 1000)
                    return
            await self._either(moved, changed)

    @staticmethod
    async def _either(moved: anyio.Event, changed: anyio.Event) -> None:
        async with anyio.create_task_group() as group:

            async def wake(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            group.start_soon(wake, moved)
            group.start_soon(wake, changed)


class Chance:
    """Where chance comes from: a seeded source for what may be repeated, a secret one for what must not be guessed."""

    def __init__(self, seed: int | None = None, *, secret: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.seeded = random.Random(seed)  # noqa: S311  (jitter; secrets come from the other source)
        self.secret = secret
        self._names = random.Random(secret(16))  # noqa: S311  (unique, no secret: no system call for each)

    def uuid(self) -> str:
        """A name that nobody else has."""
        return str(uuid.UUID(bytes=self.secret(16), version=4))

    def name(self, now: int) -> str:
        """A name for an execution, in the form of AWS's: nobody else has it, and it sorts by the time.

        Names wholly by chance would have the store write a page of each index for every start, a third of its cost.
        """
        return str(uuid.UUID(bytes=now.to_bytes(6) + self._names.randbytes(10), version=4))

    def moment(self, now: int) -> Moment:
        """A moment with this chance."""
        return Moment(now, self.seeded.random, self.secret)
