"""A dialect that is slow, to plug into a machine: what it renders may never be rendered inside a decision.

Some of its templates say so beforehand (`heavy`), the others only once they are tried (`Overrun`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from stepfold.interpreter.simulate import Simulation
from stepfold.language.failures import Failure
from stepfold.language.machine import Machine
from stepfold.language.rules import Compare
from stepfold.language.steps import Step
from stepfold.query.jsonpath.dialect import compile_path
from stepfold.query.template import Moment, Overrun, Scope, Template
from stepfold.query.values import Value

_FIELDS = (
    "arguments", "result_selector", "item_selector", "items", "output_path", "input_path", "seconds", "assign",
    "output",
)


class Costly:
    """A template around another one."""

    outside = False
    """Whether what happens now happens outside of a decision."""

    def __init__(self, template: Any, *, heavy: bool) -> None:
        self.template = template
        self.heavy = heavy
        self.source = getattr(template, "source", "")
        self.field = getattr(template, "field", "")

    def render(self, scope: Scope, moment: Moment) -> Value:
        return self._tried(lambda: self.template.render(scope, moment))

    def pick(self, scope: Scope, moment: Moment | None = None) -> Any:
        return self._tried(lambda: self.template.pick(scope, moment))

    def present(self, scope: Scope) -> bool:
        return self._tried(lambda: self.template.present(scope))

    def _tried(self, work: Any) -> Any:
        if Costly.outside:
            return work()
        if self.heavy:
            raise AssertionError("what is heavy was rendered inside a decision")
        raise Overrun


@contextmanager
def outside() -> Iterator[None]:
    """Where expressions may take their time."""
    Costly.outside = True
    try:
        yield
    finally:
        Costly.outside = False


class CostlySimulation(Simulation):
    """A simulation that knows when it is outside of a decision."""

    def render(self, template: Template, scope: Scope) -> Value | Failure:
        with outside():
            return super().render(template, scope)


def make_costly(machine: Machine, salt: int) -> None:
    """Put the slow dialect in the place of about half of a machine's expressions."""
    for step in machine.steps.values():
        _step(step, salt)


def _step(step: Step, salt: int) -> None:
    for field in _FIELDS:
        template = getattr(step, field)
        if field == "output_path" and template is None and step.type != "Fail":
            template = compile_path("$", field="OutputPath")
        luck = _luck(salt, step.name, field)
        if hasattr(template, "render") and luck % 2:
            setattr(step, field, Costly(template, heavy=luck % 4 == 1))
    if step.rules and (luck := _luck(salt, step.name)) % 2:
        step.heavy_rules = luck % 4 == 1
        step.rules = tuple(
            msgspec.structs.replace(rule, variable=Costly(rule.variable, heavy=step.heavy_rules))
            if isinstance(rule, Compare) else rule
            for rule in step.rules
        )


def _luck(*of: object) -> int:
    return hashlib.blake2b(repr(of).encode(), digest_size=1).digest()[0]
