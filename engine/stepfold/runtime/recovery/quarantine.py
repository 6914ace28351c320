"""Executions that are set aside: which they are and why. Only a person's word has one of them tried again.

To AWS such an execution is RUNNING, for it has not ended: nothing is written to its log, and its name stays taken.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from stepfold.errors import CallerError, ExecutionSetAside
from stepfold.runtime import catalog
from stepfold_store.contract import Damaged, Entry, Store

KIND: Final = "aside"
"""The catalog's kind of these rows; the key is the execution's ARN."""
STATUS: Final = "SET_ASIDE"
"""What is shown as the status, where no word of AWS's must be."""


class AsideRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an execution was set aside; `event` is the first that cannot be read, where that is why."""

    reason: str
    event: int | None = None


class SetAside(NamedTuple):
    """An execution that is set aside, since `at` (milliseconds since the epoch)."""

    arn: str
    at: int
    reason: str
    event: int | None

    @property
    def error(self) -> ExecutionSetAside:
        """What whoever asks it to go on is told."""
        return ExecutionSetAside(f"{self.arn} is set aside: {self.reason}")


def told(error: Exception) -> AsideRow:
    """Why a fold that raised has an execution set aside."""
    if isinstance(error, Damaged):
        return AsideRow(f"its log is damaged at event {error.event}: {error.what}", error.event)
    return AsideRow(f"it cannot be taken up ({type(error).__name__}: {error})")


async def put(store: Store, arn: str, row: AsideRow, at: int) -> SetAside:
    """Set an execution aside; returns once that is durable."""
    await store.put([Entry(KIND, arn, "", STATUS, at, data=msgspec.json.encode(row))])
    return SetAside(arn, at, row.reason, row.event)


async def every(store: Store) -> dict[str, SetAside]:
    """All that are set aside, by ARN."""
    return {entry.key: _read(entry) async for entry in catalog.all_entries(store, KIND, status=STATUS)}


async def find(store: Store, arn: str) -> SetAside | None:
    """Why one execution is set aside; None where it is not."""
    entry = await store.entry(KIND, arn)
    return None if entry is None or entry.status != STATUS else _read(entry)


async def give_back(store: Store, name_or_arn: str, at: int) -> str:
    """Have an execution tried again at the next opening; its ARN, once that is durable. Raises CallerError.

    One of EXPRESS, of which the catalog has no name, goes by its ARN.
    """
    arn = name_or_arn
    if await find(store, arn) is None:
        arn = (await catalog.find_execution(store, name_or_arn)).key
        if await find(store, arn) is None:
            raise CallerError(f"{arn} is not set aside")
    await store.put([catalog.tombstone(KIND, arn, at)])
    await store.forget(f"{KIND}:{arn}")
    return arn


def _read(entry: Entry) -> SetAside:
    try:
        row = catalog.row_of(entry, AsideRow)
    except catalog.EntryDamaged:
        row = AsideRow("the entry that says why is damaged")
    return SetAside(entry.key, entry.started, row.reason, row.event)
