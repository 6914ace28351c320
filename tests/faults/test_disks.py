"""A disk that is full, or may not be written any more: a clear stop, and all of it again once there is room.

Without root the size of a file is what is limited; with root it is a small disk of its own, and one remounted.
"""

import os
import subprocess
from contextlib import contextmanager

import pytest
from tests.faults import lives
from tests.faults.levels import from_level, of_level
from tests.faults.victim import CLOSED, PLAN, REFUSED
from tests.laws.checks import Broken

MANY = tuple(f"{kind}-{number}" for number in range(4) for kind in PLAN)
"""Executions that write some 400 KiB."""


@pytest.fixture(scope="module")
def nursery():
    nursery = lives.Nursery()
    yield nursery
    nursery.close()


def stopped_clearly(nursery, folder, **how):
    """A victim whose disk fails: it says so, and nothing that it acknowledged is lost."""
    code = nursery.live(folder, names=MANY, **how)
    if code not in {CLOSED, REFUSED}:
        raise Broken(f"its disk failed, and it ended with {code}")
    return code, lives.look(folder)


@pytest.mark.parametrize("kilobytes", of_level((40, 120, 200, 280), tuple(range(20, 320, 10))))
def test_a_file_that_may_not_grow(kilobytes, nursery, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    _, before = stopped_clearly(nursery, folder, most=kilobytes << 10)
    lives.to_the_end(nursery, folder, before, names=MANY)


@contextmanager
def mounted(folder, *options):
    """A disk of its own at a folder; skipped, loudly, where that is not allowed."""
    folder.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", *options, "faults", folder], check=False).returncode:
        pytest.skip("NO MOUNT: a full disk and one remounted read-only go untried (root may mount)")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@from_level(1)
@pytest.mark.parametrize("kilobytes", [100, 300, 500])
def test_a_full_disk(kilobytes, nursery, tmp_path):
    folder = tmp_path / "disk"
    with mounted(folder, "-o", f"size={kilobytes}k"):
        _, before = stopped_clearly(nursery, folder)
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
        lives.to_the_end(nursery, folder, before, names=MANY)


def read_only(nursery, folder, **how):
    """A victim whose disk may be read alone says so; what was there before."""
    assert nursery.live(folder, names=MANY[:6]) == 0
    before = lives.look(folder)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    assert nursery.live(folder, names=MANY, life=1, **how) == REFUSED
    assert "Read-only file system" in lives.said_in(folder)[-1]
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    return before


@from_level(1)
def test_a_disk_that_may_only_be_read(nursery, tmp_path):
    folder = tmp_path / "disk"
    with mounted(folder, "-o", "size=8m"):
        before = read_only(nursery, folder)
        lives.to_the_end(nursery, folder, before, life=2, names=MANY)
