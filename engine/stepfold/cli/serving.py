"""The serve command: an engine, with the functions and machines of templates, behind the AWS API until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import click
import msgspec

from stepfold import names
from stepfold.errors import InvalidDefinition
from stepfold.language.limits import Limits
from stepfold.language.machine import load
from stepfold.language.reading.projects import Project, ProjectMachine, read_project
from stepfold.names import Home
from stepfold.runtime.engine import Engine
from stepfold.runtime.outside import Outside
from stepfold.runtime.projects import register_functions
from stepfold_store import StoreClosed, StoreError

from .follow import output_line
from .outcome import Exit, Refused, complain
from .reopening import Reopening
from .running import mark, reach_outside, remember, remembered, writing
from .screen import Screen

NO_EXTRA = "serve needs the extra 'server': pip install 'stepfold[server]'"
CREDENTIAL = "stepfold"
"""What stands for a key where no keys are configured; the SDKs refuse to call without any."""


class Site(NamedTuple):
    """The arguments of `serve`."""

    host: str
    port: int
    store: str
    home: Home
    templates: Sequence[Path]
    keys: Path | None
    hosts: Sequence[str]
    limits: str
    log_file: Path | None = None
    outside: Outside = Outside()


async def serve_site(site: Site) -> Exit:
    """Serve until SIGTERM or SIGINT; nothing is opened before all that was typed is known to be good."""
    try:
        from stepfold.service.outward import Outward
        from stepfold.service.service import StepFunctions
        from stepfold.service.serving import is_loopback, serve
        from stepfold.service.wire.keys import KeysRefused, load_keys
    except ModuleNotFoundError as missing:
        raise Refused(f"{NO_EXTRA} ({missing.name} is missing)") from None
    try:
        keys = load_keys(site.keys) if site.keys is not None else None
    except (KeysRefused, OSError) as error:
        raise Refused(f"--keys: {error}") from None
    if keys is None and not is_loopback(site.host):
        raise Refused(f"--host {site.host} can be reached from elsewhere: that wants --keys FILE, or 127.0.0.1")
    projects = _projects(site.templates, site.home)
    port = _free(site.host, site.port)
    limits = Limits.named(site.limits)
    told = Screen(sys.stderr)

    def heard(function: str, _: str, line: str) -> None:
        told.line(output_line(told, function, line))
        told.flush()

    with _asked_to_stop() as asked:
        engine = Engine(limits=limits, home=site.home)
        engine.workers.complete = True
        service = StepFunctions(engine)
        hear = None if site.log_file is None else _appended(site.log_file)
        Outward(service, on_line=hear, on_status=hear)
        for project in projects.values():
            register_functions(
                engine, project, on_output=heard, environment=environment(site.host, port, signed=keys is not None)
            )
        reach_outside(engine, site.outside)

        def announce(line: str) -> None:
            click.echo(line)
            if asked():  # after the last look below, and before the server heard signals itself
                signal.raise_signal(signal.SIGTERM)

        async def answer() -> None:
            if not asked():
                await serve(service, host=site.host, port=port, keys=keys, hosts=site.hosts, announce=announce)

        await _keep_open(engine, site.store, projects, answer)
    return Exit.OK


async def _keep_open(
    engine: Engine, location: str, projects: Mapping[Path, Project], answer: Callable[[], Awaitable[None]]
) -> None:
    """Open the engine with what templates give, have it answer, and open it anew whenever its store has failed."""
    over = anyio.Event()

    async def answered() -> None:
        try:
            await answer()
        finally:
            over.set()

    async with anyio.create_task_group() as group:
        reopening = Reopening(over)
        answers = goes_on = False
        while not answers or goes_on:
            try:
                async with writing(location) as store:
                    engine.use(store)
                    async with engine:
                        for template, project in projects.items():
                            for machine in project.machines:
                                await _give(engine, machine, template)
                        if not answers:
                            group.start_soon(answered)
                            answers = True
                        goes_on = await reopening.wanted(store)
            except (StoreError, StoreClosed) as error:
                if not answers:
                    raise
                goes_on = await reopening.failed(error)


async def _give(engine: Engine, machine: ProjectMachine, template: Path) -> None:
    """Make a template's machine known; as long as the template says the same, what the API made of it stands."""
    arn = engine.home.machine(machine.name)
    given = mark(machine.definition, machine.type, machine.role)
    before = await remembered(engine.store, arn)
    if before is None or before.mark != given or engine.registry.peek(arn) is None:
        await engine.create(machine.name, machine.definition, type=machine.type, role=machine.role, replace=True)
    await remember(engine.store, arn, template, given)


def _appended(file: Path) -> Callable[[dict[str, Any]], None]:
    """Add what is told to the file, a line each, for its owner alone; raises Refused where that cannot be."""
    try:
        file.touch(0o600)
    except OSError as error:
        raise Refused(f"--log-file: {error}") from None

    def add(told: dict[str, Any]) -> None:
        with file.open("ab") as lines:
            lines.write(msgspec.json.encode(told) + b"\n")

    return add


def environment(host: str, port: int, *, signed: bool) -> dict[str, str]:
    """What local functions are given so that an SDK in them finds this server by itself.

    Where requests must be signed with a configured key, a function's own environment says with which.
    """
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (bound by the user, with keys)
    shown = f"[{address}]" if ":" in address else address
    given = {
        "AWS_ENDPOINT_URL_SFN": f"http://{shown}:{port}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # botocore's; no name sync-127.0.0.1 can be looked up
    }
    return given if signed else given | {"AWS_ACCESS_KEY_ID": CREDENTIAL, "AWS_SECRET_ACCESS_KEY": CREDENTIAL}


def _projects(templates: Iterable[Path], home: Home) -> dict[Path, Project]:
    """What the templates hold, by their paths: of each name one, and every machine good. Raises what is wrong."""
    projects: dict[Path, Project] = {}
    seen: dict[tuple[str, str], Path] = {}
    for template in templates:
        if not template.exists():
            raise Refused(f"{template}: no such file")
        if template.absolute() in projects:
            continue
        project = projects[template.absolute()] = read_project(template, home=home)
        there = [("machine", one.name) for one in project.machines]
        for what, name in [*there, *(("function", one.name) for one in project.functions)]:
            if (what, name) in seen:
                raise Refused(f"{template}: a {what} called {name!r} is in {seen[what, name]} already")
            seen[what, name] = template
        for machine in project.machines:
            names.check_name(machine.name)
            try:
                load(machine.definition, type=machine.type)
            except InvalidDefinition:
                complain(f"{template}: the machine {machine.name!r}:")
                raise
    return projects


def _free(host: str, port: int) -> int:
    """The port, or a free one for 0; known before anything is opened, for functions are told it. Raises Refused."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            free: int = tried.getsockname()[1]
            return free
    except OSError as error:
        raise Refused(f"--host {host} --port {port} cannot be listened on: {error.strerror or error}") from None


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come while the engine opens or closes; the second ends the process on the spot.

    While it serves, the server hears them itself.
    """
    came: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if came:
            os._exit(Exit.INTERRUPTED)  # nothing is lost: the log is whole at any moment
        came.append(number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
