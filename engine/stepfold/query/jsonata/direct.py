"""What can be taken without the library: a path that leads through objects alone, and the part of a value that is read.

Over an array JSONata maps a path, and the library does it. Through objects there is nothing to it: the text at the
end of the path is sliced out, so that what is passed on untouched keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from stepfold.query.template import Scope
from stepfold.query.values import Json, Value, fields, text, tree

STATES: Final = "states"
"""The variable that AWS gives to every expression."""

WORTH_CUTTING: Final = 1_000
"""From how many bytes on a value is cut before it is parsed."""

_Part: TypeAlias = Callable[[Scope], Value | None]


class DirectPath:
    """`$states.input.a.b`, `$states.context.a`, `$variable.a`: a root, and the names after it."""

    __slots__ = ("_keys", "_of_context", "_of_input", "_root")

    def __init__(self, root: _Part, keys: Sequence[str], *, of_input: bool = False, of_context: bool = False) -> None:
        self._root = root
        self._keys = keys
        self._of_input = of_input
        self._of_context = of_context

    def take(self, scope: Scope) -> Value | None:
        """The text at its end, or None where there is no such, or an array on the way: then the library is asked."""
        keys = self._keys
        if self._of_context or (self._of_input and keys and scope.parsed):
            return _walked(scope.context if self._of_context else scope.plain, keys)
        value = self._root(scope)
        if value is None or not keys:
            return value
        try:
            for key in keys:
                value = fields(value)[key]
        except (KeyError, msgspec.ValidationError):
            return None
        return value.copy()


def direct_path(names: Sequence[str]) -> DirectPath | None:
    """The path of a variable and the names after it, if it is one of those."""
    root, *keys = names
    if root != STATES:
        return DirectPath(lambda scope: scope.variables.texts.get(root), keys)
    if not keys:
        return None
    part = keys.pop(0)
    if part == "context":
        return DirectPath(_no_text, keys, of_context=True)
    return DirectPath(_PARTS[part], keys, of_input=part == "input") if part in _PARTS else None


def visible(reads: Mapping[str, Any], scope: Scope) -> dict[str, Json]:
    """The variables that are read, `$states` among them, as trees; no more of each than is needed."""
    shown: dict[str, Json] = {}
    for name, wanted in reads.items():
        if name == STATES:
            shown[name] = _states(wanted, scope)
        elif name in scope.variables:
            shown[name] = scope.variables[name]
    return shown


def breadth(reads: Mapping[str, Any], scope: Scope) -> int:
    """More than the elements of any array among the values that are read."""
    texts = [scope.variables.texts[name] for name in reads if name in scope.variables]
    if STATES in reads:
        texts += [part for part in (scope.value, scope.result, scope.error_output) if part is not None]
        if reads[STATES] is True or "context" in reads[STATES]:
            texts.append(text(scope.context))
    return sum(bytes(value).count(b",") + 1 for value in texts)


def _states(wanted: Any, scope: Scope) -> dict[str, Json]:
    """In AWS's order (recorded)."""
    states: dict[str, Json] = {}
    if wanted is True:
        wanted = _EVERYTHING
    if "input" in wanted:
        states["input"] = scope.plain if scope.parsed else _cut(scope, wanted["input"])
    if "context" in wanted:
        states["context"] = scope.context
    if "result" in wanted and scope.result is not None:
        states["result"] = _part(scope.result, wanted["result"])
    if "errorOutput" in wanted and scope.error_output is not None:
        states["errorOutput"] = _part(scope.error_output, wanted["errorOutput"])
    return states


def _cut(scope: Scope, wanted: Any) -> Json:
    if wanted is True or len(scope.value) < WORTH_CUTTING:
        return scope.plain
    return _part(scope.value, wanted)


def _part(value: Value, wanted: Any) -> Json:
    """A tree with the wanted fields of an object; anything else is taken whole, for wanted says nothing of arrays."""
    if wanted is True or len(value) < WORTH_CUTTING:
        return tree(value)
    try:
        found = fields(value)
    except msgspec.ValidationError:
        return tree(value)
    return {name: _part(found[name], part) for name, part in wanted.items() if name in found}


def _walked(plain: Json, keys: Sequence[str]) -> Value | None:
    for key in keys:
        if not isinstance(plain, dict) or key not in plain:
            return None
        plain = plain[key]
    return text(plain)


def _no_text(_scope: Scope) -> None:
    return None


_EVERYTHING: Final = dict.fromkeys(("input", "context", "result", "errorOutput"), True)
_PARTS: Final[dict[str, _Part]] = {
    "input": lambda scope: scope.value,
    "result": lambda scope: scope.result,
    "errorOutput": lambda scope: scope.error_output,
}
