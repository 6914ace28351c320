"""Paths and calls as text: what is read, what is refused, and where the mistake is said to be."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query.jsonpath.parse import MAX_NESTED_CALLS, PathError, parse_expression, parse_path
from stepfold.query.jsonpath.syntax import Call, Constant, Deep, Every, Indexes, Names, Path, Slice


@pytest.mark.parametrize(
    ("text", "root", "steps"),
    [
        ("$", "$", ()),
        ("$$", "$$", ()),
        ("$$.Execution.Id", "$$", (Names(("Execution",)), Names(("Id",)))),
        ("$variable", "$variable", ()),
        ("$größe_1.x[0]", "$größe_1", (Names(("x",)), Indexes((0,)))),
        ("$var['a']", "$var", (Names(("a",)),)),
        ("$.a..b", "$", (Names(("a",)), Deep(Names(("b",))))),
        ("$..['a','b']", "$", (Deep(Names(("a", "b"))),)),
        ("$..*", "$", (Deep(Every()),)),
        ("$[ -1 , 2 ]", "$", (Indexes((-1, 2)),)),
        ("$[:]", "$", (Slice(None, None, None),)),
        ("$[1 : -1 : 2]", "$", (Slice(1, -1, 2),)),
        ("$.delivery-partner", "$", (Names(("delivery-partner",)),)),
        (r"""$['Test\""Name"']""", "$", (Names((r'Test\""Name"',)),)),  # recorded: the backslash is part of the name
        (r"$['a\\b']", "$", (Names((r"a\b",)),)),
    ],
)
def test_paths(text, root, steps):
    assert parse_path(text) == Path(root, steps, text)


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "'$' is expected"),
        ("a.b", 0, "'$' is expected"),
        ("@.a", 0, "'$' is expected"),
        ("$.", 2, "a name is expected"),
        ("$..", 3, "a name is expected"),
        ("$.a.", 4, "a name is expected"),
        ("$...a", 3, "a name is expected"),
        ("$.a b", 3, "this cannot stand here"),
        ("$5", 1, "this cannot stand here"),
        ("$.a]", 3, "this cannot stand here"),
        ("$.a)", 3, "this cannot stand here"),
        ("$[", 2, "an index"),
        ("$[]", 2, "an index"),
        ("$[1,]", 4, "an index"),
        ("$[a]", 2, "an index"),
        ("$[1", 3, "']' is expected"),
        ("$['a]", 2, "not closed"),
        ("$['a',]", 6, "a quoted name is expected"),
        ("$['a'", 5, "']' is expected"),
        ("$[::0]", 5, "a step other than 0"),
        ("$[1:2:3:4]", 9, "a slice is"),
        ("$.a.length()", 4, "functions are not supported"),
        ("$.length()", 2, "functions are not supported"),
        ("$..size()", 3, "functions are not supported"),
        ("$.a[0]()", 6, "functions are not supported"),
        ("$.a[?(@.b.length() > 1)]", 10, "functions are not supported"),
        ("$.a[?@.b]", 5, "'(' is expected"),
        ("$.a[?(@.b ==)]", 12, "a value is expected"),
        ("$.a[?(@.b = 1)]", 10, "')' is expected"),
        ("$.a[?(@.b like 'x')]", 10, "is no operator"),
        ("$.a[?(1)]", 7, "an operator is expected"),
        ("$.a[?(@.b == 1]", 14, "')' is expected"),
        ("$.a[?(@.b =~ 'x')]", 6, "a pattern"),
        ("$.a[?(@.b == /x/)]", 6, "a pattern"),
        ("$.a[?(@.b =~ /(/)]", 13, "the pattern is not valid"),
        ("$.a[?(@.b =~ /x)]", 17, "'/' is expected"),
        ("$.a[?(@.b == 1e999)]", 13, "out of range"),
        ("$.a[?(@.b in ['x' 'y'])]", 18, "',' is expected"),
        ("$.a[?(" + "(" * 60, 55, "nests deeper"),
    ],
)
def test_what_is_no_path(text, position, problem):
    with pytest.raises(PathError) as caught:
        parse_path(text)
    assert problem in caught.value.problem
    assert caught.value.position == position
    assert f"at character {position + 1} of" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("$.a[?(@.b==TOTAL)]", "$.a[?(@.b=='TOTAL')]"),
        ("$..a[?(@.b.c == Two-Words )].d", "$..a[?(@.b.c == 'Two-Words' )].d"),
        ("$.a[?(@.b in [x, 'y', null])]", "$.a[?(@.b in ['x', 'y', null])]"),
        ("$.a[?(@.b == nullable)]", "$.a[?(@.b == 'nullable')]"),
        ("$.a[(@.length-1)].b", "$.a[-1].b"),
        ("$.a[( @.length - 2 )]", "$.a[-2]"),
        ("$$.Execution.Name ", "$$.Execution.Name"),
    ],
)
def test_what_published_machines_write(text, like):
    read, plain = parse_path(text), parse_path(like)
    assert (read.root, read.source) == (plain.root, text)
    assert [str(step).replace(text, like) for step in read.steps] == [str(step) for step in plain.steps]


def test_calls():
    call = parse_expression(
        "States.Format( 'a {} \\{\\} \\'b\\'' ,$.x[0], States.Array(1,-2.50,true,null) , $$.Execution )"
    )
    assert isinstance(call, Call)
    template, path, inner, context = call.arguments
    assert template == Constant("a {} {} 'b'", (2,))
    assert (path.source, context.source) == ("$.x[0]", "$$.Execution")
    assert [argument.value for argument in inner.arguments] == [1, -2.5, True, None]
    assert inner.arguments[1].value.literal == "-2.50"
    assert inner.source == "States.Array(1,-2.50,true,null)"
    assert parse_expression("States.UUID()") == Call("States.UUID", (), "States.UUID()")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("States.Format('a)", 14),
        ("States.Format('a'", 17),
        ("States.Format('a',)", 18),
        ("States.Format('a' 'b')", 18),
        ("States.Format(a)", 14),
        ('States.Format("a")', 14),
        ("States.Format('a\\n')", 16),  # recorded: a lone backslash is refused
        ("States.Format('He said, \\\"Hello\\\"')", 24),
        ("States.Format", 13),
        ("States.", 0),
        ("States.UUID() ;", 14),
        ("States.Array($.a.length())", 17),
        ("States.StringSplit('2020', '-')[0]", 31),
    ],
)
def test_what_is_no_call(text, position):
    with pytest.raises(PathError) as caught:
        parse_expression(text)
    assert caught.value.position == position


def test_long_texts_are_read_in_linear_time():
    for text in ("$" + "a" * 100_000, "$" + ".a" * 10_000, "$['" + "\\'" * 10_000 + "']"):
        assert parse_path(text).source == text


def test_calls_nest_ten_deep():
    def nested(depth):
        return "States.Array(" * depth + ")" * depth

    assert MAX_NESTED_CALLS == 10
    parse_expression(nested(10))
    parse_expression(f"States.Array({nested(9)},{nested(9)})")
    with pytest.raises(PathError, match="nest deeper than 10"):
        parse_expression(nested(11))


@given(st.text(max_size=20) | st.text("$.[]'\",:*?()@=!<>&|/\\0aS ", max_size=30))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(PathError):
        assert parse_path("$" + text).source == "$" + text
    with contextlib.suppress(PathError):
        parse_expression("States.Format(" + text)


@given(st.text(max_size=8))
def test_any_name_can_be_quoted(name):
    for quote in "'\"":
        escaped = name.replace("\\", "\\\\").replace(quote, "\\" + quote)
        assert parse_path(f"$[{quote}{escaped}{quote}]").steps == (Names((name,)),)
