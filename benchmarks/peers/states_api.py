"""One execution through the API of AWS Step Functions, for the peers that speak it. Takes the time it needs."""

import time
from pathlib import Path
from typing import Any

import boto3

ROLE = "arn:aws:iam::123456789012:role/peer"
LOOK_EVERY = 0.02


def taken(endpoint: str | None = None) -> float:
    """Seconds from the start to the end of the definition in this folder, on its input."""
    client: Any = boto3.client(
        "stepfunctions", "eu-west-1", endpoint_url=endpoint,
        aws_access_key_id="peer", aws_secret_access_key="peer",  # noqa: S106
    )  # fmt: skip
    definition, given = (Path(name).read_text("utf-8") for name in ("definition.json", "input.json"))
    machine = client.create_state_machine(name="peer", definition=definition, roleArn=ROLE)["stateMachineArn"]
    begun = time.perf_counter()
    execution = client.start_execution(stateMachineArn=machine, name="one", input=given)["executionArn"]
    while (told := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(LOOK_EVERY)
    seconds = time.perf_counter() - begun
    if told["status"] != "SUCCEEDED":
        raise AssertionError(told)
    return seconds
