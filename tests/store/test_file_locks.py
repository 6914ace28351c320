"""The locks of SQLite, which a process has and not a connection: whoever closes a file lets go of all of them.

Without them the next process to leave the file takes the log beside it along, and what is acknowledged afterwards is in
no file; or it begins the index beside the log anew, under the engine that has it mapped.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store.rows import record

from stepfold_store import StoreError, open_reader, open_store
from stepfold_store.sqlite_check import check_file

pytestmark = pytest.mark.anyio
PASSER_BY = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("SELECT count(*) FROM log").fetchone()[0])
db.close()
"""
CRASHED = """
import asyncio, os, sys
from stepfold_store import Record, open_store
async def main():
    store = await open_store(sys.argv[1])
    await store.submit("before", 0, [Record(1, 1, 1, b"[]", 1, 1)])
    os._exit(0)
asyncio.run(main())
"""


async def a_reader(path):
    reader = await open_reader(path)
    store = await open_store(path)
    return store, reader


async def a_second_engine(path):
    store = await open_store(path)
    with pytest.raises(StoreError, match="is held by"):
        await open_store(path)
    return (store,)


async def a_doctor(path):
    store = await open_store(path)
    await store.submit("looked over", 0, [record(1)])
    assert (await check_file(path)).problems == []
    return (store,)


def passes_by(path):
    """The rows that another process sees, who leaves the file again as SQLite's shell does."""
    done = subprocess.run([sys.executable, "-c", PASSER_BY, path], capture_output=True, text=True, check=True)
    return int(done.stdout)


def locked(path):
    """What this process holds locks on: the store's file (""), the index beside its log ("-shm"), and where."""
    inodes = {f":{Path(f'{path}{end}').stat().st_ino}": end for end in ("", "-shm")}
    found = set()
    for line in Path("/proc/locks").read_text("ascii").splitlines():
        *_, pid, place, first, _ = line.split()
        if pid == str(os.getpid()):
            found |= {(end, first) for inode, end in inodes.items() if place.endswith(inode)}
    return found


@pytest.mark.parametrize("beside", [a_reader, a_second_engine, a_doctor])
async def test_what_is_acknowledged_is_in_the_file_whoever_came_and_went(beside, tmp_path):
    path = tmp_path / "store.db"
    await (await open_store(path)).close()
    opened = await beside(path)
    for number in range(1, 4):
        await opened[0].submit("x", number - 1, [record(number)])
        assert passes_by(path) == number + (beside is a_doctor)
    for store in opened:
        await store.close()
    assert passes_by(path) == 3 + (beside is a_doctor)


@pytest.fixture
def crashed(tmp_path):
    """A store whose process died, and left a log beside it."""
    path = tmp_path / "store.db"
    subprocess.run([sys.executable, "-c", CRASHED, path], check=True)
    assert Path(f"{path}-wal").stat().st_size
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of locks")
@pytest.mark.parametrize("beside", [a_reader, a_second_engine])
async def test_the_locks_stay_after_a_crash_left_a_log(beside, crashed):
    opened = await beside(crashed)
    assert {name for name, _ in locked(crashed)} == {"", "-shm"}
    for store in opened:
        await store.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of locks")
async def test_the_locks_stay_when_a_store_is_looked_over(crashed):
    store = await open_store(crashed)
    held = locked(crashed)
    assert (await check_file(crashed)).problems == []
    assert held
    assert locked(crashed) == held
    await store.close()
