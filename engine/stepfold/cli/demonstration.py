"""The demo: the article's workflow, live, and what to type next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from stepfold.language.limits import Limits
from stepfold.runtime import catalog
from stepfold.runtime.handle import Handle
from stepfold.work.functions.handlers import NODE_OLDEST
from stepfold_store import StoreError, open_reader

from . import running, telling
from .outcome import Exit, command
from .screen import Screen
from .sources import read_source

EXAMPLES = Path(__file__).parents[1] / "examples"
TITLE = "The article's workflow"
SLOW_SECONDS = 2.0


class _Language(NamedTuple):
    template: Path
    said: str


async def demonstrate(store: str, slow: bool, as_json: bool) -> Exit:
    """Run the article's workflow and show it; the exit code."""
    screen = Screen(sys.stderr if as_json else sys.stdout)
    language = _language()
    order = running.Order(
        read_source(language.template, None, None), "{}", store, await _free_name(store), Limits.local(),
        slow=SLOW_SECONDS if slow else 0.0,
    )
    paint = screen.paint
    screen.line(f"{paint(TITLE, 'bold')}: fetch, process until nothing is left, save.")
    screen.line(language.said)

    def begin(handle: Handle, others: int) -> None:
        screen.line(f"Execution {paint(handle.name, 'bold')}, recorded in {store}.")
        if slow and store != "memory://":
            screen.line(f"Kill it in the middle (Ctrl-C, or kill -9 {_pid()}), then type: "
                        + paint(command("resume", "--store", store), "bold"))
        if others:
            screen.line(paint(f"Resumed with it: {others} interrupted before.", "dim"))
        screen.line()
        screen.flush()

    try:
        outcome = await running.run(order, screen, begin)
    finally:
        screen.flush()
    _tell(screen, outcome, store)
    if as_json:
        sys.stdout.write(msgspec.json.encode(telling.as_json(outcome)).decode() + "\n")
    return outcome.exit


def _tell(screen: Screen, outcome: running.Outcome, store: str) -> None:
    one = outcome.description
    screen.line()
    if outcome.exit is Exit.INTERRUPTED:
        telling.tell_interrupted(screen, store, None)
    else:
        telling.tell_end(screen, one)
    if one.output is not None:
        screen.line(msgspec.json.format(one.output, indent=2))
    if outcome.exit is Exit.OK and store != "memory://":
        _tell_next(screen, one.name, store)
    screen.flush()


def _tell_next(screen: Screen, name: str, store: str) -> None:
    orders = EXAMPLES / "orders"
    rows = [
        ("every event, as AWS tells it", command("history", name, "--store", store)),
        ("its input, output and times", command("show", name, "--store", store)),
        ("again, slowly: kill it, then resume it", command("demo", "--slow", "--store", store)),
        ("", command("resume", "--store", store)),
        ("Parallel, Map, Retry and Catch", command(
            "run", orders / "template.yaml", "--input", f"@{orders / 'input.json'}", "--store", store)),
    ]
    screen.line()
    screen.line(screen.paint("What to type next:", "bold"))
    for what, words in rows:
        if what:
            screen.line(screen.paint(f"  # {what}", "dim"))
        screen.line(f"  {words}")


def _language() -> _Language:
    """Node where 18 or newer is there, else Python."""
    article = EXAMPLES / "article"
    path = shutil.which("node")
    version = _version(path) if path else ""
    major = version.removeprefix("v").partition(".")[0]
    if path and major.isdigit() and int(major) >= NODE_OLDEST:
        return _Language(article / "template-node.yaml", f"Its handlers run in Node {version} ({path}).")
    why = f"Node {version} is older than {NODE_OLDEST}" if version else f"there is no Node {NODE_OLDEST} or newer"
    python = sys.version.partition(" ")[0]
    return _Language(article / "template-python.yaml", f"Its handlers run in Python {python}, for {why}.")


def _version(node: str) -> str:
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def _pid() -> int:
    import os

    return os.getpid()


async def _free_name(store: str) -> str:
    """A name that no execution of the store has: demo, demo-2, ..."""
    try:
        reader = await open_reader(store)
    except StoreError:
        return "demo"
    try:
        taken = {entry.key.rpartition(":")[2] async for entry in catalog.all_entries(reader, catalog.EXECUTION)}
    finally:
        await reader.close()
    return next(name for number in range(1, len(taken) + 2) if (name := _numbered(number)) not in taken)


def _numbered(number: int) -> str:
    return "demo" if number == 1 else f"demo-{number}"
