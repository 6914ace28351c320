"""What is told of an expression before it runs: references at its top level, what makes it heavy, plain paths."""

from __future__ import annotations

import pytest

from stepfold.query.jsonata.syntax import last_operation, read, tokens_of


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("phone", ["phone"]),
        ("`phone number`.home", ["phone number"]),
        ("$", ["$"]),
        ("$.a", ["$"]),
        ("a + b.c - a", ["a", "b"]),
        ("{aaa: 1}", ["aaa"]),
        ("$sum(prices)", ["prices"]),
        ("$map($states.input.a, function($x){ b })", ["b"]),
        ("$x ? y : z", ["y", "z"]),
        ("($y := x; $y)", ["x"]),
        ("[1, [two]]", ["two"]),
        ("$states.input.a ~> $map(f)", ["f"]),
        ("$states.input ~> |items|{'a': b}| & c", ["c"]),
        ("function($x)<n:n>{ $x + y }(z)", ["y", "z"]),
        ("$map($x, λ($v){ $v.(a; λ(){ b }) ~> c })", ["c"]),
        ("$x = 1 and flag", ["flag"]),
        ("and", ["and"]),
        ("\"a b\".c & 'd'.e & 'f'", ["a b", "d"]),
        ("$$", ["$$"]),
        ("$states.input.items[$$.x = 1]", ["$$"]),
    ],
)
def test_what_stands_for_the_document_is_found_at_the_top_level(source, references):
    assert list(read(source).references) == references


@pytest.mark.parametrize(
    "source",
    [
        "$states.input.items[price > 10 and $.on].name",
        "$states.input.items[price > 10][name in ['a']]",
        "$states.input.a.(b + $)",
        "$states.input.a.{'k': b, c: $}",
        "$states.input.a.[b, c]",
        "$states.input.items^(>price, name).name",
        "$states.input.items{kind: $sum(price)}",
        "$states.input.a.$sum(b)",
        "$states.input ~> |items[on]|{'price': price * 2}, ['on']|",
        "$map($states.input.a, function($x){ $x.b })",
        "function($x, $y)<n-n:n>{ $x + $y }(1, 2)",
        "λ($x){ $x.phone }({'phone': 1})",
        "[1..5].function($x, $y)<n-(ns):a<n>>{ $x + $y + phone }(6)",
        "$states.input ~> |items|{'a': {'b': c}}| ~> $keys",
        "$states.input.a@$v.b#$i.c",
        "$f(?, 2)(1)",
        "true and false or null = null",
        "\"phone\" & 'phone'",
        "/phone/i ~> $type",
        "$states.input.n /* phone */ / 2",
        "$states.input.a.*.**.b",
    ],
)
def test_names_inside_of_what_is_picked_from_are_no_references(source):
    assert read(source).references == ()


@pytest.mark.parametrize(
    "source",
    [
        "$match($x, /a+/)", "$x ~> /a/", "[1..$n]", "[$a..5]", "[1..10 * 1000]", "[1..2000]", "[-5000..5]",
        "($f := function($n){ $f($n) }; $f(1))", "($f := λ($n){ $n }; $f(1))",
    ],
)  # fmt: skip
def test_what_cannot_be_bounded_is_heavy(source):
    assert read(source).heavy


@pytest.mark.parametrize(
    "source",
    ["$a / $b / 2", "[1..10]", "[0..3, 5..1000]", "$map($x, function($v){ $v / 2 })", "'/a/' & `/a/`", "(4)/2"],
)
def test_what_is_bounded_is_not_heavy(source):
    assert not read(source).heavy


def test_a_slash_after_an_operand_divides():
    kinds = [(token.kind, token.text) for token in tokens_of("$a/2 + $b[0]/(3)/4 ~> /x[/]y\\/(/)/i")]
    assert kinds[-1] == ("regex", "/x[/]y\\/(/)/i")
    assert [text for kind, text in kinds if kind == "sign" and text == "/"] == ["/"] * 3


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("$states.input.a.b", ("states", "input", "a", "b")),
        ("$x", ("x",)),
        (" $x . `a b` ", ("x", "a b")),
        ("$x.and", ("x", "and")),
        ("$states.input.a[0]", None),
        ("$states.input.$a", None),
        ("$states.input.a.*", None),
        ("$x.a.'b'", None),
        ("$", None),
        ("a.b", None),
    ],
)
def test_a_plain_path_is_known_as_such(source, path):
    assert read(source).path == path


def test_operators_that_aws_does_not_have_are_told():
    assert read("$a ?: $b ?? 1").newer == ("?:", "??")
    assert read("$a ? 1 : 2").newer == ()


def test_what_compares_all_with_all_is_told():
    assert read("$distinct($x)").pairs
    assert read("1 in $x").pairs
    assert not read("$x.in").pairs


@pytest.mark.parametrize(
    ("source", "operation"),
    [
        ("1/0", ("1", "/", "0")),
        ("$a * 2 - (3 + 4) * 5", ("$a * 2 ", "-", " (3 + 4) * 5")),
        ("1 - 2 - 3", ("1 - 2 ", "-", " 3")),
        ("2 * -3", ("2 ", "*", " -3")),
        ("-1", None),
        ("$a.*", None),
        ("$a % 2", ("$a ", "%", " 2")),
        ("7 * 3 % 2", ("7 * 3 ", "%", " 2")),
        ("1 + 3 % 2", ("1 ", "+", " 3 % 2")),
        ("$a.%.b", None),
        ("$a + 1 > 2", None),
        ("$f(1 + 2)", None),
        ("$a ? 1 + 2 : 3", None),
    ],
)
def test_the_operation_that_an_expression_comes_to_is_known(source, operation):
    assert last_operation(source) == operation
