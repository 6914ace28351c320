"""AWS's own clients against `stepfold serve`, each unchanged: boto3, the `aws` command, the SDK for JavaScript.

STEPFOLD_AWS_CLI names an `aws` to try, STEPFOLD_NODE_MODULES a folder in which `@aws-sdk/client-sfn` was installed;
`.ci/run` installs both.
"""

import json
import os
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import stepfold

from .served import ACCOUNT, PATIENCE, REGION, ROLE, Served

AWS_CLI = os.environ.get("STEPFOLD_AWS_CLI", "")
NODE_MODULES = os.environ.get("STEPFOLD_NODE_MODULES", "")
NO_CLI = "NO AWS CLI: STEPFOLD_AWS_CLI names none, so the aws command line is not tried"
NO_SDK = "NO SDK FOR JAVASCRIPT: STEPFOLD_NODE_MODULES names no folder that has it, so @aws-sdk/client-sfn is not tried"
DEFINITION = json.dumps({"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 86_400, "End": True}}})
EVENTS = ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]
STARTER = Path(stepfold.__file__).parent / "examples" / "starter"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"

needs_node_sdk = pytest.mark.skipif(not NODE_MODULES or shutil.which("node") is None, reason=NO_SDK)


@pytest.fixture(name="served")
def _served(tmp_path):
    with Served(tmp_path) as served:
        yield served
        assert served.stop() == 0


@pytest.fixture(name="sfn")
def _sfn(served):
    client = served.client()
    yield client
    client.close()


def surroundings(served, **more):
    """What an SDK reads: where to call, and credentials that need not be right; nothing of this machine's own."""
    nowhere = str(served.folder / "none")
    return {
        "PATH": os.environ["PATH"], "HOME": str(served.folder), "AWS_ENDPOINT_URL_SFN": served.url,
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true", **more,
    }  # fmt: skip


def test_boto3(sfn):
    machine = sfn.create_state_machine(name="by-boto3", definition=DEFINITION, roleArn=ROLE)["stateMachineArn"]
    arn = sfn.start_execution(stateMachineArn=machine, name="one", input='{"n": 1}')["executionArn"]
    described = sfn.describe_execution(executionArn=arn)
    assert (described["status"], described["input"], described["redriveCount"]) == ("RUNNING", '{"n": 1}', 0)
    assert isinstance(described["startDate"], datetime)
    sfn.stop_execution(executionArn=arn, error="Enough", cause="said so")
    stopped = sfn.describe_execution(executionArn=arn)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Enough", "said so")
    assert stopped["redriveStatus"] == "REDRIVABLE"
    assert [event["type"] for event in sfn.get_execution_history(executionArn=arn)["events"]] == EVENTS
    assert isinstance(sfn.redrive_execution(executionArn=arn)["redriveDate"], datetime)
    redriven = sfn.describe_execution(executionArn=arn)
    assert (redriven["status"], redriven["redriveCount"]) == ("RUNNING", 1)
    pages = sfn.get_paginator("get_execution_history").paginate(executionArn=arn, PaginationConfig={"PageSize": 2})
    assert [event["type"] for page in pages for event in page["events"]][:4] == [*EVENTS, "ExecutionRedriven"]
    with pytest.raises(sfn.exceptions.ExecutionDoesNotExist):
        sfn.describe_execution(executionArn=f"{arn}s")
    with pytest.raises(ClientError, match="ValidationException"):
        sfn.start_execution(stateMachineArn=machine, traceHeader="é")


@pytest.mark.skipif(not AWS_CLI, reason=NO_CLI)
def test_the_aws_command_line(served):
    def aws(command, *arguments, refused=False):
        told = subprocess.run(
            [AWS_CLI, "stepfunctions", command, *arguments, "--output", "json"], capture_output=True, text=True,
            timeout=PATIENCE, env=surroundings(served), check=False,
        )  # fmt: skip
        assert bool(told.returncode) == refused, told.stderr
        return told.stderr if refused else json.loads(told.stdout or "{}")

    machine = aws("create-state-machine", "--name", "by-cli", "--definition", DEFINITION, "--role-arn", ROLE)
    started = aws(
        "start-execution", "--state-machine-arn", machine["stateMachineArn"], "--name", "one", "--input", '{"n": 1}'
    )
    execution = ("--execution-arn", started["executionArn"])
    described = aws("describe-execution", *execution)
    assert (described["status"], described["input"]) == ("RUNNING", '{"n": 1}')
    aws("stop-execution", *execution, "--error", "Enough")
    stopped = aws("describe-execution", *execution)
    assert (stopped["status"], stopped["error"]) == ("ABORTED", "Enough")
    assert [event["type"] for event in aws("get-execution-history", *execution)["events"]] == EVENTS
    assert "redriveDate" in aws("redrive-execution", *execution)
    redriven = aws("describe-execution", *execution)
    assert (redriven["status"], redriven["redriveCount"]) == ("RUNNING", 1)
    refusal = aws("describe-execution", "--execution-arn", f"{started['executionArn']}s", refused=True)
    assert "(ExecutionDoesNotExist)" in refusal


@needs_node_sdk
def test_the_sdk_for_javascript(served):
    told = subprocess.run(
        ["node", str(Path(__file__).with_name("round_trip.js")), DEFINITION, ROLE], capture_output=True, text=True,
        timeout=PATIENCE, env=surroundings(served, NODE_PATH=NODE_MODULES), check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {
        "input": '{"n": 1}', "statuses": ["RUNNING", "ABORTED", "RUNNING"], "dates": True, "error": "Enough",
        "events": EVENTS, "redrives": 1, "missing": True,
    }  # fmt: skip


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=needs_node_sdk)])
def test_a_function_starts_an_execution_by_the_sdk_with_no_endpoint_in_its_code(language, tmp_path):
    starter = shutil.copytree(STARTER, tmp_path / "starter", ignore=shutil.ignore_patterns("__pycache__"))
    if language == "node":
        (starter / "node" / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
    with Served(tmp_path, starter / "template.yaml") as served:
        sfn = served.client()
        started = sfn.start_execution(stateMachineArn=f"{MACHINE}from-{language}", input='{"dataId": "trees"}')
        ended = until_ended(sfn, started["executionArn"])
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        (greeting,) = sfn.list_executions(stateMachineArn=f"{MACHINE}greeting")["executions"]
        assert json.loads(ended["output"]) == {"executionArn": greeting["executionArn"]}
        greeted = until_ended(sfn, greeting["executionArn"])
        assert json.loads(greeted["input"]) == {"dataId": "trees", "startedBy": language}
        assert json.loads(greeted["output"]) == {"greeting": f"hello trees, from {language}"}
        sfn.close()
        assert served.stop() == 0


def until_ended(sfn, arn):
    """The description of an execution, once it has ended."""
    late = time.monotonic() + PATIENCE
    while (described := sfn.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < late, "it did not end in time"
        time.sleep(0.02)  # another process does it
    return described
