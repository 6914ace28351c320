"""Definitions read from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stepfold.errors import InvalidDefinition
from stepfold.language.machine import load
from stepfold.language.reading.files import read

YAML = """\
Comment: on
StartAt: Until
States:
  Until:
    Type: Wait
    Timestamp: 2016-03-14T01:59:00Z
    Next: Give
  Give:
    Type: Pass
    Result: {day: 2020-01-01, number: 1, code: 012, switch: yes}
    End: true
"""


def test_json_is_taken_as_it_stands(tmp_path: Path):
    text = '{ "StartAt":"A",\n "States":{"A":{"Type":"Pass","Result":1.10,"End":true}}}'
    path = tmp_path / "a.asl.json"
    path.write_text(text)
    assert read(path) == text
    assert read(str(path)) == text


@pytest.mark.parametrize("name", ["a.asl.yaml", "a.asl.yml"])
def test_yaml_keeps_dates_and_words_as_text(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text(YAML)
    plain = json.loads(read(path))
    assert plain["Comment"] == "on"
    assert plain["States"]["Until"]["Timestamp"] == "2016-03-14T01:59:00Z"
    assert plain["States"]["Give"]["Result"] == {"day": "2020-01-01", "number": 1, "code": "012", "switch": "yes"}
    assert load(read(path)).start_at == "Until"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.asl.json", '{"StartAt": "A",\n "States": }', "line 2"),
        ("a.asl.yaml", "StartAt: A\nStates: [a\n", "line 3, column 1"),
        ("a.asl.yaml", "just words", "an object with StartAt and States"),
        ("a.asl.json", "", "empty"),
    ],
)
def test_the_place_of_a_mistake_is_named(tmp_path: Path, name: str, text: str, said: str):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidDefinition, match=said) as caught:
        read(path)
    assert name in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InvalidDefinition, match=r"gone\.asl\.json: no such file"):
        read(tmp_path / "gone.asl.json")


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path):
    path = tmp_path / "a.asl.json"
    path.write_bytes(b'{"StartAt": "\xff"}')
    with pytest.raises(InvalidDefinition, match="UTF-8"):
        read(path)
