"""What is remembered of executions' starts: little, and the same as the log says."""

import json

import pytest
from tests.service.asking import Client

from stepfold import Engine

pytestmark = pytest.mark.anyio


async def test_what_is_remembered_is_bounded_and_is_what_the_log_says(anyio_backend, monkeypatch):
    monkeypatch.setattr("stepfold.service.starts.KEPT", 2)
    async with Engine() as engine:
        api = Client(engine)
        machine = (await api.create("orders"))["stateMachineArn"]
        for number in range(4):
            text = json.dumps({"n": number, "long": "x" * (5000 if number == 3 else 1)})
            arn = (await api("StartExecution", stateMachineArn=machine, input=text))["executionArn"]
            first, again = await api.until_ended(arn), await api("DescribeExecution", executionArn=arn)
            assert first == again
            assert first["input"] == text
            assert len(api.service.starts._kept) == [1, 2, 2, 2][number]
