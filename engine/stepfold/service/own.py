"""`aws-sdk:sfn`: the operations of this very service as Tasks ask for them, without a detour through the network.

AWS's SDK for Java is what a Task speaks to there. So members begin with an upper-case letter, times are ISO texts, and
an error is named and worded as that SDK does (recorded). Data in the place of a text is written as JSON (recorded for
`Input`); a null is a member left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final, cast

import msgspec
from msgspec import Raw, inspect

from stepfold.errors import CallerError
from stepfold.language.resources import parse_resource
from stepfold.query.values import Json, Value, text, tree
from stepfold.work.call import Call, TaskError
from stepfold.work.functions import lambdas
from stepfold.work.services.faults import TRIED
from stepfold.work.services.models import spelled

from .operations import executions
from .operations.served import Served
from .wire import protocol, shapes
from .wire.protocol import Answer, Operation

SERVICE: Final = "aws-sdk:sfn"


class Own:
    """A worker for `arn:aws:states:::aws-sdk:sfn:*`, with or without a task token."""

    def __init__(self, service: Served, operations: Mapping[str, Operation]) -> None:
        self._service = service
        self._operations = operations

    async def __call__(self, call: Call) -> Value:
        """Do the operation that the Resource names: its answer. Raises TaskError."""
        action = parse_resource(call.resource).action
        name = action[:1].upper() + action[1:]
        request = lambdas.request_id(call.token)
        operation = self._operations.get(name)
        try:
            if operation is None:
                raise protocol.Refusal("UnknownOperationException", f"{name} is not an operation of this service")
            wish = protocol.read(name, bytes(text(_given(_type(shapes.OPERATIONS[name].input), tree(call.arguments)))))
            _check_discreet(wish)
            if isinstance(wish, shapes.StartExecutionInput):
                # A Task that is begun again after a crash must not start another.
                answer: Answer = await executions.start_execution(self._service, wish, origin=request)
            else:
                answer = await operation(self._service, wish)
        except CallerError as error:
            raise _refused(error, name, request) from None
        return text(_told(_output(name, answer)))


def _check_discreet(wish: shapes.Shape) -> None:
    if isinstance(wish, shapes.TestStateInput) and wish.revealSecrets:  # (our own words, and our own rule)
        raise CallerError("A Task cannot have secrets revealed: they would stand in the history.")


def _given(kind: inspect.Type, value: Json) -> Json:
    """A request as the API takes it, from what a Task says."""
    kind = _plain(kind)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {spelled(field.encode_name): field for field in kind.fields}
        return {
            fields[name].encode_name: _given(fields[name].type, member)
            for name, member in value.items()
            if name in fields and member is not None
        }
    if isinstance(kind, inspect.ListType) and isinstance(value, list):
        return [_given(kind.item_type, item) for item in value]
    if isinstance(kind, inspect.StrType) and not isinstance(value, str):
        return bytes(text(value)).decode()
    return value


@cache
def _type(shape: type[shapes.Shape]) -> inspect.Type:
    return inspect.type_info(shape)


def _plain(kind: inspect.Type) -> inspect.Type:
    """The type itself, without what is said about it, and without its being optional."""
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        kind = kind.type if isinstance(kind, inspect.Metadata) else kind.types[0]
    return kind


def _output(name: str, answer: Answer) -> shapes.Shape | None:
    """An operation's answer as its Struct, in whatever form it came."""
    if answer is None or isinstance(answer, shapes.Shape):
        return answer
    written = bytes(answer) if isinstance(answer, Raw) else msgspec.json.encode(answer)
    return msgspec.json.decode(written, type=shapes.OPERATIONS[name].output)


def _told(value: object, *, time: bool = False) -> Json:
    """An answer as a Task sees it."""
    match value:
        case None:
            return {}
        case shapes.Shape():
            return {
                spelled(name): _told(member, time="Timestamp" in kind)
                for name, kind in type(value).__annotations__.items()
                if (member := getattr(value, name)) is not None
            }
        case list() | tuple():
            return [_told(item, time=time) for item in value]
        case Mapping():
            return {key: _told(member) for key, member in value.items()}
        case int() | float() if time:
            return _iso(value)
    return value


def _iso(seconds: float) -> str:
    """A point in time as Java writes it: milliseconds where there are some."""
    milliseconds = round(seconds * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{milliseconds % 1000:03d}Z" if milliseconds % 1000 else f"{at}Z"


def _refused(error: CallerError, operation: str, request: str) -> TaskError:
    """A refusal in the SDK's words; one that the model of the operation does not have is the service's own."""
    name = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
    known = operation in shapes.OPERATIONS and error.code in shapes.OPERATIONS[operation].errors
    status = cast("int", getattr(error, "status", 400))
    told = f"(Service: Sfn, Status Code: {status}, Request ID: {request}){TRIED}"
    return TaskError(f"Sfn.{name if known else 'SfnException'}", f"{error.message} {told}")
