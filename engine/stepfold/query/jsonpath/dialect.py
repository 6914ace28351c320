"""The JSONPath dialect: payload templates with `.$` keys, the path fields, and ResultPath.

Whatever can be taken from a value's text without building a tree is sliced from the text: a plain reference path
into a value that nobody has parsed yet, and each level of what a result is put into. So untouched data keeps its
key order and number literals, and a large input is not built up for the sake of one field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Final, NoReturn, TypeAlias

import msgspec

from stepfold.query.template import Moment, QueryError, Scope, SourceError, Template
from stepfold.query.values import NULL, Json, Value, fields, items, text

from .compare import MISSING, Meter
from .intrinsics import FAILURE, Evaluate, FunctionFailed, compile_call
from .parse import PathError, parse_expression, parse_path
from .select import PAST_THE_END, Find, compile_selection, first_missing, single_key
from .syntax import Call, Path, Step

_Key: TypeAlias = str | int

PARSE_FROM = 3
"""From how many expressions on a template builds the tree of its input at once, rather than slice again and again."""


class PathTemplate:
    """A path ready to be rendered: InputPath, OutputPath, ItemsPath, Variable, SecondsPath, a `.$` field ..."""

    __slots__ = ("_base", "_definite", "_find", "_keys", "_sliceable", "field", "heavy", "source")

    def __init__(self, path: Path, field: str) -> None:
        selection = compile_selection(path)
        self.source = path.source
        self.field = field
        self.heavy = selection.heavy
        self._base = _base(path)
        self._find: Find = selection.find
        self._definite = selection.definite
        self._keys = _reference_keys(path.steps)
        self._sliceable = path.root == "$" and selection.keys is not None

    def render(self, scope: Scope, moment: Moment) -> Value:  # noqa: ARG002  (no path looks at the clock)
        """The value found; for `$`, the very object of the scope. Raises QueryError, Overrun."""
        return self.write(scope, Meter(), own=True)

    def pick(self, scope: Scope, moment: Moment | None = None) -> Json:  # noqa: ARG002
        """The value found, as a tree that is never to be changed. Raises QueryError, Overrun."""
        return self.evaluate(scope, Meter())

    def present(self, scope: Scope) -> bool:
        """Whether there is such a value (IsPresent); an indefinite path has one if it finds any."""
        found = self._found(scope, Meter())
        if found is MISSING or found is PAST_THE_END:
            return False
        return self._definite or bool(found)

    def write(self, scope: Scope, meter: Meter, *, own: bool) -> Value:
        """The text of the value found, copied off the scope's buffer if it is to be owned."""
        if self._sliceable and not (scope.parsed and self._keys):
            if not self._keys:
                return scope.value
            found = _sliced(scope.value, self._keys)
            if found is None:
                raise QueryError(self.cause(scope))
            return found.copy() if own else found
        return text(self.evaluate(scope, meter))

    def evaluate(self, scope: Scope, meter: Meter) -> Json:
        """The value found, paid for from the meter of the whole rendering."""
        found = self._found(scope, meter)
        if found is PAST_THE_END:
            return None
        if found is MISSING:
            raise QueryError(self.cause(scope))
        return found

    def cause(self, scope: Scope) -> str:
        """What AWS writes where nothing is found: the fields differ in style."""
        style = _CAUSES.get(".$" if self.field.endswith(".$") else self.field, _invalid_path)
        return style(self, scope)

    def missing(self, scope: Scope) -> str:
        """What Jayway says: no results for the whole path, or which property on the way to its end is missing."""
        base = self._base(scope)
        keys = self._keys
        reached = len(keys) if base is MISSING else first_missing(keys, base) + 1
        trail = _trail(keys[:reached])
        return f"Missing property in path {trail}" if reached < len(keys) else f"No results for path: {trail}"

    def _found(self, scope: Scope, meter: Meter) -> Json:
        base = self._base(scope)
        return base if base is MISSING else self._find(base, base, meter)


class CallTemplate:
    """An intrinsic call, ready to be rendered."""

    __slots__ = ("_evaluate", "field", "heavy", "source")

    def __init__(self, call: Call, field: str) -> None:
        self.source = call.source
        self.field = field
        self.heavy = False
        self._evaluate: Evaluate = compile_call(call, self._argument)

    def render(self, scope: Scope, moment: Moment) -> Value:
        """What the function gives. Raises QueryError, Overrun."""
        return text(self.evaluate(scope, moment, Meter()))

    def pick(self, scope: Scope, moment: Moment | None = None) -> Json:
        """What the function gives, as a tree; States.UUID and States.MathRandom need the moment."""
        return self.evaluate(scope, moment or _NO_CHANCE, Meter())

    def present(self, scope: Scope) -> bool:  # noqa: ARG002
        """A call always has a value, if it does not fail."""
        return True

    def evaluate(self, scope: Scope, moment: Moment, meter: Meter) -> Json:
        """What the function gives, paid for from the meter of the whole rendering."""
        try:
            return self._evaluate(scope, moment, meter)
        except FunctionFailed as failed:
            raise QueryError(self._cause(str(failed)), FAILURE) from None

    def _cause(self, detail: str) -> str:
        return f"The function '{self.source}' had the following error: {detail}"

    def _argument(self, path: Path) -> Evaluate:
        template = PathTemplate(path, "")
        self.heavy = self.heavy or template.heavy

        def evaluate(scope: Scope, _moment: Moment, meter: Meter) -> Json:
            try:
                return template.evaluate(scope, meter)
            except QueryError:  # the text: seen in real executions; it names the whole call, not an inner one
                where = f"the field '{path.source}' could not be found in the input '{_input(scope)}'"
                raise QueryError(self._cause(f"The JsonPath argument for {where}")) from None

        return evaluate


Expression: TypeAlias = PathTemplate | CallTemplate


class PayloadTemplate:
    """A payload template: pieces of ready text, and the expressions between them."""

    __slots__ = ("_constant", "_pieces", "_wide", "heavy")

    def __init__(self, pieces: list[bytes | Expression]) -> None:
        expressions = [piece for piece in pieces if not isinstance(piece, bytes)]
        self._pieces = pieces
        self._constant = None if expressions else Value(b"".join([p for p in pieces if isinstance(p, bytes)]))
        self._wide = len(expressions) >= PARSE_FROM
        self.heavy = any(expression.heavy for expression in expressions)

    def render(self, scope: Scope, moment: Moment) -> Value:
        """The value with every expression in its place. Raises QueryError, Overrun."""
        if self._constant is not None:
            return self._constant
        if self._wide:
            _ = scope.plain
        meter = Meter()
        written: list[Any] = []  # bytes, and Raw, which is a buffer, too
        for piece in self._pieces:
            if isinstance(piece, bytes):
                written.append(piece)
            elif isinstance(piece, PathTemplate):
                written.append(piece.write(scope, meter, own=False))
            else:
                written.append(text(piece.evaluate(scope, moment, meter)))
        return Value(b"".join(written))


class JSONPath:
    """The dialect."""

    name: Final = "JSONPath"

    def compile(self, source: Json, field: str = "") -> Template:  # noqa: ARG002  (failures name an inner field)
        """A payload template; raises SourceError with the place of the object that holds what is wrong."""
        pieces: list[bytes | Expression] = []
        _compile(source, (), pieces)
        joined: list[bytes | Expression] = []
        for piece in pieces:
            if isinstance(piece, bytes) and joined and isinstance(before := joined[-1], bytes):
                joined[-1] = before + piece
            else:
                joined.append(piece)
        return PayloadTemplate(joined)


DIALECT: Final = JSONPath()


class Reference:
    """A reference path to write to: ResultPath."""

    __slots__ = ("_keys", "source")

    def __init__(self, source: str, keys: tuple[_Key, ...]) -> None:
        self.source = source
        self._keys = keys

    def place(self, into: Value, result: Value) -> Value:
        """`into` with the result in its place; objects on the way are made. Raises QueryError."""
        return self._put(into, result, 0) if self._keys else result

    def _put(self, into: Value | None, result: Value, depth: int) -> Value:
        if depth == len(self._keys):
            return result
        key = self._keys[depth]
        try:
            if isinstance(key, str):
                members = {} if into is None else fields(into)
                members[key] = self._put(members.get(key), result, depth + 1)
                return text(members)
            elements = [] if into is None else items(into)
        except msgspec.ValidationError:
            self._refuse(into, depth)
        if key >= len(elements):  # an array is never made longer: there is nothing to fill it with
            self._refuse(into, depth)
        elements[key] = self._put(elements[key], result, depth + 1)
        return text(elements)

    def _refuse(self, into: Value | None, depth: int) -> NoReturn:
        """No place there. The first text is recorded, the second was seen in a real execution."""
        if depth:
            cause = f"Invalid path '{self.source}' : Missing property in path {_trail(self._keys[:depth])}"
        else:
            cause = f"Unable to apply ReferencePath {self.source} to input {_decoded(into or NULL)}"
        raise QueryError(cause)


def compile_path(text: str, *, field: str = "") -> PathTemplate:
    """A path field (not null). `field` is its name, for the texts of its failures. Raises SourceError."""
    try:
        return PathTemplate(parse_path(text), field)
    except PathError as error:
        raise SourceError(f"{_subject(field)} must be a valid JSONPath") from error


def compile_intrinsic_or_path(text: str, *, field: str = "") -> Expression:
    """A `.$` value, ErrorPath or CausePath. `field` is its name, with the `.$`. Raises SourceError."""
    try:
        parsed = parse_expression(text)
        return PathTemplate(parsed, field) if isinstance(parsed, Path) else CallTemplate(parsed, field)
    except ValueError as error:
        reason = f"{_subject(field)} must be a valid JSONPath or a valid intrinsic function call"
        raise SourceError(reason) from error


def compile_reference(text: str) -> Reference:
    """A ResultPath (not null). Raises SourceError."""
    try:
        path = parse_path(text)
    except PathError as error:
        raise SourceError("Value is not a Reference Path") from error
    keys = _reference_keys(path.steps)
    if path.root != "$" or len(keys) != len(path.steps) or any(isinstance(key, int) and key < 0 for key in keys):
        raise SourceError("Value is not a Reference Path")
    return Reference(text, keys)


def _compile(source: Json, place: tuple[str | int, ...], pieces: list[bytes | Expression]) -> None:
    if isinstance(source, list):
        for index, item in enumerate(source):
            pieces.append(b"," if index else b"[")
            _compile(item, (*place, index), pieces)
        pieces.append(b"]" if source else b"[]")
    elif isinstance(source, dict):
        for index, (key, value) in enumerate(source.items()):
            name = key.removesuffix(".$")
            pieces.append((b"," if index else b"{") + bytes(text(name)) + b":")
            if name == key:
                _compile(value, (*place, key), pieces)
                continue
            if name in source:
                raise SourceError(f"The fields '{name}' and '{key}' cannot both be present", place)
            pieces.append(_compile_field(key, value, place))
        pieces.append(b"}" if source else b"{}")
    else:
        pieces.append(bytes(text(source)))


def _compile_field(key: str, value: Json, place: tuple[str | int, ...]) -> Expression:
    try:
        return compile_intrinsic_or_path(value if isinstance(value, str) else "", field=key)
    except SourceError as error:
        raise SourceError(error.reason, place) from error.__cause__


def _subject(field: str) -> str:
    return f"The value for the field '{field}'" if field else "The value"


def _base(path: Path) -> Callable[[Scope], Json]:
    if path.root == "$":
        return lambda scope: scope.plain
    if path.root == "$$":
        return lambda scope: scope.context
    name = path.root[1:]
    return lambda scope: scope.variables.get(name, MISSING)


def _reference_keys(steps: Sequence[Step]) -> tuple[_Key, ...]:
    """The single names and indexes that it begins with: all its steps, in a reference path."""
    return tuple(takewhile(lambda key: key is not None, map(single_key, steps)))  # type: ignore[arg-type]


def _sliced(value: Value, keys: Sequence[_Key]) -> Value | None:
    """The text of what a reference path finds, or None; an index past the end gives null, as in `select`."""
    last = len(keys) - 1
    try:
        for place, key in enumerate(keys):
            if isinstance(key, str):
                value = fields(value)[key]
            elif key < len(elements := items(value)):
                value = elements[key]
            else:
                return NULL if place == last else None
    except (KeyError, msgspec.ValidationError):
        return None
    return value


def _trail(keys: Sequence[_Key]) -> str:
    return "$" + "".join([f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in keys])


def _decoded(value: Value) -> str:
    return bytes(value).decode()


def _input(scope: Scope) -> str:
    return _decoded(scope.value)


def _no_chance(*_: object) -> NoReturn:
    raise QueryError("A function of time or chance cannot be used here", FAILURE)


_NO_CHANCE: Final = Moment(0, _no_chance, _no_chance)


# What AWS writes where a definite path finds nothing, by field; where it is not said otherwise, recorded.


def _invalid_path(path: PathTemplate, scope: Scope) -> str:
    """InputPath, OutputPath, TimeoutSecondsPath, HeartbeatSecondsPath; for the rest, not verified."""
    return f"Invalid path '{path.source}' : {path.missing(scope)}"


def _specified(path: PathTemplate, scope: Scope) -> str:
    return (
        f"The JSONPath '{path.source}' specified for the field '{path.field}' "
        f"could not be found in the input '{_input(scope)}'"
    )


def _no_input_value(path: PathTemplate, _scope: Scope) -> str:
    return f"The {path.field} parameter does not reference an input value: {path.source}"


def _choice(path: PathTemplate, _scope: Scope) -> str:
    """Known from users' reports, not recorded."""
    return f"Invalid path '{path.source}': The choice state's condition path references an invalid value."


_CAUSES: Final[dict[str, Callable[[PathTemplate, Scope], str]]] = {
    ".$": _specified,
    "ErrorPath": _specified,
    "CausePath": _specified,
    "SecondsPath": _no_input_value,
    "TimestampPath": _no_input_value,
    "Variable": _choice,
}
