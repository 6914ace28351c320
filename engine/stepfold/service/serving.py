"""Serving the app on uvicorn: where it may bind, how long it is patient with a client, and how it stops.

uvicorn waits for ever for the headers of a request, so its protocol gets a deadline here; and it ends the process by
the signal that stopped it, where `serve` returns, so that the caller closes its engine and exits with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from .asgi import BODY_SECONDS, app
from .door import Door
from .wire.keys import Keys
from .wire.protocol import Service

HEADER_SECONDS: Final = 10.0
"""How long a client may take to send the head of a request."""
HEADER_BYTES: Final = 32_768
IDLE_SECONDS: Final = 65
"""How long a connection without a request is kept; SDKs drop theirs after 60."""
CONNECTIONS: Final = 1_000
GRACE_SECONDS: Final = 10
"""What requests in flight have left at a stop."""
PORT: Final = 8083


class BindRefused(ValueError):
    """An address that others can reach, and no keys."""


async def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    keys: Keys | None = None,
    hosts: Iterable[str] = (),
    announce: Callable[[str], object] = print,
    grace: int = GRACE_SECONDS,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is in flight and return; port 0 takes a free one.

    `announce` hears `listening on http://HOST:PORT` once connections are taken. Raises BindRefused, OSError.
    """
    if keys is None and not is_loopback(host):
        raise BindRefused(f"{host} can be reached from elsewhere: that wants keys, or bind 127.0.0.1")
    made = app(service, keys=keys, hosts=hosts)
    await serve_app(made, host=host, port=port, announce=announce, grace=grace, door=made.state.door)


async def serve_app(
    made: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    announce: Callable[[str], object] = print,
    grace: int = GRACE_SECONDS,
    door: Door | None = None,
) -> None:
    """Serve any ASGI app as `serve` does; a door is closed at a stop."""
    with contextlib.closing(_bound(host, port)) as bound:
        shown = f"[{host}]" if ":" in host else host
        line = f"listening on http://{shown}:{bound.getsockname()[1]}"
        config = uvicorn.Config(
            made, http=PatientProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=grace, h11_max_incomplete_event_size=HEADER_BYTES,
        )
        await _Server(config, door, lambda: announce(line)).serve(sockets=[bound])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, proto)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart finds the port of the process before
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


class _Server(uvicorn.Server):
    """uvicorn's server; says when it listens, closes the door at a stop, and leaves signals as they were."""

    def __init__(self, config: uvicorn.Config, door: Door | None, listening: Callable[[], object]) -> None:
        super().__init__(config)
        self._door = door
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is not None:
            self._door.close()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first signal, drop what is in flight at the second; the process lives on."""
        try:
            before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: whoever runs this there stops it by cancelling
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self.force_exit = self.should_exit
        self.should_exit = True


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with deadlines for the head and the body of a request, and a cap on connections.

    A clock runs only between packets of a request that is not whole; most come in one and never start it.
    """

    _deadline: asyncio.TimerHandle | None = None
    _watched: object = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or drop it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; a clock runs until the head is whole, another until the body is."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        state, answered = self.conn.their_state, self.cycle is None or self.cycle.response_complete
        if state is not self._watched:
            self._unwatch()
            self._watched = state
        if self._deadline is not None or self.timeout_keep_alive_task is not None:
            return
        if state is h11.IDLE and answered:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._late)
        elif state is h11.SEND_BODY:  # the app says 408 before this, if it is reading at all
            self._deadline = self.loop.call_later(HEADER_SECONDS + BODY_SECONDS, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self.transport.abort()
