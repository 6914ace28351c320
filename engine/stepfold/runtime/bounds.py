"""How much an engine takes on at once: past that a caller is told to come again, before memory is taken for him."""

from __future__ import annotations

from typing import NamedTuple

from stepfold.errors import Throttled
from stepfold_store.contract import Store


class Bounds(NamedTuple):
    """Executions open in one process, and what may wait for the disk: writes, and the bytes that they carry."""

    executions: int = 100_000
    writes: int = 50_000
    write_bytes: int = 64 << 20

    def check_backlog(self, store: Store) -> None:
        """Raises Throttled where the disk does not keep up; asked with no await before what is then submitted."""
        if store.backlog >= self.writes or store.backlog_bytes >= self.write_bytes:
            raise Throttled("Rate exceeded: what was asked for before is not yet on the disk")
