"""The command line: `stepfold demo`, `run`, `resume`, `list` and all the others; each is a function below."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

import anyio
import click

import stepfold
from stepfold.names import ACCOUNT, REGION, Home

from .options import Settings, common, configure_log, json_option, outside_options, settings, store_option
from .outcome import EXIT_CODES, Exit, outcome_of, tell, unwrapped

__all__ = ["main"]

Given = ParamSpec("Given")

FILE = click.Path(path_type=Path)
STATUSES = click.Choice(["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], case_sensitive=False)


def _matching(pattern: str, what: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """A callback that takes only values of that form."""

    def check(_: click.Context, __: click.Parameter, value: str) -> str:
        if re.fullmatch(pattern, value, re.ASCII) is None:
            raise click.BadParameter(f"{value!r} is not {what}")
        return value

    return check


class _Commands(click.Group):
    """The group of commands: whatever goes wrong in one is told as a sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        chosen = ctx.ensure_object(Settings)
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(Exit.INTERRUPTED)
        except Exception as raised:  # noqa: BLE001 -- the last place that can tell a person
            error = unwrapped(raised)
            if chosen.debug:
                traceback.print_exception(error)
            tell(error, as_json=chosen.json, store=chosen.store)
            ctx.exit(outcome_of(error))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(stepfold.__version__, "--version", message="stepfold %(version)s")
@common
def main() -> None:
    """Run workflows of the Amazon States Language: durable, in one process, resumable after a crash."""


def _do(task: Callable[Given, Awaitable[Exit | None]], *given: Given.args, **named: Given.kwargs) -> NoReturn:
    """Run a command's task, and leave with its exit code."""
    configure_log(settings())

    async def work() -> Exit | None:
        return await task(*given, **named)

    sys.stdout.flush()
    click.get_current_context().exit(anyio.run(work) or Exit.OK)


@main.command()
@store_option("stepfold-demo.db")
@click.option("--slow", is_flag=True, help="Two seconds a step: time to kill it, and to see it resume.")
@json_option
@common
def demo(store: str, *, slow: bool) -> None:
    """Run the article's workflow: fetch, process until nothing is left, save.

    Its handlers run in Node, where version 18 or newer is installed, else in Python.
    """
    from .demonstration import demonstrate

    _do(demonstrate, store, slow=slow, as_json=settings().json)


@main.command()
@click.argument("file", type=FILE, metavar="FILE|TEMPLATE")
@click.option("--input", "given", metavar="JSON|@FILE|-", help="The input: JSON, a file, or stdin.  [default: {}]")
@click.option("--template", type=FILE, help="A SAM or CloudFormation template that gives the functions.")
@click.option("--name", help="The execution's name.  [default: a UUID]")
@click.option("--machine", metavar="NAME", help="Which machine of a template; or the name for a plain definition.")
@click.option(
    "--limits", type=click.Choice(["aws", "local"]), default="local", show_default=True,
    help="AWS's limits (256 KiB a payload, 25,000 events), or none of these.",
)
@outside_options
@store_option()
@json_option
@common
def run(
    file: Path, given: str | None, template: Path | None, name: str | None, machine: str | None, limits: str, store: str
) -> None:
    """Run a machine to its end: its output goes to stdout, all else to stderr.

    FILE is a definition (.asl.json, .asl.yaml), or a SAM or CloudFormation template, whose functions run in child
    processes. All is recorded in the store: after Ctrl-C, a crash or kill -9, `stepfold resume` goes on.
    """
    from .commands import Asked, run_one

    asked = Asked(file, given, template, name, machine, limits, store, settings().outside, settings().case)
    _do(run_one, asked, as_json=settings().json)


@main.command()
@click.option("--template", type=FILE, help="Functions to use instead of those that were there at the start.")
@click.option("--retry", multiple=True, metavar="NAME|ARN", help="Try one again that was set aside; repeatable.")
@outside_options
@store_option()
@json_option
@common
def resume(template: Path | None, retry: tuple[str, ...], store: str) -> None:
    """Resume all that was interrupted, and wait until each execution ends or waits for what does not come.

    The functions are those of the template that the execution was started with; --template gives others. Prints a
    line an execution. One that was set aside, because its log is damaged or because it never got on before the process
    died, stays so until --retry names it.
    """
    from .commands import resume_all

    _do(resume_all, store, template, retry, as_json=settings().json, outside=settings().outside)


@main.command("list")
@click.option("--machine", metavar="NAME|ARN", help="Only executions of this machine.")
@click.option("--status", type=STATUSES, help="Only executions with this status.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@store_option()
@json_option
@common
def list_(machine: str | None, status: str | None, limit: int, store: str) -> None:
    """List executions, the newest first."""
    from .reading import Filter, list_executions

    _do(list_executions, store, Filter(machine, status.upper() if status else None, limit), as_json=settings().json)


@main.command()
@click.argument("name", metavar="NAME|ARN")
@store_option()
@json_option
@common
def show(name: str, store: str) -> None:
    """Show an execution: status, times, input and output, and where it is."""
    from .reading import show as show_one

    _do(show_one, store, name, as_json=settings().json)


@main.command()
@click.argument("name", metavar="NAME|ARN")
@store_option()
@json_option
@common
def history(name: str, store: str) -> None:
    """Show every event of an execution; with --json as GetExecutionHistory answers."""
    from .reading import print_history

    _do(print_history, store, name, as_json=settings().json)


@main.command()
@click.argument("name", metavar="NAME|ARN")
@click.option("--error", help="The error name to record.")
@click.option("--cause", help="The cause to record.")
@store_option()
@json_option
@common
def stop(name: str, error: str | None, cause: str | None, store: str) -> None:
    """End an execution that no process runs now: its status becomes ABORTED.

    One of an EXPRESS machine, by its ARN, is not run again at the next start.
    """
    from .commands import stop_one

    _do(stop_one, store, name, error, cause, as_json=settings().json)


@main.command()
@click.argument("store", metavar="STORE")
@click.option("--drop-snapshots", is_flag=True, help="First throw away what makes resuming quicker, and no more.")
@json_option
@common
def doctor(store: str, drop_snapshots: bool) -> None:
    """Examine a store: its schema, its integrity, the log of every execution. It only reads, also while an engine runs.

    Names what is damaged, by execution and event, and how much of it can still be read; and what was set aside. Ends
    with 0 where all is sound, with 1 where nothing is damaged but executions are set aside, with 3 where something is
    damaged. A snapshot that cannot be used is no damage: the log says all. To drop them, no engine may run the store.
    """
    from .doctoring import examine_store

    settings().store = store
    _do(examine_store, store, drop=drop_snapshots, as_json=settings().json)


@main.command()
@click.argument("store", metavar="STORE")
@click.argument("dest", type=FILE, metavar="DEST")
@json_option
@common
def backup(store: str, dest: Path) -> None:
    """Copy a store into a new file, also while an engine runs it, then open the copy and examine it.

    The copy is a store of its own, as of one moment. What was acknowledged after that moment is not in it; tasks that
    were done since are done again by whoever resumes the copy.
    """
    from .doctoring import back_up

    settings().store = store
    _do(back_up, store, dest, as_json=settings().json)


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True,
              help="For a person, or for programs.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave out what has this code; repeatable, commas.")
@click.option("--strict", is_flag=True, help="Warnings count: exit code 1 where there are no errors, but warnings.")
@json_option
@common
def check(files: tuple[Path, ...], form: str, ignore: tuple[str, ...], strict: bool) -> None:
    """List all that is wrong with definitions, and with the machines of templates, each with its line and code."""
    from .checking import check_file, exit_code
    from .findings import as_json, as_sarif, print_report

    configure_log(settings())
    ignored = frozenset(code.strip() for codes in ignore for code in codes.split(","))
    reports = [check_file(file, ignored) for file in files]
    if form == "sarif":
        click.echo(json.dumps(as_sarif(reports), indent=2, ensure_ascii=False))
    elif form == "json" or settings().json:
        click.echo(json.dumps({"files": [as_json(report) for report in reports]}, indent=2, ensure_ascii=False))
    else:
        for report in reports:
            print_report(report)
    click.get_current_context().exit(exit_code(reports, strict=strict))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; a public address wants --keys.")
@click.option("--port", type=click.IntRange(0, 65535), default=8083, show_default=True, help="0 takes a free one.")
@store_option()
@click.option("--account", default=ACCOUNT, show_default=True, callback=_matching(r"\d{12}", "twelve digits"),
              help="The account of its ARNs.")
@click.option("--region", default=REGION, show_default=True,
              callback=_matching(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}", "a region's name, such as us-east-1"),
              help="The region of its ARNs.")
@click.option("--template", "templates", type=FILE, multiple=True,
              help="A SAM or CloudFormation template whose functions and machines are there at the start; repeatable.")
@click.option("--keys", type=FILE, help="Keys that requests must be signed with (TOML, mode 0600).")
@click.option("--hosts", multiple=True, metavar="NAME", help="A further name that requests may call it by; repeatable.")
@click.option(
    "--limits", type=click.Choice(["aws", "local"]), default="aws", show_default=True,
    help="AWS's limits (256 KiB a payload, 25,000 events), or none of these.",
)
@click.option("--log-file", type=FILE, metavar="FILE", help="Add machines' log lines and status events, as JSON.")
@outside_options
@common
def serve(
    host: str, port: int, store: str, account: str, region: str, templates: tuple[Path, ...], keys: Path | None,
    hosts: tuple[str, ...], limits: str, log_file: Path | None,
) -> None:
    """Serve the AWS API of Step Functions until Ctrl-C or SIGTERM: boto3, the AWS CLI and the SDKs call it unchanged.

    Prints `listening on http://HOST:PORT` when it is ready. What has not ended by the stop goes on at the next start.
    """
    from .serving import Site, serve_site

    settings().quiet = logging.WARNING
    _do(serve_site, Site(host, port, store, Home(account, region), templates, keys, hosts, limits, log_file,
                          settings().outside))
