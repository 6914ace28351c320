"""One state, tried: the same rules as in an execution, and what each step of its data flow came to."""

import json

import pytest

from stepfold.errors import CallerError, InvalidDefinition
from stepfold.interpreter.signals import Invoke, Sleep
from stepfold.interpreter.try_state import Setting, Trial
from stepfold.language.failures import Failure
from stepfold.language.single import ALONE, single
from stepfold.names import read_token
from stepfold.query.template import Moment
from stepfold.query.values import admit_tree, tree

NOW = 1_700_000_000_000
ARN = "arn:aws:states:us-east-1:123456789012:express:machine:name"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:machine"
LAMBDA = "arn:aws:states:::lambda:invoke"


def moment(now=NOW):
    return Moment(now, lambda: 0.5, lambda size: b"\x01" * size)


def begin(state, given, name=None, **setting):
    found = single(json.dumps(state), name)
    value = Setting(input=admit_tree(given), arn=ARN, machine=MACHINE, item=found.in_map, **setting)
    return Trial(found.machine, found.name, value, moment())


def tried(state, given, outcome=None, name=None, **setting):
    trial = begin(state, given, name, **setting)
    if trial.owed is not None:
        trial.answer(outcome if isinstance(outcome, Failure) else admit_tree(outcome), moment())
    assert trial.owed is None
    return trial.verdict()


def seen(verdict):
    return {
        name: value if isinstance(value, dict | int | float) else tree(value)
        for name, value in verdict.inspection.items()
    }


TASK = {
    "Type": "Task", "Resource": LAMBDA, "InputPath": "$.a", "Parameters": {"FunctionName": "f", "Payload.$": "$.b"},
    "ResultSelector": {"picked.$": "$.Payload"}, "ResultPath": "$.result", "OutputPath": "$.result.picked",
    "Next": "Elsewhere",
}


def test_every_step_of_a_tasks_data_flow_is_seen():
    given = {"a": {"b": 7}}
    trial = begin(TASK, given)
    assert isinstance(trial.owed, Invoke)
    assert tree(trial.owed.arguments) == {"FunctionName": "f", "Payload": 7}
    trial.answer(admit_tree({"Payload": 8}), moment())
    verdict = trial.verdict()
    assert (verdict.status, tree(verdict.output), verdict.next) == ("SUCCEEDED", 8, "Elsewhere")
    assert seen(verdict) == {
        "input": given,
        "afterInputPath": {"b": 7},
        "afterParameters": {"FunctionName": "f", "Payload": 7},
        "result": {"Payload": 8},
        "afterResultSelector": {"picked": 8},
        "afterResultPath": {"a": {"b": 7}, "result": {"picked": 8}},
    }


def test_null_paths():
    state = {"Type": "Pass", "InputPath": None, "ResultPath": None, "OutputPath": None, "End": True}
    verdict = tried(state, {"a": 1})
    assert (tree(verdict.output), verdict.next) == ({}, None)
    assert seen(verdict)["afterInputPath"] == {}
    assert seen(verdict)["afterResultPath"] == {"a": 1}


@pytest.mark.parametrize(
    ("before", "status", "details"),
    [
        (0, "RETRIABLE", {"retryIndex": 1, "retryBackoffIntervalSeconds": 2}),
        (1, "RETRIABLE", {"retryIndex": 1, "retryBackoffIntervalSeconds": 4}),
        (2, "RETRIABLE", {"retryIndex": 1, "retryBackoffIntervalSeconds": 5}),
        (3, "CAUGHT_ERROR", {"retryIndex": 1, "catchIndex": 0}),
        (2_147_483_647, "CAUGHT_ERROR", {"retryIndex": 1, "catchIndex": 0}),
    ],
)
def test_retriers_wear_out(before, status, details):
    state = {
        "Type": "Task", "Resource": LAMBDA, "Parameters": {"FunctionName": "f"}, "End": True,
        "Retry": [
            {"ErrorEquals": ["Other"]},
            {"ErrorEquals": ["Boom"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 2, "MaxDelaySeconds": 5},
        ],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Mend", "ResultPath": "$.why"}],
    }
    verdict = tried(state, {"n": 1}, Failure("Boom", "loud"), retries=before)
    assert (verdict.status, verdict.failure) == (status, Failure("Boom", "loud"))
    assert seen(verdict)["errorDetails"] == details
    if status == "CAUGHT_ERROR":
        assert verdict.next == "Mend"
        assert tree(verdict.output) == {"n": 1, "why": {"Error": "Boom", "Cause": "loud"}}


def test_a_rendering_that_fails_is_the_states_failure():
    state = {**TASK, "InputPath": "$.nothing", "Retry": [{"ErrorEquals": ["States.ALL"]}]}
    verdict = tried(state, {})
    assert (verdict.status, verdict.failure.error) == ("FAILED", "States.Runtime")
    assert "An error occurred while executing the state 'StateName'" in verdict.failure.cause
    assert seen(verdict) == {"input": {}}
    caught = {
        "Type": "Task", "Resource": LAMBDA, "End": True,
        "Parameters": {"FunctionName.$": "States.ArrayGetItem($.a, 9)"},
        "Retry": [{"ErrorEquals": ["States.IntrinsicFailure"]}],
    }
    verdict = tried(caught, {"a": [1]})
    assert (verdict.status, verdict.failure.error) == ("RETRIABLE", "States.IntrinsicFailure")


def test_a_choice_sees_the_callers_context_and_variables():
    state = {
        "Type": "Choice", "Default": "No",
        "Choices": [
            {"Variable": "$$.State.Name", "StringEquals": "mine", "Next": "Named"},
            {"Variable": "$limit", "NumericGreaterThan": 3, "Next": "Limited"},
        ],
    }
    assert tried(state, {}, context={"State": {"Name": "mine"}}).next == "Named"
    verdict = tried(state, {}, variables={"limit": 4})
    assert (verdict.next, seen(verdict)["variables"]) == ("Limited", {"limit": 4})
    assert tried(state, {}, variables={"limit": 2}).next == "No"


def test_the_default_context():
    state = {"Type": "Pass", "Parameters": {"all.$": "$$"}, "End": True}
    inside = {"StartAt": "Each", "States": {"Each": {
        "Type": "Map", "End": True, "ItemProcessor": {"StartAt": "In", "States": {"In": state}}
    }}}
    shown = tree(tried(state, {"a": 1}, role="arn:aws:iam::123456789012:role/r").output)["all"]
    assert shown["Execution"] == {
        "Id": ARN, "Input": {"a": 1}, "Name": "name", "RoleArn": "arn:aws:iam::123456789012:role/r",
        "StartTime": "2023-11-14T22:13:20.000Z",
    }
    assert shown["State"] == {"Name": ALONE, "EnteredTime": "2023-11-14T22:13:20.000Z"}
    assert "Map" not in shown
    shown = tree(tried(inside, {"a": 1}, name="In").output)["all"]
    assert shown["Map"] == {"Item": {"Index": 0, "Value": {"a": 1}}}
    assert shown["State"]["Name"] == "In"


EACH = {
    "Type": "Map", "InputPath": "$.in", "ItemsPath": "$.list", "MaxConcurrency": 2, "End": True,
    "ItemSelector": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "all.$": "$.x"},
    "ItemProcessor": {"StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}}},
}


def test_a_map_is_begun_and_answered():
    verdict = tried(EACH, {"in": {"list": ["a", "b"], "x": 1}}, ["A", "B"])
    assert tree(verdict.output) == ["A", "B"]
    assert seen(verdict) == {
        "input": {"in": {"list": ["a", "b"], "x": 1}},
        "afterInputPath": {"list": ["a", "b"], "x": 1},
        "afterItemsPath": ["a", "b"],
        "afterItemSelector": [{"v": "a", "i": 0, "all": 1}, {"v": "b", "i": 1, "all": 1}],
        "maxConcurrency": 2,
        "afterResultSelector": ["A", "B"],
        "afterResultPath": ["A", "B"],
    }


def test_an_item_that_cannot_be_selected_fails_the_map():
    verdict = tried(EACH, {"in": {"list": ["a", "b"]}}, [])
    assert (verdict.status, verdict.failure.error) == ("FAILED", "States.Runtime")
    assert "'$.x'" in verdict.failure.cause
    assert "afterItemSelector" not in seen(verdict)


def test_selected_items_beyond_a_payload_are_not_kept():
    verdict = tried(EACH, {"in": {"list": [0] * 300, "x": "x" * 1_000}}, [])
    assert verdict.status == "SUCCEEDED"
    assert "afterItemSelector" not in seen(verdict)


@pytest.mark.parametrize(
    ("fields", "failures", "status"),
    [
        ({}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 1, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 2, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 49}, 2, "FAILED"),
        ({"ToleratedFailureCountPath": "$.some"}, 3, "FAILED"),
    ],
)
def test_tolerated_failures(fields, failures, status):
    state = {
        "Type": "Map", "ItemsPath": "$.list", "End": True, **fields,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}},
        },
    }
    verdict = tried(state, {"list": [1, 2, 3, 4], "some": 2}, [1, 2, 3, 4], failures=failures)
    assert verdict.status == status
    if status == "FAILED":
        assert verdict.failure.error == "States.ExceedToleratedFailureThreshold"


def test_what_an_item_reader_would_have_read():
    state = {
        "Type": "Map", "End": True,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": "b", "Key": "k"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}},
        },
    }
    trial = begin(state, {}, read=admit_tree([1, 2, 3]))
    assert trial.count == 3
    trial.answer(admit_tree([1]), moment())
    assert tree(trial.verdict().output) == [1]


def test_a_wait_owes_a_sleep():
    trial = begin({"Type": "Wait", "SecondsPath": "$.s", "Next": "On"}, {"s": 20})
    assert isinstance(trial.owed, Sleep)
    assert trial.owed.until == NOW + 20_000
    trial.answer(admit_tree(None), moment(NOW + 20_000))
    assert (trial.verdict().status, trial.verdict().next) == ("SUCCEEDED", "On")
    late = begin({"Type": "Wait", "Seconds": 20, "Next": "On"}, {})
    late.answer(Failure("States.Timeout"), moment())
    assert late.verdict().failure == Failure("States.Timeout")
    assert late.owed is None


def test_a_callbacks_token_is_in_the_context():
    state = {
        "Type": "Task", "Resource": f"{LAMBDA}.waitForTaskToken", "End": True,
        "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
    }
    verdict = tried(state, {}, {"answered": True})
    assert tree(verdict.output) == {"answered": True}
    told = read_token(seen(verdict)["afterParameters"]["Payload"]["token"])
    assert told is not None
    assert told[0] == ARN


def test_a_result_beyond_the_limit():
    verdict = tried(TASK, {"a": {"b": 1}}, {"Payload": "x" * 262_144})
    assert verdict.failure.error == "States.DataLimitExceeded"


@pytest.mark.parametrize(
    ("state", "name", "error", "says"),
    [
        ({"Type": "Pass", "Next": "Elsewhere"}, None, None, ""),
        ({"Type": "Pass"}, None, InvalidDefinition, "SCHEMA_VALIDATION_FAILED"),
        ({"Type": "Pass", "End": True, "Nonsense": 1}, None, InvalidDefinition, "'Nonsense' is not supported at /'"),
        ([], None, InvalidDefinition, "JSON object"),
        ({"Type": "Pass", "End": True}, "Named", InvalidDefinition, "StartAt"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}, "B", CallerError, "State not found"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}, "A", InvalidDefinition, "Missing 'Next'"),
        (
            {"Type": "Parallel", "End": True, "Branches": [{"StartAt": "X", "States": {"Y": {"Type": "Succeed"}}}]},
            None, InvalidDefinition, "Missing 'Next' target: X at /Branches[0]/StartAt",
        ),
    ],
)
def test_definitions(state, name, error, says):
    if error is None:
        assert single(json.dumps(state), name).name == ALONE
        return
    with pytest.raises(error) as raised:
        single(json.dumps(state), name)
    assert says in raised.value.message
    assert "StateName" not in raised.value.message
