"""All benchmarks, or those that are named, as one table.

python -m benchmarks [NAME...] [--json FILE] [--quick] [--write]
python -m benchmarks peers [NAME...]    # beside other engines, which are set up for it
python -m benchmarks soak --minutes N   # half of the highest load: does anything grow?
python -m benchmarks map --items N --concurrency C --handler module:function [--store URL]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from benchmarks import append, core, loop, many, map, resume, service, soak, waits  # noqa: A004  (the States Language's word)
from benchmarks.measure import ROUNDS, Line
from benchmarks.peers import compare

CONTRACT: Final = ("name", "figure", "unit", "yardstick", "ratio")
"""What `--json` writes of each line."""


BENCHMARKS: Final[dict[str, Callable[..., Line]]] = {
    "decide": core.decided,
    "fold": core.folded,
    "append": append.appended,
    "append_ahead": append.appended_ahead,
    "map_inline_10000": lambda *, quick: map.inline(10_000, quick=quick),
    "map_inline_100000": lambda *, quick: map.inline(100_000, quick=quick),
    "waits": waits.waited,
    "resume": resume.resumed,
    "resume_million": resume.resumed_million,
    "resume_snapshot": resume.resumed_with_a_snapshot,
    "resume_many": resume.resumed_many,
    "loop": loop.looped,
    "loop_jsonata": loop.looped_in_jsonata,
    "many": many.ran,
    "api_describe": service.described,
    "api_start": service.started,
}
ASIDE: Final[dict[str, Callable[..., Line]]] = {
    "map_inline_1000": lambda *, quick: map.inline(1_000, quick=quick),
}
"""Those that run only when they are named."""
APART: Final[dict[str, Callable[[Sequence[str]], None]]] = {"peers": compare.main, "soak": soak.main}
"""Those that are no line of the table, with options of their own."""
SUBJECTS: Final = {
    "core": ["decide", "fold"],
    "appends": ["append", "append_ahead"],
    "map": ["map_inline_1000", "map_inline_10000", "map_inline_100000"],
    "resumes": ["resume", "resume_million", "resume_snapshot", "resume_many"],
    "api": ["api_describe", "api_start"],
}
"""Names for several at once."""


def main(arguments: Sequence[str]) -> None:
    """Run what the command line asks for."""
    if arguments and arguments[0] in APART:
        APART[arguments[0]](arguments[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What stepfold costs, beside its floor.")
    known = BENCHMARKS | ASIDE
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join([*known, *SUBJECTS])}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: only to see that all runs")
    parser.add_argument("--write", action="store_true", help="also write the table into benchmarks/README.md")
    mine = parser.add_argument_group("a Map of your own (with the name 'map')")
    mine.add_argument("--handler", metavar="MODULE:FUNCTION", help="the callable that every item is handed to")
    mine.add_argument("--items", type=int, default=10_000, help="how many items (default 10,000)")
    mine.add_argument("--concurrency", type=int, default=map.WINDOW, help="how many at once (default %(default)s)")
    mine.add_argument("--store", metavar="URL", help="where to keep it (default: a file that is removed)")
    asked = parser.parse_args(arguments)
    if asked.handler is not None:
        if asked.names != ["map"]:
            parser.error("--handler goes with the name 'map'")
        anyio.run(map.own, asked.items, asked.concurrency, map.found(asked.handler), asked.store)
        return
    names = [one for name in asked.names for one in SUBJECTS.get(name, [name])] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    lines: list[Line] = []
    load = os.getloadavg()[0]
    print(_ROW.format(*_HEAD), flush=True)
    for name in names:
        if name in SUBJECTS["api"] and not _has_server():
            print(f"{name}: skipped, for it needs the extra 'server' (starlette, uvicorn)", file=sys.stderr, flush=True)
            continue
        lines.append(known[name](quick=asked.quick))
        print(_ROW.format(*_cells(lines[-1])), flush=True)
    print(_about(load, quick=asked.quick))
    if asked.json is not None:
        figures = [{field: line[field] for field in CONTRACT} for line in lines]  # type: ignore[literal-required]
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    if asked.write:
        Path(__file__).with_name("README.md").write_text(page(lines, load, quick=asked.quick), "utf-8")


def _has_server() -> bool:
    return all(importlib.util.find_spec(package) is not None for package in ("starlette", "uvicorn"))


_HEAD: Final = ("name", "figure", "unit", "yardstick", "ratio", "the yardstick is", "and")
_ROW: Final = "{:<18} {:>10}  {:<13} {:>10} {:>6}  {:<32} {}"


def _cells(line: Line) -> tuple[Any, ...]:
    figure, yardstick, ratio = f"{line['figure']:,}", f"{line['yardstick']:,}", f"{line['ratio']:.2f}"
    return line["name"], figure, line["unit"], yardstick, ratio, line.get("against", ""), line.get("note", "")


def _about(load: float, *, quick: bool) -> str:
    now = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()} with {os.cpu_count()} CPUs, "
        f"load {load:.1f} at the start and {now:.1f} at the end; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; "
        + ("quick sizes: no figures to go by" if quick else f"medians of {ROUNDS} rounds")
    )


def page(lines: Sequence[Line], load: float, *, quick: bool) -> str:
    """The results as benchmarks/README.md keeps them."""
    table = ["| " + " | ".join(_HEAD) + " |", "|---|--:|---|--:|--:|---|---|"]
    table += ["| " + " | ".join(_cells(line)) + " |" for line in lines]
    return _PAGE.format(about=_about(load, quick=quick), table="\n".join(table))


_PAGE: Final = """\
# What stepfold costs

{about}. Everything durable (`synchronous=FULL`), limits `local`.

{table}

Written by `python -m benchmarks --write`; do not edit. Each figure stands beside a yardstick that ran in turns with it,
on the same machine and disk, with the same durability: figures tell of the machine, ratios of stepfold. Each round runs
in a process of its own. What each one does is said at the head of its file.

What decides them: the event loop's one core. In a profile of a Map, five to six tenths of the loop's work go into
deciding (seven events an item) and two tenths into the call (its turn, the function itself); tickets, tasks and rows
are the rest. Answers that are there together are one decision, one row and one wake-up. The writer's thread works
beside the loop: that waits for the disk an eighth of the time with 200 items in flight, and a fifth of it with 40.

Of an append that nothing else overlaps (`append`), four fifths are the commit, and one fifth the two wake-ups between
the threads; with work ahead of it (`append_ahead`) the store is as fast as one who does nothing but write.

Of coming back to a long log, about two thirds is decoding and folding, the rest rows and their checksums; with a
snapshot it is the events after that, of which there are as many as the run left. Short logs are read some at once, for
what each costs is the waking of a thread.

Beside other engines, on the same work in the same run; and half of the highest load, to see whether anything grows:

    python -m benchmarks peers
    python -m benchmarks soak --minutes 30

Your own Map, with progress:

    python -m benchmarks map --items 100000 --concurrency 40 --handler module:function
"""


if __name__ == "__main__":
    main(sys.argv[1:])
