"""What in a request breaks the model, in AWS's words: one line a violation, or the refusal to read it at all.

A request that msgspec takes never comes here. One that it refuses is read again as plain data and walked beside the
types of its Struct, because msgspec stops at the first fault and AWS lists them. The forms were recorded (alias names,
weights, page sizes, tokens); those of list elements and of secret values are known from other services of AWS with the
same framework, as are the texts about wrong types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from stepfold.errors import CallerError

MOST: Final = 10
"""A message lists no more violations than this; a bad request of a megabyte needs no answer of a megabyte."""
TOLD: Final = 100
"""Nor does it print more elements of a list."""
_INTEGER: Final = 31
_LONG: Final = 63

# As AWS wrote it in the one recording of it; the order is that of a set in its code, and no rule of ours gives it.
_ENUM_ORDER: Final = {
    frozenset({"SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"}): (
        "SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING",
    ),
}


class Unreadable(CallerError):
    """A value of the wrong type, which AWS refuses before it looks at any constraint."""

    code = "SerializationException"


def violations(kind: type[msgspec.Struct], plain: Any) -> list[str]:
    """All that is wrong with `plain` as a request of that type, in the model's order; raises Unreadable."""
    found: list[str] = []
    for line in _walk(_info(kind), plain, "", secret=False):
        found.append(line)
        if len(found) == MOST:
            break
    return found


def message(found: list[str]) -> str:
    """The text of the ValidationException."""
    return f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}"


@cache
def _info(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _walk(kind: inspect.Type, value: Any, path: str, *, secret: bool, pattern: str = "") -> Iterator[str]:
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            known = extra or {}
            yield from _walk(inner, value, path, secret=bool(known.get("secret")), pattern=known.get("pattern", ""))
        case inspect.UnionType(types=types):
            if value is not None:  # an explicit null is an absent field
                yield from _walk(types[0], value, path, secret=secret)
        case inspect.StructType(fields=fields):
            yield from _struct(fields, value, path)
        case inspect.ListType():
            yield from _list(kind, value, path, secret=secret)
        case _:
            _typed(kind, value)
            for broken in _constraints(kind, value, pattern):
                yield _line(value, path, broken, secret=secret)


def _struct(fields: tuple[inspect.Field, ...], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise Unreadable("Start of list found where not expected" if isinstance(value, list) else "Expected null")
    for field in fields:
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        member = value.get(field.encode_name)
        if member is not None:
            yield from _walk(field.type, member, here, secret=False)
        elif field.required:
            yield f"Value null at '{here}' failed to satisfy constraint: Member must not be null"


def _list(kind: inspect.ListType, value: Any, path: str, *, secret: bool) -> Iterator[str]:
    if not isinstance(value, list):
        raise Unreadable(
            "Start of structure or map found where not expected" if isinstance(value, dict) else "Expected list or null"
        )
    for broken in _lengths(kind, value):
        yield _line(_told(value, kind), path, broken, secret=secret)
    if isinstance(kind.item_type, inspect.StructType):
        for number, item in enumerate(value, 1):
            if item is None:
                yield f"Value null at '{path}.{number}.member' failed to satisfy constraint: Member must not be null"
            else:
                yield from _walk(kind.item_type, item, f"{path}.{number}.member", secret=False)
    else:
        yield from _elements(kind, value, path, secret=secret)


def _elements(kind: inspect.ListType, value: list[Any], path: str, *, secret: bool) -> Iterator[str]:
    """Of scalars in a list AWS tells the whole list, and everything that is asked of an element."""
    inner = kind.item_type.type if isinstance(kind.item_type, inspect.Metadata) else kind.item_type
    for item in value:
        if item is not None:
            _typed(inner, item)
    if any(item is None or any(True for _ in _constraints(inner, item, "")) for item in value):
        asked = ", ".join([*_demands(inner), "Member must not be null"])
        yield _line(_told(value, kind), path, f"Member must satisfy constraint: [{asked}]", secret=secret)


def _constraints(kind: inspect.Type, value: Any, pattern: str) -> Iterator[str]:
    match kind:
        case inspect.LiteralType(values=values):
            if value not in values:
                yield f"Member must satisfy enum value set: [{', '.join(_enum(values))}]"
        case inspect.StrType():
            if pattern and kind.pattern and not re.search(kind.pattern, value):
                yield f"Member must satisfy regular expression pattern: {pattern}"
            yield from _lengths(kind, value)
        case inspect.IntType() | inspect.FloatType():
            if kind.le is not None and value > kind.le:
                yield f"Member must have value less than or equal to {_number(kind.le)}"
            if kind.ge is not None and value < kind.ge:
                yield f"Member must have value greater than or equal to {_number(kind.ge)}"


def _lengths(kind: inspect.StrType | inspect.ListType, value: str | list[Any]) -> Iterator[str]:
    if kind.max_length is not None and len(value) > kind.max_length:
        yield f"Member must have length less than or equal to {kind.max_length}"
    if kind.min_length is not None and len(value) < kind.min_length:
        yield f"Member must have length greater than or equal to {kind.min_length}"


def _demands(kind: inspect.Type) -> Iterator[str]:
    if isinstance(kind, inspect.StrType) and kind.max_length is not None:
        yield f"Member must have length less than or equal to {kind.max_length}"
        yield f"Member must have length greater than or equal to {kind.min_length or 0}"


def _typed(kind: inspect.Type, value: Any) -> None:
    """Raises Unreadable where a scalar is not of its type."""
    match kind:
        case inspect.StrType() | inspect.LiteralType():
            wanted, good = "a String", isinstance(value, str)
        case inspect.BoolType():
            wanted, good = "a Boolean", isinstance(value, bool)
        case inspect.IntType(le=most):
            long = most is not None and most.bit_length() > _INTEGER
            wanted = "a Long" if long else "an Integer"
            good = type(value) is int and value.bit_length() <= (_LONG if long else _INTEGER)
        case _:
            wanted, good = "a Float", type(value) in {int, float}
    if good:
        return
    match value:
        case dict():
            raise Unreadable("Start of structure or map found where not expected")
        case list():
            raise Unreadable("Start of list found where not expected")
        case bool():
            token = "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            token = "STRING_VALUE"  # noqa: S105  (a kind of JSON token)
        case _:
            token = "DECIMAL_VALUE" if isinstance(value, float) else "NUMBER_VALUE"
    raise Unreadable(f"{token} can not be converted to {wanted}")


def _line(value: Any, path: str, broken: str, *, secret: bool) -> str:
    told = "Value" if secret else f"Value '{value}'"
    return f"{told} at '{path}' failed to satisfy constraint: {broken}"


def _told(value: list[Any], kind: inspect.ListType) -> str:
    """A list as Java prints it, its structures with their names (recorded for routing configurations)."""
    shown = [_item(item, kind.item_type) for item in value[:TOLD]]
    return f"[{', '.join(shown if len(value) <= TOLD else [*shown, '...'])}]"


def _item(item: Any, kind: inspect.Type) -> str:
    if not isinstance(kind, inspect.StructType) or not isinstance(item, dict):
        return "null" if item is None else str(item)
    told = (f"{field.encode_name}={_item(item.get(field.encode_name), field.type)}" for field in kind.fields)
    return f"{kind.cls.__name__}({', '.join(told)})"


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _enum(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return _ENUM_ORDER.get(frozenset(values), values)
