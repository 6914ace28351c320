"""Are the tests of the defences awake? Each defence is taken away in a process of its own: its test must turn red."""

import os
import subprocess
import sys

import pytest
from tests.faults.levels import from_level
from tests.security.mutants import TABLE
from tests.service.served import ROOT


def run(test, *plugins, **environment):
    places = os.pathsep.join(map(str, (ROOT / "engine", ROOT / "store", ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *plugins, test], cwd=ROOT, timeout=120,
        env={**os.environ, "PYTHONPATH": places, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@from_level(1)
@pytest.mark.parametrize("mutant", TABLE)
def test_a_defence_that_is_taken_away_is_missed(mutant):
    ran = run(TABLE[mutant][1], "-p", "tests.security.mutants", STEPFOLD_MUTANT=mutant)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr


@from_level(1)
def test_their_tests_are_green_without():
    ran = run("tests/security/test_tokens.py")
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout + ran.stderr
