"""What run, resume and stop do, from what was typed to what is told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from stepfold import names
from stepfold.language.limits import Limits
from stepfold.runtime import at_rest
from stepfold.runtime.handle import Handle
from stepfold.runtime.outside import Outside

from . import running, telling
from .outcome import Exit
from .running import Outcome
from .screen import Screen
from .shapes import described
from .sources import read_input, read_source


class Asked(NamedTuple):
    """The arguments of `run`."""

    file: Path
    input: str | None
    template: Path | None
    name: str | None
    machine: str | None
    limits: str
    store: str
    outside: Outside = Outside()
    case: str | None = None


async def run_one(asked: Asked, *, as_json: bool) -> Exit:
    """Run a machine and tell what came of it; nothing is opened before all that was typed is known to be good."""
    limits = Limits.named(asked.limits)
    source = read_source(asked.file, asked.template, asked.machine)
    text = read_input(asked.input, limits)
    for name in filter(None, (source.name, asked.name)):
        names.check_name(name)
    screen = Screen(sys.stderr)

    def begin(handle: Handle, others: int) -> None:
        shown = f"{screen.paint(source.name, 'bold')} {screen.paint('as', 'dim')} {handle.name}"
        screen.line(f"{shown} {screen.paint(f'in {asked.store}', 'dim')}")
        if others:
            screen.line(screen.paint(f"resumed with it: {others} interrupted before", "dim"))
        screen.flush()

    order = running.Order(source, text, asked.store, asked.name, limits, outside=asked.outside, case=asked.case)
    try:
        outcome = await running.run(order, screen, begin)
    finally:
        screen.flush()
    _tell_one(screen, outcome, asked.store, source.template)
    if as_json:
        _echo(telling.as_json(outcome))
    else:
        telling.print_output(outcome.description)
    return outcome.exit


def _tell_one(screen: Screen, outcome: Outcome, store: str, template: Path | None) -> None:
    if outcome.exit is Exit.INTERRUPTED:
        telling.tell_interrupted(screen, store, template)
    elif outcome.exit is Exit.WAITS:
        telling.tell_waits(screen, outcome.waits, store)
    else:
        telling.tell_end(screen, outcome.description)
    screen.flush()


async def resume_all(
    store: str, template: Path | None, retry: Sequence[str] = (), *, as_json: bool, outside: Outside
) -> Exit:
    """Resume what was interrupted, and what `retry` names of what was set aside; a line an execution."""
    screen, paper = Screen(sys.stderr), Screen(sys.stdout)

    def tell(outcome: Outcome) -> None:
        if not as_json:
            paper.line(telling.line_of(paper, outcome))
            paper.flush()

    try:
        outcomes = await running.resume(store, template, screen, tell, retry=retry, outside=outside)
    finally:
        screen.flush()
    if as_json:
        _echo({"executions": [telling.as_json(outcome) for outcome in outcomes]})
    exits = {outcome.exit for outcome in outcomes}
    if Exit.INTERRUPTED in exits:
        telling.tell_interrupted(screen, store, template)
    elif Exit.WAITS in exits:
        telling.tell_waits(screen, sorted({name for outcome in outcomes for name in outcome.waits}), store)
    elif not outcomes:
        screen.line("nothing to resume: every execution of this store has ended")
    screen.flush()
    worst = (Exit.INTERRUPTED, Exit.STORE, Exit.WAITS, Exit.FAILED)
    return next((code for code in worst if code in exits), Exit.OK)


async def stop_one(store: str, name: str, error: str | None, cause: str | None, *, as_json: bool) -> Exit:
    """Stop an execution in a store that nobody runs."""
    async with running.writing(store, there=True) as opened:
        one = await at_rest.stop(opened, name, error=error, cause=cause)
    if as_json:
        _echo(described(one))
    else:
        click.echo(f"{one.name}  {one.status}")
    return Exit.OK


def _echo(told: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
