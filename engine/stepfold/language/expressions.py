"""What a JSONata text uses, read by its tokens: variables of the machine, fields of `$states`, syntax AWS lacks.

A name that an expression binds itself, or calls, is no variable of the machine.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Texts, quoted names, comments, regular expressions where an operand may stand; then variables, which are what counts.
_TOKEN = re.compile(
    r"""(?P<skip>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|/\*.*?\*/|(?<=[(,=~:?])\s*/(?:[^/\\\n]|\\.)+/[a-z]*)"""
    r"""|\$states\s*\.\s*(?P<field>[^\W\d]\w*)"""
    r"""|\$(?P<name>[^\W\d]\w*)(?P<bound>\s*:=)?(?P<called>\s*\()?"""
    r"""|(?:\bfunction|λ)\s*\((?P<parameters>[^()]*)\)"""
    r"""|(?P<newer>\?\?|\?\s*:)""",
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


class Uses(NamedTuple):
    """What stands in an expression, in order and with repeats.

    `variables` are names without their `$`; `fields` those of `$states`; `newer` holds operators that came after
    JSONata 2.0.6, which is AWS's.
    """

    variables: tuple[str, ...]
    fields: tuple[str, ...]
    newer: tuple[str, ...]


def marked(value: object) -> str | None:
    """The expression in a text that is marked as one, `{% ... %}`; None for anything else."""
    if isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4:
        return value[2:-2]
    return None


def uses(source: str) -> Uses:
    """Read an expression; a text that is none gives what can be made out."""
    variables: list[str] = []
    fields: list[str] = []
    newer: list[str] = []
    local = set(_OWN)
    for token in _TOKEN.finditer(source):
        if (parameters := token["parameters"]) is not None:
            local.update(_PARAMETER.findall(parameters))
        elif (field := token["field"]) is not None:
            fields.append(field)
        elif (operator := token["newer"]) is not None:
            newer.append("".join(operator.split()))
        elif (name := token["name"]) is not None:
            if token["bound"]:
                local.add(name)
            elif not token["called"]:
                variables.append(name)
    return Uses(tuple(name for name in variables if name not in local), tuple(fields), tuple(newer))
