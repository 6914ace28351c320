"""How a figure is taken: round after round beside its yardstick, each round in a process of its own, by the median.

Machines are noisy, and one benchmark's garbage is the next one's pause: so ours and the yardstick take turns within a
round, a round starts with a clean heap (its peak memory is its own), and what is compared is the ratio.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar

import structlog

T = TypeVar("T")

ROUNDS = 5


class _Contract(TypedDict):
    name: str
    figure: float
    unit: str
    yardstick: float
    ratio: float


class Line(_Contract, total=False):
    """One line of the table; the first five fields are a contract, `against` and `note` are for people."""

    against: str
    note: str


class Round(NamedTuple):
    """One round: what we reached, what the yardstick reached, and what else was seen."""

    figure: float
    yardstick: float
    seen: dict[str, float]


def fresh(work: Callable[..., T], *arguments: Any) -> T:
    """What the work comes to in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet) as one:
        return one.submit(work, *arguments).result()


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def measured(name: str, unit: str, against: str, rounds: int, work: Callable[..., Round], *arguments: Any) -> Line:
    """The medians of some rounds, also of what else was seen."""
    taken = [fresh(work, *arguments) for _ in range(rounds)]
    figure = statistics.median(one.figure for one in taken)
    yardstick = statistics.median(one.yardstick for one in taken)
    seen = {what: statistics.median(one.seen[what] for one in taken) for what in taken[0].seen}
    return {
        "name": name,
        "figure": round(figure),
        "unit": unit,
        "yardstick": round(yardstick),
        "ratio": round(figure / yardstick, 3),
        "against": against,
        "note": ", ".join(f"{what} {round(most, 2) if most < 10 else round(most):,}" for what, most in seen.items()),
    }


def peak_megabytes() -> float:
    """The most memory this process has had resident so far."""
    if sys.platform == "linux":  # (where `getrusage` begins with the most of the process that started this one)
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
