"""Executions that ended lately, as they are committed: whoever asks for one of them is answered from memory."""

from __future__ import annotations

from typing import Final, NamedTuple

from stepfold.interpreter.facts import ExecutionStarted
from stepfold_store.contract import Entry

KEPT: Final = 4_096
"""So many are remembered, the newest."""
KEPT_BYTES: Final = 16 * 1_048_576
"""And so much of their inputs and outputs."""


class Committed(NamedTuple):
    """What the catalog says of an execution, and how its log begins."""

    entry: Entry
    started: ExecutionStarted

    @property
    def size(self) -> int:
        """The bytes of what may be large."""
        return len(self.entry.data) + len(self.started.input) + len(self.started.text or "")


class Lately:
    """The newest ends by ARN, in the order in which they were learnt."""

    def __init__(self) -> None:
        self._kept: dict[str, Committed] = {}
        self._bytes = 0

    def get(self, arn: str) -> Committed | None:
        """What is remembered of an execution."""
        return self._kept.get(arn)

    def keep(self, ended: Committed) -> None:
        """Remember an end, and forget the oldest ones beyond the bounds."""
        self.drop(ended.entry.key)
        self._kept[ended.entry.key] = ended
        self._bytes += ended.size
        while len(self._kept) > KEPT or self._bytes > KEPT_BYTES:
            self.drop(next(iter(self._kept)))

    def drop(self, arn: str) -> None:
        """Forget what is about to be another."""
        if (gone := self._kept.pop(arn, None)) is not None:
            self._bytes -= gone.size
