"""Two thousand definitions made up at random: the right ones pass, and what is broken in one is named.

Each break is tried on many of them; that it says where is as much of the promise as that it refuses.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from tests.language.breaks import BREAKS, names
from tests.language.definitions import blocks, definition

from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR, Diagnostic
from stepfold.language.machine import load
from stepfold.language.reading.places import places

SEEDS = 2_000
PARTS = 10


def errors(value: Any, **more: bool) -> list[Diagnostic]:
    return [found for found in check(json.dumps(value), **more) if found.severity == ERROR]


@pytest.mark.parametrize("part", range(PARTS))
def test_right_ones_pass_and_broken_ones_are_named(part: int):
    every = list(BREAKS)
    for seed in range(part, SEEDS, PARTS):
        whole = definition(seed)
        assert errors(whole) == [], seed
        chance = random.Random(seed)
        start = seed % len(every)
        for name in [*every[start:], *every[:start]]:
            broken = BREAKS[name](whole, chance)
            if broken is not None:
                found = errors(whole)
                assert names(found, broken), (seed, name, broken, found)
                break


@pytest.mark.parametrize("name", BREAKS)
def test_each_break_is_found_and_named(name: str):
    tried = 0
    for seed in range(400):
        whole = definition(seed)
        broken = BREAKS[name](whole, random.Random(seed))
        if broken is None:
            continue
        found = errors(whole)
        assert names(found, broken), (seed, broken, found)
        tried += 1
        if tried == 8:
            return
    assert tried, "no definition has anything of the kind"


def test_right_ones_load():
    for seed in range(0, SEEDS, 20):
        whole = definition(seed)
        if not any("ExecutionType" in block.get("ProcessorConfig", {}) for block, _ in blocks(whole)):
            load(json.dumps(whole))


def test_every_kind_of_state_and_field_occurs():
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        count(definition(seed), seen)
    assert {"Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"} <= seen.keys()
    for field in ("Assign", "Output", "Arguments", "Items", "ItemReader", "ResultWriter", "Retry", "Catch", "Label"):
        assert seen[field] > 100, field


def count(value: Any, seen: Counter[str]) -> None:
    if isinstance(value, dict):
        seen.update(value.keys())
        seen.update([value["Type"]] if isinstance(value.get("Type"), str) else [])
        for inner in value.values():
            count(inner, seen)
    elif isinstance(value, list):
        for inner in value:
            count(inner, seen)


def test_any_value_may_be_a_placeholder():
    """Whatever plain value a template gives, with or without quotes: no error."""
    for seed in range(0, SEEDS, 4):
        whole = definition(seed)
        holders = [(holder, key) for holder, key in leaves(whole) if key != "QueryLanguage"]
        holder, key = random.Random(seed).choice(holders)
        before, holder[key] = holder[key], "${Given}"
        assert errors(whole, placeholders=True) == [], (seed, key, before)


def leaves(value: Any):
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(inner, dict | list):
            yield from leaves(inner)
        else:
            yield value, key


def test_what_is_found_has_a_line():
    for seed in range(0, SEEDS, 50):
        whole = definition(seed)
        broken = BREAKS["a field of a state"](whole, random.Random(seed))
        text = json.dumps(whole, indent=2)
        (found,) = [one for one in check(text) if one.severity == ERROR]
        span = places(text).parts[found.focus].name
        assert found.focus == broken
        assert text.splitlines()[span.line - 1][span.column - 1 : span.end - 1] == '"Nxt"'
