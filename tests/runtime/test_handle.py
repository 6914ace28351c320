"""A handle in every situation: the result, the events as they come, a stop."""

import anyio
import pytest
from tests.runtime.world import CALLBACK, YEAR, Around, both, call, each, facts_of, let_go_on, one, until, wait

from stepfold import Engine, ExecutionFailed, ExecutionStopped, ExecutionTimedOut
from stepfold.errors import ExecutionDoesNotExist
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
ENDS = [
    (one(Type="Pass", Result=[1.50, "ü"]), [1.50, "ü"]),
    (one(Type="Fail", Error="Own", Cause="because"), (ExecutionFailed, "Own", "because", "Own: because")),
    (one(Type="Fail"), (ExecutionFailed, None, None, "None")),
    ({**wait(YEAR), "TimeoutSeconds": 5}, (ExecutionTimedOut, "States.Timeout", None, "States.Timeout")),
]


async def outcome(handle):
    try:
        return await handle.result()
    except ExecutionFailed as failed:
        return type(failed), failed.error, failed.cause, str(failed)


@pytest.mark.parametrize(("definition", "expected"), ENDS, ids=["succeeded", "failed", "without words", "timed out"])
async def test_the_result_now_later_and_after_a_restart(definition, expected, tmp_path, clock):
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        handle = await engine.start(await engine.create("machine", definition), name="monday")
        clock.advance(5)
        assert await outcome(handle) == expected
        assert await outcome(handle) == expected
        assert await outcome(await engine.find("monday")) == expected
        assert not engine.runs
    assert await outcome(handle) == expected, "what it has seen end it still knows"
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        assert not engine.runs
        assert await outcome(await engine.find("monday")) == expected


async def test_many_may_wait_for_one_result(clock):
    async with Engine(clock=clock) as engine:
        handle = await engine.start(await engine.create("machine", wait(10)), 1)
        results = []

        async def ask():
            results.append(await handle.result())

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
            group.start_soon(engine.execution(handle.arn).result)
            with anyio.move_on_after(0):
                await handle.result()
            await let_go_on()
            clock.advance(10)
        assert results == [1] * 10


async def test_an_execution_that_nobody_knows():
    async with Engine() as engine:
        handle = engine.execution(engine.home.execution("machine", "nobody"))
        for ask in (handle.result, handle.describe, handle.stop, lambda: anext(handle.events())):
            with anyio.fail_after(1), pytest.raises(ExecutionDoesNotExist):
                await ask()


async def test_the_engine_closes_while_somebody_waits(tmp_path, clock):
    engine = Engine(tmp_path / "store.db", clock=clock)
    said = []

    async def ask(handle):
        with pytest.raises(StoreClosed, match="goes on when it is opened again"):
            await handle.result()
        said.append("result")

    async def follow(handle):
        with pytest.raises(StoreClosed):
            async for _ in handle.events():
                pass
        said.append("events")

    async with anyio.create_task_group() as group, engine:
        handle = await engine.start(await engine.create("machine", wait(10)), 1, name="monday")
        group.start_soon(ask, handle)
        group.start_soon(follow, handle)
        await let_go_on()
    assert sorted(said) == ["events", "result"]
    for ask in (handle.result, handle.describe, handle.stop, lambda: anext(handle.events())):
        with pytest.raises(StoreClosed):
            await ask()
    async with engine:
        clock.advance(10)
        assert await handle.result() == 1, "the old handle serves again"


# --- events -----------------------------------------------------------------------------------------------------------


async def test_the_events_as_they_come_and_again_afterwards(tmp_path, clock):
    engine = Engine(tmp_path / "store.db", clock=clock)

    @engine.work()
    async def work(event):
        return event + 1

    async with engine:
        machine = await engine.create("machine", both(wait(10), call()))
        handle = await engine.start(machine, 1)
        live = []

        async def follow(after, into):
            async for event in handle.events(after):
                into.append(event)

        async with anyio.create_task_group() as group:
            group.start_soon(follow, 0, live)
            await until(lambda: any(event["type"] == "LambdaFunctionSucceeded" for event in live))
            await let_go_on()
            assert live[-1]["type"] == "TaskStateExited"
            clock.advance(10)
        assert live[-1]["type"] == "ExecutionSucceeded"
        assert [event["id"] for event in live] == list(range(1, len(live) + 1))
        again, rest = [], []
        await follow(0, again)
        await follow(5, rest)
        assert again == live
        assert rest == live[5:]


async def test_one_who_stops_listening_harms_nobody(tmp_path, clock):
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        handle = await engine.start(await engine.create("machine", wait(10)), 1)
        async for event in handle.events():
            assert event["type"] == "ExecutionStarted"
            break
        with anyio.move_on_after(0.01):
            async for _ in handle.events():
                pass
        clock.advance(10)
        assert await handle.result() == 1


# --- stop -------------------------------------------------------------------------------------------------------------

ITEM_WAITS = each(wait(YEAR))
SLOW = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": YEAR // 10}


@pytest.mark.parametrize(("definition", "input"), [
    (wait(YEAR), 1),
    (ITEM_WAITS, [1, 2, 3]),
    (both(wait(YEAR), both(wait(YEAR))), 1),
    (call("fails", Retry=[SLOW]), 1),
    (call("nobody"), 1),
    (call("hangs"), 1),
    (each(call("hangs")), list(range(300))),
    (one(Type="Task", Resource=CALLBACK, TimeoutSeconds=50,
         Parameters={"FunctionName": "succeeds", "Payload": {"token.$": "$$.Task.Token"}}), 1),
], ids=["wait", "map", "parallel", "backoff", "missing", "call", "calls", "callback"])
async def test_a_stop_wherever_it_is(definition, input, clock):  # noqa: A002
    engine = Engine(clock=clock)
    alive = set()

    @engine.work()
    async def hangs(event):
        alive.add(event)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await let_go_on(5)
            alive.discard(event)

    @engine.work()
    async def fails(event):
        raise ValueError

    @engine.work()
    async def succeeds(event):
        return event

    async with engine:
        handle = await engine.start(await engine.create("machine", definition), input)
        await let_go_on()
        await handle.stop("Enough", "of it")
        described = await handle.describe()
        assert (described.status, described.error, described.cause) == ("ABORTED", "Enough", "of it")
        with pytest.raises(ExecutionStopped, match="Enough: of it"):
            await handle.result()
        assert not alive, "handlers have ended before the result is told"
        assert not engine.runs
        assert not engine.waiting()
        assert not len(engine.timers)
        assert engine._idle()
        assert (await facts_of(engine.store, handle.arn))[-1] == "ExecutionAborted"
        await handle.stop("Again")
        assert (await handle.describe()).error == "Enough", "one that has ended stays as it is"


async def test_all_stop_at_once_and_all_are_told_when_it_is_durable(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        handle = await engine.start(await engine.create("machine", wait(YEAR)), 1, name="monday")
        statuses = []

        async def stop(number):
            await engine.stop("monday" if number % 2 else handle.arn, error=f"stop {number}")
            statuses.append((await handle.describe()).status)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(stop, number)
        assert statuses == ["ABORTED"] * 20
        assert (await facts_of(engine.store, handle.arn)).count("ExecutionAborted") == 1


async def test_a_stop_from_within_a_handler(clock):
    engine = Engine(clock=clock)

    @engine.work()
    async def work(event, context):
        await engine.stop(context.execution, error="Self")
        return "nobody hears this"

    async with engine:
        with anyio.fail_after(2):
            handle = await engine.start(await engine.create("machine", call()))
            with pytest.raises(ExecutionStopped, match="Self"):
                await handle.result()


async def test_a_stop_of_what_another_hand_has_ended():
    """Somebody else appends to the log (a tool, say): it is folded afresh, and the stop is told what is true."""
    disk = MemoryStore()
    async with Engine(Around(disk)) as first:
        handle = await first.start(await first.create("machine", wait(YEAR)))
        async with Engine(Around(disk)) as second:
            await second.execution(handle.arn).stop("Second")
        await handle.stop("First")
        with pytest.raises(ExecutionStopped, match="Second"):
            await handle.result()
        assert not first.failed
        assert not first.runs
