"""`kill -9` while jobs are waited for and callbacks are out: nothing is begun twice, and no callback is lost.

STEPFOLD_KILL_OPEN sets how many of each there are (200 in the acceptance of this behaviour).
"""

import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import BotoCoreError

from .served import ACCOUNT, PATIENCE, REGION, ROLE, Served

OPEN = int(os.environ.get("STEPFOLD_KILL_OPEN", "24"))
CLIENTS = 8
MACHINES = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:"
ACTIVITY = f"arn:aws:states:{REGION}:{ACCOUNT}:activity:hands"

HANDLER = """
import os, pathlib
def handler(event, context):
    pathlib.Path(os.environ["TOKENS"], context.aws_request_id).write_text(event["name"] + " " + event["token"])
"""
TEMPLATE = {
    "Resources": {
        "Send": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "FunctionName": "send", "Runtime": "python3.11", "Handler": "app.handler", "CodeUri": "code",
            },
        }
    }
}


def machine(**state):
    return json.dumps({"StartAt": "Only", "States": {"Only": {"Type": "Task", "End": True, **state}}})


CHILD = machine(Resource=ACTIVITY)
PARENT = machine(Resource="arn:aws:states:::states:startExecution.sync:2", Parameters={
    "StateMachineArn": MACHINES + "child", "Input.$": "$"}, ResultSelector={"done.$": "$.Output"})
CALLBACK = machine(Resource="arn:aws:states:::lambda:invoke.waitForTaskToken", Parameters={
    "FunctionName": "send", "Payload": {"name.$": "$$.Execution.Name", "token.$": "$$.Task.Token"}})


@pytest.fixture
def served(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "tokens").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLER)
    properties = TEMPLATE["Resources"]["Send"]["Properties"]
    properties["Environment"] = {"Variables": {"TOKENS": str(tmp_path / "tokens")}}
    (tmp_path / "template.json").write_text(json.dumps(TEMPLATE))
    with Served(tmp_path, tmp_path / "template.json") as one:
        yield one


def soon(condition):
    """Wait until the world is as it should be."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


def at_once(work, arguments):
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, arguments))


def sent(served):
    """What the function has handed out: the execution's name and its token, for each call."""
    return [tuple(path.read_text().split(" ")) for path in (served.folder / "tokens").iterdir()]


def executions(client, name):
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=MACHINES + name)
    return [one for page in pages for one in page["executions"]]


def open_them(client):
    client.create_activity(name="hands")
    for name, definition in (("child", CHILD), ("parent", PARENT), ("callback", CALLBACK)):
        client.create_state_machine(name=name, definition=definition, roleArn=ROLE)

    def start(index):
        client.start_execution(stateMachineArn=MACHINES + "parent", name=f"p{index}", input=json.dumps({"n": index}))
        client.start_execution(stateMachineArn=MACHINES + "callback", name=f"c{index}", input="{}")

    at_once(start, range(OPEN))


def close_them(served, client):
    """Answer everything, and look at what came of it."""
    def work(_):
        task = client.get_activity_task(activityArn=ACTIVITY, workerName="w")
        client.send_task_success(taskToken=task["taskToken"], output=task["input"])

    at_once(work, range(OPEN))
    for name in ("parent", "callback"):
        soon(lambda name=name: all(one["status"] == "SUCCEEDED" for one in executions(client, name)))
        assert len(executions(client, name)) == OPEN
    assert len(executions(client, "child")) == OPEN
    for index in range(OPEN):
        told = client.describe_execution(executionArn=f"{MACHINES}parent:p{index}".replace("stateMachine", "execution"))
        assert json.loads(told["output"]) == {"done": {"n": index}}


def test_what_was_handed_over_before_is_only_waited_for(served):
    client = served.client()
    open_them(client)
    soon(lambda: len(sent(served)) == OPEN and len(executions(client, "child")) == OPEN)
    tokens = dict(sent(served))
    early, late = list(tokens.values())[: OPEN // 2], list(tokens.values())[OPEN // 2 :]
    at_once(lambda token: client.send_task_success(taskToken=token, output='"early"'), early[: OPEN // 4])
    served.kill()
    for token in early[OPEN // 4 :]:  # nobody is there: the sender is told so, and sends again
        with pytest.raises(BotoCoreError):
            client.send_task_success(taskToken=token, output='"lost"')
    served.start()
    client = served.client()
    at_once(lambda token: client.send_task_success(taskToken=token, output='"late"'), [*early[OPEN // 4 :], *late])
    close_them(served, client)
    assert Counter(name for name, _ in sent(served)) == Counter(tokens.keys()), "a function was called again"
    refused = 0
    for token in tokens.values():  # each acted once
        try:
            client.send_task_success(taskToken=token, output="0")
        except client.exceptions.TaskTimedOut:
            refused += 1
    assert refused == OPEN


def test_what_was_being_handed_over_is_handed_over_once_or_known_again(served):
    client = served.client()
    open_them(client)
    served.kill()  # with functions and starts in flight
    before = Counter(name for name, _ in sent(served))
    logged = served.handed_over()
    served.start()
    client = served.client()
    soon(lambda: len({name for name, _ in sent(served)}) == OPEN and len(executions(client, "child")) == OPEN)
    again = Counter(name for name, _ in sent(served)) - before
    assert not again.keys() & {arn.rpartition(":")[2] for arn in logged}, "handed over again, against the log"
    begun = {one["executionArn"] for one in executions(client, "child")}
    assert {receipt["ExecutionArn"] for arn, receipt in logged.items() if ":parent:" in arn} <= begun
    assert all(count == 1 for count in before.values())
    assert max(again.values(), default=0) <= 1
    tokens = dict(sent(served))
    at_once(lambda token: client.send_task_success(taskToken=token, output="1"), tokens.values())
    close_them(served, client)
