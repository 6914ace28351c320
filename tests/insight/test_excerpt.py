"""Law of excerpts: any part of a history, told from its end backwards, is what the fold of the whole log tells."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.insight.test_history import ARN, ROLE
from tests.laws.checks import reread
from tests.laws.machines import make, seeded
from tests.laws.resuming import ENOUGH, resumed, whole
from tests.laws.test_snapshots import logs

from stepfold.insight import excerpt as at_work
from stepfold.insight.excerpt import Excerpt, Recollections
from stepfold.insight.history import HistoryEvent, history
from stepfold.interpreter import facts, signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.simulate import Answer, Simulation
from stepfold.language.failures import Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import load
from stepfold.query.template import Moment
from stepfold.query.values import text

PARTS = 40
"""So many parts of each log are told."""
REDRIVEN = 120
"""And so many machines are stopped and redriven on their way."""


def told(log: list[Event], oldest: int, newest: int, known: Recollections, step: int) -> tuple[list[HistoryEvent], int]:
    """The events of these numbers, and how many events had to be gone over; `step` are handed out at a time."""
    part = Excerpt(_region(log), known)
    most = sum(1 for event in log[oldest - 1 : newest] if event.id)
    at = newest
    while at and (len(part) < most or part.wants_more):
        part.back(log[max(at - step, 0) : at][::-1], most)
        at -= step
    assert not part.wants_more
    return part.told()[::-1], newest - max(at, 0)


def _region(log: list[Event]) -> str:
    started = log[0].fact
    assert isinstance(started, facts.ExecutionStarted)
    return started.region


def redriven(seed: int, chance: random.Random) -> list[Event]:
    """A made machine's log: now and then it is stopped, redriven, and goes on."""
    made = make(seeded(seed))
    log, ends = whole(made, seed).events, whole(made, seed).ends
    for _ in range(1 + chance.randrange(3)):
        if not ends:  # nothing was left to be done
            break
        log = reread(log[: chance.choice(ends[:-1] or ends)])
        execution = Execution.fold(log)
        moment = Moment(execution.at, lambda: 0.5, bytes)
        for signal in (signals.Stop(), signals.Redrive()):
            log = log + reread(decide(made.machine, execution, signal, moment).events or log[:0])
        going_on = resumed(made, log, seed)
        going_on.run(ENOUGH)
        log, ends = going_on.events, going_on.ends
    return reread(log)


def every_log() -> Iterator[list[Event]]:
    """Those of made machines and the golden ones, and of machines that were redriven."""
    yield from logs()
    chance = random.Random(1)
    yield from (redriven(seed, chance) for seed in range(REDRIVEN))


def test_any_part_is_told_as_the_whole_has_it(monkeypatch: pytest.MonkeyPatch, figures: list[str]) -> None:
    chance, parts, seen = random.Random(2), 0, Counter[str]()
    for log in every_log():
        every = list(history(log))
        monkeypatch.setattr(at_work, "FAR", chance.choice((0, 2, 1_000)))
        known = Recollections()
        for _ in range(PARTS):
            newest = 1 + chance.randrange(len(log))
            oldest = max(newest - chance.choice((0, 1, 4, 20)), 1)
            wanted = {event.id for event in log[oldest - 1 : newest]}
            found, _ = told(log, oldest, newest, known, chance.choice((1, 3, 50)))
            assert found == [event for event in every if event["id"] in wanted], f"{log[0].fact}, {oldest} to {newest}"
            parts += 1
        seen.update(type(event.fact).__name__ for event in log)
    figures.append(f"excerpts: {parts} parts of histories")
    assert seen.keys() == {fact.__name__ for fact in facts.FACTS}


EACH = {"StartAt": "Each", "States": {
    "Each": {"Type": "Map", "MaxConcurrency": 2, "End": True, "ItemProcessor": {"StartAt": "Pass", "States": {
        "Pass": {"Type": "Pass", "Next": "Wait"}, "Wait": {"Type": "Wait", "Seconds": 1, "End": True},
    }}},
}}


@pytest.fixture(scope="module")
def long() -> list[Event]:
    """Items that are handed on as they are: all that their events leave out stands at the Map's beginning."""
    simulation = Simulation(load(EACH), lambda _: Answer(text(1), 0))
    simulation.begin(text(list(range(700))), limits=Limits.local())
    simulation.run()
    return reread(simulation.events)


def test_what_lies_far_back_is_looked_for_once(long: list[Event]) -> None:
    every, known = list(history(long)), Recollections()
    walks = []
    for newest in range(len(long) - 1_500, 1_500, -50):
        found, walked = told(long, newest - 49, newest, known, 50)
        assert found == [event for event in every if found[0]["id"] <= event["id"] <= found[-1]["id"]]
        walks.append(walked)
    assert walks[0] > len(long) - 2_000, "the name of the Map, and the items"
    assert max(walks[1:]) < 500


def test_readers_who_read_on_go_back_to_where_they_were(long: list[Event]) -> None:
    known = Recollections()
    walks = [told(long, oldest, oldest + 99, known, 50)[1] for oldest in range(3_000, len(long) - 1_000, 100)]
    assert walks[0] >= 3_000
    assert max(walks[1:]) < 500


def test_joined_outputs_are_looked_for_once(long: list[Event]) -> None:
    known = Recollections()
    assert told(long, len(long) - 5, len(long), known, 50)[1] > len(long) - 100
    again, walked = told(long, len(long) - 5, len(long), known, 50)
    assert again == list(history(long))[-len(again) :]
    assert walked < 500


def test_what_was_not_found_is_not_remembered(long: list[Event]) -> None:
    """A walk that was broken off half-way leaves nothing behind."""
    known = Recollections()
    part = Excerpt(_region(long), known)
    part.back(long[2_000:4_000][::-1], 100)
    assert part.wants_more
    assert not known._kept


def test_few_things_are_remembered_and_those_that_were_farthest_to_seek(
    monkeypatch: pytest.MonkeyPatch, long: list[Event]
) -> None:
    monkeypatch.setattr(at_work, "FAR", 0)
    monkeypatch.setattr(at_work, "KEPT", 20)
    known = Recollections()
    for newest in range(1_500, len(long), 100):
        told(long, newest - 99, newest, known, 50)
        assert len(known._kept) <= 20
        assert {("state", 1), ("items", 1)} <= known._kept.keys()
    assert len(known._kept) == 20


def test_a_long_row_of_states_that_hand_on_their_input_is_no_deep_recursion() -> None:
    """Each visit fails, is tried again, and is caught: what the last one was given is what the first one was."""
    again = {"ErrorEquals": ["E"], "MaxAttempts": 1}
    caught = {"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "More"}
    machine = load({"StartAt": "Call", "States": {
        "Call": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "Next": "More",
                 "Retry": [again], "Catch": [caught]},
        "More": {"Type": "Choice", "Default": "Call", "Choices": [
            {"Variable": "$.enough", "IsPresent": True, "Next": "Enough"}]},
        "Enough": {"Type": "Succeed"},
    }})
    execution, events = Execution(), []
    started = facts.ExecutionStarted(
        input=text({"n": 1}), arn=ARN, name="e", machine="m", definition="", start="Call", role=ROLE)
    moment = Moment(1_700_000_000_000, lambda: 0.5, bytes)
    events += decide(machine, execution, signals.Begin(started), moment).events
    while len(events) < 20_000:
        asked = next(iter(execution.asked))
        waits = execution.asked[asked].waits
        signal = signals.Rang(asked) if type(waits).__name__ == "Timer" else signals.Failed(asked, Failure("E"))
        events += decide(machine, execution, signal, moment).events
    log = reread(events)
    found, _ = told(log, len(log) - 1_000, len(log), Recollections(), 1_000)
    assert found == list(history(log))[-len(found) :]
