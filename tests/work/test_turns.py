"""Turns: no more than there are, first come first served, and none lost to a cancellation."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from stepfold.work.turns import Turns

pytestmark = pytest.mark.anyio


def left(turns):
    """How many are left; they are all taken then."""
    return sum(iter(turns.take, False))


async def wait(turns, name, order):
    await turns.wait()
    order.append(name)


async def test_what_is_given_back_goes_to_whoever_has_waited_longest():
    turns, order = Turns(2), []
    assert left(turns) == 2
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(wait, turns, name, order)
        await anyio.wait_all_tasks_blocked()
        turns.give_back()
        assert not turns.take(), "it is the first one's, who has not heard yet"
        await anyio.wait_all_tasks_blocked()
        assert order == ["a"]
        turns.give_back()
        turns.give_back()
    assert order == ["a", "b", "c"]
    turns.give_back()
    assert left(turns) == 1


@pytest.mark.parametrize("waiting", [0, 1])
async def test_a_turn_that_comes_with_the_cancellation_goes_to_the_next(waiting):
    turns, order = Turns(1), []
    assert turns.take()
    gone, *others = [asyncio.ensure_future(wait(turns, name, order)) for name in ("gone", "next")[: 1 + waiting]]
    await anyio.wait_all_tasks_blocked()
    turns.give_back()
    gone.cancel()
    await anyio.wait_all_tasks_blocked()
    assert gone.cancelled()
    assert order == ["next"] * waiting
    assert all(other.done() for other in others)
    assert left(turns) == 1 - waiting


async def test_who_leaves_the_line_takes_no_turn():
    turns, order = Turns(1), []
    assert turns.take()
    async with anyio.create_task_group() as group:
        group.start_soon(wait, turns, "gone", order)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    turns.give_back()
    assert order == []
    assert left(turns) == 1
