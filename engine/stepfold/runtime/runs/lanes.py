"""The calls of a run that wait in line, resource by resource, and the hands that make them.

A hand is a task. It makes one call after the other for as long as none has to wait, gathers what came of them, and has
that decided together: one row in the log, one wake-up. A call that does have to wait must hold up neither the line nor
what was gathered before it. So a hand goes on before it has told what it knows only while another is on its way: that
one tells it, and sees to the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from stepfold.interpreter.signals import Effect, Invoke, Signal
from stepfold_store.contract import Conflict, StoreClosed

LANE: Final = 256
"""Calls of one resource that one execution may have begun at once; the others wait in line without a task."""
TURN: Final = 32
"""Calls that a hand makes in a row, where none has to wait, before it tells what came of them."""


class Lane:
    """The calls of one resource: a line, and hands of which some are in a call, and some on their way."""

    __slots__ = ("calling", "coming", "hands", "line")

    def __init__(self) -> None:
        self.line: deque[Invoke] = deque()
        self.hands = self.calling = self.coming = 0


class Caller(Protocol):
    """What the lanes ask of their run: to make a call, and to have decided what was `said` of others.

    `lanes` are its lines, by the resource.
    """

    broken: Exception | None
    lanes: dict[str, Lane]
    said: deque[Signal]

    async def call(self, effect: Invoke, scope: anyio.CancelScope) -> Signal | None:
        """What is to be told of a call, made under a scope by which it can be cut off."""
        ...

    async def deliver(self, begin: Callable[[list[Effect]], None]) -> None:
        """Decide what was said, and begin what is owed once that is durable. Raises Conflict, StoreClosed."""
        ...

    def begin(self, owed: list[Effect]) -> None:
        """Have everything done that is owed."""
        ...

    def spawn(self, task: Callable[..., Awaitable[None]], *given: Any) -> None:
        """Have a task done beside."""
        ...


def line_up(run: Caller, effect: Invoke) -> None:
    """A call is to be made."""
    lane = _lane(run, effect)
    lane.line.append(effect)
    if not lane.coming:
        _beckon(run, lane)


async def lend_a_hand(run: Caller, owed: list[Effect]) -> None:
    """Have everything done that is owed, calls of one resource in the task that says so: another would cost more."""
    first = next((effect for effect in owed if isinstance(effect, Invoke)), None)
    if first is None or (lane := _lane(run, first)).hands >= LANE:
        run.begin(owed)
        return
    lane.hands += 1
    _begin(run, lane, owed)
    lane.coming += 1
    await _hand(run, lane)


def _lane(run: Caller, effect: Invoke) -> Lane:
    lane = run.lanes.get(effect.resource)
    if lane is None:
        lane = run.lanes[effect.resource] = Lane()
    return lane


def _begin(run: Caller, lane: Lane, owed: list[Effect]) -> None:
    """Have what is owed done by one who will look after this line itself."""
    lane.coming += 1
    run.begin(owed)
    lane.coming -= 1


def _beckon(run: Caller, lane: Lane) -> None:
    """Have others look after a line: as many as are held up by their calls, so that there are ever twice as many."""
    wanted = min(len(lane.line), max(lane.calling, 1), LANE - lane.hands + lane.coming)
    while lane.coming < wanted:
        lane.hands += 1
        lane.coming += 1
        run.spawn(_hand, run, lane)


async def _hand(run: Caller, lane: Lane) -> None:
    lane.coming -= 1
    try:
        over = False
        while not over:
            with anyio.CancelScope() as scope:  # (for as many calls as it can be: one each would cost a tenth)
                over = await _work(run, lane, scope)
    except (Conflict, StoreClosed):
        return
    finally:
        lane.hands -= 1


async def _work(run: Caller, lane: Lane, scope: anyio.CancelScope) -> bool:
    """Make calls and tell what came of them, until nothing is left (True), or one was cut off and the scope with it."""
    while run.broken is None:
        if not run.said:
            await _take_turn(run, lane, scope)
        if scope.cancel_called:
            return False
        if run.said:
            if lane.line and not lane.coming:
                _beckon(run, lane)
            await run.deliver(lambda owed: _begin(run, lane, owed))
        elif lane.line:
            await checkpoint()
        else:
            break
    return True


async def _take_turn(run: Caller, lane: Lane, scope: anyio.CancelScope) -> None:
    line, task = lane.line, asyncio.current_task()
    for _ in range(TURN):
        if not line or run.broken is not None:
            return
        effect = line.popleft()
        if line and not lane.coming:
            _beckon(run, lane)
        lane.calling += 1
        try:
            signal = await run.call(effect, scope)
        finally:
            lane.calling -= 1
        if signal is not None:
            if task is not None and task.cancelling():
                # A worker that answers its cancellation by something else must not have that recorded: the engine
                # is being closed, and the call will be made again.
                await checkpoint_if_cancelled()
            run.said.append(signal)
        if scope.cancel_called or (run.said and not lane.coming):
            return
