"""The log as AWS tells it: each event that is not silent becomes one event of GetExecutionHistory.

No second book is kept. What an event leaves out (see `interpreter.facts`) is filled in by folding along; a part of a
history can be told without that (`excerpt`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.frames import Invocation
from stepfold.language.resources import Resource, parse_resource
from stepfold.query import values
from stepfold.query.values import Value

HistoryEvent: TypeAlias = dict[str, Any]
"""An event in AWS's shape; `timestamp` is in seconds since the epoch, with milliseconds as its fraction."""

Details: TypeAlias = dict[str, Any]

_WHOLE: Final[Details] = {"truncated": False}


class Seen(NamedTuple):
    """What an event is told from, beside its fact; what that has no use for need not be there.

    `value` is what the event gives or takes (the frame's latest value, where the fact leaves it out), `kind` the type
    of the frame's state, `place` the frame's Map and its index there, `task` what its task asks for, `region` the
    execution's.
    """

    value: Value = values.NULL
    kind: str = ""
    place: tuple[str, int] = ("", 0)
    task: Resource | None = None
    region: str = ""


def history(events: Iterable[Event]) -> Iterator[HistoryEvent]:
    """The whole history of a log, from its first event on."""
    projection = Projection()
    for event in events:
        if (told := projection.tell(event)) is not None:
            yield told


class Projection:
    """Tells the events of one log, in order, one by one."""

    def __init__(self) -> None:
        self._execution = Execution()

    def pass_over(self, event: Event) -> None:
        """Have an event behind it without telling it."""
        self._execution.apply(event)
        self._execution.closed.clear()

    def tell(self, event: Event) -> HistoryEvent | None:
        """The event as AWS has it, or None where AWS does not record it."""
        execution = self._execution
        before = execution.frames.get(event.frame)
        waited = before.waits if before is not None else None
        execution.apply(event)
        execution.closed.clear()
        if not event.id:
            return None
        frame = before or execution.frames[event.frame]
        call = frame.waits if isinstance(frame.waits, Invocation) else waited
        task, value = None, frame.value
        if isinstance(call, Invocation):
            task = parse_resource(call.resource)
            if isinstance(event.fact, facts.TaskScheduled):
                value = call.arguments
        place = (frame.parent.state if frame.parent is not None else "", frame.index)
        return tell(event, Seen(value, frame.kind, place, task, execution.started.region))


def tell(event: Event, seen: Seen) -> HistoryEvent:
    """An event that is not silent, as AWS has it."""
    name, details = _TOLD[type(event.fact)](event.fact, seen)
    told: HistoryEvent = {
        "timestamp": event.at / 1000,
        "type": name,
        "id": event.id,
        "previousEventId": event.previous,
    }
    if details is not None:
        group = _GROUPS.get(name.partition("State")[2], name[:1].lower() + name[1:])
        told[f"{group}EventDetails"] = {key: value for key, value in details.items() if value is not None}
    return told


_GROUPS: Final = {"Entered": "stateEntered", "Exited": "stateExited"}


def _text(value: Value) -> str:
    return bytes(value).decode()


def _given(value: Value) -> Details:
    return {"input": _text(value), "inputDetails": _WHOLE}


def _made(value: Value) -> Details:
    return {"output": _text(value), "outputDetails": _WHOLE}


def _reason(fact: Any) -> Details:
    return {"error": fact.error, "cause": fact.cause}


_Told: TypeAlias = tuple[str, Details | None]


def _started(fact: facts.ExecutionStarted, _: Seen) -> _Told:
    given = {**_given(fact.input), "roleArn": fact.role}
    if fact.text is not None:
        given["input"] = fact.text
    given["stateMachineAliasArn"] = fact.alias
    given["stateMachineVersionArn"] = fact.version
    return "ExecutionStarted", given


def _entered(fact: facts.StateEntered, seen: Seen) -> _Told:
    return f"{fact.kind}StateEntered", {"name": fact.name, **_given(seen.value)}


def _exited(fact: facts.StateExited, seen: Seen) -> _Told:
    made: Details = {"name": fact.name, **_made(seen.value)}
    if fact.assigned is not None:
        made["assignedVariables"] = {name: _text(value) for name, value in fact.assigned.items()}
        made["assignedVariablesDetails"] = _WHOLE
    return f"{seen.kind}StateExited", made


def _not_evaluated(fact: facts.EvaluationFailed, _: Seen) -> _Told:
    return "EvaluationFailed", {**_reason(fact), "location": fact.location, "state": fact.state}


def _aborted(_: facts.StateAborted, seen: Seen) -> _Told:
    return f"{seen.kind}StateAborted", None


def _whose(task: Resource | None) -> Resource:
    if task is None:
        raise AssertionError("a task's event without its task")
    return task


def _task(task: Resource) -> Details:
    return {"resourceType": task.kind, "resource": task.recorded} if task.family == "Task" else {}


_FAMILY: Final = {"Lambda": "LambdaFunction", "Activity": "Activity", "Task": "Task"}


def _scheduled(fact: facts.TaskScheduled, seen: Seen) -> _Told:
    task = _whose(seen.task)
    limits: Details = {"timeoutInSeconds": fact.timeout, "heartbeatInSeconds": fact.heartbeat}
    if fact.role is not None:
        limits["taskCredentials"] = {"roleArn": fact.role}
    match task.family:
        case "Lambda":
            del limits["heartbeatInSeconds"]
            return "LambdaFunctionScheduled", {"resource": fact.resource, **_given(seen.value), **limits}
        case "Activity":
            return "ActivityScheduled", {"resource": fact.resource, **_given(seen.value), **limits}
    return "TaskScheduled", {**_task(task), "region": seen.region, "parameters": _text(seen.value), **limits}


def _taken_on(fact: facts.TaskStarted, seen: Seen) -> _Told:
    task = _whose(seen.task)
    match task.family:
        case "Lambda":
            return "LambdaFunctionStarted", None
        case "Activity":
            return "ActivityStarted", {"workerName": fact.worker}
    return "TaskStarted", _task(task)


def _submitted(fact: facts.TaskSubmitted, seen: Seen) -> _Told:
    return "TaskSubmitted", {**_task(_whose(seen.task)), **_made(fact.output)}


def _succeeded(fact: facts.TaskSucceeded, seen: Seen) -> _Told:
    task = _whose(seen.task)
    return f"{_FAMILY[task.family]}Succeeded", {**_task(task), **_made(fact.output)}


def _failed(fact: facts.TaskFailed, seen: Seen) -> _Told:
    task = _whose(seen.task)
    return f"{_FAMILY[task.family]}Failed", {**_task(task), **_reason(fact)}


def _timed_out(fact: facts.TaskTimedOut, seen: Seen) -> _Told:
    task = _whose(seen.task)
    return f"{_FAMILY[task.family]}TimedOut", {**_task(task), **_reason(fact)}


def _iteration(name: str) -> Callable[[Any, Seen], _Told]:
    def tell(_: Any, seen: Seen) -> _Told:
        map_, index = seen.place
        return name, {"name": map_, "index": index}

    return tell


def _plain(name: str) -> Callable[[Any, Seen], _Told]:
    return lambda _fact, _seen: (name, None)


def _ended(name: str) -> Callable[[Any, Seen], _Told]:
    return lambda fact, _seen: (name, _reason(fact))


_TOLD: Final[dict[type, Callable[[Any, Seen], _Told]]] = {
    facts.ExecutionStarted: _started,
    facts.ExecutionSucceeded: lambda _, seen: ("ExecutionSucceeded", _made(seen.value)),
    facts.ExecutionFailed: _ended("ExecutionFailed"),
    facts.ExecutionAborted: _ended("ExecutionAborted"),
    facts.ExecutionTimedOut: _ended("ExecutionTimedOut"),
    facts.ExecutionRedriven: lambda fact, _: ("ExecutionRedriven", {"redriveCount": fact.count}),
    facts.StateEntered: _entered,
    facts.StateExited: _exited,
    facts.StateAborted: _aborted,
    facts.TaskScheduled: _scheduled,
    facts.TaskStarted: _taken_on,
    facts.TaskSubmitted: _submitted,
    facts.TaskSucceeded: _succeeded,
    facts.TaskFailed: _failed,
    facts.TaskTimedOut: _timed_out,
    facts.ParallelStarted: _plain("ParallelStateStarted"),
    facts.ParallelSucceeded: _plain("ParallelStateSucceeded"),
    facts.ParallelFailed: _plain("ParallelStateFailed"),
    facts.MapStarted: lambda fact, _: ("MapStateStarted", {"length": fact.length}),
    facts.MapSucceeded: _plain("MapStateSucceeded"),
    facts.MapFailed: _plain("MapStateFailed"),
    facts.MapRunStarted: lambda fact, _: ("MapRunStarted", {"mapRunArn": fact.arn}),
    facts.MapRunRedriven: lambda fact, _: ("MapRunRedriven", {"mapRunArn": fact.arn, "redriveCount": fact.count}),
    facts.MapRunSucceeded: _plain("MapRunSucceeded"),
    facts.MapRunFailed: _ended("MapRunFailed"),
    facts.MapRunAborted: _plain("MapRunAborted"),
    facts.IterationStarted: _iteration("MapIterationStarted"),
    facts.IterationSucceeded: _iteration("MapIterationSucceeded"),
    facts.IterationFailed: _iteration("MapIterationFailed"),
    facts.IterationAborted: _iteration("MapIterationAborted"),
    facts.EvaluationFailed: _not_evaluated,
}
