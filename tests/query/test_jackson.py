"""Where a text stops being JSON."""

import pytest

from stepfold.query import jackson


@pytest.mark.parametrize(("text", "line", "column"), [
    ("", 1, 1),
    ("not a definition", 1, 4),  # (recorded)
    ('{"a": 1,\n "b"}', 2, 5),
    ("[1,\n\n 2 3]", 3, 4),
    ("{", 1, 2),
])
def test_a_fault_has_a_place(text, line, column):
    found = jackson.fault(text)
    assert found is not None
    assert (found.line, found.column) == (line, column)
    assert found.words == jackson.complaint(text)


def test_what_is_json_has_no_fault():
    assert jackson.fault('{"a":\n[1]}') is None
