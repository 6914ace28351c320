"""What the fault tests share: an engine that is broken on purpose complains at length, and nobody need read it."""

import logging
from queue import SimpleQueue

import pytest
import structlog
from tests.faults.levels import AT_ONCE, needs_strace
from tests.faults.lives import Nursery


@pytest.fixture(autouse=True)
def quiet():
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def nurseries():
    """Processes to fork victims from, as many as may live at once."""
    needs_strace()
    found = [Nursery() for _ in range(AT_ONCE)]
    free = SimpleQueue()
    for one in found:
        free.put(one)
    yield free
    for one in found:
        one.close()
