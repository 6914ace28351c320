"""What a field may hold: one check for each kind of value, and the check of an object by its table of fields.

A kind is a function of the view, the value and its place. The texts are AWS's: recorded ones (language notes,
section 14), or seen by others in 2026; a text of stepfold's own stands where none is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from stepfold.language.integrations import known
from stepfold.language.resources import parse_resource
from stepfold.language.timestamps import instant
from stepfold.query.jsonpath.dialect import compile_intrinsic_or_path, compile_path, compile_reference
from stepfold.query.jsonpath.parse import PathError, parse_path
from stepfold.query.jsonpath.select import single_key
from stepfold.query.template import SourceError
from stepfold.query.values import Json

from .diagnostics import View
from .expressions import uses

Kind: TypeAlias = Callable[[View, Json, str], None]


class Field(NamedTuple):
    """A field: what it may hold, and the query language that alone knows it (None: both do)."""

    kind: Kind
    language: str | None = None


class Shape(NamedTuple):
    """An object: its fields, those it needs, and those of which it may have one at most, or needs exactly one."""

    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    one_at_most: tuple[tuple[str, ...], ...] = ()
    exactly_one: tuple[tuple[str, ...], ...] = ()


def members(view: View, value: Json, place: str, shape: Shape) -> bool:
    """Check an object by its shape; tells whether it was an object at all."""
    if not isinstance(value, dict):
        wrong_type(view, value, place, "Object")
        return False
    if missing := [name for name in shape.required if name not in value]:
        view.error(f"These fields are required: [{', '.join(missing)}]", place)
    for names in shape.exactly_one:
        given = _given(value, names)
        if not given:
            view.error(f"This object should have only one of the following fields: [{', '.join(names)}]", place)
    for names in (*shape.exactly_one, *shape.one_at_most):
        given = _given(value, names)
        if len(given) > 1 and not ("End" in given and view.open(value["End"])):
            view.error(f"There should only be one of the following fields: [{', '.join(names)}]", place)
    # AWS tells of the other language's fields before it looks at any value (measured)
    known = {name for name, field in shape.fields.items() if name in value and in_language(view, name, field, place)}
    for name, inner in value.items():
        if name in known:
            shape.fields[name].kind(view, inner, f"{place}/{name}")
        elif name not in shape.fields:
            unsupported(view, name, place)
    return True


def _given(value: Mapping[str, Json], names: Iterable[str]) -> list[str]:
    """Those of the fields that are there; `End: false` is as good as no End."""
    return [name for name in names if name in value and not (name == "End" and value[name] is False)]


def unsupported(view: View, name: str, place: str) -> None:
    """A field that nobody knows here."""
    if not view.open(name):
        view.error(f"Field '{name}' is not supported", place, focus=f"{place}/{name}")


def in_language(view: View, name: str, field: Field, place: str) -> bool:
    """Whether the state's query language knows the field; notes it where not."""
    own = "JSONata" if view.jsonata else "JSONPath"
    if field.language in (None, own):
        return True
    if not view.mixed:
        message = f"The QueryLanguage is set to '{own}', but field '{name}' is only supported for the"
        view.error(f"{message} '{field.language}' QueryLanguage", place, focus=f"{place}/{name}")
    return False


def wrong_type(view: View, value: Json, place: str, wanted: str) -> None:
    """A value of another type than the field takes (measured of a QueryLanguage: `[STRING]`)."""
    if not view.open(value):
        view.error(f"Expected value of type [{wanted.upper()}]", place)


# -- plain values


def anything(view: View, value: Json, place: str) -> None:
    """Any JSON."""


def text(view: View, value: Json, place: str) -> None:
    """A string."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")


def words(view: View, value: Json, place: str) -> None:
    """A string that is taken as it stands (Error, Cause): one that looks like a path was likely meant as one."""
    text(view, value, place)
    if view.jsonata:
        expressions(view, value, place)
    elif looks_like_path(value):
        view.warning("NO_PATH", "The value looks like a path, but the field name does not end with 'Path'", place)


def flag(view: View, value: Json, place: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        wrong_type(view, value, place, "Boolean")


def one_of(*options: str) -> Kind:
    """One of a few words."""

    def kind(view: View, value: Json, place: str) -> None:
        if not isinstance(value, str):
            wrong_type(view, value, place, "String")
        elif value not in options and not view.open(value):
            view.error(f"Value should be one of the following: [{', '.join(options)}]", place)

    return kind


def integer(low: int, high: int | None = None) -> Kind:
    """A whole number in a range."""

    def kind(view: View, value: Json, place: str) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            _in_range(view, value, place, low, high)
        else:
            wrong_type(view, value, place, "Integer")

    return kind


def decimal(low: float, high: float | None = None) -> Kind:
    """A number in a range."""

    def kind(view: View, value: Json, place: str) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            _in_range(view, value, place, low, high)
        else:
            wrong_type(view, value, place, "Number")

    return kind


def _in_range(view: View, value: float, place: str, low: float, high: float | None) -> None:
    if value < low:
        view.error(f"Minimum value is {low}", place)
    elif high is not None and value > high:
        view.error(f"Maximum value is {high}", place)


def or_expression(kind: Kind) -> Kind:
    """The kind itself; in a JSONata state an expression, too, which comes to it."""

    def either(view: View, value: Json, place: str) -> None:
        if view.jsonata and isinstance(value, str) and value.startswith("{%"):
            expressions(view, value, place)
        else:
            kind(view, value, place)

    return either


def timestamp(view: View, value: Json, place: str) -> None:
    """A point in time."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
    elif instant(value) is None and not view.open(value):
        view.error("String does not match RFC3339 timestamp", place)


def resource(view: View, value: Json, place: str) -> None:
    """What a Task calls."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
        return
    if view.open(value):
        return
    if not value.startswith("arn:"):
        view.error("Value is not a valid resource ARN", place)
        return
    try:
        called = parse_resource(value)
    except ValueError:
        called = None
    if called is None or not known(called):
        view.error(
            f"The resource provided {value} is not recognized. The value is not a valid resource ARN, or the resource "
            "is not available in this region.",
            place,
        )
    elif view.express and called.family == "Activity":
        view.error("Express state machine does not support Activity ARN", place)
    elif view.express and called.pattern != "answer":
        # the blank at the end is AWS's (recorded)
        view.error(f"Express state machine does not support '.{called.pattern}' service integration ", place)


# -- paths


def looks_like_path(value: Json) -> bool:
    """Whether a text reads like a path or an intrinsic call."""
    return isinstance(value, str) and (
        value == "$" or value.startswith(("$.", "$[", "$$.")) or (value.startswith("States.") and "(" in value)
    )


def path(view: View, value: Json, place: str) -> None:
    """A JSONPath."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
    elif not view.open(value):
        try:
            compile_path(value)
        except SourceError:
            view.error("Value must be a valid JSONPath.", place)


def single_path(view: View, value: Json, place: str) -> None:
    """A JSONPath that leads to one place: names and indexes only; it may begin at `$$` or a variable."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
        return
    if view.open(value):
        return
    try:
        steps = parse_path(value).steps
    except PathError:
        view.error("Value is not a Reference Path", place)
        return
    if any(single_key(step) is None for step in steps):
        view.error("Value is not a Reference Path", place)


def path_or_call(view: View, value: Json, place: str) -> None:
    """A JSONPath or an intrinsic call (ErrorPath, CausePath)."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
    elif not view.open(value):
        try:
            compile_intrinsic_or_path(value, field=place.rpartition("/")[2])
        except SourceError as error:
            view.error(error.reason, place)


def target_path(view: View, value: Json, place: str) -> None:
    """Where a result goes (ResultPath)."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
    elif not view.open(value):
        try:
            compile_reference(value)
        except SourceError as error:
            view.error(error.reason, place)


def or_null(kind: Kind) -> Kind:
    """The kind itself, or null."""

    def either(view: View, value: Json, place: str) -> None:
        if value is not None:
            kind(view, value, place)

    return either


# -- templates


def template(view: View, value: Json, place: str) -> None:
    """Any JSON with expressions in it, in the state's query language."""
    if view.jsonata:
        expressions(view, value, place)
    else:
        _payload(view, value, place)


def object_template(view: View, value: Json, place: str) -> None:
    """A template that is an object, or in JSONata an expression."""
    if isinstance(value, dict) or (view.jsonata and isinstance(value, str) and value.startswith("{%")):
        template(view, value, place)
    else:
        wrong_type(view, value, place, "Object")


def _payload(view: View, value: Json, place: str) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _payload(view, item, f"{place}[{index}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not name.endswith(".$"):
                _payload(view, inner, f"{place}/{name}")
            elif name[:-2] in value:
                both = f"The fields '{name[:-2]}' and '{name}' cannot both be present"
                view.error(both, place, focus=f"{place}/{name}")
            elif not view.open(inner):
                _expression(view, name, inner, place)
    elif looks_like_path(value):
        view.warning("NO_DOLLAR", "The value looks like a path or an intrinsic function: add .$ to the name", place)


def _expression(view: View, name: str, value: Json, place: str) -> None:
    try:
        compile_intrinsic_or_path(value if isinstance(value, str) else "", field=name)
    except SourceError as error:
        view.error(error.reason, place, focus=f"{place}/{name}")


def expressions(view: View, value: Json, place: str) -> None:
    """JSONata in the strings of a value: what is between the marks is the business of the query language."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            expressions(view, item, f"{place}[{index}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            expressions(view, inner, f"{place}/{name}")
    elif isinstance(value, str) and value.startswith("{%"):
        _jsonata(view, value, place)


def _jsonata(view: View, value: str, place: str) -> None:
    found = uses(value)
    if found is None:
        view.error("JSONata string must start with {% and end with %}", place)
    elif found.refused:
        for refused in () if view.open(value) else found.refused:
            view.error(refused.message, place, refused.code)
    else:
        for name in sorted(found.fields - view.sees - {"*"}):
            view.error(f"Field '$states.{name}' does not exist.", place, "UNSUPPORTED_JSONATA_EXPRESSION")


def seeing(name: str, kind: Kind) -> Kind:
    """The kind itself, where `$states` has one more field."""

    def wider(view: View, value: Json, place: str) -> None:
        kind(replace(view, sees=view.sees | {name}), value, place)

    return wider
