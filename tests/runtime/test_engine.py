"""The engine as its user meets it: machines, starts by name, lists, and one engine a store."""

import gc
import json
import os
import uuid

import anyio
import pytest
from tests.runtime.world import DONE, YEAR, Around, call, facts_of, let_go_on, one, until, wait

from stepfold import Engine, ExecutionFailed, Limits
from stepfold.errors import (
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    InvalidExecutionInput,
    InvalidName,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
)
from stepfold.runtime import catalog
from stepfold_store import StoreClosed, StoreError, open_reader
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
OTHER = one(Type="Pass", Result="other")


# --- machines ---------------------------------------------------------------------------------------------------------


async def test_a_definition_comes_as_data_as_text_or_as_a_file(tmp_path):
    text = json.dumps(DONE)
    (tmp_path / "done.asl.json").write_text(text)
    (tmp_path / "done.asl.yaml").write_text("StartAt: Done\nStates: {Done: {Type: Pass, End: true}}\n")
    async with Engine() as engine:
        for number, form in enumerate(
            [DONE, text, text.encode(), tmp_path / "done.asl.json", tmp_path / "done.asl.yaml"]
        ):
            machine = await engine.create(f"machine-{number}", form)
            assert await (await engine.start(machine, {"n": 1})).result() == {"n": 1}


async def test_a_name_stands_for_one_definition(clock):
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", DONE)
        clock.advance(60)
        assert await engine.create("machine", DONE) == machine
        with pytest.raises(StateMachineAlreadyExists, match=r"State Machine Already Exists: '.*:machine'"):
            await engine.create("machine", OTHER)
        entry = await engine.store.entry(catalog.MACHINE, machine.arn)
        assert entry.started == clock.now() - 60_000, "its creation date stays"


async def test_a_replaced_definition_is_kept_by_those_who_began_with_it(clock):
    engine = Engine(clock=clock)
    async with engine:
        machine = await engine.create("machine", wait(10))
        before = await engine.start(machine, "before")
        replaced = await engine.create("machine", OTHER, replace=True)
        assert replaced.arn == machine.arn
        assert replaced.definition != machine.definition
        assert await (await engine.start(machine)).result() == "other"
        clock.advance(10)
        assert await before.result() == "before"


async def test_of_two_who_create_one_name_at_once_one_is_refused(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        refused = []

        async def create(definition):
            try:
                await engine.create("machine", definition)
            except StateMachineAlreadyExists:
                refused.append(definition)

        async with anyio.create_task_group() as group:
            group.start_soon(create, DONE)
            group.start_soon(create, OTHER)
        assert len(refused) == 1


@pytest.mark.parametrize("name", ["", "a" * 81, "a b", "a/b", "a:b", "a*", "a\n", "ä?"])
async def test_names_that_aws_refuses(name):
    async with Engine() as engine:
        with pytest.raises(InvalidName):
            await engine.create(name, DONE)
        machine = await engine.create("machine", DONE)
        with pytest.raises(InvalidName):
            await engine.start(machine, name=name)
        assert not engine.runs


# --- starting ---------------------------------------------------------------------------------------------------------


async def test_a_machine_is_called_by_reference_arn_or_name():
    async with Engine() as engine:
        machine = await engine.create("machine", DONE)
        for said in (machine, machine.arn, "machine"):
            assert await (await engine.start(said)).result() == {}
        for unknown in ("nobody", engine.home.machine("nobody")):
            with pytest.raises(StateMachineDoesNotExist, match=r"State Machine Does Not Exist: '.*:nobody'"):
                await engine.start(unknown)


async def test_inputs_as_data_and_as_text():
    async with Engine() as engine:
        machine = await engine.create("machine", DONE)
        for given in ({}, {"b": 1, "a": [1.5, None, True, "ü"]}, [], "text", 7, False):
            handle = await engine.start(machine, given)
            assert await handle.result() == given
        written = ' {"n": 1.10,\n "m": 1E2} '
        handle = await engine.start(machine, text=written)
        assert bytes(await handle.output()) == b'{"n":1.10,"m":1E2}'
        assert (await handle.describe()).input == written, "AWS gives back the text that was sent"
        assert bytes(await (await engine.start(machine, text="null")).output()) == b"null"


async def test_an_unnamed_execution_is_given_a_uuid():
    async with Engine() as engine:
        handle = await engine.start(await engine.create("machine", DONE))
        assert uuid.UUID(handle.name).version == 4
        assert handle.arn == f"arn:aws:states:us-east-1:123456789012:execution:machine:{handle.name}"


async def test_the_same_name_again(clock):
    """The table of the API notes, section 3."""
    async with Engine(clock=clock) as engine:
        machine = await engine.create("machine", wait(10))
        first = await engine.start(machine, {"n": 1}, name="monday")
        again = await engine.start(machine, text='{"n":1}', name="monday")
        assert again.arn == first.arn
        with pytest.raises(ExecutionAlreadyExists):  # the texts are compared, as they were sent
            await engine.start(machine, text='{ "n": 1 }', name="monday")
        with pytest.raises(ExecutionAlreadyExists, match=r"Execution Already Exists: '.*:machine:monday'"):
            await engine.start(machine, {"n": 2}, name="monday")
        other = await engine.create("other", wait(10))
        assert (await engine.start(other, {"n": 2}, name="monday")).arn != first.arn
        clock.advance(10)
        assert await again.result() == {"n": 1}
        for given in ({"n": 1}, {"n": 2}):
            with pytest.raises(ExecutionAlreadyExists):
                await engine.start(machine, given, name="monday")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_fifty_who_race_for_one_name_get_one_execution(kind, tmp_path):
    engine = Engine("memory://" if kind == "memory" else tmp_path / "store.db")
    calls = []

    @engine.work()
    async def work(event):
        calls.append(event)
        return len(calls)

    async with engine:
        machine = await engine.create("machine", call())
        results, refused = [], []

        async def racer(number):
            try:
                handle = await engine.start(machine, {"team": number % 2}, name="race")
            except ExecutionAlreadyExists:
                refused.append(number)
            else:
                results.append(await handle.result())

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(racer, number)
        # One of the first one's team may come when the execution has ended already: then its name is taken.
        assert set(results) == {1}
        assert len(results) + len(refused) == 50
        assert len(calls) == 1
        assert {number for number in range(50) if number % 2 != calls[0]["team"]} <= set(refused)
        arn = engine.home.execution("machine", "race")
        assert (await facts_of(engine.store, arn)).count("ExecutionStarted") == 1


async def test_a_starter_who_goes_away_does_not_take_the_start_with_him(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        machine = await engine.create("machine", DONE)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: engine.start(machine, name="left"))
            await until(lambda: engine.runs)
            group.cancel_scope.cancel()
        handle = engine.execution(engine.home.execution("machine", "left"))
        assert await handle.result() == {}


# --- looking ----------------------------------------------------------------------------------------------------------


async def test_lists_and_descriptions(clock):
    async with Engine(clock=clock) as engine:
        first = await engine.create("first", wait(10))
        second = await engine.create("second", DONE)
        waits = await engine.start(first, name="waits")
        clock.advance(1)
        ended = await engine.start(second, {"n": 1}, name="ended")
        await ended.result()
        assert [row.name for row in await engine.list()] == ["ended", "waits"], "the newest first"
        assert [row.name for row in await engine.list(status="RUNNING")] == ["waits"]
        assert [row.name for row in await engine.list(machine=second.arn)] == ["ended"]
        assert [row.name for row in await engine.list(limit=1)] == ["ended"]
        described = await engine.describe("ended")
        assert (described.status, described.input, described.output) == ("SUCCEEDED", '{"n":1}', '{"n":1}')
        assert described.started == described.stopped == clock.now()
        described = await waits.describe()
        assert (described.status, described.stopped, described.output) == ("RUNNING", None, None)
        assert (described.machine, described.definition) == (first.arn, first.definition)


async def test_finding_by_name():
    async with Engine() as engine:
        for name in ("first", "second"):
            await engine.start(await engine.create(name, DONE), name="both")
        only = await engine.start("first", name="only")
        assert (await engine.find("only")).arn == (await engine.find(only.arn)).arn == only.arn
        for unknown, says in (("nobody", "Execution Does Not Exist: 'nobody'"), ("both", "2 executions are called")):
            with pytest.raises(ExecutionDoesNotExist, match=says):
                await engine.find(unknown)
            with pytest.raises(ExecutionDoesNotExist, match=says):
                await engine.stop(unknown)


# --- one engine a store -----------------------------------------------------------------------------------------------


async def test_a_second_engine_on_a_file_is_told_who_holds_it(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        with pytest.raises(StoreError, match=f"held by process {os.getpid()}, started "):
            async with Engine(tmp_path / "store.db"):
                raise AssertionError("it opened")
        assert await (await engine.start(await engine.create("machine", DONE))).result() == {}
        reader = await open_reader(tmp_path / "store.db")
        assert len((await reader.entries(catalog.EXECUTION)).entries) == 1
        await reader.close()
    async with Engine(tmp_path / "store.db") as engine:
        assert len(await engine.list()) == 1


async def test_an_engine_is_not_entered_twice_at_once():
    engine = Engine()
    async with engine:
        with pytest.raises(RuntimeError, match="open already"):
            await engine.__aenter__()
        assert await (await engine.start(await engine.create("machine", DONE))).result() == {}


async def test_a_closed_engine_is_entered_again(tmp_path, clock):
    engine = Engine(tmp_path / "store.db", clock=clock)
    async with engine:
        waits = await engine.start(await engine.create("machine", wait(10)), name="waits")
    engine.failed["someone"] = ValueError("of its former life")
    async with engine:
        assert not engine.failed
        await let_go_on()
        assert len(engine.timers) == 1, "none is left of its former life"
        clock.advance(10)
        assert await waits.result() == {}
        fails = await engine.start(await engine.create("fails", one(Type="Fail", Error="No")))
        with pytest.raises(ExecutionFailed):
            await fails.result()
    assert not engine.runs
    assert not len(engine.timers)


@pytest.mark.parametrize("collects", [True, False])
async def test_an_opening_leaves_the_collector_of_garbage_as_it_was(collects, clock):
    disk = MemoryStore()
    async with Engine(Around(disk), clock=clock) as engine:
        await engine.start(await engine.create("machine", wait(YEAR)))
    if not collects:
        gc.disable()
    try:
        async with Engine(Around(disk), clock=clock) as engine:
            assert engine.runs
            assert gc.isenabled() == collects
    finally:
        gc.enable()


async def test_a_use_outside_of_the_block_says_so():
    engine = Engine()
    with pytest.raises(RuntimeError, match="async with engine"):
        await engine.create("machine", DONE)


async def test_what_the_block_raises_leaves_as_it_came():
    class Own(Exception):
        pass

    with pytest.raises(Own):  # noqa: PT012
        async with Engine() as engine:
            await engine.start(await engine.create("machine", wait(YEAR)))
            raise Own


async def test_a_cancelled_block_leaves_nothing_waiting(tmp_path):
    engine = Engine(tmp_path / "store.db")
    outcome = []
    async with anyio.create_task_group() as group:

        async def ask(handle):
            with pytest.raises(StoreClosed) as closed:
                await handle.result()
            outcome.append(str(closed.value))

        with anyio.CancelScope() as scope:
            async with engine:
                group.start_soon(ask, await engine.start(await engine.create("machine", wait(YEAR))))
                await let_go_on()
                scope.cancel()
                await anyio.sleep_forever()
    assert outcome == ["the engine is closed; what it ran goes on when it is opened again"]


async def test_what_was_to_be_kept_with_it_and_fails_closes_it_again(tmp_path):
    class Belonging:
        def __init__(self, fails):
            self.fails, self.log = fails, []

        async def __aenter__(self):
            self.log.append("in")
            if self.fails == "in":
                raise ValueError("it cannot begin")

        async def __aexit__(self, *_):
            self.log.append("out")
            if self.fails == "out":
                raise ValueError("it cannot end")

    for fails, log in (("in", ["in"]), ("out", ["in", "out"])):
        engine = Engine(tmp_path / "store.db")
        first, second = engine.keep(Belonging("")), engine.keep(Belonging(fails))
        with pytest.raises(ValueError, match=f"cannot {'begin' if fails == 'in' else 'end'}"):
            async with engine:
                pass
        assert (first.log, second.log) == (["in", "out"], log)
        second.fails = ""
        async with engine:  # the file was let go
            assert await (await engine.start(await engine.create("machine", DONE))).result() == {}


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_resume_lives_under_the_limits_of_the_start(clock):
    disk = MemoryStore()
    large = one(Type="Wait", Seconds=1)
    async with Engine(Around(disk), limits=Limits.aws(), clock=clock) as engine:
        machine = await engine.create("machine", large)
        with pytest.raises(InvalidExecutionInput):
            await engine.start(machine, "x" * 300_000)
        grows = await engine.create("grows", {"StartAt": "Wait", "States": {
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Grow"},
            "Grow": {"Type": "Pass", "End": True, "Parameters": {
                f"copy{number}.$": "$" for number in range(4)
            }},
        }})
        await engine.start(grows, "x" * 100_000, name="small")
    async with Engine(Around(disk), limits=Limits.local(), clock=clock) as engine:
        clock.advance(1)
        with pytest.raises(ExecutionFailed, match=r"States\.DataLimitExceeded"):
            await (await engine.find("small")).result()
        clock.advance(1)
        handle = await engine.start(grows, "x" * 100_000)
        await let_go_on()
        clock.advance(1)
        assert len(await handle.output()) > 400_000, "the engine's own profile binds what it starts"
