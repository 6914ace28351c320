"""Selection as Jayway does it: one table of paths, what each finds, and the laws of text and tree."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query.jsonpath.compare import MISSING, Meter
from stepfold.query.jsonpath.parse import parse_path
from stepfold.query.jsonpath.select import PAST_THE_END, compile_selection
from stepfold.query.template import Overrun

STORE = {
    "store": {
        "book": [
            {"category": "reference", "author": "Rees", "title": "Sayings", "price": 8.95},
            {"category": "fiction", "author": "Waugh", "title": "Sword", "price": 12.99},
            {"category": "fiction", "author": "Melville", "title": "Moby", "isbn": "0-553", "price": 8.99},
            {"category": "fiction", "author": "Tolkien", "title": "Rings", "isbn": "0-395", "price": 22.99},
        ],
        "bicycle": {"color": "red", "price": 19.95},
    },
    "limit": 10,
    "n": [0, 1, 2, 3, 4, 5],
    "mixed": [1, 1.0, True, "1", None, [1], {"a": 1}],
    "odd names": {"a b": 1, "c.d": 2, "it's": 3, 'q"': 4, "": 5},
    "1n": "digit",
    "x:y": "colon",
    "ключ": "unicode",
    "da-sh": "dash",
    "under_score": "u",
    "$d": "dollar",
    "abc": {"def ghi": "blank"},
    "people": [
        {"name": "Ann", "tags": ["a", "b"], "age": 30, "ok": True, "nick": None},
        {"name": "Bob", "tags": [], "age": 25, "ok": False},
        {"name": "Cy", "age": "25", "tags": ["b"], "inner": {"deep": [{"v": 1}, {"v": 2}]}},
    ],
    "grid": [[1, 2], [3, 4]],
}
BOOK = STORE["store"]["book"]
PEOPLE = STORE["people"]


def names(*indexes):
    return [PEOPLE[index]["name"] for index in indexes]


CASES = [
    # names and indexes: definite
    ("$", STORE),
    ("$.limit", 10),
    ("$['limit']", 10),
    ('$["limit"]', 10),
    ("$[ 'limit' ]", 10),
    ("$.store.bicycle.color", "red"),
    ("$.store['bicycle'].color", "red"),
    ("$.store.book[0].title", "Sayings"),
    ("$.store.book[-1].title", "Rings"),
    ("$.store.book.[1].title", "Sword"),
    ("$['odd names']['a b']", 1),
    ("$['odd names']['c.d']", 2),
    ("$['odd names']['it\\'s']", 3),
    ("$['odd names'][\"it's\"]", 3),
    ("$['odd names']['q\"']", 4),
    ("$['odd names']['']", 5),
    ("$.abc.['def ghi']", "blank"),
    ("$.1n", "digit"),
    ("$.x:y", "colon"),
    ("$.ключ", "unicode"),
    ("$.da-sh", "dash"),
    ("$.under_score", "u"),
    ("$.$d", "dollar"),
    ("$.grid[1][0]", 3),
    ("$.people[0].nick", None),
    ("$.nothing", MISSING),
    ("$.store.nothing.more", MISSING),
    ("$.limit.more", MISSING),
    ("$.store.book.title", MISSING),
    ("$.store[0]", MISSING),
    ("$.people[0].name[0]", MISSING),
    ("$.n[6]", PAST_THE_END),
    ("$.n[-7]", PAST_THE_END),
    ("$.people[9].name", MISSING),
    ("$.store.bicycle['color','price']", {"color": "red", "price": 19.95}),
    ("$.store.bicycle['color','none']", {"color": "red"}),
    # indefinite
    ("$.store.book[*].author", ["Rees", "Waugh", "Melville", "Tolkien"]),
    ("$.store.bicycle.*", ["red", 19.95]),
    ("$.store.bicycle[*]", ["red", 19.95]),
    ("$.nothing[*]", []),
    ("$.limit[*]", []),
    ("$.n[0,2,9]", [0, 2]),
    ("$.n[1:3]", [1, 2]),
    ("$.n[:2]", [0, 1]),
    ("$.n[4:]", [4, 5]),
    ("$.n[-2:]", [4, 5]),
    ("$.n[:-4]", [0, 1]),
    ("$.n[::2]", [0, 2, 4]),
    ("$.n[1:5:3]", [1, 4]),
    ("$.nothing[1:].x", []),
    ("$.grid[*][0]", [1, 3]),
    ("$.people[*]['name','ok']", [{"name": "Ann", "ok": True}, {"name": "Bob", "ok": False}, {"name": "Cy"}]),
    ("$.store['bicycle','book'].color", ["red"]),
    ("$..isbn", ["0-553", "0-395"]),
    ("$..price", [8.95, 12.99, 8.99, 22.99, 19.95]),
    ("$.store..price", [8.95, 12.99, 8.99, 22.99, 19.95]),
    ("$..book[2].title", ["Moby"]),
    ("$..deep[*].v", [1, 2]),
    ("$.grid..*", [[1, 2], [3, 4], 1, 2, 3, 4]),
    ("$..nothing", []),
    # filters
    ("$.store.book[?(@.price < 10)].title", ["Sayings", "Moby"]),
    ("$.store.book[?(@.price<10)].title", ["Sayings", "Moby"]),
    ("$.store.book[?(@.price >= 12.99)].title", ["Sword", "Rings"]),
    ("$.store.book[?(@.price <= $.limit)].title", ["Sayings", "Moby"]),
    ("$.store.book[?($.limit > @.price)].title", ["Sayings", "Moby"]),
    ("$.store.book[?(@.isbn)].title", ["Moby", "Rings"]),
    ("$.store.book[?(!@.isbn)].title", ["Sayings", "Sword"]),
    ("$.store.book[?(!(@.isbn && @.price > 10))].title", ["Sayings", "Sword", "Moby"]),
    ("$.store.book[?(@.category == 'fiction' && @.price < 10 || @.author == \"Rees\")].title", ["Sayings", "Moby"]),
    ("$.store.book[?(@.category == 'fiction' && (@.price < 10 || @.author == 'Waugh'))].title", ["Sword", "Moby"]),
    ("$.store.book[?(@['author'] != 'Rees')].author", ["Waugh", "Melville", "Tolkien"]),
    ("$.store.book[?(@.author =~ /.*L.*/i)].author", ["Melville", "Tolkien"]),
    ("$.store.book[?(@.author =~ /Mel/)].author", []),
    ("$.people[?(@.nick)].name", names(0)),
    ("$.people[?(@.nick == null)].name", names(0)),
    ("$.people[?(@.age == 25)].name", names(1, 2)),
    ("$.people[?(@.age === 25)].name", names(1)),
    ("$.people[?(@.age > 24)].name", names(0, 1)),
    ("$.people[?(@.ok == true)].name", names(0)),
    ("$.people[?(@.ok != true)].name", names(1, 2)),
    ("$.people[?(@.name in ['Ann', 'Cy'])].name", names(0, 2)),
    ("$.people[?(@.name nin ['Ann', 'Cy'])].name", names(1)),
    ("$.people[?(@.tags contains 'b')].name", names(0, 2)),
    ("$.people[?(@.name contains 'o')].name", names(1)),
    ("$.people[?(@.tags size 2)].name", names(0)),
    ("$.people[?(@.tags empty true)].name", names(1)),
    ("$.people[?(@.tags empty false)].name", names(0, 2)),
    ("$.people[?(@.tags subsetof ['a', 'b', 'c'])].name", names(0, 1, 2)),
    ("$.people[?(@.tags anyof ['a'])].name", names(0)),
    ("$.people[?(@.tags noneof ['a'])].name", names(1, 2)),
    ("$.people[?(@.inner.deep[?(@.v == 2)])].name", names(2)),
    ("$.people[?(@.tags[0] == 'a')].name", names(0)),
    ("$.people[?(@.tags[5])].name", []),
    ("$.mixed[?(@ == 1)]", [1, 1.0, "1"]),
    ("$.mixed[?(@ === 1)]", [1, 1.0]),
    ("$.mixed[?(@ == true)]", [True]),
    ("$.mixed[?(@ == null)]", [None]),
    ("$.n[?(@ > 1 && @ < 4)]", [2, 3]),
    ("$.store.bicycle[?(@.color == 'red')].price", [19.95]),
    ("$.nothing[?(@.x == 1)]", []),
    ("$..[?(@.v > 1)].v", [2]),
    ("$..book[?(@.price > 20)].title", ["Rings"]),
]


def typed(value):
    """A value with its types, so that 1, 1.0 and true are told apart."""
    return value if value is MISSING or value is PAST_THE_END else json.dumps(value)


@pytest.mark.parametrize(("path", "expected"), CASES, ids=[path for path, _ in CASES])
def test_what_a_path_finds(path, expected):
    selection = compile_selection(parse_path(path))
    assert typed(selection.find(STORE, STORE, Meter())) == typed(expected)


def test_there_are_enough_cases():
    assert len(CASES) >= 54
    assert len({path for path, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("path", "definite"),
    [
        ("$.a[0]['b']", True),
        ("$.a['b','c']", True),
        ("$.a['b','c'].d", False),
        ("$.a[0,1]", False),
        ("$.a[*]", False),
        ("$..a", False),
        ("$.a[?(@.b)]", False),
        ("$.a[1:]", False),
    ],
)
def test_definite(path, definite):
    assert compile_selection(parse_path(path)).definite is definite


@pytest.mark.parametrize(
    ("path", "heavy"),
    [
        ("$.a", False),
        ("$.a[?(@.b == 'x')]", False),
        ("$.a[?(@.b =~ /x/)]", True),
        ("$..[?(!(@.b =~ /x/))].c", True),
        ("$.a[?(@.b && (@.c =~ /x/ || @.d))]", True),
        ("$.a[?(@.b[?(@ =~ /x/)])]", True),
        ("$.a[?(@.b[?(@ =~ /x/)] size 1)]", True),
    ],
)
def test_a_regular_expression_makes_it_heavy(path, heavy):
    assert compile_selection(parse_path(path)).heavy is heavy


@pytest.mark.parametrize(
    "path",
    ["$..*", "$..nothing", "$..[?(@.nothing)]", "$[?(@.a in $..b)]", "$[?($[?($[?(@)])])]", "$..*..*", "$[*][*][*]"],
)
def test_the_budget_ends_what_would_not_end(path):
    document = [{"a": 1, "b": [[1] * 10] * 10}] * 200
    selection = compile_selection(parse_path(path))
    with pytest.raises(Overrun):
        selection.find(document, document, Meter(1000))


keys = st.sampled_from(["a", "b", "c"]) | st.integers(0, 3)
trees = st.recursive(
    st.integers() | st.text(max_size=3) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=15,
)


@given(trees, st.lists(keys, max_size=4))
def test_a_reference_path_finds_what_python_finds(document, trail):
    path = "$" + "".join(f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in trail)
    found = compile_selection(parse_path(path)).find(document, document, Meter())
    node = document
    for place, key in enumerate(trail):
        if not isinstance(node, dict if isinstance(key, str) else list) or (isinstance(key, str) and key not in node):
            assert found is MISSING
            return
        if isinstance(key, int) and key >= len(node):
            assert found is (PAST_THE_END if place == len(trail) - 1 else MISSING)
            return
        node = node[key]
    assert found is node


@given(trees)
def test_deep_wildcard_meets_every_node_once(document):
    def below(node):
        children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        return len(children) + sum(map(below, children))

    assert len(compile_selection(parse_path("$..*")).find(document, document, Meter())) == below(document)
