"""Which rule of a Choice state holds."""

from __future__ import annotations

from collections.abc import Sequence

from stepfold.language.rules import IS_PRESENT, And, Compare, Condition, Or, Rule
from stepfold.query.jsonata.dialect import Expression
from stepfold.query.template import Moment, Scope
from stepfold.query.values import Value, text


class Choosing:
    """The rules of a Choice as a template, which renders to the index of the first that holds, or to -1.

    So a choice that costs too much for a decision is evaluated elsewhere, like any other field.
    """

    heavy = True

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules

    def render(self, scope: Scope, moment: Moment) -> Value:
        """The index, as JSON."""
        return text(choose(self.rules, scope, moment))


def choose(rules: Sequence[Rule], scope: Scope, moment: Moment) -> int:
    """The index of the first rule that holds, or -1. Raises QueryError where a rule asks for what is not there."""
    for index, rule in enumerate(rules):
        if holds(rule, scope, moment):
            return index
    return -1


def holds(rule: Rule, scope: Scope, moment: Moment) -> bool:
    """Whether the rule holds for what the scope shows; And and Or look no further than they must."""
    if isinstance(rule, Compare):
        return _compares(rule, scope)
    if isinstance(rule, Condition):
        return _is_true(rule.expression, scope, moment)
    if isinstance(rule, And):
        return all(holds(part, scope, moment) for part in rule.rules)
    if isinstance(rule, Or):
        return any(holds(part, scope, moment) for part in rule.rules)
    return not holds(rule.rule, scope, moment)


def _is_true(expression: Expression, scope: Scope, moment: Moment) -> bool:
    value = expression.pick(scope, moment)
    if not isinstance(value, bool):
        raise expression.unexpected("boolean", value)
    return value


def _compares(rule: Compare, scope: Scope) -> bool:
    if rule.operator.name == IS_PRESENT:
        return rule.variable.present(scope) is rule.operand
    value = rule.variable.pick(scope)
    return rule.operator.holds(value, rule.operand.pick(scope) if rule.operator.path else rule.operand)
