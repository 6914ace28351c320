"""`kill -9` of the server at drawn moments under busy clients: what was acknowledged is there afterwards, once.

STEPFOLD_KILL_ROUNDS sets how often it is killed, STEPFOLD_KILL_STARTS how many executions are started in all,
STEPFOLD_KILL_SEED what is drawn.
"""

import json
import os
import random
import threading
from collections import Counter

import pytest
import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError

from .served import ACCOUNT, PATIENCE, REGION, ROLE, Served

ROUNDS = int(os.environ.get("STEPFOLD_KILL_ROUNDS", "3"))
STARTS = int(os.environ.get("STEPFOLD_KILL_STARTS", "120"))
SEED = int(os.environ.get("STEPFOLD_KILL_SEED", "1"))
STARTERS, FINISHERS = 3, 3


class CutShort(Exception):
    """The head of an answer came, and its body did not: botocore takes that for an empty answer."""


GONE = (BotoCoreError, urllib3.exceptions.HTTPError, CutShort)
"""What a client meets when its server has been killed."""
ACTIVITY = f"arn:aws:states:{REGION}:{ACCOUNT}:activity:work"
TAGS = 20


def definition(comment):
    work = {"Type": "Task", "Resource": ACTIVITY, "End": True}
    return json.dumps({"Comment": comment, "StartAt": "Work", "States": {"Work": work}})


class Ledger:
    """What was asked, and what of it was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = set()  # names of executions
        self.started = {}  # name -> (arn, start date)
        self.handed = {}  # token -> name
        self.held = {}  # tokens of which nothing was told yet
        self.telling = {}  # token of which something was told that may not have arrived -> name
        self.finished = set()  # names whose success was acknowledged
        self.descriptions = set()  # of versions that were asked for
        self.versions = {}  # description -> ARN
        self.alias = set()  # what it may route to
        self.tags = {}  # key -> what its value may be
        self.activities = {}  # name -> ARN, or None where none was told
        self.numbers = iter(range(1 << 30))
        self.enough = threading.Event()
        self.left = 0

    def number(self):
        with self.lock:
            return next(self.numbers)

    def on_start(self, name, answer):
        arn = whole(answer, "executionArn")
        with self.lock:
            self.started[name] = (arn, answer["startDate"])
            self.left -= 1
            if self.left <= 0:
                self.enough.set()


def whole(answer, field):
    """The field of an answer that has arrived."""
    if field not in answer:
        assert int(answer["ResponseMetadata"]["HTTPHeaders"]["content-length"]) > len("{}")
        raise CutShort
    return answer[field]


def output(name):
    return json.dumps({"done": name})


def starting(client, ledger, machine, chance):
    while True:
        name = f"e{ledger.number()}"
        ledger.asked.add(name)
        ledger.on_start(name, start(client, machine, name))


def start(client, machine, name):
    return client.start_execution(stateMachineArn=machine, name=name, input=json.dumps({"name": name}))


def finishing(client, ledger, machine, chance):
    while True:
        polled = client.get_activity_task(activityArn=ACTIVITY, workerName="worker")
        if "taskToken" not in polled:
            continue
        token, name = polled["taskToken"], json.loads(polled["input"])["name"]
        with ledger.lock:
            assert token not in ledger.handed, f"the task of {name} was handed out twice"
            ledger.handed[token] = name
        if chance.random() < 0.2:
            ledger.held[token] = name
            continue
        ledger.telling[token] = name
        client.send_task_success(taskToken=token, output=output(name))
        ledger.finished.add(name)
        del ledger.telling[token]


def changing(client, ledger, machine, chance):
    while True:
        word = f"v{ledger.number()}"
        ledger.descriptions.add(word)
        updated = client.update_state_machine(
            stateMachineArn=machine, definition=definition(word), publish=True, versionDescription=word
        )
        version = ledger.versions[word] = whole(updated, "stateMachineVersionArn")
        ledger.alias.add(version)
        alias = f"{machine}:current"
        client.update_state_machine_alias(
            stateMachineAliasArn=alias, routingConfiguration=[{"stateMachineVersionArn": version, "weight": 100}]
        )
        ledger.alias = {version}
        key = f"k{chance.randrange(TAGS)}"
        ledger.tags.setdefault(key, {None}).add(word)
        client.tag_resource(resourceArn=machine, tags=[{"key": key, "value": word}])
        ledger.tags[key] = {word}
        ledger.activities[f"a-{word}"] = None
        ledger.activities[f"a-{word}"] = whole(client.create_activity(name=f"a-{word}"), "activityArn")


def until_killed(work, failures, *arguments):
    try:
        work(*arguments)
    except GONE:
        return
    except BaseException as error:
        failures.append(error)
        raise


def everything(client, operation, field, **arguments):
    found, token = [], {}
    while True:
        page = getattr(client, operation)(**arguments, **token)
        found += page[field]
        if "nextToken" not in page:
            return found
        token = {"nextToken": page["nextToken"]}


def code(call, **arguments):
    """The code of a refusal, or None where there was none."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def look(client, ledger, machine, names):
    """All that was acknowledged is there, once; these executions are looked at closely."""
    listed = everything(client, "list_executions", "executions", stateMachineArn=machine, maxResults=1000)
    count = Counter(one["name"] for one in listed)
    assert set(count.values()) <= {1}
    assert ledger.started.keys() <= count.keys() <= ledger.asked
    status = {one["name"]: one["status"] for one in listed}
    dates = {one["name"]: one["startDate"] for one in listed}
    for name, (arn, date) in ledger.started.items():
        assert dates[name] == date, arn
    told = ledger.finished | set(ledger.telling.values())
    for name, state in status.items():
        assert state == "SUCCEEDED" if name in ledger.finished else state in {"RUNNING", "SUCCEEDED"}, name
        assert state == "RUNNING" or name in told, name
    for name in names:
        look_closely(client, ledger, name)
    look_at_machine(client, ledger, machine)


def look_closely(client, ledger, name):
    arn, date = ledger.started[name]
    described = client.describe_execution(executionArn=arn)
    assert described["startDate"] == date
    assert json.loads(described["input"]) == {"name": name}
    history = everything(client, "get_execution_history", "events", executionArn=arn, maxResults=1000)
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    kinds = Counter(event["type"] for event in history)
    assert kinds["ExecutionStarted"] == kinds["ActivityScheduled"] == 1
    if described["status"] == "SUCCEEDED":
        assert json.loads(described["output"]) == json.loads(output(name))
        assert kinds["ActivityStarted"] == kinds["ActivitySucceeded"] == kinds["ExecutionSucceeded"] == 1
    else:
        assert name not in ledger.finished
        assert kinds["ActivitySucceeded"] == 0


def look_at_machine(client, ledger, machine):
    versions = everything(client, "list_state_machine_versions", "stateMachineVersions", stateMachineArn=machine)
    arns = [one["stateMachineVersionArn"] for one in versions]
    numbers = sorted(int(arn.rpartition(":")[2]) for arn in arns)
    assert numbers == list(range(1, len(numbers) + 1))
    described = {}
    for arn in arns:
        version = client.describe_state_machine(stateMachineArn=arn)
        assert version["description"] not in described
        assert version["description"] == json.loads(version["definition"])["Comment"]
        described[version["description"]] = arn
    assert described.keys() <= ledger.descriptions
    assert ledger.versions.items() <= described.items()
    (alias,) = everything(client, "list_state_machine_aliases", "stateMachineAliases", stateMachineArn=machine)
    (route,) = client.describe_state_machine_alias(stateMachineAliasArn=alias["stateMachineAliasArn"])[
        "routingConfiguration"
    ]
    assert route["stateMachineVersionArn"] in ledger.alias
    tags = {tag["key"]: tag["value"] for tag in client.list_tags_for_resource(resourceArn=machine)["tags"]}
    assert tags.keys() <= ledger.tags.keys()
    assert all(tags.get(key) in values for key, values in ledger.tags.items())
    activities = Counter(one["activityArn"] for one in everything(client, "list_activities", "activities"))
    assert set(activities.values()) == {1}
    assert {arn for arn in ledger.activities.values() if arn} <= activities.keys()
    assert {arn.rpartition(":")[2] for arn in activities} <= {"work", *ledger.activities}


def settle(client, ledger, machine, chance):
    """What the kill left open is asked once more, and means the same."""
    for name in sorted(ledger.asked - ledger.started.keys()):
        ledger.on_start(name, start(client, machine, name))  # begun before the kill or now: once (`look` has the dates)
    for name in chance.sample(sorted(ledger.started), min(len(ledger.started), 5)):
        arn, date = ledger.started[name]
        if client.describe_execution(executionArn=arn)["status"] == "RUNNING":
            again = start(client, machine, name)
            assert (again["executionArn"], again["startDate"]) == (arn, date)
        refusal = code(client.start_execution, stateMachineArn=machine, name=name, input='{"name": "another"}')
        assert refusal == "ExecutionAlreadyExists"
    for token, name in list(ledger.telling.items()):
        refusal = code(client.send_task_success, taskToken=token, output=output(name))
        assert refusal in {None, "TaskTimedOut", "InvalidToken", "TaskDoesNotExist"}
        ledger.finished.add(name)
        del ledger.telling[token]
    for token, name in list(ledger.held.items()):
        client.send_task_success(taskToken=token, output=output(name))
        ledger.finished.add(name)
        del ledger.held[token]
        assert code(client.send_task_success, taskToken=token, output='"twice"') is not None
    for name in [name for name, arn in ledger.activities.items() if arn is None]:
        ledger.activities[name] = client.create_activity(name=name)["activityArn"]


@pytest.mark.parametrize("seed", [SEED])
def test_what_was_acknowledged_outlives_a_kill(seed, tmp_path):
    chance, ledger = random.Random(seed), Ledger()
    cuts = sorted(chance.sample(range(1, STARTS), ROUNDS - 1))
    shares = [later - earlier for earlier, later in zip([0, *cuts], [*cuts, STARTS], strict=True)]
    with Served(tmp_path) as served:
        client = served.client()
        client.create_activity(name="work")
        ledger.activities["work"] = ACTIVITY
        created = client.create_state_machine(
            name="worked", roleArn=ROLE, definition=definition("v"), publish=True, versionDescription="v"
        )
        machine, version = created["stateMachineArn"], created["stateMachineVersionArn"]
        ledger.descriptions.add("v")
        ledger.versions["v"] = version
        ledger.alias = {version}
        routes = [{"stateMachineVersionArn": version, "weight": 100}]
        client.create_state_machine_alias(name="current", routingConfiguration=routes)
        for share in shares:
            before = set(ledger.started)
            one_round(served, client, ledger, machine, share, chance)
            client.close()
            served.start()
            client = served.client()
            fresh = sorted(ledger.started.keys() - before)
            older = chance.sample(sorted(before), min(len(before), 10))
            look(client, ledger, machine, fresh + older)
            settle(client, ledger, machine, chance)
        look(client, ledger, machine, sorted(ledger.started))
        client.close()
        assert served.stop() == 0
    assert len(ledger.started) >= STARTS
    assert ledger.finished
    print(f"{ROUNDS} kills: {len(ledger.started)} executions, {len(ledger.finished)} of them ended by their tokens, "
          f"{len(ledger.versions)} versions, {len(ledger.activities)} activities")


def one_round(served, client, ledger, machine, share, chance):
    """Busy clients, and a kill a drawn moment after so many starts were acknowledged."""
    failures = []
    ledger.left = share
    ledger.enough.clear()
    jobs = [starting] * STARTERS + [finishing] * FINISHERS + [changing]
    threads = [
        threading.Thread(
            target=until_killed,
            args=(job, failures, client, ledger, machine, random.Random(chance.random())),
            daemon=True,
        )
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    assert ledger.enough.wait(PATIENCE) or failures
    threading.Event().wait(chance.random() / 50)
    served.kill()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures, failures
