"""The eighteen intrinsic functions: what AWS was recorded to answer, and what is refused."""

from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query.jsonpath.dialect import compile_intrinsic_or_path
from stepfold.query.jsonpath.intrinsics import FUNCTIONS
from stepfold.query.template import Moment, QueryError, Scope, SourceError
from stepfold.query.values import admit, text, tree

MOMENT = Moment(0, random.Random(7).random, lambda size: bytes(range(size)))


def call(source, given=None, moment=MOMENT):
    return bytes(compile_intrinsic_or_path(source).render(Scope(text(given), dict), moment)).decode()


def test_all_eighteen():
    assert len(FUNCTIONS) == 18


RECORDED = [
    ("States.Format('fst={} and snd={}.', $[0], $[1])", ["", " "], '"fst= and snd= ."'),
    ("States.Format('{}{}', $[0], $[1])", [None, 1.1], '"null1.1"'),
    ("States.Format('{}', $)", {"Arg1": 1, "Arg2": []}, '"{Arg1=1, Arg2=[]}"'),
    ("States.Format('{}', $)", [True, {"a": None}, "x"], '"[true, {a=null}, x]"'),
    ("States.Format($.t, $.v)", {"t": "It's {}!", "v": "Pikachu"}, '"It\'s Pikachu!"'),
    ("States.Format('\\{\\} {} \\\\', 1)", None, '"{} 1 \\\\"'),
    ("States.Format('nothing')", None, '"nothing"'),
    ("States.StringToJson($)", "", "null"),
    ("States.StringToJson($)", " ", "null"),
    ("States.StringToJson($)", "-0", "0"),
    ("States.StringToJson($)", '{"b": 1.10, "a": [ ]}', '{"b":1.10,"a":[]}'),
    ('States.StringToJson(\'{"constant": "false"}\')', None, '{"constant":"false"}'),
    ("States.JsonToString($)", None, '"null"'),
    ("States.JsonToString($)", 1.1, '"1.1"'),
    ("States.JsonToString($)", "Hi", '"\\"Hi\\""'),
    ("States.JsonToString($)", {"Arg1": 1, "Arg2": []}, '"{\\"Arg1\\":1,\\"Arg2\\":[]}"'),
    ("States.Array()", None, "[]"),
    ("States.Array('a', 1, $.x, null)", {"x": {}}, '["a",1,{},null]'),
    ("States.ArrayPartition($, 2)", [], "[]"),
    ("States.ArrayPartition($, 2)", [0, 1, 2], "[[0,1],[2]]"),
    ("States.ArrayPartition($, 1.5)", [0, 1, 2], "[[0,1],[2]]"),
    ("States.ArrayPartition($, 5)", [0, 1], "[[0,1]]"),
    ("States.ArrayContains($, null)", [], "false"),
    ("States.ArrayContains($.a, $.v)", {"a": [[1, 2, 3], 2], "v": [1, 2, 3]}, "true"),
    ("States.ArrayContains($.a, $.v)", {"a": [{"1": 2, "2": []}], "v": {"2": [], "1": 2}}, "true"),
    ("States.ArrayContains($, true)", [1, "true"], "false"),
    ("States.ArrayRange(1, 9, 9)", None, "[1]"),
    ("States.ArrayRange(1, 10, 2)", None, "[1,3,5,7,9]"),
    ("States.ArrayRange(1, 9, 2)", None, "[1,3,5,7,9]"),
    ("States.ArrayRange(3, 0, -1)", None, "[3,2,1,0]"),
    ("States.ArrayGetItem($, 2)", [1, 2, 3], "3"),
    ("States.ArrayLength($)", [None, {}, 1], "3"),
    (
        "States.ArrayUnique($)",
        [None, None, True, 1, 1.0, "1", [], [], [None], {"a": 1, "b": 2}, {"b": 2, "a": 1}],
        '[null,true,1,"1",[],[null],{"a":1,"b":2}]',
    ),
    ("States.Base64Encode('Hello World')", None, '"SGVsbG8gV29ybGQ="'),
    ("States.Base64Encode('')", None, '""'),
    ("States.Base64Decode('SGVsbG8gV29ybGQ=')", None, '"Hello World"'),
    ("States.Base64Decode('SGVsbG8gV29ybGQ')", None, '"Hello World"'),
    ("States.Base64Decode(States.Base64Encode($))", "grün €", '"grün €"'),
    ("States.Hash('input data', 'MD5')", None, '"812f45842bc6d66ee14572ce20db8e86"'),
    ("States.Hash('input data', 'SHA-1')", None, '"aaff4a450a104cd177d28d18d74485e8cae074b7"'),
    (
        "States.Hash('input data', 'SHA-256')",
        None,
        '"b4a697a057313163aee33cd8d40c66e9f0f177e00cac2de32475ffff6169c3e3"',
    ),
    (
        "States.JsonMerge($[0], $[1], false)",
        [{"a": {"a1": 1}, "b": 2}, {"a": {"a3": 1}, "c": 3}],
        '{"a":{"a3":1},"b":2,"c":3}',
    ),
    ("States.MathAdd(1, -2)", None, "-1"),
    ("States.MathAdd(1.5, 0)", None, "2"),
    ("States.MathAdd(-1.5, 0)", None, "-1"),
    ("States.MathAdd(-0.5, 0)", None, "0"),
    ("States.MathAdd(2.5, 0)", None, "3"),
    ("States.MathAdd(-2.5, 0)", None, "-2"),
    ("States.MathAdd(1.49, 1.5)", None, "3"),
    ("States.MathAdd(-1.5, -1.51)", None, "-3"),
    ("States.MathAdd(0.49999999999999994, 0)", None, "0"),
    ("States.StringSplit($, ',')", " ", '[" "]'),
    ("States.StringSplit($, ',')", ", , ,", '[" "," "]'),
    ("States.StringSplit($, ',')", ",,,,", "[]"),
    ("States.StringSplit($, '.+,=')", "This.is+a,test=string", '["This","is","a","test","string"]'),
    ("States.StringSplit('Hello\nWorld', '\n')", None, '["Hello","World"]'),
    ("States.StringSplit('a,b', '')", None, '["a,b"]'),
    ("States.UUID()", None, '"00010203-0405-4607-8809-0a0b0c0d0e0f"'),
]


@pytest.mark.parametrize(("source", "given_", "expected"), RECORDED)
def test_what_functions_give(source, given_, expected):
    assert call(source, given_) == expected


@pytest.mark.parametrize(
    ("source", "given_"),
    [
        ("States.Format('{}')", None),
        ("States.Format('{}', 1, 2)", None),
        ("States.Format('\\{\\}', 1)", None),
        ("States.Format($, 1)", 5),
        ("States.StringToJson($)", 1),
        ("States.StringToJson('{')", None),
        ("States.StringToJson('1 2')", None),
        ("States.ArrayPartition($, 0)", [1]),
        ("States.ArrayPartition($, -1)", [1]),
        ("States.ArrayPartition($, 2)", "ab"),
        ("States.ArrayContains($, 1)", {}),
        ("States.ArrayRange(1, 5, 0)", None),
        ("States.ArrayRange(0, 1000, 1)", None),
        ("States.ArrayGetItem($, 3)", [1, 2, 3]),
        ("States.ArrayGetItem($, -1)", [1]),
        ("States.ArrayGetItem($, '0')", [1]),
        ("States.ArrayGetItem($, 0.5)", [1]),
        ("States.ArrayLength($)", {}),
        ("States.ArrayUnique($)", "aa"),
        ("States.Base64Encode(1)", None),
        ("States.Base64Encode($)", "x" * 10_001),
        ("States.Base64Decode('***')", None),
        ("States.Base64Decode('a')", None),
        ("States.Hash('a', 'MD4')", None),
        ("States.Hash($, 'MD5')", "x" * 10_001),
        ("States.JsonMerge($, $, true)", {}),
        ("States.JsonMerge($, 1, false)", {}),
        ("States.MathAdd('1', 1)", None),
        ("States.MathAdd(true, 1)", None),
        ("States.MathAdd(2147483647, 1)", None),
        ("States.MathAdd(2147483648, 0)", None),
        ("States.MathRandom(5, 5)", None),
        ("States.StringSplit(1, ',')", None),
    ],
)
def test_what_functions_refuse(source, given_):
    with pytest.raises(QueryError) as caught:
        call(source, given_)
    assert caught.value.error == "States.IntrinsicFailure"
    assert caught.value.cause.startswith(f"The function '{source}' had the following error: ")


@pytest.mark.parametrize(
    "source",
    [
        "States.Nothing()",
        "States.UUID(1)",
        "States.ArrayLength()",
        "States.MathAdd(1)",
        "States.Hash('a')",
        "States.MathRandom(1,2,3,4)",
        "States.Array(States.Nothing())",
        "States.format('a')",
    ],
)
def test_unknown_functions_and_wrong_counts_do_not_compile(source):
    with pytest.raises(SourceError, match="must be a valid JSONPath or a valid intrinsic function call"):
        compile_intrinsic_or_path(source)


def test_a_missing_argument_names_the_whole_call():
    with pytest.raises(QueryError) as caught:
        call("States.Array(States.Format('{}',  $.nope))", {"other": 1})
    assert caught.value.error == "States.Runtime"
    assert caught.value.cause == (
        "The function 'States.Array(States.Format('{}',  $.nope))' had the following error: "
        "The JsonPath argument for the field '$.nope' could not be found in the input '{\"other\":1}'"
    )


def test_range_may_have_a_thousand():
    assert len(tree(admit(call("States.ArrayRange(1, 1000, 1)")))) == 1000


BITS = (-1170105035 & 0xFFFFFFFF) >> 1  # the first 31 bits of java.util.Random(42), whose nextInt() is that number
AWS_RANDOM_42 = 0.7275636800328681  # what AWS gives for $random(42) in JSONata: the same generator


@pytest.mark.parametrize(
    ("seed", "bound", "expected"),
    [(42, 10, BITS % 10), (42, 100, BITS % 100), (42, 16, 11), (0, 1000, 360), (0, 256, 187)],
)
def test_a_seed_is_that_of_java(seed, bound, expected):
    assert int(AWS_RANDOM_42 * 2**26) == BITS >> 5
    assert call(f"States.MathRandom(0, {bound}, {seed})") == str(expected)
    assert call(f"States.MathRandom(5, {bound + 5}, {seed})") == str(expected + 5)


def test_random_without_a_seed_comes_from_the_moment():
    drawn = {call("States.MathRandom(12.5, 15.4)") for _ in range(100)}
    assert drawn == {"13", "14"}
    highest = Moment(0, lambda: 0.9999999999999999, bytes)
    assert call("States.MathRandom(-2147483648, 2147483647)", moment=highest) == "2147483646"


def test_uuid_is_a_version_4():
    assert uuid.UUID(tree(admit(call("States.UUID()")))).version == 4


@given(st.text(max_size=30))
def test_base64_and_json_round_trips(value):
    assert tree(admit(call("States.Base64Decode(States.Base64Encode($))", value))) == value
    assert tree(admit(call("States.StringToJson(States.JsonToString($))", value))) == value


@given(st.lists(st.integers(0, 5) | st.sampled_from([True, False, None, "a", [1], {"a": 1}]), max_size=12))
def test_unique_keeps_the_first_of_each(values):
    unique = tree(admit(call("States.ArrayUnique($)", values)))
    kept = []
    for value in values:
        if not any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in kept):
            kept.append(value)
    assert [repr(value) for value in unique] == [repr(value) for value in kept]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_partition_joined_is_the_array(values, size):
    parts = tree(admit(call(f"States.ArrayPartition($, {size})", values)))
    assert [value for part in parts for value in part] == values
    assert all(len(part) == size for part in parts[:-1])
