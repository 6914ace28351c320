"""JSON values as text: the one door by which they enter, and the two ways between text and tree.

A value is carried as its JSON text in a `msgspec.Raw` that owns its bytes (the type `Value`), so that
untouched data leaves byte for byte as it was admitted: key order and number literals kept. A tree
(plain dicts, lists, strings, numbers) exists only while something is picked out or built.

Number literals survive a tree too: a float is read as `Number`, which remembers how it was written.
"""

from __future__ import annotations

import math
from typing import Any, Self, TypeAlias

import msgspec

Value: TypeAlias = msgspec.Raw
Json: TypeAlias = Any

MAX_DEPTH = 200
"""How deep admitted JSON may nest; later walkers rely on it (reliability notes, section 7.2)."""

NULL = Value(b"null")
EMPTY_OBJECT = Value(b"{}")
EMPTY_ARRAY = Value(b"[]")


class NotAdmitted(ValueError):
    """A text that is not JSON as stepfold takes it; the message says why and, where known, at which byte."""


class Number(float):
    """A float that remembers its literal (`1.10`, `1E3`), so that rebuilding a value does not rewrite it."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> Self:
        """Read `literal`; a number beyond a double is refused, as AWS cannot carry it either."""
        number = super().__new__(cls, literal)
        if math.isinf(number):
            raise NotAdmitted(f"the number {literal[:40]} is out of range")
        number.literal = literal
        return number


def _write(unknown: Any) -> Value:
    if isinstance(unknown, Number):
        return Value(unknown.literal)
    raise TypeError(f"a value of type {type(unknown).__name__} is not JSON")


_decoder = msgspec.json.Decoder(float_hook=Number)
_encoder = msgspec.json.Encoder(enc_hook=_write)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def tree(value: Value | bytes) -> Json:
    """The value as plain Python data; its text must have been admitted before."""
    return _decoder.decode(value)


def text(plain: Json) -> Value:
    """Compact JSON text of plain data, which holds no NaN or infinity (see `admit_tree`)."""
    return Value(_encoder.encode(plain))


def admit(raw: bytes | str, *, limit: int | None = None) -> Value:
    """Let a text in from outside: valid UTF-8 and JSON, not too deep, numbers in range; compact on return.

    Of duplicate keys the last wins. `limit` is the greatest length in bytes of the compact form.
    Raises NotAdmitted.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else bytes(raw)
    try:
        plain = _decoder.decode(data)
    except RecursionError:
        raise NotAdmitted(f"the value nests deeper than {MAX_DEPTH} levels") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAdmitted(str(error)) from None
    return _checked(_encoder.encode(plain), plain, limit)


def admit_tree(plain: Json, *, limit: int | None = None) -> Value:
    """Let Python data in, such as a callable's answer; raises NotAdmitted where it is not JSON."""
    try:
        data = _encoder.encode(plain)
    except RecursionError:
        raise NotAdmitted(f"the value nests deeper than {MAX_DEPTH} levels") from None
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise NotAdmitted(str(error)) from None
    if data.find(b"null") >= 0 and not _finite(plain):  # (`in` tries at first whether it is given a number)
        raise NotAdmitted("NaN and Infinity are not JSON")
    return _checked(data, plain, limit)


def items(array: Value) -> list[Value]:
    """The elements of a JSON array as slices of its text (they share its buffer: copy what outlives it)."""
    return _items.decode(array)


def fields(obj: Value) -> dict[str, Value]:
    """The members of a JSON object as slices of its text (they share its buffer: copy what outlives it)."""
    return _fields.decode(obj)


def join(values: list[Value]) -> Value:
    """A JSON array of the given values, without parsing any of them."""
    return Value(b"[" + b",".join([bytes(value) for value in values]) + b"]")


def _checked(data: bytes, plain: Json, limit: int | None) -> Value:
    # (What nests so deep has as many brackets that open, and that close: of most values the length says enough.)
    if len(data) > 2 * MAX_DEPTH and data.count(b"[") + data.count(b"{") > MAX_DEPTH and _deeper(plain, MAX_DEPTH):
        raise NotAdmitted(f"the value nests deeper than {MAX_DEPTH} levels")
    if limit is not None and len(data) > limit:
        raise NotAdmitted(f"the value has {len(data)} bytes, {limit} are allowed")
    return Value(data)


def _deeper(plain: Json, depth: int) -> bool:
    layer = [plain]
    for _ in range(depth + 1):
        layer = [value for value in layer if isinstance(value, dict | list | tuple)]
        if not layer:
            return False
        layer = [child for value in layer for child in _children(value)]
    return True


def _children(container: Json) -> Json:
    return container.values() if isinstance(container, dict) else container


def _finite(plain: Json) -> bool:
    waiting = [plain]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
    return True
