"""Where the parts of a definition stand in its source: lines and columns for those who have to mend it.

JSON is read with a reader of its own, which knows where it is and takes `${placeholders}` that stand for a value
without quotes. A text inside a template is a source in a source: its places are those of the template.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import yaml

from .notation import MAX_DEPTH, MAX_NODES, compose

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"\$\{[^{}]*\}|[^\s,:\[\]{}\"]+")
_BLANK = re.compile(r"\s*")
_LAST = re.compile(r"^(.*)(?:/[^/]*|\[\d+\])$", re.DOTALL)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Span(NamedTuple):
    """A piece of a line: `line` and `column` count from 1, `end` is the column behind it."""

    line: int
    column: int
    end: int


class Part(NamedTuple):
    """A part of a definition: where its name stands, if it has one, and where its value does."""

    name: Span | None
    value: Span
    plain: bool
    """Whether the value is a text, a number or a word, rather than an object or a list."""

    @property
    def shown(self) -> Span:
        """What to point at: a plain value itself; else the name of what is large."""
        return self.value if self.plain or self.name is None else self.name


class Places:
    """The parts of a source by their location (`/States/X/Choices[0]/Next`; the whole is ``)."""

    def __init__(self, parts: Mapping[str, Part], twice: list[tuple[str, Span]]) -> None:
        self.parts = parts
        self.twice = twice
        """Fields that their object already had, as (location, place of the later)."""

    def find(self, location: str | None) -> Part | None:
        """The part there, or the nearest around it; None where nothing is known."""
        at = "" if location in (None, "/") else str(location)
        while at not in self.parts:
            above = _LAST.match(at)
            if above is None:
                return None
            at = above[1]
        return self.parts[at]

    def under(self, prefix: str) -> Places:
        """The places of a part, by their location in it."""
        size = len(prefix)
        below = (f"{prefix}/", f"{prefix}[")
        inner = {at[size:]: part for at, part in self.parts.items() if at == prefix or at.startswith(below)}
        return Places(inner, [(at[size:], span) for at, span in self.twice if at.startswith(f"{prefix}/")])


NOWHERE = Places({}, [])


def places(text: str) -> Places:
    """The places of a source in JSON or YAML; what can be told of a broken one."""
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        reader = _Json(text)
        reader.read()
        if reader.whole:
            return Places(reader.parts, reader.twice)
    return _yaml(text)


class _Json:
    """A text of JSON, and how far it was read. It takes any text: what is no JSON ends the reading."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.parts: dict[str, Part] = {}
        self.twice: list[tuple[str, Span]] = []
        self.whole = False
        self.lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def read(self) -> None:
        try:
            self.value("", None, 0)
        except _Broken:
            return
        self.blank()
        self.whole = self.at >= len(self.text)

    def span(self, start: int, end: int) -> Span:
        line = bisect_right(self.lines, start)
        column = start - self.lines[line - 1] + 1
        return Span(line, column, column + max(1, end - start))

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.at)
        if found:
            self.at = found.end()
        if self.at == 0 and self.text.startswith("\ufeff"):
            self.at = 1
            self.blank()

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if not found:
            raise _Broken
        self.at = found.end()
        return found.group()

    def sign(self, signs: str) -> str:
        self.blank()
        found = self.text[self.at : self.at + 1]
        if not found or found not in signs:
            raise _Broken
        self.at += 1
        return found

    def value(self, location: str, name: Span | None, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _Broken
        self.blank()
        start = self.at
        match self.text[start : start + 1]:
            case "{":
                self.parts[location] = Part(name, self.span(start, start + 1), plain=False)
                self.members(location, depth)
            case "[":
                self.parts[location] = Part(name, self.span(start, start + 1), plain=False)
                self.items(location, depth)
            case '"':
                self.take(_STRING)
                self.parts[location] = Part(name, self.span(start, self.at), plain=True)
            case _:
                self.take(_SCALAR)
                self.parts[location] = Part(name, self.span(start, self.at), plain=True)

    def members(self, location: str, depth: int) -> None:
        self.at += 1
        self.blank()
        if self.text.startswith("}", self.at):
            self.at += 1
            return
        while True:
            self.blank()
            start = self.at
            written = self.take(_STRING)
            name = self.span(start, self.at)
            inner = f"{location}/{_unescaped(written[1:-1])}"
            if inner in self.parts:
                self.twice.append((inner, name))
            self.sign(":")
            self.value(inner, name, depth + 1)
            if self.sign(",}") == "}":
                return

    def items(self, location: str, depth: int) -> None:
        self.at += 1
        self.blank()
        if self.text.startswith("]", self.at):
            self.at += 1
            return
        index = 0
        while True:
            self.value(f"{location}[{index}]", None, depth + 1)
            index += 1
            if self.sign(",]") == "]":
                return


class _Broken(Exception):
    """Not JSON from here on."""


def _unescaped(written: str) -> str:
    if "\\" not in written:
        return written
    return re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", lambda found: _unescape(found[1], found[2]), written, flags=re.DOTALL)


def _unescape(code: str | None, letter: str | None) -> str:
    return chr(int(code, 16)) if code else _ESCAPES.get(letter or "", letter or "")


# -- YAML


def _yaml(text: str) -> Places:
    root = compose(text)
    parts: dict[str, Part] = {}
    twice: list[tuple[str, Span]] = []
    if root is not None:
        lines = text.splitlines()
        for location, name, node, again in islice(_nodes(root, "", None, 0), MAX_NODES):
            span = None if name is None else _span(name, lines)
            if again and span is not None:
                twice.append((location, span))
            parts[location] = Part(span, _span(node, lines), plain=isinstance(node, yaml.ScalarNode))
            if isinstance(node, yaml.ScalarNode) and node.value.lstrip().startswith("{") and "\n" in node.value:
                for inner, part in _inside(node, lines):
                    parts.setdefault(f"{location}{inner}", part)
    return Places(parts, twice)


def _nodes(
    node: yaml.Node, location: str, name: yaml.Node | None, depth: int
) -> Iterator[tuple[str, yaml.Node | None, yaml.Node, bool]]:
    """Every node with its location and the node of its name, and whether its object had that name before."""
    if depth > MAX_DEPTH:
        return
    yield location, name, node, False
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                inner = f"{location}/{key.value}"
                if key.value in seen:
                    yield inner, key, value, True
                seen.add(key.value)
                yield from _nodes(value, inner, key, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _nodes(value, f"{location}[{index}]", None, depth + 1)


def _span(node: yaml.Node, lines: list[str]) -> Span:
    """What of a node stands on its first line."""
    start, end = node.start_mark, node.end_mark
    if end.line == start.line:
        return Span(start.line + 1, start.column + 1, max(end.column, start.column + 1) + 1)
    written = lines[start.line] if start.line < len(lines) else ""
    return Span(start.line + 1, start.column + 1, max(len(written.rstrip()), start.column + 1) + 1)


def _inside(node: yaml.ScalarNode, lines: list[str]) -> Iterator[tuple[str, Part]]:
    """The parts of a definition that is written as JSON in a block of text (`DefinitionString: |`)."""
    if node.style != "|":
        return
    first = node.start_mark.line + 1  # the text begins below the bar
    for location, part in places(node.value).parts.items():
        if part.value.line > len(lines) - first:
            return
        name = None if part.name is None else _moved(part.name, node.value, first, lines)
        yield location, Part(name, _moved(part.value, node.value, first, lines), part.plain)


def _moved(span: Span, text: str, first: int, lines: list[str]) -> Span:
    """The span in the file, where the text is indented."""
    inner, outer = text.split("\n")[span.line - 1], lines[first + span.line - 1]
    indent = len(outer) - len(outer.lstrip()) - (len(inner) - len(inner.lstrip()))
    return Span(first + span.line, span.column + indent, span.end + indent)
