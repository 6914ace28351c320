"""What a check finds, and the one line that AWS makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from stepfold.query.values import Json, text

ERROR: Literal["ERROR"] = "ERROR"
WARNING: Literal["WARNING"] = "WARNING"

SCHEMA = "SCHEMA_VALIDATION_FAILED"
UNSUPPORTED = "NOT_SUPPORTED"
"""Ours: right by the language, but not built yet."""

ALWAYS_SEEN = frozenset({"input", "context"})
"""What `$states` has everywhere."""

_PLACEHOLDER = re.compile(r"\$\{[^{}]+\}")


class Diagnostic(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong (ERROR), or likely not meant (WARNING).

    `location` is the path of fields to it, such as `/States/Each/Branches[0]/StartAt`; AWS gives none for a
    machine without an end. Where AWS names what holds a field rather than the field, `focus` is the field's own place.
    """

    severity: Literal["ERROR", "WARNING"]
    code: str
    message: str
    location: str | None = None
    focus: str | None = None


@dataclass(slots=True)
class View:
    """What a check sees besides the value it looks at: where findings go, and under which rules it looks.

    `placeholders` says that a text with `${Name}` in it stands for a value of the right kind; `express`, that the
    machine is an Express workflow; `whole`, the query language of the whole machine, `jsonata`, whether the state
    looked at is written in JSONata. `mixed` says that nothing is made of fields of the other language: the state's own
    language is refused, or left open. `sees` are the fields that `$states` has at the place looked at.
    """

    found: list[Diagnostic]
    placeholders: bool = False
    express: bool = False
    whole: str = "JSONPath"
    jsonata: bool = False
    mixed: bool = False
    sees: frozenset[str] = ALWAYS_SEEN

    def error(self, message: str, place: str | None, code: str = SCHEMA, *, focus: str | None = None) -> None:
        """Note what is wrong; an empty place is the definition itself."""
        self.found.append(Diagnostic(ERROR, code, message, "/" if place == "" else place, focus))

    def warning(self, code: str, message: str, place: str) -> None:
        """Note what is likely not meant."""
        self.found.append(Diagnostic(WARNING, code, message, place))

    def open(self, value: Json) -> bool:
        """Whether the value is left open by a placeholder."""
        return self.placeholders and isinstance(value, str) and _PLACEHOLDER.search(value) is not None


def as_invalid_definition(diagnostics: Iterable[Diagnostic]) -> str:
    """The message of AWS's InvalidDefinition: every error in one line."""
    errors = [
        f"{found.code}: {found.message} at {'null' if found.location is None else found.location}"
        for found in diagnostics
        if found.severity == ERROR
    ]
    return f"Invalid State Machine Definition: '{', '.join(errors)}'"


def as_text(definition: bytes | str | Mapping[str, Json]) -> bytes:
    """The bytes of a definition: as they were given, or plain data written out."""
    if isinstance(definition, bytes):
        return definition
    return definition.encode("utf-8", "surrogatepass") if isinstance(definition, str) else bytes(text(definition))
