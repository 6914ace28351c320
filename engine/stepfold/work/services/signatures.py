"""Requests signed with Signature Version 4, by botocore's credentials and its own way to sign: to API Gateway, to STS.

Step Functions signs as the role of the machine. Here a role means nothing, and the credentials are those that services
are called with; where none may be called, nothing is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread

from .clients import Clients
from .hosts import Request

SERVICE: Final = "execute-api"
_HOST: Final = re.compile(r"//[^/]*\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?(:\d+)?(/|\?|$)")
_SIGNS: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
_OURS: Final = {"date", *(name.lower() for name in _SIGNS)}
"""Headers that a request is not signed with twice: the signature has its own date."""


class NotSigned(Exception):
    """The request cannot be signed; the message says why, and what would help."""


class Signatures:
    """Signs requests; `clients` are None where AWS's services may not be called."""

    def __init__(self, clients: Clients | None) -> None:
        self._clients = clients

    async def signed(self, request: Request) -> tuple[Request, list[str]]:
        """The request with what signs it, and what of that must be seen by nobody. Raises NotSigned."""
        from botocore.exceptions import BotoCoreError

        if self._clients is None:
            raise NotSigned("a request is signed with AWS's credentials, which are used where services may be called")
        try:
            credentials = await self._clients.credentials()
        except BotoCoreError as error:
            raise NotSigned(f"the credentials to sign a request with cannot be read: {error}") from None
        if credentials is None:
            raise NotSigned("there are no AWS credentials to sign a request with")
        found = _HOST.search(request.url)
        region = found[1] if found else self._clients.region
        return await anyio.to_thread.run_sync(_signed, request, credentials, region)


async def presigned(clients: Clients, service: str, operation: str, headers: Mapping[str, str], seconds: int) -> str:
    """The URL of an operation without parameters, signed for so long; `headers` are to be sent with it.

    Nothing is sent. Raises what botocore raises, NoCredentialsError among it.
    """
    from botocore.exceptions import NoCredentialsError

    credentials = await clients.credentials()
    if credentials is None:
        raise NoCredentialsError
    client = await clients.client(service)
    return await anyio.to_thread.run_sync(_presigned, client, service, operation, headers, credentials, seconds)


def _presigned(
    client: Any, service: str, operation: str, headers: Mapping[str, str], credentials: Any, seconds: int
) -> str:
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    parameters = {"Action": operation, "Version": client.meta.service_model.api_version}
    asked = AWSRequest("GET", f"{client.meta.endpoint_url}/", headers=dict(headers), params=parameters)
    SigV4QueryAuth(credentials, service, client.meta.region_name, expires=seconds).add_auth(asked)
    return str(asked.url)


def _signed(request: Request, credentials: Any, region: str) -> tuple[Request, list[str]]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.compat import HTTPHeaders

    given = [(name, value) for name, value in request.headers if name.lower() not in _OURS]
    asked = AWSRequest(request.method, request.url, HTTPHeaders.from_pairs(given), request.body)
    SigV4Auth(credentials, SERVICE, region).add_auth(asked)
    added = {name: str(asked.headers[name]) for name in _SIGNS if name in asked.headers}
    signature = added["Authorization"].rpartition("Signature=")[2]
    secrets = [signature, *(added[name] for name in _SIGNS[1:2] if name in added)]
    return request._replace(headers=[*given, *added.items()]), secrets
