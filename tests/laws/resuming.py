"""The law of resuming, as a check that a test can call for one machine: cut it anywhere, and it ends as if never cut.

One way keeps the time a call takes over a crash (the answer comes when it would have come), so that the whole log must
be the same, also where much is at work at once. The other way is an engine's: time passes while it is away, calls are
made anew, and answers come in another order; then what must be the same is `Summary`, and the course of events where
nothing was concurrent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.laws.checks import FORKS, Broken, course, history, lawful, one_outcome, reread, summary
from tests.laws.costly import CostlySimulation
from tests.laws.machines import Made

from stepfold.interpreter import facts
from stepfold.interpreter.facts import Event
from stepfold.interpreter.simulate import Said, Script, Simulation
from stepfold.language.limits import Limits

MINUTE = 60_000
ENOUGH = 500
"""More decisions than any made machine needs (a broken core may go on for ever)."""


class Counts:
    """What the law was tried on."""

    def __init__(self) -> None:
        self.machines = 0
        self.crashes = 0
        self.in_flight: dict[int, int] = {}


def begun(
    made: Made, seed: int, *, kind: type[Simulation] = CostlySimulation, said: Iterable[Said] = (), **how: Any
) -> Simulation:
    """A simulation of the machine, at its beginning."""
    simulation = kind(made.machine, made.script, seed=seed, **{"seamless": True, "evaluating": 300, **how})
    simulation.begin(made.input, limits=Limits.local(), said=said)
    return simulation


def resumed(
    made: Made, log: Sequence[Event], seed: int, *, kind: type[Simulation] = CostlySimulation, away: int = 0,
    script: Script | None = None, **how: Any
) -> Simulation:
    """A simulation that goes on where a log ends."""
    simulation = kind(made.machine, script or made.script, seed=seed, **{"seamless": True, "evaluating": 300, **how})
    simulation.resume(log, away=away)
    return simulation


def whole(made: Made, seed: int, **how: Any) -> Simulation:
    """The run that is never cut: what every other is held against."""
    simulation = begun(made, seed, **how)
    simulation.run(ENOUGH)
    lawful(simulation.events)
    if simulation.execution.status == "RUNNING":
        raise Broken("the execution waits, or goes on, for ever")
    return simulation


def check_every_cut(made: Made, seed: int, counts: Counts, **how: Any) -> Simulation:
    """Cut after each decision; go on; the log is as if there had been no cut. Returns the run that was not cut."""
    oracle = whole(made, seed, **how)
    wanted = history(oracle.events)
    counts.machines += 1
    log = reread(oracle.events)
    for end in oracle.ends[:-1]:
        counts.crashes += 1
        simulation = resumed(made, log[:end], seed, echo=True, **how)
        _count_in_flight(simulation, counts)
        simulation.run(ENOUGH)
        _same(wanted, simulation, end, f"cut after event {end}")
    return oracle


def check_cut_again_and_again(made: Made, seed: int, counts: Counts, oracle: Simulation, **how: Any) -> None:
    """Cut after every decision of one run, those of each resume too (also the one that says what was interrupted)."""
    simulation = begun(made, seed, **how)
    log: list[Event] = []
    cut_in_recovery = False
    while simulation.execution.status == "RUNNING":
        counts.crashes += 1
        if len(simulation.events) > 100 + 10 * len(oracle.events):
            raise Broken("a run that is cut again and again does not come to its end")
        before = len(simulation.events)
        log += reread(simulation.events[len(log) :])  # (what is in a store is not written again)
        simulation = resumed(made, log, seed, **how)
        if not cut_in_recovery and len(simulation.events) > before:
            cut_in_recovery = True  # (once in a row: a run that does nothing but recover would never end)
            continue
        cut_in_recovery = False
        simulation.run(decisions=len(simulation.ends) + 1)
        if len(simulation.events) == before:
            raise Broken("a resumed execution waits, or goes on, for ever")
    lawful(simulation.events)
    _same(history(oracle.events), simulation, 0, "cut after every decision")


def check_as_an_engine(made: Made, seed: int, counts: Counts, oracle: Simulation, **how: Any) -> None:
    """Cut twice, be away for a while, make calls anew, hear answers in another order and twice."""
    wanted = summary(oracle.events) if confluent(made, oracle.events) else None
    for turn, end in enumerate(oracle.ends[:-1]):
        log: Sequence[Event] = oracle.events[:end]
        hurried = made.hurried(seed * 1_000 + turn)
        if turn % 2 and turn > 4:
            continue  # (enough of one machine)
        for away in (20 * MINUTE * 60 * (turn % 2), 7):
            counts.crashes += 1
            simulation = resumed(
                made, log, seed + turn, away=away, script=hurried, seamless=False, echo=True, **how
            )
            simulation.run(decisions=len(simulation.ends) + 1 + turn % 3)
            log = simulation.events
        simulation.run(ENOUGH)
        if simulation.execution.status == "RUNNING":
            raise Broken("a resumed execution waits, or goes on, for ever")
        lawful(simulation.events)
        if wanted is not None:
            found = summary(simulation.events)
            if found != wanted:
                raise Broken(f"cut after event {end}: {_difference(wanted, found)}")
            if sequential(oracle.events) and course(simulation.events) != course(oracle.events):
                raise Broken(f"cut after event {end}: the course of events differs")


def confluent(made: Made, events: Sequence[Event]) -> bool:
    """Whether the end cannot depend on the order of answers: nothing failed where others were at work beside it.

    (What is bound to the clock depends on more than order: the machine's own TimeoutSeconds, and heartbeats from
    outside, which are not heard while the engine is away.)
    """
    if "TimeoutSeconds" in made.definition or any(_bound_to_the_clock(event.fact) for event in events):
        return False
    if sequential(events):
        return True
    opened = {event.seq for event in events if isinstance(event.fact, FORKS)}
    failures = (facts.ParallelFailed, facts.MapFailed, facts.IterationFailed, facts.StateAborted)
    if any(isinstance(event.fact, failures) for event in events):
        return False
    if any(isinstance(event.fact, facts.ExecutionFailed) and opened for event in events):
        return False
    forked = {event.frame for event in events if isinstance(event.fact, facts.ParallelStarted | facts.MapStarted)}
    return not any(
        isinstance(event.fact, facts.RetryScheduled) and event.frame in forked for event in events
    )


def _bound_to_the_clock(fact: facts.Fact) -> bool:
    return isinstance(fact, facts.TaskScheduled) and fact.outward and fact.heartbeat is not None


def sequential(events: Sequence[Event]) -> bool:
    """Whether nothing was ever concurrent."""
    return not any(isinstance(event.fact, FORKS) for event in events)


def _count_in_flight(simulation: Simulation, counts: Counts) -> None:
    at_work = len(simulation.execution.asked)
    counts.in_flight[at_work] = counts.in_flight.get(at_work, 0) + 1


def _same(wanted: list[tuple[Any, ...]], simulation: Simulation, end: int, when: str) -> None:
    """The log past event `end` (what is before it was handed in) is as wanted; so it is as lawful, too."""
    if simulation.execution.status == "RUNNING":
        raise Broken("a resumed execution waits, or goes on, for ever")
    one_outcome(simulation.events)
    found = history(simulation.events, end)
    if found != wanted[end:]:
        raise Broken(f"{when}: {_difference(wanted[end:], found)}")


def _difference(wanted: Sequence[Any], found: Sequence[Any]) -> str:
    for index, (one, other) in enumerate(zip(wanted, found, strict=False)):
        if one != other:
            return f"at {index}: {one} became {other}"
    return f"{len(wanted)} became {len(found)}"
