"""A program made to be killed: a real engine over a real store file, busy with one of everything, and saying so.

    python -m tests.faults.victim          # a nursery: each line on stdin is a life, forked off and reported on stdout

A life is `{"folder": ..., "life": 0, "names": [...], "mutants": [], "most": 0, "checkpoint": 1000, "cache": 0,
"pace": 0}`: `cache` is in pages, so few that a commit writes some of them ahead of its end; `pace` is in events, and a
snapshot is due after so many; 0 is what the product has. What a life acknowledges it says on its standard output, a
line each, after the engine has told it so: `started NAME`, `told NAME`, `stopped NAME`, `ended NAME STATUS`, and
`called TOKEN` for every call. It ends with `done`, or with `closed` where the store takes no more. Each life is a day
later than the one before, and its clock jumps when nothing else is left to do.
"""

import contextlib
import json
import logging
import os
import resource
import signal
import sys
from pathlib import Path

import anyio
import structlog
from tests.faults import mutants
from tests.runtime.world import asks, both, each, one, wait

from stepfold import Engine
from stepfold.errors import CallerError, ExecutionAlreadyExists
from stepfold.runtime.clock import ManualClock
from stepfold.runtime.handle import ExecutionFailed
from stepfold.runtime.runs import folding
from stepfold_store import StoreClosed, StoreError, sqlite_file

START = 1_700_000_000_000
DAY = 86_400_000
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
CLOSED, REFUSED = 3, 4
"""Exit codes: the store closed itself for writing; it could not be opened."""


def retried(number="$"):
    """A machine of one call, which fails once where the number is odd."""
    return one(
        Type="Task", Resource=FUNCTION + "flaky", Parameters={"n.$": number, "tries.$": "$$.State.RetryCount"},
        Retry=[{"ErrorEquals": ["Flaky"], "IntervalSeconds": 5}],
    )


DOOMED = one(Type="Task", Resource=FUNCTION + "doomed")
CAUGHT = both(DOOMED, asks())
CAUGHT["States"][CAUGHT["StartAt"]]["Catch"] = [{"ErrorEquals": ["Doomed"], "Next": "Caught"}]
CAUGHT["States"]["Caught"] = {"Type": "Pass", "Parameters": {"caught.$": "$.Error"}, "End": True}

KINDS = {
    "items": (each(retried()), [0, 1, 2, 3]),
    "asked": (asks(), {}),
    "stop": (asks(), {}),
    "caught": (CAUGHT, {}),
    "waited": (both(wait(3600), retried()), 5),
    "failed": (DOOMED, {}),
    "large": (both(wait(60), retried("$.n")), {"n": 1, "text": "x" * 20_000}),
}
"""The machine and the input of each execution, by what its name begins with."""
PLAN = "items", "asked", "stop", "caught", "waited", "failed"
"""What is started where nothing else is named."""


def say(*words):
    """One write a line, which outlives whatever becomes of this process."""
    os.write(1, (" ".join(words) + "\n").encode())


def said_by(folder):
    """Where the victim of a folder says what it says: beside it, for the disk that the folder is on may be full."""
    return folder.with_name(folder.name + ".said")


class Flaky(Exception):
    pass


class Doomed(Exception):
    pass


async def live(folder, number, names):
    engine = Engine(folder / "store.db", clock=ManualClock(START + number * DAY, jumps=True), seed=number)

    @engine.work("flaky")
    async def flaky(event, context):
        say("called", context.token)
        if event["n"] % 2 and not event["tries"]:
            raise Flaky
        return event["n"] * 2

    @engine.work("doomed")
    async def doomed(event, context):
        say("called", context.token)
        raise Doomed

    @engine.work("send")
    async def send(event, context):
        say("sent", context.execution.rpartition(":")[2], context.token)

    async with engine, anyio.create_task_group() as group:
        say("open")
        for name in names:
            group.start_soon(_one, engine, name, folder)
    say("done")


async def _one(engine, name, folder):
    kind = name.partition("-")[0]
    definition, given = KINDS[kind]
    try:
        machine = await engine.create(kind, definition)
        try:
            handle = await engine.start(machine, given, name=name)
        except ExecutionAlreadyExists:  # it has ended in an earlier life
            handle = await engine.find(name)
        say("started", name)
        if kind == "asked":
            await _answer(engine, name, folder)
        elif kind == "stop":
            await handle.stop("Enough")
            say("stopped", name)
        try:
            await handle.output()
            say("ended", name, "SUCCEEDED")
        except ExecutionFailed as end:
            say("ended", name, end.status)
    except StoreClosed:
        say("closed")
        await _is_closed(engine)
        raise


async def _answer(engine, name, folder):
    """Answer by every token that was ever sent for it: one of them is the one that is waited for."""
    while (run := await engine.alive(f"arn:aws:states:us-east-1:123456789012:execution:asked:{name}")) is not None:
        for line in said_by(folder).read_text().splitlines():
            if line.startswith(f"sent {name} "):
                token = line.split()[2]
                with contextlib.suppress(CallerError):
                    await engine.callbacks.succeed(token, '"answered"')
                    say("told", name)
                    return
        if run.execution.status != "RUNNING":
            return
        await anyio.sleep(0.001)


async def _is_closed(engine):
    """Once closed, closed: nothing is acknowledged any more, what was written is read, and health says why."""
    health = await engine.store.health()
    if health.writable or not health.reason:
        say("healthy though closed")
    with contextlib.suppress(StoreClosed):
        await engine.store.put([])
        say("acknowledged though closed")
    await engine.list()


def die_as_told(life):
    """One life, in a process of its own."""
    folder = Path(life["folder"])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    os.dup2(os.open(said_by(folder), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 1)
    if life["most"]:  # bytes of a file, after which a write fails as on a disk with a fault
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (life["most"], life["most"]))
    if life["pace"]:
        folding.EVENTS, folding.TIMES = life["pace"], 0
    set_up = sqlite_file.set_up

    def as_told(db, path, durability):
        set_up(db, path, durability)
        db.execute(f"PRAGMA wal_autocheckpoint = {life['checkpoint']}")
        if life["cache"]:
            db.execute(f"PRAGMA cache_size = {life['cache']}")

    sqlite_file.set_up = as_told
    for name in life["mutants"]:
        mutants.apply(name)
    try:
        anyio.run(live, folder, life["life"], life["names"])
    except* StoreClosed:
        os._exit(CLOSED)
    except* StoreError as error:
        say("refused", str(error.exceptions[0]))
        os._exit(REFUSED)
    os._exit(0)


def nursery():
    """Fork lives off one process that has imported everything: a hundredth of a second each, not a whole one."""
    for line in sys.stdin:
        hold, go = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(go)
            os.read(hold, 1)  # until whoever wants to trace it has attached
            try:
                die_as_told(json.loads(line))
            finally:
                os._exit(1)
        os.close(hold)
        print(pid, flush=True)
        sys.stdin.readline()
        os.write(go, b"!")
        os.close(go)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    nursery()
