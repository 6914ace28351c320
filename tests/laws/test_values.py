"""Law of values: what nothing touches leaves byte for byte as it was admitted, through every state and over a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.laws.checks import reread
from tests.laws.machines import CALLBACK, FUNCTION

from stepfold.interpreter.simulate import Answer, Asked, Simulation
from stepfold.language.failures import Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import Machine, load
from stepfold.query.values import Value, admit, tree
from stepfold.runtime.clock import ManualClock
from stepfold.runtime.engine import Engine

# --- texts as the world writes them -----------------------------------------------------------------------------------

numbers = st.sampled_from((
    "0", "-0", "-0.0", "1.0", "1.50", "1e2", "1E+2", "1.0e-7", "100000000000000000000", "-9223372036854775808",
    "18446744073709551616", "0.1000", "3.141592653589793238462643", "2.5E-308", "1e0",
)) | st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)


@st.composite
def strings(draw: st.DrawFn) -> str:
    """A JSON string, each character of it written in one of the ways there are."""
    out = ['"']
    for character in draw(st.text(max_size=8)):
        code = ord(character)
        if character in '"\\' or code < 32:
            out.append(draw(st.sampled_from((f"\\u{code:04x}", f"\\u{code:04X}"))))
        elif code < 0x10000 and draw(st.booleans()):
            out.append(f"\\u{code:04x}")
        else:
            out.append(character)
    return "".join([*out, draw(st.sampled_from(("", "\\n", "\\/", "/", "\\ud83d\\ude00", "\U0001f600"))), '"'])


blanks = st.sampled_from(("", "", " ", "\n\t"))


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(blanks) + part for part in draw(st.lists(inner, max_size=4))) + draw(blanks) + "]"


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(strings(), inner), max_size=4))
    return "{" + ",".join(f"{draw(blanks)}{key}{draw(blanks)}:{value}" for key, value in members) + "}"


texts = st.recursive(
    numbers | strings() | st.sampled_from(("null", "true", "false")),
    lambda inner: arrays(inner) | objects(inner),
    max_leaves=12,
)

# --- machines that hand their input on --------------------------------------------------------------------------------

TASK = {"Type": "Task", "Resource": FUNCTION + "echo"}
HOLDS = {"Type": "Pass", "Parameters": {"held.$": "$"}}

MACHINES: dict[str, dict[str, Any]] = {
    "Pass": {"P": {"Type": "Pass", "End": True}},
    "a path into it": {"P": {**HOLDS, "Next": "Q"}, "Q": {"Type": "Pass", "InputPath": "$.held", "End": True}},
    "OutputPath": {"P": {**HOLDS, "OutputPath": "$.held", "End": True}},
    "ResultPath beside it": {
        "P": {**HOLDS, "Next": "Q"},
        "Q": {"Type": "Pass", "Result": [1], "ResultPath": "$.beside", "Next": "R"},
        "R": {"Type": "Succeed", "OutputPath": "$.held"},
    },
    "Choice and Wait": {
        "P": {**HOLDS, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.held", "IsPresent": True, "Next": "W"}], "Default": "W"},
        "W": {"Type": "Wait", "Seconds": 1, "OutputPath": "$.held", "End": True},
    },
    "a Task that answers with it": {"T": {**TASK, "End": True}},
    "a Task that drops its result": {"T": {**TASK, "ResultPath": None, "End": True}},
    "a callback": {"T": {"Type": "Task", "Resource": CALLBACK, "Parameters": {"held.$": "$", "t.$": "$$.Task.Token"},
                         "ResultSelector": {"kept.$": "$.held"}, "OutputPath": "$.kept", "End": True}},
    "ResultSelector": {"T": {**TASK, "ResultSelector": {"kept.$": "$"}, "OutputPath": "$.kept", "End": True}},
    "an intrinsic": {"P": {"Type": "Pass", "Parameters": {"a.$": "States.Array($)"}, "Next": "Q"},
                     "Q": {"Type": "Pass", "InputPath": "$.a[0]", "End": True}},
    "Parallel": {"P": {"Type": "Parallel", "Next": "Q", "Branches": [
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
        {"StartAt": "B", "States": {"B": {**TASK, "End": True}}},
    ]}, "Q": {"Type": "Pass", "InputPath": "$[1]", "End": True}},
    "Map": {"P": {"Type": "Pass", "Parameters": {"items.$": "States.Array($, $)"}, "Next": "M"},
            "M": {"Type": "Map", "ItemsPath": "$.items", "Next": "Q", "ItemProcessor": {
                "StartAt": "B", "States": {"B": {**TASK, "End": True}},
            }}, "Q": {"Type": "Pass", "InputPath": "$[1]", "End": True}},
    "ItemSelector": {"P": {"Type": "Pass", "Parameters": {"items.$": "States.Array($)"}, "Next": "M"},
                     "M": {"Type": "Map", "ItemsPath": "$.items", "ItemSelector": {"v.$": "$$.Map.Item.Value"},
                           "ResultSelector": {"all.$": "$"}, "OutputPath": "$.all[0].v", "End": True,
                           "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}}}},
    "Catch": {"T": {"Type": "Task", "Resource": FUNCTION + "fail", "End": True,
                    "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "S"}]},
              "S": {"Type": "Succeed"}},
}
LOADED: dict[str, Machine] = {
    name: load({"StartAt": next(iter(states)), "States": states}) for name, states in MACHINES.items()
}


def echo(asked: Asked) -> Answer:
    if asked.resource.endswith("fail"):
        return Answer(Failure("Bad"), 1)
    return Answer(Value(bytes(asked.arguments)), 1)


@settings(max_examples=80, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(texts)
@example('{"b":1.50,"a":{"z":1E+2,"y":[-0.0,"\\u00e9\\/"]},"\\u0061\\u0062":100000000000000000000}')
@example('[[],{},"",null,0.1000]')
def test_what_nothing_touches_leaves_as_it_came(text: str) -> None:
    admitted = admit(text)
    for name, machine in LOADED.items():
        simulation = Simulation(machine, echo)
        simulation.begin(admitted, limits=Limits.local())
        simulation.run()
        assert simulation.execution.status == "SUCCEEDED", (name, simulation.execution.ending)
        assert bytes(simulation.execution.root.value) == bytes(admitted), name
        cut = simulation.ends[len(simulation.ends) // 2 - 1]
        resumed = Simulation(machine, echo)
        resumed.resume(reread(simulation.events[:cut]))
        resumed.run()
        assert bytes(resumed.execution.root.value) == bytes(admitted), f"{name}, cut after {cut}"


@settings(max_examples=200, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(texts)
def test_admitting_keeps_the_value_and_is_done_once(text: str) -> None:
    admitted = admit(text)
    assert bytes(admit(bytes(admitted))) == bytes(admitted)
    assert tree(admitted) == json.loads(text)
    assert b" " not in bytes(admitted).replace(b'" "', b"") or '"' in text


@pytest.mark.anyio
async def test_the_same_through_an_engine_and_its_store(tmp_path: Any) -> None:
    text = '{"b":1.50,"a":{"z":1E+2,"y":[-0.0,"\\u00e9\\/"]},"big":100000000000000000000}'
    admitted = bytes(admit(text)).decode()

    async def echo_call(call: Any) -> Value:
        return Value(bytes(call.arguments))

    engine = Engine(f"sqlite:///{tmp_path / 'values.db'}", clock=ManualClock(jumps=True), seed=1)
    engine.register("echo", echo_call)
    async with engine:
        for number, (name, states) in enumerate(MACHINES.items()):
            if name in {"a callback", "Catch"}:
                continue
            await engine.create(f"m{number}", {"StartAt": next(iter(states)), "States": states})
            handle = await engine.start(f"m{number}", text=text)
            assert bytes(await handle.output()).decode() == admitted, name
            described = await handle.describe()
            assert described.output == admitted
            assert described.input == text  # what the caller wrote is given back as it was written
