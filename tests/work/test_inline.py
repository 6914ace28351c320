"""Inline code lies in private folders, and none of them outlives its engine."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stepfold.work.functions.inline import HELD, PREFIX, InlineCode

KILLED = """
import os, signal
from stepfold.work.functions.inline import InlineCode
code = InlineCode()
print(code.write("x = 1", javascript=False).parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Temporary folders lie in the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_code_is_written_where_aws_puts_it_and_removed_at_the_end(tmp_path):
    code = InlineCode()
    python, node = code.write("x = 1", javascript=False), code.write("// y", javascript=True)
    assert (python / "index.py").read_text() == "x = 1"
    assert (node / "index.js").read_text() == "// y"
    assert python.parent.stat().st_mode & 0o777 == 0o700
    code.remove()
    code.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_was_never_removed_goes_with_its_owner(tmp_path):
    code = InlineCode()
    code.write("x = 1", javascript=False)
    del code
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else_is(tmp_path):
    alive = InlineCode()
    kept = alive.write("x = 1", javascript=False)
    killed = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    not_ours = tmp_path / f"{PREFIX}of-somebody"
    not_ours.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    (target / HELD).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(target)
    code = InlineCode()
    code.write("x = 1", javascript=False)
    assert not left.exists()
    assert (kept / "index.py").exists()
    assert not_ours.exists()
    assert target.exists()
