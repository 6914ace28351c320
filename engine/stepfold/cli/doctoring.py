"""The commands doctor and backup: a store examined, or copied and the copy examined, and what was found told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from stepfold.runtime.recovery.doctor import Broken, Examination, drop_snapshots, examine

from .outcome import Exit, command
from .reading import reading
from .screen import Screen, clean


async def examine_store(location: str, *, drop: bool, as_json: bool) -> Exit:
    """Examine a store, and tell; with `drop`, throw its snapshots away before."""
    if drop:
        dropped = await drop_snapshots(location)
        if not as_json:
            click.echo(f"{dropped:,} snapshots dropped: the next resume folds whole logs")
    found = await examine(location)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_plain(location, found)), indent=2).decode())
    else:
        _print(location, found)
    return _exit(found)


async def back_up(location: str, dest: Path, *, as_json: bool) -> Exit:
    """Copy a store, examine the copy, and tell."""
    async with reading(location) as store:
        await store.backup(str(dest))
    found = await examine(str(dest))
    size = (await anyio.Path(dest).stat()).st_size
    if as_json:
        told = {"copy": str(dest), "bytes": size, **_plain(str(dest), found)}
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        click.echo(f"{dest}  {size:,} bytes")
        _print(str(dest), found)
    return Exit.STORE if not found.sound else Exit.OK


def _exit(found: Examination) -> Exit:
    if not found.sound:
        return Exit.STORE
    return Exit.FAILED if found.aside else Exit.OK


def _plain(location: str, found: Examination) -> dict[str, Any]:
    return {
        "store": location,
        "sound": found.sound,
        "executions": found.executions,
        "events": found.events,
        "texts": found.texts,
        "snapshots": found.snapshots,
        "uselessSnapshots": list(found.useless),
        "problems": list(found.problems),
        "damaged": [
            {"executionArn": one.arn, "status": one.status, "event": one.event, "eventsWhole": one.whole,
             "problem": one.what}
            for one in found.broken
        ],
        "setAside": [
            {"executionArn": one.arn, "since": one.at / 1000, "reason": one.reason, "event": one.event}
            for one in found.aside
        ],
    }


def _print(location: str, found: Examination) -> None:
    screen = Screen(sys.stdout)
    for problem in found.problems:
        screen.line(f"{screen.paint('✗', 'red', 'bold')} {clean(problem)}")
    for one in found.broken:
        screen.line(f"{screen.paint('✗', 'red', 'bold')} {_broken(one)}")
    for aside in found.aside:
        screen.line(f"{screen.paint('‖', 'yellow', 'bold')} {clean(aside.arn)} is set aside: {clean(aside.reason)}")
    for arn in found.useless:
        screen.line(f"{screen.paint('-', 'yellow', 'bold')} the snapshot of {clean(arn)} cannot be used")
    whole = f"{found.executions:,} executions are whole, {found.events:,} events can be read"
    whole += f", {found.snapshots:,} snapshots can be used" if found.snapshots else ""
    if found.sound:
        screen.line(f"{screen.paint('✓', 'green', 'bold')} the store is sound: {whole}")
    elif found.executions or found.broken:
        screen.line(f"{screen.paint('✗', 'red', 'bold')} the store is damaged; {whole}")
        screen.line("  what is damaged comes back from a backup alone; the others go on without it")
    else:
        screen.line("  what was in it comes back from a backup alone")
    if found.useless:
        drop = command("doctor", location, "--drop-snapshots")
        screen.line(f"  without its snapshot an execution is resumed from its whole log; to drop all: {drop}")
    if found.aside:
        again = command("resume", "--store", location, "--retry", "NAME")
        screen.line(f"  to try one again that is set aside: {screen.paint(again, 'bold')}")
    screen.flush()


def _broken(one: Broken) -> str:
    saved = f"events 1 to {one.whole} can be read" if one.whole else "no event can be read"
    status = f" ({one.status})" if one.status else ""
    return f"{clean(one.arn)}{status} is damaged at event {one.event}: {clean(one.what)}; {saved}"
