"""Laws of a live run: what is decided is submitted at once, in order, whatever is cancelled or broken around it.

No test waits for time to pass: the store is held by hand, workers wait for events, `until` gives the loop its turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.laws.checks import lawful
from tests.laws.costly import Costly, make_costly
from tests.laws.machines import FUNCTION

from stepfold.interpreter import facts, signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.facts import Event
from stepfold.language.machine import load
from stepfold.runtime import catalog
from stepfold.runtime.clock import ManualClock
from stepfold.runtime.engine import Engine
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold.runtime.runs import folding
from stepfold.runtime.runs.run import record
from stepfold_store.contract import Conflict, Entry, Record, StoreClosed
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Held:
    """The ticket of an append that is not committed yet."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.ticket: Any = None
        self.error: Exception | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        yield from self._wait().__await__()

    async def _wait(self) -> None:
        await self.done.wait()
        if self.error is not None:
            raise self.error
        await self.ticket


class HeldStore(MemoryStore):
    """A store whose commits are held back until they are let through, in the order in which they were submitted."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = False
        self.refuse_next = False
        self.held: list[tuple[Held, Callable[[], Any]]] = []
        self.submits: list[tuple[str, int, Sequence[Record]]] = []

    def submit(  # type: ignore[override]
        self, stream: str, expected: int, records: Sequence[Record], *, fence: int = 0,
        entries: Sequence[Entry] = (), consumed: Sequence[int] = (), snapshot: bytes | None = None,
    ) -> Any:
        self.submits.append((stream, expected, records))

        def commit() -> Any:
            return super(HeldStore, self).submit(
                stream, expected, records, fence=fence, entries=entries, consumed=consumed, snapshot=snapshot
            )

        if self.refuse_next:
            self.refuse_next = False
            refused = Held()
            refused.error = Conflict("refused for the test")
            refused.done.set()
            return refused
        if not self.hold:
            return commit()
        ticket = Held()
        self.held.append((ticket, commit))
        return ticket

    def answers(self) -> int:
        """How many answers to tasks were decided, and submitted."""
        return sum(record.body.count(b"TaskSucceeded") for *_, records in self.submits for record in records)

    def let_through(self) -> None:
        """Commit all that is held."""
        held, self.held = self.held, []
        for ticket, commit in held:
            ticket.ticket = commit()
            ticket.done.set()


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Give others their turns until something holds; the promise of the test fails where it never does."""
    for _ in range(20_000):
        if condition():
            return
        await checkpoint()
    raise AssertionError(f"{what} never came")


@asynccontextmanager
async def opened(store: Any, definition: dict[str, Any], **work: Callable[..., Any]) -> AsyncIterator[Engine]:
    engine = Engine(store, clock=ManualClock(), seed=1)
    for name, callee in work.items():
        engine.work(name)(callee)
    async with engine:
        await engine.create("m", definition)
        yield engine


def task(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": FUNCTION + name, "End": True, **more}


async def log_of(engine: Engine, arn: str) -> list[Event]:
    return [event async for event in catalog.events(engine.store, arn)]


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event.fact).__name__ for event in events]


WAITS = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}


# --- a waiter is cancelled between decide and commit ------------------------------------------------------------------


async def test_a_start_whose_caller_goes_away_before_the_commit_is_not_lost() -> None:
    store = HeldStore()
    async with opened(store, {"StartAt": "T", "States": {"T": task("f")}}, f=_echo) as engine:
        store.hold = True
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_start, engine, "one")
                await until(lambda: store.held)
                scope.cancel()
        store.hold = False
        store.let_through()
        handle = await engine.find("one")
        assert await handle.result() == {"n": 1}
        lawful(await log_of(engine, handle.arn))


async def _start(engine: Engine, name: str) -> None:
    await engine.start("m", {"n": 1}, name=name)


async def _echo(event: Any) -> Any:
    return event


async def test_a_stop_whose_caller_goes_away_before_the_commit_is_not_unsaid() -> None:
    store = HeldStore()
    async with opened(store, WAITS) as engine:
        handle = await engine.start("m")
        store.hold = True
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(handle.stop)
                await until(lambda: store.held)
                assert (await handle.describe()).status == "RUNNING"  # nothing uncommitted is seen
                scope.cancel()
        store.hold = False
        store.let_through()
        with pytest.raises(ExecutionStopped):
            await handle.result()
        assert (await handle.describe()).status == "ABORTED"


async def test_no_work_begins_before_its_schedule_is_durable() -> None:
    store = HeldStore()
    called: list[Any] = []

    async def work(event: Any) -> Any:
        called.append(event)
        return event

    async with opened(store, {"StartAt": "T", "States": {"T": task("work")}}, work=work) as engine:
        store.hold = True
        async with anyio.create_task_group() as group:
            group.start_soon(_start, engine, "one")
            await until(lambda: store.held)
            for _ in range(100):
                await checkpoint()
            assert called == []
            store.hold = False
            store.let_through()
        assert await (await engine.find("one")).result() == {"n": 1}
        assert called == [{"n": 1}]


async def test_an_engine_that_is_closed_in_the_middle_of_a_commit_loses_nothing() -> None:
    """Whoever waited for the commit is gone with the engine; the next one finds what was written, and goes on."""
    released = anyio.Event()

    async def slow(event: Any) -> Any:
        await released.wait()
        return event

    class Kept(HeldStore):
        async def close(self) -> None:
            """It outlives the engine."""

    store = Kept()
    definition = {"StartAt": "T", "States": {"T": task("slow") | {"End": False, "Next": "U"}, "U": task("slow")}}
    del definition["States"]["T"]["End"]
    async with opened(store, definition, slow=slow) as engine:
        arn = (await engine.start("m", {"n": 7})).arn
        store.hold = True
        released.set()
        await until(lambda: store.held)
    store.hold = False
    store.let_through()
    async with opened(store, definition, slow=slow) as engine:
        assert await engine.execution(arn).result() == {"n": 7}
        events = await log_of(engine, arn)
        lawful(events)
        assert kinds(events).count("TaskSucceeded") == 2
        assert kinds(events).count("Reattempted") == 1


# --- failing items, order, and workers that misbehave -----------------------------------------------------------------

CAUGHT = {"StartAt": "M", "States": {
    "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": task("item")}}, "Next": "Never",
          "Catch": [{"ErrorEquals": ["Bad"], "Next": "Rescue", "ResultPath": "$[0]"}]},
    "Never": {"Type": "Fail"},
    "Rescue": task("rescue"),
}}


@pytest.mark.parametrize("how", ["at once", "held"])
async def test_a_failing_item_closes_its_own_frame_and_goes_on_with_its_parents_catch(how: str) -> None:
    store = HeldStore()
    cancelled: list[int] = []
    rescued: list[Any] = []
    at_work = anyio.Event()

    class Bad(Exception):
        pass

    async def item(event: Any) -> Any:
        if event:
            at_work.set()
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(event)
        await at_work.wait()
        store.hold = how == "held"
        raise Bad("no")

    async def rescue(event: Any) -> Any:
        assert cancelled == [1]  # decided first, cancelled second, carried on third
        rescued.append(event)
        return "saved"

    async with opened(store, CAUGHT, item=item, rescue=rescue) as engine:
        handle = await engine.start("m", [0, 1])
        if how == "held":
            await until(lambda: store.held)
            for _ in range(50):
                await checkpoint()
            assert cancelled == [1]
            assert rescued == []
            store.hold = False
            store.let_through()
        assert await handle.result() == "saved"
        assert len(rescued) == 1
        assert len(engine.runs) == 0
        lawful(events := await log_of(engine, handle.arn))
        assert kinds(events).count("IterationAborted") == 1


async def test_decisions_are_submitted_in_the_order_in_which_they_were_taken() -> None:
    store = HeldStore()
    gates = [anyio.Event() for _ in range(30)]

    async def item(event: Any) -> Any:
        await gates[event].wait()
        return event

    definition = {"StartAt": "M", "States": {"M": {
        "Type": "Map", "End": True, "ItemProcessor": {"StartAt": "I", "States": {
            "I": task("item") | {"Next": "J"}, "J": task("item"),
        }},
    }}}
    del definition["States"]["M"]["ItemProcessor"]["States"]["I"]["End"]
    async with opened(store, definition, item=item) as engine:
        handle = await engine.start("m", list(range(30)))
        store.hold = True
        for gate in reversed(gates):
            gate.set()
        await until(lambda: store.answers() == 30)
        assert len(store.held) > 1
        store.let_through()
        await until(lambda: store.answers() == 60)
        store.hold = False
        store.let_through()
        assert await handle.result() == list(range(30))
        version = 0
        for stream, expected, records in store.submits:
            if stream == catalog.stream_of(handle.arn):
                assert expected == version
                version = records[-1].last
        lawful(await log_of(engine, handle.arn))


class Odd(BaseException):
    """Not even an Exception."""


ODDITIES: dict[str, Callable[[], BaseException]] = {
    "KeyError": lambda: KeyError("x"),
    "RecursionError": lambda: RecursionError("deep"),
    "ExceptionGroup": lambda: ExceptionGroup("several", [ValueError("a"), OSError("b")]),
    "CancelledError": lambda: asyncio.CancelledError("not the engine's"),
    "StopAsyncIteration": StopAsyncIteration,
    "SystemExit": lambda: SystemExit(3),
    "Odd": lambda: Odd("odd"),
}


@pytest.mark.parametrize("name", ODDITIES)
async def test_whatever_a_worker_raises_is_a_failure_of_its_task_alone(name: str) -> None:
    async def odd(call: Any) -> Any:
        error = ODDITIES[name]()
        raise error

    definition = {"StartAt": "T", "States": {
        "T": task("odd", Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]), "C": {"Type": "Succeed"},
    }}
    definition["States"]["T"] = {k: v for k, v in definition["States"]["T"].items() if k != "End"} | {"Next": "C"}
    async with opened(HeldStore(), definition) as engine:
        engine.register("odd", odd)
        result = await (await engine.start("m")).result()
        assert name in result["Error"] or name == "SystemExit"
        assert engine.failed == {}
        assert await (await engine.start("m", name="again")).result() == result  # the engine lives


# --- conflicts, and stores that close ---------------------------------------------------------------------------------


async def test_after_a_conflict_the_run_folds_anew_and_goes_on() -> None:
    store = HeldStore()
    calls: list[int] = []

    async def work(event: Any, context: Any) -> Any:
        calls.append(context.attempt)
        if len(calls) == 1:
            store.refuse_next = True
        return "done"

    async with opened(store, {"StartAt": "T", "States": {"T": task("work")}}, work=work) as engine:
        handle = await engine.start("m")
        assert await handle.result() == "done"
        events = await log_of(engine, handle.arn)
        lawful(events)
        assert calls == [1, 2]
        assert kinds(events).count("TaskSucceeded") == 1
        assert "Reattempted" in kinds(events)


async def test_what_another_wrote_is_believed() -> None:
    """An append of someone else's comes first: what memory holds is dropped for what the log says."""
    store = HeldStore()
    released = anyio.Event()

    async def work(event: Any) -> Any:
        await released.wait()
        return event

    async with opened(store, {"StartAt": "T", "States": {"T": task("work")}}, work=work) as engine:
        handle = await engine.start("m")
        other, _ = await folding.fold(store, handle.arn)
        before = other.version
        decision = decide(next(iter(engine.registry._compiled.values())), other, signals.Stop("Other"), engine.moment())
        await store.submit(
            catalog.stream_of(handle.arn), before, (record(decision.events),), entries=(catalog.execution_entry(other),)
        )
        released.set()
        with pytest.raises(ExecutionStopped) as stopped:
            await handle.result()
        assert stopped.value.error == "Other"
        assert kinds(await log_of(engine, handle.arn))[-1] == "ExecutionAborted"


async def test_a_store_that_closes_stops_its_runs_loudly() -> None:
    store = HeldStore()

    async def work(event: Any) -> Any:
        await store.close()
        return event

    async with opened(store, {"StartAt": "T", "States": {"T": task("work")}}, work=work) as engine:
        handle = await engine.start("m")
        with pytest.raises(StoreClosed):
            await handle.result()
        assert isinstance(engine.failed[handle.arn], StoreClosed)
        with pytest.raises(StoreClosed):
            await engine.start("m", name="another")


# --- runs that never wait ---------------------------------------------------------------------------------------------

LOOP = {
    "Again": {"Type": "Pass", "Next": "Check"},
    "Check": {"Type": "Choice", "Choices": [{"Variable": "$.for", "StringEquals": "ever", "Next": "Again"}],
              "Default": "Work"},
    "Work": {"Type": "Task", "Resource": FUNCTION + "work", "End": True},
}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_endless_loop_harms_nobody_and_is_stopped_within_one_decision(kind: str, tmp_path: Any) -> None:
    store: Any = HeldStore() if kind == "memory" else f"sqlite:///{tmp_path / 'loop.db'}"

    async def work(event: Any) -> Any:
        return event["n"]

    async with opened(store, {"StartAt": "Again", "States": LOOP}, work=work) as engine:
        loop = await engine.start("m", {"for": "ever"}, name="loop")
        run = engine.runs[loop.arn]
        good = [await engine.start("m", {"for": "now", "n": n}) for n in range(20)]
        assert [await handle.result() for handle in good] == list(range(20))
        assert run.execution.status == "RUNNING"
        version = run.execution.version
        assert version > 1_000
        await loop.stop("Enough")
        with pytest.raises(ExecutionStopped):
            await loop.result()
        assert run.execution.version == version + 1  # the stop came next, whatever was ready
        last = [event async for event in loop.events(after=0)][-1]
        assert last["type"] == "ExecutionAborted"


async def test_an_answer_that_comes_while_the_last_of_a_loop_is_on_its_way_to_the_disk_is_carried_on() -> None:
    """Two branches loop past the limit of a decision; the second begins when the first waits for its last commits."""

    def rounds(name: str, count: int) -> dict[str, Any]:
        return {
            f"{name}0": {"Type": "Pass", "Result": 0, "ResultPath": "$.i", "Next": f"{name}1"},
            f"{name}1": {"Type": "Pass", "Parameters": {"i.$": "States.MathAdd($.i, 1)"}, "Next": f"{name}2"},
            f"{name}2": {"Type": "Choice", "Choices": [
                {"Variable": "$.i", "NumericLessThan": count, "Next": f"{name}1"},
            ], "Default": f"{name}3"},
            f"{name}3": {"Type": "Succeed"},
        }

    store = HeldStore()
    released = anyio.Event()

    async def work(event: Any) -> Any:
        await released.wait()
        return {}

    definition = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "A0", "States": rounds("A", 800)},
        {"StartAt": "T", "States": {
            "T": {"Type": "Task", "Resource": FUNCTION + "work", "Next": "B0"}, **rounds("B", 800),
        }},
    ]}}}
    async with opened(store, definition, work=work) as engine:
        handle = await engine.start("m")
        run = engine.runs[handle.arn]
        store.hold = True
        await until(lambda: not run.execution.ready and len(store.held) >= 2, "the end of the first loop")
        held = len(store.held)
        released.set()
        await until(lambda: len(store.held) > held, "the answer")
        assert run.execution.ready
        store.hold = False
        store.let_through()
        await until(run.ended.is_set, "the end of the second loop")
        assert await handle.result() == [{"i": 800}, {"i": 800}]


# --- expressions evaluated elsewhere ----------------------------------------------------------------------------------

COSTLY = {"StartAt": "P", "States": {
    "P": {"Type": "Pass", "Parameters": {"xs.$": "$.xs", "secs": 1}, "OutputPath": "$", "Next": "W"},
    "W": {"Type": "Wait", "SecondsPath": "$.secs", "Next": "C"},
    "C": {"Type": "Choice", "Choices": [{"Variable": "$.secs", "NumericEquals": 1, "Next": "M"}], "Default": "F"},
    "F": {"Type": "Fail"},
    "M": {"Type": "Map", "ItemsPath": "$.xs", "ItemSelector": {"x.$": "$$.Map.Item.Value", "secs.$": "$.secs"},
          "MaxConcurrency": 2, "ResultSelector": {"all.$": "$[*].x"}, "End": True,
          "ItemProcessor": {"StartAt": "T", "States": {
              "T": task("work", Parameters={"x.$": "$.x"}, ResultSelector={"x.$": "$.x"}, OutputPath="$"),
          }}},
}}


async def test_what_costs_too_much_is_evaluated_in_a_thread_and_comes_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere: set[bool] = set()

    def tried(self: Costly, work: Callable[[], Any]) -> Any:
        here = threading.current_thread() is threading.main_thread()
        elsewhere.add(here)
        if here:
            return known(self, work)
        return work()

    known = Costly._tried
    monkeypatch.setattr(Costly, "_tried", tried)
    for salt in range(6):
        engine = Engine(HeldStore(), clock=ManualClock(jumps=True), seed=1)
        engine.work("work")(_echo)
        async with engine:
            ref = await engine.create("m", COSTLY)
            make_costly(engine.registry._compiled[ref.definition], salt)
            handle = await engine.start("m", text='{"xs":[1.50,"b",null]}')
            assert bytes(await handle.output()) == b'{"all":[1.50,"b",null]}'
            events = await log_of(engine, handle.arn)
            lawful(events)
            assert "EvaluationAsked" in kinds(events)
            assert kinds(events).count("EvaluationAnswered") == kinds(events).count("EvaluationAsked")
    assert False in elsewhere


async def test_an_expression_whose_state_was_cut_off_meanwhile_harms_nobody() -> None:
    """A sibling fails in the very commit that asks for the evaluation."""
    definition = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "Heavy", "States": {"Heavy": {"Type": "Pass", "Parameters": {"x.$": "$.x"}, "End": True}}},
        {"StartAt": "Bad", "States": {"Bad": {"Type": "Fail", "Error": "Bad"}}},
    ]}}}
    async with opened(HeldStore(), definition) as engine:
        machine = next(iter(engine.registry._compiled.values()))
        step = machine.steps["Heavy"]
        step.arguments = Costly(step.arguments, heavy=True)
        handle = await engine.start("m", {"x": 1})
        with pytest.raises(ExecutionFailed) as failed:
            await handle.result()
        assert failed.value.error == "Bad"
        assert engine.failed == {}
        assert load(definition).digest == machine.digest
        events = await log_of(engine, handle.arn)
        assert "EvaluationAsked" in kinds(events)
        assert not any(isinstance(event.fact, facts.EvaluationAnswered) for event in events)
