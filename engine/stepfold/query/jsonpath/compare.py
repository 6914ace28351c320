"""When two JSON values are the same, and what the operators of a filter mean; paid for from a `Meter`.

Two oddities of Jayway are kept: a number equals the string that reads as that number (`===` does not think so), and
a value that is not there is unequal (`!=`) to everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from stepfold.query.template import Overrun
from stepfold.query.values import Json

BUDGET = 1_000_000
"""How many nodes one rendering may visit inside a decision."""


class Nothing:
    """A place where there is no value."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Nothing("MISSING")


class Meter:
    """What is left of the budget of one rendering."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left

    def spend(self, nodes: int) -> None:
        """Pay for nodes visited; raises Overrun when the budget is used up."""
        self.left -= nodes
        if self.left < 0:
            raise Overrun


def is_number(value: Json) -> bool:
    """Whether it is a JSON number: Python's bool is an int, JSON's is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Json, right: Json, meter: Meter) -> bool:
    """Deep equality of JSON: 1 is 1.0, true is not 1, the order of members does not matter."""
    if isinstance(left, list):
        if not isinstance(right, list) or len(left) != len(right):
            return False
        meter.spend(len(left))
        return all(same(*pair, meter) for pair in zip(left, right, strict=True))
    if isinstance(left, dict):
        if not isinstance(right, dict) or left.keys() != right.keys():
            return False
        meter.spend(len(left))
        return all(same(value, right[name], meter) for name, value in left.items())
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _equal(left: Json, right: Json, meter: Meter) -> bool:
    if left is MISSING or right is MISSING:
        return False
    if isinstance(left, str) and is_number(right):
        return _reads_as(left, right)
    if isinstance(right, str) and is_number(left):
        return _reads_as(right, left)
    return same(left, right, meter)


def _reads_as(text: str, number: float) -> bool:
    try:
        return len(text) <= _LONGEST_NUMBER and float(text) == number
    except ValueError:
        return False


def _equal_in_kind(left: Json, right: Json, meter: Meter) -> bool:
    return left is not MISSING and right is not MISSING and same(left, right, meter)


def _ordered(holds: Callable[[Json, Json], bool]) -> _Holds:
    def compare(left: Json, right: Json, _meter: Meter) -> bool:
        if is_number(left) and is_number(right):
            return holds(left, right)
        if isinstance(left, str) and isinstance(right, str):
            return holds(left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass"))
        return False

    return compare


def _matches(value: Json, pattern: Json, meter: Meter) -> bool:
    """The whole text must match (Java's `matches`); other values than strings are read as their text."""
    matched: Callable[[str], bool] = pattern.fullmatch
    if isinstance(value, str):
        meter.spend(len(value))
        return matched(value)
    if value is True or value is False:
        return matched("true" if value else "false")
    return is_number(value) and matched(getattr(value, "literal", None) or str(value))


def _in(value: Json, values: Json, meter: Meter) -> bool:
    if not isinstance(values, list):
        return False
    meter.spend(len(values))
    return any(_equal(value, item, meter) for item in values)


def _contains(value: Json, part: Json, meter: Meter) -> bool:
    if isinstance(value, str):
        meter.spend(1 + len(value) // 64)
        return isinstance(part, str) and part in value
    return _in(part, value, meter)


def _size(value: Json, size: Json, _meter: Meter) -> bool:
    return isinstance(value, str | list | dict) and is_number(size) and len(value) == size


def _empty(value: Json, wanted: Json, _meter: Meter) -> bool:
    return isinstance(value, str | list | dict) and isinstance(wanted, bool) and (not value) is wanted


def _subset(values: Json, others: Json, meter: Meter) -> bool:
    return isinstance(values, list) and all(_in(value, others, meter) for value in values)


def _any_of(values: Json, others: Json, meter: Meter) -> bool:
    return isinstance(values, list) and any(_in(value, others, meter) for value in values)


_Holds: TypeAlias = Callable[[Json, Json, Meter], bool]
_LONGEST_NUMBER = 400

HOLDS: dict[str, _Holds] = {
    "==": _equal,
    "===": _equal_in_kind,
    "!=": lambda left, right, meter: not _equal(left, right, meter),
    "!==": lambda left, right, meter: not _equal_in_kind(left, right, meter),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "=~": _matches,
    "in": _in,
    "nin": lambda value, values, meter: not _in(value, values, meter),
    "contains": _contains,
    "size": _size,
    "empty": _empty,
    "subsetof": _subset,
    "anyof": _any_of,
    "noneof": lambda values, others, meter: isinstance(values, list) and not _any_of(values, others, meter),
}
