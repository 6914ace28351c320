"""The states that are done at once (Pass, Choice, Succeed, Fail), and leaving any state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepfold.language import states
from stepfold.language.failures import Failure
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, Overrun, QueryError, Scope
from stepfold.query.values import Value, text, tree

from . import dataflow, facts
from .choice import Choosing, choose
from .execution import Execution, Facts
from .failure import exited, lose
from .frames import Frame, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Machine
    from stepfold.language.steps import Computed, Step

    from .dataflow import Assigned


def hand_on(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Pass: its Result, or its Parameters, or its input."""
    step = machine.steps[frame.state]
    result = step.result
    if result is None:
        result = dataflow.arguments(step, execution, frame, moment)
    assigned = dataflow.assigned(step, execution, frame, result, moment)
    value = dataflow.outward(step, execution, frame, dataflow.merged(step.result_path, frame, result), moment)
    return leave(step, execution, frame, value, step.next, assigned)


def choose_next(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Choice: on to the first rule that holds, else to Default.

    No rule and no Default is `States.Runtime` on AWS, whatever the specification says (language notes, section 5).
    """
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    seen = dataflow.scope(execution, frame, value)
    index = _chosen(step, frame, seen, moment)
    try:
        value, target, assigned = _way(step, index, execution, frame, seen, moment)
    except dataflow.Wanted:
        if not step.jsonata or "Choices" in frame.evaluated:
            raise
        return (facts.EvaluationAnswered("Choices", text(index)),)  # chance may have chosen, and that is to last
    return leave(step, execution, frame, value, target, assigned)


def _way(
    step: Step, index: int, execution: Execution, frame: Frame, seen: Scope, moment: Moment
) -> tuple[Value, str | None, Assigned]:
    """What goes on where, by the rule of that index or by Default, and what is assigned."""
    value = seen.value
    if index < 0:
        if step.default is None:
            raise QueryError("Failed to transition out of the state. The state does not point to a next state.")
        assigned = dataflow.assigned(step, execution, frame, value, moment)
        return dataflow.outward(step, execution, frame, value, moment), step.default, assigned
    rule, place = step.rules[index], f"Choices[{index}]"
    assigned = dataflow.set_by(execution, frame, f"{place}/Assign", rule.assign, seen, moment)
    if rule.output is not None:
        value = dataflow.rendered(frame, f"{place}/Output", rule.output, seen, moment)
    elif not step.jsonata:
        value = dataflow.outward(step, execution, frame, value, moment)
    return value, rule.next, assigned


def _chosen(step: Step, frame: Frame, seen: Scope, moment: Moment) -> int:
    """The first rule that holds: found here, or evaluated elsewhere where that may cost too much."""
    if not (step.heavy_rules or "Choices" in frame.evaluated or dataflow.evaluating(frame, "Choices")):
        try:
            return choose(step.rules, seen, moment)
        except Overrun:
            raise dataflow.Wanted("Choices", Choosing(step.rules), seen) from None
    index: int = tree(dataflow.rendered(frame, "Choices", Choosing(step.rules), seen, moment))
    return index


def succeed(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Succeed: the end of the block."""
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    return leave(step, execution, frame, dataflow.outward(step, execution, frame, value, moment), None)


def give_up(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Fail: the failure that it spells out, or points to."""
    step = machine.steps[frame.state]
    state = step.of(states.Fail)
    error, cause = state.error, state.cause
    seen = dataflow.scope(execution, frame, frame.input)
    if step.error is not None:
        error = _words(frame, step.error, seen, moment)
    if step.cause is not None:
        cause = _words(frame, step.cause, seen, moment)
    return lose(machine, execution, frame, Failure(error, cause), moment)


def _words(frame: Frame, field: Computed, seen: Scope, moment: Moment) -> str:
    value = dataflow.rendered(frame, field.field, field, seen, moment)
    plain = tree(value)
    if not isinstance(plain, str) and isinstance(field, Expression):
        raise field.unexpected("string", plain)
    return plain if isinstance(plain, str) else bytes(value).decode()


def leave(
    step: Step, execution: Execution, frame: Frame, value: Value, target: str | None, assigned: Assigned = None
) -> Facts:
    """Exit with the value and what is assigned, and close the frame where its block ends."""
    left = exited(step, execution, frame, value, target, assigned)
    if target is None and isinstance(left, facts.StateExited):
        return left, finish(frame)
    return (left,)


def end(_machine: Machine, _execution: Execution, frame: Frame, _moment: Moment) -> Facts:
    """At the end of a block that it has left before."""
    return (finish(frame),)


def finish(frame: Frame) -> facts.Fact:
    """The end of a frame's block."""
    if frame.parent is None:
        return facts.ExecutionSucceeded()
    return facts.IterationSucceeded() if isinstance(frame.parent.waits, Items) else facts.BranchSucceeded()
