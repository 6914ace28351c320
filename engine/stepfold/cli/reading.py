"""Commands that only look: list, show and history. They need no lock, and work while another process runs the store."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import click
import msgspec

from stepfold.insight.history import HistoryEvent, Projection
from stepfold.runtime import catalog
from stepfold.runtime.catalog import Description, Summary
from stepfold.runtime.progress import Progress, progress
from stepfold.runtime.recovery import quarantine
from stepfold.runtime.recovery.quarantine import SetAside
from stepfold.runtime.runs import folding
from stepfold_store import Store, open_reader

from . import shapes
from .outcome import command
from .screen import Screen, clean, columns, duration, fit, print_table

STATUS_COLOURS = {
    "RUNNING": "cyan", "SUCCEEDED": "green", "FAILED": "red", "TIMED_OUT": "red", "ABORTED": "yellow",
    quarantine.STATUS: "red",
}
_COLUMNS = {"status": 0, "took": 0, "started": 72, "machine": 90}
"""What a list shows beside names, and how wide a terminal it takes."""
_SHOWN = 2_000
"""So many characters of an input or output are shown on a terminal."""


@asynccontextmanager
async def reading(location: str) -> AsyncIterator[Store]:
    """The store, open to read. Raises StoreError."""
    store = await open_reader(location)
    try:
        yield store
    finally:
        await store.close()


class Filter(NamedTuple):
    """Which executions are listed."""

    machine: str | None
    status: str | None
    limit: int


async def list_executions(location: str, wanted: Filter, *, as_json: bool) -> None:
    """Print the newest executions."""
    async with reading(location) as store:
        found: list[Summary] = []
        aside = await quarantine.every(store)
        async for entry in catalog.all_entries(store, catalog.EXECUTION, status=wanted.status):
            machine = catalog.machine_of(entry)
            if wanted.machine in {None, machine, machine.rpartition(":")[2]}:
                found.append(catalog.summary(entry))
            if len(found) >= wanted.limit:
                break
    if as_json:
        _echo_json({"executions": [shapes.listed(one, aside.get(one.arn)) for one in found]})
    elif found:
        _print_list(found, aside)
    else:
        click.echo("no executions", err=True)


def _print_list(found: list[Summary], aside: Mapping[str, SetAside]) -> None:
    from rich.table import Table
    from rich.text import Text

    width = columns(sys.stdout)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("name", overflow="fold")
    for name, least in _COLUMNS.items():
        if width >= least:
            table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name == "took" else "left")
    for one in found:
        status = quarantine.STATUS if one.arn in aside else one.status
        cells = {
            "status": Text(status, style=STATUS_COLOURS.get(status, "")),
            "took": Text("" if one.stopped is None else duration((one.stopped - one.started) / 1000)),
            "started": Text(_when(one.started)),
            "machine": Text(clean(one.machine.rpartition(":")[2])),
        }
        table.add_row(Text(clean(one.name)), *(cell for name, cell in cells.items() if width >= _COLUMNS[name]))
    print_table(table)


async def show(location: str, name: str, *, as_json: bool) -> None:
    """Print all about an execution but its history."""
    async with reading(location) as store:
        described = await catalog.describe(store, name)
        aside = await quarantine.find(store, described.arn)
        if as_json:
            _echo_json(shapes.described(described, aside))
            return
        where, at = Progress([], []), 0
        if described.status == "RUNNING" and (aside is None or aside.event is None):
            execution, _ = await folding.fold(store, described.arn)
            where, at = progress(execution), execution.at
    _print_described(described, where, at, aside)
    if described.status == "RUNNING":
        more = () if aside is None else ("--retry", described.name)
        again = command("resume", "--store", location, *more)
        click.echo(f"\nIf no process runs this store any more: {again}", err=True)


def _print_described(one: Description, where: Progress, at: int, aside: SetAside | None) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")

    def row(label: str, text: str | None, style: str = "") -> None:
        if text is not None:
            table.add_row(label, Text(clean(text), style=style))

    row("name", one.name, "bold")
    status = one.status if aside is None else quarantine.STATUS
    row("status", status, STATUS_COLOURS.get(status, ""))
    row("why", None if aside is None else aside.reason)
    row("arn", one.arn)
    row("machine", one.machine)
    row("started", _when(one.started))
    if one.stopped is not None:
        row("took", duration((one.stopped - one.started) / 1000))
    cut = _SHOWN if sys.stdout.isatty() else None
    row("input", None if one.input is None else _pretty(one.input, cut))
    row("output", None if one.output is None else _pretty(one.output, cut))
    row("error", one.error)
    row("cause", None if one.cause is None else _pretty(one.cause, cut))
    for map_ in where.maps:
        row("in", f"{map_.state}: {map_.done:,} of {map_.total:,} items done, {map_.running:,} begun")
    for state in where.states:
        row("in", state.state + (f", until {_when(state.until)}" if state.until is not None else ""))
    if at:
        row("last event", _when(at))
    print_table(table)


async def print_history(location: str, name: str, *, as_json: bool) -> None:
    """Print an execution's history, an event a line; it may be long, and is never whole in memory."""
    async with reading(location) as store:
        arn = (await catalog.find_execution(store, name)).key
        told = _history(store, arn)
        if as_json:
            await _print_json(told)
        else:
            await _print_lines(told)


async def _history(store: Store, arn: str) -> AsyncIterator[HistoryEvent]:
    projection = Projection()
    async for event in catalog.events(store, arn):
        if (told := projection.tell(event)) is not None:
            yield told


async def _print_json(told: AsyncIterator[HistoryEvent]) -> None:
    write = sys.stdout.write
    write('{"events": [')
    first = True
    async for event in told:
        write(("\n" if first else ",\n") + msgspec.json.encode(event).decode())
        first = False
    write("\n]}\n")


async def _print_lines(told: AsyncIterator[HistoryEvent]) -> None:
    screen = Screen(sys.stdout)
    screen.line(screen.paint(f"{'id':>6}  {'after':>6}  {'time':>10}  {'type':<26}  what", "dim"))
    start: float | None = None
    waiting = 0
    async for event in told:
        start = event["timestamp"] if start is None else start
        head = f"{event['id']:>6}  {event['previousEventId']:>6}  {event['timestamp'] - start:>8.3f} s"
        kind = event["type"]
        text = f"{kind:<26}  {_what(event)}".rstrip()
        if screen.live:
            text = fit(text, max(screen.width - len(head) - 2, 20))
        text = text.replace(kind, screen.paint(kind, *_colour(kind)), 1)
        screen.line(f"{screen.paint(head, 'dim')}  {text}")
        waiting += 1
        if waiting >= 500:
            screen.flush()
            waiting = 0
    screen.flush()


def _colour(kind: str) -> tuple[str, ...]:
    if kind.endswith(("Failed", "TimedOut", "Aborted")):
        return ("red",)
    return ("green",) if kind == "ExecutionSucceeded" else ()


def _what(event: HistoryEvent) -> str:
    """The most telling detail of an event, in a few words."""
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    if "error" in details or "cause" in details:
        words = [details.get("error") or "", clean(" ".join((details.get("cause") or "").split()))]
        return ": ".join(word for word in words if word)
    name = details.get("name", "")
    if "index" in details:
        return f"{name} [{details['index']}]"
    if "length" in details:
        return f"{details['length']:,} items"
    if name:
        value = details.get("input") or details.get("output") or ""
        return f"{clean(name)}  {clean(' '.join(_beginning(value).split()))}"
    if "resource" in details and "parameters" not in details and "input" in details:
        return str(details["resource"]).rpartition(":")[2]
    if "resource" in details:
        return f"{details.get('resourceType', '')} {details['resource']}".strip()
    return clean(" ".join(_beginning(details.get("output") or details.get("input") or "").split()))


def _beginning(text: str, size: int = 200) -> str:
    return text if len(text) <= size else f"{text[:size]}…"


def _pretty(text: str, cut: int | None) -> str:
    try:
        pretty = msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        pretty = text
    if cut is not None and len(pretty) > cut:
        return f"{pretty[:cut]}\n… {len(pretty) - cut:,} characters more: --json shows all"
    return pretty


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _echo_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
