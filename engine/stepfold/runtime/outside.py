"""Which of the world outside an engine's Tasks may reach: AWS's services, and hosts by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from stepfold.work.clients import Clients, NoClients, configured
from stepfold.work.standard import call_services

from .engine import Engine


class Outside(NamedTuple):
    """What Tasks may reach. `services`: AWS's, or None to have the environment say."""

    services: bool | None = None


def reach(engine: Engine, outside: Outside) -> None:
    """Let Tasks reach what is said, before the engine is entered. Raises NoClients."""
    reach_services(engine, wanted=outside.services)


def reach_services(engine: Engine, *, wanted: bool | None = None) -> bool:
    """Let Tasks call AWS's services; says whether they may.

    With None they may where boto3 is there and the environment says which AWS is meant, by an endpoint or credentials
    (`clients.configured`): nobody's account is called for the mere reason that its keys lie in the home folder. What
    was registered for a resource comes before the service. Raises NoClients where it is wanted and boto3 missing.
    """
    if wanted is False or (wanted is None and not configured()):
        return False
    try:
        clients = Clients(engine.home.region)
    except NoClients:
        if wanted:
            raise
        return False
    call_services(engine.workers, clients)
    engine.keep(_closing(clients))
    return True


@asynccontextmanager
async def _closing(clients: Clients) -> AsyncIterator[None]:
    try:
        yield
    finally:
        clients.close()
