"""What the tests of the command line share: a folder of their own, the commands in this process and in others."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from stepfold.cli import main

EXAMPLES = Path(main.callback.__code__.co_filename).parents[1] / "examples"
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of one's own; nothing of the caller's settings, and none left for other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stepfold"])
    for name in ("STEPFOLD_STORE", "STEPFOLD_DEBUG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    structlog.reset_defaults()


@pytest.fixture
def sf():
    """A command in this process."""

    def call(*words: str | Path, stdin: str | None = None) -> Result:
        told = CliRunner().invoke(main, [str(word) for word in words], input=stdin, prog_name="stepfold")
        print(told.stdout, told.stderr)  # shown where a test fails
        return told

    return call


@pytest.fixture
def write(here):
    def to(name: str, content) -> Path:
        path = here / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return to


class Process:
    """A command in a process of its own, whose output is waited for."""

    def __init__(self, *words: str | Path) -> None:
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stepfold", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def until(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.said:
            assert self._read(end), f"{text!r} was not said, but:\n{self.said}"

    def signal(self, number: int) -> int:
        self._process.send_signal(number)
        return self.end()

    def end(self) -> int:
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._selector.close()

    def _read(self, end: float) -> bool:
        if not self._selector.select(max(0, end - time.monotonic())):
            raise AssertionError(f"nothing more was said after:\n{self.said}")
        data = os.read(self._process.stdout.fileno(), 65536)
        self.said += data.decode()
        return bool(data)


@pytest.fixture
def start():
    """A command in a process of its own, ended with the test."""
    begun: list[Process] = []

    def begin(*words: str | Path) -> Process:
        begun.append(Process(*words))
        return begun[-1]

    yield begin
    for process in begun:
        process.close()
