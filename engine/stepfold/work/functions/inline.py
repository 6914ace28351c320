"""Code that stands in a template, written where a child process can run it: private folders that outlive no engine.

A process that is killed with -9 removes nothing. So each folder holds a file that its engine keeps locked: the kernel
frees the lock whatever becomes of the holder, and the next engine that writes inline code removes what nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

PREFIX = "stepfold-inline-"
HELD = ".held"


class InlineCode:
    """A folder for the inline code of one project, made when the first is written."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._removal: weakref.finalize[..., InlineCode] | None = None

    def write(self, source: str, *, javascript: bool) -> Path:
        """A new folder with the code as the file `index`, where AWS puts it too."""
        if self._folder is None:
            _sweep(Path(tempfile.gettempdir()))
            self._folder, lock = _held()
            self._removal = weakref.finalize(self, _remove, self._folder, lock)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        (folder / f"index{'.js' if javascript else '.py'}").write_text(source, encoding="utf-8")
        return folder

    def remove(self) -> None:
        """Remove all that was written; done at the end of the process where nobody asks for it."""
        if self._removal is not None:
            self._removal()
            self._folder = self._removal = None


def _held() -> tuple[Path, int]:
    """A new folder, and the lock on it. The lock's file gets its name when it is locked: no sweep finds it free."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    unnamed = folder / ".new"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / HELD)
    return folder, lock


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _sweep(parent: Path) -> None:
    """Remove the folders of engines that are gone. One of another user cannot be opened, and is passed over."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder / HELD, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
