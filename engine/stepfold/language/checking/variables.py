"""What an Assign may name: AWS's rules for variables."""

from __future__ import annotations

from stepfold.language.limits import NAME_CHARACTERS
from stepfold.query.values import Json

from .diagnostics import View
from .shapes import expressions, template, wrong_type


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
        if name == "states":
            view.error("Cannot assign to reserved variable '$states'.", place, "RESERVED_VARIABLE_NAME")
        elif not name.isidentifier():
            message = f"Invalid variable name '{name}': the variable name contains invalid characters."
            view.error(message, place, "INVALID_VARIABLE_NAME")
        elif len(name) > NAME_CHARACTERS:
            message = f"Invalid variable name '{name}': it has more than {NAME_CHARACTERS} characters."
            view.error(message, place, "INVALID_VARIABLE_NAME")
    template(view, value, place)
