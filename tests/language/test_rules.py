"""Choice rules: the 39 operators, and what And, Or and Not make of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepfold.interpreter.choice import choose, holds
from stepfold.language.rules import IS_PRESENT, OPERATORS, And, Not, Or, compile_rule, like
from stepfold.query.template import Moment, QueryError, Scope, SourceError
from stepfold.query.values import text

Json = Any
NOW = Moment(0, lambda: 0.0, bytes)
SOME_OF_EVERY_KIND: list[Json] = [
    None, True, False, 0, 1, -1.5, 1e300, "", " ", "a", "2012-10-09T19:00:55Z", [], [1], {}, {"a": 1},
]  # fmt: skip


def seen(value: Json) -> Scope:
    return Scope(text(value), dict)


def says(rule: dict[str, Json], value: Json) -> bool:
    return holds(compile_rule(rule), seen(value), NOW)


def test_there_are_39_operators():
    assert len(OPERATORS) == 39
    assert sum(found.path for found in OPERATORS.values()) == 16


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringLessThan", "A", "AB", True),
        ("StringGreaterThanEquals", "AB", "A", True),
        ("StringGreaterThanEquals", "", "", True),
        ("StringGreaterThan", "a", "Z", True),
        ("StringEquals", 1, "1", False),
        ("NumericEquals", 0, 0.0, True),
        ("NumericEquals", 2.22, 2.22, True),
        ("NumericEquals", True, 1, False),
        ("NumericEquals", "1", 1, False),
        ("NumericLessThan", 9007199254740993, 9007199254740992, False),
        ("NumericLessThanEquals", -1, 0, True),
        ("NumericGreaterThan", 1, 0, True),
        ("BooleanEquals", False, False, True),
        ("BooleanEquals", 0, False, False),
        ("BooleanEquals", None, False, False),
        ("TimestampEquals", "2012-10-09T19:00:55Z", "2012-10-09T21:00:55.000+02:00", True),
        ("TimestampEquals", "2012-10-09T19:00:55", "2012-10-09T19:00:55Z", False),
        ("TimestampEquals", "2012-10-09t19:00:55z", "2012-10-09T19:00:55Z", False),
        ("TimestampLessThan", "2012-10-09T19:00:55.1Z", "2012-10-09T19:00:55.100000001Z", True),
        ("TimestampGreaterThan", "2012-13-09T19:00:55Z", "2012-10-09T19:00:55Z", False),
        ("StringMatches", "log-2020.txt", "log-*.txt", True),
        ("IsNull", None, True, True),
        ("IsNull", 0, False, True),
        ("IsNumeric", True, True, False),
        ("IsNumeric", 0.0, True, True),
        ("IsString", "", True, True),
        ("IsBoolean", False, True, True),
        ("IsTimestamp", "2023-02-24", True, False),
        ("IsTimestamp", "2012-10-09T19:00:55+01:00", True, True),
        ("IsTimestamp", [], False, True),
    ],
)
def test_an_operator_compares_as_aws_does(operator: str, left: Json, right: Json, expected: bool):
    assert says({"Variable": "$", operator: right}, left) is expected
    if f"{operator}Path" in OPERATORS:
        value = {"left": left, "right": right}
        assert says({"Variable": "$.left", f"{operator}Path": "$.right"}, value) is expected


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_no_two_values_make_an_operator_fail(name: str):
    for left in SOME_OF_EVERY_KIND:
        for right in SOME_OF_EVERY_KIND:
            assert OPERATORS[name].holds(left, right) in (True, False)


def test_texts_are_ordered_by_utf16_code_units():
    # U+10000 begins with a surrogate, D800, and so stands before U+FFFD, though its code point is greater
    assert says({"Variable": "$", "StringLessThan": "\ufffd"}, "\U00010000")
    assert not says({"Variable": "$", "StringGreaterThan": "\ufffd"}, "\U00010000")


@pytest.mark.parametrize(
    ("text_", "pattern", "expected"),
    [
        ("", "", True),
        ("", "*", True),
        ("a", "", False),
        ("abc", "a*c", True),
        ("abc", "*b*", True),
        ("ac", "a*b*c", False),
        ("aa", "a*a", True),
        ("a", "a*a", False),
        ("abcbc", "a*bc", True),
        ("a*b", r"a\*b", True),
        ("axb", r"a\*b", False),
        ("a\\b", r"a\\b", True),
        ("a\\zb", r"a\\*b", True),
        ("a\\nb", r"a\nb", True),
        ("line\nbreak", "line*", True),
    ],
)
def test_string_matches(text_: str, pattern: str, expected: bool):
    assert like(text_, pattern) is expected


def test_no_pattern_is_slow():
    began = time.perf_counter()
    assert not like("a" * 100_000, "*a" * 1_000 + "*b")
    assert time.perf_counter() - began < 1


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab*\\", max_size=4), max_size=4))
def test_a_text_matches_the_pattern_that_spells_it_out(parts: list[str]):
    escaped = [part.replace("\\", "\\\\").replace("*", "\\*") for part in parts]
    assert like("x".join(parts), "*".join(escaped) if len(parts) > 1 else "".join(escaped))


def test_junctions_look_no_further_than_they_must():
    yes, no = {"Variable": "$.a", "NumericEquals": 1}, {"Variable": "$.a", "NumericEquals": 2}
    missing = {"Variable": "$.gone", "NumericEquals": 1}
    value = {"a": 1}
    assert says({"Or": [yes, missing]}, value)
    assert not says({"And": [no, missing]}, value)
    assert says({"Not": no}, value)
    assert says({"And": [{"Or": [no, yes]}, {"Not": {"And": [yes, no]}}]}, value)


def test_present_is_asked_before_it_is_picked():
    present = {"Variable": "$.a", IS_PRESENT: True}
    absent = {"Variable": "$.a", IS_PRESENT: False}
    assert says(present, {"a": None})
    assert not says(present, {})
    assert says(absent, {})
    assert says({"And": [present, {"Variable": "$.a", "IsNull": True}]}, {"a": None})


@pytest.mark.parametrize(
    "rule",
    [
        {"Variable": "$.gone", "StringEquals": "a"},
        {"Variable": "$.gone", "IsNull": True},
        {"Variable": "$.here", "StringEqualsPath": "$.gone"},
    ],
)
def test_a_missing_value_fails_the_state(rule: dict[str, Json]):
    with pytest.raises(QueryError) as caught:
        says(rule, {"here": "a"})
    assert caught.value.error == "States.Runtime"
    assert caught.value.cause == "Invalid path '$.gone': The choice state's condition path references an invalid value."


def test_the_first_rule_that_holds_is_chosen():
    rules = [
        compile_rule({"Variable": "$", "NumericGreaterThan": 10, "Next": "Much"}),
        compile_rule({"Variable": "$", "NumericGreaterThan": 1, "Next": "Some"}),
        compile_rule({"Variable": "$", "NumericGreaterThan": 0, "Next": "Few"}),
    ]
    assert choose(rules, seen(5), NOW) == 1
    assert choose(rules, seen(0), NOW) == -1
    assert choose([], seen(0), NOW) == -1


def test_a_rule_keeps_its_shape_and_its_target():
    rule = compile_rule({"And": [{"Not": {"Or": [{"Variable": "$", "IsNull": True}]}}], "Next": "There"})
    assert isinstance(rule, And)
    assert rule.next == "There"
    assert isinstance(rule.rules[0], Not)
    assert isinstance(rule.rules[0].rule, Or)


def test_a_path_that_is_none_is_named_with_its_field():
    with pytest.raises(SourceError, match="'Variable'"):
        compile_rule({"Or": [{"Variable": "no path", "IsNull": True}]})
