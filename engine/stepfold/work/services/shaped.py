"""From a Task's arguments to a request that botocore sends, and from its answer to the Task's result, by its shapes.

    asked = operation(parse_resource("arn:aws:states:::sqs:sendMessage"))
    request(asked.input, {"QueueUrl": url, "MessageBody": {"n": 1}})   # {"QueueUrl": url, "MessageBody": '{"n":1}'}

What AWS's guide says of it: members are named with upper case first; a text that is given an object gets its JSON
("implicit serialisation": recorded for MessageBody, Message, Detail, Input and S3's Body).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stepfold.query.values import Json, text

from .models import members


class NotARequest(Exception):
    """Arguments that the operation does not take; the message lists why, in AWS's words."""


def request(shape: Any, arguments: Json) -> dict[str, Any]:
    """The parameters of the operation as botocore wants them.

    A null is as good as absent (recorded: DynamoDB then misses the member). Raises NotARequest.
    """
    wrong: list[str] = []
    if not isinstance(arguments, dict):
        raise NotARequest("The value of the field 'Parameters' has an invalid format")
    if shape is None:
        wrong.extend(map(_unknown, arguments))
        found: dict[str, Any] = {}
    else:
        found = _asked(shape, arguments, "", wrong)
    if wrong:
        raise NotARequest(", ".join(wrong))
    return found


def result(shape: Any, answer: Mapping[str, Any], *, epoch: bool = False) -> dict[str, Json]:
    """The answer as Step Functions tells it, members in the order of the model.

    Bytes and streams are told as text, or as base64 where they are no UTF-8. Times are ISO 8601 in UTC, or with
    `epoch` milliseconds since 1970: so do the two generations of AWS's SDK that Step Functions calls services with.
    """
    return {} if shape is None else _structure(shape, answer, epoch=epoch)


# --- asked ------------------------------------------------------------------------------------------------------------


def _asked(shape: Any, value: Json, name: str, wrong: list[str]) -> Any:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if kind == "structure":
        return _asked_structure(shape, value, name, wrong)
    if kind == "list":
        if isinstance(value, list):
            return [_asked(shape.member, one, name, wrong) for one in value]
    elif kind == "map":
        if isinstance(value, dict):
            return {key: _asked(shape.value, one, name, wrong) for key, one in value.items() if one is not None}
    elif kind in {"string", "char"}:
        return value if isinstance(value, str) else written(value)
    elif kind == "blob":
        return (value if isinstance(value, str) else written(value)).encode()
    elif kind == "timestamp":
        if isinstance(value, str) or _is_number(value):
            return value
    elif kind == "boolean":
        if isinstance(value, bool):
            return value
        if value in {"true", "false"}:
            return value == "true"
    elif (number := _number(value, whole=kind in {"integer", "long"})) is not None:
        return number
    wrong.append(f"The value of the field '{name}' has an invalid format")
    return None


def _asked_structure(shape: Any, value: Json, name: str, wrong: list[str]) -> Any:
    if not isinstance(value, dict):
        wrong.append(f"The value of the field '{name}' has an invalid format")
        return None
    known = members(shape)
    found: dict[str, Any] = {}
    for key, given in value.items():
        if (member := known.get(key)) is None:
            wrong.append(_unknown(key))
        elif given is not None:
            found[member.name] = _asked(member.shape, given, key, wrong)
    return found


def written(value: Json) -> str:
    """The compact JSON of a value."""
    return bytes(text(value)).decode()


def _unknown(name: str) -> str:
    return f"The field '{name}' is not supported by Step Functions"


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Json, *, whole: bool) -> int | float | None:
    if isinstance(value, str):
        try:
            value = int(value) if whole else float(value)
        except ValueError:
            return None
    if not _is_number(value) or (whole and value != int(value)):
        return None
    return int(value) if whole else float(value)


# --- told -------------------------------------------------------------------------------------------------------------


def _structure(shape: Any, answer: Mapping[str, Any], *, epoch: bool) -> dict[str, Json]:
    return {
        spelled: _told(member.shape, answer[member.name], epoch=epoch)
        for spelled, member in members(shape).items()
        if answer.get(member.name) is not None
    }


def _told(shape: Any, value: Any, *, epoch: bool) -> Json:
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return value
    if shape.serialization.get("eventstream"):
        return [_structure(shape, event, epoch=epoch) for event in value]
    if kind == "structure":
        return _structure(shape, value, epoch=epoch)
    if kind == "list":
        return [_told(shape.member, one, epoch=epoch) for one in value]
    if kind == "map":
        return {key: _told(shape.value, one, epoch=epoch) for key, one in value.items()}
    if isinstance(value, datetime):
        return _time(value, epoch=epoch)
    if kind == "blob":
        return readable(value.read() if hasattr(value, "read") else value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def readable(data: bytes | str) -> str:
    """Bytes as text: as they are where they are UTF-8, else in base64."""
    if isinstance(data, str):
        return data
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def _time(value: datetime, *, epoch: bool) -> Json:
    if epoch:
        return round(value.timestamp() * 1000)
    moment = value.astimezone(UTC)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")
