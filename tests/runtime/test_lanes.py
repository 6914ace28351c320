"""Calls in a row: decided together where none has to wait, and held up by none that does."""

from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.runtime.world import Around, both, call, caught, each, let_go_on, then, until

from stepfold import Engine, ManualClock
from stepfold.runtime import catalog
from stepfold.runtime.runs.lanes import LANE
from stepfold_store import open_store

pytestmark = pytest.mark.anyio

NEVER = -1


class Handlers:
    """A function whose calls wait where they are told to, and what was begun of it."""

    def __init__(self, engine):
        self.begun, self.cut_off = [], []
        self.holds = anyio.Event()
        self.takes_long = NEVER

        @engine.work("work")
        async def work(event):
            self.begun.append(event)
            try:
                if event in (NEVER, self.takes_long):
                    await anyio.sleep_forever()
                elif isinstance(event, list):  # [number, turns]: so long it takes
                    for _ in range(event[1]):
                        await checkpoint()
                elif event == "hold":
                    await self.holds.wait()
            except anyio.get_cancelled_exc_class():
                self.cut_off.append(event)
                raise
            return event


@asynccontextmanager
async def opened():
    async with Engine(Around(await open_store("memory://")), clock=ManualClock(), calls=100_000) as engine:
        yield engine, Handlers(engine)


async def rows(store, arn):
    """The log, row by row: the names of the facts in each."""
    found = [record async for some in store.read(catalog.stream_of(arn)) for record in some]
    return [record.body for record in found]


async def succeeded(store, arn):
    return sum(body.count(b'"TaskSucceeded"') for body in await rows(store, arn))


async def test_answers_that_need_no_waiting_share_a_row():
    async with opened() as (engine, _):
        handle = await engine.start(await engine.create("m", each(call(), MaxConcurrency=40)), list(range(400)))
        assert await handle.result() == list(range(400))
        assert len(await rows(engine.store, handle.arn)) < 60


@pytest.mark.parametrize("slow", [0, 1, 31, 32, 33, 99])
async def test_a_call_that_takes_for_ever_holds_up_neither_the_line_nor_the_answers_before_it(slow):
    items = list(range(100))
    items[slow] = NEVER
    async with opened() as (engine, _):
        handle = await engine.start(await engine.create("m", each(call())), items)
        run = engine.runs[handle.arn]
        await until(lambda: len(run.execution.asked) == 1)
        await let_go_on()
        assert await succeeded(engine.store, handle.arn) == 99, "what was answered is on the disk"


@pytest.mark.parametrize("quick", [5, [5, 3], [5, 40]])
@pytest.mark.parametrize("place", [0, 1, LANE - 1])
async def test_an_answer_is_told_though_every_other_hand_is_held_up(quick, place):
    items = [NEVER] * (2 * LANE)
    items[place] = quick
    async with opened() as (engine, _):
        handle = await engine.start(await engine.create("m", each(call())), items)
        run = engine.runs[handle.arn]
        await until(lambda: len(run.execution.asked) == len(items) - 1)
        await let_go_on()
        assert await succeeded(engine.store, handle.arn) == 1


async def test_calls_that_take_for_ever_are_all_begun_and_no_more_than_a_lane_holds():
    others = []
    async with opened() as (engine, handlers):

        @engine.work("other")
        async def other(event):
            others.append(event)
            return event

        machine = await engine.create("m", both(each(call()), each(call("other"))))
        handle = await engine.start(machine, ["hold"] * (LANE + 50))
        await until(lambda: len(handlers.begun) == LANE)
        await let_go_on()
        assert len(handlers.begun) == LANE
        assert len(others) == LANE + 50, "another resource has a line of its own"
        handlers.holds.set()
        assert await handle.result() == [["hold"] * (LANE + 50)] * 2


async def test_calls_of_every_length_end_with_each_answer_in_its_place():
    items = [[number, number * 7 % 5 * (number % 3)] for number in range(600)]
    async with opened() as (engine, _):
        machine = await engine.create("m", then(each(call(), MaxConcurrency=17), each(call())))
        assert await (await engine.start(machine, items)).result() == items


async def test_a_call_that_was_cut_off_takes_none_of_the_others_with_it():
    """A branch fails while others are in calls: those are cut off, and calls after that are made as ever."""
    machine = then(both(call(), call("fails"), call()), each(call()))
    first = machine["States"][machine["StartAt"]]
    first["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": first["Next"]}]
    items = list(range(100))
    async with opened() as (engine, handlers):

        @engine.work("fails")
        async def fails(event):
            await until(lambda: len(handlers.begun) == 2)
            raise ValueError

        handlers.takes_long = items
        assert await (await engine.start(await engine.create("m", machine), items)).result() == items
        assert handlers.cut_off == [items, items]


async def test_what_comes_after_a_call_that_was_cut_off_is_not_cut_off():
    """In each item a call that answers its cancellation, beside one that fails in the first: more than a lane holds."""
    items = both(call(), call("fails"))
    items["States"][items["StartAt"]]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    items["States"]["Caught"] = {"Type": "Pass", "Result": "caught", "End": True}
    async with Engine(clock=ManualClock(), calls=100_000) as engine:
        begun, goes_on = [], anyio.Event()

        @engine.work("work")
        async def stubborn(event):
            begun.append(event)
            try:
                await goes_on.wait()
            except anyio.get_cancelled_exc_class():
                return "cut off"
            return "done"

        @engine.work("fails")
        async def fails(event):
            if event == 0:
                await until(lambda: len(begun) == LANE)
                raise ValueError

        handle = await engine.start(await engine.create("m", each(items)), list(range(LANE + 20)))
        await until(lambda: len(begun) == LANE + 1)
        await let_go_on()
        goes_on.set()
        assert await handle.result() == ["caught"] + [["done", None]] * (LANE + 19)


async def test_the_time_of_a_call_in_a_line_is_its_own():
    async with opened() as (engine, handlers):
        machine = await engine.create("m", each(caught(TimeoutSeconds=60)))
        handle = await engine.start(machine, [1, NEVER, 2, "hold"])
        await until(lambda: len(handlers.begun) == 4)
        engine.clock.advance(61)
        one, two, three, four = await handle.result()
        assert [one, three] == [1, 2]
        assert two["Error"] == four["Error"] == "States.Timeout"
        assert handlers.cut_off == [NEVER, "hold"]


async def test_an_engine_that_is_closed_records_no_answer_to_its_own_cancellation():
    store = Around(await open_store("memory://"))
    async with Engine(store, clock=ManualClock()) as engine:

        @engine.work("work")
        async def stubborn(event):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                return "never mind"

        handle = await engine.start(await engine.create("m", call()), 1)
        await let_go_on()
    assert await succeeded(store, handle.arn) == 0
