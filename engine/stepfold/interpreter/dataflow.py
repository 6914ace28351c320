"""How data moves through a state: its input to its arguments, its result to its output.

The JSONPath pipeline (language notes, section 3.1): InputPath, Parameters, the work, ResultSelector, ResultPath into
the *raw* input, OutputPath. A field that is absent costs one comparison, and untouched text is handed on as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from stepfold.language.checking.variables import misnamed
from stepfold.language.failures import DATA_LIMIT_EXCEEDED, QUERY_EVALUATION_ERROR, Failure
from stepfold.language.limits import VARIABLES_BYTES
from stepfold.language.steps import DISCARD, NOTHING
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, Overrun, QueryError, Scope, Template
from stepfold.query.values import EMPTY_OBJECT, Json, Value, fields, text, tree

from .execution import Execution
from .frames import Frame, Invocation, Items

if TYPE_CHECKING:
    from stepfold.language.steps import Computed, Place, Step


_RETRIED: Final = frozenset({"Task", "Parallel", "Map"})
"""The state types that may have retriers: the others have no RetryCount (recorded)."""

Assigned: TypeAlias = dict[str, Value] | None
"""Variables and what they are set to."""


class Wanted(Exception):  # the core's way to say: evaluate this elsewhere, and tell me
    """A field whose evaluation does not belong into a decision: `template` is to be rendered over `scope`.

    `token` is the task token that the scope is to show from now on.
    """

    def __init__(self, field: str, template: Template, scope: Scope, token: str | None = None) -> None:
        super().__init__(field)
        self.field = field
        self.template = template
        self.scope = scope
        self.token = token


class Met(Exception):
    """The state has met with this failure, in these words (a QueryError's cause is given AWS's prefix first)."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


def rendered(frame: Frame, field: str, template: Template, scope: Scope, moment: Moment) -> Value:
    """What the template comes to: now, or as it was evaluated elsewhere. Raises QueryError and Wanted."""
    outcome = frame.evaluated.get(field)
    if outcome is None:
        if template.heavy or evaluating(frame, field):
            raise Wanted(field, template, scope)
        try:
            return template.render(scope, moment)
        except Overrun:
            raise Wanted(field, template, scope) from None
    if isinstance(outcome, Failure):
        raise QueryError(outcome.cause or "", outcome.error or "", outcome.location)
    return outcome


def evaluating(frame: Frame, field: str) -> bool:
    """Whether this is the field that is being evaluated elsewhere: then it is wanted, whatever chance would say now."""
    return frame.evaluating is not None and frame.evaluating.field == field


def picked(frame: Frame, field: Computed, scope: Scope, moment: Moment) -> Json:
    """What the field comes to, as a tree. Raises QueryError and Wanted."""
    if field.heavy or field.field in frame.evaluated or evaluating(frame, field.field):
        return tree(rendered(frame, field.field, field, scope, moment))
    try:
        return field.pick(scope, moment)
    except Overrun:
        raise Wanted(field.field, field, scope) from None


def whole(frame: Frame, field: Computed, scope: Scope, moment: Moment) -> int:
    """The whole number that the field comes to. Raises QueryError (recorded for MaxConcurrencyPath) and Wanted.

    JSONata has numbers of one kind alone: there `2.0` is as whole as `2`.
    """
    value = picked(frame, field, scope, moment)
    if isinstance(field, Expression) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise no_integer(field, value)
    return value


def no_integer(field: Computed, value: Json) -> QueryError:
    """What is said of a field whose value is no whole number, or not one that the field may have."""
    if isinstance(field, Expression):
        return field.unexpected("integer" if isinstance(value, float) else "number", value)
    shown = bytes(text(value)).decode()
    return QueryError(f"The {field.field} field refers to value {shown} which is not a valid integer: {field.source}")


def wrong(field: Computed, cause: str) -> QueryError:
    """A field's failure in these words: a JSONata expression's has another name, and a location."""
    if isinstance(field, Expression):
        return QueryError(cause, QUERY_EVALUATION_ERROR, field.field)
    return QueryError(cause)


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


def arguments(step: Step, execution: Execution, frame: Frame, moment: Moment, token: str | None = None) -> Value:
    """What the state works on: Parameters or Arguments over the effective input."""
    value = given(step, execution, frame, moment)
    if step.arguments is None:
        return value
    seen = Scope(value, lambda: context(execution, frame, token=token), frame.variables)
    return rendered(frame, "Arguments" if step.jsonata else "Parameters", step.arguments, seen, moment)


def output(step: Step, execution: Execution, frame: Frame, result: Value, moment: Moment) -> Value:
    """What leaves the state: Output, or ResultSelector, ResultPath and OutputPath over its result."""
    selected = result
    if step.result_selector is not None:
        selecting = scope(execution, frame, result)
        selected = rendered(frame, "ResultSelector", step.result_selector, selecting, moment)
    return outward(step, execution, frame, merged(step.result_path, frame, selected), moment, result)


def merged(result_path: Place, frame: Frame, result: Value) -> Value:
    """The result put into the raw input, as a compiled ResultPath says."""
    if result_path is None:
        return result
    if result_path is DISCARD:
        return frame.input
    return result_path.place(frame.input, result)


def outward(
    step: Step, execution: Execution, frame: Frame, value: Value, moment: Moment, result: Value | None = None
) -> Value:
    """What OutputPath leaves of the value, or what Output makes of the state's input and result."""
    if step.output is not None:
        return rendered(frame, "Output", step.output, shown(step, execution, frame, value, result), moment)
    path = step.output_path
    if path is None:
        return value
    if path is NOTHING:
        return EMPTY_OBJECT
    return rendered(frame, "OutputPath", path, scope(execution, frame, value), moment)


def within(execution: Execution, value: Value, what: str, did: str = "returned a result") -> Value:
    """The value itself, if the payload limit allows it; raises Met, which names `what` in AWS's words."""
    if len(value) > execution.started.limits.payload:
        raise Met(too_large(what, did))
    return value


def too_large(what: str, did: str = "returned a result") -> Failure:
    """A payload past its limit."""
    cause = f"The state/task '{what}' {did} with a size exceeding the maximum number of bytes service limit."
    return Failure(DATA_LIMIT_EXCEEDED, cause)


def assigned(
    step: Step, execution: Execution, frame: Frame, value: Value, moment: Moment, result: Value | None = None
) -> Assigned:
    """What the state's own Assign sets, over the value (JSONPath) or the state's input and result (JSONata).

    It is asked for before Output everywhere. Neither sees what the other comes to (AWS's guide: they are evaluated in
    parallel); which of the two AWS tells of where both fail is unverified.
    """
    if step.assign is None:
        return None
    return set_by(execution, frame, "Assign", step.assign, shown(step, execution, frame, value, result), moment)


def set_by(
    execution: Execution, frame: Frame, field: str, assign: Template | None, seen: Scope, moment: Moment
) -> Assigned:
    """What an Assign sets, within AWS's limits (language notes, section 4; error and texts are not verified)."""
    if assign is None:
        return None
    value = rendered(frame, field, assign, seen, moment)
    if bytes(memoryview(value)[:1]) != b"{":
        raise QueryError(f"The field '{field}' must come to an object.", QUERY_EVALUATION_ERROR, field)
    limit = execution.started.limits.payload
    if len(value) > limit:
        raise Met(Failure(DATA_LIMIT_EXCEEDED, f"The variables that '{field}' sets exceed {limit} bytes."))
    texts = {name: member.copy() for name, member in fields(value).items()}
    for name in texts:  # (what an expression makes has names that no check has seen)
        if (why := misnamed(name)) is not None:
            raise QueryError(why, QUERY_EVALUATION_ERROR, field)
    whole = frame.variables.assigned(texts)
    if sum(len(member) for member in whole.texts.values()) > VARIABLES_BYTES:
        raise Met(Failure(DATA_LIMIT_EXCEEDED, f"The variables of the execution exceed {VARIABLES_BYTES} bytes."))
    return texts or None


def shown(
    step: Step,
    execution: Execution,
    frame: Frame,
    value: Value,
    result: Value | None = None,
    error_output: Value | None = None,
) -> Scope:
    """What Assign and Output see: the value as JSONPath's `$`; in JSONata the raw input, and what came of it."""
    return Scope(
        frame.input if step.jsonata else value,
        lambda: context(execution, frame),
        frame.variables,
        result=result,
        error_output=error_output,
    )


def scope(execution: Execution, frame: Frame, value: Value, item: int | None = None) -> Scope:
    """What expressions of the frame's state see, with the value as `$`."""
    return Scope(value, lambda: context(execution, frame, item), frame.variables)


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
        whole["State"] = {"Name": frame.state, "EnteredTime": iso(frame.entered_at)}
        if frame.kind in _RETRIED:
            whole["State"]["RetryCount"] = frame.retries
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
