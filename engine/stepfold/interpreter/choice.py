"""Which rule of a Choice state holds."""

from __future__ import annotations

from collections.abc import Sequence

from stepfold.language.rules import IS_PRESENT, And, Compare, Or, Rule
from stepfold.query.template import Moment, Scope
from stepfold.query.values import Value, text


class Choosing:
    """The rules of a Choice as a template, which renders to the index of the first that holds, or to -1.

    So a choice that costs too much for a decision is evaluated elsewhere, like any other field.
    """

    heavy = True

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules

    def render(self, scope: Scope, moment: Moment) -> Value:  # noqa: ARG002  (no rule looks at the clock)
        """The index, as JSON."""
        chosen = choose(self.rules, scope)
        return text(-1 if chosen is None else self.rules.index(chosen))


def choose(rules: Sequence[Rule], scope: Scope) -> Rule | None:
    """The first rule that holds. Raises QueryError where a rule asks for a value that is not there."""
    for rule in rules:
        if holds(rule, scope):
            return rule
    return None


def holds(rule: Rule, scope: Scope) -> bool:
    """Whether the rule holds for what the scope shows; And and Or look no further than they must."""
    if isinstance(rule, Compare):
        return _compares(rule, scope)
    if isinstance(rule, And):
        return all(holds(part, scope) for part in rule.rules)
    if isinstance(rule, Or):
        return any(holds(part, scope) for part in rule.rules)
    return not holds(rule.rule, scope)


def _compares(rule: Compare, scope: Scope) -> bool:
    if rule.operator.name == IS_PRESENT:
        return rule.variable.present(scope) is rule.operand
    value = rule.variable.pick(scope)
    return rule.operator.holds(value, rule.operand.pick(scope) if rule.operator.path else rule.operand)
