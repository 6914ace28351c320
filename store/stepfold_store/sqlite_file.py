"""The SQLite file itself: who may open it, how it is opened, and what is refused.

One process a file: a `flock` on a side file, which the kernel frees whatever becomes of the holder. One connection
writes and checkpoints; the others are read-only and do neither, which also shuts out a race in the WAL of SQLite before
3.51.3 that needs two of the former.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import aiosqlite
import structlog

from stepfold_store.contract import Durability, StoreError
from stepfold_store.sqlite_rows import SQL, UNREADABLE

log = structlog.get_logger("stepfold.store")

FORMAT = 1
APPLICATION = 0x53544650  # "STFP", as `file` and the header of the database show it

WAL_ALARM = 256 << 20
"""Bytes of the write-ahead log past which `health` and a line of the log warn: some reader holds it up."""
WAL_KEPT = 64 << 20
"""Bytes to which it shrinks once that reader is gone."""
WAL_LOOK = 64
"""Its size is looked at every so many commits."""
PROBE_BYTES = 1 << 20
"""What a disk must take before it is believed that it takes writes again."""

_HEADER_BYTES = 100  # of every SQLite database
_SYNCHRONOUS: dict[Durability, str] = {"full": "FULL", "os": "NORMAL"}
_REMEDY = "restore it from a backup, or save what can be read with `sqlite3 FILE .recover`"


def true_path(path: Path, *, there: bool = False) -> Path:
    """The path without links: one file has one lock, whatever way it was reached. StoreError if it must be there."""
    if there and not path.exists():
        raise StoreError(
            f"there is no store at {path.absolute()}: name the file that its executions were started with "
            "(a relative path counts from the current folder)"
        )
    return path.resolve()


class Lock(NamedTuple):
    """The file is ours until `descriptor` is closed.

    `used`: somebody had it before; `orphaned`: and never let go of it in order.
    """

    descriptor: int
    used: bool
    orphaned: bool

    def let_go(self) -> None:
        """Let go in order. It writes over what is there, which works on a full disk, too."""
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, _CLOSED, 0)
        os.close(self.descriptor)


_CLOSED = b'{"closed": true}'
"""What the side file begins with after an orderly end."""


def lock(path: Path) -> Lock:
    """Take the file for this process, or say who holds it."""
    side = path.with_name(path.name + ".lock")
    descriptor = os.open(side, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 4096, 0)
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise StoreError(
                f"{side} cannot be locked ({error}): a store wants a local disk with file locks"
            ) from error
        raise StoreError(_held(path, holder)) from None
    before = os.pread(descriptor, 4096, 0)
    os.ftruncate(descriptor, 0)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "started": started}).encode() + b"\n", 0)
    return Lock(descriptor, bool(before), bool(before) and not before.startswith(_CLOSED))


def _held(path: Path, holder: bytes) -> str:
    who = "another process"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(holder)
        who = f"process {told['pid']}, started {told['started']}"
    return (
        f"{path} is held by {who}. One engine runs a store: ask that one (through its HTTP API, or from within the "
        "program that runs it), stop it, or open the store read-only to look at it"
    )


def refuse_cut(path: Path) -> None:
    """Refuse a file that was cut to nothing while its log was not: SQLite would take it for new, and delete the log."""
    if path.exists() and is_empty(path) and sizes(path)["wal_bytes"]:
        raise StoreError(
            f"{path} is empty, but the write-ahead log beside it is not: it was a store, and was cut to nothing. "
            f"Restore it from a backup; to begin a new store here, remove {path.name}-wal"
        )


def is_empty(path: Path) -> bool:
    """Whether there is nothing in the file that SQLite could know a database by."""
    return sizes(path)["file_bytes"] < _HEADER_BYTES


def warn_of_loss(path: Path, lock: Lock) -> None:
    """Say in the log that an empty file becomes a new store, where a store may have been before."""
    if lock.used and is_empty(path):
        remedy = "if there was a store, stop and restore it from a backup"
        log.warning("an_empty_file_becomes_a_new_store", path=str(path), remedy=remedy)


def prepare(path: Path) -> None:
    """Make the folder and the empty file, for their owner alone, if they are not there.

    A file that is there is not opened: whoever closes a file lets go of all locks that his process has on it, those of
    SQLite's connections as well (fcntl(2)), and the next process to leave the file would take the log beside it along.
    """
    try:
        for folder in reversed([folder for folder in path.parents if not folder.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be opened for writing: {error.strerror}") from error
    if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
        frozen = os.statvfs(path).f_flag & os.ST_RDONLY
        why = errno.EISDIR if path.is_dir() else errno.EROFS if frozen else errno.EACCES
        raise StoreError(f"{path} cannot be opened for writing: {os.strerror(why)}")


def connect(path: Path, *, read_only: bool) -> aiosqlite.Connection:
    """A connection not yet opened; its thread does not keep the interpreter alive if nobody closes it."""
    uri = f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=5, cached_statements=64)
    connection._thread.daemon = True  # noqa: SLF001  (pinned by a test: a forgotten close must not hang the exit)
    return connection


def set_up(db: sqlite3.Connection, path: Path, durability: Durability) -> None:
    """Make a fresh connection the writing one, and the file a store if it is new."""
    with explained(path):
        db.execute("PRAGMA synchronous = FULL")  # from the first statement: a new file's own birth is synced too
        check(db, path)
        db.execute("PRAGMA journal_mode = WAL").fetchall()  # it commits only once all is fetched, and may fail then
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise StoreError(f"{path} cannot use a write-ahead log: a store wants a local disk")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            _create(db, path)
        db.execute("BEGIN IMMEDIATE")
        db.execute(SQL["snapshot_table"])
        db.execute(SQL["free_all"])
        db.execute("COMMIT")
        db.execute("PRAGMA wal_autocheckpoint = 1000")
        db.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
        db.execute("PRAGMA cache_size = -16384")
        db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")


def check(db: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no store, or a store of a later release."""
    with explained(path):
        try:
            db.execute("SELECT value FROM json_each('[1]')").fetchone()
        except sqlite3.OperationalError as error:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} was built without JSON; a store needs it") from error
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if tables and application != APPLICATION:
            raise StoreError(f"{path} is a SQLite database, but no store of stepfold: name another file")
        if version > FORMAT:
            raise StoreError(
                f"{path} has format {version}, this release reads up to {FORMAT}: use the newer release that wrote it"
            )


def _create(db: sqlite3.Connection, path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    db.executescript("BEGIN IMMEDIATE;\n" + SQL["schema"])
    db.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", [("format", FORMAT), ("created", now)])
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # else a file's name may be lost though its content was synced
    finally:
        os.close(folder)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say what SQLite's refusal means for a person, and what to do."""
    try:
        yield
    except UNREADABLE as error:
        raise StoreError(f"{path} cannot be opened as a store ({error}): {_REMEDY}") from error
    except OSError as error:  # its lock, its folder
        raise StoreError(f"{path} cannot be opened for writing: {error.strerror}") from error


def copy(db: sqlite3.Connection, path: Path) -> None:
    """Copy the whole database into a new file, which bears its name only once it is whole and on disk.

    It is one moment of the store, however much is written meanwhile, and one file: it needs no log beside it.
    """
    path = path.absolute()
    if path.exists():
        raise StoreError(f"{path} is there already: a backup never writes over a file")
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    prepare(part)
    try:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as target:
            db.backup(target)
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
        part.rename(path)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def takes_writes(path: Path) -> bool:
    """Whether a file beside the store can be written and synced, large enough to be worth a try."""
    probe = path.with_name(f"{path.name}.probe")
    try:
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.pwrite(descriptor, bytes(PROBE_BYTES), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)
    except OSError:
        return False
    return written == PROBE_BYTES


class WalAlarm:
    """Says once in the log that the write-ahead log has grown too large, and once that it is small again.

    It is folded back into the file every thousand pages, but never past the oldest reader's moment; our own readers
    keep none between two calls.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._is_large = False

    def look(self) -> None:
        """After a commit."""
        self._commits += 1
        if self._commits % WAL_LOOK:
            return
        size = sizes(self._path)["wal_bytes"]
        if not self._is_large and size > WAL_ALARM:
            self._is_large = True
            log.warning("wal_is_large", path=str(self._path), bytes=size, remedy="end the process that reads so long")
        elif self._is_large and size <= WAL_ALARM // 2:
            self._is_large = False
            log.info("wal_is_small_again", path=str(self._path), bytes=size)


def sizes(path: Path) -> dict[str, int]:
    """Bytes of the database and of its write-ahead log."""
    found = {"file_bytes": path, "wal_bytes": path.with_name(path.name + "-wal")}
    return {name: file.stat().st_size if file.exists() else 0 for name, file in found.items()}
