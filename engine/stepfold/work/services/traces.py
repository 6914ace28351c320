"""A request and its answer as TestState shows them at its level TRACE (the form is that of an example in AWS's guide).

Each part is a text, the headers are one: `[Accept: text/plain, Range: bytes=0-262144]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from .hosts import Answer, Request
from .shaped import readable


def sent(request: Request) -> dict[str, str]:
    """A request, by the names of `inspectionData.request`."""
    told = {
        "protocol": urlsplit(request.url).scheme,
        "method": request.method,
        "url": request.url,
        "headers": _headers(request.headers),
    }
    return told if request.body is None else {**told, "body": readable(request.body)}


def came(request: Request, answer: Answer) -> dict[str, str]:
    """The answer to a request, by the names of `inspectionData.response`."""
    return {
        "protocol": urlsplit(request.url).scheme,
        "statusCode": str(answer.status),
        "statusMessage": answer.reason,
        "headers": _headers(answer.headers),
        "body": readable(answer.body),
    }


def _headers(headers: Iterable[tuple[str, str]]) -> str:
    return f"[{', '.join(f'{name}: {value}' for name, value in headers)}]"
