"""The Context object that a caller of TestState gives: read, and held against the fields that there are."""

from __future__ import annotations

from typing import Final

from stepfold.errors import CallerError
from stepfold.query.values import Json, NotAdmitted, admit, tree

_FIELDS: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "Execution": {
        "Id": str, "Input": object, "Name": str, "RoleArn": str, "StartTime": str, "RedriveCount": int,
        "RedriveTime": str,
    },
    "State": {"EnteredTime": str, "Name": str, "RetryCount": int},
    "StateMachine": {"Id": str, "Name": str},
    "Task": {"Token": str},
}
_NAMES: Final = {str: "a string", int: "a number", dict: "an object"}


def context_of(written: str) -> dict[str, Json]:
    """The Context object; raises CallerError. What is missing stays missing, as on AWS (recorded: `{}`)."""
    try:
        whole = tree(admit(written))
    except NotAdmitted:
        whole = None
    if not isinstance(whole, dict):  # (this text and those on types are ours: none are recorded)
        raise _refused("must be a JSON object")
    for name, part in whole.items():
        if name == "Map":
            raise _refused("'Map' field is not supported when mocking a Context object")
        if name not in _FIELDS:
            raise _refused(f"Field '{name}' is not allowed")
        if not isinstance(part, dict):
            raise _refused(f"Field '{name}' must be an object")
        _check_part(part, _FIELDS[name])
    return whole


def _check_part(part: dict[str, Json], known: dict[str, type | tuple[type, ...]]) -> None:
    for name, value in part.items():
        if name not in known:
            raise _refused(f"Field '{name}' is not allowed")
        kind = known[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _refused(f"Field '{name}' must be {_NAMES[kind]}")  # type: ignore[index]


def _refused(why: str) -> CallerError:
    return CallerError(f"Invalid Context object provided: {why}")
