"""Why a text is no JSON, in the words of Jackson, the parser that AWS reads it with.

Two of its sentences were recorded (a bare word, a quote of the wrong kind); the others are Jackson's own for what this
walk can meet. Nothing is built here, and whoever asks knows already that the text is bad.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_WORD: Final = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_END: Final = "Unexpected end-of-input"

EMPTY: Final = "Invalid execution input."
"""What AWS says where there is nothing at all (recorded)."""


class _Bad(Exception):
    """The first thing that is wrong."""


class Fault(NamedTuple):
    """The first thing that is wrong: the sentence, and how far the parser had come, counted from 1."""

    words: str
    line: int
    column: int


def complaint(text: str) -> str | None:
    """The sentence about the first thing that is wrong with a text; None where it is JSON."""
    found = fault(text)
    return None if found is None else found.words


def fault(text: str) -> Fault | None:
    """The first thing that is wrong with a text, and where; None where it is JSON."""
    if not text.strip(" \t\r\n"):
        return Fault(EMPTY, 1, 1)
    walk = _Walk(text)
    try:
        walk.all()
    except _Bad as bad:
        line = text.count("\n", 0, walk.at)
        return Fault(str(bad), line + 1, walk.at - text.rfind("\n", 0, walk.at))
    return None


class _Walk:
    """A walk through a text; `open` holds the containers around the place, the innermost `fresh` or not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open: list[str] = []
        self.fresh = False

    def all(self) -> None:
        """Walk to the end, or to the first thing that is wrong."""
        self.value()
        while self.open:
            if self.fresh:
                self.fresh = False
                self.member()
            else:
                self.next_member()
        if found := self.look():
            raise self.unexpected(found, "expected the end after the value")

    def look(self) -> str:
        """The next character that is no space; empty at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def next_member(self) -> None:
        """A comma and what follows it, or the end of the innermost container."""
        kind = self.open[-1]
        name, closing = ("Object", "}") if kind == "{" else ("Array", "]")
        found = self.look()
        if found == closing:
            self.at += 1
            self.open.pop()
        elif found == ",":
            self.at += 1
            self.member()
        elif not found:
            raise _Bad(f"{_END}: expected close marker for {name}")
        else:
            raise self.unexpected(found, f"was expecting comma to separate {name} entries")

    def member(self) -> None:
        """An element, or a field with its value."""
        if self.open[-1] == "{":
            found = self.look()
            if not found:
                raise _Bad(f"{_END}: expected close marker for Object")
            if found != '"':
                raise self.unexpected(found, "was expecting double-quote to start field name")
            self.string()
            colon = self.look()
            if colon != ":":
                raise self.unexpected(colon, "was expecting a colon to separate field name and value")
            self.at += 1
        self.value()

    def value(self) -> None:
        """A value up to its end, or a container up to its first member."""
        found = self.look()
        if not found:
            raise _Bad(f"{_END}: expected close marker for {'Object' if self.open[-1:] == ['{'] else 'Array'}")
        if found in "{[":
            self.at += 1
            if self.look() == ("}" if found == "{" else "]"):
                self.at += 1
                return
            self.open.append(found)
            self.fresh = True
        elif found == '"':
            self.string()
        elif found == "-" or found.isdigit():
            self.number()
        else:
            self.word(found)

    def word(self, found: str) -> None:
        """`true`, `false`, `null`, or what takes their place."""
        match = _WORD.match(self.text, self.at)
        if match is None:
            raise self.unexpected(found, f"expected a valid value {_VALUES}")
        self.at = match.end()  # a word that is none is told by its end (recorded)
        if match.group() not in {"true", "false", "null"}:
            raise _Bad(f"Unrecognized token '{match.group()}': was expecting {_VALUES}")

    def number(self) -> None:
        """A number."""
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            raise self.unexpected(self.text[self.at + 1 : self.at + 2], "expected digit (0-9) to follow minus sign")
        self.at = match.end()
        after = self.text[self.at : self.at + 1]
        if match.group().lstrip("-") == "0" and after.isdigit():
            raise _Bad("Invalid numeric value: Leading zeroes not allowed")
        if after == ".":
            raise self.unexpected(self.text[self.at + 1 : self.at + 2], "Decimal point not followed by a digit")
        if after and after not in " \t\r\n,]}":
            raise self.unexpected(after, "Expected space separating root-level values")

    def string(self) -> None:
        """A text between its quotes."""
        self.at += 1
        while True:
            plain = _PLAIN.match(self.text, self.at)
            self.at = plain.end() if plain else self.at
            found = self.text[self.at : self.at + 1]
            self.at += 1
            if found == '"':
                return
            if not found:
                raise _Bad(f"{_END}: was expecting closing quote for a string value")
            if found != "\\":
                raise _Bad(
                    f"Illegal unquoted character ((CTRL-CHAR, code {ord(found)})): "
                    "has to be escaped using backslash to be included in string value"
                )
            self.escape()

    def escape(self) -> None:
        """What follows a backslash."""
        found = self.text[self.at : self.at + 1]
        if not found:
            raise _Bad(f"{_END} in character escape sequence")
        self.at += 1
        if found == "u":
            if not _HEX.match(self.text, self.at):
                found = self.text[self.at : self.at + 1]
                raise self.unexpected(found, "expected a hex-digit for character escape sequence")
            self.at += 4
        elif found not in '"\\/bfnrt':
            raise _Bad(f"Unrecognized character escape {_named(found)}")

    @staticmethod
    def unexpected(found: str, what: str) -> _Bad:
        """The sentence about a character that cannot be there."""
        return _Bad(f"Unexpected character ({_named(found)}): {what}" if found else f"{_END}: {what}")


def _named(character: str) -> str:
    if ord(character) < 32:
        return f"(CTRL-CHAR, code {ord(character)})"
    return f"'{character}' (code {ord(character)})"
