"""The check command: all that is wrong with definitions and with the machines of templates, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

from stepfold.errors import InvalidDefinition
from stepfold.language.check import check
from stepfold.language.diagnostics import ERROR, Diagnostic
from stepfold.language.machine import load
from stepfold.language.projects import Project, ProjectError

from .outcome import as_lines, plain
from .sources import Found, find_machines, unreadable


class Checked(NamedTuple):
    """What a check found of one machine."""

    machine: str | None
    source: str
    diagnostics: list[Diagnostic]

    @property
    def errors(self) -> int:
        """How many things are wrong; the rest are warnings."""
        return sum(found.severity == ERROR for found in self.diagnostics)


class Report(NamedTuple):
    """What a check found in one file."""

    file: Path
    machines: list[Checked]
    project: Project | None = None

    @property
    def good(self) -> bool:
        """Whether every machine can be run."""
        return not any(one.errors for one in self.machines)


def check_file(file: Path) -> Report:
    """Check a definition, or each machine of a template."""
    try:
        machines, project = find_machines(file)
    except (ProjectError, InvalidDefinition) as error:
        return Report(file, [Checked(None, str(file), unreadable(error))])
    return Report(file, [Checked(one.name, one.source, _diagnostics(one)) for one in machines], project)


def _diagnostics(found: Found) -> list[Diagnostic]:
    """What is wrong; a definition by itself may hold placeholders that a template would fill in."""
    listed = check(found.definition, type=found.type, placeholders=True)
    if any(one.severity == ERROR for one in listed):
        return listed
    try:
        load(found.definition, type=found.type)
    except InvalidDefinition as error:
        if "${" in found.definition:  # what is left open is no mistake of the language
            return [one for one in unreadable(error) if one in listed or one.code == "NOT_SUPPORTED"]
        return unreadable(error)
    return listed


def as_json(report: Report) -> dict[str, Any]:
    """A report for programs; each machine as ValidateStateMachineDefinition answers."""
    told: dict[str, Any] = {
        "file": str(report.file),
        "machines": [
            {
                "name": one.machine,
                "source": one.source,
                "result": "FAIL" if one.errors else "OK",
                "diagnostics": [plain(found) for found in one.diagnostics],
            }
            for one in report.machines
        ],
    }
    if report.project is not None:
        told["functions"] = [
            {"name": one.name, "runtime": one.runtime, "handler": one.handler} for one in report.project.functions
        ]
        told["warnings"] = report.project.warnings
    return told


def print_report(report: Report) -> None:
    """A report for a person."""
    project = report.project
    if project is not None:
        functions = f"{len(project.functions)} function{'s' if len(project.functions) != 1 else ''}"
        machines = f"{len(report.machines)} machine{'s' if len(report.machines) != 1 else ''}"
        click.echo(f"{click.style(str(report.file), bold=True)}: {machines}, {functions}")
    for one in report.machines:
        mark = click.style("✗", fg="red") if one.errors else click.style("✓", fg="green")
        label = one.machine if project is not None else str(report.file)
        where = f" ({one.source})" if project is not None and one.source != str(report.file.absolute()) else ""
        click.echo(f"{mark} {label}{click.style(where, dim=True)}{_count(one)}")
        for line in as_lines(one.diagnostics):
            click.echo(line)
    for warning in project.warnings if project is not None else ():
        click.echo(f"  {click.style('warning', fg='yellow')}  {warning}")


def _count(one: Checked) -> str:
    if one.errors:
        return f": {one.errors} error{'s' if one.errors != 1 else ''}"
    return f": good, {len(one.diagnostics)} to look at" if one.diagnostics else ": good"
