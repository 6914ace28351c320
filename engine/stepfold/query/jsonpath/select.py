"""Compiles a path to a closure that picks from a tree, as Jayway's library does, which AWS runs.

A *definite* path (names, single indexes) finds one value or `MISSING`; every other finds a list, empty where
nothing is found, even where what stands before the wildcard is missing (recorded). Jayway's oddities are kept:

- `['a','b']` at the end gives one object of the members found, and counts as definite;
- a filter on an object tests the object itself, not its members.

No closure walks the syntax when it runs, and every list built is paid for from a `Meter`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

from stepfold.query.values import Json

from .compare import HOLDS, MISSING, Meter, Nothing
from .syntax import (
    Compare,
    Condition,
    Constant,
    Deep,
    Every,
    Exists,
    Filter,
    Indexes,
    Junction,
    Names,
    Negation,
    Operand,
    Path,
    Pattern,
    Slice,
    Step,
)

PAST_THE_END: Final = Nothing("PAST_THE_END")
"""An index at the end of a path that the array does not reach: null for AWS (language notes, 3.1), but not present."""

Find: TypeAlias = Callable[[Json, Json, Meter], Json]
"""(the node a path starts at, the document that `$` means in filters, meter) -> value, list, or a Nothing."""
_Spread: TypeAlias = Callable[[list[Json], Json, Meter], list[Json]]
_Test: TypeAlias = Callable[[Json, Json, Meter], bool]
_Key: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Selection:
    """A compiled path: `keys` where it is a plain reference path; `heavy` where it holds a regular expression."""

    find: Find
    definite: bool
    heavy: bool
    keys: tuple[_Key, ...] | None


def compile_selection(path: Path) -> Selection:
    """Make a path ready to pick."""
    keys: list[_Key] = []
    for step in path.steps:
        key = single_key(step)
        if key is None:
            break
        keys.append(key)
    rest = path.steps[len(keys) :]
    heavy = any(_heavy(step) for step in rest)
    if not rest:
        plain = all(isinstance(key, str) or key >= 0 for key in keys)
        return Selection(_definite(tuple(keys)), definite=True, heavy=heavy, keys=tuple(keys) if plain else None)
    if len(rest) == 1 and isinstance(rest[0], Names):
        return Selection(_merged(_definite(tuple(keys)), rest[0].names), definite=True, heavy=heavy, keys=None)
    return Selection(_spreading(tuple(keys), rest), definite=False, heavy=heavy, keys=None)


def first_missing(keys: tuple[_Key, ...], node: Json) -> int:
    """Which key of a reference path finds nothing; the count of keys where all do."""
    for place, key in enumerate(keys):
        node = _definite((key,))(node, node, Meter())
        if isinstance(node, Nothing):
            return place
    return len(keys)


def single_key(step: Step) -> _Key | None:
    """The name or index of a step that takes one; None for every other step."""
    if isinstance(step, Names) and len(step.names) == 1:
        return step.names[0]
    if isinstance(step, Indexes) and len(step.indexes) == 1:
        return step.indexes[0]
    return None


# Definite paths.


def _definite(keys: tuple[_Key, ...]) -> Find:
    if all(isinstance(key, str) for key in keys):
        return _by_names(keys)
    last = len(keys) - 1

    def find(node: Json, _root: Json, _meter: Meter) -> Json:
        for place, key in enumerate(keys):
            if key.__class__ is str:
                if node.__class__ is not dict or key not in node:
                    return MISSING
            elif node.__class__ is not list:
                return MISSING
            elif not -len(node) <= key < len(node):  # type: ignore[operator]
                return PAST_THE_END if place == last else MISSING
            node = node[key]
        return node

    return find


def _by_names(names: tuple[_Key, ...]) -> Find:
    def find(node: Json, _root: Json, _meter: Meter) -> Json:
        try:
            for name in names:
                node = node[name]
        except (KeyError, TypeError):  # no such member, or no object (a str or a list takes no str as index)
            return MISSING
        return node

    return find


def _merged(find_parent: Find, names: tuple[str, ...]) -> Find:
    def find(node: Json, root: Json, meter: Meter) -> Json:
        parent = find_parent(node, root, meter)
        if not isinstance(parent, dict):
            return MISSING
        return {name: parent[name] for name in names if name in parent}

    return find


# Indefinite paths: each step turns a list of nodes into the list of those found below them.


def _spreading(keys: tuple[_Key, ...], rest: tuple[Step, ...]) -> Find:
    prefix = _definite(keys)
    steps = [_spread(step, last=step is rest[-1]) for step in rest]

    def find(node: Json, root: Json, meter: Meter) -> Json:
        node = prefix(node, root, meter)
        if isinstance(node, Nothing):
            return []
        found = [node]
        for step in steps:
            found = step(found, root, meter)
            meter.spend(len(found))
        return found

    return find


def _spread(step: Step, *, last: bool) -> _Spread:
    if isinstance(step, Names):
        return _names(step.names, last=last)
    if isinstance(step, Indexes):
        return _indexes(step.indexes)
    if isinstance(step, Slice):
        return _sliced(slice(step.start, step.stop, step.step))
    if isinstance(step, Every):
        return _every
    if isinstance(step, Filter):
        return _filtered(_condition(step.condition))
    return _deep(step, last=last)


def _names(names: tuple[str, ...], *, last: bool) -> _Spread:
    if len(names) == 1:
        name = names[0]
        return lambda nodes, _root, _meter: [node[name] for node in nodes if node.__class__ is dict and name in node]
    if last:
        return lambda nodes, _root, _meter: [
            {name: node[name] for name in names if name in node} for node in nodes if isinstance(node, dict)
        ]
    return lambda nodes, _root, _meter: [
        node[name] for node in nodes if isinstance(node, dict) for name in names if name in node
    ]


def _indexes(indexes: tuple[int, ...]) -> _Spread:
    return lambda nodes, _root, _meter: [
        node[index] for node in nodes if isinstance(node, list) for index in indexes if -len(node) <= index < len(node)
    ]


def _sliced(part: slice) -> _Spread:
    return lambda nodes, _root, _meter: [item for node in nodes if isinstance(node, list) for item in node[part]]


def _every(nodes: list[Json], _root: Json, _meter: Meter) -> list[Json]:
    return list(chain.from_iterable(map(_children, nodes)))


def _children(node: Json) -> Json:
    if node.__class__ is list:
        return node
    return node.values() if isinstance(node, dict) else ()


def _filtered(test: _Test) -> _Spread:
    def spread(nodes: list[Json], root: Json, meter: Meter) -> list[Json]:
        found: list[Json] = []
        for node in nodes:
            candidates = node if isinstance(node, list) else [node] if isinstance(node, dict) else []
            meter.spend(len(candidates))
            found += [item for item in candidates if test(item, root, meter)]
        return found

    return spread


def _deep(step: Deep, *, last: bool) -> _Spread:
    """A node and all below it, parents first. A filter meets each object once, so it is not taken through its list."""
    flat = step.step
    test = _condition(flat.condition) if isinstance(flat, Filter) else None
    below = _spread(flat, last=last)

    def spread(nodes: list[Json], root: Json, meter: Meter) -> list[Json]:
        found: list[Json] = []
        waiting = [node for node in reversed(nodes) if isinstance(node, dict | list)]
        while waiting:
            node = waiting.pop()
            children = list(_children(node))
            meter.spend(1 + len(children))
            if test is None:
                found += below([node], root, meter)
            else:
                met = [node] if isinstance(node, dict) else [item for item in node if not isinstance(item, dict)]
                found += [item for item in met if test(item, root, meter)]
            waiting += [child for child in reversed(children) if isinstance(child, dict | list)]
        return found

    return spread


# Conditions of filters: closures of (the node tested, the document, meter) -> bool.


def _heavy(step: Step | Condition) -> bool:
    """Whether a regular expression stands in it: Python's may take for ever, so it is kept out of decisions."""
    if isinstance(step, Deep):
        return _heavy(step.step)
    if isinstance(step, Filter):
        return _heavy(step.condition)
    if isinstance(step, Negation):
        return _heavy(step.condition)
    if isinstance(step, Junction):
        return any(_heavy(condition) for condition in step.conditions)
    paths: list[Operand] = []
    if isinstance(step, Compare):
        paths = [step.left, step.right]
    elif isinstance(step, Exists):
        paths = [step.path]
    return any(
        isinstance(operand, Pattern) or (isinstance(operand, Path) and any(_heavy(inner) for inner in operand.steps))
        for operand in paths
    )


def _condition(condition: Condition) -> _Test:
    if isinstance(condition, Exists):
        return _exists(condition.path)
    if isinstance(condition, Compare):
        return _compared(condition)
    if isinstance(condition, Negation):
        test = _condition(condition.condition)
        return lambda node, root, meter: not test(node, root, meter)
    tests = [_condition(inner) for inner in condition.conditions]
    if condition.every:
        return lambda node, root, meter: all(test(node, root, meter) for test in tests)
    return lambda node, root, meter: any(test(node, root, meter) for test in tests)


def _exists(path: Path) -> _Test:
    find, definite = _operand(path), compile_selection(path).definite
    if definite:
        return lambda node, root, meter: find(node, root, meter) is not MISSING
    return lambda node, root, meter: bool(find(node, root, meter))


def _compared(condition: Compare) -> _Test:
    holds = HOLDS[condition.operator]
    left, right = condition.left, condition.right
    find = _operand(left)
    if not isinstance(right, Path):
        other: Json = right.pattern if isinstance(right, Pattern) else right.value
        return lambda node, root, meter: holds(find(node, root, meter), other, meter)
    find_other = _operand(right)
    return lambda node, root, meter: holds(find(node, root, meter), find_other(node, root, meter), meter)


def _operand(operand: Operand) -> Find:
    if not isinstance(operand, Path):
        constant: Json = operand.value if isinstance(operand, Constant) else operand.pattern
        return lambda _node, _root, _meter: constant
    find = compile_selection(operand).find
    if operand.root == "$":
        return lambda _node, root, meter: _or_missing(find(root, root, meter))
    return lambda node, root, meter: _or_missing(find(node, root, meter))


def _or_missing(value: Json) -> Json:
    return MISSING if value is PAST_THE_END else value
