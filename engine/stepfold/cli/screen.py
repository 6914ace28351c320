"""Lines on a terminal, and below them one line that lives: where the work is. Elsewhere, a line every few seconds.

Handlers may write ten thousand lines in a second, so nothing here renders: a line is a text with a few colours, and
all lines of a tenth of a second leave in one write.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
from typing import IO

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PIPE_COLUMNS = 400
QUIET_SECONDS = 3.0
"""How often a line of progress is written where there is no terminal."""
LONGEST_QUIET = 60.0

_CODES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_UNSAFE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Screen:
    """Where a command writes for a person: stdout or stderr, a terminal or not."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        tty = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.live = tty
        self.colour = (tty and not os.environ.get("NO_COLOR")) or bool(os.environ.get("FORCE_COLOR"))
        self._waiting: list[str] = []
        self._shown = False
        self._turn = 0
        self._spoke = time.monotonic()
        self._pause = QUIET_SECONDS

    @property
    def width(self) -> int:
        """How many columns there are."""
        return columns(self.stream)

    def paint(self, text: str, *styles: str) -> str:
        """The text in these styles, where there are colours."""
        if not self.colour or not styles:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """A line to write at the next `flush`."""
        self._waiting.append(text)

    def flush(self, status: str | None = None) -> None:
        """Write the lines that wait; below them `status`, which the next flush replaces."""
        out = []
        if self._shown:
            out.append("\r\x1b[2K")
            self._shown = False
        if self._waiting:
            out.append("\n".join(self._waiting) + "\n")
            self._waiting.clear()
            self._spoke, self._pause = time.monotonic(), QUIET_SECONDS
        if status is not None and self.live:
            self._turn += 1
            out.append(self.paint(SPINNER[self._turn % len(SPINNER)], "cyan") + " " + fit(status, self.width - 3))
            self._shown = True
        if out:
            self.stream.write("".join(out))
            self.stream.flush()

    def now_and_then(self, status: str, *, moves: bool) -> None:
        """Without a terminal: write where the work is, if nothing was written for a while; ever less if it stands."""
        if not self.live and time.monotonic() - self._spoke >= self._pause:
            pause = QUIET_SECONDS if moves else min(2 * self._pause, LONGEST_QUIET)
            self.line(f"  {status}")
            self.flush()
            self._pause = pause


def columns(stream: IO[str]) -> int:
    """How wide a terminal is; as wide as one likes where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return PIPE_COLUMNS


def print_table(table: Table) -> None:
    """A table on stdout: as wide as the terminal, or as wide as it wants to be where there is none."""
    console = Console(highlight=False, width=columns(sys.stdout))
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def fit(text: str, width: int) -> str:
    """The text, cut to so many columns."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)) + "…"


def clean(text: str) -> str:
    """A text from outside without what would move the cursor or worse."""
    return _UNSAFE.sub("", text)


def roughly(seconds: float) -> str:
    """An estimate of a time span for a person."""
    return f"{math.ceil(seconds)} s" if seconds < 120 else duration(seconds)


def duration(seconds: float) -> str:
    """A time span for a person."""
    if seconds < 10:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"
