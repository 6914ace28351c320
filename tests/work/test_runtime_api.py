"""The Runtime API as bytes, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.work.functions.lambdas import RESPONSE_BYTES
from stepfold.work.functions.runtime_api import (
    HEAD_BYTES,
    BadRequest,
    Fault,
    Next,
    Reader,
    Request,
    Response,
    event,
    understand,
)

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
PLAIN = b'POST /2018-06-01/runtime/invocation/r-1/response HTTP/1.1\r\nContent-Length: 7\r\n\r\n{"n":6}'
CHUNKS = (
    b"POST /2018-06-01/runtime/invocation/r-2/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3\r\n{"n\r\nA;name=value\r\n":1234567}\r\n0\r\nTrailer: yes\r\n\r\n'
)
ERROR = (
    b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: Mine\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_requests_are_the_same_however_they_are_cut(sizes):
    stream = NEXT + PLAIN + CHUNKS + NEXT + ERROR
    reader, found = Reader(), []
    for size in sizes:
        found += reader.feed(stream[:size])
        stream = stream[size:]
    found += reader.feed(stream)
    assert [understand(request) for request in found] == [
        Next(), Response("r-1", b'{"n":6}', excess=False), Response("r-2", b'{"n":1234567}', excess=False), Next(),
        Fault(None, b"{}", "Mine"),
    ]


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_beyond_the_limit_is_thrown_away_and_the_next_request_is_heard(chunked):
    length = RESPONSE_BYTES + 1
    head = b"POST /2018-06-01/runtime/invocation/r/response HTTP/1.1\r\n"
    if chunked:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % length + b"x" * length + b"\r\n0\r\n\r\n"
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % length + b"x" * length
    reader, found = Reader(), []
    for start in range(0, len(data), 65_536):
        found += reader.feed(data[start: start + 65_536])
        assert len(reader._body) <= RESPONSE_BYTES
    found += reader.feed(NEXT)
    assert [understand(request) for request in found] == [Response("r", b"", excess=True), Next()]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"x" * (HEAD_BYTES + 1),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * (HEAD_BYTES + 1),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"x" * (HEAD_BYTES + 1),
    ],
    ids=["no request", "length", "head", "chunk", "chunk's head", "trailers"],
)
def test_what_is_no_http_is_refused(data):
    with pytest.raises(BadRequest):
        Reader().feed(data)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("PUT", "/2018-06-01/runtime/invocation/next"), ("POST", "/2018-06-01/runtime/invocation/next"),
     ("POST", "/2018-06-01/runtime/invocation/a/b/response")],
)
def test_what_is_not_of_the_api_means_nothing(method, path):
    assert understand(Request(method, path, {})) is None


def test_a_sender_that_waits_to_be_told_is_seen():
    reader = Reader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert reader.expecting
    assert len(reader.feed(b"x")) == 1
    assert not reader.expecting


def test_a_name_cannot_smuggle_a_header():
    head = event(b"{}", request="r", deadline=1.5, arn="arn:x\r\nEvil: yes").partition(b"\r\n\r\n")[0]
    assert b"\r\nEvil" not in head
    assert b"Lambda-Runtime-Deadline-Ms: 1500\r\n" in head
