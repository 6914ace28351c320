"""What all tests share: the backend, a clock moved by hand, a store in memory, and a last word for figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepfold.runtime.clock import ManualClock
from stepfold_store.memory import MemoryStore

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of pytest-xdist's processes: the first of them tells the figures
        session.config.workeroutput["figures"] = session.config.stash[FIGURES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    node.config.stash[FIGURES] += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines put here are printed at the end of the run."""
    return request.config.stash[FIGURES]


@pytest.fixture
def anyio_backend() -> str:
    """The backend that is promised: aiosqlite runs on no other."""
    return "asyncio"


@pytest.fixture
def seed() -> int:
    """Where chance begins."""
    return 20_260_901


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def jumping_clock() -> ManualClock:
    """A clock that jumps to the next timer when all else is done."""
    return ManualClock(jumps=True)


@pytest.fixture
async def memory_store() -> AsyncIterator[MemoryStore]:
    """A store that forgets."""
    store = MemoryStore()
    yield store
    await store.close()
