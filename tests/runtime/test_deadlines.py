"""The time limits of a call: from its real start, between two signs of life, and anew after a restart."""

import threading

import anyio
import pytest
from tests.runtime.world import CALLBACK, Around, call, caught, each, facts_of, let_go_on, one, then, until, wait

from stepfold import Engine, ExecutionFailed
from stepfold.interpreter import signals
from stepfold.query.values import Value
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


def registered(engine, **more):
    """A function whose calls last until `go` is set; it notes them."""
    engine.calls, engine.go, engine.contexts = [], anyio.Event(), []

    @engine.work("work", **more)
    async def work(event, context):
        engine.calls.append((event, engine.clock.now()))
        engine.contexts.append(context)
        await engine.go.wait()
        return event

    return engine


async def test_queueing_for_a_slot_does_not_count(clock):
    engine = registered(Engine(clock=clock), concurrency=1)
    begun = clock.now()
    async with engine:
        machine = await engine.create("machine", each(caught(TimeoutSeconds=10)))
        handle = await engine.start(machine, [1, 2, 3])
        for expected in range(1, 4):
            await until(lambda expected=expected: len(engine.calls) == expected)
            clock.advance(9)
            await let_go_on()
            assert len(engine.calls) == expected, "it has a second left"
            clock.advance(1)
        results = await handle.result()
    assert [result["Error"] for result in results] == ["States.Timeout"] * 3
    assert [at - begun for _, at in engine.calls] == [0, 10_000, 20_000]


async def test_a_call_that_ends_in_time_leaves_no_alarm(clock):
    engine = registered(Engine(clock=clock))
    async with engine:
        machine = await engine.create("machine", call(TimeoutSeconds=10, HeartbeatSeconds=3))
        handle = await engine.start(machine, 1)
        await until(lambda: engine.calls)
        assert len(engine.timers) == 2
        engine.go.set()
        assert await handle.result() == 1
        assert not len(engine.timers)


async def test_a_heartbeat_keeps_a_call_alive_and_silence_ends_it(clock):
    engine = registered(Engine(clock=clock))
    async with engine:
        handle = await engine.start(await engine.create("machine", caught(HeartbeatSeconds=10)), 1)
        await until(lambda: engine.calls)
        for _ in range(20):
            clock.advance(6)
            await let_go_on()
            engine.contexts[0].heartbeat()
        assert (await handle.describe()).status == "RUNNING"
        clock.advance(9)
        await let_go_on()
        assert (await handle.describe()).status == "RUNNING"
        clock.advance(1)
        assert (await handle.result())["Error"] == "States.Timeout"


@pytest.mark.parametrize("error", ["States.HeartbeatTimeout", "States.Timeout"])
async def test_a_missed_heartbeat_is_caught_by_either_name(error, clock):
    engine = registered(Engine(clock=clock))
    async with engine:
        machine = await engine.create("machine", caught(errors=[error], HeartbeatSeconds=10))
        handle = await engine.start(machine, 1)
        await until(lambda: engine.calls)
        clock.advance(10)
        assert (await handle.result())["Error"] == "States.Timeout"


async def test_a_heartbeat_from_a_thread(clock):
    engine = Engine(clock=clock)
    beat, beaten, go = threading.Event(), threading.Event(), threading.Event()

    @engine.work()
    def work(event, context):
        beat.wait(10)
        context.heartbeat()
        beaten.set()
        go.wait(10)
        return event

    async with engine:
        handle = await engine.start(await engine.create("machine", caught(HeartbeatSeconds=10)), 1)
        await until(lambda: len(engine.timers))
        clock.advance(9)
        beat.set()
        await until(beaten.is_set)
        clock.advance(9)
        await let_go_on()
        go.set()
        assert await handle.result() == 1


async def test_what_a_cut_off_handler_says_does_not_matter(clock):
    engine = Engine(clock=clock)
    began = []

    @engine.work()
    async def raises(event):
        began.append(event)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise ValueError("I was disturbed") from None

    @engine.work()
    async def answers(event):
        began.append(event)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "half done"

    async with engine:
        for function in ("raises", "answers"):
            began.clear()
            handle = await engine.start(await engine.create(function, caught(function, TimeoutSeconds=5)))
            await until(lambda: began)
            clock.advance(5)
            assert (await handle.result())["Error"] == "States.Timeout"


async def test_a_worker_may_say_that_it_begins_though_it_was_said_already(clock):
    """The registration says it; a worker of one's own may say it again."""
    engine = Engine(clock=clock)
    go, began = anyio.Event(), []

    async def worker(asked):
        asked.begin()
        began.append(asked)
        await go.wait()
        return Value(b"1")

    engine.register("work", worker)
    async with engine:
        handle = await engine.start(await engine.create("machine", call(TimeoutSeconds=10, HeartbeatSeconds=9)))
        await until(lambda: began)
        assert len(engine.timers) == 2
        go.set()
        assert await handle.result() == 1
        assert not len(engine.timers)


@pytest.mark.parametrize("path", [False, True])
async def test_after_a_restart_the_time_counts_anew(path, clock):
    """A call killed today and made again tomorrow does not fail by its TimeoutSeconds."""
    disk = MemoryStore()
    limits = {"TimeoutSecondsPath": "$.seconds"} if path else {"TimeoutSeconds": 30}
    engine = registered(Engine(Around(disk), clock=clock))
    async with engine:
        handle = await engine.start(await engine.create("machine", caught(**limits)), {"seconds": 30}, name="monday")
        await until(lambda: engine.calls)
        clock.advance(29)
    clock.advance(86_400)
    engine = registered(Engine(Around(disk), clock=clock))
    async with engine:
        handle = await engine.find("monday")
        await until(lambda: engine.calls)
        assert engine.contexts[0].attempt == 2
        clock.advance(29)
        await let_go_on()
        assert (await handle.describe()).status == "RUNNING"
        engine.go.set()
        assert await handle.result() == {"seconds": 30}
    assert (await facts_of(disk, handle.arn)).count("Reattempted") == 1


# --- answers from outside ---------------------------------------------------------------------------------------------

PAPERS = one(Type="Task", Resource=CALLBACK, TimeoutSeconds=60, HeartbeatSeconds=16,
             Parameters={"FunctionName": "send", "Payload": {"token.$": "$$.Task.Token"}})


async def asked_of(engine, handle):
    run = engine.runs[handle.arn]
    asked, frame = next(iter(run.execution.asked.items()))
    await until(lambda: run.quiet and frame.waits.submitted)
    return run, asked


def sender(engine):
    @engine.work()
    async def send(event):
        return "sent"

    return engine


async def test_the_receipt_of_a_callback_is_not_its_answer(clock):
    async with sender(Engine(clock=clock)) as engine:
        handle = await engine.start(await engine.create("machine", PAPERS))
        run, asked = await asked_of(engine, handle)
        assert (await handle.describe()).status == "RUNNING"
        assert len(engine.timers) == 1
        await engine.tell(run, signals.Succeeded(asked, Value(b'"signed"')))
        assert await handle.result() == "signed"
        assert not len(engine.timers)


async def test_the_alarm_of_an_answered_callback_goes_with_it(clock):
    async with sender(Engine(clock=clock)) as engine:
        handle = await engine.start(await engine.create("machine", then(PAPERS, wait(500))))
        run, asked = await asked_of(engine, handle)
        await engine.tell(run, signals.Succeeded(asked, Value(b"1")))
        await let_go_on()
        assert len(engine.timers) == 1, "the wait's alone"


async def test_signs_of_life_from_outside_move_the_deadline(clock):
    async with sender(Engine(clock=clock)) as engine:
        handle = await engine.start(await engine.create("machine", PAPERS))
        run, asked = await asked_of(engine, handle)
        for _ in range(4):
            clock.advance(12)
            await let_go_on()
            await engine.tell(run, signals.Heartbeat(asked))
            assert len(engine.timers) == 1
        assert (await handle.describe()).status == "RUNNING"
        clock.advance(12)
        with pytest.raises(ExecutionFailed, match=r"States\.Timeout"):
            await handle.result()
        assert not len(engine.timers)


async def test_the_deadline_of_a_callback_stands_over_a_restart(clock):
    disk = MemoryStore()
    async with sender(Engine(Around(disk), clock=clock)) as engine:
        handle = await engine.start(await engine.create("machine", PAPERS), name="monday")
        await asked_of(engine, handle)
    clock.advance(60)
    async with sender(Engine(Around(disk), clock=clock)) as engine:
        with pytest.raises(ExecutionFailed, match=r"States\.Timeout"):
            await (await engine.find("monday")).result()
