"""moto's engine, in this process and in memory, on a definition of the States Language. Prints seconds."""

import time
from pathlib import Path

import boto3
from moto import mock_aws

ROLE = "arn:aws:iam::123456789012:role/peer"
LOOK_EVERY = 0.02


def main(definition: str, given: str) -> None:
    """Take the time from the start to the result."""
    client = boto3.client("stepfunctions", "eu-west-1", aws_access_key_id="peer", aws_secret_access_key="peer")  # noqa: S106
    machine = client.create_state_machine(name="peer", definition=definition, roleArn=ROLE)["stateMachineArn"]
    begun = time.perf_counter()
    execution = client.start_execution(stateMachineArn=machine, name="one", input=given)["executionArn"]
    while (told := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(LOOK_EVERY)
    taken = time.perf_counter() - begun
    if told["status"] != "SUCCEEDED":
        raise AssertionError(told)
    print(taken)


if __name__ == "__main__":
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        main(Path("definition.json").read_text("utf-8"), Path("input.json").read_text("utf-8"))
