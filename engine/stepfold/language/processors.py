"""The processors of distributed Maps, as definitions of their own: each item runs as an execution of such a machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stepfold.query.values import Json, text, tree


class Processor(NamedTuple):
    """A definition of its own: the block, in the query language of the whole machine.

    `label` is the Map's own, or made of the definition and the state's name, so that a revision keeps it. `type` is
    STANDARD or EXPRESS.
    """

    label: str
    type: str
    text: bytes


def processors(definition: bytes) -> dict[str, Processor]:
    """The processor of each distributed Map, by the name of its state; those inside a processor are its own matter."""
    if b"DISTRIBUTED" not in definition:
        return {}
    whole = tree(definition)
    return dict(_found(definition, whole, whole.get("QueryLanguage")))


def is_distributed(state: Mapping[str, Json]) -> bool:
    """Whether a state is a Map whose items are executions of their own."""
    block = state.get("ItemProcessor") or state.get("Iterator") or {}
    return bool(block.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED")


def _found(definition: bytes, block: Mapping[str, Json], language: Json) -> Iterator[tuple[str, Processor]]:
    for name, state in block["States"].items():
        for branch in state.get("Branches", ()):
            yield from _found(definition, branch, language)
        inner = state.get("ItemProcessor") or state.get("Iterator")
        if inner is None:
            continue
        if not is_distributed(state):
            yield from _found(definition, inner, language)
            continue
        own = {key: value for key, value in inner.items() if key != "ProcessorConfig"}
        if language is not None:
            own["QueryLanguage"] = language
        kind = inner["ProcessorConfig"].get("ExecutionType", "STANDARD")
        yield name, Processor(state.get("Label") or _label(definition, name), kind, bytes(text(own)))


def _label(definition: bytes, name: str) -> str:
    """A label in the form of a UUID, as AWS generates them (recorded)."""
    made = hashlib.sha256(definition + b"\0" + name.encode()).hexdigest()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-a{made[17:20]}-{made[20:32]}"
