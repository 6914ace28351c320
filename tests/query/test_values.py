"""Values as text: what the door lets in, and that nothing is rewritten on the way."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepfold.query import values
from stepfold.query.values import NotAdmitted, Value, admit, admit_tree, fields, items, join, text, tree

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@pytest.mark.parametrize(
    "literal", ["1", "-1", "1.10", "1E3", "1e-7", "0.30000000000000004", "-0.0", "123456789012345678901"]
)
def test_number_literals_survive(literal):
    assert bytes(admit(f'{{"n": {literal} }}')) == f'{{"n":{literal}}}'.encode()
    assert bytes(text(tree(admit(f"[{literal}]")))) == f"[{literal}]".encode()


def test_key_order_and_last_duplicate():
    assert bytes(admit('{"b":1,"a":2}')) == b'{"b":1,"a":2}'
    assert bytes(admit('{"a":1,"a":2}')) == b'{"a":2}'


@pytest.mark.parametrize(
    "bad", ["", "{", "[1,]", "nul", "NaN", "1e999", '"\x01"', b'"\xff"', "[" * 201 + "]" * 201, "[" * 5000 + "]" * 5000]
)
def test_what_is_not_admitted(bad):
    with pytest.raises(NotAdmitted):
        admit(bad)


def test_depth_and_size_limits_are_exact():
    assert bytes(admit("[" * 200 + "]" * 200)).count(b"[") == 200
    assert bytes(admit('"abcdefgh"', limit=10)) == b'"abcdefgh"'
    with pytest.raises(NotAdmitted, match="10 bytes, 9 are allowed"):
        admit('"abcdefgh"', limit=9)


@pytest.mark.parametrize("bad", [{"a": math.nan}, [math.inf, None], {1, 2, math.nan}, object(), {"f": print}])
def test_python_data_that_is_not_json(bad):
    with pytest.raises(NotAdmitted):
        admit_tree(bad)


@given(documents)
def test_admitting_is_idempotent_and_keeps_the_data(document):
    once = admit(json.dumps(document))
    assert bytes(admit(bytes(once))) == bytes(once)
    assert tree(once) == document


@given(st.dictionaries(st.text(), documents, max_size=4), st.lists(documents, max_size=4))
def test_slices_are_the_text_of_the_parts(members, elements):
    sliced = fields(admit_tree(members))
    assert {name: tree(part) for name, part in sliced.items()} == members
    assert bytes(join(items(admit_tree(elements)))) == bytes(admit_tree(elements))
    assert bytes(text(sliced)) == bytes(admit_tree(members))


def test_constants():
    assert [bytes(v) for v in (values.NULL, values.EMPTY_OBJECT, values.EMPTY_ARRAY)] == [b"null", b"{}", b"[]"]
    assert isinstance(values.NULL, Value)
