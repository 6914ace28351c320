"""What the fault tests share: an engine that is broken on purpose complains at length, and nobody need read it."""

import logging

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet():
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
