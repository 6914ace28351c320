"""Warnings of our own: each where it is meant, and none where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from stepfold.language.checking.advice import advise
from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
SDK = "arn:aws:states:::aws-sdk:s3:listBuckets"
BLOCK = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
DISTRIBUTED = {**BLOCK, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


def machine(state: Any, **more: Any) -> dict[str, Any]:
    return {"StartAt": "X", "States": {"X": state, "E": {"Type": "Fail", "Error": "States.Own"}}, **more}


def task(resource: str = SDK, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Next": "E", **fields}


def catching(*lists: list[str], **fields: Any) -> dict[str, Any]:
    return task(Catch=[{"ErrorEquals": names, "Next": "E"} for names in lists], **fields)


def mapped(processor: Any = BLOCK, **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": processor, "Next": "E", **fields}


def output(expression: str) -> dict[str, Any]:
    return {"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"a": [expression]}, "Next": "E"}


LAMBDA_INSIDE = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": FUNCTION, "End": True}}}
RETRY = [{"ErrorEquals": ["States.ALL"]}]
TOKEN = {"a": {"b.$": "$$.Task.Token"}}

WARNED: list[tuple[Any, str, str]] = [
    (task(FUNCTION), "NO_RETRY", "/States/X"),
    (task("arn:aws:states:::lambda:invoke", Retry=[]), "NO_RETRY", "/States/X"),
    (mapped(LAMBDA_INSIDE), "NO_RETRY", "/States/X/ItemProcessor/States/T"),
    (mapped({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}), "ENDLESS",
     "/States/X/ItemProcessor/States"),
    (task("arn:aws:states:us-east-1:123456789012:activity:a"), "NO_TIMEOUT", "/States/X"),
    (task(CALLBACK, Parameters=TOKEN), "NO_TIMEOUT", "/States/X"),
    (task(CALLBACK, TimeoutSeconds=9, Parameters={"a.$": "$.Task.Token"}), "TOKEN_NOT_PASSED", "/States/X"),
    (task(CALLBACK, TimeoutSeconds=9), "TOKEN_NOT_PASSED", "/States/X"),
    (task(CALLBACK, TimeoutSeconds=9, QueryLanguage="JSONata", Arguments={"a": "{% $states.input %}"}),
     "TOKEN_NOT_PASSED", "/States/X"),
    (mapped(ItemReader={"Resource": "arn:aws:states:::s3:getObject"}), "ONLY_DISTRIBUTED", "/States/X/ItemReader"),
    (mapped(ToleratedFailureCount=1), "ONLY_DISTRIBUTED", "/States/X/ToleratedFailureCount"),
    (mapped(DISTRIBUTED, ItemBatcher={"BatchInput": {}}), "NO_BATCH_LIMIT", "/States/X/ItemBatcher"),
    (mapped(DISTRIBUTED, ResultWriter={}), "EMPTY_RESULT_WRITER", "/States/X/ResultWriter"),
    (catching(["States.TaskFaild"]), "UNKNOWN_ERROR_NAME", "/States/X/Catch[0]/ErrorEquals[0]"),
    (catching(["A", "B"], ["C", "B"]), "NEVER_MATCHES", "/States/X/Catch[1]/ErrorEquals[1]"),
    (catching(["States.TaskFailed"], ["Lambda.Unknown"]), "NEVER_MATCHES", "/States/X/Catch[1]/ErrorEquals[0]"),
    (catching(["States.ItemReaderFailed"]), "NEVER_MATCHES", "/States/X/Catch[0]/ErrorEquals[0]"),
    (catching(["States.HeartbeatTimeout"]), "NEVER_MATCHES", "/States/X/Catch[0]/ErrorEquals[0]"),
    (catching(["States.QueryEvaluationError"]), "NEVER_MATCHES", "/States/X/Catch[0]/ErrorEquals[0]"),
    (task(Retry=[{"ErrorEquals": ["A"]}, {"ErrorEquals": ["A"]}]), "NEVER_MATCHES",
     "/States/X/Retry[1]/ErrorEquals[0]"),
    (output("{% $states.input.a ?: 1 %}"), "JSONATA_NEWER_SYNTAX", "/States/X/Output/a[0]"),
    (output("{% $states.input.a ?? 1 %}"), "JSONATA_NEWER_SYNTAX", "/States/X/Output/a[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "code", "place"), WARNED)
def test_what_is_likely_not_meant_is_told(state: Any, code: str, place: str):
    definition = machine(state)
    assert [found for found in check(definition) if found.severity == ERROR] == []
    assert [(found.code, found.location) for found in advise(definition)] == [(code, place)]


FINE: list[Any] = [
    task(FUNCTION, Retry=RETRY),
    mapped(LAMBDA_INSIDE, Retry=RETRY),
    task(CALLBACK, HeartbeatSeconds=9, Parameters=TOKEN),
    task(CALLBACK, TimeoutSeconds=9, Parameters={"a.$": "$$"}),
    task(CALLBACK, TimeoutSeconds=9, Parameters={"a.$": "States.Format('{}', $$.Task.Token)"}),
    task(CALLBACK, TimeoutSeconds=9, QueryLanguage="JSONata", Arguments="{% {'t': $states.context.Task.Token} %}"),
    task(CALLBACK, TimeoutSeconds=9, QueryLanguage="JSONata", Arguments={"t": "{% $states.context %}"}),
    mapped(DISTRIBUTED, ItemBatcher={"MaxItemsPerBatch": 2}, Label="l", ToleratedFailureCount=1),
    catching(["States.Timeout"], ["States.TaskFailed"], ["States.ALL"]),
    catching(["States.TaskFailed"], ["States.Timeout"]),
    catching(["States.Http.StatusCode.404", "States.Own", "Lambda.Unknown"]),
    catching(["States.HeartbeatTimeout"], HeartbeatSeconds=9),
    catching(["States.QueryEvaluationError"], QueryLanguage="JSONata"),
    mapped(Catch=[{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "E"}]),
    output("{% $states.input.a ? 1 : 2 %}"),
    output("{% '?:' & \"??\" & $states.input.`??` %}"),
    task("${Function}"),
]


@pytest.mark.parametrize("state", FINE)
def test_what_is_meant_is_let_pass(state: Any):
    definition = machine(state)
    assert [found for found in check(definition, placeholders=True) if found.severity == ERROR] == []
    assert advise(definition, placeholders=True) == []


@pytest.mark.parametrize("definition", [{}, {"States": []}, {"States": {"X": 1, "Y": {"Type": "Task"}}}])
def test_what_is_no_definition_gets_no_advice(definition: Any):
    assert advise(definition) == []
