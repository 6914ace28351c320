"""The law of resuming: the fold of any beginning of a log, carried on, ends as the run that was never interrupted."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.laws.checks import HARD, features
from tests.laws.machines import FUNCTION, Made, make, seeded
from tests.laws.resuming import Counts, check_as_an_engine, check_cut_again_and_again, check_every_cut

from stepfold.interpreter import facts
from stepfold.interpreter.simulate import START, Answer, Asked, Simulation
from stepfold.language.failures import Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import load
from stepfold.query.values import text

MACHINES = 1_008
SHARES = 30
"""Of a hundred machines, so many at least have each of the hard things happen in them."""

COUNTS = Counts()
SEEN: Counter[str] = Counter()
TIMES: Counter[str] = Counter()


def obeys(made: Made, seed: int) -> set[str]:
    began = perf_counter()
    oracle = check_every_cut(made, seed, COUNTS)
    cut = perf_counter()
    check_cut_again_and_again(made, seed, COUNTS, oracle)
    again = perf_counter()
    check_as_an_engine(made, seed, COUNTS, oracle)
    TIMES.update({"every cut": cut - began, "again and again": again - cut, "as an engine": perf_counter() - again})
    return features(made, oracle.events)


@pytest.mark.parametrize("batch", range(12))
def test_a_log_cut_anywhere_ends_as_if_it_never_was(batch: int) -> None:
    """Cut after each decision; after each decision of the resume too; and as an engine is cut, hours at a time."""
    size = MACHINES // 12
    for seed in range(batch * size, (batch + 1) * size):
        made = make(seeded(seed))
        try:
            SEEN.update(obeys(made, seed))
        except AssertionError as broken:
            raise AssertionError(f"machine {seed}: {broken}\n{made!r}") from broken


def test_enough_hard_machines_were_tried(figures: list[str]) -> None:
    if COUNTS.machines < MACHINES:
        pytest.skip("only where all the machines were tried before")
    shares = {what: 100 * SEEN[what] / COUNTS.machines for what in HARD}
    at_work = {count: COUNTS.in_flight.get(count, 0) for count in (1, 2, 3)}
    figures.append(
        f"resume: {COUNTS.machines} machines, {COUNTS.crashes} crashes, in flight at a crash: "
        + ", ".join(f"{count}: {times}" for count, times in at_work.items())
        + f", more: {sum(COUNTS.in_flight.values()) - sum(at_work.values())}; "
        + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in TIMES.items())
    )
    figures.append("resume: " + ", ".join(f"{what} {share:.0f} %" for what, share in shares.items())
                   + f"; besides, an expression evaluated outside {100 * SEEN['evaluation'] / COUNTS.machines:.0f} %")
    print(*figures[-2:], sep="\n")
    assert all(share >= SHARES for share in shares.values()), shares
    assert all(times > 0 for times in at_work.values())
    assert all(SEEN[kind] for kind in ("Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"))
    assert SEEN["distributed Map"]


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data(), st.integers(0, 99))
def test_and_where_it_does_not_the_machine_is_made_small(data: st.DataObject, seed: int) -> None:
    """The same law over machines that Hypothesis builds, so that a failing one comes out small."""
    made = make(lambda below: data.draw(st.integers(0, below - 1)))
    obeys(made, seed)


def test_a_retry_keeps_its_drawn_delay_and_a_day_away_times_nothing_out() -> None:
    """What was in flight counts its time anew; what was drawn or promised stands (design, rule 5)."""
    machine = load({"StartAt": "Both", "States": {"Both": {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "Limited", "States": {"Limited": {
            "Type": "Task", "Resource": FUNCTION + "f", "TimeoutSeconds": 30, "End": True,
        }}},
        {"StartAt": "Again", "States": {"Again": {
            "Type": "Task", "Resource": FUNCTION + "f", "End": True,
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 3600, "JitterStrategy": "FULL"}],
        }}},
    ]}}})

    def script(asked: Asked) -> Answer:
        if asked.place[-1] == "Again" and asked.attempt == 1:
            return Answer(Failure("Boom"), 10)
        return Answer(text("done"), 20_000)

    before = Simulation(machine, script)
    before.begin(text({}), limits=Limits.local())
    before.run(decisions=2)
    (retry,) = (event.fact for event in before.events if isinstance(event.fact, facts.RetryScheduled))
    assert START < retry.until < START + 3_600_000 + 10

    day = 86_400_000
    after = Simulation(machine, script)
    after.resume(before.events, away=day)
    after.run()
    kinds = Counter(type(event.fact).__name__ for event in after.events)
    assert after.execution.status == "SUCCEEDED"
    assert kinds["TaskTimedOut"] == 0
    assert kinds["RetryScheduled"] == 1
    (rang,) = (event for event in after.events if isinstance(event.fact, facts.TimerRang))
    assert rang.at == before.events[-1].at + day  # at once: its moment had passed


def test_a_call_that_may_not_be_made_again_fails_where_it_was_interrupted() -> None:
    """`on_interrupt="fail"`: the resume says so, and Retry decides."""
    machine = load({"StartAt": "Once", "States": {"Once": {
        "Type": "Task", "Resource": FUNCTION + "f", "End": True,
        "Retry": [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}],
    }}})

    def script(asked: Asked) -> Answer:
        return Answer(text(asked.attempt), 1_000)

    before = Simulation(machine, script)
    before.begin(text({}), limits=Limits.local())
    after = Simulation(machine, script, failing={"Once"})
    after.resume(before.events)
    after.run()
    kinds = [type(event.fact).__name__ for event in after.events]
    assert kinds[4:7] == ["TaskFailed", "RetryScheduled", "TimerRang"]
    assert "Reattempted" not in kinds
    assert bytes(after.execution.root.value) == b"2"
    again = Simulation(machine, script, failing={"Once"})
    again.resume(after.events[:-3])  # the second attempt is cut as well, and there is no third
    again.run()
    assert again.execution.status == "FAILED"
