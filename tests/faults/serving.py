"""`stepfold serve` as a test has it struck: a real process on a real file, its system calls traced, and its clients.

The clients start executions, come for their tasks, answer them and stop some; a `Ledger` remembers what of it they saw
acknowledged. With a server that is well again they bring the rest to its end.
"""

import json
import resource
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from botocore.exceptions import ClientError
from tests.faults import invariants
from tests.laws.checks import Broken, summary
from tests.runtime.world import wait
from tests.service.served import ACCOUNT, PATIENCE, REGION, ROLE, Served
from tests.service.test_killed import ACTIVITY, GONE, whole

CLIENTS = 2
EACH = 3
POLL = 4
"""Seconds for which a client waits for a task."""
BEAT = 3
"""Seconds after which a task that was handed out to nobody, for its answer was lost, is offered once more."""
WORKED = {"StartAt": "Work", "States": {
    "Work": {"Type": "Task", "Resource": ACTIVITY, "HeartbeatSeconds": BEAT, "Next": "Rest",
             "Retry": [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 50}]},
    "Rest": {"Type": "Map", "ItemsPath": "$.items", "End": True, "ItemProcessor": {
        "StartAt": "Item", "States": {"Item": {"Type": "Pass", "End": True}}}},
}}  # fmt: skip
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:"
MACHINES = {"worked": WORKED, "waits": wait(86_400)}


class Struck(Served):
    """A server whose system calls strace makes to fail, or to be its last."""

    def listens(self, trace=()):
        """Start it, traced where options for that are given; whether it came to listen."""
        trace = ["strace", "-D", "-qq", "-f", "-o", self.folder / "trace", *trace] if trace else ()
        try:
            self.start(*trace)
        except AssertionError:
            self.wait()
            return False
        return True

    def asked(self, path):
        """The status and the JSON that a GET is answered by."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}") as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def wait(self):
        """Its exit code, once it has ended."""
        self._process.communicate(timeout=PATIENCE)
        return self._process.returncode

    def until_ready(self):
        """Wait until it takes work (again)."""
        ends = time.monotonic() + PATIENCE
        while self.asked("/ready")[0] != 200:
            if time.monotonic() > ends:
                raise Broken(f"it does not take work again: {self.asked('/health')}")
            time.sleep(0.05)

    def limit_files(self):
        """From now on none of its files may grow past what the store's log is: a write fails as on a full disk."""
        size = (self.folder / "served.db-wal").stat().st_size
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, size))

    @contextmanager
    def ending(self):
        """Whatever happens, no process is left."""
        try:
            yield
        finally:
            if self._process is not None and self._process.poll() is None:
                self.kill()

    @property
    def errors(self):
        """All that it has written to stderr."""
        return (self.folder / "errors").read_text()

    def has_log_beside(self):
        """Whether its store is a file with a write-ahead log, as its head says (byte 18 and 19: 2)."""
        with (self.folder / "served.db").open("rb") as file:
            return file.read(20)[18:] == b"\2\2"

    def logs(self):
        """The logs in its store as that lies there, each found lawful."""
        path = self.folder / "served.db"
        return invariants.of_file(path) if path.exists() else {}


def names(number):
    return [f"n{number}-{count}" for count in range(EACH)]


ALL = [name for number in range(CLIENTS) for name in names(number)]


def stops(name):
    """Whether its client stops that execution."""
    return name.endswith("-0")


def output(name):
    return {"items": [name, "done"]}


class Ledger:
    """What clients saw acknowledged, what they hold, and what they were refused."""

    def __init__(self):
        self.started, self.told, self.stopped = {}, set(), set()
        self.held = {}
        self.refused = []

    def kept(self, logs):
        """All that was acknowledged is in the logs."""
        if not self.started.keys() <= logs.keys():
            raise Broken(f"acknowledged, and lost: {sorted(self.started.keys() - logs.keys())}")
        for name in self.told:
            if output(name) not in [json.loads(one) for *_, one in invariants.results(logs[name])]:
                raise Broken(f"an answer to {name} was accepted, and lost")
        for name in self.stopped:
            if summary(logs[name]).status != "ABORTED":
                raise Broken(f"{name} was stopped, and is {summary(logs[name]).status}")

    def ended(self, logs):
        """All has come to its end, each outcome recorded once."""
        self.kept(logs)
        found = {name: summary(events).status for name, events in logs.items()}
        if found != {name: "ABORTED" if stops(name) else "SUCCEEDED" for name in ALL}:
            raise Broken(f"stuck or ended otherwise: {found}")
        if any(many > 1 for many in invariants.answered(logs).values()):
            raise Broken("an outcome was recorded twice")


class Callers:
    """A few clients of a server, each with executions of its own; a task is done by whoever comes for it first."""

    def __init__(self, served, ledger):
        self.ledger = ledger
        self._client, self._poller = served.client(), served.client(POLL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()
        self._poller.close()

    def work(self):
        """All that is planned, until the server refuses, or is gone; whether all was done."""
        if not self._until_shut(self.prepare):
            return False
        with ThreadPoolExecutor(CLIENTS) as pool:
            return all(list(pool.map(lambda number: self._until_shut(self._work, names(number)), range(CLIENTS))))

    def _until_shut(self, task, *arguments):
        try:
            task(*arguments)
        except GONE:
            return False
        except ClientError as error:
            self.ledger.refused.append(shut(error))
            return False
        return True

    def prepare(self):
        """(May be repeated: of one name, definition and role there is one.)"""
        whole(self._client.create_activity(name="work"), "activityArn")
        for name, definition in MACHINES.items():
            made = self._client.create_state_machine(name=name, roleArn=ROLE, definition=json.dumps(definition))
            whole(made, "stateMachineArn")

    def express(self):
        """A machine whose executions take a second, and end while their caller waits."""
        self._client.create_state_machine(name="express", type="EXPRESS", roleArn=ROLE, definition=json.dumps(wait(1)))

    def _work(self, some):
        for name in some:
            self.start(name)
            if stops(name):
                self._stop(name)
            else:
                while not self._answer(self._poll()):
                    pass

    def start(self, name):
        machine = f"{ARN}stateMachine:{machine_of(name)}"
        answer = self._client.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"name": name}))
        self.ledger.started[name] = whole(answer, "executionArn")

    def _stop(self, name):
        whole(self._client.stop_execution(executionArn=arn(name)), "stopDate")
        self.ledger.stopped.add(name)

    def _poll(self):
        task = self._poller.get_activity_task(activityArn=ACTIVITY)
        token = whole(task, "taskToken")
        self.ledger.held[token] = json.loads(task["input"])["name"]
        return token

    def _answer(self, token):
        """Whether it was accepted: where the execution has ended, or the task was given up, it is too late."""
        name = self.ledger.held[token]
        try:
            self._client.send_task_heartbeat(taskToken=token)
            self._client.send_task_success(taskToken=token, output=json.dumps(output(name)))
        except self._client.exceptions.TaskTimedOut:
            del self.ledger.held[token]
            return False
        self.ledger.told.add(name)
        del self.ledger.held[token]
        return True

    # Afterwards.

    def refused_again(self):
        """Whether everything is refused that would have to be written: something new, and answers to what is held."""
        asked = [lambda: self._client.create_activity(name="another")]
        asked += [lambda token=token: self._answer(token) for token in list(self.ledger.held)]
        return not sum(self._until_shut(one) for one in asked)

    def read(self):
        """Look at all that was acknowledged; none of it is lost."""
        for name in list(self.ledger.started):
            status = self.status(name)
            if name in self.ledger.stopped and status != "ABORTED":
                raise Broken(f"{name} was stopped, and is {status}")

    def status(self, name):
        return self._client.describe_execution(executionArn=arn(name))["status"]

    def settled(self):
        """Do what is left, until the server refuses; whether all was done."""
        return self._until_shut(self.settle)

    def settle(self):
        """Ask once more for what was not acknowledged, and do what is left."""
        self.prepare()
        self.read()
        for name in ALL:
            if name not in self.ledger.started:
                with suppress(self._client.exceptions.ExecutionAlreadyExists):  # (it has ended already)
                    self.start(name)
            if stops(name) and name not in self.ledger.stopped:
                self._stop(name)
        for token in list(self.ledger.held):
            self._answer(token)
        while any(self.status(name) == "RUNNING" for name in ALL):
            with suppress(GONE):  # (nothing was on offer for so long)
                self._answer(self._poll())


def machine_of(name):
    return "waits" if stops(name) else "worked"


def arn(name):
    return f"{ARN}execution:{machine_of(name)}:{name}"


def shut(error):
    """The message of a refusal, which was clear, and for the store's sake."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if (status, error.response["Error"]["Code"]) != (503, "ServiceUnavailable"):
        raise Broken(f"refused by {status}: {error}") from error
    return error.response["Error"]["Message"]
