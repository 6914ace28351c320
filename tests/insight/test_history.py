"""The log as AWS tells it: names, details, and what events leave out."""

import json

from stepfold.insight.history import history
from stepfold.interpreter import signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import ExecutionStarted, decode, encode
from stepfold.language.failures import Failure
from stepfold.language.machine import load
from stepfold.query.template import Moment
from stepfold.query.values import admit

ROLE = "arn:aws:iam::123456789012:role/r"
ARN = "arn:aws:states:us-east-1:123456789012:execution:m:monday"
NOW = 1_700_000_000_123
MOMENT = Moment(NOW, lambda: 0.5, bytes)


def run(definition, given, *answers):
    """The events of an execution whose owed calls are answered one by one."""
    machine, execution = load(definition), Execution()
    started = ExecutionStarted(
        input=admit(given), arn=ARN, name="monday", machine=ARN.rpartition(":")[0], definition=machine.digest,
        start=machine.start_at, role=ROLE, region="us-east-1", text=given if given != given.strip() else None,
    )
    decision = decide(machine, execution, signals.Begin(started), MOMENT)
    events = decision.events
    for answer in answers:
        asked = next(iter(execution.asked))
        signal = answer(asked) if callable(answer) else signals.Succeeded(asked, admit(answer))
        events += decide(machine, execution, signal, MOMENT).events
    return decode(encode(events))


def task(resource, **more):
    return {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": resource, "End": True, **more}}}


def chain(told):
    return [(event["id"], event["previousEventId"], event["type"]) for event in told]


def test_a_lambda_task_in_full():
    definition = task("arn:aws:lambda:us-east-1:123456789012:function:f", TimeoutSeconds=5)
    told = list(history(run(definition, ' {"n":1}', "[2]")))
    assert chain(told) == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "TaskStateEntered"),
        (3, 2, "LambdaFunctionScheduled"),
        (4, 3, "LambdaFunctionStarted"),
        (5, 4, "LambdaFunctionSucceeded"),
        (6, 5, "TaskStateExited"),
        (7, 6, "ExecutionSucceeded"),
    ]
    whole = {"truncated": False}
    assert told[0]["executionStartedEventDetails"] == {"input": ' {"n":1}', "inputDetails": whole, "roleArn": ROLE}
    assert told[1]["stateEnteredEventDetails"] == {"name": "T", "input": '{"n":1}', "inputDetails": whole}
    assert told[2]["lambdaFunctionScheduledEventDetails"] == {
        "resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "input": '{"n":1}', "inputDetails": whole,
        "timeoutInSeconds": 5,
    }
    assert set(told[3]) == {"id", "previousEventId", "timestamp", "type"}
    assert told[4]["lambdaFunctionSucceededEventDetails"] == {"output": "[2]", "outputDetails": whole}
    assert told[5]["stateExitedEventDetails"] == {"name": "T", "output": "[2]", "outputDetails": whole}
    assert told[6]["executionSucceededEventDetails"] == {"output": "[2]", "outputDetails": whole}
    assert {event["timestamp"] for event in told} == {NOW / 1000}


def test_a_service_task_that_fails_and_is_retried_shows_no_event_for_the_delay():
    definition = task("arn:aws:states:::lambda:invoke", Parameters={"FunctionName": "f"},
                      Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}])

    def fails(asked):
        return signals.Failed(asked, Failure("E", None))

    told = list(history(run(definition, "{}", fails, signals.Rang, fails)))
    assert chain(told)[2:] == [
        (3, 2, "TaskScheduled"), (4, 3, "TaskStarted"), (5, 4, "TaskFailed"),
        (6, 5, "TaskScheduled"), (7, 6, "TaskStarted"), (8, 7, "TaskFailed"),
        (9, 8, "ExecutionFailed"),
    ]
    assert told[2]["taskScheduledEventDetails"] == {
        "resourceType": "lambda", "resource": "invoke", "region": "us-east-1", "parameters": '{"FunctionName":"f"}',
    }
    assert told[4]["taskFailedEventDetails"] == {"resourceType": "lambda", "resource": "invoke", "error": "E"}
    assert told[8]["executionFailedEventDetails"] == {"error": "E"}


def test_items_are_named_by_their_map_and_index():
    block = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    definition = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": block, "End": True}}}
    told = list(history(run(definition, "[7,8]")))
    iterations = [event for event in told if event["type"].startswith("MapIteration")]
    assert [next(value for key, value in event.items() if key.endswith("Details")) for event in iterations] == [
        {"name": "M", "index": 0}, {"name": "M", "index": 1}, {"name": "M", "index": 0}, {"name": "M", "index": 1},
    ]
    assert json.loads(told[-1]["executionSucceededEventDetails"]["output"]) == [7, 8]
    assert [event["id"] for event in told] == list(range(1, len(told) + 1))
