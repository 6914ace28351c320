"""What a run asks of the engine around it; said as a promise, so that a run knows no engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.signals import Offer, RunMap
from stepfold.query.template import Moment
from stepfold.runtime.clock import Clock
from stepfold.runtime.timers import Timers
from stepfold.work.call import NoWorker
from stepfold.work.workers import Workers
from stepfold_store.contract import Entry, Store, StoreClosed

Run = TypeVar("Run", contravariant=True)  # noqa: PLC0105  (read as a word of the house)


def closed() -> StoreClosed:
    """What whoever asks a closed engine is told."""
    return StoreClosed("the engine is closed; what it ran goes on when it is opened again")


class World(Protocol[Run]):
    """The store, the workers and the time that a run lives with, and who is told of its fate."""

    workers: Workers
    timers: Timers
    clock: Clock

    @property
    def store(self) -> Store:
        """Where decisions go."""
        ...

    def moment(self) -> Moment:
        """Now, with chance."""
        ...

    def entry(self, execution: Execution, events: Sequence[Event], *, ended: bool) -> Entry | None:
        """What the catalog learns from a decision."""
        ...

    def spawn(self, run: Run, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Have a task done beside; what goes wrong in it is the run's alone."""
        ...

    def crowded(self) -> bool:
        """Whether it is time to give the others a turn: asked once a decision by whoever may never have to wait."""
        ...

    def begun(self, run: Run) -> None:
        """The run goes on from here, and that it does is durable."""
        ...

    def offer(self, run: Run, effect: Offer) -> None:
        """A task waits for somebody who polls for its activity."""
        ...

    def run_map(self, run: Run, effect: RunMap) -> None:
        """A distributed Map of the run is to be run, or gone on with."""
        ...

    def leave_map(self, arn: str) -> None:
        """That a map run is not wanted any more is durable."""
        ...

    def missing(self, run: Run, missing: NoWorker) -> None:
        """The run waits for work that nobody is registered for."""
        ...

    def finished(self, run: Run) -> None:
        """The run's end is durable."""
        ...

    def lost(self, run: Run, error: Exception) -> None:
        """The run gave up: what its memory holds may not be what the log holds."""
        ...
