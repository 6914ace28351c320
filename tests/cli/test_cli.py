"""The commands, each by itself: what they print where, and the exit codes that they promise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import anyio
import pytest
from tests.runtime.world import wait
from tests.service.asking import Client

from stepfold import Engine

from .conftest import EXAMPLES

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}
FAIL = {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "Oops", "Cause": "it \x1b[2Jwent wrong"}}}
BAD = {"StartAt": "X", "States": {"A": {"Type": "Pass", "Next": "Y"}, "B": {"Type": "Task", "End": True}}}
MISSING = {"StartAt": "A", "States": {"A": {
    "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:Nobody", "End": True}}}
ORDERS = EXAMPLES / "orders" / "template.yaml"
ARTICLE = EXAMPLES / "article"


def functions(*names: str) -> str:
    """A template with Python functions that give back `{"did": NAME}`."""
    resources = {name: {"Type": "AWS::Serverless::Function", "Properties": {
        "Runtime": "python3.12", "Handler": "index.handler", "Timeout": 30,
        "InlineCode": f"def handler(event, context):\n    print('in', '{name}')\n    return {{'did': '{name}'}}\n",
    }} for name in names}
    return json.dumps({"Resources": resources})


def test_run_prints_the_output_and_nothing_else_on_stdout(sf, write):
    told = sf("run", write("order.asl.json", PASS), "--input", '{"n": 1.10}', "--name", "monday")
    assert (told.exit_code, told.stdout) == (0, '{"n":1.10}\n')
    assert "order as monday in stepfold.db" in told.stderr
    assert "▸ A" in told.stderr
    assert "✓ SUCCEEDED" in told.stderr


@pytest.mark.parametrize("cause", ["[" * 16_000, '{"errorMessage": "it broke", "stackTrace": 5}', '"\\ud800"'])
def test_any_cause_is_told(sf, write, cause):
    told = sf("run", write("m.asl.json", {"StartAt": "A", "States": {"A": {"Type": "Fail", "Cause": cause}}}))
    assert told.exit_code == 1
    assert "it broke" in told.stderr or cause[:50] in told.stderr


def test_input_comes_from_a_file_or_stdin(sf, write):
    file = write("m.asl.json", PASS)
    write("in.json", '{"from": "file"}')
    assert sf("run", file, "--input", "@in.json").stdout == '{"from":"file"}\n'
    assert sf("run", file, "--input", "-", stdin='{"from": "stdin"}').stdout == '{"from":"stdin"}\n'
    assert sf("run", file).stdout == "{}\n"


@pytest.mark.parametrize(("given", "words"), [
    ("not json", "Invalid State Machine Execution Input: 'Unrecognized token 'not': was expecting (JSON String,"),
    ("{", "Invalid State Machine Execution Input: '"),
    ("", "Invalid execution input."),
    ('{"a": NaN}', "Invalid State Machine Execution Input: '"),
])
def test_an_input_that_is_no_json_is_refused_before_anything_starts(sf, write, here, given, words):
    told = sf("run", write("m.asl.json", PASS), "--input", given)
    assert told.exit_code == 2
    assert f"InvalidExecutionInput: {words}" in told.stderr
    assert not (here / "stepfold.db").exists()


def test_all_that_is_wrong_with_a_definition_is_listed_and_nothing_starts(sf, write, here):
    told = sf("run", write("m.asl.json", BAD))
    assert (told.exit_code, told.stdout) == (2, "")
    for place in ("/StartAt", "/States/A/Next", "/States/B"):
        assert place in told.stderr
    assert "MISSING_TRANSITION_TARGET" in told.stderr
    assert not (here / "stepfold.db").exists()


def test_errors_as_json(sf, write):
    told = json.loads(sf("run", write("m.asl.json", BAD), "--json").stdout)
    assert told["error"] == "InvalidDefinition"
    assert {"severity", "code", "message", "location"} <= told["diagnostics"][0].keys()
    assert json.loads(sf("show", "nobody", "--json").stdout)["error"] == "StoreError"


def test_a_failed_execution(sf, write):
    told = sf("run", write("m.asl.json", FAIL), "--name", "x")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "✗ FAILED" in told.stderr
    assert "Oops\n  it went wrong" in told.stderr, "and no escape sequence of its own"
    shown = json.loads(sf("show", "x", "--json").stdout)
    assert (shown["status"], shown["error"], "output" in shown) == ("FAILED", "Oops", False)


def test_a_template_runs_with_its_functions(sf):
    told = sf("run", ORDERS, "--input", f"@{EXAMPLES / 'orders' / 'input-out-of-stock.json'}", "--store", "memory://")
    assert told.exit_code == 0
    assert json.loads(told.stdout) == {"orderId": "A-1043", "status": "cancelled", "because": "OutOfStock"}
    assert "CancelOrder │ order A-1043 is called off: OutOfStock" in told.stderr
    assert "↷ Prepare  failed (OutOfStock) → Cancel Order" in told.stderr


def test_a_definition_takes_its_functions_from_a_template(sf):
    definition = ARTICLE / "statemachine.asl.json"
    told = sf("run", definition, "--template", ARTICLE / "template-python.yaml", "--input", '{"dataId": "x"}')
    assert json.loads(told.stdout)["saved"] == 7
    alone = sf("run", definition)
    assert alone.exit_code == 2
    assert "${ProcessMyDataArn}" in alone.stderr
    assert "--template" in alone.stderr


def test_one_of_several_machines_is_chosen(sf, write):
    machine = {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": PASS}}
    file = write("t.yaml", {"Resources": {"One": machine, "Two": machine}})
    told = sf("run", file)
    assert told.exit_code == 2
    assert "--machine: One, Two" in told.stderr
    assert sf("run", file, "--machine", "Two").exit_code == 0
    assert sf("run", file, "--machine", "Three").exit_code == 2


def test_a_missing_function_is_named_and_can_be_given_later(sf, write):
    told = sf("run", write("m.asl.json", MISSING), "--name", "x")
    assert (told.exit_code, told.stdout) == (5, "")
    assert "waits for the function 'Nobody'" in told.stderr
    assert "stepfold resume --store stepfold.db --template TEMPLATE" in told.stderr
    still = sf("resume")
    assert still.exit_code == 5
    assert "x  RUNNING  waits for Nobody" in still.stdout
    given = sf("resume", "--template", write("f.json", functions("Nobody")))
    assert given.exit_code == 0
    assert given.stdout == '✓ x  SUCCEEDED  {"did":"Nobody"}\n'
    assert "Nobody │ in Nobody" in given.stderr
    assert "nothing to resume" in sf("resume").stderr


def test_resume_as_json(sf, write):
    sf("run", write("m.asl.json", MISSING), "--name", "x")
    told = json.loads(sf("resume", "--json").stdout)
    assert [(one["name"], one["status"], one["waitsFor"]) for one in told["executions"]] == [
        ("x", "RUNNING", ["Nobody"]),
    ]


def test_a_runtime_that_is_not_run_here_fails_its_state(sf, write):
    function = {"Type": "AWS::Serverless::Function", "Properties": {
        "Runtime": "java21", "Handler": "a.B", "CodeUri": "."}}
    told = sf("run", write("m.asl.json", MISSING), "--template", write("t.json", {"Resources": {"Nobody": function}}))
    assert told.exit_code == 1
    assert "Stepfold.RuntimeNotSupported" in told.stderr
    assert "java21" in told.stderr


def test_a_name_is_taken_once(sf, write):
    file = write("m.asl.json", PASS)
    assert sf("run", file, "--name", "x").exit_code == 0
    told = sf("run", file, "--name", "x")
    assert told.exit_code == 2
    assert "Execution Already Exists" in told.stderr
    assert "Invalid Name" in sf("run", file, "--name", "a b").stderr


def test_limits_of_aws(sf, write):
    text = json.dumps("x" * 300_000)
    file = write("m.asl.json", PASS)
    write("in.json", text)
    assert sf("run", file, "--input", "@in.json").exit_code == 0
    told = sf("run", file, "--input", "@in.json", "--limits", "aws")
    assert told.exit_code == 2
    assert "262144" in told.stderr


def test_list_show_and_history(sf, write):
    file = write("m.asl.json", PASS)
    for name in ("one", "two"):
        sf("run", file, "--name", name)
    sf("run", write("f.asl.json", FAIL), "--name", "three")
    listed = json.loads(sf("list", "--json").stdout)["executions"]
    assert [one["name"] for one in listed] == ["three", "two", "one"]
    assert {"executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate"} == listed[0].keys()
    assert [one["name"] for one in json.loads(sf("list", "--status", "failed", "--json").stdout)["executions"]] == [
        "three"]
    assert len(json.loads(sf("list", "--machine", "m", "--limit", "1", "--json").stdout)["executions"]) == 1
    assert "two" in sf("list").stdout
    shown = sf("show", listed[1]["executionArn"]).stdout
    assert "SUCCEEDED" in shown
    assert listed[1]["executionArn"] in shown, "whole, where there is no terminal"
    events = json.loads(sf("history", "one", "--json").stdout)["events"]
    assert [(event["id"], event["previousEventId"], event["type"]) for event in events] == [
        (1, 0, "ExecutionStarted"), (2, 0, "PassStateEntered"), (3, 2, "PassStateExited"),
        (4, 3, "SucceedStateEntered"), (5, 4, "SucceedStateExited"), (6, 5, "ExecutionSucceeded"),
    ]
    assert "PassStateEntered            A  {}" in sf("history", "one").stdout


def test_stop_ends_what_nobody_runs_and_nothing_else(sf, write):
    file = write("m.asl.json", MISSING)
    sf("run", file, "--name", "x")
    sf("run", file, "--name", "y")
    before = sf("history", "y", "--json").stdout
    told = sf("stop", "x", "--error", "Enough", "--cause", "by hand")
    assert (told.exit_code, told.stdout) == (0, "x  ABORTED\n")
    last = json.loads(sf("history", "x", "--json").stdout)["events"][-1]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"] == {"error": "Enough", "cause": "by hand"}
    assert sf("history", "y", "--json").stdout == before
    assert sf("stop", "x").exit_code == 0, "it has ended: nothing happens"
    assert sf("stop", "z").exit_code == 2


def test_stop_ends_what_would_be_run_again_of_an_express_machine(sf):
    async def start():
        async with Engine("stepfold.db") as engine:
            machine = await engine.create("machine", wait(100), type="EXPRESS")
            told = [await Client(engine)("StartExecution", stateMachineArn=machine.arn, name=name, input='{"n": 1}')
                    for name in ("one", "other")]
        return [one["executionArn"] for one in told]

    async def open_again():
        async with Engine("stepfold.db") as engine:
            return list(engine.runs)

    one, other = anyio.run(start)
    told = sf("stop", one, "--error", "Enough", "--cause", "by hand", "--json")
    assert told.exit_code == 0
    said = json.loads(told.stdout)
    assert (said["executionArn"], said["status"], said["error"], said["cause"], said["input"]) == (
        one, "ABORTED", "Enough", "by hand", '{"n": 1}')
    assert sf("stop", one).stdout == "one  ABORTED\n", "it has ended: nothing happens"
    assert anyio.run(open_again) == [other]
    assert sf("stop", "one").exit_code == 2, "its name may be given again and again"


def test_check(sf, write):
    good, bad = write("good.asl.json", PASS), write("bad.asl.json", BAD)
    assert sf("check", good, ORDERS, ARTICLE / "statemachine.asl.json").exit_code == 0
    told = sf("check", good, bad)
    assert told.exit_code == 2
    assert f"✓ {good}: good" in told.stdout
    assert "/States/A/Next" in told.stdout
    files = json.loads(sf("check", bad, ORDERS, "--json").stdout)["files"]
    assert [one["result"] for file in files for one in file["machines"]] == ["FAIL", "OK"]
    assert files[1]["machines"][0]["name"] == "orders"
    assert len(files[1]["functions"]) == 5


def test_check_says_where_a_file_is_no_json(sf, write):
    told = sf("check", write("m.asl.json", '{"StartAt": "A",}'), "nothing.json")
    assert told.exit_code == 2
    assert "line 1, column 17" in told.stdout
    assert "nothing.json: no such file" in told.stdout


@pytest.mark.parametrize("words", [
    ("run", "nothing.asl.json"), ("run",), ("frobnicate",), ("run", "x", "--limits", "none"), ("check",),
    ("resume", "--template", "nothing.yaml"),
])
def test_what_was_typed_wrongly(sf, words):
    assert sf(*words).exit_code in ({2} if words[0] != "resume" else {2, 3})


def test_stores_that_cannot_be_used(sf, write, here):
    file = write("m.asl.json", PASS)
    (here / "junk.db").write_bytes(b"no database at all, and long enough to be read as one" * 100)
    for words in (
        ("list",), ("resume",), ("stop", "x"), ("list", "--store", "memory://"), ("list", "--store", "ftp://x"),
        ("run", file, "--store", "junk.db"), ("list", "--store", "junk.db"), ("run", file, "--store", "/proc/x.db"),
    ):
        told = sf(*words)
        assert told.exit_code == 3, words
        assert told.stderr.startswith("stepfold: "), words
        assert "Traceback" not in told.stderr
    assert not (here / "stepfold.db").exists(), "resume and stop make no store"


def test_the_store_is_named_by_the_environment(sf, write, here, monkeypatch):
    monkeypatch.setenv("STEPFOLD_STORE", "other.db")
    assert sf("run", write("m.asl.json", PASS), "--name", "x").exit_code == 0
    assert (here / "other.db").exists()
    assert "x" in sf("list").stdout


def test_a_mistake_of_our_own_is_one_sentence(sf, write, monkeypatch):
    monkeypatch.setattr("stepfold.cli.commands.read_source", lambda *_: 1 / 0)
    told = sf("run", write("m.asl.json", PASS))
    assert told.exit_code == 70
    assert "ZeroDivisionError" in told.stderr
    assert "Traceback" not in told.stderr
    assert "Traceback" in sf("run", write("m.asl.json", PASS), "--debug").stderr


def test_the_log_is_quiet_unless_asked_and_holds_no_payloads(sf, write):
    secret = "swordfish"  # noqa: S105
    file, template = write("m.asl.json", MISSING), write("f.json", functions("Nobody").replace("'did'", f"'{secret}'"))
    assert "level=" not in sf("run", file).stderr
    told = sf("resume", "--template", template, "-v")
    assert "event='resumed'" in told.stderr
    assert secret not in told.stderr


def test_help_and_version(sf):
    told = sf("--help")
    for word in ("demo", "run", "resume", "list", "show", "history", "stop", "check", "Exit codes:"):
        assert word in told.stdout
    assert sf("--version").stdout.startswith("stepfold 0.")


@pytest.mark.parametrize("node", [True, False], ids=["node", "python"])
def test_the_demo_shows_states_and_lines_and_says_what_runs(sf, monkeypatch, node):
    if node and not shutil.which("node"):
        pytest.skip("no Node here")
    if not node:
        monkeypatch.setattr("stepfold.cli.demonstration.shutil.which", lambda _: None)
    told = sf("demo")
    assert told.exit_code == 0
    assert ("Its handlers run in Node v" if node else "Its handlers run in Python 3.") in told.stdout
    states = [line.split("▸ ")[1].split("  ")[0] for line in told.stdout.splitlines() if "▸" in line]
    assert states == ["Fetch All My Data", *["Process My Data", "Do I have more data?"] * 3, "Save My Data"]
    lines = [line.split("│ ")[1] for line in told.stdout.splitlines() if "│" in line]
    assert lines[0] == 'fetched 7 records of "trees"'
    assert lines[-1] == 'saved 7 records of "trees"'
    assert told.stdout.index("▸ Save My Data") < told.stdout.index("saved 7 records"), "a state before its lines"
    assert '"saved": 7' in told.stdout


def test_what_the_demo_says_to_type_next_works(sf):
    told = sf("demo").stdout
    again = sf("demo").stdout
    assert "Execution demo-2" in again
    typed = [line.split("stepfold ", 1)[1] for line in told.splitlines()
             if line.startswith("  ") and "stepfold " in line and "--slow" not in line]
    assert len(typed) == 4
    for words in typed:
        done = subprocess.run(
            [sys.executable, "-m", "stepfold", *words.split()], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stderr)


def test_the_history_of_the_demo_is_chained_as_aws_chains_it(sf):
    sf("demo")
    events = json.loads(sf("history", "demo", "--store", "stepfold-demo.db", "--json").stdout)["events"]
    assert [event["id"] for event in events] == list(range(1, 34))
    assert [event["previousEventId"] for event in events] == [0, 0, *range(2, 33)]
    task = ["TaskStateEntered", "LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded",
            "TaskStateExited"]
    choice = ["ChoiceStateEntered", "ChoiceStateExited"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted", *task, *(task + choice) * 3, *task, "ExecutionSucceeded"]
    assert {"resource", "input", "inputDetails"} == events[2]["lambdaFunctionScheduledEventDetails"].keys()


# --- what Tasks may reach ---------------------------------------------------------------------------------------------

CALL = {"StartAt": "A", "States": {"A": {
    "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "q"}, "End": True}}}
MOCKS = {
    "StateMachines": {"call": {"TestCases": {"Good": {"A": "Sent"}}}},
    "MockedResponses": {"Sent": {"0": {"Return": {"MessageId": "1"}}}},
}


def test_mocks_stand_in_for_services(sf, write):
    machine, mocks = write("call.asl.json", CALL), write("mocks.json", MOCKS)
    told = sf("run", machine, "--mocks", f"{mocks}#Good")
    assert (told.exit_code, told.stdout) == (0, '{"MessageId":"1"}\n')
    told = sf("run", machine, "--mocks", f"{mocks}#Bad")
    assert told.exit_code == 2
    assert "no test case 'Bad'" in told.stderr


@pytest.mark.parametrize(("options", "words"), [
    (["--mocks", "gone.json#Good"], "gone.json: No such file"),
    (["--connections", "gone.toml"], "gone.toml: No such file"),
    (["--allow-http", "https://a/b"], "--allow-http: 'https://a/b' names no host"),
])
def test_what_cannot_be_reached_is_said_before_anything_starts(sf, write, here, options, words):
    told = sf("run", write("m.asl.json", PASS), *options)
    assert told.exit_code == 2
    assert words in told.stderr
    assert not (here / "stepfold.db").exists()


def test_services_that_the_environment_does_not_name_are_waited_for(sf, write, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    told = sf("run", write("call.asl.json", CALL))
    assert told.exit_code == 5
    assert "arn:aws:states:::sqs:sendMessage" in told.stderr
