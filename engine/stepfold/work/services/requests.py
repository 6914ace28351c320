"""What requests of Tasks share: the fields that tell them, how they fail, and what of an answer nobody shall see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from stepfold.language.failures import DATA_LIMIT_EXCEEDED, PERMISSIONS
from stepfold.query.values import Json, NotAdmitted, admit, tree
from stepfold.work.call import TaskError

from .connections import NoConnection
from .faults import Unanswered
from .hosts import NoAnswer, NotAllowed, TooLong
from .shaped import written
from .signatures import NotSigned

STRUCK: Final = "[REDACTED]"
_SHORTEST_SECRET: Final = 4


class Malformed(ValueError):
    """A field of the arguments is not as it should be: its name."""


def invalid(field: str) -> str:
    """Why arguments cannot start a Task, in AWS's words."""
    return f"The value of the field '{field}' has an invalid format"


def pairs(given: Json, field: str) -> list[tuple[str, str]]:
    """Headers or parameters, those with several values once for each; raises Malformed."""
    if not isinstance(given or {}, dict):
        raise Malformed(field)
    return [
        (name, one if isinstance(one, str) else written(one))
        for name, value in (given or {}).items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


@contextmanager
def told_of(silence: str, secrets: Sequence[str]) -> Iterator[None]:
    """A request that comes to no answer fails its Task: by the name `silence` where the host said nothing."""
    try:
        yield
    except (NotAllowed, NoConnection, NotSigned) as refused:
        raise TaskError(PERMISSIONS, struck(str(refused), secrets)) from None
    except NoAnswer as silent:
        raise Unanswered(silence, struck(str(silent), secrets)) from None
    except TooLong as long:
        raise TaskError(DATA_LIMIT_EXCEEDED, str(long)) from None


def parsed(body: str) -> Json:
    """The value of a body that is JSON; any other as it is."""
    try:
        return tree(admit(body))
    except NotAdmitted:
        return body


def struck(text: str, secrets: Sequence[str]) -> str:
    """A text without the secrets."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, STRUCK)
    return text
