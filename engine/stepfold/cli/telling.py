"""What came of executions, told: the output on stdout, the rest on stderr, and what to type next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from stepfold.query.values import NotAdmitted, admit, tree
from stepfold.runtime.catalog import Description

from . import shapes
from .outcome import Exit, command
from .running import Outcome
from .screen import Screen, clean, duration, fit

_CAUSE_LINES = 12
_MEMORY = "memory://"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome for programs: DescribeExecution's shape, and what it waits for."""
    told = shapes.described(outcome.description)
    if outcome.waits:
        told["waitsFor"] = list(outcome.waits)
    if outcome.problem:
        told["problem"] = outcome.problem
    return told


def print_output(one: Description) -> None:
    """The output: as it is for programs, indented for a person."""
    if one.output is not None:
        click.echo(msgspec.json.format(one.output, indent=2) if sys.stdout.isatty() else one.output)


def tell_end(screen: Screen, one: Description) -> None:
    """One line that says how an execution ended, and below it why, where it ended badly."""
    took = duration(((one.stopped or one.started) - one.started) / 1000)
    if one.status == "SUCCEEDED":
        screen.line(f"{screen.paint('✓', 'green', 'bold')} {one.status} {screen.paint(f'in {took}', 'dim')}")
        return
    error = f": {clean(one.error)}" if one.error else ""
    screen.line(f"{screen.paint('✗', 'red', 'bold')} {one.status} {screen.paint(f'after {took}', 'dim')}{error}")
    for line in cause_lines(one.cause):
        screen.line(f"  {line}")


def cause_lines(cause: str | None) -> list[str]:
    """A cause for a person; where it is the JSON that Lambda makes of an exception, its message and its stack."""
    if not cause:
        return []
    text = cause
    try:
        fields = tree(admit(cause))
    except NotAdmitted:
        fields = None
    if isinstance(fields, dict) and isinstance(fields.get("errorMessage"), str):
        stack = fields.get("stackTrace") or fields.get("trace")
        frames = stack if isinstance(stack, list) else []
        text = "\n".join([fields["errorMessage"], *(str(frame).rstrip() for frame in frames)])
    lines = [clean(line) for line in text.splitlines()]
    return lines if len(lines) <= _CAUSE_LINES else [*lines[:_CAUSE_LINES], "…"]


def tell_waits(screen: Screen, waits: Sequence[str], store: str) -> None:
    """What an execution waits for, and how to give it."""
    for name in waits:
        what = f"the resource {name}" if name.startswith("arn:") else f"the function {name!r}"
        screen.line(f"{screen.paint('…', 'yellow', 'bold')} it waits for {what}, which nobody has given")
    if any(name.startswith("arn:") and ":states:::" in name for name in waits):
        screen.line("  --services calls AWS's services, with the credentials that boto3 finds")
    if not waits:
        screen.line(f"{screen.paint('…', 'yellow', 'bold')} it waits for an answer from outside")
    elif store == _MEMORY:
        screen.line("  give a template that has it with --template")
    else:
        again = command("resume", "--store", store, "--template", "TEMPLATE")
        screen.line(f"  give a SAM template that has it: {screen.paint(again, 'bold')}")


def tell_interrupted(screen: Screen, store: str, template: Path | None) -> None:
    """How to go on after Ctrl-C."""
    mark = screen.paint("‖", "yellow", "bold")
    if store == _MEMORY:
        screen.line(f"{mark} interrupted; a memory store keeps nothing, so there is nothing to resume")
        return
    words = ["resume", "--store", store] + (["--template", str(_near(template))] if template else [])
    screen.line(f"{mark} interrupted; it goes on from here with: {screen.paint(command(*words), 'bold')}")


def _near(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def line_of(screen: Screen, outcome: Outcome) -> str:
    """An execution in one line: how it is now, and its output, error, or what it waits for."""
    one = outcome.description
    mark, colour = {
        Exit.OK: ("✓", "green"), Exit.FAILED: ("✗", "red"), Exit.STORE: ("✗", "red"),
    }.get(outcome.exit, ("…", "yellow"))
    status = one.status
    rest = clean(one.output or "")
    if outcome.exit is Exit.FAILED:
        rest = ": ".join(clean(" ".join(text.split())) for text in (one.error, one.cause) if text)
    elif outcome.exit is Exit.STORE:
        rest = f"set aside: {outcome.problem}"
    elif outcome.exit is Exit.WAITS:
        rest = f"waits for {', '.join(outcome.waits) or 'an answer from outside'}"
    elif outcome.exit is Exit.INTERRUPTED:
        rest = "interrupted"
    text = f"{clean(one.name)}  {status}  {rest}".rstrip()
    if screen.live:
        text = fit(text, screen.width - 3)
    return f"{screen.paint(mark, colour, 'bold')} {text}"
