"""Clients of AWS's services: boto3's, made once each, called in threads, and never without a time limit.

Credentials, region and endpoints are found by botocore's own rules (`AWS_PROFILE`, `AWS_ENDPOINT_URL_SQS`, ...): the
same Task calls AWS, LocalStack or moto. Nothing is made up where nothing is configured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
from anyio import CapacityLimiter, Lock

CONCURRENCY: Final = 32
"""Calls of one service that are made at once, and connections that are kept to it."""
CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 65
"""How long a service may be silent; its own limits are below that, where `_SLOW` does not say otherwise."""
_SLOW: Final = {"bedrock-agentcore": 910, "bedrock-runtime": 910, "lambda": 910, "stepfunctions": 310}
"""Services that answer when their work is done: Lambda takes up to 900 seconds, an express execution 300."""

_SAID: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_ENDPOINT: Final = "AWS_ENDPOINT_URL"


class NoClients(Exception):
    """boto3 is not installed; the message says what to do."""

    def __init__(self) -> None:
        super().__init__("calls of AWS's services need boto3: pip install 'stepfold[aws]'")


def configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment itself says which AWS is meant: an endpoint, or credentials.

    A profile that merely lies in the home folder, or the role of the machine, says nothing of what is wanted here.
    """
    return any(environment.get(name) for name in _SAID) or any(
        value for name, value in environment.items() if name.startswith(_ENDPOINT)
    )


class Clients:
    """One client a service. `region` is used where botocore's own rules find none. Raises NoClients."""

    def __init__(self, region: str) -> None:
        try:
            import boto3
        except ImportError:
            raise NoClients from None
        session = boto3.Session()
        self._session = session if session.region_name else boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}
        self._limits: dict[str, CapacityLimiter] = {}
        self._making = Lock()

    @property
    def region(self) -> str:
        """Where services are called."""
        return str(self._session.region_name)

    async def client(self, service: str) -> Any:
        """The client of a service; made in a thread, one at a time, for sessions are not to be shared by threads."""
        if (known := self._clients.get(service)) is not None:
            return known
        async with self._making:
            if service not in self._clients:
                self._clients[service] = await anyio.to_thread.run_sync(self._make, service)
                self._limits[service] = CapacityLimiter(CONCURRENCY)
            return self._clients[service]

    async def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of an operation, by botocore's names; raises what botocore raises.

        One who is cancelled goes at once; the thread ends with the answer, or when the service was silent for too long.
        """
        client = await self.client(service)
        found: dict[str, Any] = await anyio.to_thread.run_sync(
            _ask, client, operation, parameters, abandon_on_cancel=True, limiter=self._limits[service]
        )
        return found

    async def credentials(self) -> Any:
        """What botocore finds to sign with at this moment, or None; raises what it raises. They may come from afar."""
        async with self._making:
            return await anyio.to_thread.run_sync(self._credentials)

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _credentials(self) -> Any:
        found = self._session.get_credentials()
        return None if found is None else found.get_frozen_credentials()

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        return self._session.client(service, config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=_SLOW.get(service, ANSWER_SECONDS),
            max_pool_connections=CONCURRENCY,
            # A repetition is the state's to decide, by its Retry, and to be seen in the history.
            retries={"total_max_attempts": 1},
            # The service knows better what it wants, and it is the service's words that AWS shows.
            parameter_validation=False,
            tcp_keepalive=True,
        ))


def _ask(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
    from botocore import xform_name
    from botocore.eventstream import EventStream

    answer = getattr(client, xform_name(operation))(**parameters)
    for name, value in answer.items():
        if hasattr(value, "read"):  # a stream: read here, where waiting for it holds nobody up
            answer[name] = value.read()
        elif isinstance(value, EventStream):
            answer[name] = list(value)
    return answer
