"""The time limits of a call in flight, kept by the engine's clock."""

from __future__ import annotations

import anyio

from stepfold.interpreter.signals import Invoke
from stepfold.runtime.clock import Clock
from stepfold.runtime.timers import Alarm, Timers
from stepfold.work.call import Call


class Deadline:
    """The time limits of a call in flight: its time-out, from when it really begins, and the patience between beats.

    `passed` says which of them has cut it off.
    """

    __slots__ = ("_alarms", "_beat_by", "_clock", "_effect", "_scope", "_timers", "passed")

    def __init__(
        self, clock: Clock, timers: Timers, effect: Invoke, call: Call, scope: anyio.CancelScope
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._effect = effect
        self._scope = scope
        self._alarms: dict[str, Alarm] = {}
        self._beat_by = 0
        self.passed: str | None = None
        call.begin = self.begin
        call.beat = self.beat

    def begin(self) -> None:
        """The work begins, however often that is said."""
        if self._alarms:
            return
        if self._effect.timeout is not None:
            due = self._clock.now() + self._effect.timeout * 1000
            self._alarms["timeout"] = self._timers.at(due, lambda: self._pass("timeout"))
        if self._effect.heartbeat is not None:
            self.beat()
            self._watch()

    def beat(self) -> None:
        """A sign of life."""
        self._beat_by = self._clock.now() + (self._effect.heartbeat or 0) * 1000

    def over(self) -> None:
        """The work has ended."""
        for alarm in self._alarms.values():
            alarm.cancel()

    def _watch(self) -> None:
        self._alarms["heartbeat"] = self._timers.at(self._beat_by, self._look)

    def _look(self) -> None:
        if self._clock.now() >= self._beat_by:
            self._pass("heartbeat")
        else:
            self._watch()

    def _pass(self, limit: str) -> None:
        self.passed = self.passed or limit
        self._scope.cancel()
