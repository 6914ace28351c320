"""Which variables each state of a definition uses, and where; the API tells the first of a machine.

A state's own fields count, those of the states inside it do not; an Assign uses what stands on its right sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from stepfold.query.jsonpath.parse import PathError, parse_expression
from stepfold.query.jsonpath.syntax import Call, Compare, Condition, Deep, Exists, Filter, Junction, Negation, Path
from stepfold.query.values import Json, tree

from .expressions import uses

Named: TypeAlias = Iterator[str]
Placed: TypeAlias = Iterator[tuple[str, str]]
"""Names of variables, each with the place of the text that uses it."""

_BLOCKS = ("Branches", "ItemProcessor", "Iterator")
_TEMPLATES = frozenset({
    "Arguments", "Assign", "BatchInput", "Credentials", "ItemSelector", "Parameters", "ResultSelector",
})
_STATIC = frozenset({"Result", "ResultPath"})
_LIKELY = re.compile(rb"\$[^\W\d.\[$]")


def variable_references(text: bytes) -> dict[str, list[str]]:
    """The variables of each state that uses some, sorted; `text` is a definition that passed the check."""
    found: dict[str, list[str]] = {}
    if _LIKELY.search(text):
        definition = tree(text)
        _block(definition, definition.get("QueryLanguage") == "JSONata", found)
    return found


def _block(block: Mapping[str, Json], whole: bool, found: dict[str, list[str]]) -> None:
    for name, state in block["States"].items():
        language = state.get("QueryLanguage")
        jsonata = whole if language is None else language == "JSONata"
        names = sorted({used for used, _ in used_variables(state, jsonata=jsonata)})
        if names:
            found[name] = names
        for inner in (*state.get("Branches", ()), state.get("ItemProcessor"), state.get("Iterator")):
            if inner is not None:
                _block(inner, whole, found)


def used_variables(state: Mapping[str, Json], place: str = "", *, jsonata: bool) -> Placed:
    """The variables that a state uses, as often as it does."""
    own = {field: value for field, value in state.items() if field not in _BLOCKS}
    return _in_jsonata(own, place) if jsonata else _in_jsonpath(own, place)


def _in_jsonata(value: Json, place: str) -> Placed:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _in_jsonata(inner, f"{place}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _in_jsonata(inner, f"{place}[{index}]")
    elif (found := uses(value)) is not None:
        yield from ((name, place) for name in sorted(found.variables))


def _in_jsonpath(value: Json, place: str, field: str = "", *, template: bool = False) -> Placed:
    """What a field's value uses: a template's `.$` members, the path fields, and the operands of a Choice's rules."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if template or name not in _STATIC:
                yield from _in_jsonpath(inner, f"{place}/{name}", name, template=template or name in _TEMPLATES)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _in_jsonpath(inner, f"{place}[{index}]", template=template)
    elif isinstance(value, str) and field.endswith(".$" if template else ("Path", "Variable")):
        try:
            yield from ((name, place) for name in _operand(parse_expression(value)))
        except PathError:  # the check's to refuse
            return


def _operand(operand: object) -> Named:
    if isinstance(operand, Call):
        for argument in operand.arguments:
            yield from _operand(argument)
    elif isinstance(operand, Path):
        if operand.variable is not None:
            yield operand.variable
        for step in operand.steps:
            flat = step.step if isinstance(step, Deep) else step
            if isinstance(flat, Filter):
                yield from _condition(flat.condition)


def _condition(condition: Condition) -> Named:
    match condition:
        case Exists(path):
            yield from _operand(path)
        case Compare(left, _, right):
            yield from _operand(left)
            yield from _operand(right)
        case Negation(inner):
            yield from _condition(inner)
        case Junction(_, conditions):
            for inner in conditions:
                yield from _condition(inner)
