"""Where a map run's items come from: a promise, kept here by the state's own data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stepfold.interpreter.distributed import Item
from stepfold.query import values
from stepfold.query.values import Value


class Source(Protocol):
    """Items by their index, each as often as it is asked for: after a crash, or where a batch had no room for it."""

    async def read(self, first: int, count: int) -> Sequence[Item]:
        """So many items from the one of that index on; fewer at the end."""
        ...


class StateData:
    """Items that are the state's own data: an array, or an object, whose members are items each."""

    def __init__(self, source: Value) -> None:
        self._keys: list[str] | None = None
        if bytes(memoryview(source)[:1]) == b"{":
            members = values.fields(source)
            self._keys, self._values = list(members), list(members.values())
        else:
            self._values = values.items(source)

    async def read(self, first: int, count: int) -> Sequence[Item]:
        """So many items from the one of that index on; fewer at the end."""
        keys = self._keys
        return [
            Item(index, self._values[index].copy(), keys[index] if keys is not None else None)
            for index in range(first, min(first + count, len(self._values)))
        ]
