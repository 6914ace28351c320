"""The dialect: payload templates, path fields, ResultPath, and the texts of their failures."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query.jsonpath.dialect import DIALECT, compile_intrinsic_or_path, compile_path, compile_reference
from stepfold.query.template import Moment, Overrun, QueryError, Scope, SourceError, Variables
from stepfold.query.values import Value, admit, admit_tree, text, tree

MOMENT = Moment(0, lambda: 0.5, bytes)
INPUT = admit('{"b":{"y":1.10,"x":[1,2,{"k":"v"}]},"a":1E3,"s":"text","o":{}}')
CONTEXT = {"Execution": {"Id": "arn", "Input": {"deep": 1}}, "Task": {"Token": "t"}}
VARIABLES = Variables({"var": text({"list": [10, 20]}), "größe": text(3), "nothing": text(None)})


def scope(value=INPUT):
    return Scope(value, lambda: CONTEXT, VARIABLES)


def rendered(template, value=INPUT):
    return bytes(DIALECT.compile(template).render(scope(value), MOMENT)).decode()


# Payload templates.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({}, "{}"),
        ([], "[]"),
        ("$.a", '"$.a"'),
        (None, "null"),
        (
            {"a": "$.a", "b": ["$$", {"c": 1}], "d": "States.UUID()"},
            '{"a":"$.a","b":["$$",{"c":1}],"d":"States.UUID()"}',
        ),
        ({"all.$": "$"}, '{"all":' + bytes(INPUT).decode() + "}"),
        ({"one": 1, "two.$": "$.b.y", "three": {"four.$": "$.a"}}, '{"one":1,"two":1.10,"three":{"four":1E3}}'),
        ([{"a.$": "$.a"}, [{"b.$": "$.b.x[2].k"}], {}], '[{"a":1E3},[{"b":"v"}],{}]'),
        ({"id.$": "$$.Execution.Id", "in.$": "$$.Execution.Input"}, '{"id":"arn","in":{"deep":1}}'),
        ({"v.$": "$var.list[1]", "w.$": "$größe", "n.$": "$nothing"}, '{"v":20,"w":3,"n":null}'),
        ({"x.$": "$.nothing[*]", "y.$": "$.b.x[9]", "z.$": "$.b.x[:1]"}, '{"x":[],"y":null,"z":[1]}'),
        ({"f.$": "States.Format('{}-{}', $.a, $var.list[0])"}, '{"f":"1E3-10"}'),
        ({'q"uo\\te.$': "$.s"}, '{"q\\"uo\\\\te":"text"}'),
        ({".$": "$.s", "x.$y": "$.s", "$": 1}, '{"":"text","x.$y":"$.s","$":1}'),
        ({"$.a": "$.a"}, '{"$.a":"$.a"}'),
        (
            {"a.$": "$.a", "b.$": "$.b", "c.$": "$.s", "d.$": "$.b.y"},
            '{"a":1E3,"b":{"y":1.10,"x":[1,2,{"k":"v"}]},"c":"text","d":1.10}',
        ),
    ],
)
def test_payload_templates(template, expected):
    assert rendered(template) == expected


def test_a_constant_is_written_once():
    template = DIALECT.compile({"a": [1, admit("1")], "b": "x"})
    assert template.render(scope(), MOMENT) is template.render(scope(), MOMENT)


@pytest.mark.parametrize(
    ("template", "place", "reason"),
    [
        ({"a.$": "x"}, (), "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call"),
        ({"a.$": 1}, (), "The value for the field 'a.$' must be"),
        ({"a.$": {"b": 1}}, (), "The value for the field 'a.$' must be"),
        ({"a": [0, {"b": {"c.$": "$.x.length()"}}]}, ("a", 1, "b"), "The value for the field 'c.$' must be"),
        ({"a": {"b": 1, "b.$": "$"}}, ("a",), "The fields 'b' and 'b.$' cannot both be present"),
        ({"a.$": "States.Nothing()"}, (), "The value for the field 'a.$' must be"),
        ({"a.$": "States.Format('He said, \\\"{}\\\"', 'x')"}, (), "The value for the field 'a.$' must be"),
    ],
)
def test_templates_that_do_not_compile(template, place, reason):
    with pytest.raises(SourceError) as caught:
        DIALECT.compile(template)
    assert caught.value.reason.startswith(reason)
    assert caught.value.place == place


def test_heavy_is_said_by_the_template():
    assert not DIALECT.compile({"a.$": "$.b[?(@.k == 'v')]"}).heavy
    assert DIALECT.compile({"x": [{"a.$": "$.b[?(@.k =~ /v/)]"}]}).heavy
    assert DIALECT.compile({"a.$": "States.ArrayLength(States.Array($.b[?(@.k =~ /v/)]))"}).heavy
    assert compile_path("$.b[?(@.k =~ /v/)]").heavy


def test_one_budget_for_the_whole_template():
    value = admit_tree([[0] * 100] * 100)
    once = {"n.$": "$..*"}
    assert rendered(once, value)
    with pytest.raises(Overrun):
        rendered([once] * 100, value)


# Path fields.


def test_the_whole_is_the_same_object():
    path = compile_path("$", field="InputPath")
    here = scope()
    assert path.render(here, MOMENT) is here.value
    assert here.plain
    assert path.render(here, MOMENT) is here.value


def test_a_slice_owns_its_bytes_and_builds_no_tree():
    here = scope()
    found = compile_path("$.b.x").render(here, MOMENT)
    assert bytes(found) == b'[1,2,{"k":"v"}]'
    assert not here.parsed


def test_a_slice_does_not_keep_the_whole_input_alive():
    data = bytes(INPUT) + b" "
    before = sys.getrefcount(data)
    value = Value(data)
    found = compile_path("$.b.x").render(scope(value), MOMENT)
    del value
    assert bytes(found) == b'[1,2,{"k":"v"}]'
    assert sys.getrefcount(data) == before


def test_a_template_builds_the_tree_only_for_many_expressions():
    few, many = scope(), scope()
    DIALECT.compile({"a.$": "$.a", "b.$": "$.b.y"}).render(few, MOMENT)
    DIALECT.compile({"a.$": "$.a", "b.$": "$.b.y", "c": [{"d.$": "$.s"}]}).render(many, MOMENT)
    assert (few.parsed, many.parsed) == (False, True)


@pytest.mark.parametrize(
    ("path", "value", "present"),
    [
        ("$.a", 1000, True),
        ("$.b.x[2].k", "v", True),
        ("$$.Task.Token", "t", True),
        ("$var.list", [10, 20], True),
        ("$nothing", None, True),
        ("$.b.x[9]", None, False),
        ("$.b.x[*]", [1, 2, {"k": "v"}], True),
        ("$.n[*]", [], False),
    ],
)
def test_pick_and_present(path, value, present):
    template = compile_path(path)
    assert template.source == path
    assert template.pick(scope()) == value
    assert tree(template.render(scope(), MOMENT)) == value
    assert template.present(scope()) is present


@pytest.mark.parametrize("path", ["$.q", "$.s.q", "$.b.x.q", "$$.Execution.Q", "$unknown", "$unknown.a", "$.b.x[9].k"])
def test_absent(path):
    assert compile_path(path).present(scope()) is False
    with pytest.raises(QueryError):
        compile_path(path).pick(scope())
    with pytest.raises(QueryError):
        compile_path(path).render(scope(), MOMENT)


SMALL = admit('{"Error":"e","a":{"b":{}}}')
SHOWN = bytes(SMALL).decode()


@pytest.mark.parametrize(
    ("field", "path", "cause"),
    [
        (
            "value.$",
            "$.x",
            f"The JSONPath '$.x' specified for the field 'value.$' could not be found in the input '{SHOWN}'",
        ),
        (
            "ErrorPath",
            "$.x",
            f"The JSONPath '$.x' specified for the field 'ErrorPath' could not be found in the input '{SHOWN}'",
        ),
        (
            "CausePath",
            "$.a.b.c",
            f"The JSONPath '$.a.b.c' specified for the field 'CausePath' could not be found in the input '{SHOWN}'",
        ),
        ("InputPath", "$.X", "Invalid path '$.X' : No results for path: $['X']"),
        ("OutputPath", "$.a.X", "Invalid path '$.a.X' : No results for path: $['a']['X']"),
        ("OutputPath", "$.X.y.z", "Invalid path '$.X.y.z' : Missing property in path $['X']"),
        ("OutputPath", "$.a.b.y[0]", "Invalid path '$.a.b.y[0]' : Missing property in path $['a']['b']['y']"),
        ("TimeoutSecondsPath", "$.X", "Invalid path '$.X' : No results for path: $['X']"),
        ("SecondsPath", "$.x.y", "The SecondsPath parameter does not reference an input value: $.x.y"),
        ("TimestampPath", "$.x", "The TimestampPath parameter does not reference an input value: $.x"),
        ("Variable", "$.x", "Invalid path '$.x': The choice state's condition path references an invalid value."),
    ],
)
@pytest.mark.parametrize("parsed", [False, True])
def test_what_is_written_where_nothing_is_found(field, path, cause, parsed):
    here = scope(SMALL)
    assert not parsed or here.plain
    with pytest.raises(QueryError) as caught:
        compile_path(path, field=field).render(here, MOMENT)
    assert (caught.value.error, caught.value.cause) == ("States.Runtime", cause)


@pytest.mark.parametrize("bad", ["", "a", "$.", "States.UUID()", "$.a.length()"])
def test_paths_that_do_not_compile(bad):
    with pytest.raises(SourceError, match=r"The value for the field 'InputPath' must be a valid JSONPath$"):
        compile_path(bad, field="InputPath")


def test_calls_as_fields():
    cause = compile_intrinsic_or_path("States.Format('{}', $.s)", field="CausePath")
    assert cause.pick(scope()) == "text"
    assert bytes(cause.render(scope(), MOMENT)) == b'"text"'
    assert cause.present(scope())
    unique = compile_intrinsic_or_path("States.UUID()", field="ErrorPath")
    assert unique.pick(scope(), MOMENT) == "00000000-0000-4000-8000-000000000000"
    with pytest.raises(QueryError):
        unique.pick(scope())


# ResultPath.


@pytest.mark.parametrize(
    ("path", "into", "expected"),
    [
        ("$", '{"a":1}', '"R"'),
        ("$", "5", '"R"'),
        ("$.r", '{"b":1.10,"a":{"z":1E3}}', '{"b":1.10,"a":{"z":1E3},"r":"R"}'),
        ("$.b", '{"b":1.10,"a":2}', '{"b":"R","a":2}'),
        ("$.a.b.c", "{}", '{"a":{"b":{"c":"R"}}}'),
        ("$.a.b", '{"a":{"x":[1.0],"b":0}}', '{"a":{"x":[1.0],"b":"R"}}'),
        ("$['a b'].c", "{}", '{"a b":{"c":"R"}}'),
        ("$.a[1]", '{"a":[1.0,2.0,3.0]}', '{"a":[1.0,"R",3.0]}'),
        ("$[0].x", "[{},1]", '[{"x":"R"},1]'),
    ],
)
def test_result_path(path, into, expected):
    assert bytes(compile_reference(path).place(admit(into), Value(b'"R"'))).decode() == expected


@pytest.mark.parametrize(
    ("path", "into", "cause"),
    [
        ("$.a.b", '{"a":"text"}', "Invalid path '$.a.b' : Missing property in path $['a']"),
        ("$.a.b.c", '{"a":{"b":[1]}}', "Invalid path '$.a.b.c' : Missing property in path $['a']['b']"),
        ("$.a[3]", '{"a":[1]}', "Invalid path '$.a[3]' : Missing property in path $['a']"),
        ("$.a[0]", "{}", "Invalid path '$.a[0]' : Missing property in path $['a']"),
        ("$.a", '"text"', 'Unable to apply ReferencePath $.a to input "text"'),
        ("$.a", "[1]", "Unable to apply ReferencePath $.a to input [1]"),
    ],
)
def test_result_path_has_no_place(path, into, cause):
    with pytest.raises(QueryError) as caught:
        compile_reference(path).place(admit(into), Value(b"1"))
    assert (caught.value.error, caught.value.cause) == ("States.Runtime", cause)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a",
        "$$",
        "$$.a",
        "$var",
        "$.a[*]",
        "$.*",
        "$..a",
        "$.a[-1]",
        "$.a[0,1]",
        "$['a','b']",
        "$.a[1:]",
        "$[?(@.a)]",
    ],
)
def test_what_is_no_reference_path(bad):
    with pytest.raises(SourceError, match=r"^Value is not a Reference Path$"):
        compile_reference(bad)


# Laws.

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from("abc"), documents, max_size=3)
trails = st.lists(st.sampled_from("abc") | st.integers(0, 2), max_size=3)


def written(trail):
    return "$" + "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in trail)


def outcome(template, here):
    try:
        return bytes(template.render(here, MOMENT))
    except QueryError as error:
        return error.cause


@given(documents, trails)
def test_slicing_is_selecting_from_the_tree(document, trail):
    value = admit(json.dumps(document))
    sliced, selected = scope(value), scope(value)
    assert selected.plain == document
    template = compile_path(written(trail), field="InputPath")
    assert outcome(template, sliced) == outcome(template, selected)


@given(documents)
def test_the_untouched_leaves_byte_for_byte(document):
    value = admit(json.dumps(document))
    assert rendered({"x.$": "$"}, value) == '{"x":' + bytes(value).decode() + "}"
    assert bytes(text(scope(value).plain)) == bytes(value)


@given(documents)
def test_a_template_without_expressions_is_itself(document):
    assert rendered(document) == bytes(admit_tree(document)).decode()


@given(objects, st.lists(st.sampled_from("abc"), min_size=1, max_size=3), documents)
def test_what_is_placed_is_found_there_and_the_rest_is_kept(document, trail, result):
    into, path = admit_tree(document), written(trail)
    try:
        placed = compile_reference(path).place(into, admit_tree(result))
    except QueryError:
        return
    assert tree(compile_path(path).render(scope(placed), MOMENT)) == result
    rest = {name: value for name, value in tree(placed).items() if name != trail[0]}
    assert rest == {name: value for name, value in document.items() if name != trail[0]}
