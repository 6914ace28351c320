"""The door: one call in, one reply out. Who asks, what for, whether he may; then the operation; and a line in the log.

A reply is always made, in AWS's shape. What is no caller's mistake is a fault of ours: it is answered by 500, and
logged with its place and type but without its text, which may quote a payload.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import anyio
import structlog

from stepfold.errors import CallerError, ExecutionSetAside
from stepfold_store.contract import Damaged, StoreClosed

from .wire import protocol
from .wire.keys import Keys, authorize
from .wire.protocol import Answer, Call, Reply, Service
from .wire.signature import verify

POLLS: Final = frozenset({"GetActivityTask"})
"""Operations that wait for long: they end when their client goes away, and empty-handed when the door closes."""

logger = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def _unavailable(error: StoreClosed) -> protocol.Refusal:
    why = f" since a commit failed ({error.cause}); what is recorded can be read" if error.cause else ""
    return protocol.Refusal("ServiceUnavailable", f"The store takes no writes{why}", status=503)


class Door:
    """Answers calls to a service; with keys, only those that one of them signed and may make."""

    def __init__(self, service: Service, *, keys: Keys | None = None, now: Callable[[], datetime] = _now) -> None:
        self.service = service
        self.keys = keys
        self.closing = False
        self._now = now
        self._polls: set[anyio.CancelScope] = set()

    @property
    def ready(self) -> bool:
        """Whether calls are taken."""
        return not self.closing and self.service.ready()

    def close(self) -> None:
        """Let the long polls go home, and keep no new ones; all else is answered to its end."""
        self.closing = True
        for poll in list(self._polls):
            poll.cancel()

    async def answer(self, call: Call, gone: Callable[[], Awaitable[object]] | None = None) -> Reply:
        """The reply to a call; `gone` returns when the client has gone away."""
        begun = time.perf_counter()
        said: dict[str, object] = {}
        request_id = protocol.request_id()
        try:
            output = await self._perform(call, said, gone)
            reply = protocol.answer(output, request_id)
        except CallerError as error:
            reply = protocol.refuse(error, request_id)
        except Damaged as error:
            reply = protocol.refuse(ExecutionSetAside(str(error)), request_id)
        except StoreClosed as error:
            reply = protocol.refuse(_unavailable(error), request_id)
        except Exception as error:  # noqa: BLE001  (whatever it is, the caller gets a reply and the log its place)
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            logger.error("fault", request_id=request_id, type=type(error).__name__, at=where)  # noqa: TRY400  (no text)
            reply = protocol.fail(request_id)
        if reply.code:
            said["code"] = reply.code
        taken = round((time.perf_counter() - begun) * 1000, 2)
        logger.info("request", **said, status=reply.status, ms=taken, request_id=request_id)
        return reply

    def refuse(self, error: CallerError) -> Reply:
        """The reply to a call that is refused before it was read."""
        reply = protocol.refuse(error, protocol.request_id())
        logger.info("request", status=reply.status, code=reply.code, request_id=reply.headers["x-amzn-RequestId"])
        return reply

    async def _perform(
        self, call: Call, said: dict[str, object], gone: Callable[[], Awaitable[object]] | None
    ) -> Answer:
        name = said["operation"] = protocol.operation(call)
        key = None
        if self.keys is not None:
            key = verify(call, self.keys, self._now())
            said["key"] = key.id
        if not self.service.ready():
            raise protocol.Refusal("ServiceUnavailable", "The engine is not open", status=503)
        request = protocol.read(name, call.body)
        if key is not None:
            authorize(key, name, request, self.service.home)
        operation = self.service.operations.get(name)
        if operation is None:
            raise protocol.Refusal("UnknownOperationException", f"{name} is not built yet")
        working = operation(self.service, request)
        return await (self._poll(working, gone) if name in POLLS else working)

    async def _poll(self, working: Awaitable[Answer], gone: Callable[[], Awaitable[object]] | None) -> Answer:
        outcome: Answer | Exception = None
        async with anyio.create_task_group() as group:

            async def leave() -> None:
                if gone is not None:
                    await gone()
                    group.cancel_scope.cancel()

            self._polls.add(group.cancel_scope)
            if self.closing:
                group.cancel_scope.cancel()
            try:
                group.start_soon(leave)
                try:
                    outcome = await working
                except Exception as error:  # noqa: BLE001  (raised again below, outside of the group's own wrapping)
                    outcome = error
            finally:
                self._polls.discard(group.cancel_scope)
            group.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
