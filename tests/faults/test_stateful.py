"""Whatever is asked of an engine, in any order and over any crashes: it answers as a table of a few lines would.

Hypothesis draws what is done: starts, answers, stops and redrives, some of them while the disk dies in their midst,
crashes and orderly openings. The oracle is `Known`, in memory. What was cut off in its midst is afterwards what it was
before, or what it was to become; what was acknowledged is what it was to become.
"""

import json
from contextlib import ExitStack

import anyio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.faults import invariants, seeded
from tests.faults.levels import of_level
from tests.faults.living import FOR_EVER, Disk
from tests.faults.seeded import LoopClock
from tests.runtime.world import asks, call, then

from stepfold import Engine
from stepfold.errors import CallerError, ExecutionAlreadyExists, ExecutionNotRedrivable, TaskTimedOut
from stepfold.runtime import catalog
from stepfold_store import StoreClosed
from stepfold_store.memory import MemoryStore

EXAMPLES = of_level(60, 200, 5_000)
STEPS = 25
QUIET = 100
"""Seconds after which an engine of these executions only waits for the outside."""
LAST = call(Parameters={"bad.$": "$$.Execution.Input.bad", "redrives.$": "$$.Execution.RedriveCount"})
MACHINE = then(asks(), LAST)
NAMES = st.sampled_from("abc")
CUTS = st.none() | st.tuples(st.integers(1, 3), st.booleans())
"""At which commit from now the disk dies, and whether that one is on it nevertheless."""


class Known:
    """What is known of one execution: it asks, then makes a call, which fails until it was redriven `bad` times."""

    def __init__(self, bad):
        self.bad = bad
        self.status, self.asking, self.redrives = "RUNNING", True, 0

    def __repr__(self):
        return repr(self.__dict__)

    def changed(self, **fields):
        other = Known(self.bad)
        other.__dict__.update(self.__dict__, **fields)
        return other

    def answered(self):
        return self.changed(asking=False, status="FAILED" if self.redrives < self.bad else "SUCCEEDED")

    def redriven(self):
        again = self.changed(redrives=self.redrives + 1, status="RUNNING")
        return again if self.asking else again.answered()

    @property
    def shown(self):
        """As the catalog has it."""
        return self.status, self.redrives


class Asked(RuleBasedStateMachine):
    """An engine over a disk that outlives it, on a loop of seeded order."""

    def __init__(self):
        super().__init__()
        self.known, self.tokens = {}, {}
        self.stack = ExitStack()

    @initialize(seed=st.integers(0, 1 << 16))
    def begin(self, seed):
        self.seed = seed
        self.loop = self.stack.enter_context(seeded.loop_of(seed))
        self.disk = Disk(MemoryStore(), seed)
        self.done(self._open())
        self.done(self.engine.create("asked", MACHINE))

    def teardown(self):
        with self.stack:
            if hasattr(self, "loop"):
                self.done(self._close())
                logs = self.done(invariants.of_store(self.disk.inner))
                assert logs.keys() == self.known.keys()
                assert max(invariants.answered(logs).values(), default=0) <= 1

    def done(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    # --- lives of the engine

    async def _open(self):
        self.disk.revive()
        self.engine = Engine(self.disk, clock=LoopClock(), seed=self.seed)

        @self.engine.work("send")
        async def send(event, context):
            self.tokens[context.execution.rpartition(":")[2]] = context.token

        @self.engine.work("work")
        async def work(event):
            if event["redrives"] < event["bad"]:
                raise ValueError("not yet")

        opened, self.over = anyio.Event(), anyio.Event()
        self.life = self.loop.create_task(self._live(self.engine, opened, self.over))
        await opened.wait()
        await anyio.sleep(QUIET)

    @staticmethod
    async def _live(engine, opened, over):
        try:
            async with engine:
                opened.set()
                await over.wait()
        except* StoreClosed:
            pass

    async def _close(self):
        self.over.set()
        await self.life

    @rule(orderly=st.booleans())
    def open_again(self, orderly):
        if not orderly:
            self.disk.dead = True
        self.done(self._close())
        self.done(self._open())

    # --- what is asked of it

    @rule(name=NAMES, bad=st.integers(0, 2), cut=CUTS)
    def start(self, name, bad, cut):
        known = self.known.get(name)
        there = known is not None and (known.status != "RUNNING" or known.bad != bad)
        self._ask(name, self.engine.start("asked", {"bad": bad}, name=name), known or Known(bad), cut,
                  refused=ExecutionAlreadyExists if there else None)

    @precondition(lambda self: self.tokens)
    @rule(name=NAMES, good=st.booleans(), cut=CUTS)
    def answer(self, name, good, cut):
        if (token := self.tokens.get(name)) is None:
            return
        known, callbacks = self.known[name], self.engine.callbacks
        waits = known.status == "RUNNING"
        after = (known.answered() if good else known.changed(status="FAILED")) if waits else known
        self._ask(name, callbacks.succeed(token, json.dumps({})) if good else callbacks.fail(token), after, cut,
                  refused=None if waits else TaskTimedOut)

    @precondition(lambda self: self.known)
    @rule(name=NAMES, cut=CUTS)
    def stop(self, name, cut):
        if (known := self.known.get(name)) is not None:
            after = known.changed(status="ABORTED") if known.status == "RUNNING" else known
            self._ask(name, self.engine.stop(name), after, cut)

    @precondition(lambda self: self.known)
    @rule(name=NAMES, cut=CUTS)
    def redrive(self, name, cut):
        if (known := self.known.get(name)) is not None:
            ended = known.status in {"FAILED", "ABORTED"}
            self._ask(name, self.engine.redrive(name), known.redriven() if ended else known, cut,
                      refused=None if ended else ExecutionNotRedrivable)

    def _ask(self, name, asked, after, cut, refused=None):
        """Do it, and see what it came to; where the disk dies, open anew before that."""
        if cut is not None:
            self.disk.dies, self.disk.landed = self.disk.commits + cut[0], cut[1]
        told = self.done(self._told(asked))
        if self.disk.dead:
            self.done(self._close())
            self.done(self._open())
        self.disk.dies = FOR_EVER
        before = self.known.get(name)
        if told is not StoreClosed:
            assert told is refused
            found = after
        elif self.done(self._shown(name)) == (before and before.shown):
            found = before
        else:
            found = after
        if found is not None:
            self.known[name] = found

    @staticmethod
    async def _told(asked):
        try:
            await asked
        except (CallerError, StoreClosed) as error:
            return type(error)
        finally:
            await anyio.sleep(QUIET)
        return None

    async def _shown(self, name):
        entry = await self.disk.inner.entry(catalog.EXECUTION, self.engine.home.execution("asked", name))
        return None if entry is None else (entry.status, catalog.execution_row(entry).redrives)

    @invariant()
    def all_is_as_known(self):
        for name, known in self.known.items():
            assert self.done(self._shown(name)) == known.shown, name
        assert not hasattr(self, "engine") or not self.engine.failed


def drawn(phases):
    """So many tales of an engine."""
    run_state_machine_as_test(Asked, settings=settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, derandomize=True, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    ))


def test_an_engine_is_as_a_table_says():
    drawn(Phase)
