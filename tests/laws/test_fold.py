"""Laws of one decision: a fold decides as what lives does, late words change nothing, and it ends at its limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain, pairwise

import pytest
from tests.laws.checks import lawful, reread
from tests.laws.costly import CostlySimulation
from tests.laws.machines import FUNCTION, make, seeded
from tests.laws.resuming import (
    Counts,
    begun,
    check_as_an_engine,
    check_cut_again_and_again,
    check_every_cut,
    whole,
)

from stepfold.interpreter import decide as core
from stepfold.interpreter import effects, facts, signals
from stepfold.interpreter.decide import Decision, decide, decide_together
from stepfold.interpreter.execution import EXPIRY, Execution
from stepfold.interpreter.facts import encode
from stepfold.interpreter.frames import Branches, Frame, Items
from stepfold.interpreter.signals import Effect, Signal
from stepfold.interpreter.simulate import Answer, Simulation, simulate
from stepfold.language.failures import Failure
from stepfold.language.limits import DECISION_EVENTS, Limits
from stepfold.language.machine import Machine, load
from stepfold.query.template import Moment
from stepfold.query.values import Value, text

MACHINES = 150
FOREVER = load({"StartAt": "A", "States": {
    "A": {"Type": "Pass", "Next": "B"},
    "B": {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "A"}], "Default": "E"},
    "E": {"Type": "Succeed"},
}})


def portrait(execution: Execution) -> object:
    """All that is true of an execution, to be compared."""
    return (
        execution.version, execution.ids, execution.at, execution.status, execution.expiry, execution.ending,
        list(execution.ready), list(execution.asked), [_frame(frame) for frame in execution.frames.values()],
        [_effect(effect) for effect in effects.owed(execution)],
    )


def _effect(effect: Effect) -> object:
    if isinstance(effect, signals.Invoke):
        return effect.asked, bytes(effect.arguments), effect.attempt
    if isinstance(effect, signals.Attend):
        return _effect(effect.job), bytes(effect.receipt)
    if isinstance(effect, signals.Offer):
        return effect.asked, bytes(effect.arguments), effect.token
    return str(effect)


def _frame(frame: Frame) -> object:
    waits = frame.waits
    seen: object = None
    if isinstance(waits, Branches):
        seen = (waits.next, list(waits.running), [out if out is None else bytes(out) for out in waits.outputs],
                waits.link if isinstance(waits, Items) else None)
    elif waits is not None:
        seen = [(name, _plain(getattr(waits, name))) for name in type(waits).__slots__]
    evaluated = {field: _plain(outcome) for field, outcome in frame.evaluated.items()}
    evaluating = frame.evaluating and (frame.evaluating.asked, frame.evaluating.field)
    named = [_plain(getattr(frame, name)) for name in Frame.__slots__
             if name not in {"parent", "waits", "evaluating", "evaluated"}]
    return named, frame.parent and frame.parent.seq, seen, evaluated, evaluating


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, Value) else value


class Twice(CostlySimulation):
    """Each signal is decided by what lives and by a fresh fold of the log, with the same moment."""

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        fresh = Execution.fold(reread(self.events))
        if self.events:
            assert portrait(fresh) == portrait(self.execution)
        again = self.moment()
        live = super().decide(signal, moment)
        folded = decide(self.machine, fresh, signal, again)
        assert encode(folded.events) == encode(live.events)
        assert folded.closed == live.closed
        assert [(type(effect), effect.asked) for effect in folded.owed] == [
            (type(effect), effect.asked) for effect in live.owed
        ]
        return live


@pytest.mark.parametrize("batch", range(5))
def test_a_fresh_fold_decides_as_what_lives(batch: int) -> None:
    size = MACHINES // 5
    for seed in range(batch * size, (batch + 1) * size):
        whole(make(seeded(seed)), seed, kind=Twice, echo=True)


class Together(CostlySimulation):
    """Before each decision: signals decided together come to what they come to one after the other."""

    compared = 0

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        said = [signal, *(due.signal for due in sorted(self._heap)[:3] if due.signal is not None)]
        one_by_one, together = (Execution.fold(reread(self.events)) for _ in range(2))
        then = self.moment()
        apart = [decide(self.machine, one_by_one, one, then) for one in said]
        waiting, then, joint = deque(said), self.moment(), []
        while waiting:
            joint.append(decide_together(self.machine, together, waiting, then))
        assert b"".join(encode([event]) for one in joint for event in one.events) == b"".join(
            encode([event]) for one in apart for event in one.events
        )
        assert [one for each in joint for one in each.heard] == [one for each in apart for one in each.heard]
        assert [one for each in joint for one in each.closed] == [one for each in apart for one in each.closed]
        assert portrait(together) == portrait(one_by_one)
        if len(joint) == 1:
            owed = {str(_effect(effect)) for effect in joint[0].owed}
            assert owed <= {str(_effect(effect)) for one in apart for effect in one.owed}
            assert owed >= {str(_effect(effect)) for one in apart for effect in one.owed
                            if effect.asked in one_by_one.asked}
        self.compared += len(apart) > 1
        return super().decide(signal, moment)


@pytest.mark.parametrize("batch", range(3))
def test_signals_decided_together_come_to_the_same_as_one_after_the_other(batch: int) -> None:
    compared = 0
    for seed in range(batch * 20, batch * 20 + 20):
        made = make(seeded(seed))
        oracle = whole(made, seed)
        simulation = begun(made, seed, kind=Together)
        simulation.run()
        assert encode(simulation.events) == encode(oracle.events)
        compared += simulation.compared
    assert compared > 20


def test_what_is_left_out_of_the_log_does_not_depend_on_which_object_a_value_is() -> None:
    """Constants of a machine are one object as long as the process lives, and others after it."""
    machine = load({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "OutputPath": None, "Next": "T"},
        "T": {"Type": "Task", "Resource": FUNCTION + "f", "InputPath": None, "ResultPath": None, "Next": "B"},
        "B": {"Type": "Pass", "Result": [1], "Next": "U"},
        "U": {"Type": "Task", "Resource": FUNCTION + "f", "Parameters": [1], "ResultPath": None, "Next": "C"},
        "C": {"Type": "Pass", "Result": [1], "Next": "M"},
        "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}},
              "End": True},
    }})
    simulation = Twice(machine, lambda _: _answer())
    simulation.begin(text({"x": 1}), limits=Limits.local())
    simulation.run()
    assert simulation.execution.status == "SUCCEEDED"


def _answer() -> Answer:
    return Answer(text("done"), 5)


def test_the_same_seed_makes_the_same_log() -> None:
    for seed in range(MACHINES):
        one, other = (whole(make(seeded(seed)), seed) for _ in range(2))
        assert encode(one.events) == encode(other.events)


def test_another_seed_draws_other_delays() -> None:
    made = make(seeded(5))
    assert encode(whole(made, 1).events) != encode(whole(made, 2).events)


@pytest.mark.parametrize("batch", range(3))
def test_late_repeated_and_unknown_words_change_nothing(batch: int) -> None:
    """Whoever is not waited for is not heard: each word ever said, and made-up ones, after every decision."""
    for seed in range(batch * 20, batch * 20 + 20):
        oracle = whole(made := make(seeded(seed)), seed)
        simulation = begun(made, seed, kind=Deaf)
        simulation.run()
        assert encode(simulation.events) == encode(oracle.events)
        assert simulation.tried > 0


class Deaf(CostlySimulation):
    """After each decision it is told all that nobody waits for."""

    tried = 0

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        decision = super().decide(signal, moment)
        execution = self.execution
        if execution.ready:
            return decision  # (there, any word lets it go on: that is no answer to it)
        before = portrait(execution)
        for word in chain(self._unasked(), self._unfitting()):
            self.tried += 1
            nothing = super().decide(word, moment)
            assert not nothing.events, word
            assert not nothing.owed
            assert not nothing.closed
        assert portrait(execution) == before
        return decision

    def _unasked(self) -> list[Signal]:
        gone = [seq for seq in range(self.execution.version + 3) if seq not in self.execution.asked and seq != EXPIRY]
        again = [signals.Continue(), signals.Begin(self._started())]
        return [word(seq) for seq in gone[-25:] for word in _WORDS] + again

    def _unfitting(self) -> list[Signal]:
        """The right number, but of something that cannot be answered so."""
        words: list[Signal] = []
        for asked, frame in self.execution.asked.items():
            kind = "evaluation" if frame.evaluating is not None else type(frame.waits).__name__
            if kind != "Invocation":
                words += [word(asked) for word in _WORDS[:7]]
            if kind != "Timer":
                words.append(signals.Rang(asked))
            if kind != "evaluation":
                words.append(signals.Evaluated(asked, text(1)))
        return words

    def _started(self) -> facts.ExecutionStarted:
        (started,) = [event.fact for event in self.events[:1]] or [self.execution.started]
        assert isinstance(started, facts.ExecutionStarted)
        return started


_WORDS: tuple[Callable[[int], Signal], ...] = (
    lambda asked: signals.Succeeded(asked, text("late")),
    lambda asked: signals.Failed(asked, Failure("Late")),
    lambda asked: signals.Unstarted(asked, "late"),
    signals.TimedOut,
    lambda asked: signals.Started(asked, "late"),
    lambda asked: signals.Submitted(asked, text("late")),
    signals.Heartbeat,
    signals.Rang,
    lambda asked: signals.Evaluated(asked, text("late")),
    lambda asked: signals.Interrupted((asked,)),
)


class Skewed(CostlySimulation):
    """Its clock is set back, again and again."""

    def moment(self) -> Moment:
        moment = super().moment()
        back = (0, 5_000, 60_000)[self.execution.version % 3]
        return Moment(moment.now - back, moment.random, moment.secret)


def test_the_times_of_events_never_go_back() -> None:
    for seed in range(40):
        made = make(seeded(seed))
        simulation = begun(made, seed, kind=Skewed)
        simulation.run(decisions=500)
        lawful(simulation.events)


# --- the limits of a decision -----------------------------------------------------------------------------------------


def _begun(machine: Machine, value: Value, limits: Limits | None = None) -> Simulation:
    simulation = Simulation(machine, lambda _: _answer())
    simulation.begin(value, limits=limits or Limits.local())
    return simulation


def test_a_decision_ends_at_a_thousand_events_and_a_stop_is_heard_then() -> None:
    simulation = _begun(FOREVER, text({"x": 1}))
    assert DECISION_EVENTS <= len(simulation.events) < DECISION_EVENTS + 10
    assert simulation.execution.ready
    simulation.run(decisions=5)
    sizes = [end - start for start, end in pairwise([0, *simulation.ends])]
    assert max(sizes) < DECISION_EVENTS + 10
    decision = simulation.tell(signals.Stop("Enough"))
    assert [type(event.fact).__name__ for event in decision.events] == ["ExecutionAborted"]
    assert not simulation.execution.ready
    lawful(simulation.events)


def test_what_comes_too_late_is_not_heard_though_others_go_on() -> None:
    simulation = _begun(FOREVER, text({"x": 1}))
    decision = simulation.tell(signals.TimedOut(999))
    assert decision.events
    assert not decision.heard


def test_a_decision_ends_at_a_mebibyte() -> None:
    machine = load({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Parameters": {"x.$": "$.x", "y.$": "States.MathAdd($.y, 1)"}, "Next": "A2"},
        "A2": {"Type": "Pass", "Parameters": {"x.$": "$.x", "y.$": "States.MathAdd($.y, 1)"}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.y", "NumericLessThan": 100, "Next": "A"}], "Default": "E"},
        "E": {"Type": "Succeed"},
    }})
    simulation = _begun(machine, text({"x": "x" * 200_000, "y": 0}))
    simulation.run()
    assert simulation.execution.status == "SUCCEEDED"
    assert len(simulation.ends) > 15
    for start, end in pairwise([0, *simulation.ends]):
        assert len(encode(simulation.events[start:end])) < (1 << 20) + 500_000


def test_a_cut_between_two_decisions_of_a_run_that_never_waits_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a decision may hold three events only, most of them end with something ready."""
    monkeypatch.setattr(core, "DECISION_EVENTS", 3)
    counts = Counts()
    for seed in range(18):
        made = make(seeded(seed))
        oracle = check_every_cut(made, seed, counts)
        check_cut_again_and_again(made, seed, counts, oracle)
        check_as_an_engine(made, seed, counts, oracle)
    assert counts.crashes > 500


def test_a_map_of_many_items_opens_them_over_several_decisions() -> None:
    machine = load({"StartAt": "M", "States": {"M": {"Type": "Map", "End": True, "ItemProcessor": {
        "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}},
    }}}})
    events, execution = simulate(machine, text(list(range(3_000))), lambda _: _answer())
    assert execution.status == "SUCCEEDED"
    assert bytes(execution.root.value) == bytes(text(list(range(3_000))))
    assert max(sum(1 for event in events if event.at == at) for at in {event.at for event in events}) > DECISION_EVENTS
    lawful(events)


def test_the_ceiling_of_events_ends_an_execution_with_the_last_of_them() -> None:
    simulation = _begun(FOREVER, text({"x": 1}), Limits.aws())
    simulation.run()
    execution = simulation.execution
    last = simulation.events[-1]
    assert execution.status == "FAILED"
    assert (last.id, last.previous) == (25_000, 24_999)
    assert execution.ending == Failure(
        "States.Runtime", "The execution reached the maximum number of history events (25000)."
    )
    lawful(simulation.events)
