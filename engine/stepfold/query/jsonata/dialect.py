"""The JSONata dialect: strings that begin with `{%` and end with `%}`, wherever they stand in a JSON value.

An expression that is nothing but a path through objects (`$states.input.a.b`) is taken from its value's text; any
other is the library's, which is given no more than it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from stepfold.query.template import Moment, QueryError, Scope, SourceError
from stepfold.query.values import Json, NotAdmitted, Value, admit_tree, text, tree

from .direct import STATES, breadth, direct_path, visible
from .library import FUNCTION, UNDEFINED, Failed, Program, SyntaxRefused, bear
from .syntax import Reading, read

FAILURE: Final = "States.QueryEvaluationError"
INVALID: Final = "INVALID_JSONATA_EXPRESSION"
UNSUPPORTED: Final = "UNSUPPORTED_JSONATA_EXPRESSION"

PARSE_FROM: Final = 3
"""From how many expressions on a template builds the tree of its input at once, rather than slice again and again."""

_Place: TypeAlias = tuple[str | int, ...]


class Expression:
    """One expression, ready to be rendered."""

    __slots__ = (
        "_hidden", "_names", "_pairs", "_path", "_program", "ambiguous", "field", "heavy", "newer", "place", "source",
        "states", "variables",
    )  # fmt: skip

    def __init__(self, source: str, field: str = "", place: _Place = ()) -> None:
        """Compile the text between the marks; see `compile_expression`."""
        self.source = source.strip()
        self.field = field
        self.place = place
        reading = read(self.source)
        self._program = _program(self.source, reading, place)
        for refused in _unsupported(reading, place):
            raise refused
        self.heavy = reading.heavy
        self.newer = reading.newer
        self._pairs = reading.pairs
        reads = self._program.reads
        self.variables = frozenset(reads.keys() - {STATES})
        self.ambiguous = frozenset(reading.variables - reads.keys())
        self._names = reading.variables
        self._hidden: dict[frozenset[str], Program] = {}
        of_states = reads.get(STATES, {})
        self.states: frozenset[str] = frozenset({"*"} if of_states is True else of_states)
        self._path = direct_path(reading.path) if reading.path and reading.path[0] in reads else None

    def render(self, scope: Scope, moment: Moment) -> Value:
        """Its value. Raises QueryError, Overrun."""
        if self._path is not None and (found := self._path.take(scope)) is not None:
            return found
        try:
            return admit_tree(self._evaluated(scope, moment))
        except NotAdmitted as error:
            raise self._failure(f"threw an error during evaluation: {error}") from None

    def pick(self, scope: Scope, moment: Moment) -> Json:
        """Its value, as a tree that is never to be changed. Raises QueryError, Overrun."""
        if self._path is not None and (found := self._path.take(scope)) is not None:
            return tree(found)
        return self._evaluated(scope, moment)

    def unexpected(self, wanted: str, value: Json) -> QueryError:
        """What is said where a field takes another type (recorded): array, object, string, number, boolean or null."""
        shown = bytes(text(value)).decode()
        return self._failure(
            f"returned an unexpected result type. Expected '{wanted}', but was '{kind(value)}' for value: {shown}"
        )

    def _evaluated(self, scope: Scope, moment: Moment) -> Json:
        program = self._program
        if not self.ambiguous.isdisjoint(scope.variables.texts):
            program = self._hiding(self.ambiguous.intersection(scope.variables.texts))
        try:
            if self._pairs:
                bear(breadth(program.reads, scope), moment)
            value = program.run(visible(program.reads, scope), moment)
        except Failed as failed:
            said = f": {failed}" if failed.code is None else f". {failed.code}: {failed}"
            raise self._failure(f"threw an error during evaluation{said}") from None
        if value is UNDEFINED:
            raise self._failure("returned nothing (undefined).")
        if value is FUNCTION:
            raise self._failure("returned an unsupported result type.")
        return value

    def _hiding(self, variables: frozenset[str]) -> Program:
        """The expression where these variables exist and hide functions, or names of its own."""
        program = self._hidden.get(variables)
        if program is None:
            program = self._hidden[variables] = Program(self.source, self._names, variables)
        return program

    def _failure(self, tail: str) -> QueryError:
        cause = f"The JSONata expression '{self.source}' specified for the field '{self.field}' {tail}"
        return QueryError(cause, FAILURE, self.field)


class JSONataTemplate:
    """A value with expressions in it: pieces of ready text, and the expressions between them, in order of keys."""

    __slots__ = ("_pieces", "_wide", "constant", "expressions", "heavy", "newer", "states", "variables")

    def __init__(self, pieces: Sequence[bytes | Expression]) -> None:
        self._pieces = pieces
        self.expressions = tuple(piece for piece in pieces if isinstance(piece, Expression))
        self.constant = None if self.expressions else Value(b"".join([p for p in pieces if isinstance(p, bytes)]))
        self.heavy = any(expression.heavy for expression in self.expressions)
        self.variables: frozenset[str] = frozenset().union(*[e.variables for e in self.expressions])
        self.states: frozenset[str] = frozenset().union(*[e.states for e in self.expressions])
        self.newer = tuple(sign for expression in self.expressions for sign in expression.newer)
        self._wide = sum("input" in expression.states for expression in self.expressions) >= PARSE_FROM

    def render(self, scope: Scope, moment: Moment) -> Value:
        """The value with every expression in its place. Raises QueryError, Overrun."""
        if self.constant is not None:
            return self.constant
        if len(self._pieces) == 1:
            return self.expressions[0].render(scope, moment)
        if self._wide:
            _ = scope.plain
        written: list[Any] = [  # bytes, and Raw, which is a buffer, too
            piece if isinstance(piece, bytes) else piece.render(scope, moment) for piece in self._pieces
        ]
        return Value(b"".join(written))


class JSONata:
    """The dialect."""

    name: Final = "JSONata"

    def compile(self, source: Json, field: str = "") -> JSONataTemplate:
        """A template; `field` is what its failures call it (`Output`, `Choices[1]/Condition`).

        Raises SourceError for the first expression that is wrong: its place, and a code of AWS.
        """
        pieces: list[bytes | Expression] = []
        for piece in _pieces(source, field, ()):
            if isinstance(piece, bytes) and pieces and isinstance(before := pieces[-1], bytes):
                pieces[-1] = before + piece
            else:
                pieces.append(piece)
        return JSONataTemplate(pieces)

    def refusals(self, source: Json) -> list[SourceError]:
        """All that is wrong in a template, in the order of its keys; one for each distinct reference, as on AWS."""
        return [refused for place, inner in _expressions(source, ()) for refused in _refusals(inner, place)]


DIALECT: Final = JSONata()


def is_expression(value: Json) -> bool:
    """Whether a JSON value is an expression: a string with the marks at its very ends."""
    return isinstance(value, str) and len(value) >= _SHORTEST and value.startswith("{%") and value.endswith("%}")


def compile_expression(source: str, field: str = "") -> Expression:
    """An expression with its marks, for a field that holds one. Raises SourceError."""
    return Expression(source[2:-2], field)


def kind(value: Json) -> str:
    """The name of a JSON value's type, as AWS has it."""
    if value is None:
        return "null"
    return next(name for types, name in _KINDS if isinstance(value, types))


def _pieces(source: Json, field: str, place: _Place) -> Iterator[bytes | Expression]:
    if isinstance(source, list):
        for index, item in enumerate(source):
            yield b"," if index else b"["
            yield from _pieces(item, f"{field}[{index}]", (*place, index))
        yield b"]" if source else b"[]"
    elif isinstance(source, dict):
        for index, (key, value) in enumerate(source.items()):
            yield (b"," if index else b"{") + bytes(text(key)) + b":"
            yield from _pieces(value, f"{field}/{key}" if field else key, (*place, key))
        yield b"}" if source else b"{}"
    elif is_expression(source):
        yield Expression(source[2:-2], field, place)
    else:
        yield bytes(text(source))


def _expressions(source: Json, place: _Place) -> Iterator[tuple[_Place, str]]:
    if isinstance(source, list | dict):
        for key, value in source.items() if isinstance(source, dict) else enumerate(source):
            yield from _expressions(value, (*place, key))
    elif is_expression(source):
        yield place, source[2:-2].strip()


def _program(source: str, reading: Reading, place: _Place) -> Program:
    try:
        return Program(source, reading.variables)
    except SyntaxRefused as error:
        raise SourceError(str(error), place, INVALID) from None


def _refusals(source: str, place: _Place) -> Iterator[SourceError]:
    reading = read(source)
    try:
        _program(source, reading, place)
    except SourceError as error:
        yield error
    else:
        yield from _unsupported(reading, place)


def _unsupported(reading: Reading, place: _Place) -> Iterator[SourceError]:
    """One for each distinct reference, as AWS counts them."""
    for name in reading.references:
        where = "" if name == "$$" else "at the top level "
        yield SourceError(f"Reference to '{name}' {where}is not supported.", place, UNSUPPORTED)


_SHORTEST: Final = len("{%%}")
_KINDS: Final = ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array"), (dict, "object"))
