"""What a check finds: one finding with AWS's code and place, AWS's one line of all of them, and the text checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from stepfold.query.values import Json, text

ERROR: Literal["ERROR"] = "ERROR"
WARNING: Literal["WARNING"] = "WARNING"

SCHEMA = "SCHEMA_VALIDATION_FAILED"


class Diagnostic(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong (ERROR), or likely not meant (WARNING).

    `location` is the path of fields to it, such as `/States/Each/Branches[0]/StartAt`; AWS gives none for a
    machine without an end.
    """

    severity: Literal["ERROR", "WARNING"]
    code: str
    message: str
    location: str | None = None


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
