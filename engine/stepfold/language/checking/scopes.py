"""Variables over the blocks of a machine: a name is set in one scope at a time, and read where it can be seen.

A block is a scope: the machine, a branch, what a Map does to its items. What a state of the block sets, with its rules
and its catchers, belongs to it. The children of a distributed Map are executions of their own: they see nothing from
outside, so no name there is taken (unverified: AWS's guide says that they see nothing, and of names only why they must
differ where scopes see each other). The codes and texts are AWS's at second hand: no recording shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from stepfold.query.values import Json

from .diagnostics import View
from .graph import distributed, inner_blocks, targets
from .references import used_variables


def check_scopes(view: View, definition: Mapping[str, Json]) -> None:
    """Refuse names that a scope around has by then, and warn of names that nobody sets."""
    _block(view, definition, "", _nothing, frozenset())


def _nothing(_variable: str) -> bool:
    """Nothing is set around."""
    return False


def _block(
    view: View, block: Json, place: str, around: Callable[[str], bool], visible: frozenset[str] | None
) -> None:
    """Look at a block: `around` tells of a name set outside before it, `visible` are those it can read (None: unknown).

    The first is asked rather than told, because it has to walk the ways to the block, and few names need it.
    """
    states = block.get("States") if isinstance(block, dict) else None
    if not isinstance(states, dict):
        return
    whole = {name: state for name, state in states.items() if isinstance(state, dict)}
    sets: dict[str, set[str]] = {}
    for name, state in whole.items():
        sets[name] = set()
        for assign, where in _assigns(state, f"{place}/States/{name}"):
            if not isinstance(assign, dict) or any(view.open(field) for field in assign):
                visible = None  # the names come to light when it runs, or when a template is filled in
                continue
            for field in assign:
                variable = field if _jsonata(view, state) else field.removesuffix(".$")
                sets[name].add(variable)
                if around(variable):
                    message = f"The variable name '{variable}' was already defined in a parent scope."
                    view.error(message, f"{where}/{field}", "DUPLICATE_VARIABLE_NAME")
    own = frozenset[str]().union(*sets.values())
    known = None if visible is None else visible | own
    sources = _sources(whole) if own else {}

    def before(state: str, variable: str) -> bool:
        # Recorded: a branch may set what the catcher of its own Parallel sets; that comes after.
        return around(variable) or (
            variable in own and any(variable in sets[other] for other in _before(state, sources))
        )

    for name, state in whole.items():
        at = f"{place}/States/{name}"
        if known is not None:
            for variable, where in used_variables(state, at, jsonata=_jsonata(view, state)):
                if variable not in known:
                    message = f"Variable '{variable}' is possibly not defined."
                    view.warning("POSSIBLY_UNDEFINED_VARIABLE", message, where)
        for inner, where in inner_blocks(state, at):
            if distributed(inner):
                _block(view, inner, where, _nothing, frozenset())
            else:
                _block(view, inner, where, partial(before, name), known)


def _sources(states: Mapping[str, Mapping[str, Json]]) -> dict[str, list[str]]:
    """For each state those that lead to it."""
    found: dict[str, list[str]] = {}
    for name, state in states.items():
        for target, _ in targets(state, ""):
            found.setdefault(target, []).append(name)
    return found


def _before(name: str, sources: Mapping[str, list[str]]) -> set[str]:
    """The other states from which this one can be reached."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in sources.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found - {name}


def _jsonata(view: View, state: Mapping[str, Json]) -> bool:
    """Whether a state is written in JSONata."""
    return bool(state.get("QueryLanguage", view.whole) == "JSONata")


def _assigns(state: Mapping[str, Json], place: str) -> Iterator[tuple[Json, str]]:
    """Every Assign of a state, and its place."""
    holders: list[tuple[Json, str]] = [(state, place)]
    for field in ("Choices", "Catch"):
        if isinstance(parts := state.get(field), list):
            holders += ((part, f"{place}/{field}[{index}]") for index, part in enumerate(parts))
    for holder, at in holders:
        if isinstance(holder, dict) and "Assign" in holder:
            yield holder["Assign"], f"{at}/Assign"
