"""Where the parts of a definition stand in JSON, in YAML, and in text inside a template."""

from __future__ import annotations

import json
import random

import pytest
import yaml

from stepfold.language.reading.places import Places, Span, places

JSON_TEXT = """\
{
  "StartAt": "A",
  "TimeoutSeconds": ${Timeout},
  "States": {"A": {"Type": "Pass", "a\\"/b": [1, {"x": "ü"}], "Type": "Fail"}}
}
"""
YAML_TEXT = """\
StartAt: A
States:
  A: {Type: Pass, L: [x, "y"]}
  B:
    Comment: |
      two
      lines
    Type: Pass
    Type: Wait
"""
TEMPLATE = """\
Resources:
  M:
    Properties:
      DefinitionString: !Sub |
        {
          "StartAt": "A",

          "States": {
            "A": {"Next": "${B}"}
          }
        }
"""


def piece(text: str, span: Span) -> str:
    return text.splitlines()[span.line - 1][span.column - 1 : span.end - 1]


def test_json():
    where = places(JSON_TEXT)
    assert piece(JSON_TEXT, where.parts["/TimeoutSeconds"].value) == "${Timeout}"
    assert where.parts["/TimeoutSeconds"].value == Span(3, 21, 31)
    inner = where.parts['/States/A/a"/b[1]/x']
    assert inner.plain
    assert (piece(JSON_TEXT, inner.shown), piece(JSON_TEXT, inner.name)) == ('"ü"', '"x"')
    assert piece(JSON_TEXT, where.find("/States/A").shown) == '"A"'
    assert [(at, piece(JSON_TEXT, span)) for at, span in where.twice] == [("/States/A/Type", '"Type"')]


def test_yaml():
    where = places(YAML_TEXT)
    assert piece(YAML_TEXT, where.parts["/States/A/L[1]"].shown) == '"y"'
    assert piece(YAML_TEXT, where.parts["/States/B"].shown) == "B"
    assert where.parts["/States/B/Comment"].value.line == 5
    assert [(at, span.line) for at, span in where.twice] == [("/States/B/Type", 9)]


def test_a_definition_in_a_text_of_a_template():
    where = places(TEMPLATE).under("/Resources/M/Properties/DefinitionString")
    assert piece(TEMPLATE, where.parts["/States/A/Next"].shown) == '"${B}"'
    assert piece(TEMPLATE, where.parts["/StartAt"].name) == '"StartAt"'


def test_what_is_not_there_is_looked_for_around():
    where = places(JSON_TEXT)
    assert where.find("/States/A/Catch[0]/Next") == where.parts["/States/A"]
    assert where.find("/States/A/b[4][2]") == where.parts["/States/A"]
    assert where.find("/") == where.find(None) == where.parts[""]
    assert Places({}, []).find("/States") is None


@pytest.mark.parametrize(
    "text", ["", " ", "{", "[1,", '{"a" 1}', '{"a": }', "{]", "a: [", "\t- x", "[" * 3_000, "&a [*a, *a]", "\0", "x"]
)
def test_no_text_makes_it_stumble(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stepfold.language.reading.places.MAX_NODES", 5_000)
    assert isinstance(places(text), Places)


def test_every_part_of_any_json_has_its_place():
    chance = random.Random(7)
    for _ in range(300):
        value = generated(chance, 4)
        for text in (json.dumps(value), json.dumps(value, indent=chance.choice([1, 2, 4]))):
            where = places(text)
            assert set(where.parts) == set(locations(value, ""))
            for location, leaf in locations(value, "").items():
                part = where.parts[location]
                if part.plain:
                    assert json.loads(piece(text, part.value)) == leaf
        if isinstance(value, dict):
            assert set(places(yaml.safe_dump(value)).parts) >= set(locations(value, ""))


def generated(chance: random.Random, depth: int):
    kind = chance.randrange(5 if depth else 3)
    if kind == 3:
        return [generated(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind == 4:
        return {chance.choice('ab"\\é/'): generated(chance, depth - 1) for _ in range(chance.randrange(4))}
    return [chance.choice(["", "x", 'q"', "\\", "ü\n"]), chance.randrange(9), None][kind]


def locations(value, at: str) -> dict:
    found = {at: value}
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= locations(inner, f"{at}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= locations(inner, f"{at}[{index}]")
    return found
