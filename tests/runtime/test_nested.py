"""Nested executions: every pattern of waiting, what is told of a child, and what a crash or a stop does to it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.runtime.world import (
    CALLBACK,
    DONE,
    FUNCTION,
    Around,
    Failing,
    both,
    call,
    each,
    facts_of,
    one,
    then,
    until,
    wait,
)

from stepfold import Engine
from stepfold.errors import TaskTimedOut
from stepfold.interpreter import facts
from stepfold.query.values import tree
from stepfold.runtime import catalog
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold.runtime.nested import Nested
from stepfold.work.children import Children
from stepfold_store import StoreClosed, open_reader
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
CHILD = "arn:aws:states:us-east-1:123456789012:stateMachine:child"
START = "arn:aws:states:::states:startExecution"
ITEMS = 60
PATIENCE = 120


def starts(pattern="", machine=CHILD, given="$", **more):
    """A machine that starts another with its own input."""
    parameters = {"StateMachineArn": machine, **({} if given is None else {"Input.$": given}), **more}
    return one(Type="Task", Resource=START + pattern, Parameters=parameters)


@pytest.fixture
def disk():
    return MemoryStore()


@pytest.fixture
def engine(disk, clock):
    engine = Engine(Around(disk), clock=clock)
    engine.asked = []

    @engine.work("work")
    async def work(event):
        engine.asked.append(event)
        return event

    return engine


async def made(engine, parent, child=DONE, **more):
    """A parent's machine; its child's is there too."""
    await engine.create("child", child, replace=True)
    return await engine.create("parent", parent, replace=True, **more)


async def children(engine):
    return [await engine.describe(one.arn) for one in await engine.list(machine=CHILD)]


async def ended(engine, handle):
    """A parent whose child fails: the failure of its task."""
    with pytest.raises(ExecutionFailed) as failed:
        await handle.result()
    return failed.value.error, json.loads(failed.value.cause)


async def test_an_answer_tells_of_the_start(engine):
    async with engine:
        handle = await engine.start(await made(engine, starts(Name="one")), {"n": 1})
        told = await handle.result()
        [child] = await children(engine)
        await engine.execution(child.arn).result()
    assert list(told) == ["ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate"]
    assert told["ExecutionArn"] == child.arn == CHILD.replace("stateMachine", "execution") + ":one"
    assert told["StartDate"] == child.started
    assert told["SdkHttpMetadata"]["HttpStatusCode"] == 200
    body = json.dumps({"executionArn": child.arn, "startDate": child.started / 1000}, separators=(",", ":"))
    assert told["SdkHttpMetadata"]["HttpHeaders"]["Content-Length"] == str(len(body))
    assert child.input == '{"n":1}'


@pytest.mark.parametrize(("given", "text"), [
    ({"n": 1}, '{"n":1}'), ('{"n": 1}', '{"n": 1}'), (None, "{}"), ([1, 2], "[1,2]"), (1.50, "1.5"), ('"x"', '"x"'),
])
async def test_the_input_is_data_or_a_text_that_is_json(engine, given, text):
    async with engine:
        told = await (await engine.start(await made(engine, starts(".sync")), given)).result()
        parsed = await (await engine.start(await made(engine, starts(".sync:2")), given)).result()
    assert told["Input"] == text
    assert told["Output"] == json.dumps(json.loads(text), separators=(",", ":"))
    assert parsed["Input"] == parsed["Output"] == json.loads(text)


async def test_what_is_told_of_a_child_that_succeeds(engine):
    async with engine:
        told = await (await engine.start(await made(engine, starts(".sync", Name="one")), 1)).result()
    at = engine.clock.now()
    assert told == {
        "ExecutionArn": CHILD.replace("stateMachine", "execution") + ":one", "Input": "1",
        "InputDetails": {"Included": True}, "Name": "one", "Output": "1", "OutputDetails": {"Included": True},
        "RedriveCount": 0, "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven", "StartDate": at,
        "StateMachineArn": CHILD, "Status": "SUCCEEDED", "StopDate": at,
    }
    assert list(told) == sorted(told)


@pytest.mark.parametrize(("pattern", "given"), [(".sync", '"x"'), (".sync:2", "x")])
async def test_a_child_that_fails_fails_its_parent_with_its_description(engine, pattern, given):
    async with engine:
        machine = await made(engine, starts(pattern), one(Type="Fail", Error="Boom", Cause="why"))
        error, cause = await ended(engine, await engine.start(machine, '"x"'))
    assert error == "States.TaskFailed"
    assert (cause["Status"], cause["Error"], cause["Cause"], cause["Input"]) == ("FAILED", "Boom", "why", given)
    assert "Output" not in cause


async def test_a_child_that_times_out_or_is_stopped_fails_its_parent(engine, clock):
    async with engine:
        machine = await made(engine, starts(".sync"), wait(100) | {"TimeoutSeconds": 10})
        late, stopped = [await engine.start(machine) for _ in range(2)]
        await until(lambda: len(engine.runs) == 4)
        child = next(arn for arn, run in engine.runs.items()
                     if run.execution.started.machine == CHILD)
        await engine.stop(child, error="Enough", cause="said so")
        clock.advance(10)
        causes = {cause["Status"]: cause for _, cause in [await ended(engine, late), await ended(engine, stopped)]}
    assert causes.keys() == {"ABORTED", "TIMED_OUT"}
    assert causes["ABORTED"]["Error"] == "Enough"
    assert "Error" not in causes["TIMED_OUT"]


@pytest.mark.parametrize(("parameters", "error", "cause"), [
    ({"StateMachineArn": CHILD + "s"}, "StepFunctions.StateMachineDoesNotExistException",
     f"State Machine Does Not Exist: '{CHILD}s' (Service: AWSStepFunctions; Status Code: 400; Error Code: State"),
    ({"StateMachineArn": CHILD, "Name": "a b"}, "StepFunctions.InvalidNameException", "Invalid Name: 'a b' ("),
    ({"StateMachineArn": CHILD, "Input": "{"}, "StepFunctions.InvalidExecutionInputException", "Invalid State Machine"),
    ({"StateMachineArn": CHILD, "Name": "taken"}, "StepFunctions.ExecutionAlreadyExistsException", "Execution Already"),
    ({"StateMachineArn": 1}, "States.Runtime", "An error occurred while executing the state 'Task-"),
])
@pytest.mark.parametrize("pattern", ["", ".sync", ".sync:2"])
async def test_a_start_that_is_refused_fails_the_task(engine, parameters, error, cause, pattern):
    parent = one(Type="Task", Resource=START + pattern, Parameters={"x.$": "$"}, ResultPath="$")
    task = next(iter(parent["States"].values()))
    task["Parameters"] = {f"{name}.$": f"$.{name}" for name in parameters}
    async with engine:
        machine = await made(engine, parent)
        await (await engine.start("child", 7, name="taken")).result()
        handle = await engine.start(machine, parameters)
        with pytest.raises(ExecutionFailed) as failed:
            await handle.result()
        assert "TaskSubmitted" not in await facts_of(engine.store, handle.arn)
    assert failed.value.error == error
    assert failed.value.cause.startswith(cause)


async def test_a_child_answers_its_parent_by_the_token(engine):
    parent = one(Type="Task", Resource=START + ".waitForTaskToken", Parameters={
        "StateMachineArn": CHILD, "Input": {"token.$": "$$.Task.Token"},
    })
    async with engine:
        handle = await engine.start(await made(engine, parent, call()))
        await until(lambda: engine.asked)
        await until(lambda: not [arn for arn in engine.runs if arn != handle.arn])
        await engine.callbacks.succeed(engine.asked[0]["token"], '"done"')
        assert await handle.result() == "done"
        assert "TaskSubmitted" in await facts_of(engine.store, handle.arn)


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
async def test_a_parent_that_is_stopped_stops_its_child_and_grandchild(engine, pattern):
    grandparent = starts(pattern, CHILD.replace("child", "parent"))
    async with engine:
        await made(engine, starts(pattern), wait(100))
        handle = await engine.start(await engine.create("grandparent", grandparent), 1)
        await until(lambda: len(engine.runs) == 3)
        arns = list(engine.runs)
        await until(lambda: all(run.execution.asked for run in engine.runs.values()))
        await handle.stop()
        with pytest.raises(ExecutionStopped):
            await handle.result()
        await until(lambda: not engine.runs)
        assert {(await engine.describe(arn)).status for arn in arns} == {"ABORTED"}


async def test_a_sibling_that_fails_or_a_time_limit_stops_the_child(engine, clock):
    limited = starts(".sync")
    next(iter(limited["States"].values()))["TimeoutSeconds"] = 5
    failing = both(starts(".sync"), then(wait(5), one(Type="Fail", Error="Boom")))
    async with engine:
        for parent in (limited, failing):
            machine = await made(engine, parent, wait(100))
            handle = await engine.start(machine, 1)
            await until(lambda: len(engine.runs) == 2 and len(engine.timers) >= 2)
            clock.advance(5)
            with pytest.raises(ExecutionFailed):
                await handle.result()
        assert [child.status for child in await children(engine)] == ["ABORTED", "ABORTED"]


@pytest.mark.parametrize("pattern", ["", ".waitForTaskToken"])
async def test_a_child_that_nobody_attends_to_goes_on_without_its_parent(engine, pattern):
    parent = then(starts(pattern), wait(100))
    next(iter(parent["States"].values()))["Parameters"] |= {"Input": {"token.$": "$$.Task.Token"}} if pattern else {}
    next(iter(parent["States"].values()))["Parameters"].pop("Input.$")
    async with engine:
        handle = await engine.start(await made(engine, parent, wait(50)))
        await until(lambda: len(engine.timers) >= (1 if pattern else 2))
        await handle.stop()
        [child] = await children(engine)
        assert child.status == "RUNNING"


async def test_many_children_at_once_need_no_turn_while_they_are_waited_for(disk, jumping_clock):
    engine = Engine(disk, clock=jumping_clock, calls=2)
    engine.work("work")(lambda event: event)
    async with engine:
        machine = await made(engine, each(starts(".sync:2")), then(wait(5), call()))
        results = await (await engine.start(machine, list(range(300)))).result()
    assert [result["Output"] for result in results] == list(range(300))


async def test_a_parents_wait_lets_the_clock_jump(disk, jumping_clock):
    async with Engine(disk, clock=jumping_clock) as engine:
        begun = jumping_clock.now()
        told = await (await engine.start(await made(engine, starts(".sync"), wait(1000)))).result()
    assert told["StopDate"] - begun == 1000_000


async def test_a_machine_that_starts_itself_comes_to_its_end(engine):
    recursive = {"StartAt": "More", "States": {
        "More": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 0, "Next": "Done"}],
                 "Default": "Again"},
        "Again": {"Type": "Task", "Resource": START + ".sync:2", "End": True, "OutputPath": "$.Output", "Parameters": {
            "StateMachineArn": CHILD, "Input": {"n.$": "States.MathAdd($.n, -1)"}}},
        "Done": {"Type": "Succeed"},
    }}
    async with engine:
        await engine.create("child", recursive)
        assert await (await engine.start("child", {"n": 20})).result() == {"n": 0}
        assert len(await children(engine)) == 21


async def test_express_children_are_started_but_not_waited_for(engine):
    async with engine:
        await engine.create("child", call(), type="EXPRESS")
        told = await (await engine.start(await engine.create("parent", starts()), 5)).result()
        assert ":express:" in told["ExecutionArn"]
        await until(lambda: engine.asked == [5])
        handle = await engine.start(await engine.create("sync", starts(".sync")), 6)
        with pytest.raises(ExecutionFailed, match=r"StepFunctions.StateMachineTypeNotSupportedException"):
            await handle.result()
    assert engine.asked == [5]


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [{}, {"Name": "one"}], ids=["unnamed", "named"])
@pytest.mark.parametrize("pattern", ["", ".sync", ".sync:2"])
async def test_no_crash_starts_a_child_twice(clock, pattern, name):
    """The store fails at every append in turn: between the start of the child and its receipt, too."""
    at, whole = 0, False
    while not whole:
        at += 1
        disk = MemoryStore()
        engine = Engine(Failing(disk, at), clock=clock)
        engine.work("work")(lambda event: event)
        async with engine:
            try:
                machine = await made(engine, starts(pattern, **name), call())
                handle = await engine.start(machine, 5, name="monday")
                await handle.result()
                [child] = await children(engine)
                await engine.execution(child.arn).result()
                whole = True
            except StoreClosed:
                pass
        async with Engine(Around(disk), clock=clock) as engine:
            engine.work("work")(lambda event: event)
            if not await engine.list(machine=CHILD.replace("child", "parent")):
                continue
            handle = await engine.find("monday")
            told = await handle.result()
            [child] = await children(engine)
            assert told["ExecutionArn"] == child.arn
            assert await engine.execution(child.arn).result() == 5
            assert told.get("Output") == {"": None, ".sync": "5", ".sync:2": 5}[pattern]
            assert (await facts_of(disk, handle.arn)).count("TaskSubmitted") == bool(pattern)
    assert at > 4


@pytest.mark.parametrize("name", [{}, {"Name": "one"}], ids=["unnamed", "named"])
async def test_a_child_that_has_ended_before_its_receipt_was_lost_is_found_again(disk, name):
    """The longest way from a child's start to its parent's knowing of it, and the crash at its end."""

    class Slow(Children):
        async def submit(self, call):
            await super().submit(call)
            await anyio.sleep_forever()

    async with Engine(Around(disk)) as engine:
        engine.register(START + ".sync", Slow(Nested(engine)))
        handle = await engine.start(await made(engine, starts(".sync", **name)), 5, name="monday")
        await until(lambda: len(engine.lately._kept) == 1)
        assert "TaskSubmitted" not in await facts_of(disk, handle.arn)
    async with Engine(Around(disk)) as engine:
        told = await (await engine.find("monday")).result()
        [child] = await children(engine)
        assert (told["ExecutionArn"], told["Output"]) == (child.arn, "5")


async def test_a_name_that_another_has_taken_is_not_mistaken_for_ones_own(disk, clock):
    """After a crash the child of that name and input is there, but somebody else had started it."""
    async with Engine(Around(disk), clock=clock) as engine:
        await made(engine, starts(".sync", Name="one"))
        await (await engine.start("child", 5, name="one")).result()
        handle = await engine.start("parent", 5)
        with pytest.raises(ExecutionFailed, match=r"ExecutionAlreadyExists"):
            await handle.result()


@asynccontextmanager
async def waiting_after_a_restart(disk, parent):
    """A second engine, in which an execution waits for the answer to what a first one sent, and all that was sent."""
    sent = []

    async def send(event):
        sent.append(event)

    async with Engine(Around(disk), work=[send]) as engine:
        handle = await engine.start(await engine.create("m", parent), 5, name="monday")
        submitted = engine.runs[handle.arn].execution
        await until(lambda: sent and all(frame.waits.submitted for frame in submitted.asked.values()))
    async with Engine(Around(disk), work=[send]) as engine:
        yield engine, await engine.find("monday"), sent


async def test_a_token_task_of_a_function_goes_on_waiting_after_a_restart(disk):
    parent = one(Type="Task", Resource=CALLBACK, Parameters={
        "FunctionName": FUNCTION + "send", "Payload": {"token.$": "$$.Task.Token", "n.$": "$"},
    })
    async with waiting_after_a_restart(disk, parent) as (engine, handle, sent):
        assert [event["n"] for event in sent] == [5]
        await engine.callbacks.succeed(sent[0]["token"], '{"sent": true}')
        assert await handle.result() == {"sent": True}
    assert len(sent) == 1


async def test_a_token_that_was_evaluated_beside_is_heard_after_a_restart_but_not_after_its_end(disk):
    parent = one(Type="Task", Resource=CALLBACK, QueryLanguage="JSONata", Arguments={
        "FunctionName": FUNCTION + "send", "Payload": {
            "token": "{% $states.context.Task.Token %}", "heavy": "{% $match('a', /a/).match %}",
        },
    })
    async with waiting_after_a_restart(disk, parent) as (engine, handle, sent):
        await engine.callbacks.succeed(sent[0]["token"], '{"sent": true}')
        assert await handle.result() == {"sent": True}
        with pytest.raises(TaskTimedOut):
            await engine.callbacks.succeed(sent[0]["token"], "1")


def launch(folder, *more):
    command = [sys.executable, str(Path(__file__).with_name("nesting.py")), str(folder), str(ITEMS), *more]
    with (folder / "errors").open("a") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)


def lines(folder):
    calls = folder / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


def wait_for_calls(folder, process):
    ends = time.monotonic() + PATIENCE
    while len(lines(folder)) < ITEMS // 3 and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.002)  # another process is waited for: there is nothing here to await


async def test_a_killed_family_goes_on(tmp_path):
    first = launch(tmp_path)
    wait_for_calls(tmp_path, first)
    assert first.poll() is None, (tmp_path / "errors").read_text()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    second = launch(tmp_path, "--resume")
    out, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, (tmp_path / "errors").read_text()
    assert json.loads(out.splitlines()[-1]) == [item * 2 for item in range(ITEMS)]

    reader = await open_reader(tmp_path / "store.db")
    try:
        found = [entry async for entry in catalog.all_entries(reader, catalog.EXECUTION, parent=CHILD)]
        assert len(found) == ITEMS
        given = {(await catalog.describe(reader, entry.key)).input for entry in found}
        assert given == {str(item) for item in range(ITEMS)}
        parent = await catalog.find_execution(reader, "monday")
        receipts = [tree(event.fact.output)["ExecutionArn"] async for event in catalog.events(reader, parent.key)
                    if isinstance(event.fact, facts.TaskSubmitted)]
        assert sorted(receipts) == sorted(entry.key for entry in found)
    finally:
        await reader.close()
