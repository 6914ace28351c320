"""The check command: all that is wrong with definitions and with the machines of templates, and where in the file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from stepfold.errors import InvalidDefinition
from stepfold.language.checking.advice import advise
from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR, UNSUPPORTED, WARNING, Diagnostic
from stepfold.language.machine import load
from stepfold.language.reading.notation import read_file
from stepfold.language.reading.places import NOWHERE, Places, Span, places
from stepfold.language.reading.projects import Project, ProjectError
from stepfold.query.values import admit, tree

from .outcome import Exit
from .sources import Found, find_machines, near, unreadable


class Finding(NamedTuple):
    """One diagnostic, and where it points to: None where that cannot be told."""

    diagnostic: Diagnostic
    span: Span | None = None

    @property
    def error(self) -> bool:
        """Whether it is wrong, rather than likely not meant."""
        return self.diagnostic.severity == ERROR


class Checked(NamedTuple):
    """What a check found of one machine; `source` is the file it stands in, `text` that file's text."""

    machine: str | None
    source: Path
    text: str
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """How many things are wrong; the rest are warnings."""
        return sum(found.error for found in self.findings)


class Report(NamedTuple):
    """What a check found in one file."""

    file: Path
    machines: list[Checked]
    project: Project | None = None


def check_file(file: Path, ignored: Collection[str] = ()) -> Report:
    """Check a definition, or each machine of a template; diagnostics with an ignored code are left out."""
    try:
        machines, project = find_machines(file)
    except (ProjectError, InvalidDefinition) as error:
        source, span = _place(error, file)
        return Report(file, [_checked(file, None, source, [Finding(one, span) for one in unreadable(error)], ignored)])
    return Report(file, [_checked(file, one.name, one.source, _findings(one), ignored) for one in machines], project)


def exit_code(reports: Collection[Report], *, strict: bool) -> Exit:
    """How bad it is: nothing, warnings (which count where it is strict), or errors."""
    machines = [one for report in reports for one in report.machines]
    if any(one.errors for one in machines):
        return Exit.BAD_INPUT
    return Exit.FAILED if strict and any(one.findings for one in machines) else Exit.OK


def _checked(
    file: Path, name: str | None, source: Path, findings: list[Finding], ignored: Collection[str]
) -> Checked:
    """What is told of one machine; lines are quoted of files below the one that was asked about, or below here.

    A template of a stranger may name any file that may be read here, and the report may be read by the stranger.
    """
    kept = [found for found in findings if found.diagnostic.code not in ignored]
    here = [Path.cwd(), file.resolve().parent]
    if not any(source.resolve().is_relative_to(folder) for folder in here):
        return Checked(name, source, "", kept)
    try:
        return Checked(name, source, read_file(source), kept)
    except ProjectError:
        return Checked(name, source, "", kept)


def _place(error: Exception, file: Path) -> tuple[Path, Span | None]:
    """Which file cannot be read on, and where in it."""
    cause = error if isinstance(error, ProjectError) else error.__cause__
    if not isinstance(cause, ProjectError) or cause.file is None or cause.line is None or cause.column is None:
        return file, None
    source = file if cause.file == file.absolute() else near(cause.file)
    return source, Span(cause.line, cause.column, cause.column + 1)


def _findings(machine: Found) -> list[Finding]:
    """What is wrong with a machine and what is likely not meant, in the order of the file."""
    where = _places(machine)
    found = [Finding(one, _span(where, one)) for one in _diagnostics(machine)]
    for location, span in where.twice:
        message = f"The field '{location.rpartition('/')[2]}' stands here before: only this one counts"
        found.append(Finding(Diagnostic(WARNING, "DUPLICATE_FIELD", message, location), span))
    return sorted(found, key=lambda one: (one.span or _NO_SPAN)[:2])


_NO_SPAN = Span(0, 0, 0)


def _places(machine: Found) -> Places:
    """The places of a machine's definition in its file."""
    try:
        whole = places(read_file(machine.source))
    except ProjectError:
        return NOWHERE
    for prefix in machine.places:
        if f"{prefix}/StartAt" in whole.parts or f"{prefix}/States" in whole.parts:
            return whole.under(prefix)
    for prefix in machine.places:  # written in a way that cannot be followed: it is somewhere below
        if prefix in whole.parts:
            return Places({"": whole.parts[prefix]}, [])
    return NOWHERE


def _span(where: Places, found: Diagnostic) -> Span | None:
    focus = where.parts.get(found.focus) if found.focus else None
    if focus is not None and focus.name is not None:
        return focus.name
    part = where.find(found.location)
    return None if part is None else part.shown


def _diagnostics(machine: Found) -> list[Diagnostic]:
    """What is wrong; a definition by itself may hold placeholders that a template would fill in."""
    listed = check(machine.definition, type=machine.type, placeholders=True)
    if not any(one.severity == ERROR for one in listed):
        try:
            load(machine.definition, type=machine.type)
        except InvalidDefinition as error:
            left = unreadable(error)
            if "${" in machine.definition:  # what is left open is no mistake of the language
                left = [one for one in left if one.code == UNSUPPORTED]
            listed += [one for one in left if one not in listed]
    whole = tree(admit(machine.definition)) if _readable(listed) else None
    return listed + advise(whole, placeholders=True) if isinstance(whole, dict) else listed


def _readable(listed: list[Diagnostic]) -> bool:
    return not any(one.code in {"INVALID_JSON_DESCRIPTION", "TOO_DEEPLY_NESTED"} for one in listed)
