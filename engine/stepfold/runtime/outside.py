"""Which of the world outside an engine's Tasks may reach: AWS's services, and hosts by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from stepfold.work.clients import Clients, NoClients, configured
from stepfold.work.connections import load_connections
from stepfold.work.hosts import Allowed
from stepfold.work.mocked import load_mocks
from stepfold.work.standard import call_hosts, call_services

from .engine import Engine


class Outside(NamedTuple):
    """What Tasks may reach.

    `services`: AWS's, or None to have the environment say. `hosts`: those that `http:invoke` may call, as
    `hosts.Allowed.read` takes them; `connections`: a file that says how it signs in. `mocks`: a mock
    configuration file, whose answers stand in for Tasks of executions that begin in a test case, such as `case`.
    """

    services: bool | None = None
    hosts: Sequence[str] = ()
    connections: Path | None = None
    mocks: Path | None = None
    case: str | None = None


def reach(engine: Engine, outside: Outside) -> None:
    """Let Tasks reach what is said, before the engine is entered; what was registered for a resource comes first.

    Raises NoClients, ConnectionsRefused, MocksRefused, OSError for a file that cannot be read, ValueError for what
    names no host.
    """
    if outside.mocks is not None:
        engine.mock(load_mocks(outside.mocks))
    clients = reach_services(engine, wanted=outside.services)
    known = load_connections(outside.connections) if outside.connections is not None else {}
    call_hosts(engine.workers, [Allowed.read(host) for host in outside.hosts], known, clients)


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
