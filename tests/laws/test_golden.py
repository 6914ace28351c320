"""Law of the log: facts are frozen by a golden file, and logs of today fold and are decided alike for ever.

`facts.json` holds every fact's tag, its fields in order and their defaults. Fields may be added at the end, with a
default; nothing else may ever change. `logs.json` holds one log for each state type and for what is hard: the signals,
when each came, and the events that followed. A new field or a new fact is written into the files by
`python -m tests.laws.test_golden`; what was there before must be the same then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.laws.checks import lawful
from tests.laws.machines import ACTIVITY, CALLBACK, FUNCTION, JOB, SERVICE

from stepfold.interpreter import facts, ledger, signals
from stepfold.interpreter.decide import Decision, decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.signals import Signal
from stepfold.interpreter.simulate import MAP_RUN, START, Answer, Asked, Said, Simulation
from stepfold.language.failures import Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import Machine, load
from stepfold.query.template import Moment
from stepfold.query.values import Value, admit, text

FACTS = Path(__file__).with_name("facts.json")
LOGS = Path(__file__).with_name("logs.json")


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def vocabulary() -> dict[str, Any]:
    told: dict[str, Any] = {"format": facts.FORMAT, "tag field": "type", "event": list(facts.Event.__struct_fields__)}
    told["facts"] = {kind.__name__: _shape(kind) for kind in facts.FACTS}
    told["limits"] = _shape(Limits)
    told["map runs"] = {kind.__name__: _shape(kind) for kind in ledger.ENTRIES}
    return told


def _shape(kind: type[msgspec.Struct]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        default: Any = "required" if field.required else field.default
        shape[field.encode_name] = (
            "left out" if default is msgspec.UNSET else "aws" if isinstance(default, Limits) else default
        )
    info = kind.__struct_config__
    if issubclass(kind, ledger._Entry):
        assert (info.tag_field, info.tag) == ("type", kind.__name__)
    if issubclass(kind, facts._Fact):
        assert (info.tag_field, info.tag) == ("type", kind.__name__)
        shape["(history)"] = [
            word for word, so in (("silent", kind.silent), ("moves", kind.moves), ("opens", kind.opens)) if so
        ]
    return shape


def test_no_fact_has_changed() -> None:
    """If this fails, old logs may not be readable any more: add, with a default, and never change or take away."""
    frozen, now = json.loads(FACTS.read_text()), vocabulary()
    for name, shape in frozen["facts"].items():
        assert name in now["facts"], f"{name} is gone: no log that holds it could be read"
        fields = list(now["facts"][name].items())
        assert fields[: len(shape) - 1] == list(shape.items())[:-1], f"{name} has changed"
        for field, default in fields[len(shape) - 1 : -1]:
            assert default != "required", f"{name}.{field} is new: logs of before do not have it"
    assert now == frozen, "something was added: write it down with python -m tests.laws.test_golden"


def test_no_entry_of_a_map_run_has_changed() -> None:
    frozen, now = json.loads(FACTS.read_text())["map runs"], vocabulary()["map runs"]
    for name, shape in frozen.items():
        fields = list(now[name].items())
        assert fields[: len(shape)] == list(shape.items()), f"{name} has changed"
        assert all(default != "required" for _, default in fields[len(shape) :])


def test_events_are_arrays_in_a_frozen_order() -> None:
    event = facts.Event(7, 5, 4, 3, START, facts.TimerRang())
    assert facts.encode([event]) == b'[[7,5,4,3,1700000000000,{"type":"TimerRang"}]]'


def test_what_a_newer_version_wrote_is_left_alone() -> None:
    with pytest.raises(facts.NewerLog, match="newer"):
        facts.decode(b'[[1,1,0,1,0,{"type":"StateDreamtOf"}]]')


def test_fields_that_only_a_newer_version_knows_are_passed_over() -> None:
    (event,) = facts.decode(b'[[1,0,0,1,0,{"type":"TimerRang","since":"later"}]]')
    assert event.fact == facts.TimerRang()


# --- logs -------------------------------------------------------------------------------------------------------------

TASK = {"Type": "Task", "Resource": FUNCTION + "f", "End": True}


def _block(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def _distributed(**states: Any) -> dict[str, Any]:
    return {**_block(**states), "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


GOLDEN: dict[str, dict[str, Any]] = {
    "Pass": _block(P={"Type": "Pass", "Result": {"a": 1.50}, "ResultPath": "$.r", "Next": "Q"},
                   Q={"Type": "Pass", "Parameters": {"x.$": "$.r.a", "n.$": "$$.State.Name"}, "End": True}),
    "Succeed": _block(S={"Type": "Succeed", "OutputPath": "$.n"}),
    "Fail": _block(F={"Type": "Fail", "ErrorPath": "$.word", "Cause": "because"}),
    "Choice": _block(C={"Type": "Choice", "Default": "D", "Choices": [
        {"Variable": "$.n", "NumericEquals": 1, "Next": "S"}]}, S={"Type": "Succeed"}, D={"Type": "Fail"}),
    "Wait": _block(W={"Type": "Wait", "Seconds": 2, "Next": "X"},
                   X={"Type": "Wait", "Timestamp": "2023-11-14T22:13:25Z", "End": True}),
    "Task": _block(T={**TASK, "Parameters": {"x.$": "$.n"}, "ResultSelector": {"y.$": "$"}, "ResultPath": "$.t"}),
    "Task of a service, with a role": _block(T={
        **TASK, "Resource": SERVICE, "Credentials": {"RoleArn": "arn:aws:iam::123456789012:role/other"}}),
    "Task that waits for a callback": _block(T={
        **TASK, "Resource": CALLBACK, "Parameters": {"t.$": "$$.Task.Token"}, "HeartbeatSeconds": 3}),
    "Task of a job": _block(T={**TASK, "Resource": JOB, "TimeoutSeconds": 9}),
    "Task of an activity": _block(T={**TASK, "Resource": ACTIVITY, "TimeoutSeconds": 9}),
    "Retry with jitter, then Catch": _block(Bad={
        **TASK, "Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 2, "JitterStrategy": "FULL"}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "S"}],
    }, S={"Type": "Succeed"}),
    "Timeout": _block(Silent={**TASK, "TimeoutSeconds": 5, "HeartbeatSeconds": 2}),
    "Parallel": _block(P={"Type": "Parallel", "End": True, "Branches": [
        _block(A=TASK), _block(B={"Type": "Wait", "Seconds": 1, "End": True})]}),
    "Parallel that fails, tried again": _block(P={
        "Type": "Parallel", "End": True, "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
        "Branches": [_block(Bad=TASK), _block(B={"Type": "Wait", "Seconds": 60, "End": True})]}),
    "Map": _block(M={"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "End": True,
                     "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "ItemProcessor": _block(I=TASK)}),
    "Map that fails, caught": _block(M={
        "Type": "Map", "ItemsPath": "$.items", "Next": "S", "ItemProcessor": _block(OneBad=TASK),
        "Catch": [{"ErrorEquals": ["Boom"], "Next": "S"}]}, S={"Type": "Succeed"}),
    "Assign, in both languages": _block(
        A={"Type": "Pass", "Assign": {"n.$": "$.n", "w": "word"}, "Next": "B"},
        B={"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"n": "{% $n + 1 %}"},
           "Output": {"before": "{% $n %}"}, "Next": "M"},
        M={"Type": "Map", "ItemsPath": "$$.Execution.Input.items", "Next": "C",
           "ItemProcessor": _block(I={**TASK, "Assign": {"own.$": "$"}})},
        C={"Type": "Choice", "QueryLanguage": "JSONata", "Default": "D", "Choices": [
            {"Condition": "{% $n = 2 %}", "Assign": {"chosen": True}, "Output": "{% $w %}", "Next": "D"}]},
        D={"Type": "Succeed"}),
    "an expression that fails": _block(T={
        **TASK, "QueryLanguage": "JSONata", "Arguments": {"a": "{% $states.input.none %}"}, "Catch": [
            {"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Error %}", "Next": "S"}]},
        S={"Type": "Succeed"}),
    "an intrinsic that fails": _block(P={
        "Type": "Parallel", "End": True, "Branches": [_block(
            I={"Type": "Pass", "Parameters": {"x.$": "States.ArrayGetItem($.items, 9)"}, "End": True})],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "S", "Assign": {"why.$": "$.Error"}}]},
        S={"Type": "Succeed"}),
    "distributed Map": _block(M={
        "Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "End": True, "Label": "Each",
        "ToleratedFailureCount": 1, "ToleratedFailurePercentagePath": "$.n",
        "ItemBatcher": {"MaxItemsPerBatch": 2, "MaxInputBytesPerBatch": 500, "BatchInput": {"w.$": "$.word"}},
        "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "ItemProcessor": _distributed(I=TASK)}),
    "distributed Map that fails, tried again, then caught": _block(Bad={
        "Type": "Map", "ItemsPath": "$.items", "Next": "S", "ItemProcessor": _distributed(I=TASK),
        "Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["Boom"], "Next": "S"}]}, S={"Type": "Succeed"}),
    "distributed Map that is cut off": _block(P={"Type": "Parallel", "End": True, "Branches": [
        _block(Bad=TASK), _block(M={"Type": "Map", "ItemsPath": "$.items", "End": True,
                                    "ItemProcessor": _distributed(I=TASK)})]}),
    "stopped": _block(W={"Type": "Wait", "Seconds": 60, "End": True}),
    "out of time": {**_block(W={"Type": "Wait", "Seconds": 60, "End": True}), "TimeoutSeconds": 10},
}
INPUT = admit('{"n":1,"word":"w","items":[1.0,"b",{"c":null}],"more":1E2}')


def _script(asked: Asked) -> Answer:
    name = asked.place[-1]
    if name == "Bad" or (name == "OneBad" and asked.place[1] == 1):
        return Answer(Failure("Boom", "bad"), 1_500)
    if name == "Silent":
        return Answer(None, beats=False)
    if asked.resource == MAP_RUN:
        return Answer(asked.arguments, 2_000)
    return Answer(text({"from": list(asked.place)}), 2_000, beat=1_500, job=asked.resource == JOB)


class Kept(Simulation):
    """A simulation that keeps what it heard, and when."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, _script)
        self.heard: list[tuple[int, Signal, Decision]] = []

    def moment(self) -> Moment:
        return _moment(self.now)

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        decision = super().decide(signal, moment)
        if decision.events:
            self.heard.append((moment.now, signal, decision))
        return decision


def _moment(now: int) -> Moment:
    return Moment(now, lambda: 0.625, lambda count: bytes(range(count)))


def _record(name: str) -> dict[str, Any]:
    simulation = Kept(load(GOLDEN[name]))
    said = [Said(30_000, signals.Stop("Enough", "told to"))] if name == "stopped" else []
    simulation.begin(INPUT, limits=Limits.aws(), said=said)
    simulation.run(decisions=3)
    if simulation.execution.asked and name not in {"stopped", "out of time"}:  # an engine was killed here
        interrupted = Kept(simulation.machine)
        interrupted.heard = simulation.heard
        interrupted.resume(simulation.events, away=100)
        simulation = interrupted
    simulation.run()
    lawful(simulation.events)
    steps = [
        {"now": now, "signal": [type(signal).__name__, msgspec.json.encode(signal).decode()],
         "events": facts.encode(decision.events).decode()}
        for now, signal, decision in simulation.heard
    ]
    return {"definition": GOLDEN[name], "status": simulation.execution.status, "steps": steps}


def _signal(step: dict[str, Any]) -> Signal:
    name, fields = step["signal"]
    if name == "MapRunEnded":
        told = msgspec.json.decode(fields, type=dict[str, msgspec.Raw])
        asked, outcome = int(bytes(told["asked"])), bytes(told["outcome"])
        if outcome.startswith(b"["):
            return signals.MapRunEnded(asked, Value(outcome))
        return signals.MapRunEnded(asked, msgspec.json.decode(outcome, type=Failure))
    return msgspec.json.decode(fields, type=getattr(signals, name))


def _golden() -> Iterator[Any]:
    for name, log in json.loads(LOGS.read_text()).items() if LOGS.exists() else ():
        yield pytest.param(log, id=name)


@pytest.mark.parametrize("log", list(_golden()))
def test_an_old_log_folds_and_is_decided_alike(log: dict[str, Any]) -> None:
    machine = load(log["definition"])
    execution = Execution()
    whole: list[facts.Event] = []
    for step in log["steps"]:
        decision = decide(machine, execution, _signal(step), _moment(step["now"]))
        assert facts.encode(decision.events).decode() == step["events"]
        whole += facts.decode(step["events"].encode())
        folded = Execution.fold(whole)
        assert facts.encode(whole) == facts.encode(facts.decode(facts.encode(whole)))
        assert list(folded.asked) == list(execution.asked)
    assert Execution.fold(whole).status == execution.status == log["status"]
    lawful(whole)


def test_every_fact_stands_in_a_golden_log() -> None:
    """So that none of them changes its meaning unnoticed."""
    stand = {
        type(event.fact)
        for log in json.loads(LOGS.read_text()).values()
        for step in log["steps"]
        for event in facts.decode(step["events"].encode())
    }
    missing = set(facts.FACTS) - stand
    elsewhere = {facts.EvaluationAsked, facts.EvaluationAnswered, facts.ExecutionRedriven}  # test_races, test_redrive
    elsewhere |= {facts.MapRunRedriven}  # test_distributed
    assert missing <= elsewhere, missing


if __name__ == "__main__":
    FACTS.write_text(json.dumps(vocabulary(), indent=1) + "\n")
    known = json.loads(LOGS.read_text()) if LOGS.exists() and "--anew" not in sys.argv else {}
    LOGS.write_text(json.dumps({name: known.get(name) or _record(name) for name in GOLDEN}, indent=1) + "\n")
