"""Which variables each state of a definition uses, as the API tells it of a machine.

A state's own fields count, those of the states inside it do not; an Assign uses what stands on its right sides.
JSONata is read by its tokens alone: a name that an expression binds itself, or calls, is no variable of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from stepfold.query.jsonpath.parse import PathError, parse_expression
from stepfold.query.jsonpath.syntax import Call, Compare, Condition, Deep, Exists, Filter, Junction, Negation, Path
from stepfold.query.values import Json, tree

Named: TypeAlias = Iterator[str]

_BLOCKS = ("Branches", "ItemProcessor", "Iterator")
_TEMPLATES = frozenset({
    "Arguments", "Assign", "BatchInput", "Credentials", "ItemSelector", "Parameters", "ResultSelector",
})
_STATIC = frozenset({"Result", "ResultPath"})
_LIKELY = re.compile(rb"\$[^\W\d.\[$]")
# Texts, quoted names, comments, regular expressions where an operand may stand; then variables, which are what counts.
_TOKEN = re.compile(
    r"""(?P<skip>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|/\*.*?\*/|(?<=[(,=~:?])\s*/(?:[^/\\\n]|\\.)+/[a-z]*)"""
    r"""|\$(?P<name>[^\W\d]\w*)(?P<bound>\s*:=)?(?P<called>\s*\()?"""
    r"""|(?:\bfunction|λ)\s*\((?P<parameters>[^()]*)\)""",
    re.DOTALL,
)
_PARAMETER = re.compile(r"\$([^\W\d]\w*)")
# JSONata's own functions, which may be handed on by name (`$map(x, $string)`), and AWS's `$states`.
_OWN = frozenset({
    "states", "sum", "count", "max", "min", "average", "string", "substring", "substringBefore", "substringAfter",
    "lowercase", "uppercase", "length", "trim", "pad", "match", "contains", "replace", "split", "join",
    "formatNumber", "formatBase", "formatInteger", "parseInteger", "number", "floor", "ceil", "round", "abs", "sqrt",
    "power", "random", "boolean", "not", "map", "zip", "filter", "single", "reduce", "foldLeft", "sift", "keys",
    "lookup", "append", "exists", "spread", "merge", "reverse", "each", "error", "assert", "type", "sort", "shuffle",
    "distinct", "base64encode", "base64decode", "encodeUrlComponent", "encodeUrl", "decodeUrlComponent", "decodeUrl",
    "eval", "toMillis", "fromMillis", "clone", "now", "millis", "partition", "range", "hash", "uuid", "parse",
})


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
        own = {field: value for field, value in state.items() if field not in _BLOCKS}
        names = sorted(set(_in_jsonata(own) if jsonata else _in_jsonpath(own)))
        if names:
            found[name] = names
        for inner in (*state.get("Branches", ()), state.get("ItemProcessor"), state.get("Iterator")):
            if inner is not None:
                _block(inner, whole, found)


def _in_jsonata(value: Json) -> Named:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _in_jsonata(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_jsonata(inner)
    elif isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        yield from _expression(value[2:-2])


def _expression(source: str) -> Named:
    used, local = [], set(_OWN)
    for token in _TOKEN.finditer(source):
        if (parameters := token["parameters"]) is not None:
            local.update(_PARAMETER.findall(parameters))
        elif (name := token["name"]) is not None:
            if token["bound"]:
                local.add(name)
            elif not token["called"]:
                used.append(name)
    return (name for name in used if name not in local)


def _in_jsonpath(value: Json, field: str = "", *, template: bool = False) -> Named:
    """What a field's value uses: a template's `.$` members, the path fields, and the operands of a Choice's rules."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if template or name not in _STATIC:
                yield from _in_jsonpath(inner, name, template=template or name in _TEMPLATES)
    elif isinstance(value, list):
        for inner in value:
            yield from _in_jsonpath(inner, template=template)
    elif isinstance(value, str) and field.endswith(".$" if template else ("Path", "Variable")):
        try:
            yield from _operand(parse_expression(value))
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
