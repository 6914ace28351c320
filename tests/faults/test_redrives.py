"""A redrive keeps what has succeeded: at each call of a machine a failure, then a redrive, and a crash in it."""

from collections import Counter

import anyio
import pytest
from tests.faults import invariants, seeded
from tests.faults.living import Disk
from tests.faults.seeded import LoopClock
from tests.runtime.world import both, call, each, then

from stepfold import Engine
from stepfold.errors import CallerError
from stepfold.runtime.handle import ExecutionFailed
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

MACHINES = {
    "in a row": then(call(), then(call(), call())),
    "items": each(call(), MaxConcurrency=1),
    "branches": both(call(), then(call(), call())),
    "items within branches": both(each(call(), MaxConcurrency=1), call()),
}
CALLS = {"in a row": 3, "items": 3, "branches": 3, "items within branches": 4}
INPUT = [1, 2, 3]


async def redriven(kind, failing, dies, landed):
    """Calls number `failing` fails; then it is redriven, and the disk dies at the redrive's commit `dies`."""
    disk, numbers, failed, done = Disk(MemoryStore(), failing), iter(range(1, 100)), set(), Counter()
    definition = MACHINES[kind]

    def engine_over():
        engine = Engine(disk, clock=LoopClock(), seed=1)

        @engine.work("work")
        async def work(event, context):
            if next(numbers) == failing:
                failed.add(context.token)
                raise ValueError("once")
            await anyio.sleep(0.01 if failing > 1 else 0)
            done[context.state, repr(event)] += not disk.dead
            return event

        return engine

    async with engine_over() as engine:
        handle = await engine.start(await engine.create("redriven", definition), INPUT, name="one")
        with pytest.raises(ExecutionFailed):
            await handle.output()
        before = await invariants.of_store(disk.inner)
    kept = invariants.results(before["one"])
    done.clear()
    for life in range(2):
        disk.revive(dies if not life else 10_000, landed=landed)
        try:
            async with engine_over() as engine:
                try:
                    await engine.redrive(handle.arn)
                except CallerError:  # it was, in the life before
                    assert life
                with anyio.fail_after(1_000):
                    output = await engine.execution(handle.arn).result()
                break
        except StoreClosed:
            assert not life
    logs = await invariants.of_store(disk.inner)
    invariants.is_beginning(before, logs)
    results = invariants.results(logs["one"])
    assert kept <= results
    assert results.total() == CALLS[kind], "what had succeeded was done again"
    assert max(invariants.answered(logs).values()) == 1
    return output, done.total()


@pytest.mark.parametrize("kind", MACHINES)
def test_a_redrive_keeps_what_succeeded(kind):
    outputs = {"in a row": INPUT, "items": INPUT, "branches": [INPUT] * 2, "items within branches": [INPUT, INPUT]}
    for failing in range(1, CALLS[kind] + 1):
        for dies in (10_000, 1, 2, 3):
            for landed in (False, True):
                output, _ = seeded.run(failing, redriven, kind, failing, dies, landed)
                assert output == outputs[kind]
