"""Evaluations that do not belong into a decision: in a thread, under limits of time and of result size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from stepfold.interpreter.decide import evaluation
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.signals import Evaluate
from stepfold.language.failures import QUERY_EVALUATION_ERROR, RUNTIME, Failure
from stepfold.query.template import Moment, Overrun, QueryError, Scope, Template
from stepfold.query.values import Value

from .apart import EVALUATORS

if TYPE_CHECKING:
    from stepfold.language.machine import Machine

SECONDS = 5.0
"""How long one evaluation may take."""


async def evaluate(machine: Machine, execution: Execution, effect: Evaluate, moment: Moment) -> Value | Failure | None:
    """Render the field that a frame waits for; its failure where that fails, or takes too long. None: not needed."""
    frame = execution.frames[effect.frame]
    if (wanted := evaluation(machine, execution, frame, moment)) is None:
        return None
    template, scope = wanted
    return await elsewhere(effect.field, template, scope, moment, jsonata=machine.steps[frame.state].jsonata)


async def elsewhere(
    field: str, template: Template, scope: Scope, moment: Moment, *, jsonata: bool
) -> Value | Failure:
    """Render a field in a thread; its failure where that fails, or takes too long."""
    error_name = QUERY_EVALUATION_ERROR if jsonata else RUNTIME
    unhurried = dataclasses.replace(moment, unhurried=True, apart=EVALUATORS.evaluate)

    def render() -> Value | Failure:
        try:
            return template.render(scope, unhurried)
        except QueryError as error:
            return Failure(error.error, error.cause, location=error.location)
        except Overrun:
            return Failure(error_name, f"The expression of the field '{field}' takes too many steps.")

    with anyio.move_on_after(SECONDS):
        return await anyio.to_thread.run_sync(render, abandon_on_cancel=True)
    return Failure(error_name, f"The expression of the field '{field}' took longer than {SECONDS:g} seconds.")
