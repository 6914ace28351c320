"""Laws of snapshots: what is written and brought back is the fold of the log, in every field, and carries on alike."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from tests.laws.checks import reread
from tests.laws.costly import CostlySimulation
from tests.laws.machines import make, seeded
from tests.laws.resuming import Counts, check_as_an_engine, check_every_cut, whole
from tests.laws.test_golden import LOGS

from stepfold.interpreter import snapshots
from stepfold.interpreter.decide import Decision
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event, ExecutionRedriven, decode
from stepfold.interpreter.frames import Frame, Items
from stepfold.interpreter.signals import Signal
from stepfold.interpreter.snapshots import ROWS, restored, written
from stepfold.query.template import Moment, Variables
from stepfold.query.values import Value

MACHINES = 60
"""So many have every beginning of their logs written and brought back."""
CARRIED_ON = 40
"""And so many are cut after each of their decisions, and go on from what was brought back."""
DERIVED = {Execution: {"closed"}, Items: {"source"}}
"""Fields that need no place in a row: nothing is closed between two decisions, and the items are those of the text."""


def fields_of(kind: type) -> list[str]:
    return [name for one in kind.__mro__ for name in getattr(one, "__slots__", ())]


def portrait(execution: Execution) -> Any:
    """All that is in an execution, field by field, as far as anything can be reached from it."""
    seen: set[int] = set()

    def told(one: Any) -> Any:
        if isinstance(one, Value):
            return bytes(one)
        if isinstance(one, Variables):
            return told(dict(one.texts))
        if isinstance(one, dict):
            return [(key, told(part)) for key, part in one.items()]  # (its order is a field, too)
        if isinstance(one, list | tuple):
            return [told(part) for part in one]
        if isinstance(one, Frame):
            if one.seq in seen:
                return one.seq
            seen.add(one.seq)
        if type(one) in ROWS:
            return type(one).__name__, {name: told(getattr(one, name)) for name in fields_of(type(one))}
        if isinstance(one, msgspec.Struct):
            return type(one).__name__, {name: told(getattr(one, name)) for name in one.__struct_fields__}
        return one

    return told(execution)


def through_a_text(execution: Execution) -> Execution:
    found = restored(written(execution))
    assert found is not None
    return found


def found_in(execution: Execution) -> Iterator[str]:
    yield from (name for name in ("expiry", "ending", "redriven_at", "tokens") if getattr(execution, name))
    for frame in execution.frames.values():
        yield type(frame.waits).__name__
        yield from (name for name in ("evaluating", "evaluated", "failure", "token", "tries", "variables", "stilled")
                    if getattr(frame, name))


def logs() -> Iterator[list[Event]]:
    """Those of made machines, and the golden ones, in which everything happens."""
    for seed in range(MACHINES):
        yield reread(whole(make(seeded(seed)), seed).events)
    for log in json.loads(LOGS.read_text()).values():
        events = [event for step in log["steps"] for event in decode(step["events"].encode())]
        if log["status"] != "SUCCEEDED":
            last = events[-1]
            events.append(Event(last.seq + 1, last.id + 1, last.id, 1, last.at, ExecutionRedriven(1, "again")))
        yield events


def test_every_beginning_of_a_log_comes_back_in_every_field(figures: list[str]) -> None:
    tried, seen = 0, Counter[str]()
    for log in logs():
        execution = Execution()
        for event in log:
            execution.apply(event)
            execution.closed.clear()
            again = through_a_text(execution)
            assert portrait(again) == portrait(execution), f"{execution.started.arn}, event {event.seq}"
            assert written(again) == written(execution)
            seen.update(found_in(execution))
            tried += 1
    figures.append(f"snapshots: {tried} beginnings; " + ", ".join(f"{what} {many}" for what, many in seen.items()))
    assert {"Invocation", "Timer", "Branches", "Items", "Executions", "evaluating", "evaluated", "failure",
            "tries", "variables", "stilled", "expiry", "ending", "redriven_at", "tokens"} <= seen.keys()


class Compared(CostlySimulation):
    """After each decision, what lives is written as a fold of its log is: so whoever doubts a snapshot can tell."""

    def decide(self, signal: Signal, moment: Moment) -> Decision:
        decision = super().decide(signal, moment)
        assert written(self.execution) == written(Execution.fold(reread([*self.events, *decision.events])))
        return decision


def test_what_lives_is_written_as_what_was_folded() -> None:
    for seed in range(MACHINES):
        whole(make(seeded(seed)), seed, kind=Compared)


@pytest.mark.parametrize("batch", range(2))
def test_what_was_brought_back_carries_on_as_the_fold_does(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each resume of the law of resuming begins from a text; whatever is decided then is what was decided without."""
    fold = Execution.fold.__func__  # type: ignore[attr-defined]
    brought_back = 0

    def folded(cls: type[Execution], events: Iterable[Event]) -> Execution:
        nonlocal brought_back
        brought_back += 1
        return through_a_text(fold(cls, events))

    for seed in range(batch, CARRIED_ON, 2):
        made, counts = make(seeded(seed)), Counts()
        with monkeypatch.context() as patch:
            patch.setattr(Execution, "fold", classmethod(folded))
            check_as_an_engine(made, seed, counts, check_every_cut(made, seed, counts))
    assert brought_back > 300


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_no_field_is_left_out(kind: type) -> None:
    row = ROWS[kind]
    assert set(fields_of(kind)) - set(row.__struct_fields__) == DERIVED.get(kind, set())
    assert set(row.__struct_fields__) <= set(fields_of(kind))


def test_a_text_of_another_form_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    execution = Execution.fold(whole(make(seeded(3)), 3).events[:9])
    text = written(execution)
    assert restored(text) is not None
    monkeypatch.setattr(snapshots, "form", lambda: "another")
    assert restored(text) is None
    assert restored(written(execution)) is not None


def test_whatever_bytes_are_read_none_of_them_raises() -> None:
    """A checksum keeps such a text from being read at all; should one be, then it is no text, or an execution."""
    chance = random.Random(1)
    text = written(Execution.fold(whole(make(seeded(3)), 3).events[:20]))
    outcomes = Counter[str]()
    for _ in range(2_000):
        spoilt = bytearray(text)
        spoilt[chance.randrange(len(text))] ^= 1 << chance.randrange(8)
        outcomes[type(restored(bytes(spoilt))).__name__] += 1
        outcomes[type(restored(text[: chance.randrange(len(text))])).__name__] += 1
    assert outcomes.keys() == {"NoneType", "Execution"}


# --- the form ---------------------------------------------------------------------------------------------------------


def test_the_form_is_the_same_in_every_process() -> None:
    code = "from stepfold.interpreter import snapshots; print(snapshots.form())"
    told = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {snapshots.form()}


def _another_function(patch: pytest.MonkeyPatch) -> None:
    def turned(execution: Execution, frame: Frame, stage: Any) -> None:
        frame.stage = stage

    turned.__module__ = snapshots.fold.__name__
    patch.setattr(snapshots.fold, "_be_ready", turned)


def _another_constant(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(snapshots.frames.FAILING, "work", "handle")


def _another_fact(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshots.facts.StateFailed, "silent", False)


def _another_field(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(Frame.__annotations__, "more", "int")


def _another_type(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(snapshots.facts.TaskScheduled.__annotations__, "timeout", "float | None")


def _another_end(patch: pytest.MonkeyPatch) -> None:
    """The same function around another word."""
    patch.setitem(snapshots.fold._APPLY, snapshots.facts.ExecutionAborted, snapshots.fold._ended("FAILED"))


@pytest.mark.parametrize("change", [
    _another_function, _another_constant, _another_fact, _another_field, _another_type, _another_end,
], ids=lambda change: change.__name__.removeprefix("_"))
def test_whoever_changes_the_fold_changes_the_form(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshots.form.__wrapped__()
    assert before == snapshots.form()
    change(monkeypatch)
    assert snapshots.form.__wrapped__() != before
    monkeypatch.undo()
    assert snapshots.form.__wrapped__() == before
