"""Redrive: an execution that ended badly goes on, does again what had not succeeded, and keeps what had."""

import json
from collections import Counter, deque

import pytest

from stepfold.insight.history import history
from stepfold.interpreter import effects, facts, signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.execution import Execution
from stepfold.language.failures import Failure
from stepfold.language.machine import load
from stepfold.query.template import Moment
from stepfold.query.values import admit, tree

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"


def task(**more):
    return {"Type": "Task", "Resource": FUNCTION, **more}


NESTED = {
    "StartAt": "First",
    "States": {
        "First": task(Next="Each"),
        "Each": {
            "Type": "Map", "ItemsPath": "$.list", "MaxConcurrency": 2, "Next": "Both",
            "ItemProcessor": {"StartAt": "A", "States": {"A": task(Next="B"), "B": task(End=True)}},
        },
        "Both": {
            "Type": "Parallel", "Next": "Last",
            "Branches": [
                {"StartAt": "L", "States": {"L": task(Next="W"), "W": {"Type": "Wait", "Seconds": 5, "End": True}}},
                {"StartAt": "I", "States": {"I": {
                    "Type": "Map", "End": True, "ItemProcessor": {"StartAt": "J", "States": {"J": task(End=True)}},
                }}},
            ],
        },
        "Last": task(End=True),
    },
}
GIVEN = '{"list":[1,2,3]}'


class Script:
    """Runs one execution; `breaks` is the number of the task outcome that fails."""

    def __init__(self, definition, given=GIVEN):
        self.machine, self.execution = load(definition), Execution()
        self.now, self.events, self.calls, self.outcomes = 1_700_000_000_000, [], [], 0
        self.say(signals.Begin(facts.ExecutionStarted(
            input=admit(given), arn="arn:aws:states:us-east-1:1:execution:m:e", name="e",
            machine="arn:aws:states:us-east-1:1:stateMachine:m", definition="", start=self.machine.start_at,
        )))

    def say(self, signal):
        decision = decide(self.machine, self.execution, signal, Moment(self.now, lambda: 0.5, bytes))
        self.events += facts.decode(facts.encode(decision.events)) if decision.events else []
        return decision

    def play(self, breaks=None):
        """Until it ends: answer whatever is owed, oldest first; tasks hand on `true`, or their input's list."""
        waiting = deque(effects.owed(self.execution))
        while self.execution.status == "RUNNING":
            if self.execution.ready:
                waiting.extend(self.say(signals.Continue()).owed)
                continue
            effect = waiting.popleft()
            if effect.asked not in self.execution.asked:
                continue
            if isinstance(effect, signals.Sleep):
                self.now = max(self.now, effect.until)
                waiting.extend(self.say(signals.Rang(effect.asked)).owed)
                continue
            self.outcomes += 1
            self.calls.append((effect.state, bytes(effect.arguments)))
            if self.outcomes == breaks:
                answer = signals.Failed(effect.asked, Failure("Broken", "once"))
            else:
                answer = signals.Succeeded(effect.asked, effect.arguments)
            waiting.extend(self.say(answer).owed)
        return self.execution.status


def whole():
    script = Script(NESTED)
    assert script.play() == "SUCCEEDED"
    return script


@pytest.mark.parametrize("breaks", range(1, whole().outcomes + 1))
def test_what_succeeded_is_kept_and_the_rest_is_done_again(breaks):
    oracle = whole()
    script = Script(NESTED)
    assert script.play(breaks) == "FAILED"
    succeeded = sum(isinstance(event.fact, facts.TaskSucceeded) for event in script.events)
    assert succeeded == breaks - 1
    script.calls.clear()
    script.say(signals.Redrive())
    assert script.execution.redrives == 1
    assert script.play() == "SUCCEEDED"
    assert script.execution.root.value == oracle.execution.root.value
    assert len(script.calls) == oracle.outcomes - succeeded
    missing = Counter(oracle.calls)
    missing.subtract(script.calls)
    assert min(missing.values()) >= 0, "something was done again that had succeeded"
    assert Execution.fold(script.events).root.value == oracle.execution.root.value


def test_the_history_goes_on():
    stopped = Script({"StartAt": "T", "States": {"T": task(End=True)}}, "{}")
    stopped.say(signals.Stop("why", None))
    stopped.say(signals.Redrive())
    assert stopped.play() == "SUCCEEDED"
    told = list(history(stopped.events))
    assert [event["type"] for event in told] == [
        "ExecutionStarted", "TaskStateEntered", "LambdaFunctionScheduled", "LambdaFunctionStarted", "ExecutionAborted",
        "ExecutionRedriven", "LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded",
        "TaskStateExited", "ExecutionSucceeded",
    ]
    assert told[5]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert [event["id"] for event in told] == list(range(1, len(told) + 1))


def test_retries_are_counted_anew():
    retried = {"StartAt": "T", "States": {"T": task(End=True, Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}])}}
    script = Script(retried, "{}")

    def fail_until_the_end():
        while script.execution.status == "RUNNING":
            effect = effects.owed(script.execution)[0]
            if isinstance(effect, signals.Sleep):
                script.say(signals.Rang(effect.asked))
            else:
                script.say(signals.Failed(effect.asked, Failure("E")))

    fail_until_the_end()
    script.say(signals.Redrive())
    fail_until_the_end()
    scheduled = [event for event in script.events if isinstance(event.fact, facts.TaskScheduled)]
    assert len(scheduled) == 4


@pytest.mark.parametrize("ended", ["SUCCEEDED", "RUNNING"])
def test_only_a_bad_end_is_redriven(ended):
    script = Script({"StartAt": "T", "States": {"T": task(End=True)}}, "{}")
    if ended == "SUCCEEDED":
        script.play()
    assert script.say(signals.Redrive()).events == []
    assert script.execution.status == ended


def test_the_context_tells_of_it():
    definition = {"StartAt": "T", "States": {"T": task(End=True, Parameters={"again.$": "$$.Execution"})}}
    script = Script(definition, "{}")
    script.say(signals.Stop())
    script.now += 60_000
    script.say(signals.Redrive())
    given = tree(effects.owed(script.execution)[0].arguments)["again"]
    assert given["RedriveCount"] == 1
    assert given["RedriveTime"] > given["StartTime"]
    assert json.dumps(given)
