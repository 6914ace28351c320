"""What all tests share: the backend, a clock moved by hand, a store in memory, and a last word for figures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stepfold.runtime.clock import ManualClock
from stepfold_store.memory import MemoryStore

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


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
