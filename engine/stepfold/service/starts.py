"""How executions began, remembered: what never changes need not be read twice."""

from __future__ import annotations

from typing import Final

from stepfold.interpreter.facts import ExecutionStarted
from stepfold.runtime import catalog
from stepfold_store.contract import Entry, Store

KEPT: Final = 4_096
"""So many are remembered, the newest."""
INPUT_BYTES: Final = 4_096
"""One with a longer input is read each time."""


class Starts:
    """The first facts of executions that were asked for lately.

    A name may come back after its execution was forgotten, so what is remembered goes by the time of the start too.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], ExecutionStarted] = {}

    async def of(self, store: Store, entry: Entry) -> ExecutionStarted:
        """How the execution of an entry began."""
        key = entry.key, entry.started
        if (known := self._kept.get(key)) is not None:
            return known
        started = await catalog.started(store, entry.key)
        if len(started.input) + len(started.text or "") <= INPUT_BYTES:
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = started
        return started
