"""How much is tried: STEPFOLD_FAULTS is 0 (each run, a minute), 1 (before a change is kept) or 2 (by hand, an hour)."""

import os
import shutil
import subprocess
import sys
from functools import cache

import pytest

LEVEL = int(os.environ.get("STEPFOLD_FAULTS", "0"))
SEED = int(os.environ.get("STEPFOLD_FAULTS_SEED", "1"))
"""Where drawing begins; a failure names the seed it was drawn from."""
AT_ONCE = 2
"""So many victims live at once."""


def of_level(*sizes):
    """How much of something is tried: a size for each level, the last one for all above."""
    return sizes[min(LEVEL, len(sizes) - 1)]


def from_level(level):
    """A mark for what is tried from this level on."""
    return pytest.mark.skipif(level > LEVEL, reason=f"only with STEPFOLD_FAULTS={level}")


@cache
def traced():
    """Whether strace is there, and may trace and inject here."""
    if shutil.which("strace") is None:
        return False
    probe = ["strace", "-qq", "-f", "-o", os.devnull, "-e", "inject=getppid:retval=77", sys.executable, "-S", "-c",
             "import os, sys; sys.exit(os.getppid())"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode == 77


def needs_strace():
    """Skip, loudly, where system calls cannot be made to fail."""
    if not traced():
        pytest.skip("NO STRACE: kill, EIO and ENOSPC at each write, and loss of power, go untried (apt install strace)")
