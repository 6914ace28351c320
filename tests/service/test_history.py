"""GetExecutionHistory: pages from either end, which stay where they are while the execution goes on."""

import pytest
from anyio.lowlevel import checkpoint
from tests.runtime.world import DONE, FUNCTION, Holding, each, one, wait
from tests.service.asking import Client, Refused

from stepfold import Engine
from stepfold.insight.history import history
from stepfold.runtime import catalog
from stepfold.service.operations import bookmarks, recollections
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio

STEPS = {
    "StartAt": "S0",
    "States": {
        **{f"S{number}": {"Type": "Wait", "Seconds": 1, "Next": f"S{number + 1}"} for number in range(5)},
        "S5": {"Type": "Pass", "End": True},
    },
}


async def ids(client, arn, **params):
    return [
        [event["id"] for event in page]
        async for page in client.pages("GetExecutionHistory", "events", executionArn=arn, **params)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_make_the_whole(size):
    async with Engine() as engine:
        client = Client(engine)
        machine = await engine.create("machine", each(one(Type="Pass")))
        handle = await engine.start(machine, [1, 2, 3])
        await handle.result()
        whole = list(history([event async for event in catalog.events(engine.store, handle.arn)]))
        forward = [event async for page in client.pages(
            "GetExecutionHistory", "events", executionArn=handle.arn, maxResults=size) for event in page]
        assert forward == whole
        back = [event async for page in client.pages(
            "GetExecutionHistory", "events", executionArn=handle.arn, maxResults=size, reverseOrder=True)
            for event in page]
        assert back == whole[::-1]
        pages = await ids(client, handle.arn, maxResults=size)
        assert {len(page) for page in pages[:-1]} <= {size}
        assert 0 < len(pages[-1]) <= size


async def test_a_reader_who_goes_on_reads_on_and_others_are_told_the_same(monkeypatch):
    monkeypatch.setattr(bookmarks, "KEPT", 2)
    async with Engine() as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", each(one(Type="Pass"))), [1, 2, 3])
        await handle.result()
        read = []

        def noting(stream, after=0, **more):
            read.append(after)
            return MemoryStore.read(engine.store, stream, after, **more)

        monkeypatch.setattr(engine.store, "read", noting)
        asked = {"executionArn": handle.arn, "maxResults": 4}
        pages, tokens = [], [{}]
        while tokens[-1] is not None:
            page = await client("GetExecutionHistory", **asked, **tokens[-1])
            pages.append(page["events"])
            tokens.append({"nextToken": page["nextToken"]} if "nextToken" in page else None)
        assert len(pages) > 3
        assert read[0] == 0
        assert all(read[1:])
        again = [(await client("GetExecutionHistory", **asked, **token))["events"] for token in tokens[:-1]]
        backwards = [(await client("GetExecutionHistory", **asked, **token))["events"] for token in tokens[-2::-1]]
        assert again == backwards[::-1] == pages
        assert len(client.service.bookmarks._kept) <= 2


@pytest.mark.parametrize("direction", ["backwards", "forwards", "forwards, and nobody knows from where"])
async def test_a_page_reads_its_own_part_of_the_log(direction, monkeypatch):
    """Items are handed on as they are: only the first page past the Map's beginning goes back there, for all others."""
    async with Engine() as engine:
        client = Client(engine)
        machine = await engine.create("machine", each(one(Type="Pass"), MaxConcurrency=5))
        handle = await engine.start(machine, list(range(1_000)))
        await handle.result()
        events = [event async for event in catalog.events(engine.store, handle.arn)]
        read = []

        def noting(stream, after=0, **more):
            if not more:
                read.append(after)
            return MemoryStore.read(engine.store, stream, after, **more)

        monkeypatch.setattr(engine.store, "read", noting)
        if "nobody" in direction:
            monkeypatch.setattr(client.service.bookmarks, "take", lambda _: None)
        backwards = direction == "backwards"
        asked = {"executionArn": handle.arn, "maxResults": 100, "reverseOrder": backwards}
        pages, before, token = [], [], {}
        while token is not None:
            page = await client("GetExecutionHistory", **asked, **token)
            pages.append(page["events"])
            token = {"nextToken": page["nextToken"]} if "nextToken" in page else None
            number = min(event["id"] for event in page["events"])
            seq = next(event.seq for event in events if event.id == number)
            before.append(seq - min(read))
            read.clear()
        whole = list(history(events))
        assert [event for page in pages for event in page] == (whole[::-1] if backwards else whole)
        assert len(pages) > 30
        assert sum(behind > 2_000 for behind in before) <= 2, "the items, and their outputs joined"


async def test_of_few_executions_it_is_remembered_what_lies_far_back(monkeypatch):
    monkeypatch.setattr(recollections, "KEPT", 2)
    async with Engine() as engine:
        client = Client(engine)
        machine = await engine.create("machine", DONE)
        handles = [await engine.start(machine) for _ in range(4)]
        for handle in handles:
            await handle.result()
            await client("GetExecutionHistory", executionArn=handle.arn, reverseOrder=True)
        await client("GetExecutionHistory", executionArn=handles[2].arn, reverseOrder=True)
        kept = [arn for arn, _ in client.service.recollections._kept]
        assert kept == [handles[3].arn, handles[2].arn]


async def test_pages_stay_while_events_are_appended(clock):
    async with Engine(clock=clock) as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", STEPS))
        events = handle.events()
        count = 0

        async def one_more_step():
            nonlocal count
            clock.advance(1)
            async for event in events:
                count = event["id"]
                if event["type"] in {"WaitStateEntered", "ExecutionSucceeded"}:
                    return

        await one_more_step()
        newest = await client("GetExecutionHistory", executionArn=handle.arn, maxResults=1, reverseOrder=True)
        first = await client("GetExecutionHistory", executionArn=handle.arn, maxResults=1)
        assert [event["id"] for event in newest["events"]] == [2]
        for _ in range(5):
            await one_more_step()
            back = await client("GetExecutionHistory", executionArn=handle.arn, maxResults=5, reverseOrder=True,
                                nextToken=newest["nextToken"])
            assert [event["id"] for event in back["events"]] == [1]
            assert "nextToken" not in back
            on = await client("GetExecutionHistory", executionArn=handle.arn, maxResults=2,
                              nextToken=first["nextToken"])
            assert [event["id"] for event in on["events"]] == [2, 3][: count - 1]
        await handle.result()
        assert sum(await ids(client, handle.arn, maxResults=3), []) == list(range(1, 15))  # noqa: RUF017  (few)


async def test_tokens_outlive_a_restart(tmp_path):
    async with Engine(tmp_path / "store.db") as engine:
        handle = await engine.start(await engine.create("machine", DONE))
        await handle.result()
        page = await Client(engine)("GetExecutionHistory", executionArn=handle.arn, maxResults=2)
    async with Engine(tmp_path / "store.db") as engine:
        rest = await Client(engine)("GetExecutionHistory", executionArn=handle.arn, nextToken=page["nextToken"])
        assert [event["id"] for event in page["events"] + rest["events"]] == [1, 2, 3, 4]


async def test_only_what_is_committed_is_told(clock):
    store = Holding(MemoryStore(), holds=False)
    async with Engine(store, clock=clock) as engine:
        client = Client(engine)
        handle = await engine.start(await engine.create("machine", wait(10)))
        store.holds = True
        run = engine.runs[handle.arn]
        clock.advance(10)
        while not store.held:
            await checkpoint()
        assert run.execution.status == "SUCCEEDED", "decided, and not durable"
        assert await ids(client, handle.arn) == [[1, 2]]
        assert (await client("DescribeExecution", executionArn=handle.arn))["status"] == "RUNNING"
        store.let_go()
        await handle.result()
        assert await ids(client, handle.arn) == [[1, 2, 3, 4]]
        store.holds = False


async def test_data_may_be_left_out():
    async with Engine() as engine:
        client = Client(engine)

        @engine.work("work")
        async def work(event):
            return "secret"

        task = one(Type="Task", Resource=FUNCTION + "work")
        handle = await engine.start(await engine.create("machine", task), "secret")
        await handle.result()
        told = await client("GetExecutionHistory", executionArn=handle.arn, includeExecutionData=False)
        assert "secret" not in str(told)
        (details,) = [event["lambdaFunctionSucceededEventDetails"] for event in told["events"]
                      if event["type"] == "LambdaFunctionSucceeded"]
        assert details == {"outputDetails": {"truncated": False}}
        whole = await client("GetExecutionHistory", executionArn=handle.arn, includeExecutionData=True)
        assert str(whole).count("secret") == 6


async def test_tokens_that_are_refused():
    async with Engine() as engine:
        client = Client(engine)
        machine = await engine.create("machine", DONE)
        handles = [await engine.start(machine) for _ in range(2)]
        for handle in handles:
            await handle.result()
        token = (await client("GetExecutionHistory", executionArn=handles[0].arn, maxResults=1))["nextToken"]
        for arn, params in (
            (handles[0].arn, {"nextToken": "bad"}),
            (handles[0].arn, {"nextToken": token, "reverseOrder": True}),
            (handles[1].arn, {"nextToken": token}),
        ):
            with pytest.raises(Refused, match="InvalidToken: Invalid Token: 'Invalid token'"):
                await client("GetExecutionHistory", executionArn=arn, **params)
