"""A server whose disk is full: it says so and why, tells what it knows, and goes on by itself once there is space."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from .served import ROLE, Served

WAITS = {"StartAt": "A", "States": {"A": {"Type": "Wait", "SecondsPath": "$.seconds", "End": True}}}
PATIENCE = 40


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"NO MOUNT: a full disk is not tried ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class OnDisk(Served):
    """Its store is on the small disk, its log is not."""

    def __init__(self, folder, disk):
        super().__init__(folder)
        (folder / "served.db").symlink_to(disk / "served.db")


def asked(served, path):
    try:
        with urllib.request.urlopen(f"{served.url}{path}") as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_full_disk_is_told_and_survived(tmp_path, disk):
    (disk / "served.db").touch(0o600)
    with OnDisk(tmp_path, disk) as served:
        client = served.client()
        created = client.create_state_machine(name="waits", definition=json.dumps(WAITS), roleArn=ROLE)
        machine = created["stateMachineArn"]

        def start(name, seconds, filler=""):
            given = json.dumps({"seconds": seconds, "filler": filler})
            return client.start_execution(stateMachineArn=machine, name=name, input=given)["executionArn"]

        first = start("first", 1)
        assert asked(served, "/health") == (200, {"status": "ok"})
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        acknowledged, refusals = [first], []
        for number in range(200):
            try:
                acknowledged.append(start(f"more{number}", 1, "x" * 50_000))
            except ClientError as error:
                refusals.append(error.response)
                if len(refusals) == 3:
                    break
        assert len(refusals) == 3, "after the first error nothing is acknowledged"
        for refusal in refusals:
            assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert refusal["Error"]["Code"] == "ServiceUnavailable"
            assert "disk is full" in refusal["Error"]["Message"]
            assert str(disk) not in refusal["Error"]["Message"]
        status, health = asked(served, "/health")
        assert (status, health["status"]) == (503, "read-only")
        assert "SQLITE_FULL" in health["cause"]
        assert str(disk) not in json.dumps(health)
        assert asked(served, "/ready")[0] == 503
        for arn in acknowledged:
            assert client.describe_execution(executionArn=arn)["status"] in {"RUNNING", "SUCCEEDED"}

        ballast.unlink()
        end = time.monotonic() + PATIENCE
        while asked(served, "/ready")[0] != 200:
            assert time.monotonic() < end, asked(served, "/health")
            time.sleep(0.2)
        again = start("again", 0)
        while True:
            states = [client.describe_execution(executionArn=arn)["status"] for arn in [*acknowledged, again]]
            if set(states) == {"SUCCEEDED"}:
                break
            assert time.monotonic() < end, states
            time.sleep(0.2)
        assert served.stop() == 0
