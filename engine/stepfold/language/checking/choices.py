"""What is wrong with the rules of a Choice state."""

from __future__ import annotations

from collections.abc import Mapping

from stepfold.language.rules import OPERATORS, Operator
from stepfold.query.values import Json

from .diagnostics import View
from .shapes import (
    Field,
    expressions,
    flag,
    in_language,
    looks_like_path,
    single_path,
    template,
    text,
    timestamp,
    unsupported,
    wrong_type,
)
from .variables import assign

SELECTORS = ("And", "Or", "Not", "Variable", "Condition")
"""Exactly one of these says what kind of rule it is."""

_OF_TOP_RULES: Mapping[str, Field] = {
    "Next": Field(text),
    "Assign": Field(assign),
    "Output": Field(template, "JSONata"),
}


def rules(view: View, value: Json, place: str) -> None:
    """The Choices of a state."""
    _rules(view, value, place, top=True)


def _rules(view: View, value: Json, place: str, *, top: bool) -> None:
    if not isinstance(value, list):
        wrong_type(view, value, place, "Array")
        return
    if not value:
        view.error("Value cannot be empty", place)
    for index, rule in enumerate(value):
        _rule(view, rule, f"{place}[{index}]", top=top)


def _rule(view: View, rule: Json, place: str, *, top: bool) -> None:
    if not isinstance(rule, dict):
        wrong_type(view, rule, place, "Object")
        return
    if top and "Next" not in rule:
        view.error("These fields are required: [Next]", place)
    selectors = [name for name in SELECTORS if name in rule]
    if len(selectors) != 1:
        view.error(f"The object must have only one of the following fields, [{', '.join(SELECTORS)}]", place)
    if "Variable" in rule:
        _one_operator(view, rule, place)
    for name, value in rule.items():
        at = f"{place}/{name}"
        if name in SELECTORS:
            if in_language(view, name, Field(text, "JSONata" if name == "Condition" else "JSONPath"), place):
                _selector(view, name, value, at)
        elif name in OPERATORS and "Variable" in rule:
            if not view.jsonata:  # else Variable was complained of
                _operand(view, OPERATORS[name], value, at)
        elif top and name in _OF_TOP_RULES:
            field = _OF_TOP_RULES[name]
            if in_language(view, name, field, place):
                field.kind(view, value, at)
        elif name == "Comment":
            text(view, value, at)
        elif selectors or name not in OPERATORS:  # an operator that only lacks its Variable was complained of
            unsupported(view, name, place)


def _one_operator(view: View, rule: Mapping[str, Json], place: str) -> None:
    given = [name for name in rule if name in OPERATORS]
    if not given:
        view.error("The rule compares its Variable with nothing: add an operator, such as StringEquals", place)
    elif len(given) > 1:
        view.error(f"There should only be one of the following fields: [{', '.join(given)}]", place)


def _selector(view: View, name: str, value: Json, place: str) -> None:
    match name:
        case "And" | "Or":
            _rules(view, value, place, top=False)
        case "Not":
            _rule(view, value, place, top=False)
        case "Variable":
            single_path(view, value, place)
        case _:
            if isinstance(value, str) and value.startswith("{%"):
                expressions(view, value, place)
            else:
                flag(view, value, place)


def _operand(view: View, operator: Operator, value: Json, place: str) -> None:
    if operator.path:
        single_path(view, value, place)
        return
    match operator.operand:
        case "timestamp":
            timestamp(view, value, place)
        case "boolean":
            flag(view, value, place)
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                wrong_type(view, value, place, "Number")
        case _:
            text(view, value, place)
            if looks_like_path(value) and f"{operator.name}Path" in OPERATORS:
                view.warning("NO_PATH", f"The value looks like a path: did you mean {operator.name}Path?", place)
