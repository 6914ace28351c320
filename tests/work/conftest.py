"""What the tests of work share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepfold.query.values import text, tree
from stepfold.work.call import Call

from .far_side import ENVIRONMENT

ACCOUNT = "arn:aws:lambda:us-east-1:123456789012:function:"
MISSING = object()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def credentials_of_the_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS's clients know the tests' own credentials, and none of this machine's."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


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
