"""The states that are done at once (Pass, Choice, Succeed, Fail), and leaving any state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from stepfold.language import states
from stepfold.language.failures import Failure
from stepfold.query.template import Moment, Overrun, QueryError, Scope
from stepfold.query.values import Value, tree

from . import dataflow, facts
from .choice import Choosing, choose
from .execution import Execution, Facts, On
from .failure import fail
from .frames import Frame, Items

if TYPE_CHECKING:
    from stepfold.language.machine import Machine, Step
    from stepfold.language.rules import Rule


def hand_on(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Pass: its Result, or its Parameters, or its input."""
    step = machine.steps[frame.state]
    result = step.result
    if result is None:
        result = dataflow.arguments(step, execution, frame, moment)
    value = dataflow.outward(step, execution, frame, dataflow.merged(step.result_path, frame, result), moment)
    yield from leave(step, execution, frame, value, step.next)


def choose_next(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Choice: on to the first rule that holds, else to Default.

    No rule and no Default is `States.Runtime` on AWS, whatever the specification says (language notes, section 5).
    """
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    seen = dataflow.scope(execution, frame, value)
    rule = _chosen(step, frame, seen, moment)
    target = step.default if rule is None else rule.next
    if target is None:
        raise QueryError("Failed to transition out of the state. The state does not point to a next state.")
    yield from leave(step, execution, frame, dataflow.outward(step, execution, frame, value, moment), target)


def _chosen(step: Step, frame: Frame, seen: Scope, moment: Moment) -> Rule | None:
    """The first rule that holds: found here, or evaluated elsewhere where that may cost too much."""
    if not step.heavy_rules and "Choices" not in frame.evaluated:
        try:
            return choose(step.rules, seen)
        except Overrun:
            raise dataflow.Wanted("Choices", Choosing(step.rules), seen) from None
    index = tree(dataflow.rendered(frame, "Choices", Choosing(step.rules), seen, moment))
    return None if index < 0 else step.rules[index]


def succeed(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Succeed: the end of the block."""
    step = machine.steps[frame.state]
    value = dataflow.given(step, execution, frame, moment)
    yield from leave(step, execution, frame, dataflow.outward(step, execution, frame, value, moment), None)


def give_up(machine: Machine, execution: Execution, frame: Frame, moment: Moment) -> Facts:
    """Fail: the failure that it spells out, or points to."""
    step = machine.steps[frame.state]
    state = step.of(states.Fail)
    error, cause = state.error, state.cause
    seen = dataflow.scope(execution, frame, frame.input)
    if step.error_path is not None:
        error = _words(dataflow.rendered(frame, "ErrorPath", step.error_path, seen, moment))
    if step.cause_path is not None:
        cause = _words(dataflow.rendered(frame, "CausePath", step.cause_path, seen, moment))
    yield from fail(machine, execution, frame, Failure(error, cause), moment)


def _words(value: Value) -> str:
    plain = tree(value)
    return plain if isinstance(plain, str) else bytes(value).decode()


def leave(step: Step, execution: Execution, frame: Frame, value: Value, target: str | None) -> Facts:
    """Exit with the value, and close the frame where its block ends."""
    try:
        dataflow.within(execution, value, step.name)
    except dataflow.Met as met:
        # A value that grew past the limit at the transition: bound to no state, no Catch sees it (notes, section 11).
        yield On(facts.ExecutionFailed(met.failure.error, met.failure.cause), execution.root, frame.pointer)
        return
    yield facts.StateExited(step.name, UNSET if value == frame.value else value, target)
    if target is None:
        yield finish(frame)


def finish(frame: Frame) -> facts.Fact:
    """The end of a frame's block."""
    if frame.parent is None:
        return facts.ExecutionSucceeded()
    return facts.IterationSucceeded() if isinstance(frame.parent.waits, Items) else facts.BranchSucceeded()
