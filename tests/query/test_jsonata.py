"""The JSONata dialect: what is refused, what is given, and what is said where it fails."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query.jsonata import direct, library
from stepfold.query.jsonata.dialect import DIALECT, compile_expression, is_expression
from stepfold.query.jsonata.functions import java_random
from stepfold.query.jsonata.library import DEPTH
from stepfold.query.template import Moment, Overrun, QueryError, Scope, SourceError, Variables
from stepfold.query.values import admit, admit_tree, text, tree

NOW = Moment(1_700_000_000_123, lambda: 0.25, lambda count: b"x" * count)
LATER = Moment(NOW.now, NOW.random, NOW.secret, unhurried=True)
INPUT = admit('{"a":{"b":1.50,"c":[1]},"items":[{"price":5,"name":"x"},{"price":50,"name":"y"}],"n":1E2,"nil":null}')
CONTEXT = {"State": {"Name": "S", "RetryCount": 0}, "Execution": {"Input": tree(INPUT)}}
VARIABLES = Variables({"x": text(7), "deep": admit('{"v":{"w":1.10}}'), "größe": text([1, 2])})


def scope(value=INPUT, **more):
    return Scope(value, lambda: CONTEXT, VARIABLES, **more)


def rendered(template, moment=NOW, *, field="Output", seen=None):
    return bytes(DIALECT.compile(template, field).render(seen or scope(), moment)).decode()


def value(expression, moment=LATER, **more):
    return json.loads(rendered(f"{{% {expression} %}}", moment, **more))


def cause(expression, moment=LATER, *, field="Output"):
    with pytest.raises(QueryError) as caught:
        rendered(f"{{% {expression} %}}", moment, field=field)
    assert caught.value.error == "States.QueryEvaluationError"
    return caught.value.cause.replace(
        f"The JSONata expression '{expression}' specified for the field '{field}' ", "... "
    )


# What is an expression, and where.


@pytest.mark.parametrize("literal", [" {% 1 %}", "{% 1 %} ", "{%}", "{% 1", "1 %}", 1, None])
def test_anything_else_than_marks_at_the_very_ends_is_literal(literal):
    assert not is_expression(literal)
    assert json.loads(rendered([literal])) == [literal]


def test_a_template_is_walked_through_objects_and_arrays_and_keeps_the_order_of_its_keys():
    template = {"z": "{% $x %}", "a": [1.50, "{%$states.input.a.b%}", {"k": "{% 1 + 1 %}"}], "$": "$.x", "{% 1 %}": 0}
    assert rendered(template) == '{"z":7,"a":[1.5,1.50,{"k":2}],"$":"$.x","{% 1 %}":0}'


def test_a_failure_tells_its_field_as_aws_does():
    with pytest.raises(QueryError) as caught:
        rendered({"a": {"values": ["{% 1 %}", "{% $nothing %}"]}})
    assert caught.value.location == "Output/a/values[1]"
    assert caught.value.cause == (
        "The JSONata expression '$nothing' specified for the field 'Output/a/values[1]' returned nothing (undefined)."
    )


def test_a_template_tells_what_it_reads():
    template = DIALECT.compile({"a": "{% $x + $states.input.n %}", "b": ["{% $deep.v & $states.context.State.Name %}"]})
    assert template.variables == {"x", "deep"}
    assert template.states == {"input", "context"}
    assert [(e.source, e.place) for e in template.expressions][1] == (
        "$deep.v & $states.context.State.Name", ("b", 0),
    )  # fmt: skip
    assert DIALECT.compile("{% $states %}").states == {"*"}
    assert DIALECT.compile("{% $states.result.a %}").states == {"result"}
    assert DIALECT.compile("{% ($y := 1; $y + $uuid()) %}").variables == frozenset()
    assert DIALECT.compile({"a": [1]}).constant == text({"a": [1]})
    assert DIALECT.compile("{% $match('a', /a/) %}").heavy


def test_what_is_wrong_is_refused_when_it_is_compiled():
    template = {"a": "{% 1 + %}", "b": ["{% phone & phone & home %}", "{% $$ %}"], "c": "{% $x %}"}
    assert [(refused.code, refused.reason, refused.place) for refused in DIALECT.refusals(template)] == [
        ("INVALID_JSONATA_EXPRESSION", "Unexpected end of expression", ("a",)),
        ("UNSUPPORTED_JSONATA_EXPRESSION", "Reference to 'phone' at the top level is not supported.", ("b", 0)),
        ("UNSUPPORTED_JSONATA_EXPRESSION", "Reference to 'home' at the top level is not supported.", ("b", 0)),
        ("UNSUPPORTED_JSONATA_EXPRESSION", "Reference to '$$' is not supported.", ("b", 1)),
    ]
    with pytest.raises(SourceError) as caught:
        DIALECT.compile(template)
    assert caught.value.place == ("a",)


@pytest.mark.parametrize(
    ("source", "reason"),  # the texts: AWS's own, seen in real answers
    [
        ("a[1,2)", 'Expected "]", got ","'),
        ('"unterminated', "String literal must be terminated by a matching quote"),
        ('{"a":}', 'The symbol "}" cannot be used as a unary operator'),
        ("$x :=", "Unexpected end of expression"),
        ('$match("a", /abc', "No terminating / in regular expression"),
        ("", "Unexpected end of expression"),
        ("1); ($x", None),
        ("'\ud800'", None),
        ("(" * 5000 + "1" + ")" * 5000, None),
    ],
)
def test_a_text_that_is_no_jsonata_is_refused_in_the_words_of_aws(source, reason):
    with pytest.raises(SourceError) as caught:
        compile_expression(f"{{% {source} %}}")
    assert caught.value.code == "INVALID_JSONATA_EXPRESSION"
    assert reason is None or caught.value.reason == reason


# What is seen.


def test_states_is_whole_in_the_order_of_aws():
    seen = scope(result=text([1]), error_output=text({"Error": "E"}))
    assert list(value("$states", seen=seen)) == ["input", "context", "result", "errorOutput"]
    assert list(value("$states")) == ["input", "context"]


@pytest.mark.parametrize("moment", [NOW, LATER])
def test_a_variable_hides_the_function_of_its_name(moment):
    seen = Scope(INPUT, dict, Variables({"count": text(5), "hash": text("#"), "v": text(9), "parse": admit("1.50")}))
    assert value("$count + 1", moment, seen=seen) == 6
    assert value("$hash & $count", moment, seen=seen) == "#5"
    assert value("$sum([$count, $v])", moment, seen=seen) == 14
    assert value("$map([1, 2], function($v){ $v * $count })", moment, seen=seen) == [5, 10]
    assert value("$parse", moment, seen=seen) == 1.5
    assert value("$count([1])") == 1
    with pytest.raises(QueryError, match="T1006"):
        value("$count([1])", moment, seen=seen)
    expression = compile_expression("{% $count + $x %}")
    assert expression.variables == {"x"}
    assert expression.ambiguous == {"count"}


def test_result_and_error_output_are_undefined_where_there_is_none():
    assert cause("$states.result") == "... returned nothing (undefined)."
    assert value("$states.errorOutput.Error", seen=scope(error_output=text({"Error": "E"}))) == "E"


@pytest.mark.parametrize("moment", [NOW, LATER])
def test_null_is_a_value_and_undefined_is_none(moment):
    assert value("$states.input.nil", moment) is None
    assert value("[$states.input.nil, $states.input.none, null]", moment) == [None, None]
    assert cause("$states.input.none", moment) == "... returned nothing (undefined)."


@pytest.mark.parametrize("moment", [NOW, LATER])
@pytest.mark.parametrize("source", ["$sum", "function($a){$a}", "/a/"])
def test_a_function_is_no_result(source, moment):
    assert cause(source, moment) == "... returned an unsupported result type."


def test_there_is_no_document_to_be_seen():
    assert cause("*") == "... returned nothing (undefined)."
    assert "input" not in json.dumps(value("[$string(), **]"))


def test_a_condition_and_a_number_are_picked_as_trees():
    assert compile_expression("{% $states.input.n < 1000 %}").pick(scope(), NOW) is True
    assert compile_expression("{% $states.input.n %}").pick(scope(), NOW) == 100


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (1, "'number' for value: 1"), ("s", "'string' for value: \"s\""), (None, "'null' for value: null"),
        (True, "'boolean' for value: true"), ({"a": [1]}, "'object' for value: {\"a\":[1]}"),
    ],
)  # fmt: skip
def test_another_type_than_a_field_takes_is_told_as_recorded(found, words):
    failure = compile_expression("{% $items %}", "Items").unexpected("array", found)
    assert failure.cause == (
        "The JSONata expression '$items' specified for the field 'Items' "
        f"returned an unexpected result type. Expected 'array', but was {words}"
    )


# Untouched values.


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("$states.input", bytes(INPUT).decode()),
        ("$states.input.a", '{"b":1.50,"c":[1]}'),
        ("$states.input.a.c", "[1]"),
        ("$states.input.n", "1E2"),
        ("$deep.v", '{"w":1.10}'),
        ("$deep.v.w", "1.10"),
        ("$states.context.State.Name", '"S"'),
        ("$states.input.items.name", '["x","y"]'),
        ("$größe", "[1,2]"),
    ],
)
def test_what_is_only_passed_on_keeps_its_text(expression, written):
    assert rendered(f"{{% {expression} %}}") == written
    looked_at = scope()
    assert looked_at.plain
    assert rendered(f"{{% {expression} %}}", seen=looked_at) == written


names = st.sampled_from(["a", "b", "c"])
leaves = st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=3)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=15
)


@given(trees, st.lists(names, max_size=4), st.booleans())
def test_law_a_path_gives_what_the_library_gives(whole, keys, parsed):
    seen = Scope(admit_tree(whole), dict)
    if parsed:
        _ = seen.plain
    path = ".".join(["$states.input", *keys])

    def outcome(expression):
        try:
            return bytes(DIALECT.compile(f"{{% {expression} %}}").render(seen, NOW))
        except QueryError as error:
            return error.cause.partition(" returned ")[2]

    assert direct.direct_path(["states", "input", *keys]) is not None
    assert outcome(path) == outcome(f"({path})")


# Law: text and tree, in a decision or in a thread, it is one language.

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False, width=32)
literals = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc ä", max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(literals)
def test_law_a_json_literal_is_its_own_value(literal):
    written = json.dumps(literal, ensure_ascii=False)
    for moment in (NOW, LATER):  # compared as the doubles that numbers are
        assert json.loads(rendered(f"{{% {written} %}}", moment), parse_int=float) == json.loads(
            written, parse_int=float
        )


@given(
    trees,
    st.sampled_from(["$states.input.**", "[$states.input.a[b = 1]]", "$keys($states.input)", "$states.input.a.b"]),
)
def test_law_a_thread_gives_what_a_decision_gives(whole, expression):
    def outcome(moment):
        try:
            return rendered(f"{{% {expression} %}}", moment, seen=Scope(admit_tree(whole), dict))
        except QueryError as error:
            return error.cause

    assert outcome(NOW) == outcome(LATER)


@given(
    trees, st.sampled_from(["$states.input.a", "$states.input.a.b + 1", "$states.input[a = 1].b", "$states.input.c"])
)
def test_law_what_is_not_read_is_not_missed(whole, expression):
    seen = Scope(admit_tree(whole), dict)
    expected = outcome = None
    before = direct.WORTH_CUTTING
    try:
        for direct.WORTH_CUTTING in (0, 10**9):
            try:
                outcome = rendered(f"{{% ({expression}) %}}", LATER, seen=seen)
            except QueryError as error:
                outcome = error.cause
            expected = expected or outcome
            assert outcome == expected
    finally:
        direct.WORTH_CUTTING = before


@pytest.mark.parametrize(
    ("expression", "written"),
    [("9007199254740993", 9007199254740992), ("0.1 + 0.2", 0.30000000000000004), ("2.0", 2), ("1e20", 10**20)],
)
def test_numbers_are_doubles(expression, written):
    assert value(expression, NOW) == value(expression, LATER) == written
    assert rendered(f"{{% {expression} %}}", NOW) == rendered(f"{{% {expression} %}}", LATER)


@pytest.mark.parametrize("moment", [NOW, LATER])
@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("1/0", "Infinity"),
        ("-1 / 0", "-Infinity"),
        ("1e308 * 10", "Infinity"),
        ("1 + $x * 1e308 * 10", None),
        ("$states.input.n / ($x - 7)", "Infinity"),
        ("-1e308 - 1e308", "-Infinity"),
        ("5 % 0", "NaN"),
        ("$states.input.n % ($x - 7)", "NaN"),
        ("0 / 0", "NaN"),
        ("9 * 7 % 0", "NaN"),
        ("1e308 * 10 % 3", None),
        ("[1/0]", None),
        ("1/0 = 1", None),
    ],
)
def test_a_number_that_is_none_is_a_string_where_it_is_the_result(expression, written, moment):
    if written is None:  # AWS has "Infinity" within an array, too: the library does not get there
        assert cause(expression, moment).startswith("... threw an error during evaluation. D1001: ")
    else:
        assert value(expression, moment) == written


@pytest.mark.parametrize("moment", [NOW, LATER])
def test_null_that_no_division_gives_is_null(moment):
    assert value("$states.input.n > 0 ? null : 5 % 0", moment) is None
    assert value("[1, null][1]", moment) is None


@pytest.mark.parametrize("expression", ["5 % 0 + 1", "1 + 5 % 0", "0 / 0 * 2"])
def test_what_is_no_number_is_not_reckoned_with(expression):
    assert cause(expression, NOW).startswith("... threw an error during evaluation. T200")


# AWS's functions.


@pytest.mark.parametrize(
    ("expression", "given"),
    [
        ("$partition([1,2,3,4], 3)", [[1, 2, 3], [4]]),
        ("$partition([0], 1)", [[0]]),  # recorded
        ("$partition([1,2,3], 2.9)", [[1, 2], [3]]),
        ("$range(0, 10, 3)", [0, 3, 6, 9]),  # recorded
        ("$range(1, 9, 9)", 1),  # recorded
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$count($range(1, 360145, 1))", 360145),
        ("$hash('input', 'SHA-1')", "140f86aae51ab9e1cda9b4254fe98a74eb54c1a1"),
        ("$random(42)", 0.7275636800328681),
        ("$random()", 0.25),
        ("$uuid()", "78787878-7878-4878-b878-787878787878"),
        ("$parse('{\"a\": 1}').a", 1),
        ("$parse('null')", None),
        ("$parse('[]')", []),
        ("$parse('[[1]]')", [[1]]),
        ("$parse('-0')", 0),  # recorded
        ("$map([1, 2], function($n){ $range($n, 3, 1) })", [[1, 2, 3], [2, 3]]),
        ("[1..3] ~> $partition(2)", [[1, 2], [3]]),
        ("$count($map([1, 2], $uuid))", 2),
        ("$map(['1', '[2]'], $parse)", [1, [2]]),
        ("$hash('a', 'MD5', 3) = $hash('a', 'MD5')", True),
    ],
)
def test_the_functions_of_aws(expression, given):
    assert value(expression) == given


@pytest.mark.parametrize(
    "expression",
    ["$partition([1], 0)", "$partition([], 2)", "$range(1, 5)", "$range(1, 5, -1)", "$range(1, 5, 0)", "$hash('a')"],
)
def test_the_functions_of_aws_may_give_nothing(expression):
    assert cause(expression) == "... returned nothing (undefined)."


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"])
def test_every_algorithm_hashes(algorithm):
    expected = hashlib.new(algorithm.replace("-", ""), "é".encode()).hexdigest()
    assert value(f"$hash('é', '{algorithm}')") == expected


@pytest.mark.parametrize(
    "expression", ["$partition([1], -1)", "$range('a', 1, 1)", "$hash('a', 'MD4')", "$parse('{')", "$parse($sum)",
                   f"$parse('[{'1' * 400}]')", f"$match('a', /a/).match & $parse('{'1' * 400}')"]
)
def test_the_functions_of_aws_refuse_what_they_cannot_take(expression):
    assert cause(expression).startswith("... threw an error during evaluation: ")


def test_the_seeded_chance_is_javas():
    assert java_random(42) == 0.7275636800328681
    assert 0 <= java_random(-1) < 1
    assert java_random(-1) != java_random(1)


def test_time_and_chance_come_from_the_moment_alone():
    assert value("$now()") == "2023-11-14T22:13:20.123Z"
    assert value("$millis()") == NOW.now
    assert value("$shuffle([1..9])") == value("$shuffle([1..9])")
    other = Moment(NOW.now, lambda: 0.75, NOW.secret, unhurried=True)
    assert value("$shuffle([1..100])") != value("$shuffle([1..100])", other)


@pytest.mark.parametrize("expression", ["$eval('1')", "$randomSeeded(1)", "($eval)('1')", "$x(1)"])
def test_what_is_no_function_cannot_be_called(expression):
    assert cause(expression) == "... threw an error during evaluation. T1006: Attempted to invoke a non-function"


def test_an_error_of_jsonata_has_its_code_and_its_words():
    assert cause("$sum(['a'])") == (
        '... threw an error during evaluation. T0412: Argument 1 of function "sum" must be an array of "numbers"'
    )


# Limits.

RECURSION = "($f := function($n){ $n = 0 ? 0 : 1 + $f($n - 1) }; $f(%d))"
DOUBLING = "($d := function($s, $n){ $n = 0 ? $s : $d($s & $s, $n - 1) }; $length($d('x', %d)))"
THREW = "... threw an error during evaluation: "
MEMORY = f"{THREW}Expression evaluation memory limit exceeded: Check for excessive memory usage"
STACK = (
    f"{THREW}Stack overflow error: Check for non-terminating recursive function. "
    f"Consider rewriting as tail-recursive. Depth={DEPTH + 1} max={DEPTH}"
)


@pytest.mark.parametrize(  # the greatest that AWS lets pass, and the least that it does not
    ("expression", "last", "words"),
    [
        (lambda n: RECURSION % n, 31, STACK),
        (lambda n: "+".join(["1"] * n), 100, STACK),
        (lambda n: "(" * n + "1" + ")" * n, 99, STACK),
        (lambda n: "[" * n + "1" + "]" * n, 99, STACK),
        (lambda n: f"$count([1..{n}])", 873_782, MEMORY),
        (lambda n: f"$count($range(1, {n}, 1))", 360_145, MEMORY),
        (lambda n: DOUBLING % n, 22, MEMORY),
    ],
)
def test_the_limits_of_aws(expression, last, words):
    value(expression(last))
    assert cause(expression(last + 1)) == words


@pytest.mark.parametrize(
    "expression",
    [
        "($f := function($n){ $f($n + 1) }; $f(1))",
        "$contains($pad('', 5000, 'a'), /(a+)+b/)",
        "[1..10000000]",
        "$range(1, 100000000, 1)",
        "$range(1e300, -1e300, -1)",
        "$distinct([1..800000])",
        "($f := function($x){ $f($append($x, $x)) }; $f([1]))",
        "($f := function($x, $n){ $n = 0 ? $x : $f([$x, $x], $n - 1) }; $f([1], 60))",
        "$map([1..2000], function($i){ $map([1..2000], function($j){ [1..$j] }) })",
    ],
)
def test_a_runaway_ends_in_a_failure_and_soon(monkeypatch, expression):
    monkeypatch.setitem(library._UNHURRIED, "timeout", 0.5)
    began = time.monotonic()
    assert cause(expression).startswith(THREW)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "expression",
    [
        "$count($map([1..1000], function($i){ $map([1..1000], function($j){ $i }) }))",
        "$count($states.input.many.$string($))",
        "$distinct($states.input.many)",
        "$states.input.many[$ in $states.input.many]",
        "$string($states.input.many)",
        "($f := function($n){ $f($n + 1) }; $f(1))",
    ],
)
def test_what_takes_long_is_not_done_in_a_decision(expression):
    seen = Scope(text({"many": list(range(20_000))}), dict)
    _ = seen.plain
    template = DIALECT.compile(f"{{% {expression} %}}")
    began = time.monotonic()
    with pytest.raises(Overrun):
        template.render(seen, NOW)
    assert time.monotonic() - began < 0.5


def test_a_result_nests_no_deeper_than_values_do():
    deep = "($f := function($x, $n){ $n = 0 ? $x : $f([[$x]], $n - 1) }; $f([1], 300))"
    assert cause(deep).startswith("... threw an error during evaluation: ")


@pytest.mark.parametrize("moment", [NOW, LATER])
def test_the_deepest_and_the_greatest_that_is_admitted_can_be_read(moment):
    deep = Scope(admit('{"a":' + "[" * 199 + "]" * 199 + "}"), dict)
    assert value("$states.input.a = $states.input.a", moment, seen=deep) is True
    great = Scope(admit('{"a":1' + "0" * 400 + "}"), dict)
    with pytest.raises(QueryError, match="A number is out of range"):
        value("$states.input.a + 1", moment, seen=great)
    wide = Scope(admit('{"a":[-9223372036854775809,123456789012345678901234567890,-0.0,1e-7]}'), dict)
    assert rendered("{% $states.input.a[] %}", moment, seen=wide) == rendered("{% $states.input.a[] %}", NOW, seen=wide)


def test_other_threads_run_while_a_long_one_is_evaluated():
    ran = 0
    over = threading.Event()

    def evaluate():
        value("$count($map([1..400], function($i){ $count($map([1..500], function($j){ $i * $j })) }))")
        over.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    while not over.wait(0.001):
        ran += 1
    thread.join()
    assert ran > 5


def test_an_expression_may_be_used_in_many_threads():
    expression = compile_expression("{% $random() + $x + $states.input.n %}")
    assert math.isclose(expression.pick(scope(), NOW), 107.25)
    assert math.isclose(expression.pick(scope(), Moment(0, lambda: 0.5, bytes, unhurried=True)), 107.5)
