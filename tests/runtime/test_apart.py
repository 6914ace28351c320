"""Evaluations in processes of their own: answered as here, and failed alone where they take too much, or hang."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from stepfold.query.jsonata.library import FUNCTION, UNDEFINED, Failed, Program
from stepfold.query.template import Moment
from stepfold.runtime.evaluations import apart
from stepfold.runtime.evaluations.apart import EVALUATORS, Evaluators

LONG = "$map([1..5000], function($v) { $v })"
"""More than is evaluated in the engine's own process."""
GREEDY = "$map([1..873782], function($v) { [1..50] })"
HERE = Moment(1_700_000_000_000, lambda: 0.25, bytes, unhurried=True)


@pytest.fixture
def evaluators():
    evaluators = Evaluators()
    yield evaluators
    evaluators.close()


def outcome(source, moment, data=None):
    """What an expression comes to: a value, or how it fails."""
    program = Program(source, frozenset(re.findall(r"[$](\w+)", source)), frozenset(data or {}))
    try:
        return program.run(data or {}, moment)
    except Failed as failed:
        return str(failed), failed.code


@pytest.mark.parametrize(
    "tail",
    [
        "$sum([1, 2])", "$count($x)", "$x.a", "$x.b", "nothing", "function($v) { $v }", "null", "'\u00fc' & $x.a",
        "1/0", "$now()", "$error('mine')", "1e300 * 1e300", "$parse('[1]')", "9007199254740993", "$x + 1",
        "$uppercase(7)", "$partition([1..3], 2)",
    ],
)
def test_an_answer_is_the_same_here_and_apart(tail, evaluators):
    source = f"({LONG}; {tail})"
    data = {"x": {"a": "text", "b": None}}
    moment = replace(HERE, apart=evaluators.evaluate)
    assert outcome(source, moment, data) == outcome(source, HERE, data)
    assert len(evaluators._idle) == 1, "it was asked"


def test_what_needs_little_is_not_asked_elsewhere(evaluators):
    moment = replace(HERE, apart=evaluators.evaluate)
    assert outcome("$map([1..5], function($v) { $v * 2 })", moment) == [2, 4, 6, 8, 10]
    assert outcome("nothing", moment) is UNDEFINED
    assert outcome("function($v) { $v }", moment) is FUNCTION
    assert not evaluators._idle


def test_chance_is_the_moments(evaluators):
    moment = replace(HERE, apart=evaluators.evaluate)
    source = f"({LONG}; $random())"
    drawn = [outcome(source, replace(moment, random=lambda seed=seed: seed)) for seed in (0.1, 0.1, 0.2)]
    assert drawn[0] == drawn[1] != drawn[2]
    uuids = {outcome(f"({LONG}; $uuid())", moment) for _ in range(2)}
    assert len(uuids) == 2


def test_one_that_takes_too_much_fails_and_the_next_is_answered(evaluators):
    moment = replace(HERE, apart=evaluators.evaluate)
    said, code = outcome(GREEDY, moment)
    assert (said.partition(":")[0], code) == ("Expression evaluation memory limit exceeded", None)
    assert not evaluators._idle
    assert outcome(f"$count({LONG})", moment) == 5000


def test_one_that_was_killed_while_it_waited_is_not_asked(evaluators):
    moment = replace(HERE, apart=evaluators.evaluate)
    assert outcome(f"$count({LONG})", moment) == 5000
    (child,) = evaluators._idle
    child.process.kill()
    child.process.wait()
    assert outcome(f"$count({LONG})", moment) == 5000


def test_one_that_hangs_is_given_up(evaluators, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(apart, "_started", lambda: apart._Child(process, process.stdin, process.stdout))
    monkeypatch.setattr(apart, "SECONDS", 0.05)
    said, _ = outcome(f"$count({LONG})", replace(HERE, apart=evaluators.evaluate))
    assert said.startswith("Expression evaluation timeout")
    assert process.returncode is not None


@pytest.mark.parametrize("interpreter", ["/nowhere/python", "/bin/true"])
def test_without_another_process_it_is_evaluated_here(interpreter, evaluators, monkeypatch):
    monkeypatch.setattr(sys, "executable", interpreter)
    with structlog.testing.capture_logs() as lines:
        assert outcome(f"$count({LONG})", replace(HERE, apart=evaluators.evaluate)) == 5000
    assert [line["log_level"] for line in lines] == ["warning"]


def test_it_ends_with_whoever_asks_and_knows_none_of_their_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-word")
    child = apart._started()
    if sys.platform == "linux":
        assert b"s3cret-word" not in Path(f"/proc/{child.process.pid}/environ").read_bytes()
    child.requests.close()
    assert child.process.wait(10) == 0
    child.answers.close()


def test_a_process_that_holds_much_gives_it_back_however_large_its_parent_was(evaluators):
    moment = replace(HERE, apart=evaluators.evaluate)
    assert len(b"x" * (256 << 20)) == 256 << 20  # Linux hands the most of a process on to those that it starts
    assert outcome(f"$count({LONG})", moment) == 5000
    assert len(evaluators._idle) == 1
    assert outcome("$count($map([1..400000], function($v) { {'a': $v} }))", moment) == 400_000
    assert not evaluators._idle


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # (of a fork beside threads: it does nothing but end)
def test_after_a_fork_the_processes_are_the_parents():
    assert outcome(f"$count({LONG})", replace(HERE, apart=EVALUATORS.evaluate)) == 5000
    if not (forked := os.fork()):
        os._exit(len(EVALUATORS._idle))
    assert os.waitpid(forked, 0)[1] == 0
    assert outcome(f"$count({LONG})", replace(HERE, apart=EVALUATORS.evaluate)) == 5000
