"""What runs inside a process that evaluates: requests come in on stdin, answers go out on stdout, until stdin ends.

    evaluator.py PACKAGE MEGABYTES

It may take so much memory and no more: the library cannot be told, and ends its process where it gets none.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import types
from pathlib import Path
from random import Random

HEAD = struct.Struct(">Q?")
"""Before each request and answer: how many bytes it has; of an answer also whether it is the last."""
READY = HEAD.pack(0, False)
"""What it says first."""
_WORN_BYTES = 64 << 20
"""One that holds so much more than at its start gives it back by ending."""


def main(package: str, megabytes: int) -> None:
    """Answer until nobody asks any more."""
    house = types.ModuleType("stepfold")  # its own door would import all of it
    house.__path__ = [package]
    sys.modules["stepfold"] = house
    from stepfold.query.jsonata import exchange, library
    from stepfold.query.template import Moment

    _confine(megabytes)
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    begun = _held()
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(HEAD.size):
        wanted = exchange.wanted(source.read(HEAD.unpack(head)[0]))
        chance = Random(wanted.seed)  # noqa: S311  (the engine's own, for one evaluation)
        moment = Moment(wanted.now, chance.random, os.urandom, unhurried=True)
        try:
            answer = exchange.written(library.answered(wanted, moment))
        except MemoryError:
            answer = exchange.written(exchange.Answer("memory"))
        worn = _held() > begun + _WORN_BYTES
        target.write(HEAD.pack(len(answer), worn) + answer)
        target.flush()
        if worn:
            return


def _held() -> int:
    """Bytes of memory; elsewhere than on Linux the most there ever were."""
    if sys.platform == "linux":  # (where a process begins with the most of the one that started it)
        held = int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    else:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1 << 10)
    return held


def _confine(megabytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # (elsewhere the limit means nothing, or cannot be set)
        now = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
        most = now + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
