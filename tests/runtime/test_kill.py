"""`kill -9` of the engine in the middle of a Map: what was recorded is kept, what was in flight is made again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from stepfold.interpreter import facts
from stepfold.runtime import catalog
from stepfold.work.functions.lambdas import request_id
from stepfold_store import open_reader

pytestmark = pytest.mark.anyio
ITEMS = int(os.environ.get("STEPFOLD_KILL_ITEMS", "2000"))
PATIENCE = 120
WINDOW = 40


def launch(folder, kind, *more):
    command = [sys.executable, str(Path(__file__).with_name("interrupted.py")), str(folder), kind, str(ITEMS), *more]
    with (folder / "errors").open("a") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)


def until(condition):
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.005)  # another process is waited for: there is nothing here to await


def lines(folder):
    calls = folder / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def recorded(folder):
    """The request ids of the calls whose success is in the log, and how many were in flight."""
    reader = await open_reader(folder / "store.db")
    try:
        arn = (await catalog.find_execution(reader, "monday")).key
        succeeded, flying, frames = set(), set(), {}
        async for event in catalog.events(reader, arn):
            if isinstance(event.fact, facts.TaskScheduled):
                frames[event.frame] = event.seq
                flying.add(event.seq)
            elif isinstance(event.fact, facts.TaskSucceeded):
                succeeded.add(request_id(f"{arn}#{frames[event.frame]}"))
                flying.discard(frames[event.frame])
        return succeeded, len(flying)
    finally:
        await reader.close()


@pytest.mark.parametrize("later", [0, 86_400], ids=["at-once", "a-day-later"])
@pytest.mark.parametrize("kind", ["callable", "python", "node"])
async def test_a_killed_map_goes_on(kind, later, tmp_path):
    if kind == "node" and shutil.which("node") is None:
        pytest.skip("NO NODE: its handlers are not tried")
    first = launch(tmp_path, kind)
    until(lambda: len(lines(tmp_path)) > ITEMS // 3 or first.poll() is not None)
    assert first.poll() is None, (tmp_path / "errors").read_text()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    workers = {int(line.split()[1]) for line in lines(tmp_path) if line.count(" ") == 1}
    until(lambda: not any(alive(pid) for pid in workers))
    before = lines(tmp_path)
    succeeded, flying = await recorded(tmp_path)
    assert 0 < len(succeeded) < ITEMS
    assert flying <= WINDOW

    second = launch(tmp_path, kind, "--resume", "--later", str(later))
    out, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, (tmp_path / "errors").read_text()
    assert out.endswith("done\n")

    calls = Counter(line.split()[0] for line in lines(tmp_path))
    again = {token for token, count in calls.items() if count > 1}
    assert len(calls) == ITEMS
    assert not again & succeeded, "an item whose success was recorded was called again"
    assert len(again) <= flying
    assert set(calls.values()) <= {1, 2}
    assert len(before) <= len(lines(tmp_path))
