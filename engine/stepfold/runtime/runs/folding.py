"""An execution, brought back from its log: from its snapshot on, where it has one; and when the next one is due.

A snapshot is a shorter way to what the log says, never another truth. Where there is any doubt about one, it is as if
there were none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import structlog

from stepfold.interpreter import facts, snapshots
from stepfold.interpreter.execution import Execution
from stepfold.runtime import catalog
from stepfold_store.contract import Damaged, Record, Store, StoreClosed, StoreError

logger = structlog.get_logger(__name__)

EVENTS: Final = 100_000
"""Events between two snapshots at least. To fold so many takes a fifth of a second; and so seldom, the snapshots of a
Map of 100,000 items take a fiftieth of its time."""
TIMES: Final = 4
"""And so many times the bytes of the last snapshot: so all of them together are a small part of the log."""
MOST_BYTES: Final = 128 << 20
"""What is larger is not kept: nobody should have to wait while it is written."""


class Pace:
    """How far an execution has come since its last snapshot, in events and their bytes; `size` is that one's bytes."""

    __slots__ = ("bytes", "events", "size")

    def __init__(self, size: int = 0) -> None:
        self.events = self.bytes = 0
        self.size = size

    def passed(self, row: Record) -> None:
        """A decision more."""
        self.events += row.last - row.first + 1
        self.bytes += len(row.body)

    def due(self, execution: Execution) -> bytes | None:
        """The next snapshot, where it is time for one and the execution goes on; then the count begins anew."""
        if self.events < EVENTS or self.bytes < TIMES * self.size or execution.status != "RUNNING":
            return None
        self.events = self.bytes = 0
        try:
            text = snapshots.written(execution)
        except Exception:  # our fault, and nobody's harm
            logger.exception("no snapshot can be written", execution=execution.started.arn)
            return None
        self.size = len(text)
        return text if self.size <= MOST_BYTES else None


class Folded(NamedTuple):
    """An execution as its log has it, and how much of that had to be folded."""

    execution: Execution
    pace: Pace


async def fold(store: Store, arn: str) -> Folded:
    """An execution as its committed log has it. Raises Damaged, also where there is no log."""
    kept = await store.snapshot(catalog.stream_of(arn))
    if kept is not None:
        begun = snapshots.restored(kept.body)
        if begun is not None and (begun.version, begun.started.arn) == (kept.version, arn):
            try:
                return await _folded(store, arn, begun, Pace(len(kept.body)))
            except (StoreError, StoreClosed):
                raise
            except Exception:
                logger.exception("what follows does not fit the snapshot; the log is folded whole", execution=arn)
        else:
            logger.info("the snapshot cannot be used; the log is folded whole", execution=arn)
    return await _folded(store, arn, Execution(), Pace())


async def _folded(store: Store, arn: str, execution: Execution, pace: Pace) -> Folded:
    stream = catalog.stream_of(arn)
    async for records in store.read(stream, execution.version):
        for record in records:
            for event in facts.decode(record.body):
                execution.apply(event)
            pace.passed(record)
    if not execution.version:
        raise Damaged(stream, 1, "its log is not there")
    execution.closed.clear()
    return Folded(execution, pace)
