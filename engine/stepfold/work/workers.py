"""Who does what a Task asks: workers, and the routing of calls to them.

What is handed over and waited for (`.sync`) is another kind of work: `jobs.py` says which.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import anyio
import structlog

from stepfold.names import Home
from stepfold.query.values import NULL, NotAdmitted, Value, admit_tree

from .call import Call, NoWorker, TaskError
from .functions import lambdas
from .functions.lambdas import Invocation
from .jobs import Job, handed_over

logger = structlog.get_logger(__name__)


Worker: TypeAlias = Callable[[Call], Awaitable[Value]]
"""Does one call: returns its result as admitted JSON, raises TaskError, and stops when it is cancelled.

A worker may have an attribute `concurrency`: how many of its calls may run at once when its registration does not say.
"""

StandIn: TypeAlias = Callable[[Call], Value | None]
"""What a task answers in the place of whoever does it, or None; raises TaskError."""


def _nothing(call: Call) -> None:
    """A test case without its mocks must not call what the mocks were to keep it from: it waits for them."""
    if call.case is not None:
        raise NoWorker(f"{call.resource} in the test case {call.case}")


OnInterrupt: TypeAlias = Literal["repeat", "fail"]

CALLS_IN_FLIGHT = 200
"""How many calls one engine makes at once, whatever its functions would allow."""


class Registration:
    """A worker under its name, for calls or jobs or both; `on_interrupt` is what a crash does to a call in flight."""

    __slots__ = ("_turns", "concurrency", "job", "name", "on_interrupt", "outside_cap", "worker")

    def __init__(
        self, name: str, worker: Worker | Job, concurrency: int | None, on_interrupt: OnInterrupt, *, outside_cap: bool
    ) -> None:
        self.name = name
        self.worker: Worker | None = worker if callable(worker) else None
        self.job: Job | None = worker if isinstance(worker, Job) else None
        self.concurrency = concurrency
        self.on_interrupt = on_interrupt
        self.outside_cap = outside_cap
        self._turns = anyio.Semaphore(concurrency) if concurrency else None

    async def perform(self, call: Call, cap: anyio.Semaphore) -> Value:
        """Wait for a turn, begin, and do it. Raises NoWorker where it does jobs alone."""
        if self.worker is None:
            raise NoWorker(call.resource)
        return await self._in_turn(self.worker, call, cap)

    async def submit(self, call: Call, cap: anyio.Semaphore) -> Value:
        """Wait for a turn, and hand the job over: its receipt. Raises NoWorker where it does no jobs."""
        if self.job is None:
            raise NoWorker(call.resource)
        return await self._in_turn(self.job.submit, call, cap)

    async def _in_turn(self, worker: Worker, call: Call, cap: anyio.Semaphore) -> Value:
        # Own turn first, so that one crowded function does not fill the cap.
        if self._turns is None:
            return await self._within(cap, worker, call)
        await _turn(self._turns)
        try:
            return await self._within(cap, worker, call)
        finally:
            self._turns.release()

    async def _within(self, cap: anyio.Semaphore, worker: Worker, call: Call) -> Value:
        if self.outside_cap:
            call.begin()
            return await _answer(worker, call)
        await _turn(cap)
        try:
            call.begin()
            return await _answer(worker, call)
        finally:
            cap.release()


class Workers:
    """All who are registered, and the way from a Task's Resource to the one who does it.

    `home` completes a function's bare name to its ARN. `in_flight` caps the calls of one engine. Where they are
    `complete`, a function that nobody registered does not exist, and a call of it fails as on AWS. `stand_in` is asked
    before any of them, by whoever makes a call.
    """

    def __init__(self, *, home: Home | None = None, in_flight: int = CALLS_IN_FLIGHT) -> None:
        self.home = home or Home()
        self.complete = False
        self.stand_in: StandIn = _nothing
        self._exact: dict[str, Registration] = {}
        self._patterns: list[tuple[re.Pattern[str], Registration]] = []
        self._last: list[tuple[re.Pattern[str], Registration]] = []
        self._cap = anyio.Semaphore(in_flight)

    def register(
        self,
        name_or_pattern: str,
        worker: Worker | Job,
        *,
        concurrency: int | None = None,
        on_interrupt: OnInterrupt = "repeat",
        outside_cap: bool = False,
        last: bool = False,
    ) -> Registration:
        """Let `worker` do what asks for this function name, resource ARN, or pattern of either (`*` is any text).

        A later registration of the same name takes the place of the earlier. `outside_cap` is for workers that wait
        for other calls of the same engine (nested executions): within the cap, enough of them would wait for ever. With
        `last` a pattern takes what nobody else does, by a resource as written: AWS's own services, say.
        """
        if concurrency is None:
            concurrency = getattr(worker, "concurrency", None)
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        entry = Registration(name_or_pattern, worker, concurrency, on_interrupt, outside_cap=outside_cap)
        if "*" not in name_or_pattern:
            self._exact[name_or_pattern] = entry
            return entry
        pattern = re.compile(".*".join(map(re.escape, name_or_pattern.split("*"))), re.DOTALL)
        patterns = self._last if last else self._patterns
        patterns[:] = [known for known in patterns if known[1].name != name_or_pattern]
        patterns.insert(0, (pattern, entry))
        patterns.sort(key=lambda known: -len(known[1].name))  # the longest pattern says the most
        return entry

    def find(self, resource: str, arguments: Value) -> Registration | None:
        """Who does it: an exact ARN comes first, then a function's exact name, then patterns, the longest first.

        Whatever takes the function comes before what takes the Resource by a pattern, so that a pattern for all
        services (`arn:aws:states:::*`) leaves `lambda:invoke` of a registered function alone. What was registered as
        `last` is asked when all others were.
        """
        return self._route(resource, arguments)[0]

    async def perform(self, call: Call) -> Value:
        """Do the call when its turn has come. Raises TaskError where it failed, NoWorker where nobody does it.

        A function is handed its event and its own ARN, however the Task called it.
        """
        found, asked = self._route(call.resource, call.arguments)
        if found is None and asked is not None and self.complete:
            raise TaskError(lambdas.NOT_FOUND, lambdas.not_found(asked, self.home, call.token))
        if found is None:
            raise NoWorker(call.resource, asked.name if asked else None)
        if asked is None:
            return await self._by_resource(found, call)
        if not asked.wrapped:
            return await found.perform(call, self._cap)
        request = lambdas.request_id(call.token)
        if asked.kind == "DryRun":
            call.begin()
            return lambdas.wrap(asked, NULL, request)
        try:
            payload = await found.perform(call.asking(asked.arn, asked.event), self._cap)
        except TaskError as failure:
            if asked.kind != "Event":
                raise
            # Lambda would answer before the function runs; here it has run, and only its outcome is nobody's.
            logger.warning("function failed", function=asked.name, error=failure.error, cause=failure.cause)
            payload = NULL
        return lambdas.wrap(asked, payload, request)

    async def _by_resource(self, found: Registration, call: Call) -> Value:
        """What takes a Resource as it is. A function that nobody has is missed in AWS's words, whoever stands in."""
        try:
            return await found.perform(call, self._cap)
        except TaskError as failure:
            missing = lambdas.invocation(call.resource, call.arguments, self.home)
            if failure.error != lambdas.NOT_FOUND or missing is None or not self.complete:
                raise
            raise TaskError(lambdas.NOT_FOUND, lambdas.not_found(missing, self.home, call.token)) from None

    def hands_over(self, resource: str, arguments: Value) -> bool:
        """Whether what a Task asks for is a job here: submitted, then attended to."""
        if not handed_over(resource):
            return False
        found = self.find(resource, arguments)
        return found is not None and found.job is not None

    async def submit(self, call: Call) -> Value:
        """Hand a job over when its turn has come: the receipt. Raises TaskError, NoWorker."""
        found = self.find(call.resource, call.arguments)
        if found is None:
            raise NoWorker(call.resource)
        return await found.submit(call, self._cap)

    async def attend(self, call: Call, receipt: Value) -> Value:
        """Wait for a job that was handed over: its result. Raises TaskError, NoWorker."""
        job = self._job(call)
        return await _answer(lambda call: job.wait(call, receipt), call)

    async def call_off(self, call: Call, receipt: Value) -> None:
        """Have a job cancelled that nobody wants any more. Raises what its worker does, NoWorker."""
        await self._job(call).cancel(call, receipt)

    def _job(self, call: Call) -> Job:
        found = self.find(call.resource, call.arguments)
        if found is None or found.job is None:
            raise NoWorker(call.resource)
        return found.job

    def _route(self, resource: str, arguments: Value) -> tuple[Registration | None, Invocation | None]:
        """The registration, and the function it stands for; no function where it takes the resource as it is."""
        if found := self._exact.get(resource):
            asked = lambdas.invocation(resource, arguments, self.home)
            return found, None if asked and asked.wrapped else asked
        asked = lambdas.invocation(resource, arguments, self.home)
        if asked and (found := self._exact.get(asked.name) or self._exact.get(asked.arn)):
            return found, asked
        if asked:
            for pattern, entry in self._patterns:
                if pattern.fullmatch(asked.name) or pattern.fullmatch(asked.arn):
                    return entry, asked
        for pattern, entry in (*self._patterns, *self._last):
            if pattern.fullmatch(resource):
                return entry, None
        return None, asked


async def _turn(turns: anyio.Semaphore) -> None:
    """Take one of the turns; where one is free, without the round of the event loop that `async with` makes."""
    try:
        turns.acquire_nowait()
    except anyio.WouldBlock:
        await turns.acquire()


async def _answer(worker: Worker, call: Call) -> Value:
    """What the worker says, as a Value; whatever it raises but a cancellation from outside, as a TaskError."""
    try:
        answer: object = await worker(call)
    except TaskError:
        raise
    except Exception as error:
        logger.exception("worker failed", resource=call.resource, execution=call.execution, state=call.state)
        raise TaskError(type(error).__name__, str(error)) from error
    except asyncio.CancelledError as error:
        # A worker may await a task of its own that was cancelled. Passed on, that would silently end the branch.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise TaskError("CancelledError", str(error)) from error
    if isinstance(answer, Value):
        return answer
    try:
        return admit_tree(answer)
    except NotAdmitted as error:
        raise TaskError(lambdas.MARSHAL, f"Unable to marshal response: {error}") from None
