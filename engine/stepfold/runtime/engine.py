"""The engine: opens a store, resumes what was interrupted, and keeps executions going until it is closed.

    engine = Engine("sqlite:///orders.db", work=[double])
    async with engine:
        machine = await engine.create("orders", definition)
        handle = await engine.start(machine, {"n": 3}, name="monday")
        output = await handle.result()

It holds the runs and the task group they live in; what a run asks of it is promised in `world.py`, what a start asks of
it in `host.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from os import PathLike
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import anyio
import anyio.abc
import structlog
from anyio.lowlevel import checkpoint

from stepfold.interpreter import signals
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event, ExecutionRedriven, ExecutionStarted
from stepfold.interpreter.signals import Signal
from stepfold.language.limits import Limits
from stepfold.names import Home
from stepfold.query.template import Moment
from stepfold.query.values import Json
from stepfold.work.call import NoWorker
from stepfold.work.children import Children
from stepfold.work.functions.callables import Function
from stepfold.work.jobs import Job
from stepfold.work.mocked import Mocks
from stepfold.work.workers import CALLS_IN_FLIGHT, OnInterrupt, Worker, Workers
from stepfold_store import open_store
from stepfold_store.contract import Conflict, Entry, Store, StoreClosed

from . import catalog, nested, redriving, starting
from .activities import Activities
from .bounds import Bounds
from .callbacks import Callbacks
from .catalog import Description, Summary
from .clock import Chance, Clock, ManualClock, SystemClock
from .handle import Handle
from .lately import Committed, Lately
from .machines.registry import MachineRef, Registry
from .mapruns.maprun import MapRuns
from .recovery import resuming
from .recovery.claims import Claims
from .runs.run import Run, Told
from .runs.world import closed
from .timers import Timers

logger = structlog.get_logger(__name__)

Callee = TypeVar("Callee", bound=Callable[..., Any])

TURN = 32
"""After so many decisions, whoever took the last gives the others a turn, also where it need not wait for the disk."""
Follower: TypeAlias = Callable[[Run], Awaitable[None] | None]


async def _looking_on(following: Awaitable[None]) -> None:
    try:
        await following
    except Exception:  # who looks on harms nobody
        logger.exception("a task beside the executions failed")


class Engine:
    """Runs state machines over one store.

    `store` is a URL for `stepfold_store.open_store`, a path, or an open store (which the engine then closes too).
    `work` are Python callables, registered under their own names. `limits` binds new executions. `clock` and `seed`
    hand in time and chance; `home` is where its ARNs say it is; `bounds` is how much it takes on at once.
    """

    def __init__(
        self,
        store: str | PathLike[str] | Store = "memory://",
        *,
        work: Iterable[Callable[..., Any]] = (),
        limits: Limits | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        home: Home | None = None,
        calls: int = CALLS_IN_FLIGHT,
        bounds: Bounds | None = None,
    ) -> None:
        self.limits = limits or Limits.local()
        self.bounds = bounds or Bounds()
        self.clock = clock or SystemClock()
        self.home = home or Home()
        self.workers = Workers(home=self.home, in_flight=calls)
        self.mocks: Mocks | None = None
        self.timers = Timers(self.clock)
        self.runs: dict[str, Run] = {}
        self.failed: dict[str, Exception] = {}
        self.chance = Chance(seed)
        self._source = store
        self._store: Store | None = None
        self.activities = Activities()
        self.callbacks = Callbacks(self, self.activities)
        self.registry = Registry(lambda: self.store, self.clock, self.home, self.chance)
        self.folding: dict[str, anyio.Event] = {}
        self.lately = Lately()
        self.awaited: dict[str, Callable[[Run], None]] = {}
        self.maps = MapRuns(self)
        self._belongings: list[Any] = []
        self._followers: list[Follower] = []
        self._stack = AsyncExitStack()
        self._group: anyio.abc.TaskGroup | None = None
        self._awaited: set[anyio.CancelScope] = set()
        self._busy = 0
        self._open = False
        self._decided = 0
        children = Children(nested.Nested(self))
        for pattern in ("", ".sync", ".sync:2", ".waitForTaskToken"):
            self.register(f"arn:{self.home.partition}:states:::states:startExecution{pattern}", children)
        for callee in work:
            self.register(callee.__name__, Function(callee))

    # --- work ---------------------------------------------------------------------------------------------------------

    def work(
        self, name: str | None = None, *, concurrency: int | None = None, on_interrupt: OnInterrupt = "repeat"
    ) -> Callable[[Callee], Callee]:
        """Register a Python callable, `f(event)` or `f(event, context)`: a decorator.

        `name` is a Lambda function's name, any resource ARN, or a pattern with `*`; by default the callable's own.
        `concurrency` bounds how many of its calls run at once; `on_interrupt="fail"` has a call that was in flight at a
        crash fail with States.TaskFailed instead of being made again.
        """

        def registered(callee: Callee) -> Callee:
            self.register(name or callee.__name__, Function(callee), concurrency=concurrency, on_interrupt=on_interrupt)
            return callee

        return registered

    def register(
        self,
        name: str,
        worker: Worker | Job,
        *,
        concurrency: int | None = None,
        on_interrupt: OnInterrupt = "repeat",
        outside_cap: bool = False,
    ) -> None:
        """Register a worker under a function name, a resource ARN or a pattern; who waited for it goes on.

        One that is a `Job` (`work/jobs.py`) does what `.sync` Resources ask for. `outside_cap` is for one that waits
        for others of this engine, who may need the turn that it would hold.
        """
        self.workers.register(
            name, worker, concurrency=concurrency, on_interrupt=on_interrupt, outside_cap=outside_cap
        )
        for run in list(self.runs.values()):
            if run.missing:
                run.look_again()

    def mock(self, mocks: Mocks) -> None:
        """Have test cases' answers stand in for the work of executions that are started with one."""
        self.mocks = mocks
        self.workers.stand_in = mocks.answer

    def keep(self, belonging: Any) -> Any:
        """Enter an async context manager with the engine, and leave it with the engine (child processes, say)."""
        self._belongings.append(belonging)
        return belonging

    # --- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the store, then resume every execution that was interrupted."""
        if self._open:
            raise RuntimeError("the engine is open already: one 'async with engine:' at a time")
        self._open = True
        self.timers = Timers(self.clock)
        self.failed.clear()
        try:
            source = self._source
            self._store = await open_store(source) if isinstance(source, str | PathLike) else source
            self._stack.push_async_callback(self._store.close)
            claims = Claims(self._store)
            self._stack.push_async_callback(lambda: claims.close(self._given_up()))
            await self.registry.open()
            for belonging in self._belongings:
                await self._stack.enter_async_context(belonging)
            # Entered last, so left first: no call may see its child process go away and have that recorded.
            self._group = await self._stack.enter_async_context(anyio.create_task_group())
            if isinstance(self.clock, ManualClock):
                self.clock.idle = self._idle
            self._group.start_soon(self.timers.keep)
            await resuming.resume_all(self, claims)
            await self.maps.resume()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what runs, and close the store; executions that have not ended go on when it is opened again.

        What the caller's own block raised is not handed to the task group, so that it leaves here as it came.
        """
        if self._group is not None:
            self._group.cancel_scope.cancel()
        for scope in self._awaited:
            scope.cancel()
        try:
            await self._stack.aclose()
        finally:
            self._group = None
            self._open = False
            self._busy = 0
            for run in list(self.runs.values()):
                run.abandon(closed())
            self.runs.clear()
            self.lately = Lately()
            self.awaited.clear()
            self.maps.clear()

    def use(self, store: Store) -> None:
        """Take this store at the next opening: the same one, opened anew, say."""
        self._source = store

    @property
    def is_open(self) -> bool:
        """Whether it is between `async with` and its end."""
        return self._group is not None

    @property
    def store(self) -> Store:
        """The open store. Raises RuntimeError outside the engine's `async with`."""
        if self._store is None:
            raise RuntimeError("the engine is not open: use it inside 'async with engine:'")
        return self._store

    # --- machines -----------------------------------------------------------------------------------------------------

    async def create(
        self,
        name: str,
        definition: Mapping[str, Json] | str | bytes | PathLike[str],
        *,
        type: str = "STANDARD",  # noqa: A002  (AWS's word)
        role: str | None = None,
        replace: bool = False,
    ) -> MachineRef:
        """Make a machine known: a definition as a dict, as JSON text, or as the path of a file.

        The same name with the same definition is the same machine; with another one it is refused, or with `replace`
        takes the old one's place (running executions keep the definition they began with). Raises InvalidDefinition,
        InvalidName, StateMachineAlreadyExists.
        """
        return await self.registry.register(name, definition, type=type, role=role, replace=replace)

    # --- executions ---------------------------------------------------------------------------------------------------

    async def start(
        self,
        machine: MachineRef | str,
        input: Json = None,  # noqa: A002  (AWS's word)
        *,
        name: str | None = None,
        text: str | None = None,
        trace: str | None = None,
        case: str | None = None,
    ) -> Handle:
        """Start an execution; returns once its start is durable.

        The input is Python data (`{}` by default), or `text`, JSON as written. Without a name it is given a UUID. The
        name of a running execution with the same input gives that execution (API notes, section 3). An EXPRESS machine
        that is started here keeps a whole log, as any other; `runtime.express` is AWS's way. `case` is a test case of
        the mocks (`mock`). Raises ExecutionAlreadyExists, InvalidExecutionInput, InvalidName, StateMachineDoesNotExist,
        NoTestCase.
        """
        target = await self.registry.resolve(machine)
        wish = starting.wanted(input, text, name=name, trace=trace, limits=self.limits)
        begun = await starting.start(self, target, starting.in_case(wish, target, self.mocks, case))
        return Handle(self, begun.arn, begun.run)

    def execution(self, arn: str) -> Handle:
        """A handle on an execution of this store, running or ended."""
        return Handle(self, arn, self.runs.get(arn))

    async def find(self, name_or_arn: str) -> Handle:
        """A handle on the execution of that ARN, or of that name where only one has it."""
        entry = await catalog.find_execution(self.store, name_or_arn)
        return self.execution(entry.key)

    async def describe(self, name_or_arn: str) -> Description:
        """What is committed about an execution. Raises ExecutionDoesNotExist."""
        return await catalog.describe(self.store, name_or_arn)

    async def committed(self, arn: str) -> Committed:
        """What the catalog says of an execution and how it began, from memory where that is sure to say the same.

        Raises ExecutionDoesNotExist.
        """
        run = self.runs.get(arn)
        if run is not None and run.entry is not None:
            return Committed(run.entry, run.execution.started)
        if run is None and (known := self.lately.get(arn)) is not None:
            return known
        found = await catalog.committed(self.store, arn)
        if found.entry.ended is not None and arn not in self.runs and arn not in self.folding:
            self.lately.keep(found)
        return found

    async def list(
        self, *, machine: str | None = None, status: str | None = None, limit: int = 100
    ) -> Sequence[Summary]:
        """The newest executions, of a machine's ARN or with a status where given."""
        page = await self.store.entries(catalog.EXECUTION, parent=machine, status=status, limit=limit)
        return [catalog.summary(entry) for entry in page.entries]

    async def stop(self, name_or_arn: str, *, error: str | None = None, cause: str | None = None) -> None:
        """End an execution now, as ABORTED; returns once that is durable. Nothing happens where it has ended.

        One that was set aside cannot be ended by its engine: what is wrong with it is raised.
        """
        arn = name_or_arn
        if arn not in self.runs:
            arn = (await catalog.find_execution(self.store, name_or_arn)).key
        while (run := await self.alive(arn)) is not None:
            if run.execution.status != "RUNNING":  # somebody else ended it, which may not be durable yet
                await run.ended.wait()
                continue
            try:
                await self.tell(run, signals.Stop(error, cause))
            except Conflict:  # it is folded afresh, and then told again
                continue
            return

    async def redrive(self, name_or_arn: str, *, token: str | None = None) -> int:
        """Have an execution that ended badly go on; when that was (milliseconds since the epoch), once it is durable.

        What had succeeded is kept, the rest is done again. A token makes a repetition of the request harmless. Raises
        ExecutionDoesNotExist, ExecutionNotRedrivable.
        """
        entry = await catalog.find_execution(self.store, name_or_arn)
        return await redriving.redrive(self, entry.key, token)

    async def retry(self, name_or_arn: str) -> None:
        """Try an execution again that was set aside. Raises CallerError where it is not, or what is wrong with it."""
        await resuming.retry(self, name_or_arn)

    async def tell(self, run: Run, signal: Signal) -> None:
        """Say something to an execution; a caller that is cancelled while it waits does not unsay it."""
        told = run.decide(signal)
        if told is not None:
            await self.followed(run, told)

    def waiting(self) -> Mapping[str, Sequence[str]]:
        """Executions that wait for work nobody is registered for: ARN -> the resources they ask for."""
        return {
            arn: sorted({missing.function or missing.resource for missing in run.missing.values()})
            for arn, run in self.runs.items()
            if run.missing
        }

    # --- what its runs ask of it --------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Now, with chance."""
        return self.chance.moment(self.clock.now())

    def entry(self, execution: Execution, events: Sequence[Event], *, ended: bool) -> Entry | None:
        """What the catalog learns from a decision: that an execution began, ended, or goes on after its end."""
        if ended or isinstance(events[0].fact, ExecutionStarted | ExecutionRedriven):
            return catalog.execution_entry(execution)
        return None

    def spawn(self, run: Run, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Have a task of a run done in the engine's task group; what goes wrong in it harms that run alone."""
        if self._group is None:
            raise closed()
        try:
            self._group.start_soon(self._guarded, run, task, arguments)
        except RuntimeError:  # the group has ended already, and the store is about to be closed
            raise closed() from None
        self._busy += 1

    def _given_up(self) -> Iterable[str]:
        """The executions in which something of ours went wrong, and not the store."""
        return [arn for arn, error in self.failed.items() if not isinstance(error, Conflict | StoreClosed)]

    async def _guarded(self, run: Run, task: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
        try:
            await task(*arguments)
        except Exception as error:  # noqa: BLE001  (ours, and told loudly)
            self._fault(run, error)
        finally:
            self._rest()

    @staticmethod
    def _fault(run: Run, error: Exception) -> None:
        """Something went wrong by our fault, not a worker's: the log stays whole."""
        logger.error("execution given up; its log is whole", execution=run.stream, exc_info=error)
        run.give_up(error)

    def aside(self, task: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Have a task done in the engine's task group that is no run's; it looks after what goes wrong itself."""
        if self._group is None:
            raise closed()
        try:
            self._group.start_soon(self._beside, task, arguments)
        except RuntimeError:
            raise closed() from None
        self._busy += 1

    async def _beside(self, task: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
        try:
            await task(*arguments)
        finally:
            self._rest()

    def _rest(self) -> None:
        self._busy -= 1
        if not self._busy and isinstance(self.clock, ManualClock):
            self.clock.look()

    async def followed(self, run: Run, told: Told) -> None:
        """Wait until a decision is durable and followed, also where the one who waits goes away."""
        if self._group is None:
            raise closed()
        self._busy += 1  # a task of its own would cost a start more than deciding it does
        with anyio.CancelScope() as scope:
            self._awaited.add(scope)
            try:
                await run.follow(told)
            except (Conflict, StoreClosed):
                raise
            except Exception as error:
                self._fault(run, error)
                raise
            except anyio.get_cancelled_exc_class():
                if not scope.cancel_called:
                    self.spawn(run, run.follow, told)
                raise
            finally:
                self._awaited.discard(scope)
                self._rest()
        if scope.cancelled_caught:  # the engine is being closed: only the log knows whether this was written
            raise closed()
        if self.crowded():
            await checkpoint()

    def _idle(self) -> bool:
        return not self._busy

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """While a task waits within this for another execution, only that one keeps the engine busy."""
        self._rest()
        try:
            yield
        finally:
            self._busy += 1

    def crowded(self) -> bool:
        """Whether it is time to give the others a turn."""
        self._decided = (self._decided + 1) % TURN
        return not self._decided

    def follow(self, follower: Follower) -> None:
        """Have executions followed from where they begin, are redriven or resumed, in tasks beside their own.

        What the follower gives for a run is awaited in such a task; None where it has no interest in it.
        """
        self._followers.append(follower)

    def begun(self, run: Run) -> None:
        """A run goes on from here: its followers start."""
        for follower in self._followers:
            if (following := follower(run)) is not None and self._group is not None:
                self._group.start_soon(_looking_on, following)

    def offer(self, run: Run, effect: signals.Offer) -> None:
        """A run waits for somebody who polls for an activity."""
        self.activities.offer(run, effect)

    def run_map(self, run: Run, effect: signals.RunMap) -> None:
        """A distributed Map of a run is to be run, or gone on with."""
        self.maps.run(run, effect)

    def leave_map(self, arn: str) -> None:
        """A map run is not wanted any more."""
        self.maps.leave(arn)

    def missing(self, run: Run, missing: NoWorker) -> None:
        """A run waits for work that nobody is registered for."""
        logger.warning("waits for a worker", execution=run.execution.started.arn, resource=missing.resource,
                       function=missing.function)

    def finished(self, run: Run) -> None:
        """A run's end is durable: it leaves memory, but for what it came to."""
        if self.runs.get(arn := run.execution.started.arn) is run:
            del self.runs[arn]
            if run.entry is not None:
                self.lately.keep(Committed(run.entry, run.execution.started))
            if (hear := self.awaited.pop(arn, None)) is not None:
                hear(run)

    def lost(self, run: Run, error: Exception) -> None:
        """A run was given up: after a conflict it is folded afresh; else it is set aside, for all to see."""
        arn = run.execution.started.arn if run.execution.version else ""  # (what never began is nowhere known)
        if self.runs.get(arn) is not run:
            run.ended.set()
            return
        del self.runs[arn]
        if isinstance(error, Conflict):
            folded = self.folding[arn] = anyio.Event()

            async def again() -> None:
                try:
                    if (run := await resuming.fold(self, arn)) is not None:
                        self.spawn(run, run.resume)
                except StoreClosed as closed:
                    self.failed[arn] = closed
                finally:
                    del self.folding[arn]
                    folded.set()

            self.spawn(run, again)
        else:
            self.failed[arn] = error
        run.ended.set()

    async def alive(self, arn: str) -> Run | None:
        """The run of an execution, after a fold that is under way; None where it has ended.

        Raises what it was set aside for, or StoreClosed where the engine is closed.
        """
        while (folding := self.folding.get(arn)) is not None:
            await folding.wait()
        if (run := self.runs.get(arn)) is not None:
            return run
        if arn in self.failed:
            raise self.failed[arn]
        if self._group is None:
            raise closed()
        return None
