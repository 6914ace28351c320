"""Connections: how `http:invoke` signs in, by the ARN or name of an EventBridge connection.

They are told by a file of one's own, for its owner alone, or asked of EventBridge and Secrets Manager where AWS's
services may be called. The file is TOML; each connection has one way to sign in, and what is added to every request:

    [[connection]]
    name = "orders"
    api_key_name = "X-Api-Key"          # or username, password
    api_key_value = "..."               # or client_id, client_secret, authorization_endpoint, http_method
    headers = { X-Tenant = "7" }        # and query, body
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from stepfold.names import parse_arn
from stepfold.query.values import Json
from stepfold.work import private

from .hosts import Hosts, Request

_EARLY: Final = 30.0
"""So many seconds before an access token ends, another is asked for."""
_LASTS: Final = 300.0
"""How long a token is good for whose maker does not say."""


class ConnectionsRefused(Exception):
    """The file of connections cannot be used; the message says why, and quotes no secret."""


class NoConnection(Exception):
    """The connection is not known, or did not let us in."""


class Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to sign in, and what to add to each request; what it prints as has no secret."""

    name: str
    username: str = ""
    password: str = ""
    api_key_name: str = ""
    api_key_value: str = ""
    client_id: str = ""
    client_secret: str = ""
    authorization_endpoint: str = ""
    http_method: str = "POST"
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    body: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Connection({self.name!r})"

    @property
    def secrets(self) -> list[str]:
        """What must be seen by nobody, also as an address or a JSON text has it."""
        basic = f"{self.username}:{self.password}" if self.password else ""
        encoded = base64.b64encode(basic.encode()).decode()
        added = (*self.headers.values(), *self.query.values(), *self.body.values())
        bare = [value.rpartition(" ")[2] for value in added]  # a token without the word Bearer
        told = (self.password, self.api_key_value, self.client_secret, encoded)
        plain = [text for text in (*told, *added, *bare) if text]
        return list(dict.fromkeys(form for text in plain for form in (text, quote(text, safe=""), _escaped(text))))


def _escaped(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    connection: list[Connection]


Source = Callable[[str], Awaitable[Connection | None]]
"""Where a connection is looked up by the ARN or name that the Task gives; None where it is not known there."""


def load_connections(path: str | Path) -> dict[str, Connection]:
    """The connections of a file by name; raises ConnectionsRefused, also where others may read it, and OSError."""
    found = private.read(path, _File, "secrets", ConnectionsRefused).connection
    return {one.name: one for one in found}


def named(arn: str) -> str:
    """The name of a connection that is called by name or ARN (`...:connection/NAME/UUID`)."""
    parsed = parse_arn(arn)
    return arn if parsed is None else parsed.resource.split("/")[1] if "/" in parsed.resource else parsed.resource


class Signing:
    """Signs in by connections: what they add to a request. Access tokens are kept until they end."""

    def __init__(self, hosts: Hosts, known: Mapping[str, Connection], ask: Source | None = None) -> None:
        self._hosts = hosts
        self._known = known
        self._ask = ask
        self._tokens: dict[str, tuple[str, float]] = {}

    async def connection(self, arn: str) -> Connection:
        """The connection, with the header that signs in among its own. Raises NoConnection, and as `Hosts.send`."""
        found = self._known.get(named(arn))
        if found is None and self._ask is not None:
            found = await self._ask(named(arn))
        if found is None:
            raise NoConnection(f"the connection {named(arn)!r} is not known")
        return msgspec.structs.replace(found, headers=found.headers | await self._header(found))

    async def _header(self, found: Connection) -> dict[str, str]:
        if found.api_key_name:
            return {found.api_key_name: found.api_key_value}
        if found.username:
            signed = base64.b64encode(f"{found.username}:{found.password}".encode()).decode()
            return {"Authorization": f"Basic {signed}"}
        if found.client_id:
            return {"Authorization": f"Bearer {await self._token(found)}"}
        return {}

    async def _token(self, found: Connection) -> str:
        """An access token by the grant `client_credentials`."""
        token, until = self._tokens.get(found.name, ("", 0.0))
        if time.monotonic() < until:
            return token
        fields = {"grant_type": "client_credentials", "client_id": found.client_id,
                  "client_secret": found.client_secret}
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
        body = urlencode(fields).encode()
        answer = await self._hosts.send(Request(found.http_method, found.authorization_endpoint, headers, body))
        try:
            told: Json = msgspec.json.decode(answer.body)
            token, lasts = told["access_token"], float(told.get("expires_in", _LASTS))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            raise NoConnection(f"{found.name!r} gave no access token: status {answer.status}") from None
        self._tokens[found.name] = token, time.monotonic() + lasts - _EARLY
        return str(token)
