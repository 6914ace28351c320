"""The pure core alone: events a second that are decided and encoded, and decoded and folded back."""

from __future__ import annotations

import time
from collections import deque

import msgspec

from benchmarks.machines import spread
from benchmarks.measure import ROUNDS, Line, Round, measured
from stepfold.interpreter import facts
from stepfold.interpreter.decide import Decision, decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event, ExecutionStarted
from stepfold.interpreter.signals import Begin, Continue, Invoke, Signal, Succeeded
from stepfold.language.limits import Limits
from stepfold.language.machine import Machine, load
from stepfold.query.template import Moment
from stepfold.query.values import Json, text

ITEMS = 10_000
WINDOW = 40
MOMENT = Moment(1_700_000_000_000, lambda: 0.5, bytes)


def begin(machine: Machine, given: Json, name: str = "one") -> Begin:
    """The signal that starts an execution of the machine."""
    arn = f"arn:aws:states:eu-west-1:000000000000:execution:bench:{name}"
    home = "arn:aws:states:eu-west-1:000000000000:stateMachine:bench"
    return Begin(
        ExecutionStarted(text(given), arn, name, home, machine.digest, machine.start_at, limits=Limits.local())
    )


def live(machine: Machine, signal: Signal) -> list[Decision]:
    """A whole execution in memory, whose every call answers with its arguments: decision by decision."""
    execution = Execution()
    decisions: list[Decision] = []
    heard: deque[Signal] = deque([signal])
    while heard or execution.ready:
        decision = decide(machine, execution, heard.popleft() if heard else Continue(), MOMENT)
        decisions.append(decision)
        for effect in decision.owed:
            if isinstance(effect, Invoke):
                heard.append(Succeeded(effect.asked, effect.arguments))
    if execution.status != "SUCCEEDED":
        raise AssertionError(f"the execution ended as {execution.status}")
    return decisions


def _a_map(items: int) -> tuple[Machine, Begin]:
    machine = load(spread(WINDOW))
    return machine, begin(machine, [{"orderId": n, "total": n} for n in range(items)])


def deciding(items: int) -> Round:
    """Deciding and encoding, beside encoding alone."""
    machine, signal = _a_map(items)
    begun = time.perf_counter()
    decisions = live(machine, signal)
    for decision in decisions:
        facts.encode(decision.events)
    ours = time.perf_counter() - begun
    encoder = msgspec.json.Encoder()
    begun = time.perf_counter()
    for decision in decisions:
        encoder.encode(decision.events)
    floor = time.perf_counter() - begun
    count = sum(len(decision.events) for decision in decisions)
    return Round(count / ours, count / floor, {})


def folding(items: int) -> Round:
    """Decoding and folding the log's bytes, beside decoding alone."""
    machine, signal = _a_map(items)
    decisions = live(machine, signal)
    count = sum(len(decision.events) for decision in decisions)
    bodies = [facts.encode(decision.events) for decision in decisions]
    del decisions
    begun = time.perf_counter()
    execution = Execution()
    for body in bodies:
        for event in facts.decode(body):
            execution.apply(event)
    ours = time.perf_counter() - begun
    if execution.version != count:
        raise AssertionError("the fold is not what was decided")
    decoder = msgspec.json.Decoder(list[Event])
    begun = time.perf_counter()
    for body in bodies:
        decoder.decode(body)
    floor = time.perf_counter() - begun
    return Round(count / ours, count / floor, {})


def decided(*, quick: bool) -> Line:
    """The line `decide`."""
    rounds, items = (1, 100) if quick else (ROUNDS, ITEMS)
    return measured("decide", "events/s", "bare msgspec encode", rounds, deciding, items)


def folded(*, quick: bool) -> Line:
    """The line `fold`."""
    rounds, items = (1, 100) if quick else (ROUNDS, ITEMS)
    return measured("fold", "events/s", "bare msgspec decode", rounds, folding, items)
