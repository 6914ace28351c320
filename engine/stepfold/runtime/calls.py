"""The work of one run that is under way: each piece under a scope by which it can be cut off, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

from stepfold.interpreter import signals
from stepfold.interpreter.signals import Signal
from stepfold.language.failures import Failure
from stepfold.work.call import NoWorker, TaskError


class Calls:
    """What is under way for a run, by the event that asked.

    `missed` is told of calls that nobody does, `gone` of each that has ended, however it did.
    """

    __slots__ = ("_gone", "_missed", "_scopes")

    def __init__(self, missed: Callable[[int, NoWorker], None], gone: Callable[[], None]) -> None:
        self._missed, self._gone = missed, gone
        self._scopes: dict[int, anyio.CancelScope] = {}

    def __bool__(self) -> bool:
        return bool(self._scopes)

    async def outcome(
        self, asked: int, scope: anyio.CancelScope, work: Callable[..., Awaitable[Signal | None]], *given: Any
    ) -> Signal | None:
        """Have the work done, which `scope` is around: what is to be told of it, if anything."""
        self._scopes[asked] = scope
        try:
            return await work(*given)
        except TaskError as error:
            return signals.Failed(asked, Failure(error.error, error.cause))
        except NoWorker as missing:
            self._missed(asked, missing)
            return None
        except BaseException as error:
            if _is_ours(error):
                raise
            return signals.Failed(asked, Failure(type(error).__name__, str(error)))
        finally:
            self._left(asked)

    @contextmanager
    def under(self, scope: anyio.CancelScope, asked: int) -> Iterator[None]:
        """While this lasts, `scope` is what cuts off what was asked."""
        self._scopes[asked] = scope
        try:
            yield
        finally:
            self._left(asked)

    def _left(self, asked: int) -> None:
        del self._scopes[asked]
        self._gone()

    def cut_off(self, *asked: int) -> None:
        """What was asked is no longer wanted; without a name, all of it."""
        scopes: Sequence[anyio.CancelScope | None]
        scopes = [self._scopes.get(one) for one in asked] if asked else list(self._scopes.values())
        for scope in scopes:
            if scope is not None:
                scope.cancel()


def _is_ours(error: BaseException) -> bool:
    """Whether what came out of a worker ends more than its call: a cancellation, or a person's Ctrl-C."""
    ours = (KeyboardInterrupt, GeneratorExit, anyio.get_cancelled_exc_class())
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(ours) is not None
    return isinstance(error, ours)
