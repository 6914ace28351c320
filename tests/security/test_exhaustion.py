"""Expressions made to burn time or memory end in their own state's failure, and others go on meanwhile."""

import json
import os
import subprocess
import sys
import threading
import time

import anyio
import pytest
from tests.memory import forget_the_most, most_held
from tests.runtime.world import call

from stepfold import Engine, ExecutionFailed
from stepfold.query.jsonata.library import matches

pytestmark = pytest.mark.anyio

SECONDS = 8
"""An attack takes no more of a processor: an evaluation is cut off after five seconds."""
STALL = 4.0
"""Nobody else waits longer than this for a turn, also on a machine with much else to do."""
GROWTH = 300 << 20
"""Memory of a process: an evaluation may take so much before its limits end it, and no more."""

LOOPS = {
    "recursion": "( $f := function($n) { 1 + $f($n + 1) }; $f(0) )",
    "tail recursion": "( $f := function($n) { $f($n + 1) }; $f(0) )",
    "a wide range": "[1..10000000]",
    "a long text": "$pad('', 1000000000, 'x')",
    "a text that doubles": "( $f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; $f('xxxxxxxx', 40) )",
    "maps in maps": "$map([1..2000], function($a) { $map([1..2000], function($b) { $map([1..2000], $string) }) })",
}
GREEDY = [
    "$map([1..873782], function($v) { [1..50] })",
    "$map([1..873782], function($v) { {'a': $v, 'b': 'x'} })",
    "$map([1..100], function($v) { [1..873782] })",
    "$reduce([1..400], function($all, $v) { $append($all, [[1..873782]]) }, [])",
    "[1..20000].([1..20000])",
]
"""Each of them took a gigabyte or more within the library's own limits."""
TAKEN = """
import anyio, json, resource, sys, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from stepfold import Engine, ExecutionFailed
from stepfold.runtime.evaluations.apart import EVALUATORS
from tests.memory import most_held
async def main():
    async with Engine() as engine:
        before = most_held()
        for number, definition in enumerate(json.load(sys.stdin)):
            try:
                await (await engine.start(await engine.create(f"m{number}", definition))).result()
            except ExecutionFailed as failed:
                assert failed.error == "States.QueryEvaluationError", failed
        EVALUATORS.close()
        print(json.dumps([most_held() - before, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
anyio.run(main)
"""
REGEXES = {
    "nested plus": ("$contains($states.input.text, /(a+)+b/)", "a" * 50_000),
    "alternatives": ("$match($states.input.text, /(a|aa)+$/)", "a" * 5_000 + "!"),
    "backtracking": ("$replace($states.input.text, /(.*)*x/, 'y')", "a" * 5_000),
}
PATHS = {
    "nested repeats": ("$.names[?(@ =~ /(a+)+b/)]", {"names": ["a" * 40] * 5}),
    "alternatives that are alike": ("$.names[?(@ =~ /(a|aa)+$/)]", {"names": ["a" * 4_000 + "!"]}),
    "repeats beside each other": ("$.names[?(@ =~ /a*a*a*a*a*b/)]", {"names": ["a" * 4_000]}),
    "many choices": ("$.names[?(@ =~ /" + "a?" * 40 + "a" * 40 + "/)]", {"names": ["a" * 40]}),
    "a regular expression": ("$.names[?(@ =~ /[a-z]+[0-9]/)]", {"names": ["a" * 4_000] * 1_000}),
    "every descendant, again and again": ("$..*..*..*..*", json.loads("[" * 60 + "]" * 60)),
}


def jsonata(expression):
    return {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {
        "Type": "Pass", "Output": {"size": "{% $count(" + expression + ") %}"}, "End": True}}}


def path(expression):
    return {"StartAt": "A", "States": {"A": {
        "Type": "Pass", "Parameters": {"found.$": expression}, "ResultPath": "$.found", "End": True}}}


class Beside:
    """Executions that start and end all the time, and the longest time that one of them took."""

    def __init__(self, engine, machine):
        self.engine, self.machine = engine, machine
        self.done, self.longest = 0, 0.0

    async def go_on(self):
        while True:
            begun = time.monotonic()
            assert await (await self.engine.start(self.machine, self.done)).result() == self.done
            self.longest = max(self.longest, time.monotonic() - begun)
            self.done += 1
            await anyio.sleep(0.005)


async def attacked(definition, given):
    """What became of an execution that attacks; others got on meanwhile."""
    engine = Engine()
    engine.work("work")(echo)
    async with engine:
        beside = Beside(engine, await engine.create("good", call()))
        machine = await engine.create("attack", definition)
        forget_the_most()
        before = most_held()
        async with anyio.create_task_group() as group:
            group.start_soon(beside.go_on)
            await anyio.sleep(0.05)
            begun = time.process_time()
            handle = await engine.start(machine, given)
            outcome = None
            with anyio.fail_after(60):
                try:
                    outcome = await handle.result()
                except ExecutionFailed as failed:
                    outcome = failed
            took = time.process_time() - begun  # whatever else the machine does
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        assert took < SECONDS
        assert beside.done > 2
        assert beside.longest < STALL
        assert most_held() - before < GROWTH
        assert not engine.failed
    return outcome


async def echo(event):
    return event


@pytest.mark.parametrize("expression", LOOPS.values(), ids=list(LOOPS))
async def test_an_expression_without_end_fails_its_state_alone(expression):
    outcome = await attacked(jsonata(expression), {})
    assert isinstance(outcome, ExecutionFailed)
    assert outcome.error == "States.QueryEvaluationError"


def test_greedy_expressions_take_little_here_and_no_more_than_they_may_elsewhere():
    done = subprocess.run(
        [sys.executable, "-c", TAKEN], input=json.dumps([jsonata(expression) for expression in GREEDY]), timeout=60,
        check=False, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    here, elsewhere = json.loads(done.stdout)
    assert here < GROWTH / 3
    assert elsewhere < GROWTH


@pytest.mark.parametrize(("expression", "text"), REGEXES.values(), ids=list(REGEXES))
async def test_a_regular_expression_made_to_backtrack(expression, text):
    """It fails, or it is matched in no time; but it is nobody else's burden."""
    outcome = await attacked(jsonata(expression), {"text": text})
    assert isinstance(outcome, dict) or outcome.error == "States.QueryEvaluationError"


@pytest.mark.parametrize(("expression", "given"), PATHS.values(), ids=list(PATHS))
async def test_a_path_made_to_burn_time(expression, given):
    outcome = await attacked(path(expression), given)
    assert isinstance(outcome, dict) or outcome.error == "States.Runtime"


async def test_thirty_stars():
    stars = {"StartAt": "A", "States": {
        "A": {"Type": "Choice", "Default": "No",
              "Choices": [{"Variable": "$.text", "StringMatches": "*a" * 30 + "*b", "Next": "Yes"}]},
        "Yes": {"Type": "Pass", "Result": "yes", "End": True}, "No": {"Type": "Pass", "Result": "no", "End": True},
    }}
    assert await attacked(stars, {"text": "a" * 20_000}) == "no"


async def test_formats_walk_no_attributes():
    formats = path("States.Format('{0.__class__} {} {a[0]}', $.a)")
    outcome = await attacked(formats, {"a": 1})
    assert "class '" not in json.dumps(outcome if isinstance(outcome, dict) else [outcome.error, outcome.cause])


def test_a_filters_regular_expression_lets_other_threads_run():
    """Held, the interpreter's lock would leave this thread a turn before and one after, however long it took."""
    over = threading.Event()

    def match():
        assert not matches("(a+)+b", "a" * 24)
        over.set()

    matching = threading.Thread(target=match)
    matching.start()
    turns = 0
    while not over.wait(0.001):
        turns += 1
    matching.join()
    assert turns > 10
