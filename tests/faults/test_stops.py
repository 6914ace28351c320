"""A server that is stopped in the midst of its work, and one that is only held: nothing acknowledged is lost."""

import json
import os
import signal
import threading

import pytest
import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from tests.faults import invariants
from tests.faults.levels import SEED, of_level
from tests.laws.checks import summary
from tests.runtime.world import DONE, then, wait
from tests.service.served import ROLE, Served

from stepfold_store import StoreError, open_store

STOPS = of_level(1, 4, 20)
DEFINITION = json.dumps(then(wait(1), DONE))
GONE = (BotoCoreError, ClientError, urllib3.exceptions.HTTPError)


def starting(client, machine, started, number, enough):
    """Start executions until the server is gone."""
    try:
        for count in range(10_000):
            name = f"n{number}-{count}"
            client.start_execution(stateMachineArn=machine, name=name, input="{}")
            started.add(name)
            if len(started) >= 30:
                enough.set()
    except GONE:
        return


@pytest.mark.parametrize("seed", range(SEED, SEED + STOPS))
def test_a_stop_under_load_is_orderly(seed, tmp_path):
    started, enough = set(), threading.Event()
    with Served(tmp_path) as served:
        client = served.client()
        machine = client.create_state_machine(name="waits", roleArn=ROLE, definition=DEFINITION)["stateMachineArn"]
        threads = [threading.Thread(target=starting, args=(client, machine, started, number, enough), daemon=True)
                   for number in range(3)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        threading.Event().wait(seed % 7 / 50)
        assert served.stop() == 0
        for thread in threads:
            thread.join(60)
        client.close()
        before = invariants.of_file(tmp_path / "served.db")
        assert started <= before.keys()
        served.start()  # it says that it listens once all that was interrupted goes on
        client = served.client()
        arn = machine.replace(":stateMachine:", ":execution:")
        for name in sorted(before):
            while client.describe_execution(executionArn=f"{arn}:{name}")["status"] == "RUNNING":
                threading.Event().wait(0.05)
        client.close()
        assert served.stop() == 0
    after = invariants.of_file(tmp_path / "served.db")
    invariants.is_beginning(before, after)
    assert {summary(events).status for events in after.values()} == {"SUCCEEDED"}


@pytest.mark.anyio
async def test_a_server_that_is_held_keeps_its_store_and_a_dead_one_lets_go(tmp_path):
    with Served(tmp_path) as served:
        process = served._process
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(StoreError, match=rf"process {process.pid}\b"):
            await open_store(tmp_path / "served.db")
        served.kill()
        await (await open_store(tmp_path / "served.db")).close()
