"""How data moves through a state: its input to its arguments, its result to its output.

The JSONPath pipeline (language notes, section 3.1): InputPath, Parameters, the work, ResultSelector, ResultPath into
the *raw* input, OutputPath. A field that is absent costs one comparison, and untouched text is handed on as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stepfold.language.failures import DATA_LIMIT_EXCEEDED, Failure
from stepfold.language.machine import DISCARD, NOTHING
from stepfold.query.template import Moment, Overrun, QueryError, Scope, Template
from stepfold.query.values import EMPTY_OBJECT, Json, Value, text, tree

from .execution import Execution
from .frames import Frame, Invocation, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Place, Step
    from stepfold.query.jsonpath.dialect import PathTemplate


class Wanted(Exception):  # the core's way to say: evaluate this elsewhere, and tell me
    """A field whose evaluation does not belong into a decision: `template` is to be rendered over `scope`."""

    def __init__(self, field: str, template: Template, scope: Scope) -> None:
        super().__init__(field)
        self.field = field
        self.template = template
        self.scope = scope


class Met(Exception):
    """The state has met with this failure, in these words (a QueryError's cause is given AWS's prefix first)."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


def rendered(frame: Frame, field: str, template: Template, scope: Scope, moment: Moment) -> Value:
    """What the template comes to: now, or as it was evaluated elsewhere. Raises QueryError and Wanted."""
    outcome = frame.evaluated.get(field)
    if outcome is None:
        if template.heavy:
            raise Wanted(field, template, scope)
        try:
            return template.render(scope, moment)
        except Overrun:
            raise Wanted(field, template, scope) from None
    if isinstance(outcome, Failure):
        raise QueryError(outcome.cause or "", outcome.error or "")
    return outcome


def picked(frame: Frame, field: str, path: PathTemplate, scope: Scope, moment: Moment) -> Json:
    """What the path points to, as a tree. Raises QueryError and Wanted."""
    if path.heavy or field in frame.evaluated:
        return tree(rendered(frame, field, path, scope, moment))
    try:
        return path.pick(scope)
    except Overrun:
        raise Wanted(field, path, scope) from None


def whole(frame: Frame, field: str, path: PathTemplate, scope: Scope, moment: Moment) -> int:
    """The whole number that the path points to. Raises QueryError (recorded for MaxConcurrencyPath) and Wanted."""
    value = picked(frame, field, path, scope, moment)
    if isinstance(value, bool) or not isinstance(value, int):
        raise no_integer(field, path, value)
    return value


def no_integer(field: str, path: PathTemplate, value: Json) -> QueryError:
    """What is said of a path field whose value is no whole number, or not one that the field may have."""
    shown = bytes(text(value)).decode()
    return QueryError(f"The {field} field refers to value {shown} which is not a valid integer: {path.source}")


def literal(number: int | str | None) -> int | None:
    """The number as written (a text, an expression, is another query language's)."""
    return number if isinstance(number, int) else None


def given(step: Step, execution: Execution, frame: Frame, moment: Moment) -> Value:
    """The effective input: what InputPath leaves of the raw one."""
    path = step.input_path
    if path is None:
        return frame.input
    if path is NOTHING:
        return EMPTY_OBJECT
    return rendered(frame, "InputPath", path, scope(execution, frame, frame.input), moment)


def arguments(step: Step, execution: Execution, frame: Frame, moment: Moment) -> Value:
    """What the state works on: Parameters over the effective input."""
    value = given(step, execution, frame, moment)
    if step.parameters is None:
        return value
    return rendered(frame, "Parameters", step.parameters, scope(execution, frame, value), moment)


def output(step: Step, execution: Execution, frame: Frame, result: Value, moment: Moment) -> Value:
    """What leaves the state: ResultSelector, ResultPath and OutputPath over its result."""
    if step.result_selector is not None:
        selecting = scope(execution, frame, result)
        result = rendered(frame, "ResultSelector", step.result_selector, selecting, moment)
    return outward(step, execution, frame, merged(step.result_path, frame, result), moment)


def merged(result_path: Place, frame: Frame, result: Value) -> Value:
    """The result put into the raw input, as a compiled ResultPath says."""
    if result_path is None:
        return result
    if result_path is DISCARD:
        return frame.input
    return result_path.place(frame.input, result)


def outward(step: Step, execution: Execution, frame: Frame, value: Value, moment: Moment) -> Value:
    """What OutputPath leaves of the value."""
    path = step.output_path
    if path is None:
        return value
    if path is NOTHING:
        return EMPTY_OBJECT
    return rendered(frame, "OutputPath", path, scope(execution, frame, value), moment)


def within(execution: Execution, value: Value, what: str, did: str = "returned a result") -> Value:
    """The value itself, if the payload limit allows it; raises Met, which names `what` in AWS's words."""
    if len(value) > execution.started.limits.payload:
        cause = f"The state/task '{what}' {did} with a size exceeding the maximum number of bytes service limit."
        raise Met(Failure(DATA_LIMIT_EXCEEDED, cause))
    return value


def scope(execution: Execution, frame: Frame, value: Value, item: int | None = None) -> Scope:
    """What expressions of the frame's state see, with the value as `$`."""
    return Scope(value, lambda: context(execution, frame, item))


def context(execution: Execution, frame: Frame, item: int | None = None, token: str | None = None) -> dict[str, Json]:
    """The Context object, as it is for a frame (for an ItemSelector: about the item of that index)."""
    started = execution.started
    whole: dict[str, Json] = {
        "Execution": {
            "Id": started.arn,
            "Input": tree(started.input),
            "StartTime": iso(execution.started_at),
            "Name": started.name,
            "RoleArn": started.role,
            "RedriveCount": execution.redrives,
        },
        "StateMachine": {"Id": started.machine, "Name": started.machine.rpartition(":")[2]},
    }
    if execution.redriven_at is not None:
        whole["Execution"]["RedriveTime"] = iso(execution.redriven_at)
    if frame.state:
        whole["State"] = {
            "Name": frame.state,
            "EnteredTime": iso(frame.entered_at),
            "RetryCount": frame.retries,
        }
    if token is not None:
        whole["Task"] = {"Token": token}
    elif isinstance(frame.waits, Invocation) and frame.waits.token is not None:
        whole["Task"] = {"Token": frame.waits.token}
    if (found := _item(frame, item)) is not None:
        whole["Map"] = {"Item": found}
    return whole


def _item(frame: Frame, index: int | None) -> dict[str, Json] | None:
    if index is not None and isinstance(frame.waits, Items):
        return {"Index": index, "Value": tree(frame.waits.source[index])}
    for line in frame.lineage():
        if line.parent is not None and isinstance(line.parent.waits, Items):
            return {"Index": line.index, "Value": tree(line.parent.waits.source[line.index])}
    return None


def iso(at: int) -> str:
    """A moment in milliseconds as AWS prints it: UTC, with three digits of fraction."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"
