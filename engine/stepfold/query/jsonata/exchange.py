"""An evaluation in words that another process can answer, and what it answers: both are JSON.

What may take much memory is not evaluated where the engine lives. Who carries the words, the moment tells (`apart`).
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """An evaluation: the program by its source and names, its variables' JSON, and the moment it is to see."""

    source: str
    names: frozenset[str]
    variables: frozenset[str]
    data: msgspec.Raw
    now: int
    seed: int


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of it: a value as JSON, or nothing of the kind; `memory` and `time` say which limit ended it."""

    kind: Literal["value", "undefined", "function", "failed", "memory", "time"]
    value: msgspec.Raw = msgspec.Raw(b"null")
    message: str = ""
    code: str | None = None


def written(one: Wanted | Answer) -> bytes:
    """A request or an answer as bytes."""
    return msgspec.json.encode(one)


def wanted(request: bytes) -> Wanted:
    """The request that the bytes are."""
    return msgspec.json.decode(request, type=Wanted)


def answer(given: bytes) -> Answer:
    """The answer that the bytes are."""
    return msgspec.json.decode(given, type=Answer)
