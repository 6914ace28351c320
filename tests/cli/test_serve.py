"""`stepfold serve` in a process of its own, and boto3 as it comes before it."""

from __future__ import annotations

import json
import re
import signal
import socket
import time

import boto3
import pytest
from botocore.config import Config

MACHINE = "arn:aws:states:eu-north-1:111111111111:stateMachine:"
ROLE = "arn:aws:iam::111111111111:role/any"
DEADLINE = 30.0

WAITING = {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 86_400, "End": True}}}
INVOKE = "arn:aws:states:::lambda:invoke"
CALLING = {"StartAt": "Call", "States": {"Call": {
    "Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "nobody"}, "End": True}}}
FAILING = {"StartAt": "Fall", "States": {"Fall": {"Type": "Fail", "Error": "Over", "Cause": "the edge"}}}

ORDERS = """
Resources:
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: orders
      Definition:
        StartAt: Price
        States:
          Price: {Type: Task, Resource: !GetAtt Price.Arn, End: true}
  Price:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: price
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            print("pricing", flush=True)
            return event["count"] * 2
"""

VARIABLES = """
import os
def handler(event, context):
    names = ("AWS_ENDPOINT_URL_SFN", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE")
    return {name: os.environ.get(name) for name in names}
"""


def client(url, **options):
    named = {"aws_access_key_id": "any", "aws_secret_access_key": "any", **options}
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
    return boto3.client("stepfunctions", endpoint_url=url, region_name="eu-north-1", config=config, **named)


def ended(sfn, arn):
    """The description of an execution, once it has ended."""
    end = time.monotonic() + DEADLINE
    while (told := sfn.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < end, told
    return told


def types(sfn, arn):
    return [event["type"] for event in sfn.get_execution_history(executionArn=arn)["events"]]


@pytest.fixture
def serve(start):
    """A server in a process of its own; its URL is `url`."""

    def begin(*words):
        process = start("serve", "--port", "0", "--region", "eu-north-1", "--account", "111111111111", *words)
        process.until("listening on http://")
        process.until("\n")
        process.url = re.search(r"^listening on (http://\S+)$", process.said, re.MULTILINE)[1]
        return process

    return begin


def test_boto3_creates_starts_stops_and_redrives_and_a_restart_keeps_it_all(serve):
    server = serve("--store", "served.db")
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", server.said), "the contract, and nothing else"
    sfn = client(server.url)
    waiting = sfn.create_state_machine(name="waiting", definition=json.dumps(WAITING), roleArn=ROLE)["stateMachineArn"]
    failing = sfn.create_state_machine(name="failing", definition=json.dumps(FAILING), roleArn=ROLE)["stateMachineArn"]
    assert (waiting, failing) == (MACHINE + "waiting", MACHINE + "failing")

    fell = sfn.start_execution(stateMachineArn=failing, name="fell", input='{"n":1}')["executionArn"]
    told = ended(sfn, fell)
    assert (told["status"], told["error"], told["cause"], told["input"]) == ("FAILED", "Over", "the edge", '{"n":1}')
    assert types(sfn, fell) == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    assert sfn.redrive_execution(executionArn=fell)["redriveDate"]
    assert ended(sfn, fell)["redriveCount"] == 1

    nobody = sfn.create_state_machine(name="nobody", definition=json.dumps(CALLING), roleArn=ROLE)["stateMachineArn"]
    lost = sfn.start_execution(stateMachineArn=nobody)["executionArn"]
    assert ended(sfn, lost)["error"] == "Lambda.ResourceNotFoundException"
    sfn.delete_state_machine(stateMachineArn=nobody)

    stopped = sfn.start_execution(stateMachineArn=waiting, name="stopped")["executionArn"]
    sfn.stop_execution(executionArn=stopped, error="Enough")
    assert (ended(sfn, stopped)["status"], ended(sfn, stopped)["error"]) == ("ABORTED", "Enough")
    goes_on = sfn.start_execution(stateMachineArn=waiting, name="goes-on")["executionArn"]
    history = {arn: sfn.get_execution_history(executionArn=arn)["events"] for arn in (fell, stopped, goes_on)}
    assert server.signal(signal.SIGTERM) == 0

    again = serve("--store", "served.db")
    sfn = client(again.url)
    machines = sfn.list_state_machines()["stateMachines"]
    assert {one["stateMachineArn"] for one in machines} == {waiting, failing}
    assert {arn: sfn.get_execution_history(executionArn=arn)["events"] for arn in history} == history
    assert sfn.start_execution(stateMachineArn=waiting, name="goes-on")["executionArn"] == goes_on, "idempotent still"
    sfn.stop_execution(executionArn=goes_on)
    assert ended(sfn, goes_on)["status"] == "ABORTED"
    assert again.signal(signal.SIGINT) == 0


def test_functions_and_machines_of_templates_are_there_and_come_again(serve, write):
    write("orders.yaml", ORDERS)
    write("other.json", {"Resources": {"Other": {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"StateMachineName": "other", "DefinitionString": json.dumps(WAITING)},
    }}})
    given = ("--template", "orders.yaml", "--template", "other.json")
    for name in ("first", "second"):
        server = serve("--store", "orders.db", *given)
        sfn = client(server.url)
        assert sfn.describe_state_machine(stateMachineArn=MACHINE + "other")["status"] == "ACTIVE"
        arn = sfn.start_execution(stateMachineArn=MACHINE + "orders", name=name, input='{"count":21}')["executionArn"]
        told = ended(sfn, arn)
        assert (told["status"], told["output"]) == ("SUCCEEDED", "42")
        server.until("pricing")
        assert server.signal(signal.SIGTERM) == 0


def test_what_the_api_made_of_a_templates_machine_stands_until_the_template_changes(serve, write):
    def template(seconds):
        wait = {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": seconds, "End": True}}}
        write("wait.json", {"Resources": {"Wait": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"StateMachineName": "wait", "DefinitionString": json.dumps(wait)},
        }}})

    def served(change=None):
        server = serve("--store", "wait.db", "--template", "wait.json")
        sfn = client(server.url)
        if change is not None:
            change(sfn, stateMachineArn=MACHINE + "wait")
        told = [one["name"] for one in sfn.list_state_machines()["stateMachines"]]
        if told:
            told = json.loads(sfn.describe_state_machine(stateMachineArn=MACHINE + "wait")["definition"])
        assert server.signal(signal.SIGTERM) == 0
        return told

    template(1)
    assert served(lambda sfn, **arn: sfn.update_state_machine(**arn, definition=json.dumps(FAILING))) == FAILING
    assert served() == FAILING
    template(2)
    assert served()["States"]["Hold"]["Seconds"] == 2
    assert served(lambda sfn, **arn: sfn.delete_state_machine(**arn)) == []
    assert served()["States"]["Hold"]["Seconds"] == 2


def test_a_local_function_is_told_where_the_api_is(serve, write):
    functions = {}
    for name, variables in {"Plain": {}, "Own": {"AWS_ACCESS_KEY_ID": "mine", "AWS_REGION": "sa-east-1"}}.items():
        functions[name] = {"Type": "AWS::Serverless::Function", "Properties": {
            "Runtime": "python3.12", "Handler": "index.handler", "InlineCode": VARIABLES,
            "Environment": {"Variables": variables},
        }}
    states = {name: {"Type": "Task", "Resource": f"arn:aws:lambda:eu-north-1:111111111111:function:{name}",
                     "ResultPath": f"$.{name}", **({"Next": "Own"} if name == "Plain" else {"End": True})}
              for name in functions}
    machine = {"Type": "AWS::Serverless::StateMachine", "Properties": {
        "Name": "both", "Definition": {"StartAt": "Plain", "States": states},
    }}
    write("both.json", {"Resources": {**functions, "Both": machine}})
    server = serve("--store", "memory://", "--template", "both.json")
    sfn = client(server.url)
    arn = sfn.start_execution(stateMachineArn=MACHINE + "both", input="{}")["executionArn"]
    told = json.loads(ended(sfn, arn)["output"])
    plain, own = told["Plain"], told["Own"]
    assert plain["AWS_ENDPOINT_URL_SFN"] == own["AWS_ENDPOINT_URL_SFN"] == server.url
    assert plain["AWS_REGION"] == "eu-north-1"
    assert plain["AWS_ACCESS_KEY_ID"]
    assert plain["AWS_SECRET_ACCESS_KEY"]
    assert (own["AWS_REGION"], own["AWS_ACCESS_KEY_ID"], own["AWS_SECRET_ACCESS_KEY"]) == ("sa-east-1", "mine", None)


def test_with_keys_only_what_they_signed_is_answered(serve, write):
    secret = "a-secret-of-these-tests"  # noqa: S105
    write("keys.toml", f'[[key]]\nid = "READS"\nsecret = "{secret}"\npolicy = "reader"\n').chmod(0o600)
    server = serve("--store", "memory://", "--keys", "keys.toml")
    reader = client(server.url, aws_access_key_id="READS", aws_secret_access_key=secret)
    assert reader.list_state_machines()["stateMachines"] == []
    with pytest.raises(reader.exceptions.ClientError, match="AccessDenied"):
        reader.create_state_machine(name="no", definition=json.dumps(WAITING), roleArn=ROLE)
    stranger = client(server.url)
    with pytest.raises(stranger.exceptions.ClientError, match=r"403|UnrecognizedClient|InvalidSignature"):
        stranger.list_state_machines()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--host", "192.0.2.1"), 2, "--keys FILE"),
        (("--keys", "nowhere.toml"), 2, "nowhere.toml"),
        (("--template", "nowhere.yaml"), 2, "nowhere.yaml: no such file"),
        (("--template", "bad.json"), 2, "the machine 'bad'"),
        (("--template", "good.json", "--template", "same.json"), 2, "is in good.json already"),
        (("--account", "12"), 2, "twelve digits"),
        (("--region", "Europe"), 2, "region"),
        (("--port", "65536"), 2, "65536"),
        (("--store", "good.json"), 3, "good.json"),
    ],
)
def test_what_cannot_be_served_is_told_and_nothing_is_opened(sf, write, here, words, code, told):
    for name, definition in {"bad": {"StartAt": "Gone", "States": {}}, "good": WAITING, "same": WAITING}.items():
        write(f"{name}.json", {"Resources": {"One": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"StateMachineName": name if name == "bad" else "one",
                           "DefinitionString": json.dumps(definition)},
        }}})
    done = sf("serve", "--port", "0", *words)
    assert done.exit_code == code
    assert told in done.stderr
    assert not done.stdout
    assert not (here / "stepfold.db").exists()


def test_a_port_and_a_store_that_are_taken_are_told(serve, sf):
    server = serve("--store", "taken.db")
    done = sf("serve", "--port", "0", "--store", "taken.db")
    assert (done.exit_code, str(server.pid) in done.stderr) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = sf("serve", "--port", taken.getsockname()[1], "--store", "free.db")
    assert (done.exit_code, "cannot be listened on" in done.stderr) == (2, True)


def test_without_the_extra_it_says_which(sf, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "stepfold.service.serving", None)
    done = sf("serve", "--port", "0")
    assert (done.exit_code, "pip install 'stepfold[server]'" in done.stderr) == (2, True)
