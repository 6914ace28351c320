"""Regular expressions of filters, none of which runs for long.

Python's own cannot be interrupted, and while one runs nothing else does. So it is used only where the pattern and the
length of the text bound what it may cost; all else is matched by JSONata's library, whose limits of time hold.
"""

from __future__ import annotations

import re
from typing import Final

from stepfold.query.jsonata import library
from stepfold.query.template import Overrun

COST: Final = 1_000_000
"""Steps that a match by Python may take at the most: some hundredths of a second."""

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?|[*+?{]|.", re.DOTALL)
_REPEATS = {"*", "+", "{"}


class Matcher:
    """A compiled pattern that the whole of a text must match, as Java's `matches` has it."""

    __slots__ = ("_body", "_choices", "_flags", "_nested", "_python", "_repeats")

    def __init__(self, body: str, flags: int) -> None:
        """Raises what `re.compile` raises. `body` has its slashes escaped."""
        self._python = re.compile(body.replace("\\/", "/"), flags)
        self._body, self._flags = body, flags
        self._repeats = self._choices = 0
        self._nested = False
        before = ""
        for found in _TOKEN.finditer(body):
            token = found[0]
            if token in _REPEATS:
                self._repeats += 1
                self._nested = self._nested or before == ")"
            elif token in {"?", "|"} or (token[0] == "\\" and token[1:].isdigit()):
                self._choices += 1
            before = token

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches. Raises Overrun where that cannot be told in time."""
        if self._cost(len(text)) <= COST:
            return self._python.fullmatch(text) is not None
        if self._flags & ~re.IGNORECASE:  # the library knows no others of Java's flags
            raise Overrun
        return library.matches(self._body, text, ignore_case=bool(self._flags))

    def _cost(self, length: int) -> int:
        """The steps that it may take at the most, as a power of the length, or of two where repeats are nested."""
        most = length + 1
        tries = 1 << min(most, 40) if self._nested else most ** min(max(self._repeats, 1), 8)
        return tries << min(self._choices, 40)
