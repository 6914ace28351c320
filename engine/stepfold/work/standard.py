"""The usual workers, put together: a project's functions, each run unchanged in child processes; AWS's services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.reading.projects import ProjectFunction
from stepfold.names import Home

from .functions.handlers import Handler, Handlers, LocalFunction, OnOutput
from .functions.inline import InlineCode
from .services.clients import CONCURRENCY, Clients
from .services.connections import Connection, Signing
from .services.event_bridge import EventBridge
from .services.hosts import Allowed, Hosts
from .services.http_tasks import HttpTasks
from .services.kubernetes import Kubernetes
from .services.service_jobs import ServiceJobs
from .services.signatures import Signatures
from .workers import Workers


class ProjectFunctions:
    """Workers for the functions of a project: `workers`, by name. They can be called within the `async with` block.

    A function is known by its name, and by its logical id where no other function has that name: definitions outside
    the template use either. One whose runtime is not run here (Java, Go, ...) is there too; its calls fail and say so.
    """

    def __init__(
        self,
        functions: Iterable[ProjectFunction],
        *,
        home: Home | None = None,
        on_output: OnOutput | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._handlers = Handlers(home=home, on_output=on_output, environment=environment)
        self._inline = InlineCode()
        self.workers: dict[str, LocalFunction] = {}
        functions = list(functions)
        for function in functions:
            self.workers[function.name] = self._handlers.worker(self._handler(function))
        for function in functions:
            self.workers.setdefault(function.logical_id, self.workers[function.name])

    async def __aenter__(self) -> Self:
        await self._handlers.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._handlers.__aexit__(kind, error, trace)
        finally:
            self._inline.remove()

    def _handler(self, function: ProjectFunction) -> Handler:
        code = function.code
        if not isinstance(code, Path):
            code = self._inline.write(code, javascript=function.runtime.startswith("nodejs"))
        return Handler(
            name=function.name,
            runtime=function.runtime,
            handler=function.handler,
            code=code,
            environment=function.environment,
            timeout=function.timeout,
            memory=function.memory,
        )


def call_services(workers: Workers, clients: Clients) -> None:
    """Have AWS's services do what nobody else is registered for."""
    services = ServiceJobs(clients)
    for kind in INTEGRATIONS:
        if kind not in _NOT_AWS:
            workers.register(f"arn:*:states:::{kind}:*", services, concurrency=CONCURRENCY, last=True)
    _call_clusters(workers, Hosts(), clients)
    workers.register("arn:*:states:::aws-sdk:*", services, last=True)
    workers.register("arn:*:lambda:*:function:*", services, concurrency=CONCURRENCY, last=True)


def call_hosts(
    workers: Workers,
    allowed: Iterable[Allowed],
    connections: Mapping[str, Connection],
    clients: Clients | None,
    region: str,
) -> None:
    """Have `http:invoke`, `apigateway:invoke` and `eks:call` call the hosts that are allowed, and fail for all others.

    `clients` are asked for connections that are not among the given, and for credentials to sign with.
    """
    hosts = Hosts(allowed)
    signing = Signing(hosts, connections, None if clients is None else EventBridge(clients).connection)
    tasks = HttpTasks(hosts, signing, Signatures(clients), region)
    for kind in sorted(_NOT_AWS):
        workers.register(f"arn:*:states:::{kind}:*", tasks, concurrency=CONCURRENCY, last=True)
    if clients is not None:
        _call_clusters(workers, hosts, clients)


def _call_clusters(workers: Workers, hosts: Hosts, clients: Clients) -> None:
    clusters = Kubernetes(hosts, clients)
    for action in ("call", "runJob"):
        workers.register(f"arn:*:states:::eks:{action}*", clusters, concurrency=CONCURRENCY, last=True)


_NOT_AWS = {"apigateway", "http"}
"""Integrations that call hosts which are not those of AWS's own API."""
