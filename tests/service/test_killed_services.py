"""`kill -9` while jobs of services and callbacks are open: no job twice, and no answer lost that was accepted.

STEPFOLD_KILL_TASKS sets how many there are of each kind (200 in the acceptance of this behaviour).
"""

import json
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3.exceptions
from botocore.exceptions import BotoCoreError
from tests.faults.levels import of_level

from stepfold.names import read_token

from .served import PATIENCE, ROLE, Served

pytest.importorskip("botocore")

TASKS = int(os.environ.get("STEPFOLD_KILL_TASKS", of_level(80, 200)))
GONE = (BotoCoreError, urllib3.exceptions.HTTPError)
OPEN, AHEAD = 0.6, 0.25
"""Which part of the jobs is handed over, and of the callbacks asked for, when the server is killed; and answered."""


class FarSide:
    """ECS, which knows a client token again; Glue, which knows none; and a queue that keeps tokens."""

    def __init__(self):
        self.lock = threading.Lock()
        self.runs = []  # client tokens of RunTask, as they came
        self.glue = []  # names of StartJobRun
        self.tokens = []  # task tokens that were sent
        self.over = threading.Event()
        self.takes = 0.7  # seconds, so that many are in flight at the kill
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = getattr(far, self.headers["X-Amz-Target"].rpartition(".")[2])(asked)
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):  # whoever asked was killed
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def RunTask(self, asked):  # noqa: N802
        with self.lock:
            self.runs.append(asked["clientToken"])
        time.sleep(self.takes)
        return {"tasks": [{"taskArn": f"task/{asked['clientToken']}"}], "failures": []}

    def DescribeTasks(self, asked):  # noqa: N802
        status = "STOPPED" if self.over.is_set() else "RUNNING"
        return {"tasks": [{"taskArn": arn, "lastStatus": status, "containers": []} for arn in asked["tasks"]]}

    def StartJobRun(self, asked):  # noqa: N802
        with self.lock:
            self.glue.append(asked["JobName"])
            number = self.glue.count(asked["JobName"])
        time.sleep(self.takes)
        return {"JobRunId": f"run/{asked['JobName']}/{number}"}

    def GetJobRun(self, asked):  # noqa: N802
        return {"JobRun": {"Id": asked["RunId"], "JobRunState": "SUCCEEDED" if self.over.is_set() else "RUNNING"}}

    def SendMessage(self, asked):  # noqa: N802
        with self.lock:
            self.tokens.append(asked["MessageBody"])
        return {"MessageId": "1"}


def task(resource, parameters):
    return json.dumps({"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True}}})


MACHINES = {
    "ecs": task("ecs:runTask.sync", {"TaskDefinition": "t"}),
    "glue": task("glue:startJobRun.sync", {"JobName.$": "$$.Execution.Name"}),
    "wait": task("sqs:sendMessage.waitForTaskToken", {"QueueUrl": "http://q", "MessageBody.$": "$$.Task.Token"}),
}


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.02)


def handed_over(client, arns):
    """Which executions have the receipt of their job in their log, and which job that is."""
    found = {}
    for arn in arns:
        for event in client.get_execution_history(executionArn=arn)["events"]:
            if details := event.get("taskSubmittedEventDetails"):
                found[arn] = json.loads(details["output"])
    return found


def known_as(arn, receipt):
    """By what the far side knows what was handed over: its task, its name, or the execution of its token."""
    if ":ecs:" in arn:
        return receipt["Tasks"][0]["TaskArn"]
    return arn.rpartition(":")[2] if ":glue:" in arn else arn


@pytest.fixture
def server(tmp_path):
    """One that is not started yet, and does not outlive the test."""
    with ExitStack() as at_the_end:
        yield at_the_end.push(Served(tmp_path))


def test_jobs_are_handed_over_once_and_accepted_answers_stay(server, figures):
    far = FarSide()
    environment = {"AWS_ENDPOINT_URL": far.url, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
                   "AWS_ENDPOINT_URL_SFN": ""}
    server.start(**environment)
    client = server.client()
    machines = {
        name: client.create_state_machine(name=name, definition=text, roleArn=ROLE)["stateMachineArn"]
        for name, text in MACHINES.items()
    }
    accepted, refused, telling = {}, Counter(), set()

    def answer(token):
        try:
            client.send_task_success(taskToken=token, output=json.dumps({"said": token[:32]}))
        except GONE:
            telling.add(token)  # it may have arrived
        except client.exceptions.ClientError as error:
            refused[error.response["Error"]["Code"]] += 1
            if token in telling:
                accepted[token] = "before the answer was cut off"
        else:
            accepted[token] = "told"

    with ThreadPoolExecutor(12) as pool:
        wishes = [(name, f"{name}-{number}") for number in range(TASKS) for name in machines]
        started = list(pool.map(
            lambda wish: client.start_execution(stateMachineArn=machines[wish[0]], name=wish[1])["executionArn"], wishes
        ))  # fmt: skip
        until(lambda: min(len(far.runs), len(far.glue), len(far.tokens)) >= TASKS * OPEN)
        list(pool.map(answer, far.tokens[: int(TASKS * AHEAD)]))
        server.kill()
        logged = server.handed_over()
        sent, far.takes = (len(far.runs), len(far.glue), len(far.tokens)), 0.01
        list(pool.map(answer, [token for token in far.tokens if token not in accepted][:20]))  # nobody is there
        server.start(**environment)
        while len(accepted) < TASKS:  # also in the midst of the recovery
            list(pool.map(answer, [token for token in dict.fromkeys(far.tokens) if token not in accepted]))
    jobs = [arn for arn in started if ":wait:" not in arn]
    receipts = {}
    until(lambda: len(receipts.update(handed_over(client, [arn for arn in jobs if arn not in receipts])) or receipts)
          == len(jobs))
    far.over.set()
    until(lambda: all(client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED" for arn in started))
    server.kill()

    # What the log has a receipt of is not handed over again: told one by one, by what it is known as.
    again = {f"task/{token}" for token in far.runs[sent[0]:]}
    again |= set(far.glue[sent[1]:]) | {read_token(token)[0] for token in far.tokens[sent[2]:]}
    for kind in MACHINES:
        known = {known_as(arn, receipt) for arn, receipt in logged.items() if f":{kind}:" in arn}
        assert known, "killed too early: nothing was in the log"
        assert not again & known
    assert all(receipts[arn] == receipt for arn, receipt in logged.items() if arn in receipts)

    # ECS knows the token again: each task is there once, however often it was asked for.
    assert len(set(far.runs)) == TASKS
    # Glue does not: what was in flight at the kill may be there twice, and nothing more than twice.
    twice = Counter(far.glue)
    assert len(twice) == TASKS
    assert max(twice.values()) <= 2
    # And none is there twice whose receipt was in the log: the receipt that is there is the last that was given.
    for arn, receipt in receipts.items():
        if (name := arn.rpartition(":")[2]) in twice:
            assert receipt["JobRunId"] == f"run/{name}/{twice[name]}"
    repeated = len(far.runs) - TASKS + sum(twice.values()) - TASKS
    assert repeated <= 2 * 32 + 12  # calls of two services in flight, and receipts on their way to the disk
    assert len(accepted) == TASKS
    figures.append(f"killed with {sent} jobs handed over: {repeated} calls made again, {len(telling)} answers cut off, "
                   f"{sum(refused.values())} refused")
