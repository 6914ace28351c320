"""Commands that set executions going: they open the store, watch, and leave what is not finished resumable."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from stepfold.language.limits import Limits
from stepfold.language.reading.projects import Project, ProjectError, read_project
from stepfold.query.values import EMPTY_OBJECT, Value
from stepfold.runtime import catalog
from stepfold.runtime.catalog import Description
from stepfold.runtime.engine import Engine
from stepfold.runtime.handle import ExecutionFailed, Handle
from stepfold.runtime.outside import Outside, reach
from stepfold.runtime.progress import Progress, only_waits, progress
from stepfold.runtime.projects import register_functions
from stepfold.runtime.recovery import quarantine
from stepfold.service.service import StepFunctions
from stepfold.work.call import Call
from stepfold.work.functions.handlers import OnOutput
from stepfold.work.functions.processes import Stream
from stepfold.work.services.clients import NoClients
from stepfold.work.workers import Worker
from stepfold_store import Entry, Store, StoreError, open_reader, open_store

from .follow import Follower, Whereabouts, output_line
from .outcome import Exit, Refused
from .screen import Screen, clean
from .sources import Source

TICK = 0.1
"""How often a watched execution is looked at, in seconds."""
TEMPLATE = "template"
"""The kind of the catalog entry that says which template gave a machine's functions, so that a resume finds them."""


class TemplateRow(msgspec.Struct, frozen=True):
    """Where a template lies, and the mark of the machine that it last gave."""

    path: str
    mark: str = ""


class Output:
    """Where functions' lines go: to whoever listens at the time."""

    def __init__(self) -> None:
        self.listener: OnOutput | None = None

    def __call__(self, function: str, stream: Stream, line: str) -> None:
        """Pass a line on."""
        if self.listener is not None:
            self.listener(function, stream, line)


class Outcome(NamedTuple):
    """What came of an execution; `waits` are the functions, or resources, that it waits for."""

    exit: Exit
    description: Description
    waits: Sequence[str] = ()
    problem: str | None = None


# --- life around an engine --------------------------------------------------------------------------------------------


@contextmanager
def interruptible() -> Iterator[anyio.CancelScope]:
    """A scope that the first SIGINT or SIGTERM cancels; the second ends the process on the spot."""
    loop = asyncio.get_running_loop()
    came = False
    scope = anyio.CancelScope()

    def on_signal() -> None:
        nonlocal came
        if came:
            os._exit(Exit.INTERRUPTED)  # nothing is lost: the log is whole at any moment
        came = True
        scope.cancel()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, on_signal)
    try:
        yield scope
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def writing(location: str, *, there: bool = False) -> AsyncIterator[Store]:
    """The store, open to write; with `there` only one that exists already. Raises StoreError."""
    try:
        if there:
            await (await open_reader(location)).close()
        store = await open_store(location)
    except OSError as error:
        raise StoreError(f"{location} cannot be opened: {error.strerror or error}") from None
    try:
        yield store
    finally:
        await store.close()


def reach_outside(engine: Engine, outside: Outside) -> None:
    """Let Tasks reach what the options say; raises Refused where it cannot be."""
    try:
        reach(engine, outside)
    except NoClients as missing:
        raise Refused(f"--services: {missing}") from None


async def remember(store: Store, machine: str, template: Path, mark: str) -> None:
    """Note which template gave a machine and its functions."""
    row = msgspec.json.encode(TemplateRow(str(template), mark))
    await store.put([Entry(TEMPLATE, machine, data=row)])


async def remembered(store: Store, machine: str) -> TemplateRow | None:
    """What was noted last."""
    entry = await store.entry(TEMPLATE, machine)
    return None if entry is None else msgspec.json.decode(entry.data, type=TemplateRow)


def mark(definition: object, kind: str, role: str | None) -> str:
    """What tells one text of a template's machine from another."""
    return hashlib.sha256(msgspec.json.encode((definition, kind, role))).hexdigest()


async def _interrupted(store: Store) -> list[Entry]:
    """The executions that have not ended, the oldest first."""
    return [
        entry async for entry in catalog.all_entries(store, catalog.EXECUTION, status="RUNNING", newest_first=False)
    ]


async def _outcome(engine: Engine, arn: str, *, interrupted: bool) -> Outcome:
    """What is committed of an execution, and why it goes no further."""
    described = await engine.describe(arn)
    if described.status == "SUCCEEDED":
        return Outcome(Exit.OK, described)
    if described.status != "RUNNING":
        return Outcome(Exit.FAILED, described)
    if arn in engine.failed:
        return Outcome(Exit.STORE, described, problem=str(engine.failed[arn]))
    run = engine.runs.get(arn)
    if interrupted or run is None:
        return Outcome(Exit.INTERRUPTED, described)
    return Outcome(Exit.WAITS, described, engine.waiting().get(arn, ()))


# --- one execution ----------------------------------------------------------------------------------------------------


class Order(NamedTuple):
    """What `run` is to do; `slow` has each call wait for so many seconds first."""

    source: Source
    input: str
    store: str
    name: str | None
    limits: Limits
    slow: float = 0.0
    outside: Outside = Outside()
    case: str | None = None


async def run(order: Order, screen: Screen, begin: Callable[[Handle, int], None]) -> Outcome:
    """Start an execution and follow it to its end, or for as long as it can go on.

    `begin` hears of it once its start is durable, and of how many others of the store were resumed with it.
    """
    output = Output()
    with interruptible() as scope:
        async with writing(order.store) as store:
            before = {entry.key for entry in await _interrupted(store)}
            engine = Engine(store, limits=order.limits)
            StepFunctions(engine)  # for Tasks that speak to it
            register_functions(engine, order.source.project, on_output=output)
            reach_outside(engine, order.outside)
            if order.slow:
                _slow_down(engine, order.source.project, order.slow)
            async with engine:
                handle = await _start(engine, order)
                begin(handle, len(before - {handle.arn}))
                follower = Follower(engine, handle.arn, screen, resumed=handle.arn in before)
                output.listener = follower.heard
                with scope:
                    await _follow(engine, handle, follower, screen)
                await follower.last_look()
                screen.flush()
                return await _outcome(engine, handle.arn, interrupted=scope.cancelled_caught)


async def _start(engine: Engine, order: Order) -> Handle:
    source = order.source
    machine = await engine.create(source.name, source.definition, type=source.type, role=source.role, replace=True)
    if source.template is not None:
        await remember(
            engine.store, machine.arn, source.template, mark(source.definition, source.type, source.role)
        )
    return await engine.start(machine, name=order.name, text=order.input, case=order.case)


async def _follow(engine: Engine, handle: Handle, follower: Follower, screen: Screen) -> None:
    """Tell what happens until the execution ends, or waits for what does not come by itself."""
    where = Whereabouts()
    while True:
        with anyio.move_on_after(TICK):
            with suppress(ExecutionFailed):
                await handle.output()
            return
        await follower.look()
        run = engine.runs.get(handle.arn)
        if run is None:
            continue
        if only_waits(run):
            return
        found = progress(run.execution)
        status = where.tell(handle.arn, found)
        screen.flush(status)
        screen.now_and_then(status, moves=bool(found.maps))


def _slow_down(engine: Engine, project: Project, seconds: float) -> None:
    for function in project.functions:
        found = engine.workers.find(engine.home.function(function.name), EMPTY_OBJECT)
        if found is not None and found.worker is not None:
            engine.register(function.name, _slow(found.worker, seconds), concurrency=found.concurrency)


def _slow(worker: Worker, seconds: float) -> Worker:
    async def slow(call: Call) -> Value:
        await anyio.sleep(seconds)
        return await worker(call)

    return slow


# --- all that was interrupted -----------------------------------------------------------------------------------------


async def resume(
    location: str, template: Path | None, screen: Screen, tell: Callable[[Outcome], None],
    *, outside: Outside, retry: Sequence[str] = (),
) -> list[Outcome]:
    """Resume all that a store holds unfinished; `tell` hears of each as it ends, or when nothing more can be done."""
    given = read_project(template) if template is not None else None
    output = Output()
    with interruptible() as scope:
        async with writing(location, there=True) as store:
            engine = Engine(store)
            StepFunctions(engine)
            for name in retry:
                await quarantine.give_back(store, name, engine.clock.now())
            found = await _interrupted(store)
            reach_outside(engine, outside)
            await _register_remembered(engine, store, {catalog.machine_of(entry) for entry in found}, output, screen)
            if given is not None:
                register_functions(engine, given, on_output=output)
            output.listener = lambda function, _, line: screen.line(output_line(screen, function, line))
            async with engine:
                watch = _Watch(engine, [entry.key for entry in found], screen, tell)
                with scope:
                    await watch.until_nothing_goes_on()
                await watch.tell_rest(interrupted=scope.cancelled_caught)
                return watch.outcomes


async def _register_remembered(
    engine: Engine, store: Store, machines: set[str], output: Output, screen: Screen
) -> None:
    """Register the functions with which these machines' executions were started."""
    rows = [await remembered(store, machine) for machine in sorted(machines)]
    paths = {Path(row.path) for row in rows if row is not None}
    for path in sorted(paths):
        try:
            project = read_project(path)
        except ProjectError as error:
            screen.line(screen.paint(f"  the template of the start is left out: {error}", "yellow"))
        else:
            register_functions(engine, project, on_output=output)


class _Watch:
    """Several executions, until none of them goes on by itself."""

    def __init__(self, engine: Engine, arns: list[str], screen: Screen, tell: Callable[[Outcome], None]) -> None:
        self.outcomes: list[Outcome] = []
        self._engine = engine
        self._left = dict.fromkeys(arns)
        self._screen = screen
        self._tell = tell
        self._where = Whereabouts()

    async def until_nothing_goes_on(self) -> None:
        runs = self._engine.runs
        while True:
            for arn in [arn for arn in self._left if arn not in runs]:
                await self._ended(arn)
            if any(arn not in runs for arn in self._left):  # one is being folded afresh
                await anyio.sleep(TICK)
                continue
            going = [run for arn in self._left if (run := runs.get(arn)) is not None and not only_waits(run)]
            if not going:
                return
            found = progress(going[0].execution)
            status = self._status([run.execution.started.arn for run in going], found)
            self._screen.flush(status)
            self._screen.now_and_then(status, moves=bool(found.maps))
            with anyio.move_on_after(TICK if len(going) < 1_000 else 5 * TICK):
                await going[0].ended.wait()

    async def tell_rest(self, *, interrupted: bool) -> None:
        for arn in list(self._left):
            await self._ended(arn, interrupted=interrupted)
        self._screen.flush()

    async def _ended(self, arn: str, *, interrupted: bool = False) -> None:
        outcome = await _outcome(self._engine, arn, interrupted=interrupted)
        if outcome.exit is Exit.INTERRUPTED and not interrupted:  # not ended, and not there: between two folds
            return
        del self._left[arn]
        self.outcomes.append(outcome)
        self._screen.flush()
        self._tell(outcome)

    def _status(self, arns: list[str], found: Progress) -> str:
        first = arns[0]
        status = self._where.tell(first, found)
        name = clean(first.rpartition(":")[2])
        more = f"  ({len(arns) - 1:,} more go on)" if len(arns) > 1 else ""
        return f"{name}: {status}{more}"
