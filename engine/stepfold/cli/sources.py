"""What a command is given to run: a definition, or a template with machines and functions; and the input."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from stepfold.errors import InvalidDefinition, InvalidExecutionInput
from stepfold.language.checking.diagnostics import ERROR, Diagnostic
from stepfold.language.limits import Limits
from stepfold.language.machine import load
from stepfold.language.reading import files
from stepfold.language.reading.notation import placeholders
from stepfold.language.reading.projects import Project, ProjectMachine, is_template, read_project
from stepfold.query import jackson
from stepfold.query.values import NotAdmitted, admit

from .outcome import Refused

_NAMELESS = re.compile(r"[^0-9A-Za-z._-]+")


class Source(NamedTuple):
    """One machine to run, and the template that gives its functions."""

    name: str
    definition: str
    type: str = "STANDARD"
    role: str | None = None
    project: Project = Project()
    template: Path | None = None


def read_source(file: Path, template: Path | None, machine: str | None) -> Source:
    """What FILE and --template hold; raises what is wrong with it before anything is started."""
    if not file.exists():
        raise Refused(f"{file}: no such file")
    if is_template(file):
        functions = template or file
        project = read_project(file)
        chosen = _chosen(project.machines, file, machine)
        if template is not None:
            project = read_project(template)
        source = Source(
            _named(chosen.name), chosen.definition, chosen.type, chosen.role, project, functions.absolute()
        )
    else:
        source = _plain(file, template, machine)
    load(source.definition, type=source.type)
    return source


def _plain(file: Path, template: Path | None, machine: str | None) -> Source:
    """A definition by itself; where the template has this very file as a machine's, that machine."""
    project = read_project(template) if template is not None else Project()
    for known in project.machines:
        if Path(known.source) == file.absolute() and machine in {None, known.name, known.logical_id}:
            return Source(
                _named(known.name), known.definition, known.type, known.role, project,
                template.absolute() if template else None,
            )
    name = machine or _named(re.sub(r"(\.asl)?\.(json|ya?ml)$", "", file.name))
    definition = files.read(file)
    if left := sorted(set(placeholders(definition))):
        given = f"{template} says nothing of them" if template else "run the template, or give it with --template"
        raise Refused(f"{file}: a template would fill in {', '.join(f'${{{one}}}' for one in left)}; {given}")
    return Source(name, definition, project=project, template=template.absolute() if template else None)


def _chosen(machines: list[ProjectMachine], file: Path, wanted: str | None) -> ProjectMachine:
    names = ", ".join(machine.name for machine in machines)
    if wanted is not None:
        for machine in machines:
            if wanted in {machine.name, machine.logical_id}:
                return machine
        raise Refused(f"{file}: no machine is called {wanted!r}; there is {names or 'none'}")
    if len(machines) == 1:
        return machines[0]
    if not machines:
        raise Refused(f"{file}: this template has no state machine")
    raise Refused(f"{file}: this template has {len(machines)} machines; choose one with --machine: {names}")


def _named(text: str) -> str:
    """A name that AWS takes, made of any text."""
    return _NAMELESS.sub("-", text).strip("-")[:80] or "machine"


def read_input(given: str | None, limits: Limits) -> str:
    """The text of --input: JSON as it was typed, @FILE, or - for stdin. Raises AWS's InvalidExecutionInput."""
    if given is None:
        return "{}"
    try:
        if given == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        elif given.startswith("@"):
            text = Path(given[1:]).read_text(encoding="utf-8-sig")
        else:
            text = given
    except OSError as error:
        raise Refused(f"--input {given}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidExecutionInput(_refused(f"byte {error.start} is not UTF-8")) from None
    if not text.strip():
        raise InvalidExecutionInput(jackson.EMPTY)
    try:
        admit(text, limit=limits.payload)
    except NotAdmitted as error:
        hint = "" if given == "-" or given.startswith("@") or not Path(given).is_file() else f" (a file: @{given}?)"
        raise InvalidExecutionInput(_refused(_in_words(text, str(error))) + hint) from None
    return text


def _in_words(text: str, refused: str) -> str:
    """Why a text is not JSON, in the words of AWS's parser, and where."""
    found = jackson.fault(text)
    return refused if found is None else f"{found.words} at line: {found.line}, column: {found.column}"


def _refused(why: str) -> str:
    return f"Invalid State Machine Execution Input: '{why}'"


class Found(NamedTuple):
    """A machine that `check` looks at: its name (None for a definition by itself), what it is, where it stands.

    `places` are where the definition may begin in the file `source`, as locations: `` for a definition by itself.
    """

    name: str | None
    definition: str
    type: str
    source: Path
    places: tuple[str, ...] = ("",)


def find_machines(file: Path) -> tuple[list[Found], Project | None]:
    """The machines of a file, and the whole project where it is a template. Raises ProjectError, InvalidDefinition.

    Placeholders that nothing is known of are left in the definitions, also those without quotes.
    """
    if not is_template(file):
        return [Found(None, files.read(file, left_open=True), "STANDARD", file)], None
    project = read_project(file, left_open=True)
    return [_found(one, file) for one in project.machines], project


def _found(machine: ProjectMachine, template: Path) -> Found:
    source = Path(machine.source)
    if source != template.absolute():
        return Found(machine.name, machine.definition, machine.type, near(source))
    property_ = f"/Resources/{machine.logical_id}/Properties/Definition"
    wrapped = ("", "/Fn::Sub", "/Fn::Sub[0]", "[0]")
    return Found(
        machine.name, machine.definition, machine.type, template,
        tuple(f"{name}{inner}" for name in (f"{property_}String", property_) for inner in wrapped),
    )


def near(path: Path) -> Path:
    """The path as it is written from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def unreadable(error: Exception) -> list[Diagnostic]:
    """A file that could not be read, as a diagnostic."""
    if isinstance(error, InvalidDefinition) and error.diagnostics:
        return [found for found in error.diagnostics if isinstance(found, Diagnostic)]
    return [Diagnostic(ERROR, "INVALID_JSON_DESCRIPTION", str(error))]
