"""Choice rules as data: how a rule is compiled, and the table of the 39 comparison operators.

Which rule of a state holds is asked in `interpreter/choice.py`. A comparison of values that are not of the operator's
kind is false and no error; a boolean is no number; texts are ordered by UTF-16 code units, as Java orders them
(language notes, section 5).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from stepfold.query.jsonata import dialect as jsonata
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.jsonpath import dialect as jsonpath
from stepfold.query.jsonpath.dialect import PathTemplate
from stepfold.query.template import SourceError, Template
from stepfold.query.values import Json, text

from .timestamps import instant


class Operator(NamedTuple):
    """A comparison: `holds(value, operand)` tells whether it does, for any two JSON values.

    `operand` is the kind of its right side (`string`, `number`, `timestamp`, `boolean`); `path` says that the
    definition points to it, rather than writing it out.
    """

    name: str
    operand: str
    path: bool
    holds: Callable[[Json, Json], bool]


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What follows where the rule holds, if it stands at the top: there to go, these to assign, and this to hand on."""

    next: str | None = None
    assign: Template | None = None
    output: Template | None = None


class Compare(_Rule, frozen=True):
    """One value against another: `operand` is a literal, or a compiled path where the operator takes one."""

    variable: PathTemplate
    operator: Operator
    operand: PathTemplate | Json


class And(_Rule, frozen=True):
    """All of them hold."""

    rules: tuple[Rule, ...]


class Or(_Rule, frozen=True):
    """One of them holds."""

    rules: tuple[Rule, ...]


class Not(_Rule, frozen=True):
    """It does not hold."""

    rule: Rule


class Condition(_Rule, frozen=True):
    """A JSONata expression is true."""

    expression: Expression


Rule: TypeAlias = Compare | And | Or | Not | Condition


def compile_rule(raw: Mapping[str, Json], place: str = "") -> Rule:
    """A JSONPath rule of a checked definition, ready to be asked; raises SourceError with what is wrong."""
    assign = jsonpath.DIALECT.compile(raw["Assign"], f"{place}/Assign") if "Assign" in raw else None
    target = raw.get("Next")
    for word, kind in (("And", And), ("Or", Or)):
        if word in raw:
            parts = tuple(compile_rule(part, f"{place}/{word}") for part in raw[word])
            return kind(rules=parts, next=target, assign=assign)
    if "Not" in raw:
        return Not(rule=compile_rule(raw["Not"], f"{place}/Not"), next=target, assign=assign)
    name = next((field for field in raw if field in OPERATORS), None)
    if name is None:
        raise SourceError("the rule has no comparison operator")
    found = OPERATORS[name]
    operand = _path(raw[name]) if found.path else raw[name]
    return Compare(variable=_path(raw["Variable"]), operator=found, operand=operand, next=target, assign=assign)


def compile_condition(raw: Mapping[str, Json], place: str = "") -> Rule:
    """A JSONata rule, likewise; a Condition may be written out as `true` or `false`."""
    written = raw["Condition"]
    marked = written if isinstance(written, str) else f"{{% {bytes(text(written)).decode()} %}}"
    return Condition(
        expression=jsonata.compile_expression(marked, f"{place}/Condition"),
        next=raw.get("Next"),
        assign=jsonata.DIALECT.compile(raw["Assign"], f"{place}/Assign") if "Assign" in raw else None,
        output=jsonata.DIALECT.compile(raw["Output"], f"{place}/Output") if "Output" in raw else None,
    )


def heavy(rule: Rule) -> bool:
    """Whether the rule holds an expression whose cost cannot be bounded (see `query.template.Template`)."""
    if isinstance(rule, Condition):
        return rule.expression.heavy
    if isinstance(rule, Compare):
        return rule.variable.heavy or (rule.operator.path and rule.operand.heavy)
    return any(heavy(part) for part in (rule.rules if isinstance(rule, And | Or) else (rule.rule,)))


def _path(text: str) -> PathTemplate:
    return jsonpath.compile_path(text, field="Variable")  # an operand that is missing fails in the same words


# -- values of a kind, or None


def _string(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Json) -> bool | None:
    return value if isinstance(value, bool) else None


def _timestamp(value: Json) -> int | None:
    return instant(value) if isinstance(value, str) else None


# -- comparisons


def _within(kind: Callable[[Json], Any], compare: Callable[[Any, Any], bool]) -> Callable[[Json, Json], bool]:
    """The comparison of two values of one kind; with any other value it is false."""

    def holds(value: Json, operand: Json) -> bool:
        left, right = kind(value), kind(operand)
        return left is not None and right is not None and compare(left, right)

    return holds


def _as_java(compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def ordered(left: str, right: str) -> bool:
        if left.isascii() and right.isascii():
            return compare(left, right)
        return compare(left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass"))

    return ordered


def _is(test: Callable[[Json], bool]) -> Callable[[Json, Json], bool]:
    return lambda value, wanted: test(value) is wanted


def like(text: str, pattern: str) -> bool:
    r"""Whether the text is as the pattern says: `*` stands for any run, `\*` for a star, `\\` for a backslash.

    The parts between the stars are looked for once each, from left to right, so that no pattern is slow.
    """
    first, *rest = _parts(pattern)
    if not rest:
        return text == first
    last = rest.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in rest:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


@lru_cache(maxsize=1024)
def _parts(pattern: str) -> tuple[str, ...]:
    parts: list[list[str]] = [[]]
    for token in _TOKEN.findall(pattern):
        if token == "*":  # noqa: S105 -- a star is no password
            parts.append([])
        else:
            parts[-1].append(token[1:] if len(token) == 2 else token)
    return tuple("".join(part) for part in parts)


_TOKEN = re.compile(r"\\[*\\]|.", re.DOTALL)
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _table() -> Iterator[Operator]:
    for order, compare in _ORDERS.items():
        for family, operand, holds in (
            ("String", "string", _within(_string, _as_java(compare))),
            ("Numeric", "number", _within(_number, compare)),
            ("Timestamp", "timestamp", _within(_timestamp, compare)),
        ):
            yield Operator(f"{family}{order}", operand, path=False, holds=holds)
            yield Operator(f"{family}{order}Path", operand, path=True, holds=holds)
    equal = _within(_boolean, operator.eq)
    yield Operator("BooleanEquals", "boolean", path=False, holds=equal)
    yield Operator("BooleanEqualsPath", "boolean", path=True, holds=equal)
    yield Operator("StringMatches", "string", path=False, holds=_within(_string, like))
    for name, test in (
        ("IsNull", lambda value: value is None),
        (IS_PRESENT, lambda _value: True),  # asked of a value that was found
        ("IsNumeric", lambda value: _number(value) is not None),
        ("IsString", lambda value: isinstance(value, str)),
        ("IsBoolean", lambda value: isinstance(value, bool)),
        ("IsTimestamp", lambda value: _timestamp(value) is not None),
    ):
        yield Operator(name, "boolean", path=False, holds=_is(test))


IS_PRESENT = "IsPresent"
OPERATORS: Mapping[str, Operator] = {found.name: found for found in _table()}
"""All 39, by name."""
