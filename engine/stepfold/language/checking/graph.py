"""Where states lead: targets that are there, states that are reached, a way to end, names used once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stepfold.language.limits import NAME_CHARACTERS
from stepfold.query.values import Json

from .diagnostics import View

MISSING = "MISSING_TRANSITION_TARGET"


def check_graph(view: View, definition: Mapping[str, Json]) -> None:
    """Check every block of a machine for itself: nothing leads from one into another."""
    names: set[str] = set()
    labels: set[str] = set()
    for block, place in _blocks(definition):
        states = {name: state for name, state in block["States"].items() if isinstance(state, dict)}
        _names(view, block["States"], place, names)
        _labels(view, states, place, labels)
        _ways(view, block.get("StartAt"), block["States"], place)


def _blocks(definition: Mapping[str, Json]) -> Iterator[tuple[Mapping[str, Json], str]]:
    """Every block that has states, outermost first, and its place."""
    waiting: list[tuple[Json, str]] = [(definition, "")]
    while waiting:
        block, place = waiting.pop(0)
        if not isinstance(block, dict) or not isinstance(block.get("States"), dict):
            continue
        yield block, place
        for name, state in block["States"].items():
            if isinstance(state, dict):
                waiting.extend(inner_blocks(state, f"{place}/States/{name}"))


def distributed(block: Json) -> bool:
    """Whether a Map runs what it does to its items as executions of their own."""
    match block:
        case {"ProcessorConfig": {"Mode": "DISTRIBUTED"}}:
            return True
    return False


def inner_blocks(state: Mapping[str, Json], place: str) -> Iterator[tuple[Json, str]]:
    """The blocks in a state, with their places; they may be anything at all."""
    if state.get("Type") == "Parallel" and isinstance(branches := state.get("Branches"), list):
        for index, branch in enumerate(branches):
            yield branch, f"{place}/Branches[{index}]"
    elif state.get("Type") == "Map":
        for field in ("ItemProcessor", "Iterator"):
            yield state.get(field), f"{place}/{field}"


def _names(view: View, states: Mapping[str, Json], place: str, seen: set[str]) -> None:
    for name in states:
        at = f"{place}/States/{name}"
        if name in seen:
            view.error(f"Duplicate State name: {name}", at, "DUPLICATE_STATE_NAME")
        seen.add(name)
        if not name:
            view.error("The name of a state cannot be empty", at, "INVALID_STATE_NAME")
        elif len(name) > NAME_CHARACTERS and not view.open(name):
            message = f"The name of a state can have {NAME_CHARACTERS} characters at most, this one has {len(name)}"
            view.error(message, at, "INVALID_STATE_NAME")


def _labels(view: View, states: Mapping[str, Mapping[str, Json]], place: str, seen: set[str]) -> None:
    for name, state in states.items():
        label = state.get("Label")
        if state.get("Type") != "Map" or not isinstance(label, str) or view.open(label):
            continue
        if label in seen:
            view.error(f"Duplicate Label name: {label}", f"{place}/States/{name}/Label", "DUPLICATE_LABEL_NAME")
        seen.add(label)


def _ways(view: View, start: Json, states: Mapping[str, Json], place: str) -> None:
    """Targets within the block, an end of the machine, and what cannot be reached."""
    nameless = any(view.open(name) for name in states)
    ways = {name: list(targets(state, f"{place}/States/{name}")) for name, state in states.items()}
    first = [(start, f"{place}/StartAt")] if isinstance(start, str) else []
    for target, at in (*first, *(way for leads in ways.values() for way in leads)):
        if target not in states and not view.open(target) and not nameless:
            view.error(f"Missing 'Next' target: {target}", at, MISSING)
    if not states or any(_unknown(view, state) for state in states.values()):
        return
    # measured: the machine alone is asked for an end, and without one AWS says nothing of what cannot be reached
    if not place and endless(states, view):
        view.error("Workflow has no terminal state", None, "MISSING_END_STATE")
        return
    if not isinstance(start, str) or nameless or view.open(start):
        return
    if any(view.open(target) for leads in ways.values() for target, _ in leads):
        return
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in states and name not in reached:
            reached.add(name)
            waiting.extend(target for target, _ in ways[name])
    for name in states:
        if name not in reached:
            view.error(f'State "{name}" is not reachable.', f"{place}/States/{name}", MISSING)


def endless(states: Mapping[str, Json], view: View) -> bool:
    """Whether no state of a block ends it; one that leads nowhere has a mistake of its own, and may yet."""
    return bool(states) and not any(_ends(view, state) or not any(targets(state, "")) for state in states.values())


def _unknown(view: View, state: Json) -> bool:
    """Whether nothing can be said of where a state leads."""
    return not isinstance(state, dict) or view.open(state.get("Type"))


def _ends(view: View, state: Json) -> bool:
    if not isinstance(state, dict):
        return True
    end = state.get("End")
    return end is True or view.open(end) or state.get("Type") in ("Succeed", "Fail")


def targets(state: Json, place: str) -> Iterator[tuple[str, str]]:
    """The names of states that a state may lead to, and where it says so; it may be anything at all."""
    if not isinstance(state, dict):
        return
    ways: list[tuple[Json, str]] = []
    if state.get("Type") == "Choice":
        ways.extend(_nexts(state.get("Choices"), f"{place}/Choices"))
        ways.append((state.get("Default"), f"{place}/Default"))
    elif state.get("Type") not in ("Succeed", "Fail"):
        ways.append((state.get("Next"), f"{place}/Next"))
        ways.extend(_nexts(state.get("Catch"), f"{place}/Catch"))
    for target, at in ways:
        if isinstance(target, str):
            yield target, at


def _nexts(items: Json, place: str) -> Iterator[tuple[Json, str]]:
    if isinstance(items, list):
        for index, item in enumerate(items):
            if isinstance(item, dict):
                yield item.get("Next"), f"{place}[{index}]/Next"
