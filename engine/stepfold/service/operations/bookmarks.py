"""Where readers of histories have come to, so that a next page is folded on from there."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from stepfold.insight.history import HistoryEvent, Projection

KEPT: Final = 32
"""So many are kept, the newest: each holds a fold."""

Place: TypeAlias = tuple[str, int, int]
"""An execution's ARN, when it was started (a name may come back), and the number of the last event that was told."""


class Bookmark(NamedTuple):
    """A fold, and the event that it ends with, if any: its number, and told, as it was read to see if more comes."""

    projection: Projection
    seq: int
    ahead: HistoryEvent | None


class Bookmarks:
    """Bookmarks by their places."""

    def __init__(self) -> None:
        self._kept: dict[Place, Bookmark] = {}

    def put(self, place: Place, bookmark: Bookmark) -> None:
        """Keep one, and drop the oldest beyond the bound."""
        self._kept[place] = bookmark
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    def take(self, place: Place) -> Bookmark | None:
        """The one at a place; it is gone then, for its fold goes on."""
        return self._kept.pop(place, None)
