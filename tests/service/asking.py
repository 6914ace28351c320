"""The operations as a client meets them, without a port: JSON to a request, an answer or an error to JSON."""

import msgspec
import pytest

from stepfold.errors import CallerError
from stepfold.service.service import StepFunctions
from stepfold.service.wire import protocol

ROLE = "arn:aws:iam::123456789012:role/worker"
HOME = "arn:aws:states:us-east-1:123456789012:stateMachine:"


class Refused(Exception):
    """AWS's shape of an error."""

    def __init__(self, code, message, body=None):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.body = code, message, body


class Api:
    """`await api("DescribeStateMachine", stateMachineArn=...)`: the answer as plain data, or Refused."""

    def __init__(self, engine):
        self.engine = engine
        self.service = StepFunctions(engine)

    async def __call__(self, operation, /, **members):
        try:
            request = protocol.read(operation, msgspec.json.encode(members))
            answer = await self.service.operations[operation](self.service, request)
        except CallerError as error:
            body = msgspec.json.decode(protocol.refuse(error, "id").body)
            raise Refused(body["__type"].rpartition("#")[2], body["message"], body) from None
        return msgspec.json.decode(protocol.answer(answer, "id").body)

    async def create(self, name="orders", definition=None, **members):
        """A machine, whose definition says `definition` where that is a word."""
        text = definition if definition is not None and "{" in definition else passing(definition)
        given = {"name": name, "definition": text, "roleArn": ROLE, **members}
        return await self("CreateStateMachine", **given)

    async def pages(self, operation, key, size, **members):
        """Every item of a list, page by page."""
        token, found = {}, []
        while True:
            page = await self(operation, maxResults=size, **token, **members)
            assert len(page[key]) <= size
            found += page[key]
            if "nextToken" not in page:
                return found
            token = {"nextToken": page["nextToken"]}


class Client(Api):
    """An Api for tests of executions: pages one by one, and waiting for an end."""

    async def pages(self, operation, field, **params):
        """Every page of a list, each as its items."""
        while True:
            page = await self(operation, **params)
            yield page[field]
            if "nextToken" not in page:
                return
            params["nextToken"] = page["nextToken"]

    async def until_ended(self, arn):
        """The description of an execution once it has ended."""
        run = self.service.engine.runs.get(arn)
        if run is not None:
            await run.ended.wait()
        return await self("DescribeExecution", executionArn=arn)


def passing(word=None):
    """The text of a machine that ends at once with a word."""
    result = {} if word is None else {"Result": word}
    state = {"Type": "Pass", "End": True, **result}
    return msgspec.json.encode({"StartAt": "Only", "States": {"Only": state}}).decode()


async def refused(call, code, message=None):
    """The error of a call, which must be this one; its whole body."""
    with pytest.raises(Refused) as caught:
        await call
    error = caught.value
    assert (error.code, error.message if message is not None else None) == (code, message)
    return error.body
