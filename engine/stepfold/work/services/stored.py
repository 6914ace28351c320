"""What `bedrock:invokeModel` may have in S3: a model's input, and what it says.

    {"ModelId": "m", "Input": {"S3Uri": "s3://bucket/prompt.json"}, "Output": {"S3Uri": "s3://bucket/answer.json"}}

So AWS's guide has it, for what is larger than the data of a Task may be: with an Output, the Body of the result is a
reference to the object. (That the reference is its S3Uri is unverified, and so are the words for what is refused here.)
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stepfold.language.resources import parse_resource
from stepfold.query.values import Json

from .shaped import NotARequest

READ: Final = parse_resource("arn:aws:states:::aws-sdk:s3:getObject")
WRITE: Final = parse_resource("arn:aws:states:::aws-sdk:s3:putObject")
_FIELDS: Final = ("Input", "Output")


class Stored(NamedTuple):
    """What the model itself is asked with, and the objects that its input is in and its output goes to."""

    arguments: Json
    input: str | None = None
    output: str | None = None


def stored(arguments: Json) -> Stored:
    """The arguments of a Task, taken apart; raises NotARequest."""
    if not isinstance(arguments, dict) or not any(arguments.get(field) is not None for field in _FIELDS):
        return Stored(arguments)
    rest = {name: value for name, value in arguments.items() if name not in _FIELDS}
    places = {field: _place(arguments[field]) for field in _FIELDS if arguments.get(field) is not None}
    if "Input" in places and rest.get("Body") is not None:
        raise NotARequest("The fields 'Body' and 'Input' cannot both be present")
    return Stored(rest, places.get("Input"), places.get("Output"))


def named(uri: str) -> dict[str, Json]:
    """The object as S3's operations name it."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def _place(given: Json) -> str:
    uri = given.get("S3Uri") if isinstance(given, dict) and len(given) == 1 else None
    if not isinstance(uri, str) or not uri.startswith("s3://") or not all(named(uri).values()):
        raise NotARequest("The value of the field 'S3Uri' has an invalid format")
    return uri
