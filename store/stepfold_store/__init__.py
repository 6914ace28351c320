"""What is remembered: the store's promise, and the stores that keep it.

    store = await open_store("sqlite:///orders.db")         # relative; four slashes for an absolute path
    store = await open_store("sqlite:///orders.db?durability=os")
    store = await open_store("orders.db")                   # a plain path is a SQLite file too
    store = await open_store("memory://")                   # gone at its end
    reader = await open_reader("sqlite:///orders.db")       # looks only, also while an engine runs

`durability` says what loss of power may take. With `full` (the default), nothing that was acknowledged, if the disk
honours a flush. With `os`, the newest of what was acknowledged, back to the last checkpoint; what remains is a whole
beginning of each execution. A killed or crashed process loses nothing acknowledged with either. There is no `off`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote

from stepfold_store.contract import Conflict as Conflict
from stepfold_store.contract import Damaged as Damaged
from stepfold_store.contract import Durability as Durability
from stepfold_store.contract import Entry as Entry
from stepfold_store.contract import Health as Health
from stepfold_store.contract import Lease as Lease
from stepfold_store.contract import LeaseLost as LeaseLost
from stepfold_store.contract import Message as Message
from stepfold_store.contract import Page as Page
from stepfold_store.contract import Record as Record
from stepfold_store.contract import Snapshot as Snapshot
from stepfold_store.contract import Store as Store
from stepfold_store.contract import StoreClosed as StoreClosed
from stepfold_store.contract import StoreError as StoreError
from stepfold_store.contract import Ticket as Ticket
from stepfold_store.memory import MemoryStore as MemoryStore


async def open_store(url: str | os.PathLike[str]) -> Store:
    """Open a store to write and read; StoreError says what to do if it cannot be."""
    if url == "memory://":
        return MemoryStore()
    path, durability = _sqlite(url)
    from stepfold_store.sqlite import open_sqlite

    return await open_sqlite(path, durability, location=str(url))


async def open_reader(url: str | os.PathLike[str], *, poll: float = 0.25) -> Store:
    """Open a store to read only, without its lock: writing calls raise StoreClosed, `watch` looks every `poll` s."""
    if url == "memory://":
        raise StoreError("a memory store can be read only by the one who opened it")
    path, _ = _sqlite(url)
    from stepfold_store.sqlite import open_sqlite_reader

    return await open_sqlite_reader(path, location=str(url), poll=poll)


def _sqlite(url: str | os.PathLike[str]) -> tuple[Path, Durability]:
    if not isinstance(url, str) or ("://" not in url and not url.startswith(("sqlite:", "memory:"))):
        return Path(url), "full"
    address, _, query = url.partition("?")
    if not address.startswith("sqlite:///") or address in {"sqlite:///", "sqlite:///:memory:"}:
        raise StoreError(f"{url} names no store: use sqlite:///relative.db, sqlite:////absolute.db, or memory://")
    settings = parse_qs(query, keep_blank_values=True)
    durability = settings.pop("durability", ["full"])[-1]
    if settings:
        raise StoreError(f"{url}: there is no setting {', '.join(settings)}; there is durability=full|os")
    if durability not in {"full", "os"}:
        raise StoreError(f"{url}: durability is full or os; a store that may be corrupted is not offered")
    return Path(unquote(address.removeprefix("sqlite:///"))), cast("Durability", durability)
