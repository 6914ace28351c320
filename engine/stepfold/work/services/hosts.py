"""Which hosts a Task may call by HTTP, and one request to one of them.

A host must be named. A name with `*` reaches public addresses alone; link-local ones, where clouds keep credentials,
are reached by nobody who did not name the very address. The address is looked up once, judged, and connected to, so
that a name cannot point elsewhere in between. Redirects are answers like any other: followed, they would lead past the
list.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

SECONDS: Final = 60.0
"""How long a request may take, all in all (AWS's)."""
ANSWER_BYTES: Final = 6 * 1024 * 1024
"""The longest answer that is read."""
CONCURRENCY: Final = 32
_KEEPERS: Final = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Where clouds keep credentials at addresses that are not link-local."""
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}


class NotAllowed(Exception):
    """The list of hosts does not allow the request; the message says why, and what would."""


class NoAnswer(Exception):
    """The request did not come to an answer."""


class TooLong(Exception):
    """The answer is longer than is read."""


class Allowed(NamedTuple):
    """A host that may be called; `name` may begin with `*.`, or be `*`."""

    scheme: str
    name: str
    port: int

    @classmethod
    def read(cls, text: str) -> Allowed:
        """`api.example.com`, `api.example.com:8443`, `*.example.com`, `http://localhost:9000`; raises ValueError."""
        scheme, _, rest = text.rpartition("://")
        scheme = scheme or "https"
        split = urlsplit(f"//{rest}")
        if scheme not in _PORTS or not split.hostname or split.path or split.query or split.username:
            raise ValueError(f"{text!r} names no host: it is NAME, NAME:PORT, or http://NAME:PORT")
        return cls(scheme, split.hostname, split.port or _PORTS[scheme])

    def covers(self, scheme: str, name: str, port: int) -> bool:
        """Whether it allows this host."""
        if (scheme, port) != (self.scheme, self.port):
            return False
        return self.name in {"*", name} or (self.name.startswith("*.") and name.endswith(self.name[1:]))

    def reaches(self, address: str) -> bool:
        """Whether it allows this address for the name."""
        found = _meant(address)
        if found.is_link_local or found.is_multicast or found.is_unspecified or found in _KEEPERS:
            return self.name == address
        return found.is_global or "*" not in self.name


def _meant(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address, or the one of IPv4 that it stands for."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _TRANSLATED:
            return ipaddress.IPv4Address(found.packed[-4:])
        return found.ipv4_mapped or found.sixtofour or found
    return found


class Request(NamedTuple):
    """What is sent. An `authority` (a certificate, PEM) is then the only one that may vouch for the host."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    authority: str | None = None


class Answer(NamedTuple):
    """What came back."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class Hosts:
    """Sends requests to the hosts that are allowed."""

    def __init__(self, allowed: Iterable[Allowed] = ()) -> None:
        self._allowed = tuple(allowed)
        self._limit = CapacityLimiter(CONCURRENCY)

    async def send(self, request: Request) -> Answer:
        """Send, and read the answer. Raises NotAllowed, NoAnswer, TooLong."""
        rule, scheme, name, port = self._rule(request.url)
        exchange = _Exchange(rule, scheme, name, port, request)
        try:
            with anyio.fail_after(SECONDS):
                return await anyio.to_thread.run_sync(exchange.run, abandon_on_cancel=True, limiter=self._limit)
        except TimeoutError:
            raise NoAnswer(f"The request took longer than {SECONDS:g} seconds") from None
        finally:
            exchange.end()

    def _rule(self, url: str) -> tuple[Allowed, str, str, int]:
        try:
            split = urlsplit(url)
            scheme, name, port = split.scheme, split.hostname or "", split.port or _PORTS.get(split.scheme, 0)
        except ValueError as wrong:
            raise NotAllowed(f"{url!r} is no address: {wrong}") from None
        for rule in self._allowed:
            if rule.covers(scheme, name, port):
                return rule, scheme, name, port
        shown = name if scheme == "https" and port == _PORTS["https"] else f"{scheme}://{name}:{port}"
        raise NotAllowed(f"{shown!r} is not among the hosts that Tasks may call: --allow-http {shown} allows it")


class _Exchange:
    """One request, in a thread; `end` is called from outside, and cuts it off."""

    def __init__(self, rule: Allowed, scheme: str, name: str, port: int, request: Request) -> None:
        self._rule, self._scheme, self._name, self._port = rule, scheme, name, port
        self._request = request
        self._socket: socket.socket | None = None

    def end(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def run(self) -> Answer:
        try:
            connection = http.client.HTTPConnection(self._name, self._port, timeout=SECONDS)
            connection.sock = self._connected()
            split = urlsplit(self._request.url)
            connection.putrequest(
                self._request.method, f"{split.path or '/'}{'?' + split.query if split.query else ''}",
                skip_host=True, skip_accept_encoding=True,
            )
            for header, value in (("Host", split.netloc.rpartition("@")[2]), *self._request.headers):
                connection.putheader(header, value)
            if self._request.body is not None:
                connection.putheader("Content-Length", str(len(self._request.body)))
            connection.putheader("Connection", "close")
            connection.endheaders(self._request.body)
            return self._answer(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from None
        finally:
            self.end()

    def _answer(self, response: http.client.HTTPResponse) -> Answer:
        body = response.read(ANSWER_BYTES + 1)
        if len(body) > ANSWER_BYTES:
            raise TooLong(f"The answer is longer than {ANSWER_BYTES} bytes")
        return Answer(response.status, response.reason, response.getheaders(), body)

    def _connected(self) -> socket.socket:
        found = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found if self._rule.reaches(str(one[4][0]))]
        if not addresses:
            raise NotAllowed(f"{self._name!r} has no address that Tasks may call")
        plain = self._socket = socket.create_connection((addresses[0], self._port), SECONDS)
        if self._scheme == "https":
            self._socket = _trusting(self._request.authority).wrap_socket(plain, server_hostname=self._name)
        return self._socket


def _trusting(authority: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    if authority is not None:
        # Python 3.13 turned it on; clusters' own authorities leave out an extension that it wants.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
