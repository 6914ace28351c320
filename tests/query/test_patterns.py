"""Patterns: the two ways to match say the same, and the costly one is never Python's."""

import contextlib
import re
import time

import pytest

from stepfold.query.jsonpath import patterns
from stepfold.query.jsonpath.patterns import Matcher
from stepfold.query.template import Overrun

PATTERNS = [
    "abc", "a.*c", "[a-c]+", "(ab)+", "(a|b)*c?", r"\d{2,4}", r"\w+@\w+\.com", r"a\/b", "[^x]*", r"(?:a+)+b", r"a\.b",
    r"[\]]", "", ".*foo.*bar.*", "^abc$", r"(a)\1", "a(?=b)b",
]
TEXTS = ["", "abc", "ac", "abab", "bac", "2024", "12345", "me@example.com", "a/b", "aaab", "a.b", "]a", "x foo y bar z",
         "aa", "ab", "ABC", "abc\n"]


@pytest.mark.parametrize("flags", [0, re.IGNORECASE], ids=["", "i"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_ways_say_the_same(pattern, flags, monkeypatch):
    wanted = {text: re.fullmatch(pattern.replace("\\/", "/"), text, flags) is not None for text in TEXTS}
    assert {text: Matcher(pattern, flags).fullmatch(text) for text in TEXTS} == wanted
    monkeypatch.setattr(patterns, "COST", -1)
    assert {text: Matcher(pattern, flags).fullmatch(text) for text in TEXTS} == wanted


COSTLY = ["(a+)+b", "(a|aa)+b", "(a*)*b", "a*a*a*a*a*a*b", "(a{1,30}){1,30}b", "a?" * 30 + "b"]


@pytest.mark.parametrize("pattern", COSTLY)
def test_what_may_cost_much_ends_in_time(pattern, monkeypatch):
    monkeypatch.setitem(patterns.library._UNHURRIED, "timeout", 0.3)
    began = time.monotonic()
    with contextlib.suppress(Overrun):
        assert not Matcher(pattern, 0).fullmatch("a" * 5_000)
    assert time.monotonic() - began < 2


def test_flags_that_only_python_knows_are_refused_where_it_would_be_used_for_long():
    assert Matcher("a.*b", re.DOTALL).fullmatch("a\nb")
    with pytest.raises(Overrun):
        Matcher("(a.*)*b", re.DOTALL).fullmatch("a" * 1_000)
