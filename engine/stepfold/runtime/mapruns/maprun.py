"""Map runs, alive: each keeps a window of executions going, and writes down what it is about to do before it does it.

A map run is no task that waits. Whatever happens to it (an execution ends, a setting is changed, nobody wants it any
more) is laid before it, and then it takes a turn: it writes that down, begins what may begin or ends what must end, and
is quiet again. Turns are taken one by one, so its log has one writer.

Its end is told to the execution that asked for it, as a signal. After a crash it goes on because that execution still
owes it, or is aborted because none does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import anyio
import structlog

from stepfold.errors import CallerError
from stepfold.interpreter import dataflow, signals
from stepfold.interpreter.distributed import Batch, Item, plain, selecting
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import ExecutionStarted, MapRunStarted
from stepfold.interpreter.failure import of_query
from stepfold.interpreter.frames import Executions, Frame
from stepfold.interpreter.ledger import (
    ChildBegun,
    ChildEnded,
    ChildRedriven,
    Ledger,
    RunEnded,
    RunFailing,
    RunRedriven,
    RunStarted,
    Said,
    SettingsChanged,
)
from stepfold.interpreter.signals import RunMap
from stepfold.language.failures import RUNTIME, Failure
from stepfold.language.machine import Child
from stepfold.language.steps import Step
from stepfold.query import values
from stepfold.query.template import Overrun, QueryError, Scope, Template
from stepfold.query.values import Value
from stepfold.runtime import catalog
from stepfold.runtime.evaluations.evaluating import elsewhere
from stepfold.runtime.host import Host
from stepfold.runtime.runs.run import Run
from stepfold_store.contract import Conflict, StoreClosed

from . import tallies
from .children import Children
from .items import Source, StateData

logger = structlog.get_logger(__name__)

TOGETHER = 256
"""So many executions begin by one entry of the log at most; what happens meanwhile is heard before the next."""


class MapRuns:
    """The map runs that are alive, by ARN. None takes a turn before all that was interrupted was taken up again."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._alive: dict[str, MapRun] = {}
        self._resumed = False

    def run(self, run: Run, effect: RunMap) -> None:
        """Begin a map run, or go on with it."""
        alive = self._of(effect.arn)
        alive.owner = Owner.of(run, effect)
        if self._resumed:
            alive.wake()

    def leave(self, arn: str) -> None:
        """Nobody wants a map run any more: it is aborted."""
        if (alive := self._alive.get(arn)) is not None:
            alive.leave()

    async def change(self, arn: str, settings: SettingsChanged) -> None:
        """Change how a map run is run; returns once that is durable. Raises CallerError where it has ended."""
        alive = self._alive.get(arn)
        if alive is None or not await alive.change(settings):
            raise CallerError(
                f"The Map Run is not running and cannot be updated: '{arn}'", reason="CANNOT_UPDATE_COMPLETED_MAP_RUN"
            )

    async def resume(self) -> None:
        """Let all go on; abort those that a crash cut off while that was being done to them."""
        self._resumed = True
        store = self._host.store
        open_ones = [entry async for entry in catalog.all_entries(store, tallies.MAP_RUN, status="RUNNING")]
        for entry in open_ones:
            run = self._host.runs.get(entry.parent)
            wanted = run is not None and _waits_for(run.execution, entry.key)
            if not wanted and entry.parent not in self._host.failed:
                self._of(entry.key).leave()
        for alive in list(self._alive.values()):
            alive.wake()

    def clear(self) -> None:
        """The engine is closed."""
        for alive in list(self._alive.values()):
            alive.let_go()
        self._resumed = False

    def _of(self, arn: str) -> MapRun:
        if (alive := self._alive.get(arn)) is None:
            alive = self._alive[arn] = MapRun(self._host, arn, self._over)
        return alive

    def _over(self, one: MapRun) -> None:
        if self._alive.get(one.arn) is one:
            del self._alive[one.arn]


def _waits_for(execution: Execution, arn: str) -> bool:
    return any(
        isinstance(frame.waits, Executions) and frame.waits.run is not None and frame.waits.run.arn == arn
        for frame in execution.asked.values()
    )


class Owner(NamedTuple):
    """The execution that asks for a map run, and its Map: `redrives` says for the how manieth time."""

    run: Run
    frame: Frame
    waits: Executions
    how: MapRunStarted
    asked: int
    redrives: int

    @classmethod
    def of(cls, run: Run, effect: RunMap) -> Owner:
        """Who asks for this effect."""
        frame = run.execution.frames[effect.frame]
        waits = frame.waits
        if not isinstance(waits, Executions) or waits.run is None:
            raise AssertionError(f"frame {effect.frame} asks for a map run that it does not wait for")
        return cls(run, frame, waits, waits.run, effect.asked, effect.redrives)

    @property
    def started(self) -> ExecutionStarted:
        """How the execution began."""
        return self.run.execution.started

    @property
    def step(self) -> Step:
        """The Map."""
        return self.run.machine.steps[self.frame.state]

    @property
    def child(self) -> Child:
        """What each item runs."""
        return self.run.machine.children[self.frame.state]


class _Change:
    """A change of settings that somebody waits for."""

    def __init__(self, settings: SettingsChanged) -> None:
        self.settings = settings
        self.decided = anyio.Event()
        self.taken = False


class MapRun:
    """One map run. `owner` is who asks for it, where somebody does."""

    def __init__(self, host: Host, arn: str, over: Callable[[MapRun], None]) -> None:
        self.arn = arn
        self.owner: Owner | None = None
        self._host = host
        self._over = over
        self._ledger = Ledger()
        self._unwritten: list[Said] = []
        self._left: int | None = None  # how often it had been asked for when it was left
        self._orphan = False
        self._heard: list[ChildEnded] = []
        self._changes: list[_Change] = []
        self._stopped: set[int] = set()
        self._children: Children | None = None
        self._inputs: Inputs | None = None
        self._woken = self._at_work = self._gone = False

    # --- what happens to it -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is news for it."""
        self._woken = True
        if not self._at_work and not self._gone:
            with suppress(StoreClosed):  # then whoever opens the store next finds what it did not take in
                self._host.aside(self._work)
                self._at_work = True

    def leave(self) -> None:
        """Nobody wants it any more."""
        self._orphan = self.owner is None
        self._left = None if self.owner is None else self.owner.redrives + 1
        self.wake()

    async def change(self, settings: SettingsChanged) -> bool:
        """Change its settings; whether it was still running, once that is durable."""
        change = _Change(settings)
        self._changes.append(change)
        self.wake()
        await change.decided.wait()
        return change.taken

    def _ended(self, number: int, run: Run) -> None:
        execution = run.execution
        size = len(execution.root.value) if execution.status == "SUCCEEDED" else 0
        self._hear(number, execution.status, size)

    def _hear(self, number: int, status: str, size: int = 0, *, final: bool = False) -> None:
        self._heard.append(ChildEnded(number, status, size, final))  # type: ignore[arg-type]
        self.wake()

    # --- its turns ----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._woken and not self._gone:
                self._woken = False
                await self._turn()
        except StoreClosed:
            self.let_go()
        except Exception as error:
            if not isinstance(error, Conflict):  # ours: loud, and the log stays whole
                logger.exception("map run given up; its log is whole", map_run=self.arn)
            self.let_go()
            if self.owner is not None:
                self.owner.run.give_up(error)
        finally:
            self._at_work = False

    def let_go(self) -> None:
        """It does nothing any more."""
        self._gone = True
        for change in self._changes:
            change.decided.set()
        self._over(self)

    async def _turn(self) -> None:
        if self._children is None and not await self._open():
            self.let_go()
            return
        ledger, owner = self._ledger, self.owner
        changes = list(self._changes)
        taken = ledger.ended is None
        self._take_in(changes if taken else ())
        if ledger.ended is not None and owner is not None and owner.redrives > ledger.redrives:
            self._note(RunRedriven(owner.redrives))
            self._stopped.clear()
        begun: list[tuple[ChildBegun, Value]] = []
        redriven: list[int] = []
        if ledger.ended is None:
            if self._is_left or ledger.doomed is not None:
                self._doom()
            else:
                redriven = self._redrive_some()
                begun = await self._begin_some()
            if not ledger.running and (self._is_left or ledger.over):
                self._note(RunEnded("ABORTED") if self._is_left else ledger.verdict)
        await self._write()
        for change in changes:
            change.taken = taken
            change.decided.set()
        del self._changes[: len(changes)]
        self._follow(begun, redriven)
        if ledger.ended is not None:
            await self._close(owner)

    @property
    def _is_left(self) -> bool:
        return self._left is not None and self._left > self._ledger.redrives

    def _take_in(self, changes: Iterable[_Change]) -> None:
        """Note what happened to it."""
        heard, self._heard = self._heard, []
        for ended in heard:
            if ended.child in self._ledger.running:
                self._note(ended)
        for change in changes:
            self._note(change.settings)

    def _doom(self) -> None:
        """It cannot end well any more: what is under way is ended."""
        ledger = self._ledger
        if not self._is_left and ledger.failing is None and (why := ledger.doomed) is not None:
            self._note(RunFailing(why.error, why.cause))  # (so that no change of settings saves it half-way)

    def _note(self, said: Said) -> None:
        """Make it so, at the moment that is written: what is written together has one."""
        at = self._ledger.at if self._unwritten else max(self._host.clock.now(), self._ledger.at)
        self._unwritten.append(said)
        self._ledger.apply(at, said)

    async def _write(self) -> None:
        """Have all that was noted be durable."""
        said, self._unwritten = self._unwritten, []
        if said:
            ledger = self._ledger
            record = tallies.record(ledger, ledger.at, said)
            entry = tallies.entry(self.arn, ledger)
            await self._host.store.submit(
                tallies.stream_of(self.arn), ledger.version - len(said), (record,), entries=(entry,)
            )

    async def _close(self, owner: Owner | None) -> None:
        """Tell its end to whoever asked for it; then it is over, unless it was asked for again meanwhile."""
        ledger = self._ledger
        if owner is not None and owner.redrives == ledger.redrives and ledger.ended != "ABORTED":
            ended = signals.MapRunEnded(owner.asked, await self._outcome())
            while (run := await self._host.alive(owner.started.arn)) is not None:
                try:
                    if (told := run.decide(ended)) is not None:
                        await self._host.followed(run, told)
                except Conflict:  # it is folded afresh, and then told again
                    continue
                break
        if self.owner is None or self.owner.redrives <= ledger.redrives:
            self.let_go()
        else:
            self.wake()

    async def _outcome(self) -> Value | Failure:
        """Its outputs in the order of the items, or why it failed.

        The executions that failed, and were tolerated, have no place in the array (unverified).
        """
        if self._ledger.failure is not None:
            return self._ledger.failure
        outputs = {kept.number: kept.output async for kept in self._all.all("SUCCEEDED")}
        return values.join([output for _, output in sorted(outputs.items()) if output is not None])

    @property
    def _all(self) -> Children:
        if self._children is None:
            raise AssertionError("a map run takes its turns after it was opened")
        return self._children

    # --- opened -------------------------------------------------------------------------------------------------------

    async def _open(self) -> bool:
        """Take up its log, or begin one; whether there is anything to do."""
        ledger = self._ledger = await tallies.fold(self._host.store, self.arn)
        owner = self.owner
        if not ledger.version:
            if owner is None:
                return False
            await self._host.store.put([], [owner.child.machine.text])
            self._note(_first(owner))
        if self._orphan:
            self._left = ledger.redrives + 1
        self._children = Children(self._host, self.arn, ledger.started)
        if ledger.ended is None:
            await self._take_up()
        return True

    async def _take_up(self) -> None:
        """Find what was under way: begun already, or only about to be."""
        ledger = self._ledger
        for number, child in list(ledger.running.items()):
            alive = self._await(number) in self._host.runs
            kept = None if alive else await self._all.kept(number)
            if alive or (kept is not None and kept.status == "RUNNING"):
                continue
            if kept is not None and kept.redrives >= child.begun - 1:
                self._hear(number, kept.status, kept.size)
            elif self._is_left or ledger.doomed is not None:
                self._hear(number, "ABORTED" if kept is None else kept.status)
            elif kept is not None:
                self._host.aside(self._redrive, number)
            else:
                await self._begin_again(number, child.first, child.items)

    async def _begin_again(self, number: int, first: int, count: int) -> None:
        try:
            batch, owner = await self._given.batch(first, count), self._owned
        except dataflow.Met as met:  # the ItemSelector that could do it before the crash cannot any more
            self._note(RunFailing(met.failure.error, met.failure.cause))
            self._hear(number, "ABORTED")
            return
        self._all.begin(owner.started, owner.child.machine, number, count, batch.input)

    def _await(self, number: int) -> str:
        """Have the end of an execution heard; its ARN."""
        arn = self._all.arn(number)
        self._host.awaited[arn] = partial(self._ended, number)
        return arn

    # --- its executions -----------------------------------------------------------------------------------------------

    @property
    def _owned(self) -> Owner:
        if self.owner is None:
            raise AssertionError("a map run begins executions for its owner alone")
        return self.owner

    @property
    def _given(self) -> Inputs:
        if self._inputs is None:
            self._inputs = Inputs(self._host, self._owned)
        return self._inputs

    def _room(self) -> int:
        """How many may begin in this turn. One is always let in, for those that wait for it may fill the memory."""
        ledger = self._ledger
        free = max(self._host.bounds.executions - len(self._host.runs), 0 if ledger.running else 1)
        return min(ledger.room, free, TOGETHER)

    def _redrive_some(self) -> list[int]:
        redriven = list(self._ledger.waiting)[: self._room()]
        for number in redriven:
            self._note(ChildRedriven(number))
        return redriven

    async def _begin_some(self) -> list[tuple[ChildBegun, Value]]:
        ledger = self._ledger
        begun: list[tuple[ChildBegun, Value]] = []
        try:
            for _ in range(self._room()):
                if not ledger.unread:
                    break
                batch = await self._given.batch(ledger.cursor, ledger.unread)
                child = ChildBegun(ledger.children, ledger.cursor, len(batch))
                self._note(child)
                begun.append((child, batch.input))
        except dataflow.Met as met:
            self._note(RunFailing(met.failure.error, met.failure.cause))
            self.wake()
        if ledger.room and (ledger.unread or ledger.waiting):
            self.wake()
        return begun

    def _follow(self, begun: list[tuple[ChildBegun, Value]], redriven: list[int]) -> None:
        """Do what was written down."""
        for child, given in begun:
            self._await(child.child)
            owner = self._owned
            self._all.begin(owner.started, owner.child.machine, child.child, child.count, given)
        for number in redriven:
            self._await(number)
            self._host.aside(self._redrive, number)
        if self._is_left or self._ledger.failing is not None:
            for number in self._ledger.running.keys() - self._stopped:
                self._stopped.add(number)
                self._host.aside(self._all.stop, number)

    async def _redrive(self, number: int) -> None:
        try:
            if not await self._all.redrive(number):
                kept = await self._all.kept(number)
                self._hear(number, "ABORTED" if kept is None else kept.status, final=True)
            elif number in self._stopped:  # it was not there yet when it was to be stopped
                await self._all.stop(number)
        except StoreClosed:
            return


def _first(owner: Owner) -> RunStarted:
    how, batched = owner.how, owner.how.batch_items is not None or owner.how.batch_bytes is not None
    return RunStarted(
        owner.started.arn,
        owner.frame.state,
        how.machine,
        how.definition,
        how.kind,
        owner.waits.length,
        owner.started.limits.payload,
        owner.waits.concurrency,
        how.tolerated,
        how.percentage,
        how.batch_items if batched else 1,
    )


class Inputs:
    """What the executions of a map run are given, made as they are begun."""

    def __init__(self, host: Host, owner: Owner) -> None:
        self._host = host
        self._owner = owner
        self._source: Source = StateData(owner.waits.source)
        self._effective: Value | None = None

    async def batch(self, first: int, most: int) -> Batch:
        """The input for the items from that index on, of which there are at most so many. Raises dataflow.Met."""
        owner = self._owner
        batch = Batch(owner.how)
        try:
            while len(batch) < most and not batch.full:
                (item,) = await self._source.read(first + len(batch), 1)
                if not batch.takes(await self._selected(item)):
                    break
        except QueryError as error:
            raise dataflow.Met(of_query(owner.frame, error)) from None
        except RecursionError:
            raise dataflow.Met(Failure(RUNTIME, "The data of the item nests too deeply.")) from None
        dataflow.within(owner.run.execution, batch.input, owner.step.name, "provided parameters")
        return batch

    async def _selected(self, item: Item) -> Value:
        owner, selector = self._owner, self._owner.step.item_selector
        if selector is None:
            return plain(item)
        if self._effective is None:
            self._effective = await self._input()
        seen = selecting(owner.run.execution, owner.frame, self._effective, item)
        return await self._rendered("ItemSelector", selector, seen)

    async def _input(self) -> Value:
        owner = self._owner
        try:
            return dataflow.given(owner.step, owner.run.execution, owner.frame, self._host.moment())
        except dataflow.Wanted as wanted:
            return await self._rendered(wanted.field, wanted.template, wanted.scope, heavy=True)

    async def _rendered(self, field: str, template: Template, scope: Scope, *, heavy: bool = False) -> Value:
        """What a template comes to: here, or in a thread where that may cost too much. Raises QueryError."""
        if not (heavy or template.heavy):
            try:
                return template.render(scope, self._host.moment())
            except Overrun:
                pass
        step = self._owner.step
        outcome = await elsewhere(field, template, scope, self._host.moment(), jsonata=step.jsonata)
        if isinstance(outcome, Failure):
            raise QueryError(outcome.cause or "", outcome.error or "", outcome.location)
        return outcome
