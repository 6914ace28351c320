"""The lives of victims, as a test leads them: forked, traced, killed; what they said, and whether that was true."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.faults import invariants
from tests.faults.victim import PLAN, said_by
from tests.laws.checks import Broken, summary

ROOT = Path(__file__).parents[2]
PATIENCE = 60
ENDS = {"items": "SUCCEEDED", "asked": "SUCCEEDED", "stop": "ABORTED", "caught": "SUCCEEDED", "waited": "SUCCEEDED",
        "failed": "FAILED", "large": "SUCCEEDED"}
"""How each kind of execution ends."""


class Nursery:
    """A process that has imported everything, and forks a victim for each life that is asked for."""

    def __init__(self):
        places = os.pathsep.join(map(str, (ROOT / "engine", ROOT / "store", ROOT)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim"], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": places}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def live(self, folder, *, life=0, names=PLAN, trace=(), out=os.devnull, mutants=(), most=0,
             checkpoint=1000, cache=0, pace=0):
        """One life, traced by strace where options for it are given; its exit code, negative for a signal."""
        told = {"folder": str(folder), "life": life, "names": names, "mutants": mutants, "most": most,
                "checkpoint": checkpoint, "cache": cache, "pace": pace}
        pid = int(self._ask(json.dumps(told)))
        with traced(pid, trace, out):
            return int(self._ask("go"))

    def _ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery is gone")
        return answer

    def close(self):
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


@contextmanager
def traced(pid, options, out):
    """Attach strace to a process that waits, for as long as it lives."""
    if not options:
        yield
        return
    tracer = subprocess.Popen(["strace", "-qq", "-f", "-o", str(out), *options, "-p", str(pid)])
    ends = time.monotonic() + PATIENCE
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > ends:
            raise RuntimeError("strace cannot attach")
        time.sleep(0.001)
    try:
        yield
    finally:
        tracer.wait(PATIENCE)


class Said:
    """What a victim has said, over all its lives."""

    def __init__(self, lines):
        self.started, self.told, self.stopped, self.ended, self.called = set(), set(), set(), {}, []
        self.last = lines[-1] if lines else ""
        for line in lines:
            word, *rest = line.split()
            match word:
                case "started" | "told" | "stopped":
                    getattr(self, word).add(rest[0])
                case "ended":
                    self.ended[rest[0]] = rest[1]
                case "called":
                    self.called.append(rest[0])
                case "healthy" | "acknowledged":
                    raise Broken(line)


def said_in(folder):
    path = said_by(folder)
    return path.read_text().splitlines() if path.exists() else []


def kept(logs, said):
    """Everything that was acknowledged is in the logs, and no call was made that they do not ask for."""
    if not said.started <= logs.keys():
        raise Broken(f"acknowledged, and lost: {sorted(said.started - logs.keys())}")
    ends = {name: summary(events) for name, events in logs.items()}
    for name, status in said.ended.items():
        if ends[name].status != status:
            raise Broken(f"{name} was said to be {status}, and is {ends[name].status}")
    for name in said.stopped:
        if ends[name].status != "ABORTED":
            raise Broken(f"{name} was stopped, and is {ends[name].status}")
    for name in said.told:
        if not invariants.results(logs[name]):
            raise Broken(f"an answer to {name} was accepted, and lost")
    wrong = set(said.called) - invariants.scheduled(logs)
    if wrong:
        raise Broken(f"called before that was durable: {sorted(wrong)}")


def complete(logs, said, names=PLAN):
    """All of the plan has ended as it must, and no outcome was recorded without a call."""
    found = {name: summary(events).status for name, events in logs.items()}
    wanted = {name: ENDS[name.partition("-")[0]] for name in names}
    if found != wanted:
        raise Broken(f"stuck or ended otherwise: {found}")
    if any(count > 1 for count in invariants.answered(logs).values()):
        raise Broken("an outcome was recorded twice")
    kept(logs, said)


def twin(folder, other):
    """The same store once more, as it lies there, and what was said of it."""
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("*-shm"))  # (which SQLite makes anew)
    shutil.copyfile(said_by(folder), said_by(other))


def look(folder, before=None):
    """The logs of a folder's store, found lawful and whole; what they were before is in them still."""
    path = folder / "store.db"
    logs = invariants.of_file(path) if path.exists() else {}
    invariants.is_beginning(before or {}, logs)
    kept(logs, Said(said_in(folder)))
    return logs


def to_the_end(nursery, folder, before, *, life=1, **how):
    """Another life, in which everything comes to its end."""
    code = nursery.live(folder, life=life, **how)
    lines = said_in(folder)
    if code or lines[-1] != "done":
        raise Broken(f"it did not come to its end: exit code {code}, {lines[-3:]}")
    complete(look(folder, before), Said(lines), how.get("names", PLAN))
