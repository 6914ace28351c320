"""Files that hold secrets: TOML that its owner alone may read, and whose mistakes are told without quoting it."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


def read(path: str | Path, shape: type[Shape], what: str, refused: Callable[[str], Exception]) -> Shape:
    """The file's content; raises `refused` where others may read it, or it is not of that shape, and OSError."""
    with Path(path).open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of what was opened, not of what the name is by now
        if mode & 0o077:
            raise refused(f"{path} has mode {mode:04o}: {what} are for their owner alone (chmod 600)")
        raw = file.read()
    try:
        return msgspec.convert(tomllib.loads(raw.decode()), shape)
    except msgspec.ValidationError as error:
        raise refused(f"{path}: {error}") from None
    except ValueError:  # its message may quote the line, and with it a secret
        raise refused(f"{path} is not TOML") from None
