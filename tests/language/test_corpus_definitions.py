"""The definitions that AWS was given: what it took gives no error here, what it refused is refused in its words."""

from __future__ import annotations

import ast
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.language.breaks import BREAKS, names

from stepfold.errors import InvalidDefinition
from stepfold.interpreter.choice import choose
from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR, as_invalid_definition
from stepfold.language.machine import load
from stepfold.language.rules import compile_rule
from stepfold.query.template import Moment, Scope
from stepfold.query.values import text

CORPUS = Path(os.environ.get("STEPFOLD_CORPUS", Path(__file__).parents[3] / "shared" / "conformance"))

pytestmark = pytest.mark.skipif(
    not (CORPUS / "cases").is_dir(),
    reason=f"NO RECORDINGS AT {CORPUS}: what AWS takes and refuses is not compared (set STEPFOLD_CORPUS)",
)

NOT_OF_AWS = "Error=ValueError Args="
"""Labels: these answers were written by another emulator (language notes, section 14)."""


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((CORPUS / "cases").glob("*/*.json")):
        yield path.stem, json.loads(path.read_text())


def accepted() -> list[Any]:
    found: dict[tuple[str, str], str] = {}
    for name, case in cases():
        for machine in case["machines"]:
            kind = machine.get("type") or "STANDARD"
            for made in (machine, *machine.get("updates", ())):
                if made.get("definition"):
                    found.setdefault((made["definition"], kind), name)
    return [pytest.param(definition, kind, id=name) for (definition, kind), name in found.items()]


def answered(operation: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Each checked call of the operation: case, parameters, and the recorded answer."""
    for name, case in cases():
        for noted in case["checks"]:
            call = case["calls"][noted["call"]] if noted.get("call") is not None else None
            if call and call["op"] == operation and call["params"].get("definition"):
                yield name, call["params"], case["expected"].get(noted["key"])


def refused() -> list[Any]:
    found = []
    for name, params, answer in answered("CreateStateMachine"):
        message = json.dumps(answer)
        if "InvalidDefinition" in message and NOT_OF_AWS not in message:
            said = answer.get("message") or answer["exception_value"]
            found.append(pytest.param(params, said.replace("<partition>", "aws"), id=name))
    return found


def refused_labels() -> list[Any]:
    found = []
    for name, params, answer in answered("CreateStateMachine"):
        said = json.dumps(answer)
        if NOT_OF_AWS in said:
            (reason,) = ast.literal_eval(answer["message"].removeprefix(NOT_OF_AWS).partition(" in definition ")[0])
            found.append(pytest.param(params["definition"], reason, id=name))
    return found


def recorded_here(collect: Any) -> list[Any]:
    return collect() if (CORPUS / "cases").is_dir() else []


@pytest.mark.parametrize(("definition", "kind"), recorded_here(accepted))
def test_what_aws_took_gives_no_error(definition: str, kind: str):
    assert [found for found in check(definition, type=kind) if found.severity == ERROR] == []


@pytest.mark.parametrize(("params", "said"), recorded_here(refused))
def test_what_aws_refused_is_refused_in_its_words(params: dict[str, str], said: str):
    found = check(params["definition"], type=params.get("type", "STANDARD"))
    assert said.endswith(as_invalid_definition(found))


@pytest.mark.parametrize(("definition", "reason"), recorded_here(refused_labels))
def test_labels_are_refused_for_the_same_reason(definition: str, reason: str):
    assert [(found.code, found.message) for found in check(definition)] == [("INVALID_LABEL_NAME", reason)]


@pytest.mark.parametrize(
    ("params", "answer"),
    recorded_here(
        lambda: [pytest.param(params, got, id=name) for name, params, got in answered("ValidateStateMachineDefinition")]
    ),
)
def test_diagnostics_are_those_of_aws(params: dict[str, str], answer: dict[str, Any]):
    found = check(params["definition"], type=params.get("type", "STANDARD"))
    plain = [
        {"severity": one.severity, "code": one.code, "message": one.message}
        | ({"location": one.location} if one.location else {})
        for one in found
        if one.severity == ERROR
    ]
    assert plain == answer["diagnostics"]
    assert answer["result"] == ("FAIL" if plain else "OK")


def test_comparisons_come_out_as_recorded():
    compared = 0
    for _, case in cases():
        if case["area"] != "choice_operators":
            continue
        for execution, recorded in zip(case["executions"], case["expected"]["cases"], strict=True):
            definition = json.loads(case["machines"][execution["machine"]]["definition"])
            state = next(state for state in definition["States"].values() if state["Type"] == "Choice")
            scope = Scope(text(json.loads(execution["input"])), dict)
            chosen = choose([compile_rule(rule) for rule in state["Choices"]], scope, Moment(0, lambda: 0.0, bytes))
            came_to = state["Default"] if chosen < 0 else state["Choices"][chosen]["Next"]
            assert came_to in json.dumps(recorded["output"])
            compared += 1
    assert compared > 100


ODD: list[Any] = [
    None, True, 0, -1, 1.5, 2.0, 10**30, "", "1", "x", "$", "$.a", "$.a[*]", "$$", "$v", "States.UUID()", "{% 1 %}",
    [], ["a"], {}, {"a.$": "$.b"},
]  # fmt: skip


def test_whatever_passes_the_check_can_be_made_ready():
    """Recorded definitions with something changed: the check refuses them, or they load (or cannot be run yet)."""
    chance = random.Random(20_161_201)
    texts = [param.values[0] for param in accepted()]
    loaded = 0
    codes: set[str] = set()
    for _ in range(3_000):
        definition = json.loads(chance.choice(texts))
        holder, key = chance.choice(list(places(definition)))
        holder[key] = chance.choice(ODD)
        if any(found.severity == ERROR for found in check(definition)):
            continue
        try:
            load(definition)
        except InvalidDefinition as refused:
            codes.update(found.code for found in refused.diagnostics if found.severity == ERROR)
        else:
            loaded += 1
    assert codes <= {"NOT_SUPPORTED"}
    assert loaded > 100


def test_recorded_definitions_broken_in_one_place_are_refused_there():
    tried = 0
    for number, param in enumerate(accepted()):
        for name in random.Random(number).sample(list(BREAKS), 8):
            definition = json.loads(param.values[0])
            place = BREAKS[name](definition, random.Random(number))
            if place is not None:
                found = [one for one in check(json.dumps(definition), type=param.values[1]) if one.severity == ERROR]
                assert names(found, place), (param.id, name, place, found)
                tried += 1
    assert tried > 500


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value: what holds it, and under which key."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(inner)
