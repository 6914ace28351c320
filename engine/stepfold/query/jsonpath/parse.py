"""Reads the text of a JSONPath or of an intrinsic call into plain data.

A recursive descent of our own, because AWS takes texts that no library takes (`$.a.['b c']`, `$.1n`, `$.x:y`),
and because an author wants to be told the place of a mistake. What the data means is said by `select.py` (paths)
and `intrinsics.py` (calls).
"""

from __future__ import annotations

import re
from typing import NoReturn

from stepfold.query.values import Json, Number

from .patterns import Matcher
from .syntax import (
    Argument,
    Call,
    Compare,
    Condition,
    Constant,
    Deep,
    Every,
    Exists,
    Filter,
    Flat,
    Indexes,
    Junction,
    Names,
    Negation,
    Operand,
    Path,
    Pattern,
    Slice,
    Step,
)

MAX_NESTED_CALLS = 10
"""How many intrinsic calls may stand one inside the other (developer guide)."""

MAX_NESTED_CONDITIONS = 50
"""How deep the condition of a filter may nest: no limit of AWS, it keeps the descent off Python's own."""


class PathError(ValueError):
    """A text that is no path and no call: `problem`, and `position`, counted in characters from 0."""

    def __init__(self, problem: str, position: int, source: str) -> None:
        super().__init__(f"{problem} at character {position + 1} of {source[:200]!r}")
        self.problem = problem
        self.position = position


OPERATORS = (
    ("===", "!==", "==", "!=", "=~", "<=", ">=", "<", ">"),
    ("in", "nin", "contains", "size", "empty", "subsetof", "anyof", "noneof"),
)
"""What may stand between two operands: the signs, longest first, and the words."""

_NAME_ENDS = frozenset(".[]()'\"* \t\r\n")
_STOPS = {"whole": _NAME_ENDS, "argument": _NAME_ENDS | {","}, "filter": _NAME_ENDS | frozenset(",<>=!~&|")}
_VARIABLE = re.compile(r"[^\W\d]\w*")
_WORD = re.compile(r"[A-Za-z]+")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CALL = re.compile(r"States\.[A-Za-z0-9]+")
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None}
_BARE = re.compile(r"[^\W\d][\w-]*")
_FROM_END = re.compile(r"\(\s*@\.length\s*-\s*([0-9]{1,18})\s*\)")
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": re.UNICODE, "d": 0, "U": 0}


def parse_path(text: str) -> Path:
    """The whole text as a path; raises PathError."""
    reader = _Reader(text.rstrip(" \t\r\n"))  # a blank at the end stands in AWS's samples
    path = reader.path("whole")
    reader.end()
    return Path(path.root, path.steps, text)


def parse_expression(text: str) -> Path | Call:
    """The whole text as a path or an intrinsic call, as a `.$` field may hold; raises PathError."""
    if not text.startswith("States."):
        return parse_path(text)
    reader = _Reader(text)
    call = reader.call()
    reader.blank()
    reader.end()
    return call


class _Reader:
    """A text and the place in it that is read next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    # The text.

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise PathError(problem, self.at if at is None else at, self.text)

    def end(self) -> None:
        if self.at < len(self.text):
            self.fail("functions are not supported in a path" if self.sees("(") else "this cannot stand here")

    def blank(self) -> None:
        while self.text[self.at : self.at + 1] in {" ", "\t", "\r", "\n"}:
            self.at += 1

    def sees(self, sign: str) -> bool:
        return self.text.startswith(sign, self.at)

    def take(self, sign: str) -> bool:
        if found := self.sees(sign):
            self.at += len(sign)
        return found

    def want(self, sign: str) -> None:
        if not self.take(sign):
            self.fail(f"{sign!r} is expected")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        if found := pattern.match(self.text, self.at):
            self.at = found.end()
            return found.group()
        return None

    # Paths.

    def path(self, place: str) -> Path:
        start = self.at
        root = self.root(place)
        steps: list[Step] = []
        while True:
            if self.take(".."):
                steps.append(Deep(self.step(place)))
            elif self.take("."):
                steps.append(self.step(place))
            elif self.sees("["):
                steps.append(self.bracket())
            else:
                break
        return Path(root, tuple(steps), self.text[start : self.at])

    def root(self, place: str) -> str:
        if place == "filter":
            if not (self.take("@") or self.take("$")):
                self.fail("a path is expected")
            return self.text[self.at - 1]
        self.want("$")
        if self.take("$"):
            return "$$"
        return "$" + (self.match(_VARIABLE) or "")

    def step(self, place: str) -> Flat:
        """What follows a dot: AWS takes a bracket there, too (`$.a.['b c']`)."""
        if self.sees("["):
            return self.bracket()
        if self.take("*"):
            return Every()
        start, stops = self.at, _STOPS[place]
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        if start == self.at:
            self.fail("a name is expected")
        if self.sees("("):
            self.fail("functions are not supported in a path", start)
        return Names((self.text[start : self.at],))

    def bracket(self) -> Flat:
        self.want("[")
        self.blank()
        step: Flat
        if self.sees("'") or self.sees('"'):
            step = Names(tuple(self.names()))
        elif self.take("*"):
            step = Every()
        elif self.take("?"):
            step = self.filter()
        elif found := _FROM_END.match(self.text, self.at):  # the one script that AWS runs
            self.at = found.end()
            step = Indexes((-int(found[1]),))
        else:
            step = self.numbers()
        self.blank()
        self.want("]")
        return step

    def names(self) -> list[str]:
        names = [self.quoted()]
        self.blank()
        while self.take(","):
            self.blank()
            names.append(self.quoted())
            self.blank()
        return names

    def quoted(self) -> str:
        r"""A quoted text. A backslash is itself (recorded: `$['Test\""Name"']`) but before the quote or another."""
        start, quote = self.at, self.text[self.at : self.at + 1]
        if quote not in {"'", '"'}:
            self.fail("a quoted name is expected")
        self.at += 1
        kept: list[str] = []
        while not self.take(quote):
            if self.at >= len(self.text):
                self.fail("the quote is not closed", start)
            if self.sees("\\" + quote) or self.sees("\\\\"):
                self.at += 1
            kept.append(self.text[self.at])
            self.at += 1
        return "".join(kept)

    def numbers(self) -> Indexes | Slice:
        """`0`, `0,1` or `1:2:3` with any of the three left out."""
        parts = [self.integer()]
        sign = ":" if self.sees(":") else ","
        while self.take(sign):
            self.blank()
            parts.append(self.integer())
            self.blank()
        if sign == ":":
            if len(parts) > 3 or parts[2:] == [0]:
                self.fail("a slice is [from:to] or [from:to:step], with a step other than 0")
            return Slice(*parts, *[None] * (3 - len(parts)))
        indexes = [part for part in parts if part is not None]
        if len(indexes) < len(parts):
            self.fail("an index, a slice, a quoted name, * or ?() is expected")
        return Indexes(tuple(indexes))

    def integer(self) -> int | None:
        digits = self.match(_INTEGER)
        self.blank()
        return None if digits is None else int(digits)

    # Filters.

    def filter(self) -> Filter:
        self.blank()
        if not self.sees("("):
            self.fail("'(' is expected")
        return Filter(self.single())

    def junction(self, sign: str = "||") -> Condition:
        read = self.single if sign == "&&" else lambda: self.junction("&&")
        conditions = [read()]
        self.blank()
        while self.take(sign):
            conditions.append(read())
            self.blank()
        return conditions[0] if len(conditions) == 1 else Junction(sign == "&&", tuple(conditions))

    def single(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_NESTED_CONDITIONS:
            self.fail(f"a condition nests deeper than {MAX_NESTED_CONDITIONS} levels")
        self.blank()
        condition: Condition
        if self.take("("):
            condition = self.junction()
            self.blank()
            self.want(")")
        elif self.take("!"):
            condition = Negation(self.single())
        else:
            condition = self.relation()
        self.depth -= 1
        return condition

    def relation(self) -> Condition:
        start = self.at
        left = self.operand()
        self.blank()
        operator = self.operator()
        if operator is None:
            if not isinstance(left, Path):
                self.fail("an operator is expected")
            return Exists(left)
        self.blank()
        right = self.operand()
        if isinstance(left, Pattern) or isinstance(right, Pattern) != (operator == "=~"):
            self.fail("a pattern stands at the right of =~, and only there", start)
        return Compare(left, operator, right)

    def operator(self) -> str | None:
        for sign in OPERATORS[0]:
            if self.take(sign):
                return sign
        start = self.at
        word = self.match(_WORD)
        if word is None:
            return None
        if word.lower() not in OPERATORS[1]:
            self.fail(f"{word!r} is no operator", start)
        return word.lower()

    def operand(self) -> Operand:
        if self.sees("@") or self.sees("$"):
            path = self.path("filter")
            if self.sees("("):
                self.fail("functions are not supported in a path")
            return path
        if self.sees("/"):
            return self.pattern()
        return Constant(self.literal())

    def pattern(self) -> Pattern:
        start = self.at
        self.want("/")
        while self.at < len(self.text) and not self.sees("/"):
            self.at += 2 if self.sees("\\") else 1
        body = self.text[start + 1 : self.at]
        self.want("/")
        flags = 0
        while self.text[self.at : self.at + 1] in _FLAGS:
            flags |= _FLAGS[self.text[self.at]]
            self.at += 1
        try:
            return Pattern(Matcher(body, flags))
        except (re.error, OverflowError, RecursionError) as error:
            self.fail(f"the pattern is not valid: {error}", start)

    # Literals and calls.

    def literal(self) -> Json:
        """A literal of a filter: a list may stand there too, for `in`."""
        if self.sees("'") or self.sees('"'):
            return self.quoted()
        if not self.take("["):
            return self.bare()
        values: list[Json] = []
        self.blank()
        while not self.take("]"):
            if values:
                self.want(",")
                self.blank()
            values.append(self.bare() if not (self.sees("'") or self.sees('"')) else self.quoted())
            self.blank()
        return values

    def bare(self) -> Json:
        """A value without quotes; a word that is none is a text: `[?(@.Type == TOTAL)]` stands in AWS's samples."""
        found = _BARE.match(self.text, self.at)
        if found is None or found.group() in _WORDS:
            return self.word()
        self.at = found.end()
        return found.group()

    def word(self) -> Json:
        start = self.at
        if digits := self.match(_NUMBER):
            try:
                return int(digits) if digits.lstrip("-").isdigit() else Number(digits)
            except ValueError as error:
                self.fail(str(error), start)
        word = self.match(_WORD)
        if word is None or word not in _WORDS:
            self.fail("a value is expected", start)
        return _WORDS[word]

    def call(self) -> Call:
        start = self.at
        if not (name := self.match(_CALL)):
            self.fail("an intrinsic function is expected")
        self.depth += 1
        if self.depth > MAX_NESTED_CALLS:
            self.fail(f"intrinsic functions nest deeper than {MAX_NESTED_CALLS}", start)
        self.want("(")
        self.blank()
        arguments: list[Argument] = []
        while not self.take(")"):
            if arguments:
                self.want(",")
                self.blank()
            arguments.append(self.argument())
            self.blank()
        self.depth -= 1
        return Call(name, tuple(arguments), self.text[start : self.at])

    def argument(self) -> Argument:
        if self.sees("$"):
            return self.path("argument")
        if self.sees("States."):
            return self.call()
        return self.string() if self.sees("'") else Constant(self.word())

    def string(self) -> Constant:
        r"""A string of a call. Its only escapes: `\'`, `\{`, `\}`, `\\`; a lone backslash is refused (recorded)."""
        start, size = self.at, 0
        self.want("'")
        kept: list[str] = []
        holes: list[int] = []
        while not self.take("'"):
            if self.at >= len(self.text):
                self.fail("the string is not closed", start)
            if self.take("\\"):
                if self.text[self.at : self.at + 1] not in {"'", "{", "}", "\\"}:
                    self.fail("only \\', \\{, \\} and \\\\ are escapes", self.at - 1)
            elif self.sees("{}"):
                holes.append(size)
            kept.append(self.text[self.at])
            self.at += 1
            size += 1
        return Constant("".join(kept), tuple(holes))
