"""Map runs alive: cut off at every write they lose nothing, and begin nothing anew that had ended."""

from collections import Counter

import anyio
import pytest
from tests.runtime.world import FUNCTION, Around, let_go_on, until

from stepfold import Engine, ExecutionFailed, Limits, TaskError
from stepfold.errors import CallerError, ExecutionNotRedrivable
from stepfold.interpreter.ledger import ChildBegun, SettingsChanged, decode
from stepfold.runtime import catalog, express
from stepfold.runtime.mapruns import tallies
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
TASK = {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": FUNCTION + "work", "End": True}}}
PATIENCE = 10


def distributed(*, kind="STANDARD", block=TASK, **more):
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    state = {"Type": "Map", "End": True, "Label": "Each", "ItemProcessor": {**block, "ProcessorConfig": config}, **more}
    return {"StartAt": "M", "States": {"M": state}}


class Dying(Around):
    """A store that closes for good at its nth write, of whichever kind."""

    def __init__(self, store, at):
        super().__init__(store)
        self.left = at

    def _count(self):
        self.left -= 1
        return self.left < 0

    def submit(self, *arguments, **more):
        return _Refused() if self._count() else self.inner.submit(*arguments, **more)

    async def put(self, *arguments, **more):
        if self._count():
            raise StoreClosed("the disk is gone")
        await self.inner.put(*arguments, **more)


class _Refused:
    def __await__(self):
        raise StoreClosed("the disk is gone")
        yield


class Working(Engine):
    """An engine whose `work` notes its calls; some events it cannot do, some it holds until it is told."""

    def __init__(self, store="memory://", *, bad=(), held=(), calls=None, **more):
        super().__init__(store, **more)
        self.seen = [] if calls is None else calls
        self.bad, self.held, self.gate = {*map(str, bad)}, {*map(str, held)}, anyio.Event()

        @self.work()
        async def work(event, context):
            self.seen.append((context.execution, str(event)))
            if str(event) in self.held:
                await self.gate.wait()
            if str(event) in self.bad:
                raise TaskError("Bad", f"{event}")
            return event


async def map_runs(engine, status=None):
    return [entry async for entry in catalog.all_entries(engine.store, tallies.MAP_RUN, status=status)]


async def children(engine, arn):
    kinds = catalog.EXECUTION, express.KIND
    return [entry for kind in kinds async for entry in catalog.all_entries(engine.store, kind, parent=arn)]


async def entries(engine, arn):
    found = []
    async for records in engine.store.read(tallies.stream_of(arn)):
        for record in records:
            found += [said for _, _, said in decode(record.body)]
    return found


async def outcome(handle):
    with anyio.fail_after(PATIENCE):
        try:
            return "SUCCEEDED", await handle.result()
        except ExecutionFailed as failed:
            return failed.status, failed.error


async def until_cut_off(dying, engine):
    """Until the store has closed, or nothing is under way."""
    await until(lambda: dying.left < 0 or not (engine.runs or engine.maps._alive))


async def ended_well(disk):
    """The ARNs of all executions that the disk says succeeded."""
    kinds = catalog.EXECUTION, express.KIND
    return {e.key for kind in kinds async for e in catalog.all_entries(disk, kind, status="SUCCEEDED")}


# --- cut off at every write -------------------------------------------------------------------------------------------

INNER = distributed(MaxConcurrency=2)
INNER = {"StartAt": "N", "States": {"N": {**INNER["States"]["M"], "Label": "Inner", "ItemsPath": "$.inner"}}}
CASES = {
    "all succeed": (distributed(MaxConcurrency=2), [1, 2, 3, 4, 5], (), [1, 2, 3, 4, 5]),
    "express": (distributed(kind="EXPRESS", MaxConcurrency=2), [1, 2, 3, 4], (), [1, 2, 3, 4]),
    "one fails": (distributed(MaxConcurrency=2), [1, 2, 3, 4], (2,), "States.ExceedToleratedFailureThreshold"),
    "one is tolerated": (distributed(MaxConcurrency=3, ToleratedFailureCount=1), [1, 2, 3, 4], (2,), [1, 3, 4]),
    "none": (distributed(), [], (), []),
    "batches": (
        distributed(ItemBatcher={"MaxItemsPerBatch": 2}, MaxConcurrency=1), [1, 2, 3], (),
        [{"Items": [1, 2]}, {"Items": [3]}],
    ),
    "an unlimited window": (distributed(ItemSelector={"v.$": "$$.Map.Item.Value"}), [1, 2], (), [{"v": 1}, {"v": 2}]),
    "nested": (
        distributed(block=INNER, MaxConcurrency=1), [{"inner": [1, 2]}, {"inner": [3]}], (), [[1, 2], [3]],
    ),
    "tried again": (
        distributed(MaxConcurrency=2, Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]), [1, 2], (2,),
        "States.ExceedToleratedFailureThreshold",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_cut_off_at_every_write_it_comes_to_the_same_end(name, jumping_clock):
    definition, given, bad, wanted = CASES[name]
    at = tried = 0
    while True:
        at += 1
        disk, calls = MemoryStore(), []
        dying = Dying(disk, at)
        arn = None
        async with Working(dying, bad=bad, calls=calls, clock=jumping_clock, seed=1) as engine:
            try:
                arn = (await engine.start(await engine.create("machine", definition), given, name="monday")).arn
                await until_cut_off(dying, engine)
            except StoreClosed:
                pass
        kept = await ended_well(disk)
        before = Counter(calls)
        async with Working(Around(disk), bad=bad, calls=calls, clock=jumping_clock, seed=2) as engine:
            if arn is None:  # its start was not acknowledged
                continue
            tried += 1
            status, came = await outcome(engine.execution(arn))
            assert came == wanted, (at, status, came)
            assert not engine.failed
            await until(lambda: not engine.maps._alive)
            for run in await map_runs(engine):
                assert run.status != "RUNNING"
                row = tallies.row_of(run)
                assert sum(count.executions for count in row.counts.values()) == len(await children(engine, run.key))
        again = Counter(calls) - before
        assert not {arn for arn, _ in again} & kept, (at, "what had ended was begun again")
        if dying.left >= 0:
            break
    assert tried > (6 if given else 3)


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
async def test_cut_off_at_every_write_of_a_stop_its_executions_are_stopped(kind):
    stops = range(1, 12)
    for at in stops:
        disk = MemoryStore()
        dying = Dying(disk, 1 << 30)
        async with Working(dying, held={2, 3}) as engine:
            handle = await engine.start(await engine.create("machine", distributed(kind=kind, MaxConcurrency=2)),
                                        [1, 2, 3, 4])
            await until(lambda: len(engine.seen) == 3)
            dying.left = at
            try:
                await handle.stop()
                await until_cut_off(dying, engine)
            except StoreClosed:
                pass
        async with Working(Around(disk), held={2, 3}) as engine:
            stopped = (await handle_of(engine, handle.arn)).status == "ABORTED"
            assert stopped is (at > 0)
            await until(lambda: not engine.runs and not engine.maps._alive)
            (run,) = await map_runs(engine)
            assert run.status == "ABORTED"
            assert sorted(child.status for child in await children(engine, run.key)) == [
                "ABORTED", "ABORTED", "SUCCEEDED",
            ]  # fmt: skip
            row = tallies.row_of(run)
            assert (row.count("ABORTED").items, row.count("SUCCEEDED").items, row.pending.items) == (2, 1, 1)
            assert row.count("RUNNING").items == 0


async def handle_of(engine, arn):
    return await engine.describe(arn)


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
async def test_cut_off_at_every_write_of_a_redrive_it_comes_to_the_same_end(kind):
    definition = distributed(kind=kind, MaxConcurrency=2)
    at = 0
    while True:
        at += 1
        disk, calls = MemoryStore(), []
        dying = Dying(disk, 1 << 30)
        async with Working(dying, bad={2}, calls=calls) as engine:
            handle = await engine.start(await engine.create("machine", definition), [1, 2, 3, 4], name="monday")
            assert (await outcome(handle))[0] == "FAILED"
            await until(lambda: not engine.maps._alive)
            engine.bad.clear()
            dying.left = at
            kept = await ended_well(disk)
            calls.clear()
            redriven = True
            try:
                await engine.redrive(handle.arn)
                await until_cut_off(dying, engine)
            except StoreClosed:
                redriven = False
        kept |= await ended_well(disk) - {handle.arn}
        before = Counter(calls)
        async with Working(Around(disk), calls=calls) as engine:
            if redriven:
                assert await outcome(engine.execution(handle.arn)) == ("SUCCEEDED", [1, 2, 3, 4])
                await until(lambda: not engine.runs and not engine.maps._alive)
                (run,) = await map_runs(engine)
                row = tallies.row_of(run)
                assert (run.status, row.redrives, row.count("SUCCEEDED").items) == ("SUCCEEDED", 1, 4)
                assert len(await children(engine, run.key)) == 4
        assert not {arn for arn, _ in Counter(calls) - before} & kept
        if dying.left >= 0:
            assert at > 5
            break


# --- its window -------------------------------------------------------------------------------------------------------


async def test_no_more_run_at_once_than_its_settings_allow_and_a_change_counts_at_once():
    async with Working(held=set(range(10))) as engine:
        handle = await engine.start(await engine.create("machine", distributed(MaxConcurrency=2)), list(range(10)))
        await until(lambda: len(engine.seen) == 2)
        await let_go_on()
        assert len(engine.seen) == 2
        (run,) = await map_runs(engine)
        await engine.maps.change(run.key, SettingsChanged(concurrency=5))
        await until(lambda: len(engine.seen) == 5)
        await let_go_on()
        assert len(engine.seen) == 5
        assert tallies.row_of((await map_runs(engine))[0]).concurrency == 5
        engine.gate.set()
        assert await handle.result() == list(range(10))
        await until(lambda: not engine.maps._alive)
        with pytest.raises(CallerError) as refused:
            await engine.maps.change(run.key, SettingsChanged(concurrency=1))
        assert refused.value.members == {"reason": "CANNOT_UPDATE_COMPLETED_MAP_RUN"}


async def test_a_change_outlives_a_crash():
    disk = MemoryStore()
    async with Working(Around(disk), held={0, 1, 2, 3}) as engine:
        handle = await engine.start(await engine.create("machine", distributed(MaxConcurrency=1)), [0, 1, 2, 3])
        await until(lambda: len(engine.seen) == 1)
        (run,) = await map_runs(engine)
        await engine.maps.change(run.key, SettingsChanged(tolerated=4))
    async with Working(Around(disk), bad={0, 1, 2}) as engine:
        assert await engine.execution(handle.arn).result() == [3]


async def test_thousands_of_items_are_begun_some_at_a_time():
    count = 2_000
    async with Working() as engine:
        handle = await engine.start(
            await engine.create("machine", distributed(block=PASS, MaxConcurrency=50)), list(range(count))
        )
        assert await handle.result() == list(range(count))
        (run,) = await map_runs(engine)
        begun = [said for said in await entries(engine, run.key) if isinstance(said, ChildBegun)]
        assert [said.child for said in begun] == list(range(count))


PASS = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}


# --- how it ends ------------------------------------------------------------------------------------------------------


async def test_past_its_threshold_what_runs_is_stopped_and_nothing_else_begins():
    async with Working(bad={2}, held={1}) as engine:
        handle = await engine.start(await engine.create("machine", distributed(MaxConcurrency=2)), [1, 2, 3, 4, 5])
        assert await outcome(handle) == ("FAILED", "States.ExceedToleratedFailureThreshold")
        (run,) = await map_runs(engine)
        row = tallies.row_of(run)
        assert run.status == "FAILED"
        assert {status: count.items for status, count in row.counts.items() if count.items} == {
            "FAILED": 1, "ABORTED": 1,
        }  # fmt: skip
        assert row.pending.items == 3
        assert not engine.awaited


async def test_an_execution_that_is_stopped_by_itself_counts_as_aborted():
    async with Working(held={2}) as engine:
        machine = await engine.create("machine", distributed(ToleratedFailureCount=1))
        handle = await engine.start(machine, [1, 2])
        await until(lambda: len(engine.seen) == 2)
        (arn,) = {arn for arn, event in engine.seen if event == "2"}
        await engine.stop(arn)
        assert await handle.result() == [1]
        row = tallies.row_of((await map_runs(engine))[0])
        assert row.count("ABORTED").items == 1


async def test_a_failing_sibling_aborts_it():
    both = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": FUNCTION + "work", "Parameters": 7,
                                          "End": True}}},
        {**distributed(ItemsPath="$.items")},
    ]}}}
    both["States"]["P"]["Branches"][0]["States"]["T"].pop("Parameters")
    async with Working(held={1, 2}) as engine:

        @engine.work("fails")
        async def fails(event):
            await until(lambda: len(engine.seen) == 2)
            raise TaskError("Bad", "for its siblings")

        both["States"]["P"]["Branches"][0]["States"]["T"]["Resource"] = FUNCTION + "fails"
        handle = await engine.start(await engine.create("machine", both), {"items": [1, 2]})
        assert await outcome(handle) == ("FAILED", "Bad")
        await until(lambda: not engine.maps._alive)
        (run,) = await map_runs(engine)
        assert run.status == "ABORTED"
        assert {child.status for child in await children(engine, run.key)} == {"ABORTED"}


async def test_an_item_that_cannot_be_selected_fails_the_run():
    async with Working() as engine:
        machine = await engine.create("machine", distributed(ItemSelector={"a.$": "$$.Map.Item.Value.a"},
                                                             MaxConcurrency=1))
        handle = await engine.start(machine, [{"a": 1}, {"b": 2}])
        assert await outcome(handle) == ("FAILED", "States.Runtime")
        assert "'M' (entered at the event id #2)" in (await handle.describe()).cause
        assert (await map_runs(engine))[0].status == "FAILED"


async def test_an_item_that_is_too_large():
    async with Working(limits=Limits(payload=200)) as engine:
        machine = await engine.create("machine", distributed(ItemSelector={"a.$": "$$.Map.Item.Value", "b.$": "$"}))
        handle = await engine.start(machine, ["x" * 100])
        assert await outcome(handle) == ("FAILED", "States.DataLimitExceeded")


async def test_a_result_that_is_too_large_fails_by_its_own_error_and_is_run_anew_by_a_redrive():
    async with Working(limits=Limits(payload=300)) as engine:
        machine = await engine.create("machine", distributed(block={"StartAt": "I", "States": {"I": {
            "Type": "Pass", "Result": "x" * 100, "End": True}}}))
        handle = await engine.start(machine, [1, 2, 3])
        assert await outcome(handle) == ("FAILED", "States.DataLimitExceeded")
        await engine.redrive(handle.arn)
        assert await outcome(engine.execution(handle.arn)) == ("FAILED", "States.DataLimitExceeded")
        assert len(await map_runs(engine)) == 2


# --- data -------------------------------------------------------------------------------------------------------------


async def test_executions_are_given_their_items_alone():
    block = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True, "Parameters": {
        "input.$": "$$.Execution.Input", "machine.$": "$$.StateMachine.Name", "whole.$": "$",
    }}}}
    async with Working() as engine:
        machine = await engine.create("machine", distributed(
            block=block, ItemsPath="$.items", InputPath="$.in",
            ItemSelector={"item.$": "$$.Map.Item", "all.$": "$.items", "of.$": "$$.Execution.Name"},
        ))
        handle = await engine.start(machine, {"in": {"items": [1.50]}}, name="monday")
        given = {"item": {"Index": 0, "Value": 1.5, "Source": "STATE_DATA"}, "all": [1.5], "of": "monday"}
        assert await handle.result() == [{"input": given, "machine": "machine/Each", "whole": given}]


async def test_a_map_in_jsonata():
    selector = {"at": "{% $states.context.Map.Item.Index %}", "value": "{% $states.context.Map.Item.Value %}",
                "all": "{% $count($states.input.items) %}", "name": "{% $name %}"}
    definition = distributed(
        block=PASS, QueryLanguage="JSONata", Items="{% $states.input.items %}", ItemSelector=selector,
        ItemBatcher={"MaxItemsPerBatch": "{% $states.input.n %}", "BatchInput": {"n": "{% $states.input.n %}"}},
        ToleratedFailurePercentage="{% 5 %}", MaxConcurrency="{% 3 %}", Output="{% $states.result %}",
    )
    definition["States"]["A"] = {"Type": "Pass", "Assign": {"name": "anna"}, "Next": "M"}
    async with Working() as engine:
        machine = await engine.create("machine", {**definition, "StartAt": "A"})
        handle = await engine.start(machine, {"n": 2, "items": ["a", "b", "c"]})
        given = [{"at": at, "value": value, "all": 3, "name": "anna"} for at, value in enumerate("abc")]
        assert await handle.result() == [
            {"BatchInput": {"n": 2}, "Items": given[:2]}, {"BatchInput": {"n": 2}, "Items": given[2:]},
        ]  # fmt: skip
        row = tallies.row_of((await map_runs(engine))[0])
        assert (row.concurrency, row.percentage) == (3, 5.0)


async def test_the_members_of_an_object_are_items_in_jsonata():
    definition = distributed(block=PASS, QueryLanguage="JSONata", Items="{% $states.input %}")
    async with Working() as engine:
        handle = await engine.start(await engine.create("machine", definition), {"a": 1, "b": [2]})
        assert await handle.result() == [{"Key": "a", "Value": 1}, {"Key": "b", "Value": [2]}]
        (started,) = [event async for event in handle.events() if event["type"] == "MapStateStarted"]
        assert started["mapStateStartedEventDetails"] == {"length": 2}
        definition["States"]["M"]["ItemSelector"] = {"k": "{% $states.context.Map.Item.Key %}"}
        handle = await engine.start(await engine.create("other", definition), {"a": 1, "b": [2]})
        assert await handle.result() == [{"k": "a"}, {"k": "b"}]


async def test_its_executions_see_no_variables_of_the_outside():
    definition = distributed(block={"StartAt": "I", "States": {"I": {
        "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $exists($outer) %}", "End": True}}})
    definition["States"]["A"] = {"Type": "Pass", "Assign": {"outer": 1}, "Next": "M"}
    async with Working() as engine:
        handle = await engine.start(await engine.create("machine", {**definition, "StartAt": "A"}), [1])
        assert await handle.result() == [False]


@pytest.mark.parametrize(("field", "value"), [
    ("ToleratedFailureCount", "{% 'x' %}"), ("ToleratedFailurePercentage", "{% 101 %}"),
])  # fmt: skip
async def test_a_wrong_setting_in_jsonata_can_be_caught(field, value):
    definition = distributed(block=PASS, QueryLanguage="JSONata", **{field: value},
                             Catch=[{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "C"}])
    definition["States"]["C"] = {"Type": "Pass", "End": True}
    async with Working() as engine:
        handle = await engine.start(await engine.create("machine", definition), [1])
        assert (await handle.result())["Error"] == "States.QueryEvaluationError"
        assert not await map_runs(engine)


async def test_a_costly_selector_is_evaluated_beside():
    async with Working() as engine:
        machine = await engine.create("machine", distributed(
            block=PASS, ItemSelector={"found.$": "$[?(@.name =~ /a.*/)].name", "n.$": "$$.Map.Item.Index"},
        ))
        handle = await engine.start(machine, [{"name": "anna"}, {"name": "bert"}])
        assert await handle.result() == [{"found": ["anna"], "n": 0}, {"found": ["anna"], "n": 1}]


async def test_a_wait_in_each_execution_takes_no_longer_than_one(jumping_clock):
    block = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
    async with Working(clock=jumping_clock) as engine:
        handle = await engine.start(await engine.create("machine", distributed(block=block)), list(range(300)))
        began = jumping_clock.now()
        assert len(await handle.result()) == 300
        assert jumping_clock.now() - began == 60_000


# --- redriven ---------------------------------------------------------------------------------------------------------


async def test_a_standard_execution_goes_on_from_its_failed_state_an_express_one_begins_anew():
    block = {"StartAt": "A", "States": {
        "A": {"Type": "Task", "Resource": FUNCTION + "first", "ResultPath": None, "Next": "B"},
        "B": {"Type": "Task", "Resource": FUNCTION + "work", "End": True},
    }}
    for kind, firsts in (("STANDARD", 2), ("EXPRESS", 3)):
        async with Working(bad={2}) as engine:
            called = []
            engine.work("first")(called.append)
            machine = await engine.create("machine", distributed(kind=kind, block=block, MaxConcurrency=1))
            handle = await engine.start(machine, [1, 2])
            assert (await outcome(handle))[0] == "FAILED"
            (run,) = await map_runs(engine)
            before = {child.key for child in await children(engine, run.key)}
            (failed,) = [child.key for child in await children(engine, run.key) if child.status == "FAILED"]
            if kind == "STANDARD":
                with pytest.raises(ExecutionNotRedrivable):
                    await engine.redrive(failed)
            engine.bad.clear()
            await engine.redrive(handle.arn)
            assert await engine.execution(handle.arn).result() == [1, 2]
            assert len(called) == firsts
            assert {child.key for child in await children(engine, run.key)} == before
            types = [event["type"] async for event in engine.execution(handle.arn).events()]
            assert types[-6:] == [
                "ExecutionRedriven", "MapRunRedriven", "MapRunSucceeded", "MapStateSucceeded", "MapStateExited",
                "ExecutionSucceeded",
            ]  # fmt: skip


async def test_a_stop_then_a_redrive_before_its_executions_have_ended():
    async with Working(held={1, 2}) as engine:
        handle = await engine.start(await engine.create("machine", distributed()), [1, 2])
        await until(lambda: len(engine.seen) == 2)
        await handle.stop()
        engine.held.clear()
        await engine.redrive(handle.arn)
        assert await engine.execution(handle.arn).result() == [1, 2]
        (run,) = await map_runs(engine)
        assert (run.status, tallies.row_of(run).redrives) == ("SUCCEEDED", 1)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("turns", range(0, 60, 4))
async def test_a_redrive_that_is_stopped_again_leaves_nothing_running(turns, ended):
    async with Working(held={1, 2}) as engine:
        handle = await engine.start(await engine.create("machine", distributed()), [1, 2])
        await until(lambda: len(engine.seen) == 2)
        await handle.stop()
        await until(lambda: not ended or not engine.maps._alive)
        await engine.redrive(handle.arn)
        await let_go_on(turns)
        await handle.stop()
        await until(lambda: not engine.runs and not engine.maps._alive)
        (run,) = await map_runs(engine)
        assert run.status == "ABORTED"
        assert {child.status for child in await children(engine, run.key)} == {"ABORTED"}
