"""What the mock of a TestState request answers, once it was found to fit the state and the API that the state calls.

`STRICT` (the default) wants all that the model of the API requires, `PRESENT` only looks at what is there, `NONE` at
nothing. The texts about arrays, strings, numbers, bounds, enums and missing fields were recorded, and so was that a
field which the model does not know may be anything. What other constraint a model has is taken to be worded alike.
Patterns are left out: none was seen to be looked at.
"""

from __future__ import annotations

from typing import Any, Final

import anyio.to_thread

from stepfold.errors import CallerError
from stepfold.language import states
from stepfold.language.failures import Failure
from stepfold.language.resources import Resource
from stepfold.language.steps import Step
from stepfold.query.values import NotAdmitted, Value, admit, items, tree
from stepfold.service.wire import shapes
from stepfold.work.services import models

_MOCKED: Final = {"Task", "Parallel", "Map"}
_NOT_HELD: Final = "eks"
"""Its mocks AWS holds against no model (its guide); nor those of HTTP and API Gateway, for which there is none."""
_NOT_AN_OBJECT: Final = "Mocked result must be a JSON object."

_WANTED: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "structure": (dict, "an object"),
    "map": (dict, "an object"),
    "list": (list, "an array"),
    "boolean": (bool, "a boolean"),
    "integer": ((int, float), "a number"),
    "long": ((int, float), "a number"),
    "float": ((int, float), "a number"),
    "double": ((int, float), "a number"),
}
"""What a value of botocore's types is in JSON; of any other type (a time, bytes) it is a string (recorded)."""
_STRING: Final[tuple[type, str]] = (str, "a string")


async def mocked(step: Step, request: shapes.TestStateInput) -> Value | Failure | None:
    """What the mock answers, or None where there is none; raises CallerError for one that does not fit."""
    mock = request.mock
    if mock is None:
        return None
    if step.type not in _MOCKED:
        raise CallerError(f"State type '{step.type}' is not supported when a mock is specified")
    if request.revealSecrets:
        raise CallerError("TestState does not support RevealSecrets when a mock is specified.")
    if (mock.result is None) == (mock.errorOutput is None):
        raise CallerError("A test mock should have only one of the following fields: [result, errorOutput].")
    if mock.errorOutput is not None:
        return Failure(mock.errorOutput.error, mock.errorOutput.cause)
    try:
        result = admit(mock.result or "")
    except NotAdmitted:
        raise CallerError("Mocked result must be valid JSON") from None
    _check_form(step, result)
    mode = mock.fieldValidationMode or "STRICT"
    if step.type == "Task" and mode != "NONE":
        # A model is read from disk, and unpacked.
        await anyio.to_thread.run_sync(_check_fields, step.asked, result, mode == "STRICT")
    return result


def _check_form(step: Step, result: Value) -> None:
    first = bytes(memoryview(result)[:1])
    if step.type == "Map" and step.of(states.Map).result_writer:
        if first != b"{":
            raise CallerError(_NOT_AN_OBJECT)
    elif step.type in {"Map", "Parallel"} and first != b"[":
        raise CallerError("Mocked result must be an array.")
    if step.type == "Parallel" and len(items(result)) != len(step.blocks):
        raise CallerError("Mocked result must contain the same number of items as number of Parallel branches.")


def _check_fields(asked: Resource, result: Value, strict: bool) -> None:
    """Raises CallerError where a result is not what the API answers."""
    if asked.outward or asked.kind == _NOT_HELD:  # (what comes back by a token is whatever its sender likes)
        return
    try:
        found = models.polled(asked) if asked.pattern == "sync" else models.operation(asked)
    except models.NoModels as missing:  # (our own words, here and below)
        raise CallerError(f"Mocked result cannot be validated: {missing}, or set fieldValidationMode to NONE") from None
    if found is None and asked.kind.startswith("aws-sdk:"):
        raise CallerError(
            f"Mocked result cannot be validated: botocore knows no API action of the resource '{asked.arn}'; "
            "a newer boto3 may, or set fieldValidationMode to NONE"
        )
    if found is None or found.output is None:
        return
    value = tree(result)
    if not isinstance(value, dict):
        raise CallerError(_NOT_AN_OBJECT)
    _check(found.output, value, "", strict=strict)


def _check(shape: Any, value: Any, field: str, *, strict: bool) -> None:
    """Raises CallerError at the first field, from the outside in, that is not as the shape describes it."""
    if getattr(shape, "is_document_type", False):
        return
    kind, name = _WANTED.get(shape.type_name, _STRING)
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits:
        raise _bad(f"Field '{field}' must be {name}")
    _check_bounds(shape, value, field)
    match shape.type_name:
        case "structure":
            _check_members(shape, value, strict=strict)
        case "list":
            for item in value:
                _check(shape.member, item, field, strict=strict)
        case "map":
            for item in value.values():
                _check(shape.value, item, field, strict=strict)


def _check_members(structure: Any, value: dict[str, Any], *, strict: bool) -> None:
    if strict:
        for name in map(models.spelled, structure.required_members):
            if value.get(name) is None:
                raise _bad(f"Required field '{name}' is missing")
    known = models.members(structure)
    for name, item in value.items():
        if name in known and item is not None:  # an explicit null is an absent field, as everywhere on the API
            _check(known[name].shape, item, name, strict=strict)


def _check_bounds(shape: Any, value: Any, field: str) -> None:
    """The model's enum, and its least and greatest: of a number its value, of all else its length."""
    least, greatest = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        raise _bad(f"Field '{field}' is not an expected value")
    number = isinstance(value, int | float)
    size, what = (value, "value") if number else (0 if isinstance(value, bool) else len(value), "length")
    if least is not None and size < least:
        raise _bad(f"Field '{field}' is {'less' if number else 'smaller'} than the minimum {what}")
    if greatest is not None and size > greatest:
        raise _bad(f"Field '{field}' exceeds the maximum {what}")


def _bad(what: str) -> CallerError:
    return CallerError(f"Mock result schema validation error: {what}")
