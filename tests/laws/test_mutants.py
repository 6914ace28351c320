"""Are the laws awake? Five mistakes, each made on purpose in the running core, must be found by the law of resuming."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.laws.checks import Broken
from tests.laws.machines import make, seeded
from tests.laws.resuming import Counts, check_as_an_engine, check_every_cut

from stepfold.interpreter import decide, execution, failure, task
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.frames import Branches, Frame, Invocation, Items, Timer

WITHIN = 60
"""A mutant must be found within so many machines."""

Change = Callable[[pytest.MonkeyPatch], None]


def _after_folding(patch: pytest.MonkeyPatch, change: Callable[[Execution, dict[int, int]], None]) -> None:
    """What a resume folds is changed (`change` is told when each event was, too); what lives on is not."""
    fold = Execution.fold.__func__  # type: ignore[attr-defined]

    def changed(cls: type[Execution], events: Sequence[Event]) -> Execution:
        folded = fold(cls, events)
        change(folded, {event.seq: event.at for event in events})
        return folded

    patch.setattr(Execution, "fold", classmethod(changed))


def jitter_redrawn_on_resume(patch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)

    def redraw(folded: Execution, _: dict[int, int]) -> None:
        for frame in folded.asked.values():
            if isinstance(frame.waits, Timer) and frame.tries:
                frame.waits.until = folded.at + chance.randrange(4_000)

    _after_folding(patch, redraw)


def asked_ignored(patch: pytest.MonkeyPatch) -> None:
    """An answer goes to whoever waits for one, whichever call it names."""
    def answered(of: Execution, signal: Any, moment: Any, record: Any) -> None:
        for seq in (signal.asked, *of.asked):
            frame = of.asked.get(seq)
            if frame is not None and isinstance(frame.waits, Invocation):
                record.all(frame, task.SAID[type(signal)](of, frame.waits, signal, moment))
                return

    patch.setattr(decide, "_of_a_task", answered)


def abort_skipped(patch: pytest.MonkeyPatch) -> None:
    """What runs beside a failure is neither recorded as cut off nor taken away."""

    def halt(of: Execution, frame: Frame) -> None:
        of.ready.pop(frame.seq, None)
        waits, frame.waits, frame.evaluating = frame.waits, None, None
        if waits is not None and not isinstance(waits, Branches):
            of.asked.pop(waits.asked, None)

    patch.setattr(execution, "_halt", halt)
    patch.setattr(failure, "_abort", lambda *_: iter(()))


def finished_items_forgotten(patch: pytest.MonkeyPatch) -> None:
    def forget(folded: Execution, _: dict[int, int]) -> None:
        for frame in folded.frames.values():
            if isinstance(frame.waits, Items):
                frame.waits.outputs = [None] * len(frame.waits.outputs)

    _after_folding(patch, forget)


def timers_stored_as_seconds_left(patch: pytest.MonkeyPatch) -> None:
    """A timer begins anew at each resume, with all the time it had when it was set."""

    def restart(folded: Execution, set_at: dict[int, int]) -> None:
        for asked, frame in folded.asked.items():
            if isinstance(frame.waits, Timer):
                frame.waits.until += folded.at - set_at[asked]

    _after_folding(patch, restart)


MUTANTS: tuple[Change, ...] = (
    jitter_redrawn_on_resume, asked_ignored, abort_skipped, finished_items_forgotten, timers_stored_as_seconds_left,
)


def first_found() -> tuple[int, str] | None:
    """The first machine for which the law does not hold, and what the law says."""
    for seed in range(WITHIN):
        made = make(seeded(seed))
        counts = Counts()
        try:
            check_as_an_engine(made, seed, counts, check_every_cut(made, seed, counts))
        except Broken as broken:
            return seed, f"Broken: {broken}"
        except (AssertionError, KeyError, AttributeError, RuntimeError) as crashed:
            return seed, f"{type(crashed).__name__}: {crashed}"
    return None


def test_the_core_as_it_is_passes() -> None:
    assert first_found() is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_found(mutant: Change, monkeypatch: pytest.MonkeyPatch, figures: list[str]) -> None:
    mutant(monkeypatch)
    found = first_found()
    assert found is not None, f"no law noticed: {mutant.__name__}"
    figures.append(f"mutant {mutant.__name__}: machine {found[0]}: {found[1][:110]}")
