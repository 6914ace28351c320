"""What several commands share: options, the store's address, and the log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .outcome import Refused

if TYPE_CHECKING:
    from stepfold.runtime.outside import Outside

DEFAULT_STORE = "stepfold.db"
CASE_MARK = "#"
STORE_VARIABLE = "STEPFOLD_STORE"
DEBUG_VARIABLE = "STEPFOLD_DEBUG"

Command = TypeVar("Command", bound=Callable[..., Any])


class Settings:
    """What the options that every command has were set to."""

    def __init__(self) -> None:
        self.debug = os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}
        self.verbose = 0
        self.json = False
        self.store = ""
        self.quiet = logging.CRITICAL
        self.services: bool | None = None
        self.hosts: tuple[str, ...] = ()
        self.connections: Path | None = None
        self.mocks = ""

    @property
    def outside(self) -> Outside:
        """What Tasks may reach, files read; raises Refused."""
        from stepfold.runtime.outside import Outside
        from stepfold.work.mocked import MocksRefused, load_mocks
        from stepfold.work.services.connections import ConnectionsRefused, load_connections
        from stepfold.work.services.hosts import Allowed

        file = self.mocks.partition(CASE_MARK)[0]
        try:
            mocks = load_mocks(file) if file else None
            connections = load_connections(self.connections) if self.connections is not None else {}
            hosts = [Allowed.read(host) for host in self.hosts]
        except MocksRefused as wrong:
            raise Refused(f"--mocks: {wrong}") from None
        except ConnectionsRefused as wrong:
            raise Refused(f"--connections: {wrong}") from None
        except OSError as wrong:
            raise Refused(f"{wrong.filename}: {wrong.strerror}") from None
        except ValueError as wrong:
            raise Refused(f"--allow-http: {wrong}") from None
        return Outside(self.services, hosts, connections, mocks)

    @property
    def case(self) -> str | None:
        """The test case behind --mocks FILE."""
        return self.mocks.partition(CASE_MARK)[2] or None


def settings() -> Settings:
    """The settings of the command at hand."""
    return click.get_current_context().ensure_object(Settings)


def _noted(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(Settings), name, value)

    return note


def common(command: Command) -> Command:
    """The options of every command: -v and --debug."""
    for option in (
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=_noted("debug"), is_eager=True,
            help=f"Show tracebacks (also {DEBUG_VARIABLE}=1).",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=_noted("verbose"), is_eager=True,
            help="Log what the engine does to stderr; -vv more.",
        ),
    ):
        command = option(command)
    return command


def json_option(command: Command) -> Command:
    """--json, for programs."""
    return click.option(
        "--json", is_flag=True, expose_value=False, callback=_noted("json"), is_eager=True,
        help="JSON on stdout, in the shapes of AWS's API.",
    )(command)


def _services(context: click.Context, _: click.Parameter, value: bool | None) -> None:
    context.ensure_object(Settings).services = value


def outside_options(command: Command) -> Command:
    """What Tasks may reach."""
    for option in (
        click.option(
            "--mocks", metavar="FILE[#CASE]", expose_value=False, callback=_noted("mocks"),
            help="A mock configuration file as Step Functions Local takes it, and for run the test case.",
        ),
        click.option(
            "--connections", type=click.Path(path_type=Path), metavar="FILE", expose_value=False,
            callback=_noted("connections"), help="How http:invoke signs in, by connection (TOML, mode 0600).",
        ),
        click.option(
            "--allow-http", "hosts", multiple=True, metavar="HOST", expose_value=False, callback=_noted("hosts"),
            help="A host that http:invoke may call: NAME, *.NAME, http://NAME:PORT; repeatable.  [default: none]",
        ),
        click.option(
            "--services/--no-services", default=None, expose_value=False, callback=_services,
            help="Let Tasks call AWS's services, with the credentials that boto3 finds.  [default: where the "
            "environment names an endpoint or credentials]",
        ),
    ):
        command = option(command)
    return command


def store_option(default: str = DEFAULT_STORE) -> Callable[[Command], Command]:
    """--store URL, or the environment's, or a file in this folder."""
    return click.option(
        "--store", metavar="URL", envvar=STORE_VARIABLE, default=default, show_default=True, callback=_store,
        help=f"A file, sqlite:///FILE, or memory:// (also {STORE_VARIABLE}).",
    )


def _store(context: click.Context, _: click.Parameter, value: str) -> str:
    context.ensure_object(Settings).store = value
    return value


def configure_log(chosen: Settings) -> None:
    """Send the log to stderr: nothing of it by default, where the command itself says what matters."""
    import structlog

    level = logging.INFO if chosen.verbose else chosen.quiet
    if chosen.debug or chosen.verbose > 1:
        level = logging.DEBUG
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            _without_payloads,
            structlog.processors.format_exc_info if chosen.debug else _one_line,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


_PAYLOADS = ("line", "cause", "input", "output", "arguments", "body")


def _without_payloads(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Functions' own lines are shown as they come; whatever else may hold data of theirs stays out of the log."""
    import structlog

    if event.get("event") == "function output":
        raise structlog.DropEvent
    for name in _PAYLOADS:
        event.pop(name, None)
    return event


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception by its name: its words may hold data, its traceback is for --debug."""
    if event.pop("exc_info", None):
        error = sys.exc_info()[1]
        event["error"] = type(error).__name__ if error else "unknown"
    return event
