"""Pages of a list, and the tokens that lead from one to the next.

A token is opaque to its caller. It says whose list it goes on with, after what, and when it was given: it outlives a
restart, fits no other list, and is over after a day, as AWS's are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from stepfold.errors import InvalidToken

DEFAULT: Final = 100
"""The size of a page where none, or 0, is asked for."""
LIFETIME: Final = 24 * 3600 * 1000
"""A token is good for so many milliseconds."""

Item = TypeVar("Item")
Place = int | str
_Token = tuple[str, Place | list[Place], int]


class Asked(Protocol):
    """What a request for a page says of it."""

    maxResults: int | None  # noqa: N815  (AWS's word)
    nextToken: str | None  # noqa: N815


def page(
    items: Sequence[Item], place: Callable[[Item], Any], asked: Asked, *, scope: str, now: int
) -> tuple[Sequence[Item], str | None]:
    """The items of the page that is asked for, and the token of the next if there is one.

    `place` is what the items are ordered by, rising: a number, a text, or a list of these. `scope` names the list.
    Raises InvalidToken.
    """
    start = 0
    if asked.nextToken is not None:
        after = read(asked.nextToken, scope, now)
        try:
            start = next((index for index, item in enumerate(items) if place(item) > after), len(items))
        except TypeError:  # a token of somebody's own making
            raise _invalid() from None
    end = start + (asked.maxResults or DEFAULT)
    some = items[start:end]
    return some, write(place(some[-1]), scope, now) if end < len(items) else None


def write(after: Any, scope: str, now: int) -> str:
    """A token for what follows `after`."""
    return base64.urlsafe_b64encode(msgspec.json.encode((_mark(scope), after, now))).decode()


def read(token: str, scope: str, now: int) -> Any:
    """The place that a token names; raises InvalidToken."""
    try:
        mark, after, at = msgspec.json.decode(base64.b64decode(token, altchars=b"-_", validate=True), type=_Token)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise _invalid() from None
    if mark != _mark(scope) or not 0 <= now - at <= LIFETIME:
        raise _invalid()
    return after


def _mark(scope: str) -> str:
    return hashlib.sha256(scope.encode()).hexdigest()[:16]


def _invalid() -> InvalidToken:
    return InvalidToken("Invalid Token: 'Invalid token'")
