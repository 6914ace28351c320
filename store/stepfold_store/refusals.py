"""Which appends fall with a refused one: those decided on events that were never written.

A caller may submit a second append before it knows the fate of the first. If the first is refused, the second was
decided on a fold that never came true, although its number may fit by chance (another's append of the same length came
first). So a store remembers the versions that refused appends would have reached, and refuses whoever builds on one of
them, until somebody has heard of the newest refusal; what was submitted before that moment stays under suspicion.
A caller who is refused by mistake (it expected the same number for good reasons) folds again and goes on.
"""

from __future__ import annotations


class _Doubt:
    """The refusals of one stream: the versions never reached, the newest refusal, and when it was heard of."""

    __slots__ = ("heard", "newest", "versions")

    def __init__(self) -> None:
        self.versions: set[int] = set()
        self.newest = 0
        self.heard: int | None = None


class Refusals:
    """The doubts of a store, by stream. `number` counts a store's submits."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}

    def __bool__(self) -> bool:
        return bool(self._doubts)

    def add(self, stream: str, reached: int, number: int) -> None:
        """Remember that an append which would have reached a version was refused."""
        doubt = self._doubts.setdefault(stream, _Doubt())
        doubt.versions.add(reached)
        doubt.newest, doubt.heard = number, None

    def doom(self, stream: str, expected: int, number: int) -> bool:
        """Whether an append on `expected` was decided on a refused one."""
        doubt = self._doubts.get(stream)
        if doubt is None:
            return False
        if doubt.heard is not None and number > doubt.heard:
            self._doubts.pop(stream, None)
            return False
        return expected in doubt.versions

    def passed(self, stream: str, version: int) -> None:
        """Drop what cannot matter any more: the stream has grown past it."""
        doubt = self._doubts.get(stream)
        if doubt is not None and version > max(doubt.versions):
            self._doubts.pop(stream, None)

    def heard(self, stream: str, number: int, now: int) -> None:
        """Somebody was told of the refusal of submit `number`; submits after `now` are decided afresh."""
        doubt = self._doubts.get(stream)
        if doubt is not None and number >= doubt.newest and doubt.heard is None:
            doubt.heard = now

    def forget(self, stream: str) -> None:
        """Drop a stream."""
        self._doubts.pop(stream, None)
