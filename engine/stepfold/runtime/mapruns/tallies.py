"""What the store has of map runs: rows for lists and descriptions, and their logs, read and folded."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from stepfold.interpreter.ledger import Count, Ledger, Said, decode, encode
from stepfold.runtime import catalog
from stepfold_store.contract import Entry, Record, Store

MAP_RUN: Final = "mapRun"
"""The catalog's kind of map runs; their parents are the executions whose Maps they run."""


class MapRunRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog keeps of a map run beside its times and status.

    `machine` is the ARN of the machine of its executions, `kind` their type, `definition` the hash of what they run.
    `counts` has the executions, and their items, by status; `final` those that ended badly and cannot be redriven.
    """

    machine: str
    kind: str
    definition: str
    length: int
    concurrency: int = 0
    tolerated: int | None = None
    percentage: float | None = None
    pending: Count = Count()
    counts: dict[str, Count] = {}
    final: Count = Count()
    redrives: int = 0
    redriven: int | None = None

    def count(self, status: str) -> Count:
        """The executions of a status."""
        return self.counts.get(status, Count())


class Found(NamedTuple):
    """A map run as committed."""

    entry: Entry
    row: MapRunRow


def stream_of(arn: str) -> str:
    """The stream that holds a map run's log."""
    return f"{MAP_RUN}:{arn}"


def record(ledger: Ledger, at: int, said: list[Said]) -> Record:
    """Entries as the store takes them; the tally has been told of them."""
    first = ledger.version - len(said) + 1
    return Record(first, ledger.version, at, encode(first, at, said))


def entry(arn: str, ledger: Ledger) -> Entry:
    """The catalog's entry of a map run, as it is."""
    started = ledger.started
    final = [child for child in ledger.bad.values() if child.final]
    row = MapRunRow(
        started.machine,
        started.kind,
        started.definition,
        started.length,
        ledger.concurrency,
        ledger.tolerated,
        ledger.percentage,
        ledger.pending,
        ledger.counts,
        Count(len(final), sum(child.items for child in final)),
        ledger.redrives,
        ledger.redriven_at,
    )
    return Entry(
        MAP_RUN, arn, started.execution, ledger.ended or "RUNNING", ledger.started_at, ledger.ended_at,
        data=msgspec.json.encode(row),
    )


def row_of(entry: Entry) -> MapRunRow:
    """What a map run's entry says beside its times and status."""
    return catalog.row_of(entry, MapRunRow)


async def find(store: Store, arn: str) -> Found | None:
    """A map run by its ARN, if there is one."""
    entry = await store.entry(MAP_RUN, arn)
    return None if entry is None else Found(entry, row_of(entry))


async def fold(store: Store, arn: str) -> Ledger:
    """A map run as its committed log has it; empty where there is none."""
    ledger = Ledger()
    async for records in store.read(stream_of(arn)):
        for one in records:
            for _, at, said in decode(one.body):
                ledger.apply(at, said)
    return ledger
