"""What can be told of a JSONata expression from its tokens: what it refers to at its top level, what makes it heavy.

The library parses; this reads tokens of a text that it has accepted. A pass over the brackets is enough to know
where `$` and a bare name stand for the document, which no expression of a state machine has, and where they stand
for an item that is being picked from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: `kind` is name, variable, string, number, regex or sign."""

    kind: str
    text: str
    """A name without its backquotes, a variable without its `$`, anything else as it is written."""
    place: int
    """Where it begins in the text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tokens of an expression tell."""

    references: tuple[str, ...]
    """What is referred to at the top level: bare names, `$`, and `$$` wherever it stands; in the order of the text."""
    variables: frozenset[str]
    """Every `$name` that occurs, functions and parameters too, without the `$`."""
    heavy: bool
    """Whether it matches a regular expression, has a range with an end that is not written there as a small number, or
    gives a function of its own a name, and so may call it from within itself."""
    pairs: bool
    """Whether it may compare everything with everything, in a single step of the library: `$distinct`, `in`."""
    newer: tuple[str, ...]
    """Operators that JSONata has only since 2.1, and AWS not at all."""
    path: tuple[str, ...] | None
    """The variable and the names after it, where it is nothing but `$variable.name.name`."""


def read(source: str) -> Reading:
    """Read an expression that has been parsed by the library."""
    tokens = list(tokens_of(source))
    return Reading(
        references=tuple(dict.fromkeys(_references(tokens))),
        variables=frozenset(token.text for token in tokens if token.kind == "variable" and token.text not in _DOCUMENT),
        heavy=any(_weighs(tokens, place) for place in range(len(tokens))),
        pairs=any((token.kind, token.text) in _PAIRING for token in tokens),
        newer=tuple(token.text for token in tokens if token.kind == "sign" and token.text in _NEWER),
        path=_path(tokens),
    )


def tokens_of(source: str) -> Iterator[Token]:
    """The tokens of a valid expression, without comments; a `/` is a division only after an operand."""
    place, operand = 0, False
    while found := _TOKEN.match(source, place):
        place = found.end()
        kind, written = found.lastgroup, found.group()
        if kind == "blank":
            continue
        start = found.start()
        if written == "/" and not operand:
            place = _end_of_regex(source, start)
            yield Token("regex", source[start:place], start)
            operand = True
            continue
        if kind == "name" and operand and written in _WORDS:
            kind = "sign"
        yield Token(kind or "", _bare(kind or "", written), start)
        operand = kind != "sign" or written in _CLOSING or (not operand and written in _OPERANDS)


def last_operation(source: str) -> tuple[str, str, str] | None:
    """The two sides of the sum or product that an expression comes to, and the sign between them; else None."""
    depth, operand = 0, False
    last: Token | None = None
    for token in tokens_of(source):
        sign = token.text if token.kind == "sign" else ""
        if sign in _OPENING:
            depth += 1
        elif sign in _CLOSING:
            depth -= 1
        elif sign and depth == 0 and operand:
            if sign in _LOOSE:
                return None
            if sign in _ADDING or (sign in _MULTIPLYING and (last is None or last.text not in _ADDING)):
                last = token
        operand = not sign or sign in _CLOSING or (not operand and sign in _OPERANDS)
    if last is None:
        return None
    return source[: last.place], last.text, source[last.place + 1 :]


def _references(tokens: list[Token]) -> Iterator[str]:
    """Names in the order of the text, as often as they occur."""
    brackets = _Brackets()
    before = _START
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.kind == "variable" and token.text == "$":
            yield "$$"
        elif not (brackets.nested or brackets.operand or before.text == ".") and _refers(token, after):
            yield "$" if token.kind == "variable" else token.text[1:-1] if token.kind == "string" else token.text
        brackets.pass_over(token, before)
        before = token


class _Brackets:
    """Where a pass over the tokens has come to: what is open, and what `$` and a name stand for there."""

    def __init__(self) -> None:
        self.operand = False
        """Whether an operand has just ended."""
        self._open: list[_Bracket] = []
        self._function: _Bracket | None = None  # whose parameters, then whose body, is to come
        self._stepped = False  # whether the last operand is a step of a path: its arguments are about an item

    @property
    def nested(self) -> bool:
        """Whether `$` and names stand for an item, not for the document; so do the letters of a signature for types."""
        return bool(self._open) and self._open[-1].nested

    def pass_over(self, token: Token, before: Token) -> None:
        sign = token.text if token.kind == "sign" else None
        step = before.kind == "sign" and before.text == "."
        if self._open and self._open[-1].closer == "{" and sign != "{":
            return  # a signature goes on until the body begins
        if token.kind == "name" and token.text in _FUNCTION and not self.operand:
            self._function = _Bracket("", nested=self.nested or step)
            self.operand = False
            return
        if sign in _OPENING:
            self._opened(sign, step=step, sorting=before.kind == "sign" and before.text == "^")
        elif sign == "<" and self._function is not None:
            self._open.append(_Bracket("{", nested=True))
        elif sign == "|" and not (self._open and self._open[-1].closer == "|") and not self.operand:
            self._open.append(_Bracket("|", nested=True, bars=2))
        elif sign is not None and self._open and sign in self._open[-1].closer:
            self._open[-1].bars -= 1
            if self._open[-1].bars < 1:
                self._open.pop()
        if sign is None:
            self._stepped = step
        self.operand = sign is None or sign in _CLOSING or (not self.operand and sign in _OPERANDS)

    def _opened(self, sign: str | None, *, step: bool, sorting: bool) -> None:
        if sign == "{" and self._function is not None:
            if self._open and self._open[-1].closer == "{":
                self._open.pop()
            nested, self._function = self._function.nested, None
        elif self.operand:  # arguments, or what is picked from the operand
            nested = self.nested or sign != "(" or self._stepped
        else:
            nested = self.nested or step or sorting
        self._open.append(_Bracket(_CLOSES[sign or ""], nested=nested))


@dataclass(slots=True)
class _Bracket:
    closer: str
    """What ends it; `{` ends a signature."""
    nested: bool
    bars: int = 1
    """How many of what ends it are to come."""


def _refers(token: Token, after: Token | None) -> bool:
    """A string is a name where a path begins with it."""
    if token.kind == "string":
        return after is not None and after.kind == "sign" and after.text == "."
    if token.kind == "name":
        return token.text not in _CONSTANTS
    return token.kind == "variable" and not token.text


def _weighs(tokens: list[Token], place: int) -> bool:
    token = tokens[place]
    if token.kind == "sign" and token.text == "..":
        around = [*tokens[max(0, place - 2) : place], *tokens[place + 1 : place + 3]]
        return not (
            [beside.kind for beside in around] == ["sign", "number", "number", "sign"]
            and around[0].text in _BOUNDS
            and around[3].text in _BOUNDS
            and all(float(number.text) <= SMALL for number in around[1:3])
        )
    named = token.kind == "name" and token.text in _FUNCTION and place > 0 and tokens[place - 1].text == ":="
    return named or token.kind == "regex"


def _path(tokens: list[Token]) -> tuple[str, ...] | None:
    if not tokens or len(tokens) % 2 == 0 or tokens[0].kind != "variable" or tokens[0].text in _DOCUMENT:
        return None
    for dot, name in zip(tokens[1::2], tokens[2::2], strict=True):
        if dot.kind != "sign" or dot.text != "." or name.kind != "name":
            return None
    return tuple(token.text for token in tokens[::2])


def _end_of_regex(source: str, start: int) -> int:
    depth, place = 0, start + 1
    while place < len(source):
        letter = source[place]
        if letter == "\\":
            place += 1
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "/" and depth == 0:
            place += 1
            while source[place : place + 1] in ("i", "m"):
                place += 1
            return place
        place += 1
    return len(source)


def _bare(kind: str, written: str) -> str:
    if kind == "variable":
        return written[1:]
    return written.strip("`") if kind == "name" else written


_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+|/\*.*?\*/)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    |(?P<sign>\*\*|\.\.|:=|!=|<=|>=|~>|\?:|\?\?|[.\[\]{}(),@#;:?+\-*/%|=<>^&!~])
    |(?P<variable>\$\$|\$[^\s.\[\]{}(),@#;:?+\-*/%|=<>^&!~"'`$]*)
    |(?P<name>`[^`]*`|[^\s.\[\]{}(),@#;:?+\-*/%|=<>^&!~"'`$][^\s.\[\]{}(),@#;:?+\-*/%|=<>^&!~"'`]*)
    """,
    re.VERBOSE | re.DOTALL,
)

SMALL: Final = 1_000
"""The greatest end of a range that weighs nothing."""

_BOUNDS: Final = ("[", ",", "]")
_DOCUMENT: Final = ("", "$")
_FUNCTION: Final = ("function", "λ")
_CONSTANTS: Final = ("true", "false", "null", *_FUNCTION)
_WORDS: Final = ("and", "or", "in")
_OPERANDS: Final = ("*", "**", "%", "?")
_CLOSES: Final = {"(": ")", "[": "]", "{": "}"}
_OPENING: Final = tuple(_CLOSES)
_CLOSING: Final = tuple(_CLOSES.values())
_START: Final = Token("sign", "", 0)
_ADDING: Final = ("+", "-")
_MULTIPLYING: Final = ("*", "/", "%")
_LOOSE: Final = (":=", "?", "?:", "??", "~>", "or", "and", "in", "=", "!=", "<", "<=", ">", ">=", "&", ":", "|", "^")
_PAIRING: Final = (("variable", "distinct"), ("sign", "in"))
_NEWER: Final = ("?:", "??")
