"""The server itself, `stepfold serve`, struck at every write and every sync of its store while clients speak to it.

After each: what a client saw acknowledged is there, once. A server whose disk failed says so to whoever asks for work,
and why to whoever asks for its health; it acknowledges nothing more, tells what it knows, and goes on once the disk
takes writes: by itself, or after a restart. A level samples the points; the last one tries all of them.
"""

import http.client
import itertools
import json
import random
import re
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from tests.faults import invariants
from tests.faults.levels import SEED, from_level, needs_strace, of_level
from tests.faults.serving import ALL, ARN, Callers, Ledger, Struck
from tests.faults.test_injected import CALLS, FAULTS
from tests.laws.checks import Broken
from tests.service.served import PATIENCE
from tests.service.test_killed import ACTIVITY

from stepfold.cli.outcome import Exit
from stepfold.service.wire.protocol import CONTENT_TYPE, TARGET

AT_ONCE = 3
TRACE = ["-y", "-e", f"trace={','.join(CALLS)}"]
MOST = {"pwrite64": of_level(0, 9, 100_000), "fdatasync": of_level(0, 6, 100_000)}
"""So many points of a call are tried; of the others, of which there are few, all."""
STRIKES = 3
"""So many threads of a server are struck at most, one after the other."""
ANEW = "store_is_opened_anew"


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """The calls of a server that nothing happens to, from its start to its stop."""
    needs_strace()
    served = Struck(tmp_path_factory.mktemp("counted"))
    with served.ending():
        assert served.listens(TRACE)
        with Callers(served, Ledger()) as callers:
            assert callers.work()
        assert served.stop() == Exit.OK
    return (served.folder / "trace").read_text()


@pytest.fixture(scope="module")
def counts(trace):
    """How often its busiest thread makes each call."""
    found = Counter(re.findall(r"^(\d+) +(\w+)\(", trace, flags=re.MULTILINE))
    return {name: max((many for (_, call), many in found.items() if call == name), default=0) for name in CALLS}


def points_of(counts):
    chance = random.Random(SEED)
    return [
        (call, when)
        for call, many in counts.items()
        for when in sorted(chance.sample(range(1, many + 1), min(many, MOST.get(call, many))))
    ]


def struck(folder, fault, call, when, *, late=False):
    """A server, struck at one call while it is asked for work; what became of it, and that all is well afterwards.

    strace counts the calls of each thread, and whoever opens the store anew writes in another one: a server that was
    struck `late` may be struck there once more, but has less to do each time, and comes to its end by itself.
    """
    folder.mkdir()
    served, ledger = Struck(folder), Ledger()
    with served.ending():
        try:
            became = outcome(served, ledger, fault, injecting(fault, call, when), late=late)
            again(served, ledger)
        except (Broken, AssertionError) as broken:
            raise Broken(f"{fault} at {call} number {when}: {broken}\n{served.errors}") from broken
    return became


def injecting(fault, call, when):
    fast = [] if fault == "kill" else ["--seccomp-bpf"]  # (by which strace injects errors, but no signals)
    return [*fast, *TRACE, "-e", f"inject={call}:{FAULTS[fault]}:when={when}"]


def outcome(served, ledger, fault, trace, *, late):
    if not served.listens(trace):
        return unopened(served, fault)
    if not served.has_log_beside():
        raise Broken("its store is none with a write-ahead log, as all that is known of it supposes")
    with Callers(served, ledger) as callers:
        done = callers.work()
        if done:
            return stopped(served, fault, "after")
        if fault == "kill":
            if served.wait() != -signal.SIGKILL:
                raise Broken("it is gone, and was not killed")
            return "killed"
        if not ledger.refused:
            raise Broken("it hung up on its clients")
        shut(served, callers)
        if late:
            goes_on(served, callers)
            return stopped(served, fault, "went on")
    return stopped(served, fault, "restarted")


def unopened(served, fault):
    """It did not come to listen: it was killed, or it says why it could not."""
    if served.wait() != (-signal.SIGKILL if fault == "kill" else Exit.STORE):
        raise Broken(f"it could not begin, and ended with {served.wait()}")
    if fault != "kill" and ("Traceback" in served.errors or "stepfold: " not in served.errors):
        raise Broken("it could not begin, and did not say why")
    return "unopened"


def stopped(served, fault, became):
    found = served.stop()
    if found != Exit.OK and not (fault == "kill" and found == -signal.SIGKILL):
        raise Broken(f"it was asked to stop, and ended with {found}")
    return became


def shut(served, callers):
    """Nothing is acknowledged, what is known is told, health says why: until it is opened anew, and says that."""
    callers.read()
    refused = callers.refused_again()
    (status, health), (ready, _) = served.asked("/health"), served.asked("/ready")
    if ANEW in served.errors:
        return
    if not refused:
        raise Broken("a store that has failed acknowledges again")
    if (status, ready, health["status"]) != (503, 503, "read-only") or "SQLITE_" not in health["cause"]:
        raise Broken(f"a store has failed, and its health is {status} {health}, ready {ready}")
    said = callers.ledger.refused
    if not all("commit failed (SQLITE_" in one for one in said):
        raise Broken(f"refused without a reason: {said}")
    if any(str(served.folder) in one for one in (*said, health["cause"])):
        raise Broken("strangers are told where the store lies")


def goes_on(served, callers):
    """By itself, as often as it takes."""
    for _ in range(STRIKES):
        served.until_ready()
        if callers.settled():
            return
    raise Broken(f"it was well again {STRIKES} times, and does not come to its end")


def again(served, ledger):
    """A restart: all is there, what is left is done, and nothing was done twice."""
    before = served.logs()
    ledger.kept(before)
    if not served.listens():
        raise Broken("it does not start again")
    with Callers(served, ledger) as callers:
        callers.settle()
    if served.stop() != Exit.OK:
        raise Broken("it does not stop")
    after = served.logs()
    invariants.is_beginning(before, after)
    ledger.ended(after)


@from_level(1)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_struck_at_every_write_and_sync(fault, counts, tmp_path, figures):
    assert counts["pwrite64"] > 100
    assert counts["fdatasync"] > 15
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(struck, tmp_path / f"{call}-{when}", fault, call, when, late=when > counts[call] / 2)
                for call, when in points_of(counts)]
        ended = Counter(run.result() for run in runs)
    assert ended["killed"] if fault == "kill" else ended["went on"] and ended["restarted"]
    figures.append(f"faults: serve, {fault} at {ended.total()} calls: "
                   + ", ".join(f"{became} {many}" for became, many in sorted(ended.items())))


@from_level(1)
def test_a_server_whose_disk_fails_once_more_goes_on_once_more(counts, tmp_path):
    served, ledger = Struck(tmp_path), Ledger()
    with served.ending():
        assert outcome(served, ledger, "EIO", injecting("EIO", "pwrite64", counts["pwrite64"] * 2 // 5),
                       late=True) == "went on"
        assert served.errors.count(ANEW) > 1
        again(served, ledger)


@from_level(1)
def test_a_file_that_cannot_be_made_a_store_is_refused(trace, tmp_path):
    """(SQLite commits the change to a write-ahead log late, and used to be asked no further.)"""
    thread = re.search(r"^(\d+) +pwrite64\([^)]*served\.db>", trace, flags=re.MULTILINE)
    before = re.findall(rf"^{thread[1]} +pwrite64", trace[: thread.end()], flags=re.MULTILINE)
    served = Struck(tmp_path)
    with served.ending():
        assert not served.listens(injecting("EIO", "pwrite64", len(before)))
        assert unopened(served, "EIO") == "unopened"
        assert served.listens()
        assert served.has_log_beside()
        assert served.stop() == Exit.OK


# --- without strace ---------------------------------------------------------------------------------------------------


def test_a_server_whose_file_may_not_grow_says_why(tmp_path):
    """It refuses and says why, tells all that it knows meanwhile, and is well after a restart with room."""
    served, ledger = Struck(tmp_path), Ledger()
    with served.ending():
        assert served.listens()
        with Callers(served, ledger) as callers:
            callers.prepare()
            callers.start(ALL[0])
            assert served.asked("/health") == (200, {"status": "ok"})
            served.limit_files()
            assert not all(callers.work() for _ in range(50))
            shut(served, callers)
        assert served.stop() == Exit.OK
        again(served, ledger)
        assert served.errors.count(ANEW) == 0


class Request:
    """A request on a connection of its own, sent part by part."""

    def __init__(self, served, operation, **members):
        body = json.dumps(members).encode()
        self._parts = body[: len(body) // 2], body[len(body) // 2 :]
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
        self._connection.putrequest("POST", "/")
        for name, value in {"content-type": CONTENT_TYPE, "x-amz-target": TARGET + operation}.items():
            self._connection.putheader(name, value)
        self._connection.putheader("content-length", str(len(body)))
        try:
            self._connection.endheaders(self._parts[0])
        except OSError:
            self._connection.close()
            raise

    def end(self):
        """Send what is left of it."""
        with suppress(OSError):
            self._connection.send(self._parts[1])
        return self

    def answer(self):
        """The status and the body of the whole answer; None where the server hung up and said nothing."""
        with closing(self._connection):
            try:
                answer = self._connection.getresponse()
            except (OSError, http.client.RemoteDisconnected):
                return None
            return answer.status, json.loads(answer.read())


def starting(served, started, unheard, number, asked):
    """Start executions, each by a request of its own, until the server is gone."""
    for count in itertools.count():
        name = f"s{number}-{count}"
        try:
            request = Request(served, "StartExecution", stateMachineArn=f"{ARN}stateMachine:waits", name=name)
        except OSError:
            return
        match request.end().answer():
            case (200, {"executionArn": _}):
                started.add(name)
                asked.set()
            case (503, _) | None:
                unheard.add(name)
            case other:
                raise Broken(f"{name} was answered by {other}")


@pytest.mark.parametrize("seed", range(SEED, SEED + of_level(1, 3, 20)))
def test_at_a_stop_every_request_is_answered_or_was_not_heard(seed, tmp_path):
    """What was begun for a client is told to that client: by no stop is an answer lost on its way, or cut."""
    started, unheard, asked = set(), set(), threading.Event()
    served = Struck(tmp_path)
    with served.ending(), ThreadPoolExecutor(4) as pool:
        assert served.listens()
        with Callers(served, Ledger()) as callers:
            callers.prepare()
            callers.express()
        polling = Request(served, "GetActivityTask", activityArn=ACTIVITY).end()
        waiting = Request(served, "StartSyncExecution", stateMachineArn=f"{ARN}stateMachine:express").end()
        half = Request(served, "StartExecution", stateMachineArn=f"{ARN}stateMachine:waits", name="half")
        runs = [pool.submit(starting, served, started, unheard, number, asked) for number in range(3)]
        assert asked.wait(PATIENCE)
        threading.Event().wait(seed % 7 / 50)
        stopped = pool.submit(served.stop)
        told = half.end().answer()
        (started if told is not None and told[0] == 200 else unheard).add("half")
        for run in runs:
            run.result()
        assert stopped.result() == Exit.OK
        assert polling.answer() == (200, {})
        status, end = waiting.answer()
        assert (status, end["status"]) == (200, "SUCCEEDED")
    there = served.logs().keys()
    assert started <= there
    assert not unheard & there, "begun, and nobody was told"
