"""What a check found, told: to a person with the line and a mark below it, to programs as JSON or SARIF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

import stepfold
from stepfold.language.reading.places import Span

from .checking import Checked, Finding, Report
from .outcome import plain

_WIDTH = 100
"""So much of a long line is shown, in characters."""


# -- for a person


def print_report(report: Report) -> None:
    """Each machine with a mark, below it what was found, each with its line."""
    project = report.project
    if project is not None:
        functions = f"{len(project.functions)} function{'s' if len(project.functions) != 1 else ''}"
        machines = f"{len(report.machines)} machine{'s' if len(report.machines) != 1 else ''}"
        click.echo(f"{click.style(str(report.file), bold=True)}: {machines}, {functions}")
    for one in report.machines:
        mark = click.style("✗", fg="red") if one.errors else click.style("✓", fg="green")
        label = one.machine if project is not None else str(report.file)
        where = f" ({one.source})" if project is not None and one.source != report.file else ""
        click.echo(f"{mark} {label}{click.style(where, dim=True)}{_count(one)}")
        lines = one.text.split("\n")
        for found in one.findings:
            for line in _told(found, one.source, lines):
                click.echo(line)
    for warning in project.warnings if project is not None else ():
        click.echo(f"  {click.style('warning', fg='yellow')}  {warning}")


def _count(one: Checked) -> str:
    if one.errors:
        return f": {one.errors} error{'s' if one.errors != 1 else ''}"
    return f": good, {len(one.findings)} to look at" if one.findings else ": good"


def _told(found: Finding, source: Path, lines: Sequence[str]) -> Iterator[str]:
    diagnostic, span = found
    severity = click.style(f"{diagnostic.severity.lower():7}", fg="red" if found.error else "yellow")
    place = f"{source}:{span.line}:{span.column}  " if span else ""
    location = f"{click.style(diagnostic.location, bold=True)}  " if diagnostic.location else ""
    yield f"  {severity}  {place}{location}{diagnostic.code}"
    yield from (f"           {line}" for line in diagnostic.message.splitlines())
    if span is not None and span.line <= len(lines):
        yield from _marked(lines[span.line - 1].rstrip("\r"), span)


def _marked(line: str, span: Span) -> Iterator[str]:
    """The line of the source, cut where it is long, and carets below the piece that is meant."""
    start = span.column - 1
    first = max(0, start - _WIDTH // 3) if len(line) > _WIDTH else 0
    shown = line[first : first + _WIDTH].replace("\t", " ")
    carets = "^" * max(1, min(span.end - span.column, len(shown) - (start - first)))
    yield f"      {span.line:4} | {shown}"
    yield f"           | {' ' * (start - first)}{carets}"


# -- for programs


def as_json(report: Report) -> dict[str, Any]:
    """A report for programs; each machine as ValidateStateMachineDefinition answers, with lines and columns."""
    told: dict[str, Any] = {
        "file": str(report.file),
        "machines": [
            {
                "name": one.machine,
                "source": str(one.source),
                "result": "FAIL" if one.errors else "OK",
                "diagnostics": [_plain(found) for found in one.findings],
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


def _plain(found: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {**plain(found.diagnostic)}
    if found.span is not None:
        told |= {"line": found.span.line, "column": found.span.column, "endColumn": found.span.end}
    return told


def as_sarif(reports: Sequence[Report]) -> dict[str, Any]:
    """Reports as SARIF 2.1.0 has them: one run, a result for each finding; columns count characters, from 1."""
    checked = [one for report in reports for one in report.machines]
    codes = dict.fromkeys(found.diagnostic.code for one in checked for found in one.findings)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "stepfold",
                        "version": stepfold.__version__,
                        "rules": [{"id": code} for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, found) for one in checked for found in one.findings],
            }
        ],
    }


def _result(one: Checked, found: Finding) -> dict[str, Any]:
    diagnostic, span = found
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(one.source)}}
    if span is not None:
        physical["region"] = {"startLine": span.line, "startColumn": span.column, "endColumn": span.end}
    location: dict[str, Any] = {"physicalLocation": physical}
    if diagnostic.location is not None:
        machine = one.machine or ""
        location["logicalLocations"] = [{"fullyQualifiedName": f"{machine}{diagnostic.location}"}]
    return {
        "ruleId": diagnostic.code,
        "level": "error" if found.error else "warning",
        "message": {"text": diagnostic.message},
        "locations": [location],
    }


def _uri(file: Path) -> str:
    """A path as SARIF wants it: relative where it can be."""
    here = Path.cwd()
    if not file.is_absolute():
        return quote(file.as_posix())
    return quote(file.relative_to(here).as_posix()) if file.is_relative_to(here) else file.as_uri()
