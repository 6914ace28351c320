"""What an Assign may name: AWS's rules for variables."""

from __future__ import annotations

from typing import Final

from stepfold.language.limits import NAME_CHARACTERS
from stepfold.query.values import Json

from .diagnostics import View
from .shapes import expressions, template, wrong_type

RESERVED: Final = "states"


def assign(view: View, value: Json, place: str) -> None:
    """An object of variables and what they are set to; in JSONata an expression may make the whole of it."""
    if view.jsonata and isinstance(value, str) and value.startswith("{%"):
        expressions(view, value, place)
        return
    if not isinstance(value, dict):
        wrong_type(view, value, place, "Object")
        return
    for field in value:
        name = field.removesuffix(".$") if not view.jsonata else field
        if (message := misnamed(name)) is not None:
            view.error(message, place, "RESERVED_VARIABLE_NAME" if name == RESERVED else "INVALID_VARIABLE_NAME")
    template(view, value, place)


def misnamed(name: str) -> str | None:
    """Why no variable may have this name, in AWS's words; None where one may."""
    if name == RESERVED:
        return f"Cannot assign to reserved variable '${RESERVED}'."
    if not name.isidentifier():
        return f"Invalid variable name '{name}': the variable name contains invalid characters."
    if len(name) > NAME_CHARACTERS:
        return f"Invalid variable name '{name}': it has more than {NAME_CHARACTERS} characters."
    return None
