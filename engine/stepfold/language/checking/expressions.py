"""JSONata in the strings of a definition: what an expression uses, and why one is refused."""

from __future__ import annotations

import re
from typing import NamedTuple

from stepfold.query.jsonata.dialect import INVALID, UNSUPPORTED, compile_expression, is_expression
from stepfold.query.jsonata.syntax import read
from stepfold.query.template import SourceError
from stepfold.query.values import Json

_CODE = re.compile(r"[A-Z]\d{4}: ")


class Refused(NamedTuple):
    """Why an expression is none: AWS's code and text."""

    code: str
    message: str


class Uses(NamedTuple):
    """What stands in an expression.

    `variables` are names without their `$`; `fields` those of `$states` (`*`: all); `newer` holds operators that came
    after JSONata 2.0.6, which is AWS's.
    """

    variables: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    newer: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()


def uses(value: Json) -> Uses | None:
    """Read a text with the marks of an expression, `{% ... %}`; None for anything else."""
    if not is_expression(value):
        return None
    try:
        found = compile_expression(value)
    except SourceError as error:
        if error.code == UNSUPPORTED:
            return Uses(refused=tuple(_reference(name) for name in read(value[2:-2]).references))
        # AWS shows the text of JSONata's error without the code that JSONata gives it (seen by others in 2026)
        return Uses(refused=(Refused(INVALID, _CODE.sub("", error.reason, count=1)),))
    return Uses(found.variables, found.states, found.newer)


def _reference(name: str) -> Refused:
    where = "" if name == "$$" else " at the top level"
    return Refused(UNSUPPORTED, f"Reference to '{name}'{where} is not supported.")
