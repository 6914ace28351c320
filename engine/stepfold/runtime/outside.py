"""Which of the world outside an engine's Tasks may reach: AWS's services, and hosts by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import NamedTuple

from stepfold.work.mocked import Mocks
from stepfold.work.services.clients import Clients, NoClients, configured
from stepfold.work.services.connections import Connection
from stepfold.work.services.hosts import Allowed
from stepfold.work.standard import call_hosts, call_services

from .engine import Engine


class Outside(NamedTuple):
    """What Tasks may reach.

    `services`: AWS's, or None to have the environment say. `hosts`: those that `http:invoke` may call; `connections`:
    how it signs in, by name. `mocks`: answers that stand in for Tasks of executions which begin in a test case.
    """

    services: bool | None = None
    hosts: Sequence[Allowed] = ()
    connections: Mapping[str, Connection] = MappingProxyType({})
    mocks: Mocks | None = None


def reach(engine: Engine, outside: Outside) -> None:
    """Let Tasks reach what is said, before the engine is entered; what was registered for a resource comes first.

    Raises NoClients.
    """
    if outside.mocks is not None:
        engine.mock(outside.mocks)
    clients = reach_services(engine, wanted=outside.services)
    call_hosts(engine.workers, outside.hosts, outside.connections, clients, engine.home.region)


def reach_services(engine: Engine, *, wanted: bool | None = None) -> Clients | None:
    """Let Tasks call AWS's services; gives the clients, or None where they may not.

    With None they may where boto3 is there and the environment says which AWS is meant, by an endpoint or credentials
    (`clients.configured`): nobody's account is called for the mere reason that its keys lie in the home folder. Raises
    NoClients where it is wanted and boto3 missing.
    """
    if wanted is False or (wanted is None and not configured()):
        return None
    try:
        clients = Clients(engine.home.region)
    except NoClients:
        if wanted:
            raise
        return None
    call_services(engine.workers, clients)
    engine.keep(_closing(clients))
    return clients


@asynccontextmanager
async def _closing(clients: Clients) -> AsyncIterator[None]:
    try:
        yield
    finally:
        clients.close()
