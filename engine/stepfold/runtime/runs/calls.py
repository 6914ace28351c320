"""The work of a run that is under way: each piece under a scope by which it can be cut off, and what came of it.

Functions over what a run shows of itself: an object of their own, which knew its run, would be a circle of references,
and keep each run that has ended until the garbage collector comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import anyio

from stepfold.interpreter import signals
from stepfold.interpreter.signals import Signal
from stepfold.language.failures import Failure
from stepfold.work.call import NoWorker, TaskError, Unstartable


class Caller(Protocol):
    """A run, for whom things are done outside: `scopes` are around what is under way, by the event that asked."""

    scopes: dict[int, anyio.CancelScope]

    def miss(self, asked: int, missing: NoWorker) -> None:
        """Nobody does what was asked."""
        ...

    def performed(self) -> None:
        """A piece of work has ended, however it did."""
        ...


async def outcome(
    run: Caller, asked: int, scope: anyio.CancelScope, work: Callable[..., Awaitable[Signal | None]], *given: Any
) -> Signal | None:
    """Have the work done, which `scope` is around: what is to be told of it, if anything."""
    run.scopes[asked] = scope
    try:
        return await work(*given)
    except Unstartable as error:
        return signals.Unstarted(asked, str(error.cause))
    except TaskError as error:
        return signals.Failed(asked, Failure(error.error, error.cause))
    except NoWorker as missing:
        run.miss(asked, missing)
        return None
    except BaseException as error:
        if _is_ours(error):
            raise
        return signals.Failed(asked, Failure(type(error).__name__, str(error)))
    finally:
        del run.scopes[asked]
        run.performed()


@contextmanager
def under(run: Caller, scope: anyio.CancelScope, asked: int) -> Iterator[None]:
    """While this lasts, `scope` is what cuts off what was asked."""
    run.scopes[asked] = scope
    try:
        yield
    finally:
        del run.scopes[asked]
        run.performed()


def cut_off(run: Caller, asked: Iterable[int]) -> None:
    """What was asked is no longer wanted."""
    for one in asked:
        if (scope := run.scopes.get(one)) is not None:
            scope.cancel()


def _is_ours(error: BaseException) -> bool:
    """Whether what came out of a worker ends more than its call: a cancellation, or a person's Ctrl-C."""
    ours = (KeyboardInterrupt, GeneratorExit, anyio.get_cancelled_exc_class())
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(ours) is not None
    return isinstance(error, ours)
