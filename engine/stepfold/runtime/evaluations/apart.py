"""Processes that evaluate what may take much memory: started when first needed, shared by all engines, ended with them.

One that takes more than it may, or hangs, is gone: its evaluation failed, and nothing else did. One that answered waits
for the next.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import structlog

from stepfold.query.jsonata.exchange import Answer, written

from .evaluator import HEAD, READY

logger = structlog.get_logger(__name__)

MEGABYTES: Final = 240
"""What one evaluation may take."""
PLACES: Final = 4
"""So many evaluate at once."""
SECONDS: Final = 6.0
"""How long one is waited for, which its own limits should never let it take; and how long a start may take."""
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH")
_ALLOCATOR: Final = {"MIMALLOC_ARENA_RESERVE": "16384"}
"""The library's allocator reserves a gigabyte at once otherwise, which no limit could tell from what is used."""
_PACKAGE: Final = Path(__file__).parents[2]
_MEMORY: Final = written(Answer("memory"))
_TIME: Final = written(Answer("time"))


class Evaluators:
    """Processes that evaluate; `evaluate` is called in threads."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of no process: those that there were are another's, as after a fork."""
        self._places = threading.BoundedSemaphore(PLACES)
        self._idle: list[_Child] = []

    def evaluate(self, request: bytes) -> bytes | None:
        """The answer to a request (see `exchange`); None where no process can be started."""
        until = time.monotonic() + SECONDS
        if not self._places.acquire(timeout=SECONDS):
            return _TIME
        try:
            return self._answer(request, until)
        finally:
            self._places.release()

    def close(self) -> None:
        """End those that wait."""
        while self._idle:
            _end(self._idle.pop())

    def _answer(self, request: bytes, until: float) -> bytes | None:
        try:
            child = self._take()
        except OSError as error:
            logger.warning("no process to evaluate in: memory is not limited", why=str(error))
            return None
        lasts = False
        try:
            _write(child.requests, HEAD.pack(len(request), False) + request)
            size, worn = HEAD.unpack(_read(child.answers, HEAD.size, until))
            answer = _read(child.answers, size, until)
            lasts = not worn
        except TimeoutError:
            return _TIME
        except OSError:  # it got no memory, and ended
            return _MEMORY
        else:
            return answer
        finally:
            if lasts:
                self._idle.append(child)
            else:
                _end(child)

    def _take(self) -> _Child:
        with suppress(IndexError):
            while (child := self._idle.pop()).process.poll() is not None:
                _end(child)
            return child
        return _started()


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    requests: IO[bytes]
    answers: IO[bytes]


def _started() -> _Child:
    """A process that is ready. Raises OSError."""
    script = str(Path(__file__).with_name("evaluator.py"))
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = subprocess.Popen(  # noqa: S603  (our own script, by our own interpreter)
        [sys.executable, "-P", script, str(_PACKAGE), str(MEGABYTES)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment | _ALLOCATOR | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # it ends with its stdin, and not by a Ctrl-C that is meant for others
        bufsize=0,
    )
    child = _Child(process, cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout))
    try:
        said = _read(child.answers, len(READY), time.monotonic() + SECONDS)
    except OSError:
        said = b""
    if said != READY:
        _end(child)
        raise OSError(f"{sys.executable} does not run {script}")
    return child


def _write(target: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(target.fileno(), left) :]


def _read(source: IO[bytes], size: int, until: float) -> bytes:
    """So many bytes. Raises TimeoutError, and BrokenPipeError where there are no more."""
    found = bytearray()
    heard = select.poll()
    heard.register(source, select.POLLIN)
    while len(found) < size:
        left = until - time.monotonic()
        if left <= 0 or not heard.poll(1000 * left):
            raise TimeoutError
        some = os.read(source.fileno(), size - len(found))
        if not some:
            raise BrokenPipeError
        found += some
    return bytes(found)


def _end(child: _Child) -> None:
    child.process.kill()
    child.requests.close()
    child.answers.close()
    child.process.wait()


EVALUATORS: Final = Evaluators()
atexit.register(EVALUATORS.close)
os.register_at_fork(after_in_child=EVALUATORS.forget)
