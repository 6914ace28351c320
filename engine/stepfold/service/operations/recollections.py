"""What readers of histories came upon far back, so that their next page need not go there again."""

from __future__ import annotations

from typing import Final

from stepfold.insight.excerpt import Recollections
from stepfold_store.contract import Entry

KEPT: Final = 32
"""Of so many executions it is kept, the last ones read."""


class RecollectionsOfMany:
    """Recollections by execution: its ARN, and when it was started, as a name may come back."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], Recollections] = {}

    def of(self, entry: Entry) -> Recollections:
        """Those of one execution; the one that was read longest ago is dropped beyond the bound."""
        key = entry.key, entry.started
        found = self._kept[key] = self._kept.pop(key) if key in self._kept else Recollections()
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return found
