"""Calls through the wire layer, in this process: bytes to a request, the operation, bytes back."""

import json

from stepfold.errors import CallerError
from stepfold.service import protocol
from stepfold.service.service import StepFunctions


class Refused(Exception):
    """AWS's code and text."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Client:
    """`await client("StartExecution", stateMachineArn=...)` for an engine that is open."""

    def __init__(self, engine):
        self.service = StepFunctions(engine)

    async def __call__(self, operation, /, **params):
        try:
            request = protocol.read(operation, json.dumps(params).encode())
            reply = protocol.answer(await self.service.operations[operation](self.service, request), "id")
        except CallerError as error:
            told = json.loads(protocol.refuse(error, "id").body)
            raise Refused(told["__type"].rpartition("#")[2], told["message"]) from None
        return json.loads(reply.body)

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
