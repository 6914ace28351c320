"""Texts of strangers at every entrance: good ones, those that once broke something, and mutations of either.

A few seconds of blind mutations in any case; from level 1 on a minute in all that is guided by what is reached, where
atheris is installed; at level 2 five minutes each.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
from tests.faults.levels import SEED, from_level, of_level
from tests.security import fuzz
from tests.security.entrances import ENTRANCES, FOUND
from tests.service.served import ROOT

BLIND_SECONDS = 0.5
GUIDED_SECONDS = of_level(0, 60 // len(ENTRANCES), 300)


@pytest.mark.parametrize("name", ENTRANCES)
def test_what_is_good_or_was_mended_enters(name):
    for text in [*ENTRANCES[name].good(), *FOUND.get(name, ()), b"", b"\n", b"\xff", b"\x00" * 100]:
        ENTRANCES[name].enter(text)


@pytest.mark.parametrize("name", ENTRANCES)
def test_whatever_enters_is_taken_or_refused(name):
    assert fuzz.blind(name, BLIND_SECONDS, SEED) > 10


@from_level(1)
@pytest.mark.parametrize("name", ENTRANCES)
def test_whatever_is_looked_for_is_taken_or_refused(name, tmp_path, figures):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("NO ATHERIS: nothing is fuzzed by what it reaches (pip install atheris)")
    places = os.pathsep.join(map(str, (ROOT / "engine", ROOT / "store", ROOT)))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.security.fuzz", name, "--seconds", str(GUIDED_SECONDS), "--corpus", tmp_path],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    (many,) = [line.split()[-1] for line in ran.stderr.splitlines() if line.startswith("stat::number_of_executed")]
    figures.append(f"fuzz: {name}, {many} texts in {GUIDED_SECONDS} s")
