"""The floor of everything durable: the rows of a store, written once more by bare sqlite3 in large groups."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from stepfold_store import sqlite_file, sqlite_rows

GROUP = 64
"""Rows a transaction: about 256 events, where a decision has four."""

_LOG = "SELECT stream, first, last, at, body, first_id, last_id, checksum FROM log ORDER BY rowid"
_STREAMS = "SELECT key, name FROM stream"
_CATALOG = "SELECT kind, key, parent, status, started, ended, due, data, stream FROM catalog WHERE stream IS NOT NULL"


def written_again(store: Path, copy: Path) -> float:
    """Seconds that bare sqlite3 takes to write what a store holds, as durably, without queue, tickets or threads."""
    with sqlite3.connect(store) as source:
        log, streams, entries = (source.execute(query).fetchall() for query in (_LOG, _STREAMS, _CATALOG))
    source.close()
    sqlite_file.prepare(copy)
    db = sqlite3.connect(copy, isolation_level=None)
    sqlite_file.set_up(db, copy, "full")
    begun = time.perf_counter()
    for name, rows in (("add_stream", streams), ("add_row", log), ("add_entry", entries)):
        _write(db, sqlite_rows.SQL[name], rows)
    taken = time.perf_counter() - begun
    db.close()
    return taken


def _write(db: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), GROUP):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(statement, rows[start : start + GROUP])
        db.execute("COMMIT")
