"""The ASGI app of the AWS API: to mount in an app of your own, or to be served by `stepfold.service.serving`.

    app(service)                                  # loopback: any signature or none, Host checked
    app(service, keys=load_keys("keys.toml"))     # every request verified

`POST /` is the API, `GET /health` says that the process answers and can write, or why it cannot, `GET /ready` that it
takes work. Without keys the Host header must be a loopback name, or one that you list, because a page in a browser can
reach loopback by a name of its own; with keys a page cannot sign, and any Host is taken. No answer ever carries a CORS
header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .door import Door
from .wire.keys import Keys
from .wire.protocol import BODY_BYTES, Call, Refusal, Reply, Service

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
SYNC: Final = "sync-"
"""What SDKs put before the host of StartSyncExecution and TestState."""
BODY_SECONDS: Final = 20.0
"""How long a client may take to send a body."""
HELD_BYTES: Final = 256 * 1_048_576
"""What the bodies of all requests may come to that are not answered yet."""


def app(
    service: Service,
    *,
    keys: Keys | None = None,
    hosts: Iterable[str] = (),
    body_bytes: int = BODY_BYTES,
    body_seconds: float = BODY_SECONDS,
    held_bytes: int = HELD_BYTES,
    now: Callable[[], datetime] | None = None,
) -> Starlette:
    """The app of a service; `hosts` are further names it goes by (`*`: any). Its door is `app.state.door`."""
    door = Door(service, keys=keys) if now is None else Door(service, keys=keys, now=now)

    async def health(request: Request) -> JSONResponse:
        del request
        condition = await service.health()
        return JSONResponse(condition.plain(), 200 if condition.writes else 503)

    async def ready(request: Request) -> JSONResponse:
        del request
        if not door.ready:
            return JSONResponse({"status": "busy"}, 503)
        condition = await service.health()
        return JSONResponse({"status": "ready"}) if condition.writes else JSONResponse(condition.plain(), 503)

    api: ASGIApp = _Api(door, body_bytes, body_seconds, held_bytes)
    routes = [
        Route("/", api),
        Route("/health", health),
        Route("/ready", ready),
        Route("/{rest:path}", api),  # so that every answer has the API's shape
    ]
    made = _App(routes=routes)
    if keys is None:
        names = LOOPBACK.union(host.lower() for host in hosts)
        made.add_middleware(_Hosts, door=door, names=names)
        api = _Hosts(api, door=door, names=names)
    made.front = api
    made.own = len(made.user_middleware)
    made.state.door = door
    return made


class _App(Starlette):
    """Hands `POST /` straight to `front`: what stands between costs as much as an operation.

    Middleware that a user adds sees every request all the same.
    """

    front: ASGIApp
    own: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["path"] == "/"
            and scope["method"] == "POST"
            and len(self.user_middleware) == self.own
        ):
            await self.front(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _Hosts:
    """Refuses calls to a Host that is not listed, before anything else of them is looked at."""

    def __init__(self, inner: ASGIApp, *, door: Door, names: frozenset[str]) -> None:
        self._inner = inner
        self._door = door
        self._names = names
        self._taken: bytes | None = None  # the last that was listed: a client's next request has the same

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._listed(scope):
            await self._inner(scope, receive, send)
            return
        told = "The Host header is not one this server goes by; list it in `hosts`, or configure keys"
        await _send(send, self._door.refuse(Refusal("AccessDeniedException", told, status=403)), close=True)

    def _listed(self, scope: Scope) -> bool:
        if "*" in self._names:
            return True
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1:
            return False
        if given[0] == self._taken:
            return True
        whole = given[0].decode("latin-1").lower()
        name, colon, port = whole.rpartition(":")
        if not colon or not port.isdigit():  # no port; what stands before the last colon is part of an IPv6 address
            name = whole
        if {whole, name, name.removeprefix(SYNC), whole.removeprefix(SYNC)} & self._names:
            self._taken = given[0]
            return True
        return False


class _Body:
    """The body of one request: how much of it is held, and all of it once it has come."""

    __slots__ = ("held", "whole")

    def __init__(self) -> None:
        self.held = 0
        self.whole: bytes | None = None


class _Api:
    """The API as an ASGI app: reads the body within its bounds, and hands the call to the door."""

    def __init__(self, door: Door, body_bytes: int, body_seconds: float, held_bytes: int) -> None:
        self._door = door
        self._bytes = body_bytes
        self._seconds = body_seconds
        self._room = held_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        body = _Body()
        try:
            await self._read(headers, receive, body)
            if body.whole is not None:  # else the client has gone
                await self._answer(scope, headers, body.whole, receive, send)
        except Refusal as refusal:
            await _send(send, self._door.refuse(refusal), close=True)
        finally:
            self._room += body.held

    async def _answer(
        self, scope: Scope, headers: dict[str, str], body: bytes, receive: Receive, send: Send
    ) -> None:
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("latin-1").partition("?")[0]
        query = scope["query_string"].decode("latin-1")
        call = Call(scope["method"], path, query, headers, body, scope.get("root_path", ""))

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        await _send(send, await self._door.answer(call, gone))

    async def _read(self, headers: dict[str, str], receive: Receive, body: _Body) -> None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._bytes:
            raise self._too_large()
        first = await receive()  # nearly always all of it, which wants no deadline; a server has one for the head
        if first["type"] == "http.request" and not first.get("more_body"):
            whole: bytes = first.get("body", b"")
            if len(whole) <= self._bytes:
                self._hold(body, len(whole))
                body.whole = whole
                return
        try:
            with anyio.fail_after(self._seconds):
                await self._rest(first, receive, body)
        except TimeoutError:
            told = f"The body did not arrive within {self._seconds:g} seconds"
            raise Refusal("RequestTimeoutException", told, status=408) from None

    async def _rest(self, message: Message, receive: Receive, body: _Body) -> None:
        parts = []
        while message["type"] == "http.request":
            chunk: bytes = message.get("body", b"")
            if body.held + len(chunk) > self._bytes:
                raise self._too_large()
            self._hold(body, len(chunk))
            parts.append(chunk)
            if not message.get("more_body"):
                body.whole = b"".join(parts)
                return
            message = await receive()

    def _hold(self, body: _Body, size: int) -> None:
        if size > self._room:
            raise Refusal("ThrottlingException", "Rate exceeded: too much is asked for at once")
        self._room -= size
        body.held += size

    def _too_large(self) -> Refusal:
        told = f"The body is larger than {self._bytes} bytes"
        return Refusal("RequestEntityTooLargeException", told, status=413)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        found[name] = f"{found[name]},{text}" if name in found else text
    return found


async def _send(send: Send, reply: Reply, *, close: bool = False) -> None:
    """Send a reply; `close` where the rest of the request is left unread."""
    headers: list[tuple[bytes, bytes]] = [
        (name.lower().encode(), value.encode()) for name, value in reply.headers.items()
    ]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    start: dict[str, Any] = {"type": "http.response.start", "status": reply.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": reply.body})
