"""How others reach the engine: the AWS API of Step Functions over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from stepfold.runtime.engine import Engine


def app(engine: Engine, *, keys: str | PathLike[str] | None = None, hosts: Iterable[str] = ()) -> Starlette:
    """The AWS API over an engine, to mount: `app.mount("/", stepfold.service.app(engine))`; wants the extra `server`.

    The engine is opened and closed by its owner; until it is open, `GET /ready` says so. `keys` is a keys file, `hosts`
    are names that it goes by beside loopback's.
    """
    from pathlib import Path

    from . import asgi
    from .service import StepFunctions
    from .wire.keys import load_keys

    found = load_keys(Path(keys)) if keys is not None else None
    return asgi.app(StepFunctions(engine), keys=found, hosts=hosts)
