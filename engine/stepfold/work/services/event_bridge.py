"""Connections as EventBridge keeps them: what they are called there, their secrets in Secrets Manager.

The secret is a JSON object (as moto and AWS write it) of what the kind of connection needs: `username` and `password`,
`api_key_name` and `api_key_value`, or `client_parameters`, `authorization_endpoint`, `http_method`; and
`invocation_http_parameters` for every request. The form is not in AWS's guide, and not recorded.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .clients import Clients
from .connections import Connection, NoConnection

_PARAMETERS: Final = {"headers": "header_parameters", "query": "query_string_parameters", "body": "body_parameters"}


class EventBridge:
    """Looks connections up."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def connection(self, name: str) -> Connection:
        """The connection of that name, with its secrets. Raises NoConnection."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            described = await self._clients.call("events", "DescribeConnection", {"Name": name})
            asked = {"SecretId": described["SecretArn"]}
            secret = await self._clients.call("secretsmanager", "GetSecretValue", asked)
        except (BotoCoreError, ClientError, KeyError) as error:
            raise NoConnection(f"the connection {name!r} cannot be read: {type(error).__name__}: {error}") from None
        try:
            return _connection(name, msgspec.json.decode(secret["SecretString"]))
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            raise NoConnection(f"the secret of the connection {name!r} is not as expected") from None


def _connection(name: str, told: dict[str, Any]) -> Connection:
    flat = {"name": name, **told.get("client_parameters", {}), **told}
    known = {field: flat[field] for field in Connection.__struct_fields__ if isinstance(flat.get(field), str)}
    more = told.get("invocation_http_parameters", {})
    for field, where in _PARAMETERS.items():
        known[field] = {one["key"]: one["value"] for one in more.get(where, [])}
    return msgspec.convert(known, Connection)
