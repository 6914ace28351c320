"""TestState: one state tried by itself, by a mock or by the engine's own workers, with all that its data went through.

The order in which a request is looked at is AWS's as far as recordings tell it: the definition, then the mock, then
what is configured.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from stepfold.errors import CallerError, InvalidArn, InvalidDefinition
from stepfold.interpreter.signals import Invoke, Sleep
from stepfold.interpreter.try_state import Setting, Trial, Verdict
from stepfold.language.failures import RUNTIME, TASK_FAILED, TIMEOUT, Failure
from stepfold.language.limits import TRIED_SECONDS, Limits
from stepfold.language.single import Single, single
from stepfold.names import parse_arn
from stepfold.query.values import EMPTY_OBJECT, Json, NotAdmitted, Value, admit, tree
from stepfold.runtime import starting
from stepfold.runtime.evaluations.evaluating import SECONDS
from stepfold.runtime.runs.deadlines import Deadline
from stepfold.service.wire import shapes
from stepfold.work.call import Call, NoWorker, TaskError, Trace
from stepfold.work.functions import lambdas

from .context import context_of
from .mocks import mocked
from .served import Served

if TYPE_CHECKING:
    from stepfold.language.steps import Step
    from stepfold.runtime.engine import Engine
    from stepfold.service.wire.protocol import Operation

_INSPECTED: Final = {"DEBUG", "TRACE"}


async def test_state(service: Served, request: shapes.TestStateInput) -> shapes.TestStateOutput:
    """Try the state that the request describes."""
    found = single(request.definition, request.stateName)
    step = found.machine.steps[found.name]
    if request.mock is None:
        _check_unmocked(step, request)
    mock = await mocked(step, request)
    _check_role(step, request)
    trace = _trace(step, request)
    setting = _setting(service.engine, found, request)
    tried = _Tried(service.engine, found, setting, trace)
    verdict = await tried.run(mock, request.stateConfiguration)
    return _told(verdict, request.inspectionLevel or "INFO", trace)


OPERATIONS: Final[dict[str, Operation]] = {"TestState": test_state}


# --- what is asked for ------------------------------------------------------------------------------------------------


def _check_unmocked(step: Step, request: shapes.TestStateInput) -> None:
    """Raises where only a mock could answer the state."""
    configured = request.stateConfiguration
    if step.type in {"Map", "Parallel"}:
        raise InvalidDefinition(
            "TestState API does not support Map or Parallel states. "
            "Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
        )
    if configured is not None and configured.mapIterationFailureCount is not None:
        raise CallerError("TestState does not support MapIterationFailureCount when a mock is not specified.")
    if step.type == "Task" and (step.asked.outward or step.asked.pattern != "answer"):  # (our own words)
        raise InvalidDefinition(f"TestState API does not support the resource '{step.asked.arn}' without a mock")


def _check_role(step: Step, request: shapes.TestStateInput) -> None:
    if request.roleArn is None:
        if step.type == "Task" and request.mock is None:
            raise CallerError("RoleArn must be specified when testing a Task state")
        return
    arn = parse_arn(request.roleArn)
    if arn is None:
        raise InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {request.roleArn}'")
    if arn.service != "iam" or not arn.resource.startswith("role/"):
        raise InvalidArn(f"Invalid Arn: 'Resource type not valid in this context: {arn.resource.partition('/')[0]}'")


def _trace(step: Step, request: shapes.TestStateInput) -> Trace | None:
    """What is to be filled in by an HTTP Task, of which alone AWS shows the request and the answer."""
    traced = request.inspectionLevel == "TRACE"
    if request.revealSecrets and not traced:  # (unverified that AWS refuses it: its guide names both together alone)
        raise CallerError("RevealSecrets is supported with the inspection level TRACE only.")
    if traced and step.type == "Task" and step.asked.kind == "http":
        return Trace(reveal=bool(request.revealSecrets))
    return None


def _setting(engine: Engine, found: Single, request: shapes.TestStateInput) -> Setting:
    home = engine.home
    name, machine = str(uuid.uuid4()), str(uuid.uuid4())
    configured = request.stateConfiguration or shapes.TestStateConfiguration()
    # `errorCausedByState` names where inside a Map or Parallel a mocked error came from: no answer depends on it.
    return Setting(
        input=starting.wanted(text=request.input, limits=Limits.aws()).value,
        # Recorded: an execution as an Express workflow has it, of a machine that is nowhere else.
        arn=f"arn:{home.partition}:states:{home.region}:{home.account}:express:{machine}:{name}",
        machine=home.machine(machine),
        role=request.roleArn or "",
        region=home.region,
        context=None if request.context is None else context_of(request.context),
        variables=_variables(request.variables),
        item=found.in_map,
        retries=configured.retrierRetryCount or 0,
        failures=configured.mapIterationFailureCount,
        read=_read(configured.mapItemReaderData),
    )


def _variables(written: str | None) -> dict[str, Json]:
    if written is None:
        return {}
    try:
        variables = tree(admit(written))
    except NotAdmitted:
        variables = None
    if not isinstance(variables, dict):  # (our own words: none are recorded)
        raise CallerError("Invalid variables provided: must be a JSON object")
    return variables


def _read(written: str | None) -> Value | None:
    if written is None:
        return None
    try:
        return admit(written)
    except NotAdmitted:  # (our own words)
        raise CallerError("Map item reader data must be valid JSON") from None


# --- doing it ---------------------------------------------------------------------------------------------------------


class _Tried:
    """A trial on its way: what it owes is answered by the mock, or by the engine's workers and clock."""

    def __init__(self, engine: Engine, found: Single, setting: Setting, trace: Trace | None) -> None:
        self.engine = engine
        self.found = found
        self.setting = setting
        self.trace = trace
        self.ends = engine.clock.now() + TRIED_SECONDS * 1000

    async def run(
        self, mock: Value | Failure | None, configured: shapes.TestStateConfiguration | None
    ) -> Verdict:
        """What comes of the state."""
        moment = self.engine.moment()
        trial = await self._aside(
            lambda: Trial(self.found.machine, self.found.name, self.setting, moment)
        )
        if trial is None:
            return self._too_slow()
        if configured is not None and trial.count is not None:
            _check_failures(trial, configured)
        while (owed := trial.owed) is not None:
            outcome = await self._outcome(owed, mock)
            moment = self.engine.moment()
            if await self._aside(partial(trial.answer, outcome, moment)) is None:
                return self._too_slow()
        return trial.verdict()

    async def _aside(self, work: Callable[[], Trial]) -> Trial | None:
        """Expressions are the caller's: rendered in a thread, and given up after a while (then None)."""
        with anyio.move_on_after(SECONDS):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        return None

    def _too_slow(self) -> Verdict:
        cause = f"The expressions of the state took longer than {SECONDS:g} seconds."
        return Verdict("FAILED", None, None, Failure(RUNTIME, cause), {"input": self.setting.input})

    async def _outcome(self, owed: Any, mock: Value | Failure | None) -> Value | Failure:
        match owed:
            case Sleep():
                return await self._wait(owed.until)
            case Invoke() if mock is not None:
                return mock
            case Invoke():
                return await self._perform(owed)
        raise AssertionError(f"a state that is tried owes no {type(owed).__name__}")

    async def _wait(self, until: int) -> Value | Failure:
        over = anyio.Event()
        alarm = self.engine.timers.at(min(until, self.ends), over.set)
        try:
            await over.wait()
        finally:
            alarm.cancel()
        return EMPTY_OBJECT if until <= self.ends else Failure(TIMEOUT)

    async def _perform(self, owed: Invoke) -> Value | Failure:
        """Have the engine's workers do it, within its own limits of time and within those of TestState."""
        call = Call(
            resource=owed.resource, arguments=owed.arguments, execution=self.setting.arn, state=owed.state,
            token=f"{self.setting.arn}#{owed.asked}", retry=self.setting.retries,
            timeout=owed.timeout, heartbeat=owed.heartbeat, trace=self.trace,
        )
        with anyio.CancelScope() as scope:
            deadline = Deadline(self.engine.clock, self.engine.timers, owed, call, scope)
            alarm = self.engine.timers.at(self.ends, scope.cancel)
            try:
                return await self.engine.workers.perform(call)
            except TaskError as error:
                return Failure(error.error, error.cause)
            except NoWorker as missing:
                return _nobody(self.engine, call, missing)
            finally:
                alarm.cancel()
                deadline.over()
        return Failure(TIMEOUT, heartbeat=deadline.passed == "heartbeat")


def _check_failures(trial: Trial, configured: shapes.TestStateConfiguration) -> None:
    failures = configured.mapIterationFailureCount
    if failures is not None and failures > (trial.count or 0):
        raise CallerError("Map iteration failure count must be less than or equal to the number of Map iterations")


def _nobody(engine: Engine, call: Call, missing: NoWorker) -> Failure:
    """A function that is not there, as Lambda says it; and any other resource, in our words."""
    asked = lambdas.invocation(call.resource, call.arguments, engine.home)
    if asked is None:
        return Failure(TASK_FAILED, str(missing))
    return Failure(lambdas.NOT_FOUND, lambdas.not_found(asked, engine.home, call.token))


# --- telling it -------------------------------------------------------------------------------------------------------


def _told(verdict: Verdict, level: str, trace: Trace | None) -> shapes.TestStateOutput:
    met = verdict.failure
    return shapes.TestStateOutput(
        status=verdict.status,
        output=None if verdict.output is None else _text(verdict.output),
        error=None if met is None else met.error,
        cause=None if met is None else met.cause,
        nextState=verdict.next,
        inspectionData=_inspection(verdict.inspection, trace) if level in _INSPECTED else None,
    )


def _inspection(noted: dict[str, Any], trace: Trace | None) -> shapes.InspectionData:
    """What was seen on the way."""
    shown: dict[str, Any] = {
        name: _text(value) if isinstance(value, Value) else value for name, value in noted.items()
    }
    if "errorDetails" in noted:
        shown["errorDetails"] = shapes.InspectionErrorDetails(**noted["errorDetails"])
    if trace is not None and trace.request:
        shown["request"] = shapes.InspectionDataRequest(**trace.request)
    if trace is not None and trace.response:
        shown["response"] = shapes.InspectionDataResponse(**trace.response)
    return shapes.InspectionData(**shown)


def _text(value: Value) -> str:
    return bytes(value).decode()
