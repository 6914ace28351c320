"""Tags of machines and activities, each resource's in an entry of its own beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import anyio
import msgspec

from stepfold import names
from stepfold.errors import ResourceNotFound, TooManyTags
from stepfold.language import limits
from stepfold.runtime import catalog
from stepfold_store.contract import Entry

from .shelf import Shelf

_decoder = msgspec.json.Decoder(dict[str, str])


class Tags:
    """The tags of a registry's machines, and of the activities in its store."""

    def __init__(self, registry: Shelf) -> None:
        self._registry = registry

    @staticmethod
    def entry(arn: str, tags: Mapping[str, str]) -> Entry:
        """What the store keeps: written with a new resource also where there are none, over those of an older one.

        Raises TooManyTags.
        """
        if len(tags) > limits.TAGS:
            raise TooManyTags(f"A resource can have at most {limits.TAGS} tags: '{arn}'")
        return Entry(catalog.TAGS, arn, status=catalog.ACTIVE, data=msgspec.json.encode(dict(tags)))

    async def of(self, arn: str) -> dict[str, str]:
        """A resource's tags, in the order in which they were first set. Raises InvalidArn, ResourceNotFound."""
        await self._check(arn)
        entry = await self._registry.store.entry(catalog.TAGS, arn)
        return {} if entry is None or entry.status == catalog.DELETED else _decoder.decode(entry.data)

    async def put(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags; those of other keys stay. Raises as `of`, and TooManyTags."""
        async with self._registry.changing:
            await self._write(arn, {**await self.of(arn), **tags})

    async def drop(self, arn: str, keys: Iterable[str]) -> None:
        """Take tags away; a key that is not there is no mistake. Raises as `of`."""
        gone = frozenset(keys)
        async with self._registry.changing:
            kept = {key: value for key, value in (await self.of(arn)).items() if key not in gone}
            await self._write(arn, kept)

    async def _write(self, arn: str, tags: Mapping[str, str]) -> None:
        with anyio.CancelScope(shield=True):
            await self._registry.store.put([self.entry(arn, tags)])

    async def _check(self, arn: str) -> None:
        """Only machines and activities carry tags: a version's ARN is not found (recorded)."""
        kind, _ = names.states_arn(arn, "stateMachine", "activity")
        if kind == "activity":
            entry = await self._registry.store.entry(catalog.ACTIVITY, arn)
            found = entry is not None and entry.status != catalog.DELETED
        else:
            found = self._registry.peek(arn) is not None
        if not found:
            raise ResourceNotFound(f"Resource not found: '{arn}'")
