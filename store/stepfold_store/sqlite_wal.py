"""The write-ahead log looked over: whether SQLite passes over commits that it once had on the disk.

SQLite reads the log up to the first frame that does not fit, for that is how the last commit looks where power was lost
in its midst: it forgets the rest without a word, and writes over it. But with `synchronous=FULL` a commit is begun only
once the one before it is on the disk. So where two commits or more follow in order after the last that SQLite reads,
no loss of power came between: a frame before them is damaged, and what was acknowledged would be lost.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stepfold_store.contract import StoreError

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoints, two salts, two checksums
_FRAME = struct.Struct(">6I")  # page, pages of the file where it ends a commit (else 0), two salts, two checksums
_MAGIC = 0x377F0682
"""The last bit says in which order of bytes the checksums are computed."""
_LAST_FRAME = struct.Struct("=16xI")
"""Where the index beside the log says which frame is the last that SQLite reads."""


class Lost(NamedTuple):
    """At least so many commits after frame `frame` that SQLite would forget."""

    commits: int
    frame: int

    def __str__(self) -> str:
        """Say it."""
        return (
            f"the write-ahead log is damaged after frame {self.frame}: "
            f"{self.commits} commits or more that follow would be lost"
        )


def refuse(path: Path) -> None:
    """Refuse a store whose log SQLite would cut short; it reads alone, so that the log stays as it is."""
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size <= _HEADER.size:
        return
    found = None
    with (
        contextlib.suppress(sqlite3.Error),  # what else is wrong with the file is told by whoever opens it
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db,
    ):
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        found = lost(path)
    if found is not None:
        raise StoreError(
            f"{path}: {found}. Restore it from a backup; to go on without them, have what can be read folded into the "
            "file: sqlite3 FILE 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )


def lost(path: Path) -> Lost | None:
    """What is passed over of the log beside a store's file; None where nothing is, or nothing can be told.

    Some connection must have read from the file, and be open.
    """
    try:
        with path.with_name(path.name + "-wal").open("rb") as log:
            last = _last_read(path)
            found = _after(log, last)
            return found if found is not None and _last_read(path) == last else None  # (else an engine writes)
    except OSError:
        return None


def _last_read(path: Path) -> int:
    """Read where a connection of this process has it open, for to close it would let go of all of their locks on it."""
    index = path.with_name(path.name + "-shm").stat()
    for each in Path("/dev/fd").iterdir():
        descriptor = int(each.name)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), index):
                data = os.pread(descriptor, _LAST_FRAME.size, 0)
                return int(_LAST_FRAME.unpack(data)[0]) if len(data) == _LAST_FRAME.size else sys.maxsize
    return sys.maxsize


def _after(log: BinaryIO, last: int) -> Lost | None:
    header = log.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, _, size, _, *salts, one, two = _HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    if magic & ~1 == _MAGIC and _sum(header[:24], (0, 0), order) == (one, two):
        return _walk(log, last, size, salts, order)
    # Not one frame is read then. It is synced before the first of them is written: they are as old as it was.
    size = size if size in _SIZES else _SIZE
    return _walk(log, 0, size, [], "<") or _walk(log, 0, size, [], ">")


def _walk(log: BinaryIO, last: int, size: int, salts: list[int], order: str) -> Lost | None:
    """Count the commits whose frames follow from one another; those of an earlier round have other salts."""
    commits, strange, before = 0, False, (0, 0)
    if last:
        log.seek(_HEADER.size + (last - 1) * (_FRAME.size + size))
        before = _FRAME.unpack(log.read(_FRAME.size))[4:]
    log.seek(_HEADER.size + last * (_FRAME.size + size))
    while len(frame := log.read(_FRAME.size + size)) == _FRAME.size + size:
        _, ends, *its, one, two = _FRAME.unpack_from(frame)
        salts = salts or its
        if its != salts and strange:  # one may be damaged, two are of an earlier round
            break
        strange = its != salts
        follows = _sum(frame[_FRAME.size :], _sum(frame[:8], before, order), order) == (one, two)
        commits = commits + bool(ends) if follows else 0
        before = one, two
    return Lost(commits, last) if commits > 1 else None


_SIZES = [1 << bits for bits in range(9, 17)]
_SIZE = 4096
"""Of a page, where nothing else was asked for."""


def _sum(data: bytes, sums: tuple[int, ...], order: str) -> tuple[int, int]:
    """SQLite's running checksum, over words of 32 bits."""
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
