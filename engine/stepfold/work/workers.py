"""Who does what a Task asks: workers, and the routing of calls to them.

What is handed over and waited for (`.sync`) is another kind of work: `jobs.py` says which.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import structlog

from stepfold.names import Home
from stepfold.query.values import NULL, NotAdmitted, Value, admit_tree

from .call import Call, NoWorker, TaskError
from .functions import lambdas
from .functions.lambdas import Invocation
from .jobs import Job, handed_over
from .turns import Turns

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
ROUTES = 1_024
"""Of so many Resources it is remembered who does what they ask for."""


class Registration:
    """A worker under its name, for calls or jobs or both; `on_interrupt` is what a crash does to a call in flight.

    Each of its calls takes one of all the `turns`, in their order.
    """

    __slots__ = ("_turns", "concurrency", "job", "name", "on_interrupt", "worker")

    def __init__(
        self,
        name: str,
        worker: Worker | Job,
        concurrency: int | None,
        on_interrupt: OnInterrupt,
        turns: Sequence[Turns],
    ) -> None:
        self.name = name
        self.worker: Worker | None = worker if callable(worker) else None
        self.job: Job | None = worker if isinstance(worker, Job) else None
        self.concurrency = concurrency
        self.on_interrupt = on_interrupt
        self._turns = turns

    async def in_turn(self, work: Worker | None, call: Call) -> Value:
        """Begin the call when its turn has come, and have this part of the worker do it; None is one that it lacks.

        Raises TaskError where it failed, NoWorker where there is nothing that could do it.
        """
        if work is None:
            raise NoWorker(call.resource)
        taken = 0
        try:
            for turns in self._turns:
                if not turns.take():
                    await turns.wait()
                taken += 1
            call.begin()
            return await _answer(work, call)
        finally:
            for turns in self._turns[:taken]:
                turns.give_back()


class Route(NamedTuple):
    """Who does what a Task asks for, if anybody.

    `outright` says that they take the Resource as it is, and were not found by the function that it asks for. `asked`
    is what `lambda:invoke` says of the function, where they take that.
    """

    found: Registration | None
    outright: bool = False
    asked: Invocation | None = None


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
        self._patterns: _Patterns = []
        self._last: _Patterns = []
        self._cap = Turns(in_flight)
        self._remembered = lru_cache(maxsize=ROUTES)(self._by_resource)

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
        # Its own turn first, so that one crowded function does not fill the cap.
        turns = [] if concurrency is None else [Turns(concurrency)]
        if not outside_cap:
            turns.append(self._cap)
        entry = Registration(name_or_pattern, worker, concurrency, on_interrupt, turns)
        if "*" in name_or_pattern:
            pattern = re.compile(".*".join(map(re.escape, name_or_pattern.split("*"))), re.DOTALL)
            patterns = self._last if last else self._patterns
            patterns[:] = [known for known in patterns if known[1].name != name_or_pattern]
            patterns.insert(0, (pattern, entry))
            patterns.sort(key=lambda known: -len(known[1].name))  # the longest pattern says the most
        else:
            self._exact[name_or_pattern] = entry
        self._remembered.cache_clear()
        return entry

    def find(self, resource: str, arguments: Value) -> Registration | None:
        """Who does it: an exact ARN comes first, then a function's exact name, then patterns, the longest first.

        Whatever takes the function comes before what takes the Resource by a pattern, so that a pattern for all
        services (`arn:aws:states:::*`) leaves `lambda:invoke` of a registered function alone. What was registered as
        `last` is asked when all others were.
        """
        return self._route(resource, arguments).found

    async def perform(self, call: Call) -> Value:
        """Do the call when its turn has come. Raises TaskError where it failed, NoWorker where nobody does it.

        A function is handed its event and its own ARN, however the Task called it.
        """
        found, outright, asked = self._route(call.resource, call.arguments)
        if found is None:
            raise self._nobody(call)
        if asked is not None:
            return await self._invoke(found, asked, call)
        try:
            return await found.in_turn(found.worker, call)
        except TaskError as failure:
            unknown = outright and failure.error == lambdas.NOT_FOUND
            if unknown and isinstance(missing := self._nobody(call), TaskError):
                raise missing from None  # in AWS's words, whoever stands in for it
            raise

    def _nobody(self, call: Call) -> TaskError | NoWorker:
        """That nobody does it; of a function, where all are known, that it does not exist."""
        asked = lambdas.invocation(call.resource, call.arguments, self.home)
        if asked is not None and self.complete:
            return TaskError(lambdas.NOT_FOUND, lambdas.not_found(asked, self.home, call.token))
        return NoWorker(call.resource, asked.name if asked else None)

    async def _invoke(self, found: Registration, asked: Invocation, call: Call) -> Value:
        """What `lambda:invoke` asks of a function."""
        request = lambdas.request_id(call.token)
        if asked.kind == "DryRun":
            call.begin()
            return lambdas.wrap(asked, NULL, request)
        try:
            payload = await found.in_turn(found.worker, call.asking(asked.arn, asked.event))
        except TaskError as failure:
            if asked.kind != "Event":
                raise
            # Lambda would answer before the function runs; here it has run, and only its outcome is nobody's.
            logger.warning("function failed", function=asked.name, error=failure.error, cause=failure.cause)
            payload = NULL
        return lambdas.wrap(asked, payload, request)

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
        return await found.in_turn(None if found.job is None else found.job.submit, call)

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

    def _route(self, resource: str, arguments: Value) -> Route:
        return self._remembered(resource) or self._found(resource, lambdas.invocation(resource, arguments, self.home))

    def _by_resource(self, resource: str) -> Route | None:
        """The route where the Resource alone tells it; `lambda:invoke` leaves it to its arguments.

        It is remembered (`_remembered`) until the next registration.
        """
        if lambdas.invokes(resource):
            return None
        return self._found(resource, lambdas.invocation(resource, NULL, self.home))

    def _found(self, resource: str, asked: Invocation | None) -> Route:
        if found := self._exact.get(resource):
            return Route(found, outright=asked is None or asked.wrapped)
        if asked is not None:
            found = self._exact.get(asked.name) or self._exact.get(asked.arn)
            found = found or _first(self._patterns, asked.name, asked.arn)
            if found is not None:
                return Route(found, asked=asked if asked.wrapped else None)
        return Route(_first(self._patterns, resource) or _first(self._last, resource), outright=True)


_Patterns: TypeAlias = list[tuple[re.Pattern[str], Registration]]


def _first(patterns: _Patterns, *names: str) -> Registration | None:
    """Whose pattern is the first that takes one of the names."""
    return next((found for pattern, found in patterns if any(map(pattern.fullmatch, names))), None)


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
