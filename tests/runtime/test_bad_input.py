"""What goes wrong with definitions, inputs and handlers: said in AWS's words, caught by Catch, and the engine lives."""

import os
import sys
import threading

import anyio
import pytest
from tests.runtime.world import DONE, call, caught, each, until, wait

from stepfold import Engine, ExecutionFailed, Limits, TaskError
from stepfold.errors import InvalidDefinition, InvalidExecutionInput
from stepfold.interpreter import decide
from stepfold.query.values import Value
from stepfold.work.functions.handlers import Handler, Handlers

pytestmark = pytest.mark.anyio


# --- definitions ------------------------------------------------------------------------------------------------------


async def test_all_that_is_wrong_with_a_definition_is_listed():
    wrong = {"StartAt": "Nowhere", "States": {
        "A": {"Type": "Pass", "Next": "Lost"},
        "B": {"Type": "Wait", "End": True},
        "C": {"Type": "Teleport", "End": True},
    }}
    async with Engine() as engine:
        with pytest.raises(InvalidDefinition) as refused:
            await engine.create("machine", wrong)
        places = " ".join(str(found) for found in refused.value.diagnostics)
        assert len(refused.value.diagnostics) >= 4
        for name in ("Nowhere", "Lost", "/States/B", "/States/C"):
            assert name in places
        assert refused.value.code == "InvalidDefinition"
        assert not (await engine.store.entries("machine")).entries, "nothing is kept of it"


@pytest.mark.parametrize(
    "definition", ["", "{", "[]", "null", "7", '"text"', b"\xff", {}, {"StartAt": "A"}, "{" * 9999]
)
async def test_what_is_no_definition_at_all(definition):
    async with Engine() as engine:
        with pytest.raises(InvalidDefinition):
            await engine.create("machine", definition)


async def test_a_file_that_is_not_there(tmp_path):
    async with Engine() as engine:
        with pytest.raises((OSError, InvalidDefinition)):
            await engine.create("machine", tmp_path / "nobody.asl.json")


# --- inputs -----------------------------------------------------------------------------------------------------------

HOLDS_ITSELF = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


@pytest.mark.parametrize("text", ["", "not json", "{'a': 1}", "{", "NaN", "[1,]", '"\ud800"', "1e999", "[" * 9999])
async def test_a_text_that_is_no_input(text):
    async with Engine() as engine:
        machine = await engine.create("machine", DONE)
        with pytest.raises(InvalidExecutionInput, match="Invalid State Machine Execution Input: '"):
            await engine.start(machine, text=text, name="monday")
        assert not engine.runs
        assert await (await engine.start(machine, text="{}", name="monday")).result() == {}


async def test_a_text_that_is_no_input_is_refused_in_the_words_of_aws():
    async with Engine() as engine:
        machine = await engine.create("machine", DONE)
        with pytest.raises(InvalidExecutionInput) as raised:
            await engine.start(machine, text="{'a'")
    words = "Unexpected character (''' (code 39)): was expecting double-quote to start field name"
    assert str(raised.value) == f"Invalid State Machine Execution Input: '{words}'"


@pytest.mark.parametrize("data", [float("nan"), float("inf"), object(), HOLDS_ITSELF, {"a": [object()]}, "\ud800"],
                         ids=["nan", "inf", "object", "itself", "nested", "surrogate"])
async def test_data_that_is_no_input(data):
    async with Engine() as engine:
        machine = await engine.create("machine", DONE)
        with pytest.raises(InvalidExecutionInput):
            await engine.start(machine, data)
        assert not engine.runs


async def test_an_input_beyond_the_limit():
    async with Engine(limits=Limits.aws()) as engine:
        machine = await engine.create("machine", DONE)
        with pytest.raises(InvalidExecutionInput):
            await engine.start(machine, "x" * 262_143)
        assert await (await engine.start(machine, "x" * 262_142)).result() == "x" * 262_142


# --- handlers ---------------------------------------------------------------------------------------------------------


class Odd(BaseException):
    pass


async def nothing_json(event):
    return {1, 2}


async def nan(event):
    return {"n": float("nan")}


async def itself(event):
    return HOLDS_ITSELF


async def raises(event):
    raise KeyError("lost")


def raises_in_a_thread(event):
    raise ZeroDivisionError("nought")


async def exits(event):
    sys.exit(3)


def exits_in_a_thread(event):
    raise SystemExit


async def odd(event):
    raise Odd("what is this")


async def gathered(event):
    async with anyio.create_task_group() as group:
        group.start_soon(raises, event)


async def cancels_itself(event):
    raise anyio.get_cancelled_exc_class()("for fun")


async def fails_in_words(event):
    raise TaskError("Own.Name", "own cause")


async def fails_without_words(event):
    raise TaskError(None)


FAULTS = [
    (nothing_json, "Runtime.MarshalError", "Unable to marshal response"),
    (nan, "Runtime.MarshalError", "Unable to marshal response"),
    (itself, "Runtime.MarshalError", "Unable to marshal response"),
    (raises, "KeyError", "lost"),
    (raises_in_a_thread, "ZeroDivisionError", "nought"),
    (exits, "Runtime.ExitError", "exit status 3"),
    (exits_in_a_thread, "Runtime.ExitError", "exit status 0"),
    (odd, "Odd", "what is this"),
    (gathered, "ExceptionGroup", "unhandled errors"),
    (cancels_itself, "CancelledError", "for fun"),
    (fails_in_words, "Own.Name", "own cause"),
    (fails_without_words, None, None),
]


@pytest.mark.parametrize(("function", "error", "cause"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
async def test_a_handler_that_fails(function, error, cause):
    engine = Engine(work=[function])

    @engine.work()
    async def good(event):
        return "good"

    async with engine:
        named = await engine.create("named", caught(function.__name__, [error or "States.TaskFailed"]))
        failed = await (await engine.start(named)).result()
        assert failed["Error"] == error
        assert failed["Cause"] is None if cause is None else cause in failed["Cause"]
        anything = await engine.create("anything", caught(function.__name__, ["States.TaskFailed"]))
        assert (await (await engine.start(anything)).result())["Error"] == error
        bare = await engine.create("bare", call(function.__name__))
        with pytest.raises(ExecutionFailed) as uncaught:
            await (await engine.start(bare)).result()
        assert (uncaught.value.error, uncaught.value.status) == (error, "FAILED")
        assert await (await engine.start(await engine.create("good", call("good")))).result() == "good"
        assert not engine.failed
        assert engine._idle()


@pytest.mark.parametrize("limits", [Limits.aws(), Limits.local()])
async def test_no_more_is_told_of_a_failure_than_the_api_carries(limits):
    """Whoever words it: a handler, a worker, a Fail state, a stop; a Catch sees no more either."""
    async with Engine(limits=limits) as engine:

        @engine.work("work")
        async def work(event):
            raise TaskError("E" * 1_000, "c" * 1_000_000)

        machine = await engine.create("caught", caught())
        seen = await (await engine.start(machine)).result()
        assert (len(seen["Error"]), len(seen["Cause"])) == (256, 32_768)
        for definition in (call(), {"QueryLanguage": "JSONata", "StartAt": "F", "States": {"F": {
            "Type": "Fail", "Error": "{% $pad('', 300, 'E') %}", "Cause": "{% $pad('', 32768, 'c') & 'more' %}",
        }}}):
            handle = await engine.start(await engine.create("fails", definition, replace=True))
            with pytest.raises(ExecutionFailed):
                await handle.result()
            ended = await engine.describe(handle.arn)
            assert (ended.error, ended.cause) == ("E" * 256, "c" * 32_768)
            for event in [event async for event in handle.events()]:
                assert len(str(event)) < 40_000
        handle = await engine.start(await engine.create("waits", wait(10**6)))
        await handle.stop(error="E" * 257, cause="c" * 32_769)
        ended = await engine.describe(handle.arn)
        assert (ended.error, ended.cause) == ("E" * 256, "c" * 32_768)


async def test_a_worker_that_answers_no_json():
    engine = Engine()

    async def worker(asked):
        return object() if bytes(asked.arguments) == b"1" else Value(b'"raw"')

    engine.register("work", worker)
    async with engine:
        machine = await engine.create("machine", caught())
        assert (await (await engine.start(machine, 1)).result())["Error"] == "Runtime.MarshalError"
        assert await (await engine.start(machine, 2)).result() == "raw"


@pytest.mark.parametrize(("size", "fits"), [(262_142, True), (262_143, False)])
async def test_a_result_beyond_the_limit(size, fits):
    engine = Engine(limits=Limits.aws())

    @engine.work()
    async def work(event):
        return "x" * size

    async with engine:
        machine = await engine.create("machine", caught(errors=["States.DataLimitExceeded"]))
        result = await (await engine.start(machine)).result()
        if fits:
            assert result == "x" * size
        else:
            assert result["Error"] == "States.DataLimitExceeded"


async def test_a_history_beyond_the_limit():
    engine = Engine(limits=Limits.aws())
    loop = {"StartAt": "Ping", "States": {
        "Ping": {"Type": "Pass", "Next": "Pong"},
        "Pong": {"Type": "Choice", "Choices": [{"Variable": "$.end", "IsPresent": True, "Next": "End"}],
                 "Default": "Ping"},
        "End": {"Type": "Succeed"},
    }}
    async with engine:
        handle = await engine.start(await engine.create("machine", loop))
        with pytest.raises(ExecutionFailed, match=r"States.Runtime: .*25000") as failed:
            await handle.result()
        assert failed.value.error == "States.Runtime"
        events = [event["id"] async for event in handle.events()]
        assert len(events) == events[-1] == 25_000


async def test_items_within_items_beyond_the_limit(monkeypatch):
    """Each Map by itself is within its own."""
    monkeypatch.setattr(decide, "FRAMES", 100)
    async with Engine() as engine:
        machine = await engine.create("nested", each(each(wait(10**6))))
        handle = await engine.start(machine, [list(range(20))] * 20)
        with pytest.raises(ExecutionFailed, match=r"branches and items at once \(100\)") as failed:
            await handle.result()
        assert failed.value.error == "States.Runtime"
        machine = await engine.create("in-turn", each(each(call()), MaxConcurrency=4))
        engine.work("work")(lambda event: event)
        assert await (await engine.start(machine, [list(range(20))] * 20)).result() == [list(range(20))] * 20


async def test_a_handler_that_hangs_is_cut_off_by_its_time(clock):
    engine = Engine(clock=clock)
    began, freed = [], []

    @engine.work()
    async def work(event):
        began.append(event)
        try:
            await anyio.sleep_forever()
        finally:
            freed.append(event)

    async with engine:
        machine = await engine.create("machine", caught(errors=["States.Timeout"], TimeoutSeconds=30))
        handle = await engine.start(machine, 1)
        await until(lambda: began)
        clock.advance(30)
        assert await handle.result() == {"Error": "States.Timeout", "Cause": None}
        assert freed == [1]


async def test_a_thread_that_hangs_is_left_behind(clock):
    engine = Engine(clock=clock)
    go, began = threading.Event(), threading.Event()

    @engine.work()
    def work(event):
        began.set()
        go.wait(30)
        return "too late"

    try:
        async with engine:
            machine = await engine.create("machine", caught(errors=["States.Timeout"], TimeoutSeconds=30))
            handle = await engine.start(machine)
            await until(began.is_set)
            clock.advance(30)
            assert (await handle.result())["Error"] == "States.Timeout"
    finally:
        go.set()


async def test_a_child_process_that_dies(tmp_path):
    (tmp_path / "index.py").write_text("import os\n\ndef handler(event, context):\n    os._exit(7)\n")
    engine = Engine()
    handlers = engine.keep(Handlers())
    engine.register("work", handlers.worker(
        Handler(name="work", runtime="python3.11", handler="index.handler", code=tmp_path)
    ))
    async with engine:
        machine = await engine.create("machine", caught(errors=["Runtime.ExitError"]))
        failed = await (await engine.start(machine)).result()
        assert "exit status 7" in failed["Cause"]
        assert f"{os.getpid()}" not in failed["Cause"]


async def test_one_bad_item_among_many_is_caught():
    engine = Engine()

    @engine.work()
    async def work(event):
        return 100 // event

    async with engine:
        machine = await engine.create("machine", each(caught(errors=["ZeroDivisionError"])))
        results = await (await engine.start(machine, [1, 0, 2])).result()
        assert results[0] == 100
        assert results[1]["Error"] == "ZeroDivisionError"
        assert results[2] == 50
