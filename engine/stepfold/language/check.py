"""All that is wrong with a definition (being written)."""

from __future__ import annotations

from collections.abc import Mapping

from stepfold.query.values import Json

from .diagnostics import Diagnostic


def check(definition: bytes | str | Mapping[str, Json], *, type: str = "STANDARD", placeholders: bool = False) -> list[Diagnostic]:  # noqa
    return []
