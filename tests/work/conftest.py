"""What the tests of work share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stepfold.query.values import text, tree
from stepfold.work.call import Call

ACCOUNT = "arn:aws:lambda:us-east-1:123456789012:function:"
MISSING = object()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def call() -> Callable[..., Call]:
    """Makes a call of a function by name, or of any resource."""

    def make(function: str, arguments: Any = MISSING, **more: Any) -> Call:
        resource = function if function.startswith("arn:") else ACCOUNT + function
        fields = {"execution": "arn:execution", "state": "State", "token": "token", **more}
        return Call(resource=resource, arguments=text({} if arguments is MISSING else arguments), **fields)

    return make


@pytest.fixture
def plain() -> Callable[[Any], Any]:
    return tree
