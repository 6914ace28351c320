"""Jobs: handed over once, waited for over restarts, called off when nobody wants them any more."""

import anyio
import pytest
from tests.runtime.world import Around, both, facts_of, let_go_on, one, until

from stepfold import Engine, TaskError
from stepfold.query.values import text, tree
from stepfold.runtime.clock import ManualClock
from stepfold.runtime.handle import ExecutionFailed, ExecutionStopped
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
RESOURCE = "arn:aws:states:::codebuild:startBuild.sync"


class Builds:
    """Jobs that the test ends: what was handed over by token, what came of it, and who was told to stop."""

    def __init__(self):
        self.submitted = []
        self.waited = []
        self.cancelled = []
        self.outcomes = {}
        self.changed = anyio.Event()
        self.accepts = anyio.Event()
        self.accepts.set()

    async def submit(self, call):
        self.submitted.append((call.token, call.attempt))
        await self.accepts.wait()
        if tree(call.arguments).get("refused"):
            raise TaskError("CodeBuild.Refused", "no")
        return text({"Id": call.token})

    async def wait(self, call, receipt):
        key = tree(receipt)["Id"]
        assert key == call.token
        self.waited.append(key)
        while key not in self.outcomes:
            await self.changed.wait()
        outcome = self.outcomes[key]
        if isinstance(outcome, Exception):
            raise outcome
        return text(outcome)

    async def cancel(self, _call, receipt):
        self.cancelled.append(tree(receipt)["Id"])

    def end(self, token, outcome):
        self.outcomes[token] = outcome
        self.changed.set()
        self.changed = anyio.Event()


def build(**more):
    return one(Type="Task", Resource=RESOURCE, Parameters={"ProjectName": "house"}, **more)


@pytest.fixture
def builds():
    return Builds()


@pytest.fixture
def store():
    return Around(MemoryStore())


def over(store, builds, **more):
    engine = Engine(store, **more)
    engine.register(RESOURCE, builds)
    return engine


async def test_a_job_is_handed_over_and_waited_for(store, builds):
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()))
        await until(lambda: builds.waited)
        assert await facts_of(store, handle.arn) == [
            "ExecutionStarted", "StateEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted",
        ]
        builds.end(builds.waited[0], {"Status": "DONE"})
        assert await handle.result() == {"Status": "DONE"}
    assert len(builds.submitted) == len(builds.waited) == 1
    assert builds.cancelled == []


async def test_a_plain_function_answers_for_a_job_as_for_anything_else(store):
    async def fake(call):
        return text("built")

    async with over(store, fake) as engine:
        handle = await engine.start(await engine.create("m", build()))
        assert await handle.result() == "built"
        assert "TaskSubmitted" not in await facts_of(store, handle.arn)


async def test_a_job_that_is_refused_fails_its_task(store, builds):
    machine = one(Type="Task", Resource=RESOURCE, Parameters={"refused": True})
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", machine))
        with pytest.raises(ExecutionFailed, match=r"CodeBuild.Refused: no"):
            await handle.result()
        assert "TaskSubmitted" not in await facts_of(store, handle.arn)
    assert builds.waited == builds.cancelled == []


async def test_a_job_that_fails_fails_its_task_and_is_not_called_off(store, builds):
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()))
        await until(lambda: builds.waited)
        builds.end(builds.waited[0], TaskError("States.TaskFailed", "{}"))
        with pytest.raises(ExecutionFailed, match=r"States.TaskFailed"):
            await handle.result()
    assert builds.cancelled == []


async def test_after_a_crash_a_submitted_job_is_only_waited_for(store, builds):
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()), name="monday")
        await until(lambda: builds.waited)
    async with over(store, builds) as engine:
        await until(lambda: len(builds.waited) == 2)
        builds.end(builds.waited[0], "built")
        handle = await engine.find("monday")
        assert await handle.result() == "built"
        assert "Reattempted" not in await facts_of(store, handle.arn)
    assert len(builds.submitted) == 1
    assert len(set(builds.waited)) == 1
    assert builds.cancelled == []


async def test_a_job_whose_handing_over_was_cut_off_is_handed_over_again_by_the_same_token(store, builds):
    builds.accepts = anyio.Event()
    async with over(store, builds) as engine:
        await engine.start(await engine.create("m", build()), name="monday")
        await until(lambda: builds.submitted)
    builds.accepts.set()
    async with over(store, builds) as engine:
        await until(lambda: builds.waited)
        builds.end(builds.waited[0], "built")
        assert await (await engine.find("monday")).result() == "built"
    token = builds.waited[0]
    assert builds.submitted == [(token, 1), (token, 2)]


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_stop_calls_the_job_off_before_it_is_told(store, builds, resumed):
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()), name="monday")
        await until(lambda: builds.waited)
        if not resumed:
            await handle.stop()
            with pytest.raises(ExecutionStopped):
                await handle.result()
            assert builds.cancelled == builds.waited
    if resumed:
        async with over(store, builds) as engine:
            await engine.stop("monday")  # perhaps before anybody waits for the job again
            handle = await engine.find("monday")
            with pytest.raises(ExecutionStopped):
                await handle.result()
            await until(lambda: builds.cancelled)
        assert builds.cancelled == builds.waited[:1]


async def test_a_job_that_is_cut_off_while_it_is_handed_over_is_called_off_once_it_was(store, builds):
    builds.accepts = anyio.Event()
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()))
        await until(lambda: builds.submitted)
        await handle.stop()
        await let_go_on()
        assert builds.cancelled == []
        builds.accepts.set()
        with pytest.raises(ExecutionStopped):
            await handle.result()
        assert builds.cancelled == [builds.submitted[0][0]]
        assert "TaskSubmitted" not in await facts_of(store, handle.arn)


async def test_a_sibling_that_fails_calls_the_job_off(store, builds):
    async def fail(event):
        await until(lambda: builds.waited)
        raise ValueError("no")

    machine = both(build(), one(Type="Task", Resource="arn:aws:lambda:us-east-1:123456789012:function:fail"))
    async with over(store, builds, work=[fail]) as engine:
        handle = await engine.start(await engine.create("m", machine))
        with pytest.raises(ExecutionFailed):
            await handle.result()
        assert builds.cancelled == builds.waited


async def test_an_answer_by_the_token_leaves_the_job_alone(store, builds):
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()))
        await until(lambda: builds.waited)
        await engine.callbacks.succeed(builds.waited[0], '"told"')
        assert await handle.result() == "told"
    assert builds.cancelled == []


async def test_a_job_that_takes_too_long_is_called_off_and_its_time_runs_on_over_a_restart(store, builds):
    clock = ManualClock()
    machine = build(TimeoutSeconds=100)
    async with over(store, builds, clock=clock) as engine:
        await engine.start(await engine.create("m", machine), name="monday")
        await until(lambda: builds.waited)
        clock.advance(60)
        await let_go_on()
    async with over(store, builds, clock=clock) as engine:
        handle = await engine.find("monday")
        await until(lambda: len(builds.waited) == 2)
        clock.advance(39)
        await let_go_on()
        assert builds.cancelled == []
        clock.advance(1)
        with pytest.raises(ExecutionFailed, match=r"States.Timeout"):
            await handle.result()
        assert builds.cancelled == builds.waited[:1]


async def test_what_goes_wrong_when_a_job_is_called_off_harms_nobody(store, builds):
    async def cancel(call, receipt):
        raise ValueError("gone")

    builds.cancel = cancel
    async with over(store, builds) as engine:
        handle = await engine.start(await engine.create("m", build()))
        await until(lambda: builds.waited)
        await handle.stop()
        with pytest.raises(ExecutionStopped):
            await handle.result()


async def test_more_jobs_are_waited_for_at_once_than_calls_may_be_in_flight(store, builds):
    machine = one(Type="Map", ItemProcessor=build())
    async with over(store, builds, calls=2) as engine:
        handle = await engine.start(await engine.create("m", machine), [1] * 300)
        await until(lambda: len(builds.waited) == 300)
        for token in builds.waited:
            builds.end(token, 1)
        assert await handle.result() == [1] * 300


async def test_a_job_without_its_worker_waits_for_one(store, builds):
    async with over(store, builds) as engine:
        await engine.start(await engine.create("m", build()), name="monday")
        await until(lambda: builds.waited)
    async with Engine(store) as engine:
        await until(engine.waiting)
        engine.register(RESOURCE, builds)
        await until(lambda: len(builds.waited) == 2)
        builds.end(builds.waited[0], "built")
        assert await (await engine.find("monday")).result() == "built"
    assert len(builds.submitted) == 1
