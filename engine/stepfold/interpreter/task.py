"""Task and Wait: the states that ask for something and wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from stepfold import names
from stepfold.language import states
from stepfold.language.failures import QUERY_EVALUATION_ERROR, RUNTIME, TASK_FAILED, TIMEOUT
from stepfold.language.limits import MAX_SECONDS, MAX_WAIT_SECONDS
from stepfold.language.resources import parse_resource
from stepfold.language.timestamps import instant
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, QueryError, Scope
from stepfold.query.values import Json, Number, text, tree

from . import dataflow, facts, failure, signals
from .execution import Execution, Facts
from .frames import DEADLINE_ALLOWANCE, Frame, Invocation, deadline, silence
from .simple import leave

if TYPE_CHECKING:
    from stepfold.language.machine import Machine
    from stepfold.language.steps import Computed, Step

_TOKEN_BYTES = 16


def schedule(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Task, entered or tried again: ask the resource."""
    step = machine.steps[frame.state]
    resource = step.asked
    token = None
    if resource.pattern != "answer" or resource.outward:
        token = frame.token or _token(execution, execution.version + 1, moment)
    try:
        arguments = dataflow.arguments(step, execution, frame, moment, token)
    except dataflow.Wanted as wanted:
        if token is None:
            raise
        lasting = frame.token or _token(execution, frame.seq, moment)  # (which event will ask is not known yet)
        raise dataflow.Wanted(wanted.field, wanted.template, wanted.scope, lasting) from None
    dataflow.within(execution, arguments, resource.sized, "provided parameters")
    # Unverified: whether AWS refuses a HeartbeatSeconds that is computed to be no less than TimeoutSeconds. Here
    # it has no effect, for the time-out comes first.
    timeout = _seconds(execution, frame, step.timeout, moment)
    heartbeat = _seconds(execution, frame, step.heartbeat, moment)
    scheduled = facts.TaskScheduled(
        resource.arn,
        UNSET if arguments == frame.value else arguments,
        timeout,
        heartbeat,
        token,
        resource.outward,
        _role(step, execution, frame, moment),
    )
    return (scheduled,) if resource.family == "Activity" else (scheduled, facts.TaskStarted())


def _role(step: Step, execution: Execution, frame: Frame, moment: Moment) -> str | None:
    if step.credentials is None:
        return None
    seen = dataflow.scope(execution, frame, frame.input)
    plain = tree(dataflow.rendered(frame, "Credentials", step.credentials, seen, moment))
    role = plain.get("RoleArn") if isinstance(plain, dict) else None
    if isinstance(role, str):
        return role
    error = QUERY_EVALUATION_ERROR if step.jsonata else RUNTIME  # (the words are ours: none are recorded)
    raise QueryError("The RoleArn of Credentials must be a string.", error, "Credentials" if step.jsonata else None)


def _token(execution: Execution, asking: int, moment: Moment) -> str:
    """A task token: the execution, the event (or the frame) that will ask, and 128 unguessable bits."""
    return names.task_token(execution.started.arn, asking, moment.secret(_TOKEN_BYTES))


def conclude(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Task, Parallel or Map with its result: shape it and leave."""
    step = machine.steps[frame.state]
    if step.type != "Task":  # (a Task with too large a result has failed)
        dataflow.within(execution, frame.value, step.name)
    assigned = dataflow.assigned(step, execution, frame, frame.value, moment, frame.value)
    value = dataflow.output(step, execution, frame, frame.value, moment)
    return leave(step, execution, frame, value, step.next, assigned)


def wait(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Wait: until a moment that is reckoned once, and recorded."""
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    until = _until(step, frame, dataflow.scope(execution, frame, value), moment)
    if until - moment.now > MAX_WAIT_SECONDS * 1000:
        raise QueryError("Wait state delay is too long.")
    return (facts.WaitStarted(until),)


def waited(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Wait, when its moment has come."""
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    assigned = dataflow.assigned(step, execution, frame, value, moment)
    value = dataflow.outward(step, execution, frame, value, moment)
    return leave(step, execution, frame, value, step.next, assigned)


def _until(step: Step, frame: Frame, seen: Scope, moment: Moment) -> int:
    state = step.of(states.Wait)
    if step.seconds is not None:
        return moment.now + _wait_seconds(step.seconds, dataflow.picked(frame, step.seconds, seen, moment)) * 1000
    if step.timestamp is not None:
        return _wait_timestamp(step.timestamp, dataflow.picked(frame, step.timestamp, seen, moment))
    if state.timestamp is not None:
        return _whole_seconds(instant(state.timestamp) or 0)
    return moment.now + int(state.seconds or 0) * 1000


def _wait_seconds(field: Computed, value: Json) -> int:
    if isinstance(field, Expression):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise field.unexpected("number", value)
        if value < 0:  # (as SecondsPath has it: not verified)
            raise dataflow.wrong(field, f"The Seconds parameter references a negative value: {value}")
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        at = f"{field.source} == {_java(value)}"
        raise QueryError(f"The SecondsPath parameter cannot be parsed as a long value: {at}")
    if value < 0:
        raise QueryError(f"The SecondsPath parameter references a negative value: {field.source} == {value}")
    return value


def _wait_timestamp(field: Computed, value: Json) -> int:
    found = instant(value) if isinstance(value, str) else None
    if found is not None:
        return _whole_seconds(found)
    wanted = "ISO-8601 extended offset date-time format string"
    if isinstance(field, Expression):
        if not isinstance(value, str):
            raise field.unexpected("string", value)
        cause = f"The Timestamp field cannot be parsed as an {wanted}: {value}"
        raise QueryError(cause, QUERY_EVALUATION_ERROR, field.field)
    at = f"{field.source} == {_java(value)}"
    raise QueryError(f"The TimestampPath parameter does not reference a valid {wanted}: {at}")


def _whole_seconds(nanoseconds: int) -> int:
    """Milliseconds, with the fraction of the second cut off, as AWS does (language notes, section 5)."""
    return nanoseconds // 1_000_000_000 * 1000


def _seconds(execution: Execution, frame: Frame, field: Computed | int | None, moment: Moment) -> int | None:
    if field is None or isinstance(field, int):
        return field
    value = dataflow.whole(frame, field, dataflow.scope(execution, frame, frame.input), moment)
    if 1 <= value <= MAX_SECONDS:
        return value
    if isinstance(field, Expression):  # (the words are ours: none are recorded)
        raise dataflow.wrong(field, f"{field.field} must be between 1 and {MAX_SECONDS}.")
    raise dataflow.no_integer(field, value)  # modelled on MaxConcurrencyPath: unverified for this field


def _java(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict() | list():
            return bytes(text(value)).decode()
    return value.literal if isinstance(value, Number) else str(value)


# --- what a frame hears about its task --------------------------------------------------------------------------------


def started(_: Execution, call: Invocation, signal: signals.Started, _moment: Moment) -> Facts:
    """An activity's worker took the task on (other tasks are recorded as started when they are scheduled)."""
    return () if call.started else (facts.TaskStarted(signal.worker),)


def submitted(_: Execution, call: Invocation, signal: signals.Submitted, _moment: Moment) -> Facts:
    """The job was handed over."""
    return () if call.submitted else (facts.TaskSubmitted(signal.output),)


def succeeded(execution: Execution, call: Invocation, signal: signals.Succeeded, _: Moment) -> Facts:
    """The result is there; one past the payload limit is the task's failure (recorded)."""
    if len(signal.output) > execution.started.limits.payload:
        large = dataflow.too_large(parse_resource(call.resource).sized)
        return (facts.TaskFailed(large.error, large.cause),)
    return (facts.TaskSucceeded(signal.output),)


def failed(_: Execution, _call: Invocation, signal: signals.Failed, _moment: Moment) -> Facts:
    """The task failed."""
    return (facts.TaskFailed(signal.failure.error, signal.failure.cause),)


def unstarted(execution: Execution, _call: Invocation, signal: signals.Unstarted, _: Moment) -> Facts:
    """Its arguments cannot start the task: an error of the state, in whose words AWS tells it (recorded).

    AWS finds out before the task is scheduled (unverified, but so the words say). Here it has been, for whoever knows
    what a service takes is asked only then.
    """
    frame = execution.asked[signal.asked]
    return failure.met(execution, frame, failure.of_query(frame, QueryError(signal.cause)))


def timed_out(_: Execution, call: Invocation, signal: signals.TimedOut, moment: Moment) -> Facts:
    """The time is over; AWS gives a missed heartbeat the same name (recorded). Heartbeats may have moved it since."""
    due = deadline(call) if call.apart else None
    if due is not None and due > moment.now:
        return ()
    return (facts.TaskTimedOut(TIMEOUT, heartbeat=signal.heartbeat or (due is not None and due == silence(call))),)


def beat(_: Execution, call: Invocation, signal: signals.Heartbeat, moment: Moment) -> Facts:
    """A sign of life; recorded unless the last one is so fresh that the deadline's allowance covers it."""
    if call.heartbeat is not None and moment.now - call.beat > call.heartbeat * 1000 // DEADLINE_ALLOWANCE:
        return (facts.HeartbeatReceived(signal.asked),)
    return ()


def interrupted(asked: int, *, failing: bool) -> Facts:
    """The engine was away while the task was in flight."""
    if failing:
        cause = "The engine stopped while the task was in flight, and it is not repeated."
        return (facts.TaskFailed(TASK_FAILED, cause),)
    return (facts.Reattempted(asked),)


SAID: Final[dict[type[signals.Signal], Callable[[Execution, Invocation, Any, Moment], Facts]]] = {
    signals.Started: started,
    signals.Submitted: submitted,
    signals.Succeeded: succeeded,
    signals.Failed: failed,
    signals.Unstarted: unstarted,
    signals.TimedOut: timed_out,
    signals.Heartbeat: beat,
}
"""What each word about a task leads to, where somebody waits for it."""
