"""A run between the core, the store and the workers: what is durable first, who has turns, and what a crash leaves."""

from collections import Counter

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.runtime.world import (
    DONE,
    FUNCTION,
    LOOP,
    YEAR,
    Around,
    Failing,
    Holding,
    asks,
    both,
    call,
    caught,
    each,
    facts_of,
    heavy,
    let_go_on,
    one,
    then,
    until,
    wait,
)

from stepfold import Engine, ExecutionFailed, Limits
from stepfold.errors import StateMachineDoesNotExist
from stepfold.interpreter import signals
from stepfold.language.failures import Failure
from stepfold.query.values import Value
from stepfold.runtime import catalog
from stepfold.runtime.runs import folding
from stepfold.runtime.runs import run as runs
from stepfold_store import Entry, StoreClosed, StoreError
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Counted(Engine):
    """An engine with a function `work`, which notes its calls and gives back its event."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.calls = []

        @self.work()
        async def work(event):
            self.calls.append(event)
            return event


# --- durable first ----------------------------------------------------------------------------------------------------


async def test_nothing_is_done_or_told_before_it_is_durable():
    store = Holding(MemoryStore())
    async with Counted(store) as engine, anyio.create_task_group() as group:
        machine = await engine.create("machine", call())
        told = []

        async def start():
            handle = await engine.start(machine, 1)
            told.append("started")
            await handle.result()
            told.append("ended")

        group.start_soon(start)
        await let_go_on()
        assert (engine.calls, told) == ([], []), "the start is not durable"
        store.let_go()
        await let_go_on()
        assert (engine.calls, told) == ([1], ["started"])
        assert (await engine.list())[0].status == "RUNNING", "the end is not durable"
        store.let_go()
        await let_go_on()
        assert told == ["started", "ended"]


async def test_a_start_that_the_closing_engine_cuts_off_is_not_acknowledged():
    store = Holding(MemoryStore())
    engine = Engine(store)
    refused = []
    async with anyio.create_task_group() as group, engine:
        machine = await engine.create("machine", DONE)

        async def start(name):
            with pytest.raises(StoreClosed):
                await engine.start(machine, name=name)
            refused.append(name)

        group.start_soon(start, "one")
        group.start_soon(start, "two")
        group.start_soon(start, "one")
        await let_go_on()
    assert sorted(refused) == ["one", "one", "two"]


async def test_what_is_decided_away_before_it_is_durable_is_never_begun(clock):
    """A call, a wait, a retry and an evaluation are owed by a decision that a stop overtakes."""
    store = Holding(MemoryStore())
    async with Counted(store, clock=clock) as engine, anyio.create_task_group() as group:
        machine = await engine.create("machine", {**both(call(), wait(YEAR), heavy()), "TimeoutSeconds": YEAR})
        group.start_soon(lambda: engine.start(machine, {"names": []}, name="monday"))
        await let_go_on()
        run = next(iter(engine.runs.values()))
        group.start_soon(engine.tell, run, signals.Stop())
        await let_go_on()
        assert len(store.held) == 2
        store.let_go()
        await let_go_on()
        assert engine.calls == []
        assert not engine.runs
        assert not engine.failed
        assert not len(engine.timers)
        assert engine._idle()


@pytest.mark.parametrize("owed", [wait(YEAR), heavy(), call()], ids=["wait", "evaluation", "call"])
async def test_what_a_failing_sibling_decides_away_before_it_is_durable_is_never_begun(owed, clock):
    store = Holding(MemoryStore(), holds=False)
    engine = Counted(store, clock=clock)
    engine.work("send")(lambda event: event)
    machine = both(then(asks(), owed), asks(), Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Rest"}])
    machine["States"]["Rest"] = {"Type": "Wait", "Seconds": 5, "End": True}
    async with engine, anyio.create_task_group() as group:
        handle = await engine.start(await engine.create("machine", machine), {"names": []})
        run = engine.runs[handle.arn]
        await until(lambda: run.quiet and all(frame.waits.submitted for frame in run.execution.asked.values()))
        first, second = run.execution.asked
        store.holds = True
        group.start_soon(engine.tell, run, signals.Succeeded(first, Value(b'{"names":[]}')))
        group.start_soon(engine.tell, run, signals.Failed(second, Failure("No", None)))
        await until(lambda: len(store.held) == 2)
        store.holds = False
        store.let_go()
        await let_go_on()
        assert not engine.failed
        assert engine.calls == []
        assert len(engine.timers) == 1, "the rest's alone"
        clock.advance(5)
        assert (await handle.result())["Error"] == "No"


async def test_what_costs_too_much_for_a_decision_is_evaluated_beside():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        machine = await engine.create("machine", heavy())
        handle = await engine.start(machine, {"names": ["anna", "bert"]})
        assert await handle.result() == {"found": ["anna"]}
        assert (await facts_of(disk, handle.arn))[2:4] == ["EvaluationAsked", "EvaluationAnswered"]
        stopped = await engine.start(machine, {"names": ["anna"]})
        await stopped.stop()
        assert (await stopped.describe()).status == "ABORTED"
        async with Engine(Around(disk)) as other:
            assert not other.runs


# --- turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_endless_loop_leaves_the_others_their_turns(kind, tmp_path):
    async with Counted("memory://" if kind == "memory" else tmp_path / "store.db") as engine:
        loops = await engine.start(await engine.create("loop", LOOP))
        machine = await engine.create("machine", call())
        with anyio.fail_after(20):
            handles = [await engine.start(machine, number) for number in range(20)]
            assert [await handle.result() for handle in handles] == list(range(20))
            assert loops.arn in engine.runs
            await loops.stop()
        assert (await loops.describe()).status == "ABORTED"


async def test_calls_that_never_wait_leave_the_others_their_turns():
    polls = {"StartAt": "Poll", "States": {
        "Poll": {"Type": "Task", "Resource": FUNCTION + "work", "Next": "Enough?"},
        "Enough?": {"Type": "Choice", "Default": "Poll",
                    "Choices": [{"Variable": "$.enough", "IsPresent": True, "Next": "Done"}]},
        "Done": {"Type": "Succeed"},
    }}
    async with Counted() as engine:
        endless = await engine.start(await engine.create("polls", polls))
        with anyio.fail_after(10):
            assert await (await engine.start(await engine.create("machine", call()), 1)).result() == 1
            await endless.stop()


async def test_those_in_line_have_their_turn_though_those_before_them_go_round():
    """300 items ask again and again until the last of them has been heard: more than may be in flight at once."""
    heard = set()
    engine = Engine()

    @engine.work()
    async def ask(event):
        heard.add(event["n"])
        return {**event, "all": len(heard) == 300}

    polls = {"StartAt": "Poll", "States": {
        "Poll": {"Type": "Task", "Resource": FUNCTION + "ask", "Next": "All?"},
        "All?": {"Type": "Choice", "Choices": [{"Variable": "$.all", "BooleanEquals": True, "Next": "Done"}],
                 "Default": "Poll"},
        "Done": {"Type": "Succeed"},
    }}
    async with engine:
        handle = await engine.start(await engine.create("machine", each(polls)), [{"n": n} for n in range(300)])
        with anyio.fail_after(10):
            assert len(await handle.result()) == 300


async def test_an_unlimited_map_opens_only_so_many_frames():
    engine = Engine(limits=Limits(map_frames=20, history=None))
    go, calls = anyio.Event(), []

    @engine.work()
    async def work(event):
        calls.append(event)
        await go.wait()
        return event

    async with engine:
        handle = await engine.start(await engine.create("machine", each(call())), list(range(50)))
        await until(lambda: len(calls) == 20)
        await let_go_on()
        assert len(calls) == 20
        assert len(engine.runs[handle.arn].execution.frames) == 21
        go.set()
        assert await handle.result() == list(range(50))


@pytest.mark.parametrize(("cap", "most"), [({"calls": 7}, 7), ({}, 3)])
async def test_no_more_calls_at_once_than_the_caps_allow(cap, most):
    engine = Engine(**cap)
    flying, highest = 0, 0

    @engine.work(concurrency=3 if not cap else None)
    async def work(event):
        nonlocal flying, highest
        flying += 1
        highest = max(highest, flying)
        await checkpoint()
        flying -= 1
        return event

    async with engine:
        machine = await engine.create("machine", each(call()))
        handles = [await engine.start(machine, list(range(20))) for _ in range(5)]
        assert [await handle.result() for handle in handles] == [list(range(20))] * 5
    assert highest == most


# --- nobody to do it --------------------------------------------------------------------------------------------------


async def test_a_missing_worker_is_waited_for_visibly_and_harms_nobody(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", each(call("later", TimeoutSeconds=5)))
        waits = await engine.start(machine, [1, 2, 3])
        other = await engine.start(await engine.create("other", one(
            Type="Task", Resource="arn:aws:states:::sqs:sendMessage", Parameters={"QueueUrl": "q", "MessageBody": "b"}
        )))
        assert await (await engine.start(await engine.create("done", DONE))).result() == {}
        clock.advance(3600)  # nobody has begun, so nobody is late
        await let_go_on()
        assert engine.waiting() == {waits.arn: ["later"], other.arn: ["arn:aws:states:::sqs:sendMessage"]}
        engine.work("later")(lambda event: event * 2)
        assert await waits.result() == [2, 4, 6]
        assert engine.waiting() == {other.arn: ["arn:aws:states:::sqs:sendMessage"]}
        engine.work("arn:aws:states:::*")(lambda event: event["MessageBody"])
        assert await other.result() == "b"
        assert engine.waiting() == {}


async def test_whose_state_is_gone_is_not_waited_for(clock):
    async with Engine(clock=clock) as engine:
        gives_up = both(call("nobody"), then(wait(5), one(Type="Fail")),
                        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Rest"}])
        gives_up["States"]["Rest"] = {"Type": "Wait", "Seconds": YEAR, "End": True}
        handle = await engine.start(await engine.create("machine", gives_up))
        await until(engine.waiting)
        clock.advance(5)
        await until(lambda: not engine.waiting())
        assert handle.arn in engine.runs


async def test_resumed_without_its_function_it_waits_for_it(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        await engine.start(await engine.create("machine", call()), 1, name="monday")
    async with Counted(tmp_path / "store.db") as engine:
        assert await (await engine.find("monday")).result() == 1


# --- crashes ----------------------------------------------------------------------------------------------------------

BUSY = both(
    then(wait(1), call()),
    each(caught("work"), MaxConcurrency=2),
    call("fails", Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}],
         Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Given up"}]),
)
BUSY["States"][BUSY["StartAt"]]["Branches"][2]["States"]["Given up"] = {"Type": "Pass", "Result": "caught", "End": True}


class Busy(Counted):
    """An engine for the machine above; its clock jumps."""

    def __init__(self, store, clock):
        super().__init__(store, clock=clock)

        @self.work()
        async def fails(event):
            await checkpoint()
            raise ValueError


async def test_the_store_fails_at_each_append_in_turn(jumping_clock):
    """Nothing that was acknowledged is lost, results say StoreClosed, and a fresh engine brings it to its end."""
    expected, ended = [[1, 2], [1, 2], "caught"], False
    at = 0
    while not ended:
        at += 1
        disk = MemoryStore()
        acknowledged = False
        async with Busy(Failing(disk, at), jumping_clock) as engine:
            machine = await engine.create("machine", BUSY)
            try:
                handle = await engine.start(machine, [1, 2], name="monday")
                acknowledged = True
                assert await handle.result() == expected
                ended = True
            except StoreClosed as closed:
                assert "disk is full" in str(closed)  # noqa: PT017
                assert not engine.runs
                await let_go_on()
                assert engine._idle()
                with pytest.raises(StoreClosed):
                    await engine.start(machine)
        async with Busy(Around(disk), jumping_clock) as engine:
            found = (await engine.list())
            assert len(found) == (at > 1)
            assert found or not acknowledged
            if found:
                assert await (await engine.find("monday")).result() == expected
                assert len(engine.calls) <= 3
    assert at > 7


async def test_a_failing_store_stops_every_execution_and_every_handler():
    disk = MemoryStore()
    store = Failing(disk, 22)
    engine = Engine(store)
    alive = set()

    @engine.work()
    async def work(event):
        alive.add(event)
        try:
            await anyio.sleep_forever()
        finally:
            alive.discard(event)

    async with engine:
        machine = await engine.create("machine", call())
        handles = [await engine.start(machine, number) for number in range(20)]
        await until(lambda: len(alive) == 20)
        await handles[0].stop()
        with pytest.raises(StoreClosed):
            await handles[1].stop()
        for handle in handles[2:5]:  # whoever speaks next finds the store closed
            with pytest.raises(StoreClosed):
                await handle.stop()
            with pytest.raises(StoreClosed):
                await handle.result()
    assert not alive
    async with Counted(Around(disk)) as engine:
        assert len(engine.runs) == 19
        await until(lambda: not engine.runs)
        assert Counter(row.status for row in await engine.list()) == {"SUCCEEDED": 19, "ABORTED": 1}


async def test_close_during_everything_and_open_again(tmp_path):
    """An engine is closed again and again, wherever it is; what it ran ends as if it never was."""
    started = 0
    definition = each(call())
    for life in range(8):
        async with Counted(tmp_path / "store.db") as engine:
            machine = await engine.create("machine", definition)
            async with anyio.create_task_group() as group:

                async def start(number, machine=machine, engine=engine):
                    nonlocal started
                    await engine.start(machine, [number] * 20, name=f"execution-{number}")
                    started += 1

                for number in range(20):
                    group.start_soon(start, life * 20 + number)
                for _ in range(life * 15):
                    await checkpoint()
                if life < 7:
                    group.cancel_scope.cancel()
    async with Counted(tmp_path / "store.db") as engine:
        await until(lambda: not engine.runs, 30)
        found = await engine.list(limit=1000)
        assert {row.status for row in found} == {"SUCCEEDED"}
        assert len(found) >= started >= 20
        for row in found:
            number = int(row.name.rpartition("-")[2])
            assert await (await engine.find(row.arn)).result() == [number] * 20


async def test_a_thousand_are_resumed_at_once(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        machine = await engine.create("machine", call())
        async with anyio.create_task_group() as group:
            for number in range(1_000):
                group.start_soon(lambda number=number: engine.start(machine, number, name=f"e{number}"))
    async with Counted(tmp_path / "store.db") as engine:
        await until(lambda: not engine.runs, 30)
        assert sorted(engine.calls) == list(range(1_000))
        assert len(await engine.list(status="SUCCEEDED", limit=2_000)) == 1_000


async def test_what_a_cancelled_handler_says_when_the_engine_closes_is_not_recorded(tmp_path):
    engine = Engine(tmp_path / "store.db")
    began = []

    @engine.work()
    async def work(event):
        began.append(event)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if event:
                return "half done"
            raise ValueError("I was disturbed") from None

    async with engine:
        machine = await engine.create("machine", call())
        handles = [await engine.start(machine, number) for number in range(2)]
        await until(lambda: len(began) == 2)
    async with Counted(tmp_path / "store.db") as engine:
        assert [await engine.execution(handle.arn).result() for handle in handles] == [0, 1]


@pytest.mark.parametrize("on_interrupt", ["repeat", "fail"])
async def test_a_call_in_flight_at_a_crash(on_interrupt):
    disk = MemoryStore()
    tokens = []

    def made():
        engine = Engine(Around(disk))

        @engine.work(on_interrupt=on_interrupt)
        async def work(event, context):
            tokens.append((context.token, context.attempt))
            if len(tokens) == 1:
                await anyio.sleep_forever()
            return "done"

        return engine

    async with made() as engine:
        await engine.start(await engine.create("machine", caught(errors=["States.TaskFailed"])), name="monday")
        await until(lambda: tokens)
    async with made() as engine:
        result = await (await engine.find("monday")).result()
    if on_interrupt == "repeat":
        assert result == "done"
        assert [attempt for _, attempt in tokens] == [1, 2]
        assert tokens[0][0] == tokens[1][0], "the same idempotency token"
    else:
        assert result["Error"] == "States.TaskFailed"
        assert len(tokens) == 1


async def test_what_others_decide_while_it_resumes_is_begun_once():
    """An answer from outside comes while the resume waits for the disk: what it owes is not begun by both."""
    disk = MemoryStore()
    def made(store):
        engine = Counted(store)
        go = anyio.Event()

        @engine.work()
        async def send(event):
            return None

        @engine.work()
        async def slow(event):
            await go.wait()
            return "slow"

        return engine, go

    engine, _ = made(Around(disk))
    async with engine:
        await engine.start(await engine.create("machine", both(call("slow"), then(asks(), call()))), 1, name="monday")
        await let_go_on()
    store = Holding(disk)
    engine, go = made(store)
    async with engine, anyio.create_task_group() as group:
        handle = await engine.find("monday")
        run = engine.runs[handle.arn]
        await until(lambda: store.held)
        asked = next(seq for seq, frame in run.execution.asked.items() if frame.waits.outward)
        group.start_soon(engine.tell, run, signals.Succeeded(asked, Value(b'"answer"')))
        await let_go_on()
        assert engine.calls == []
        store.holds = False
        store.let_go()
        await let_go_on()
        assert engine.calls == ["answer"]
        go.set()
        assert await handle.result() == ["slow", "answer"]
    assert not engine.failed


async def test_what_is_told_before_it_resumes_is_begun_once(clock):
    """The engine is still opening, and reads another log, when an answer comes."""
    disk = MemoryStore()
    engine = Counted(Around(disk), clock=clock)
    engine.work("send")(lambda event: event)
    async with engine:
        handle = await engine.start(await engine.create("machine", both(then(asks(), call()), call("nobody"))))
        await until(lambda: (run := engine.runs[handle.arn]).quiet and run.missing)
        clock.advance(1)
        other = await engine.start(await engine.create("other", wait(YEAR)))

    class Slow(Around):
        go = anyio.Event()

        async def read(self, stream, after=0, **more):
            if stream == catalog.stream_of(other.arn):
                await self.go.wait()
            async for records in self.inner.read(stream, after, **more):
                yield records

    store = Slow(disk)
    engine = Engine(store, clock=clock)
    go = anyio.Event()
    attempts = []

    @engine.work()
    async def work(event, context):
        attempts.append(context.attempt)
        await go.wait()
        return event

    async with anyio.create_task_group() as group:

        async def tell():
            await until(lambda: handle.arn in engine.runs)
            run = engine.runs[handle.arn]
            asked = next(seq for seq, frame in run.execution.asked.items() if frame.waits.outward)
            await engine.tell(run, signals.Succeeded(asked, Value(b"1")))
            await until(lambda: attempts)
            store.go.set()

        group.start_soon(tell)
        async with engine:
            await let_go_on()
            assert attempts == [1]
            go.set()
            engine.work("nobody")(lambda event: event)
            assert await engine.execution(handle.arn).result() == [1, {}]
            assert attempts == [1]
            assert not engine.failed


async def test_after_a_conflict_it_is_folded_afresh_and_goes_on():
    """Somebody else appends: calls of the old run are cut off, those in line never begun, and the answer is right."""
    disk = MemoryStore()
    engine = Engine(Around(disk))
    calls, go = [], anyio.Event()

    @engine.work()
    async def work(event):
        calls.append(event)
        await go.wait()
        return event

    async with engine:
        handle = await engine.start(await engine.create("machine", each(call())), list(range(400)))
        await until(lambda: len(calls) == 200)
        run = engine.runs[handle.arn]
        version = run.execution.version
        other, _ = await folding.fold(disk, handle.arn)
        assert other.version == version
        intruder = Engine(Around(disk))
        async with intruder:  # it appends that it begins the calls again, and is gone
            await let_go_on()
        assert (await folding.fold(disk, handle.arn)).execution.version > version
        calls.clear()
        go.set()
        assert await handle.result() == list(range(400))
        assert set(calls) == set(range(400))
        assert len(calls) <= 402, "what stood in line in the run that was given up is not begun by it"
        assert not engine.failed
        assert not engine.folding
        assert engine._idle()


# --- set aside --------------------------------------------------------------------------------------------------------


class Damaged(Around):
    """A store in which one stream cannot be read."""

    def __init__(self, store, arn):
        super().__init__(store)
        self.arn = arn

    def read(self, stream, after=0, **more):
        if stream == catalog.stream_of(self.arn):
            return self.broken(stream)
        return self.inner.read(stream, after, **more)

    async def broken(self, stream):
        raise StoreError(f"{stream}: the checksum of event 3 is wrong")
        yield


async def test_one_that_cannot_be_read_is_set_aside_and_named():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        machine = await engine.create("machine", call())
        handles = [await engine.start(machine, number) for number in range(10)]
    bad = handles[4].arn
    async with Counted(Damaged(disk, bad)) as engine:
        assert list(engine.failed) == [bad]
        for ask in (engine.execution(bad).result, engine.execution(bad).stop):
            with pytest.raises(StoreError, match="checksum of event 3"):
                await ask()
        good = [await engine.execution(handle.arn).result() for handle in handles if handle.arn != bad]
        assert good == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert [row.arn for row in await engine.list(status="RUNNING")] == [bad]
    async with Counted(Around(disk)) as engine:  # the disk was repaired
        assert await engine.execution(bad).result() == 4


async def test_one_whose_definition_is_gone_is_set_aside():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        lost = await engine.start(await engine.create("lost", wait(YEAR)))
        good = await engine.start(await engine.create("good", call()), 1)
    del disk._texts[(await lost_definition(disk, lost.arn))]
    async with Counted(Around(disk)) as engine:
        assert list(engine.failed) == [lost.arn]
        with pytest.raises(StateMachineDoesNotExist, match="no definition"):
            await engine.execution(lost.arn).result()
        assert await engine.execution(good.arn).result() == 1


async def lost_definition(store, arn):
    return (await catalog.describe(store, arn)).definition


async def test_one_written_by_a_newer_release_is_left_alone():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        handle = await engine.start(await engine.create("machine", wait(YEAR)))
    stream = disk._streams[catalog.stream_of(handle.arn)]
    stream[-1] = type(stream[-1])(
        stream[-1].first, stream[-1].last, stream[-1].at, stream[-1].body.replace(b"WaitStarted", b"WaitDreamt"),
    )
    async with Engine(Around(disk)) as engine:
        assert "written by a newer stepfold" in str(engine.failed[handle.arn])


@pytest.mark.parametrize("broken", [signals.Rang, signals.Stop], ids=["while it rings", "while it is told"])
async def test_a_decision_that_breaks_harms_its_own_execution_alone(broken, monkeypatch, clock):
    """Ours, that is: a bug. Memory may be ahead of the disk then, so nothing more is decided on it."""
    real = runs.decide_together

    def breaks(machine, execution, said, moment):
        decision = real(machine, execution, said, moment)
        if any(isinstance(signal, broken) for signal in decision.heard) and execution.started.name == "bad":
            raise ZeroDivisionError("a bug")
        return decision

    monkeypatch.setattr(runs, "decide_together", breaks)
    disk = MemoryStore()
    async with Engine(Around(disk), clock=clock) as engine:
        machine = await engine.create("machine", wait(10))
        bad = await engine.start(machine, name="bad")
        good = [await engine.start(machine, number) for number in range(10)]
        if broken is signals.Stop:
            with pytest.raises(ZeroDivisionError):
                await bad.stop()
            assert engine.failed.keys() == {bad.arn}
        clock.advance(10)
        assert [await handle.result() for handle in good] == list(range(10))
        for ask in (bad.result, bad.stop, engine.execution(bad.arn).result):
            with pytest.raises(ZeroDivisionError):
                await ask()
        assert engine.failed.keys() == {bad.arn}
        assert (await bad.describe()).status == "RUNNING"
    monkeypatch.undo()
    async with Engine(Around(disk), clock=clock) as engine:
        assert await engine.execution(bad.arn).result() == {}, "its log is whole"


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_ended_executions_leave_nothing_behind(clock):
    async with Counted(clock=clock) as engine:
        machine = await engine.create("machine", {**both(call(TimeoutSeconds=60), each(call())), "TimeoutSeconds": 99})
        for _ in range(50):
            await (await engine.start(machine, [1, 2])).result()
        with pytest.raises(ExecutionFailed):
            await (await engine.start(await engine.create("fails", both(one(Type="Fail"), wait(YEAR))))).result()
        await let_go_on()
        assert not engine.runs
        assert not engine.failed
        assert not engine.folding
        assert not len(engine.timers)
        assert engine._idle()


async def test_an_engine_owns_the_entries_it_writes(clock):
    """The catalog is written where an execution begins and ends, in the transaction that says so."""
    disk = MemoryStore()
    async with Engine(Around(disk), clock=clock) as engine:
        handle = await engine.start(await engine.create("machine", wait(1)), 5, name="monday")
        entry = await disk.entry(catalog.EXECUTION, handle.arn)
        assert isinstance(entry, Entry)
        assert (entry.status, entry.ended) == ("RUNNING", None)
        clock.advance(1)
        await handle.result()
        entry = await disk.entry(catalog.EXECUTION, handle.arn)
        assert (entry.status, entry.ended) == ("SUCCEEDED", clock.now())
        assert (await facts_of(disk, handle.arn))[-1] == "ExecutionSucceeded"
