"""How often an execution was taken up and the process died before it got on: three times, and it is set aside.

An opening of the store claims what it takes up: one row says of each execution how often it was taken up since it last
got on, and at which event it stood. What only waits for time or for the outside is not claimed, for it can do no harm.
An orderly end of the process clears all claims but those of executions that it gave up itself.

Several are in flight when a process dies, and one of them did it. So those that are claimed a second time are tried few
at a time, and at their last chance alone: while they are on trial the row says so, and whoever was not is cleared of a
death in that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from stepfold.interpreter import effects
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Reattempted
from stepfold.interpreter.signals import Attend, Evaluate, Invoke
from stepfold.runtime import catalog
from stepfold_store.contract import Entry, Store, StoreClosed

logger = structlog.get_logger(__name__)

KIND: Final = "claims"
MOST: Final = 3
"""So many claims without progress, and an execution is set aside."""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """How often an execution was taken up without getting on, and the event at which it stood."""

    count: int
    version: int


class _Row(msgspec.Struct, frozen=True, omit_defaults=True):
    claims: dict[str, Claim] = {}
    trial: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()


class Claims:
    """The claims on one store: those of the process before, and what this one adds to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claims: dict[str, Claim] = {}
        self._written = _Row()

    async def open(self) -> None:
        """Read what the process before left, and what of that still counts."""
        entry = await self._store.entry(KIND, KIND)
        if entry is None:
            return
        try:
            row = self._written = catalog.row_of(entry, _Row)
        except catalog.EntryDamaged as error:
            logger.error("what was claimed is not known any more", reason=str(error))  # noqa: TRY400  (it says all)
            return
        if not self._store.orphaned:
            self._claims = {arn: row.claims[arn] for arn in row.given_up if arn in row.claims}
        elif row.trial:
            self._claims = {
                arn: claim if arn in row.trial else Claim(max(claim.count - 1, 1), claim.version)
                for arn, claim in row.claims.items()
            }
        else:
            self._claims = dict(row.claims)

    async def count(self, execution: Execution) -> int:
        """How often it was taken up since it last got on."""
        claim = self._claims.get(arn := execution.started.arn)
        if claim is None:
            return 0
        async for event in catalog.events(self._store, arn, claim.version):
            if not isinstance(event.fact, Reattempted):  # which says no more than that it was taken up
                return 0
        return claim.count

    async def keep(self, counted: Mapping[Execution, int]) -> None:
        """Note how often these were taken up; returns once that is durable."""
        for execution, count in counted.items():
            self._claims[execution.started.arn] = Claim(count, execution.version)
        await self._write(_Row(self._claims))

    async def drop_others(self, arns: Iterable[str]) -> None:
        """Forget the claims on all but these."""
        known = set(arns)
        self._claims = {arn: claim for arn, claim in self._claims.items() if arn in known}
        await self._write(_Row(self._claims))

    async def try_out(self, executions: Iterable[Execution]) -> None:
        """Claim these once more, and put them on trial: if the process dies now, it was one of them."""
        arns = [execution.started.arn for execution in executions]
        for arn in arns:
            claim = self._claims[arn]
            self._claims[arn] = Claim(claim.count + 1, claim.version)
        await self._write(_Row(self._claims, tuple(arns)))

    async def end_trial(self) -> None:
        """Whoever dies from here on may have been killed by any."""
        await self._write(_Row(self._claims))

    async def close(self, given_up: Iterable[str]) -> None:
        """An orderly end: only those that were given up meanwhile stay claimed."""
        gone = tuple(arn for arn in given_up if arn in self._claims)
        with suppress(StoreClosed):  # then it was the disk that stopped them all
            await self._write(_Row(self._claims, given_up=gone) if gone else _Row())

    async def _write(self, row: _Row) -> None:
        if row != self._written:
            await self._store.put([Entry(KIND, KIND, data=msgspec.json.encode(row))])
            self._written = msgspec.structs.replace(row, claims=dict(row.claims))


def is_risky(execution: Execution) -> bool:
    """Whether taking it up has anything done in this process, rather than to wait.

    A map run gets on without an event in its owner's log; its own executions are claimed by themselves.
    """
    owed = effects.owed(execution)
    return bool(execution.ready) or any(isinstance(effect, Invoke | Attend | Evaluate) for effect in owed)
