"""AWS's services as a worker: optimised integrations and `aws-sdk:` alike, told by the table and botocore's models.

    engine.workers.register("arn:aws:states:::sqs:*", Services(Clients("eu-central-1")), last=True)

Botocore's own retries are off: whether a call is repeated is the state's Retry to say. What the model calls an
idempotency token is made of the call's own, so that a call made again after a crash is the same one to the service.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import anyio.to_thread

from stepfold.language.failures import RUNTIME
from stepfold.language.resources import Resource, parse_resource
from stepfold.query.values import Json, NotAdmitted, Value, admit, admit_tree, tree
from stepfold.work.call import Call, TaskError, Unstartable
from stepfold.work.functions import lambdas

from . import faults, models, shaped, stored
from .clients import Clients
from .converse import conversed

NO_CREDENTIALS: Final = (
    "Unable to load AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE. An endpoint that "
    "looks at none, such as LocalStack's, takes any text for them."
)
_TOKEN_NAMES: Final = uuid.UUID("7d8e4f0a-6f59-5b0e-8f0d-0a4d6f3c1b52")
_TOKENS: Final = {("codebuild", "StartBuild"), ("codebuild", "StartBuildBatch"), ("codebuild", "RetryBuildBatch")}
"""Operations with an `idempotencyToken` that the model does not mark as one."""
_PARTLY: Final[Mapping[tuple[str, str], tuple[str, str, bool]]] = {
    ("ecs", "runTask"): ("Failures", "AmazonECS.Unknown", False),
    ("events", "putEvents"): ("FailedEntryCount", "EventBridge.FailedEntry", True),
}
"""Answers that tell of a failure: which member does, how the Task then fails, and whether also where it only wants the
answer (EventBridge's is recorded; ECS's is what users saw)."""
_CARRIED: Final = {("bedrock", "invokeModel"): "Body", ("lambda", "invoke"): "Payload"}
"""Members that carry JSON, which is told as such (AWS's guide and its examples)."""
_CONVERSING: Final = ("bedrockagentcore", "invokeHarness")
"""What streams a conversation."""
_STORING: Final = ("bedrock", "invokeModel")
"""What may read its input from S3, and write its output there."""
_BARE: Final = {"bedrock", "events"}
"""Optimised integrations that do not show the traces of the HTTP answer."""


class Services:
    """Calls any service that botocore knows."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    async def __call__(self, call: Call) -> Value:
        """Do what the Task asks and answer as Step Functions does; raises TaskError as AWS would fail."""
        resource = parse_resource(call.resource)
        if resource.family == "Lambda":
            return await self._function(call)
        return admit_tree(await self.answer(call, resource, tree(call.arguments)))

    async def answer(self, call: Call, resource: Resource, arguments: Json) -> dict[str, Json]:
        """The operation's result as a tree."""
        asked = await anyio.to_thread.run_sync(models.operation, resource)
        if asked is None:
            raise TaskError(RUNTIME, f"The resource provided {call.resource} is not recognized.")
        output = None
        if (resource.kind, resource.action) == _STORING:
            arguments, output = await self._fetched(call, arguments)
        spoken = models.SPOKEN.get((resource.kind, resource.action), ("@", "@"))
        parameters = _spoken(call, spoken[0], arguments)
        if by := models.BY_NAME.get((resource.kind, resource.action)):
            parameters = _spoken(call, spoken[0], arguments | {"Id": await self._id(call, resource, by, arguments)})
        found, metadata = await self.ask(call, resource, asked, parameters)
        found = dict(picked(spoken[1], found))
        _check_whole(resource, found)
        if (resource.kind, resource.action) == _CONVERSING:
            return conversed(found["Stream"])
        if output is not None:
            found["Body"] = await self._kept(call, found, output)
        elif carrier := _CARRIED.get((resource.kind, resource.action)):
            found[carrier] = _carried(found, carrier)
        if resource.kind.startswith(faults.SDK) or resource.kind in _BARE:
            return found
        return found | _traces(metadata)

    async def ask(
        self, call: Call, resource: Resource, asked: models.Operation, arguments: Json
    ) -> tuple[dict[str, Json], Mapping[str, Any]]:
        """What an operation answers to arguments as a Task writes them, and how the answer came."""
        try:
            parameters = shaped.request(asked.input, arguments)
        except shaped.NotARequest as wrong:
            raise Unstartable(call.arguments, str(wrong)) from None
        client = await self.clients.client(asked.service)
        model = client.meta.service_model
        if missing := _missing(asked, parameters):
            raise faults.unanswered(resource, model, f"Parameter '{missing}' must not be null")
        for name in client_tokens(asked):
            parameters.setdefault(name, str(uuid.uuid5(_TOKEN_NAMES, call.token)))
        answer = await self._asked(asked, resource, model, parameters)
        found = shaped.result(asked.output, answer, epoch=not resource.kind.startswith(faults.SDK))
        return found, answer["ResponseMetadata"]

    async def _fetched(self, call: Call, arguments: Json) -> tuple[Json, str | None]:
        """The arguments with their input, where that is an object in S3; and the object that the output goes to."""
        try:
            apart = stored.stored(arguments)
        except shaped.NotARequest as wrong:
            raise Unstartable(call.arguments, str(wrong)) from None
        if apart.input is None:
            return apart.arguments, apart.output
        found = await self._object(call, stored.READ, stored.named(apart.input))
        return {**apart.arguments, "Body": found.get("Body", "")}, apart.output

    async def _kept(self, call: Call, found: Mapping[str, Json], output: str) -> str:
        """Put the body of an answer into S3; the reference that takes its place."""
        kind = {"ContentType": found["ContentType"]} if "ContentType" in found else {}
        await self._object(call, stored.WRITE, {**stored.named(output), "Body": found.get("Body", ""), **kind})
        return output

    async def _object(self, call: Call, resource: Resource, arguments: Json) -> dict[str, Json]:
        asked = await anyio.to_thread.run_sync(models.operation, resource)
        if asked is None:
            raise AssertionError("botocore has no model of S3")
        found, _ = await self.ask(call, resource, asked, arguments)
        return found

    async def _id(self, call: Call, resource: Resource, by: models.ByName, arguments: Json) -> Json:
        """The id of what the arguments name."""
        listing = models.of_service(resource, by.ask)
        name, asked = arguments.get(by.name), {"ClusterId": arguments.get("ClusterId")}
        while listing is not None:
            found, _ = await self.ask(call, resource, listing, asked)
            if named := [one for one in found.get(by.listed, ()) if one.get("Name") == name]:
                return named[0]["Id"]
            if not found.get("Marker"):
                break
            asked["Marker"] = found["Marker"]
        # (AWS's name for it, and its words, are unverified.)
        raise TaskError("ElasticMapReduce.InvalidRequestException", f"The cluster has no {by.name} {name!r}.")

    async def _asked(
        self, asked: models.Operation, resource: Resource, model: Any, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        from botocore import exceptions

        fail = partial(faults.unanswered, resource, model)
        try:
            return await self.clients.call(asked.service, asked.name, parameters)
        except exceptions.ClientError as error:
            raise faults.refused(resource, model, _told(error.response)) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise fail(NO_CREDENTIALS) from None
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            raise fail(f"Unable to execute HTTP request: {error}", sent=True) from None
        except exceptions.BotoCoreError as error:
            raise fail(str(error)) from None

    async def _function(self, call: Call) -> Value:
        """A function that a Task names by its ARN: its event goes in, its result comes out."""
        invoke = parse_resource("arn:aws:states:::lambda:invoke")
        arguments = {"FunctionName": call.resource, "Payload": bytes(call.arguments).decode()}
        return admit_tree((await self.answer(call, invoke, arguments))["Payload"])


def _spoken(call: Call, expression: str, arguments: Json) -> Json:
    from jmespath.exceptions import JMESPathError

    try:
        return picked(expression, arguments)
    except JMESPathError:
        raise Unstartable(call.arguments, "The value of the field 'Parameters' has an invalid format") from None


def client_tokens(asked: models.Operation) -> list[str]:
    """The members of a request by which the service knows a repetition of it, by botocore's names."""
    if (asked.service, asked.name) in _TOKENS:
        return ["idempotencyToken"]
    shapes = {} if asked.input is None else asked.input.members
    return [name for name, shape in shapes.items() if shape.metadata.get("idempotencyToken")]


def _told(response: Mapping[str, Any]) -> faults.Told:
    error, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    return faults.Told(
        code=str(error.get("Code", "")),
        message=str(error.get("Message", "")),
        status=int(metadata.get("HTTPStatusCode", 0)),
        request=str(metadata.get("RequestId", "")),
        extended=str(metadata.get("HostId", "")),
    )


def picked(expression: str, value: Json) -> Json:
    """What a JMESPath expression of our tables picks (the library comes with botocore)."""
    import jmespath

    return value if expression == "@" else jmespath.search(expression, value)


def _check_whole(resource: Resource, found: Mapping[str, Json]) -> None:
    member, error, also_answer = _PARTLY.get((resource.kind, resource.action), ("", "", False))
    if found.get(member) and (also_answer or resource.pattern != "answer"):
        raise TaskError(error, shaped.written(found))


def _missing(asked: models.Operation, parameters: Mapping[str, Any]) -> str | None:
    """A part of the address that is not given; all else is the service's to miss."""
    for name, (member, shape) in ({} if asked.input is None else models.members(asked.input)).items():
        if shape.serialization.get("location") == "uri" and parameters.get(member) in {None, ""}:
            return name
    return None


def _carried(answer: Mapping[str, Json], carrier: str) -> Json:
    """What a function returned, or a model said; raises what a function failed with."""
    payload = answer.get(carrier, "")
    try:
        plain = tree(admit(payload))
    except NotAdmitted:
        plain = payload
    if answer.get("FunctionError"):
        error = plain.get("errorType") if isinstance(plain, dict) else None
        raise TaskError(error or lambdas.UNKNOWN, payload)
    return plain


# --- the traces of the HTTP answer that an optimised integration shows ------------------------------------------------


def _traces(metadata: Mapping[str, Any]) -> dict[str, Json]:
    headers = {_header(name): value for name, value in sorted(metadata.get("HTTPHeaders", {}).items())}
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": metadata.get("HTTPStatusCode", 0),
        },
        "SdkResponseMetadata": {"RequestId": metadata.get("RequestId", "")},
    }


def _header(name: str) -> str:
    """A header as services write it (botocore has them in lower case)."""
    if name == "x-amzn-requestid":
        return "x-amzn-RequestId"
    return name if name.startswith("x-") else "-".join(part.capitalize() for part in name.split("-"))
