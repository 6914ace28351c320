"""Histories recorded on AWS, told again by the core alone: the task results are the recording's, all else is ours.

The corpus lies beside the project (`../shared/conformance`); where it is absent, this says so and skips. A case is
taken when its machine can be loaded; those that need what is not built yet are counted, not judged.
"""

import importlib.util
import json
import sys
from collections import Counter, defaultdict, deque
from pathlib import Path

import pytest

from stepfold.errors import InvalidDefinition
from stepfold.insight.history import history
from stepfold.interpreter import signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import ExecutionStarted
from stepfold.language.failures import Failure
from stepfold.language.machine import load
from stepfold.query.template import Moment
from stepfold.query.values import admit

CORPUS = Path(__file__).parents[3] / "shared" / "conformance"
FLOOR = 0.97
"""The share of judged histories that must be told as AWS told them; it only rises."""

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="NO RECORDED CORPUS: this run is not held against AWS")

WORDS = {"Succeeded", "Failed", "TimedOut", "Submitted"}
KINDS = ("Task", "LambdaFunction", "Activity")


def comparer():
    name = "compare_history"
    spec = importlib.util.spec_from_file_location(name, CORPUS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.compare_history


def answers(recorded):
    """What each task was answered, by its state's name and in order."""
    if any(isinstance(event["id"], list) for event in recorded):
        return None  # the recorder sorted this one and struck its ids
    by_id = {event["id"]: event for event in recorded}
    found = defaultdict(deque)
    for event in recorded:
        kind, word = event["type"], None
        for family in KINDS:
            if kind.startswith(family) and kind[len(family):] in WORDS:
                word = kind[len(family):]
        if kind == "ActivityStarted":
            word = "Started"
        if word is None:
            continue
        details = event.get(kind[:1].lower() + kind[1:] + "EventDetails", {})
        before = event
        while before is not None and not before["type"].endswith("StateEntered"):
            before = by_id.get(before["previousEventId"])
        if before is not None:
            found[before["stateEnteredEventDetails"]["name"]].append((word, details))
    return found


def signal_of(asked, word, details):
    if word == "Started":
        return signals.Started(asked, details.get("workerName"))
    if word == "TimedOut":
        return signals.TimedOut(asked)
    if word == "Failed":
        cause = details.get("cause")
        cause = cause if cause is None or isinstance(cause, str) else json.dumps(cause, separators=(",", ":"))
        return signals.Failed(asked, Failure(details.get("error"), cause))
    output = details["output"]
    text = admit(output if isinstance(output, str) else json.dumps(output))
    return signals.Submitted(asked, text) if word == "Submitted" else signals.Succeeded(asked, text)


def retell(machine, text, script, arn, role):
    execution = Execution()
    now = 1_795_000_000_000
    secret = iter(range(10_000))

    def moment():
        return Moment(now, lambda: 0.5, lambda size: next(secret).to_bytes(size, "big"))

    name = arn.rpartition(":")[2]
    started = ExecutionStarted(
        input=admit(text), arn=arn, name=name, machine=arn.rpartition(":")[0].replace(":execution:", ":stateMachine:"),
        definition=machine.digest, start=machine.start_at, timeout=machine.timeout, role=role, region="us-east-1",
    )
    decision = decide(machine, execution, signals.Begin(started), moment())
    events, owed = list(decision.events), deque(decision.owed)
    pending = []
    for _ in range(2000):
        if execution.status != "RUNNING":
            break
        if execution.ready:
            signal = signals.Continue()
        elif owed:
            effect = owed.popleft()
            if effect.asked not in execution.asked and effect.asked != 1:
                continue
            if isinstance(effect, signals.Sleep):
                pending.append(effect)
                continue
            queue = script.get(execution.asked[effect.asked].state)  # (an Offer does not say its state)
            if not queue:
                return None
            signal = signal_of(effect.asked, *queue.popleft())
            if isinstance(signal, signals.Submitted | signals.Started) and queue:
                decision = decide(machine, execution, signal, moment())
                events.extend(decision.events)
                signal = signal_of(effect.asked, *queue.popleft())
            if isinstance(signal, signals.TimedOut):
                now += 100_000_000_000
        elif pending:
            pending.sort(key=lambda sleep: sleep.until)
            sleep = pending.pop(0)
            now = max(now, sleep.until)
            signal = signals.TimedOut(sleep.asked) if sleep.task else signals.Rang(sleep.asked)
        else:
            return None
        decision = decide(machine, execution, signal, moment())
        events.extend(decision.events)
        owed.extend(decision.owed)
    return list(history(events))


def stopped(case):
    """Whether the test stopped an execution, which the recording does not say when."""
    return any(call["op"] == "StopExecution" for call in case["calls"])


def histories():
    """Every recorded history with its case, machine and execution."""
    for row in json.loads((CORPUS / "INDEX.json").read_text())["cases"]:
        if row["api"] != "start_execution":
            continue
        case = json.loads((CORPUS / row["file"]).read_text())
        for check in case["checks"]:
            if check["kind"] == "history" and check.get("execution") is not None:
                if case["calls"][check["call"]]["params"].get("reverseOrder") or stopped(case):
                    continue
                expected = case["expected"][check["key"]]
                run = case["executions"][check["execution"]]
                machine = case["machines"][run["machine"]]
                whole = isinstance(expected, dict) and isinstance(expected.get("events"), list)
                if whole and machine["type"] != "EXPRESS":
                    yield case, machine, run, expected


def judge():
    compare = comparer()
    tally, wrong = Counter(), {}
    for case, machine, run, expected in histories():
        if any(update.get("definition") for update in machine.get("updates", ())):
            tally["updated"] += 1
            continue
        try:
            loaded = load(machine["definition"])
        except InvalidDefinition as error:
            tally["not built yet" if "NOT_SUPPORTED" in str(error) else "refused"] += 1
            if "NOT_SUPPORTED" not in str(error):
                wrong[f"{case['id']} #{run['index']}"] = str(error)
            continue
        script = answers(expected["events"])
        told = None if script is None else retell(loaded, run["input"] or "{}", script, run["arn"], machine["roleArn"])
        if told is None:
            tally["needs outside"] += 1
            continue
        result = compare(expected, {"events": told}, normalise=case["normalise"])
        tally["same" if result else "other"] += 1
        if not result:
            wrong[f"{case['id']} #{run['index']}"] = f"{result.path}: {result.difference}"
    return tally, wrong


def test_histories_are_told_as_aws_told_them():
    tally, wrong = judge()
    judged = tally["same"] + tally["other"] + tally["refused"]
    print(f"\nrecorded histories: {dict(tally)}; same: {tally['same'] / judged:.1%} of {judged}")
    assert tally["same"] / judged >= FLOOR, "\n".join(f"{name}: {why}" for name, why in wrong.items())

