"""A store's file looked over: whether SQLite, the schema and the texts are whole, and which streams it holds.

    found = await check_file("orders.db")        # reads only, also while an engine runs

Streams are named here, not read: whoever knows what they mean reads them, each along its chain of checksums.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from stepfold_store import sqlite_file, sqlite_wal
from stepfold_store.sqlite_rows import SQL, UNREADABLE, with_snapshots

MOST_PROBLEMS = 100
"""What SQLite tells at most of one file."""


class FileCheck(NamedTuple):
    """What is wrong with a file as a whole (`problems`, sentences without payloads), and the names of its streams.

    `snapshots` names those that have one. What is wrong with snapshots is no problem, for nothing is lost with them.
    """

    problems: list[str]
    streams: list[str]
    texts: int
    snapshots: list[str]


EMPTY = "it is empty: a new store, or one that was cut to nothing"


async def check_file(path: str | PathLike[str]) -> FileCheck:
    """Look a store's file over, in a thread. Raises StoreError where it is no store, or cannot be opened at all."""
    return await anyio.to_thread.run_sync(_check, sqlite_file.true_path(Path(path), there=True))


def _check(path: Path) -> FileCheck:
    if sqlite_file.is_empty(path):
        return FileCheck([EMPTY], [], 0, [])
    problems: list[str] = []
    streams: list[str] = []
    texts = 0
    with sqlite_file.explained(path), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        sqlite_file.check(db, path)
        problems += _schema(db)
        problems += [f"{lost}" for lost in [sqlite_wal.lost(path)] if lost is not None]
        # Each part by itself: where one cannot be read, the others may still have something to tell.
        try:
            found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})")]
            problems += [line for text in found if text != "ok" for line in text.splitlines()]
        except UNREADABLE as error:
            problems.append(f"SQLite's own check ended early: {error}")
        try:
            streams = [str(row[0]) for row in db.execute(SQL["all_streams"])]
            problems += [f"{row[1]} rows of the log belong to no stream" for row in db.execute(SQL["strays"])]
        except UNREADABLE as error:
            problems.append(f"the table of streams cannot be read to its end: {error}")
        try:
            for digest, body in db.execute(SQL["all_texts"]):
                texts += 1
                if not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != digest:
                    problems.append(f"the text {digest} is not what was written")
        except UNREADABLE as error:
            problems.append(f"the table of texts cannot be read to its end: {error}")
        snapshots = sorted(with_snapshots(db))
    return FileCheck(problems, streams, texts, snapshots)


def _schema(db: sqlite3.Connection) -> list[str]:
    """What of the schema is missing or not as this release makes it; what others added harms nothing."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(SQL["schema"])
        wanted = dict(made.execute(SQL["objects"]).fetchall())
    there = dict(db.execute(SQL["objects"]).fetchall())
    return [
        f"{name}: {'is not there' if name not in there else 'is not as this release makes it'}"
        for name, text in wanted.items()
        if there.get(name) != text
    ]
