"""How a command ends: its exit codes, and every error told as a sentence with a place and a remedy."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

import click

from stepfold.errors import CallerError, InvalidDefinition, InvalidExecutionInput
from stepfold.interpreter.facts import NewerLog
from stepfold.language.checking.diagnostics import ERROR, Diagnostic
from stepfold.language.reading.projects import ProjectError
from stepfold_store import StoreClosed, StoreError


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    STORE = 3
    INTERRUPTED = 4
    WAITS = 5
    DEFECT = 70


EXIT_CODES = """\b
Exit codes:
  0  it succeeded
  1  the execution failed, was stopped or timed out
  2  bad input: the command line, a definition, a template, an input; nothing was started
  3  the store cannot be used: held by another process, damaged, no space
  4  interrupted (Ctrl-C, SIGTERM): what was under way can be resumed
  5  what is left waits for a function that nobody gave, or for an answer from outside
  70 a mistake of stepfold's own; --debug shows where
"""


class Refused(CallerError):
    """What was typed cannot be done; the message says what can."""


def outcome_of(error: Exception) -> Exit:
    """The exit code that an error comes to."""
    if isinstance(error, CallerError | ProjectError):
        return Exit.BAD_INPUT
    if isinstance(error, StoreError | StoreClosed | NewerLog | OSError):
        return Exit.STORE
    return Exit.DEFECT


def unwrapped(error: Exception) -> Exception:
    """The one error in a group of one: a task group wraps what passes it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def tell(error: Exception, *, as_json: bool, store: str = "") -> None:
    """Say on stderr what went wrong, and with `as_json` also on stdout, for programs."""
    code = outcome_of(error)
    diagnostics = _diagnostics(error)
    if as_json:
        told: dict[str, object] = {"error": _name(error), "message": str(error)}
        if diagnostics:
            told["diagnostics"] = [plain(found) for found in diagnostics]
        click.echo(json.dumps(told, ensure_ascii=False))
    if diagnostics:
        count = sum(found.severity == ERROR for found in diagnostics)
        complain(f"the definition has {count} error{'s' if count != 1 else ''}; nothing was started")
        for line in as_lines(diagnostics):
            click.echo(line, err=True)
        return
    complain(_sentence(error, code))
    if isinstance(error, StoreClosed) and store:
        again = command("resume", "--store", store)
        click.echo(f"What was recorded is whole. Once the cause is gone: {again}", err=True)


def complain(message: str) -> None:
    """One line on stderr that says what is wrong."""
    click.echo(f"{click.style('stepfold:', fg='red')} {message}", err=True)


def as_lines(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Diagnostics for a person: severity, code and place, and below what is meant."""
    lines = []
    for found in diagnostics:
        colour = "red" if found.severity == ERROR else "yellow"
        severity = click.style(f"{found.severity.lower():7}", fg=colour)
        place = f"{click.style(found.location, bold=True)}  " if found.location else ""
        lines.append(f"  {severity}  {place}{found.code}")
        lines += [f"           {line}" for line in found.message.splitlines()]
    return lines


def plain(found: Diagnostic) -> dict[str, str | None]:
    """A diagnostic as ValidateStateMachineDefinition gives it."""
    return {
        "severity": found.severity, "code": found.code, "message": found.message, "location": found.location,
    }


def _diagnostics(error: Exception) -> Sequence[Diagnostic]:
    if not isinstance(error, InvalidDefinition):
        return ()
    return [found for found in error.diagnostics if isinstance(found, Diagnostic)]


def _name(error: Exception) -> str:
    if isinstance(error, Refused):
        return "BadRequest"
    return error.code if isinstance(error, CallerError) else type(error).__name__


def _sentence(error: Exception, code: Exit) -> str:
    if isinstance(error, InvalidExecutionInput):
        return f"InvalidExecutionInput: {error}"
    if code is Exit.DEFECT:
        return (
            f"a mistake of stepfold's own ({type(error).__name__}: {error}). What was recorded is whole. "
            "Run the command again with --debug to see where it comes from"
        )
    return str(error)


def command(*words: str | Path) -> str:
    """A command to type next, as this one was reached: it works when it is pasted."""
    return shlex.join([*_reached_as(), *map(str, words)])


def _reached_as() -> list[str]:
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "stepfold":
        return [_shortest(Path(sys.executable)), "-m", "stepfold"]
    if called.name != "stepfold":  # called from a program
        return ["stepfold"]
    found = shutil.which("stepfold")
    if found and Path(found).resolve() == called.resolve():
        return ["stepfold"]
    return [_shortest(called)]


def _shortest(program: Path) -> str:
    found = shutil.which(program.name)
    if found and Path(found).absolute() == program.absolute():
        return program.name
    path = program.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
