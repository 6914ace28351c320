"""The Lambda Runtime API as bytes: what a child process asks over HTTP, understood, and what it is told.

No sockets here. A child asks for its next event (`GET .../invocation/next`, answered when there is one) and posts its
result or its error back; that is all a Lambda runtime does, so that whatever speaks it runs here: our own bootstraps,
AWS's runtime interface clients, custom runtimes.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from .lambdas import RESPONSE_BYTES

HEAD_BYTES = 64 * 1024
"""The longest head of a request."""

_ROOT = "/2018-06-01/runtime/"
_POSTED = re.compile(_ROOT + r"invocation/(?P<request>[^/]+)/(?P<what>response|error)$")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class BadRequest(ValueError):
    """What a child sent is not HTTP as it is understood here."""


class Request(NamedTuple):
    """One HTTP request; `excess` says that its body was longer than Lambda carries, and was thrown away."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    excess: bool = False


class Next(NamedTuple):
    """The child is ready for an event."""


class Response(NamedTuple):
    """The child's answer to the event of that request id; `excess` as in Request."""

    request: str
    body: bytes
    excess: bool


class Fault(NamedTuple):
    """The child's error: while it answered `request`, or, where that is None, while it started."""

    request: str | None
    body: bytes
    kind: str | None


Message: TypeAlias = Next | Response | Fault


def understand(request: Request) -> Message | None:
    """What a request means, or None where it is not of the Runtime API."""
    if request.method == "GET":
        return Next() if request.path == _ROOT + "invocation/next" else None
    if request.method != "POST":
        return None
    kind = request.headers.get("lambda-runtime-function-error-type")
    if request.path == _ROOT + "init/error":
        return Fault(None, request.body, kind)
    if found := _POSTED.match(request.path):
        if found["what"] == "error":
            return Fault(found["request"], request.body, kind)
        return Response(found["request"], request.body, request.excess)
    return None


def event(body: bytes, *, request: str, deadline: float, arn: str) -> bytes:
    """Write the answer to Next: the event; `deadline` in seconds since 1970."""
    return _answer("200 OK", body, (
        f"Lambda-Runtime-Aws-Request-Id: {request}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {int(deadline * 1000)}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {_UNPRINTABLE.sub('?', arn)}\r\n"
        f"Lambda-Runtime-Trace-Id: Root=1-00000000-{request.replace('-', '')[:24]};Sampled=0\r\n"
    ))


def _answer(status: str, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


ACCEPTED = _answer("202 Accepted", b'{"status":"OK"}')
NOT_FOUND = _answer("404 Not Found", b'{"errorType":"NotFound","errorMessage":"no such resource"}')
STRANGE_ID = _answer("400 Bad Request", b'{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}')
TOO_LARGE = _answer("413 Payload Too Large", b'{"errorType":"RequestEntityTooLarge","errorMessage":"Exceeded limit"}')
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Reader:
    """Cuts what arrives on one connection into requests; `expecting` says that the sender waits for CONTINUE."""

    def __init__(self) -> None:
        self.expecting = False
        self._data = bytearray()
        self._head: Request | None = None
        self._body = bytearray()
        self._excess = False
        self._left = 0  # of the body, or of the chunk at hand
        self._chunked = False

    def feed(self, data: bytes) -> list[Request]:
        """Take in some bytes; return the requests that they complete. Raises BadRequest."""
        self._data += data
        complete: list[Request] = []
        while (request := self._one()) is not None:
            complete.append(request)
        return complete

    def _one(self) -> Request | None:
        if self._head is None and not self._read_head():
            return None
        head = self._head
        if head is None or not (self._read_chunks() if self._chunked else self._read_body()):
            return None
        request = head._replace(body=bytes(self._body), excess=self._excess)
        self._head, self._body, self._excess, self.expecting = None, bytearray(), False, False
        return request

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > HEAD_BYTES:
                raise BadRequest("the head of a request is too long")
            return False
        lines = self._data[:end].decode("latin-1").split("\r\n")
        del self._data[: end + 4]
        words = lines[0].split(" ")
        if len(words) != 3:
            raise BadRequest(f"{lines[0][:80]!r} is no request")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise BadRequest(f"{length[:80]!r} is no length")
        self._head = Request(words[0], words[1], headers)
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(length)
        self.expecting = headers.get("expect", "").lower() == "100-continue"
        return True

    def _read_body(self) -> bool:
        self._take()
        return self._left == 0

    def _read_chunks(self) -> bool:
        """Read what is there of a chunked body: each chunk's size in hex, its bytes, and a line's end."""
        while True:
            if self._left > 2:
                self._take(after=2)
                if self._left > 2:
                    return False
            if self._left:  # the line's end after a chunk
                if len(self._data) < self._left:
                    return False
                del self._data[: self._left]
                self._left = 0
            end = self._data.find(b"\r\n")
            if end < 0:
                if len(self._data) > HEAD_BYTES:
                    raise BadRequest("a chunk's head is too long")
                return False
            size = self._chunk_size(bytes(self._data[:end]))
            if size == 0:
                return self._read_trailers(end + 2)
            del self._data[: end + 2]
            self._left = size + 2

    def _read_trailers(self, start: int) -> bool:
        """Pass over what follows the last chunk, which is kept in the buffer until all of it is there."""
        if self._data[start: start + 2] == b"\r\n":
            del self._data[: start + 2]
            return True
        end = self._data.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._data) > HEAD_BYTES:
                raise BadRequest("the trailers of a request are too long")
            return False
        del self._data[: end + 4]
        return True

    def _take(self, after: int = 0) -> None:
        """Move bytes of the body from the buffer; those beyond the limit are thrown away."""
        part = self._data[: max(0, self._left - after)]
        del self._data[: len(part)]
        self._left -= len(part)
        if len(self._body) + len(part) > RESPONSE_BYTES:
            self._excess = True
            self._body.clear()
        if not self._excess:
            self._body += part

    @staticmethod
    def _chunk_size(line: bytes) -> int:
        digits = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", digits):
            raise BadRequest(f"{line[:80]!r} is no chunk")
        return int(digits, 16)
