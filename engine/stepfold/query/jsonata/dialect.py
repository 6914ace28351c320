"""The JSONata dialect: strings that begin with `{%` and end with `%}`, wherever they stand in a JSON value.

An expression that is nothing but a path through objects (`$states.input.a.b`) is sliced from its value's text, so
that what is passed on untouched keeps its bytes. Any other is the library's, which is given no more than is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from stepfold.query.template import Moment, QueryError, Scope, SourceError
from stepfold.query.values import Json, NotAdmitted, Value, admit_tree, fields, text, tree

from .library import FUNCTION, UNDEFINED, Failed, Program, SyntaxRefused
from .syntax import read

FAILURE: Final = "States.QueryEvaluationError"
INVALID: Final = "INVALID_JSONATA_EXPRESSION"
UNSUPPORTED: Final = "UNSUPPORTED_JSONATA_EXPRESSION"

STATES: Final = "states"
"""The variable that AWS gives to every expression."""

_Place: TypeAlias = tuple[str | int, ...]


class Expression:
    """One expression, ready to be rendered."""

    __slots__ = ("_path", "_program", "field", "heavy", "newer", "place", "source", "states", "variables")

    def __init__(self, source: str, field: str = "", place: _Place = ()) -> None:
        """Compile the text between the marks; see `compile_expression`."""
        self.source = source.strip()
        self.field = field
        self.place = place
        reading = read(self.source)
        self._program = _compiled(self.source, reading.variables, place)
        if reading.references:
            reason = f"Reference to '{reading.references[0]}' at the top level is not supported."
            raise SourceError(reason, place, UNSUPPORTED)
        self.heavy = reading.regex or reading.named_function
        self.newer = reading.newer
        reads = self._program.reads
        self.variables = frozenset(reads.keys() - {STATES})
        of_states = reads.get(STATES, {})
        self.states: frozenset[str] = frozenset({"*"} if of_states is True else of_states)
        self._path = reading.path if reading.path and reading.path[0] in reads else None

    def render(self, scope: Scope, moment: Moment) -> Value:
        """Its value. Raises QueryError, Overrun."""
        if self._path is not None and (found := _sliced(self._path, scope)) is not None:
            return found
        try:
            return admit_tree(self._evaluated(scope, moment))
        except NotAdmitted as error:
            raise self._threw(str(error)) from None

    def pick(self, scope: Scope, moment: Moment) -> Json:
        """Its value, as a tree that is never to be changed. Raises QueryError, Overrun."""
        return self._evaluated(scope, moment)

    def unexpected(self, wanted: str, value: Json) -> QueryError:
        """What is said where a field takes another type (recorded): array, object, string, number, boolean or null."""
        shown = bytes(text(value)).decode()
        return self._failure(
            f"returned an unexpected result type. Expected '{wanted}', but was '{kind(value)}' for value: {shown}"
        )

    def _evaluated(self, scope: Scope, moment: Moment) -> Json:
        try:
            value = self._program.run(_visible(self._program.reads, scope), moment)
        except Failed as failed:
            raise self._threw(str(failed)) from None
        if value is UNDEFINED:
            raise self._failure("returned nothing (undefined).")
        if value is FUNCTION:
            raise self._failure("returned an unsupported result type.")
        return value

    def _threw(self, what: str) -> QueryError:
        return self._failure(f"threw an error during evaluation. {what}")

    def _failure(self, tail: str) -> QueryError:
        cause = f"The JSONata expression '{self.source}' specified for the field '{self.field}' {tail}"
        return QueryError(cause, FAILURE, self.field)


class JSONataTemplate:
    """A value with expressions in it: pieces of ready text, and the expressions between them, in order of keys."""

    __slots__ = ("_pieces", "constant", "expressions", "heavy", "newer", "states", "variables")

    def __init__(self, pieces: Sequence[bytes | Expression]) -> None:
        self._pieces = pieces
        self.expressions = tuple(piece for piece in pieces if isinstance(piece, Expression))
        self.constant = None if self.expressions else Value(b"".join([p for p in pieces if isinstance(p, bytes)]))
        self.heavy = any(expression.heavy for expression in self.expressions)
        self.variables: frozenset[str] = frozenset().union(*[e.variables for e in self.expressions])
        self.states: frozenset[str] = frozenset().union(*[e.states for e in self.expressions])
        self.newer = tuple(sign for expression in self.expressions for sign in expression.newer)

    def render(self, scope: Scope, moment: Moment) -> Value:
        """The value with every expression in its place. Raises QueryError, Overrun."""
        if self.constant is not None:
            return self.constant
        if len(self._pieces) == 1:
            return self.expressions[0].render(scope, moment)
        written: list[Any] = [
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
            if isinstance(piece, SourceError):
                raise piece
            if isinstance(piece, bytes) and pieces and isinstance(before := pieces[-1], bytes):
                pieces[-1] = before + piece
            else:
                pieces.append(piece)
        return JSONataTemplate(pieces)

    def refusals(self, source: Json) -> list[SourceError]:
        """All that is wrong in a template, in the order of its keys."""
        return [piece for piece in _pieces(source, "", ()) if isinstance(piece, SourceError)]


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


def _pieces(source: Json, field: str, place: _Place) -> Iterator[bytes | Expression | SourceError]:
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
        try:
            yield Expression(source[2:-2], field, place)
        except SourceError as error:
            yield error
    else:
        yield bytes(text(source))


def _compiled(source: str, names: frozenset[str], place: _Place) -> Program:
    try:
        return Program(source, names)
    except SyntaxRefused as error:
        raise SourceError(str(error), place, INVALID) from None





def _visible(reads: Mapping[str, Any], scope: Scope) -> dict[str, Json]:
    """The variables that are read, `$states` among them, no more of each than is needed."""
    visible: dict[str, Json] = {}
    for name, wanted in reads.items():
        if name == STATES:
            visible[name] = _states(wanted, scope)
        elif name in scope.variables:
            visible[name] = scope.variables[name]
    return visible


def _states(wanted: Any, scope: Scope) -> dict[str, Json]:
    whole = wanted is True
    states: dict[str, Json] = {}
    if whole or "input" in wanted:
        states["input"] = scope.plain
    if whole or "context" in wanted:
        states["context"] = scope.context
    if scope.result is not None and (whole or "result" in wanted):
        states["result"] = tree(scope.result)
    if scope.error_output is not None and (whole or "errorOutput" in wanted):
        states["errorOutput"] = tree(scope.error_output)
    return states


def _sliced(path: tuple[str, ...], scope: Scope) -> Value | None:
    """The text at the end of a path, if there are only objects on the way: arrays are mapped over, by the library."""
    if path[0] != STATES or len(path) == 1:
        return None
    root = {"input": scope.value, "result": scope.result, "errorOutput": scope.error_output}.get(path[1])
    if root is None:
        return None
    if len(path) == 2:
        return root
    try:
        for name in path[2:]:
            root = fields(root)[name]
    except (KeyError, msgspec.ValidationError):
        return None
    return root.copy()


_SHORTEST: Final = len("{%%}")
_KINDS: Final = ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array"), (dict, "object"))
