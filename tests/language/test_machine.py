"""A definition made ready to run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from stepfold.errors import InvalidDefinition
from stepfold.language.checking.check import check
from stepfold.language.machine import load
from stepfold.language.rules import Compare
from stepfold.language.steps import DISCARD, NOTHING
from stepfold.query.template import Moment, Scope
from stepfold.query.values import Value, tree

Json = Any
END = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
NOW = Moment(0, lambda: 0.5, bytes)


def only(state: Json, **more: Json) -> Any:
    return load({"StartAt": "X", "States": {"X": state}, **more}).steps["X"]


def rendered(template: Any, value: bytes) -> Json:
    return tree(template.render(Scope(Value(value), lambda: {"State": {"Name": "X"}}), NOW))


def test_the_text_is_kept_as_given():
    text = b'{ "StartAt":"X", "TimeoutSeconds": 5,\n"States": {"X": {"Type":"Succeed"}} }'
    machine = load(text)
    assert machine.text == text
    assert machine.digest == hashlib.sha256(text).hexdigest()
    assert (machine.start_at, machine.timeout, machine.type) == ("X", 5, "STANDARD")
    assert machine.definition.states["X"] is machine.steps["X"].state
    assert load(text.decode()).digest == machine.digest
    assert json.loads(load(json.loads(text)).text) == json.loads(text)


def test_what_is_absent_compiles_to_none():
    step = only(END)
    assert (step.name, step.type, step.jsonata, step.next) == ("X", "Pass", False, None)
    for field in (
        "input_path",
        "output_path",
        "arguments",
        "output",
        "assign",
        "result_selector",
        "item_selector",
        "result_path",
        "result",
    ):
        assert getattr(step, field) is None
    assert (step.rules, step.catch, step.retry, step.blocks) == ((), (), (), ())
    spelled = only({**END, "InputPath": "$", "OutputPath": "$", "ResultPath": "$"})
    assert (spelled.input_path, spelled.output_path, spelled.result_path) == (None, None, None)


def test_null_paths_are_told_from_absent_ones():
    step = only({**END, "InputPath": None, "OutputPath": None, "ResultPath": None, "Result": None})
    assert step.input_path is NOTHING
    assert step.output_path is NOTHING
    assert step.result_path is DISCARD
    assert bytes(step.result) == b"null"


def test_paths_and_templates_are_compiled():
    step = only(
        {**END, "InputPath": "$.a", "ResultPath": "$.b.c", "Parameters": {"n.$": "$.n", "s.$": "$$.State.Name"}}
    )
    assert rendered(step.input_path, b'{"a": [1]}') == [1]
    assert rendered(step.arguments, b'{"n": 1}') == {"n": 1, "s": "X"}
    assert tree(step.result_path.place(Value(b'{"a": 1}'), Value(b"2"))) == {"a": 1, "b": {"c": 2}}


def test_a_result_is_compact_and_keeps_its_literals():
    machine = load('{"StartAt": "X", "States": {"X": {"Type": "Pass", "Result": {"b": 1.10, "a": 1E3}, "End": true}}}')
    assert bytes(machine.steps["X"].result) == b'{"b":1.10,"a":1E3}'


def test_states_of_all_blocks_are_found_by_name():
    machine = load({
        "StartAt": "Fork",
        "States": {
            "Fork": {
                "Type": "Parallel",
                "Next": "Each",
                "Branches": [
                    {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": END}},
                    {"StartAt": "C", "States": {"C": {
                        "Type": "Map", "End": True, "ItemProcessor": {"StartAt": "D", "States": {"D": END}},
                    }}},
                ],
            },
            "Each": {"Type": "Map", "Iterator": {"StartAt": "E", "States": {"E": END}}, "End": True},
        },
    })  # fmt: skip
    assert set(machine.steps) == {"Fork", "A", "B", "C", "D", "Each", "E"}
    assert machine.steps["Fork"].blocks == ("A", "C")
    assert machine.steps["C"].blocks == ("D",)
    assert machine.steps["Each"].blocks == ("E",)
    assert machine.steps["A"].next == "B"


def test_a_task():
    step = load({
        "StartAt": "X",
        "States": {
            "X": {
                "Type": "Task", "Resource": FUNCTION, "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h",
                "ResultSelector": {"r.$": "$.r"}, "Credentials": {"RoleArn.$": "$.role"}, "Next": "Y",
                "Retry": [{"ErrorEquals": ["E"], "BackoffRate": 1}],
                "Catch": [
                    {"ErrorEquals": ["E"], "Next": "Y", "ResultPath": None},
                    {"ErrorEquals": ["F"], "Next": "Y", "ResultPath": "$.e"},
                    {"ErrorEquals": ["States.ALL"], "Next": "Y"},
                ],
            },
            "Y": END,
        },
    }).steps["X"]  # fmt: skip
    assert (step.resource.kind, step.resource.action) == ("lambda", "f")
    assert (step.timeout.source, step.heartbeat.source) == ("$.t", "$.h")
    assert rendered(step.result_selector, b'{"r": 1}') == {"r": 1}
    assert rendered(step.credentials, b'{"role": "r"}') == {"RoleArn": "r"}
    assert (step.retry[0].max_attempts, step.retry[0].backoff_rate) == (3, 1.0)
    assert [catcher.next for catcher in step.catch] == ["Y", "Y", "Y"]
    assert step.catch[0].result_path is DISCARD
    assert step.catch[1].result_path.source == "$.e"
    assert step.catch[2].result_path is None


def test_a_map_knows_its_selector_under_both_names():
    block = {"StartAt": "I", "States": {"I": END}}
    new = only({"Type": "Map", "ItemProcessor": block, "ItemSelector": {"a": 1}, "ItemsPath": "$.i", "End": True})
    old = only({"Type": "Map", "Iterator": block, "Parameters": {"a": 1}, "MaxConcurrencyPath": "$.m", "End": True})
    for step in (new, old):
        assert rendered(step.item_selector, b"{}") == {"a": 1}
        assert step.arguments is None
    assert (new.items.source, old.items) == ("$.i", None)
    assert old.max_concurrency.source == "$.m"


def test_choice_wait_and_fail():
    machine = load(
        {
            "StartAt": "C",
            "States": {
                "C": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "W"}], "Default": "F"},
                "W": {"Type": "Wait", "TimestampPath": "$.t", "Next": "V"},
                "V": {"Type": "Wait", "SecondsPath": "$.s", "End": True},
                "F": {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}', $.c)"},
            },
        }
    )
    choice, wait, fail = machine.steps["C"], machine.steps["W"], machine.steps["F"]
    assert choice.default == "F"
    assert isinstance(choice.rules[0], Compare)
    assert choice.rules[0].next == "W"
    assert wait.timestamp is not None
    assert machine.steps["V"].seconds is not None
    assert (rendered(fail.error, b'{"e": "E"}'), rendered(fail.cause, b'{"c": 1}')) == ("E", "1")
    assert fail.next is None


def test_a_bad_definition_lists_all_its_errors():
    with pytest.raises(InvalidDefinition) as caught:
        load('{"StartAt": "Y", "States": {"X": {"Type": "Pass", "End": 1}}}')
    assert caught.value.code == "InvalidDefinition"
    assert caught.value.message.startswith("Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: ")
    assert len(caught.value.diagnostics) == 3


def test_an_express_machine_is_checked_as_one():
    definition = {
        "StartAt": "X",
        "States": {"X": {"Type": "Task", "Resource": "arn:aws:states:::batch:submitJob.sync", "End": True}},
    }
    assert load(definition).type == "STANDARD"
    with pytest.raises(InvalidDefinition, match=r"does not support '\.sync'"):
        load(definition, type="EXPRESS")


BLOCK = {"StartAt": "I", "States": {"I": END}}
LATER = {
    "Map that reads": (
        {"StartAt": "X", "States": {"X": {
            "Type": "Map", "End": True, "ItemProcessor": {
                **BLOCK, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
            "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}}}},
        "/States/X/ItemReader",
    ),
    "Map that writes inside": (
        {"StartAt": "X", "States": {"X": {"Type": "Parallel", "End": True, "Branches": [
            {"StartAt": "M", "States": {"M": {
                "Type": "Map", "End": True, "ItemProcessor": {
                    **BLOCK, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
                "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}}}}]}}},
        "/States/X/Branches[0]/States/M/ResultWriter",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LATER)
def test_what_cannot_be_run_yet_is_said_plainly(name: str):
    definition, place = LATER[name]
    assert check(definition) == []
    with pytest.raises(InvalidDefinition, match="stepfold cannot run") as caught:
        load(definition)
    assert [found.location for found in caught.value.diagnostics] == [place]
