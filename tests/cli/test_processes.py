"""The command line in processes of its own: killed, interrupted, looked at from outside, and resumed."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter

import pytest

from .conftest import EXAMPLES

ITEMS = 300
HOLD = "hold"
IN_FLIGHT = 2 * os.cpu_count() + 32

TEMPLATE = """
Resources:
  Big:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: big
      Definition:
        StartAt: Each
        States:
          Each:
            Type: Map
            ItemsPath: $.items
            ItemProcessor:
              StartAt: Work
              States:
                Work: {Type: Task, Resource: !GetAtt Work.Arn, End: true}
            End: true
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Timeout: 60
      Environment: {Variables: {TOKENS: TOKENS_FILE, HOLD: HOLD_FILE}}
      InlineCode: |
        import os, time
        def handler(event, context):
            with open(os.environ["TOKENS"], "a") as file:
                file.write(f"{event} {context.aws_request_id}\\n")
            if event == 200:
                print("half way", flush=True)
                time.sleep(0.5)
            while event >= 200 and os.path.exists(os.environ["HOLD"]):
                time.sleep(0.01)
            time.sleep(0.002)
            return event * 2
"""


@pytest.fixture
def big(write, here):
    """A Map of many items, each of which appends its token to a file."""
    write("in.json", {"items": list(range(ITEMS))})
    return write("t.yaml", TEMPLATE.replace("TOKENS_FILE", str(here / "tokens")).replace("HOLD_FILE", str(here / HOLD)))


@pytest.fixture
def let_go(write, here):
    """Its last hundred items wait until this is called."""
    write(HOLD, "")
    return (here / HOLD).unlink


def calls(here) -> list[tuple[str, str]]:
    return [tuple(line.split()) for line in (here / "tokens").read_text().splitlines()]


def succeeded(sf) -> set[str]:
    """The items whose success is recorded."""
    events = json.loads(sf("history", "m", "--json").stdout)["events"]
    return {str(event["mapIterationSucceededEventDetails"]["index"])
            for event in events if event["type"] == "MapIterationSucceeded"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_run_that_is_ended_in_a_map_is_seen_and_resumed(sf, start, big, let_go, here, number):
    running = start("run", big, "--input", "@in.json", "--name", "m")
    running.until("half way")

    assert [one["status"] for one in json.loads(sf("list", "--json").stdout)["executions"]] == ["RUNNING"]
    assert f"of {ITEMS} items done" in sf("show", "m").stdout
    assert len(json.loads(sf("history", "m", "--json").stdout)["events"]) > ITEMS
    for words in (("resume",), ("stop", "m")):
        held = sf(*words)
        assert held.exit_code == 3
        assert f"process {running.pid}" in held.stderr

    code = running.signal(number)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 4
        assert "interrupted; it goes on from here with: " in running.said
        assert f"resume --store stepfold.db --template {big.name}" in running.said
    assert "Traceback" not in running.said
    done, before = succeeded(sf), calls(here)
    assert len(done) < ITEMS

    let_go()
    told = sf("resume")
    assert told.exit_code == 0
    assert told.stdout.startswith("✓ m  SUCCEEDED  ")
    assert json.loads(told.stdout.partition("SUCCEEDED  ")[2]) == [2 * item for item in range(ITEMS)]
    after = calls(here)[len(before):]
    assert not done & {item for item, _ in after}, "what is recorded as done is not done again"
    repeated = [item for item, times in Counter(item for item, _ in before + after).items() if times > 1]
    assert len(repeated) <= IN_FLIGHT, "only what was in flight, or answered and not yet on disk"
    assert len({token for _, token in before + after}) == ITEMS, "and under the token it had"


def test_a_run_of_the_same_name_goes_on(sf, start, big, let_go):
    running = start("run", big, "--input", "@in.json", "--name", "m")
    running.until("half way")
    running.signal(signal.SIGKILL)
    let_go()
    told = sf("run", big, "--input", "@in.json", "--name", "m")
    assert told.exit_code == 0
    assert json.loads(told.stdout) == [2 * item for item in range(ITEMS)]
    assert "✓ Each" in told.stderr


def test_the_demo_in_a_process_can_be_killed_and_resumed(sf, start):
    demo = start("demo", "--slow")
    demo.until("fetched 7 records")
    demo.until("▸ Process My Data")  # shown once it is on disk, and so is what went before
    demo.signal(signal.SIGKILL)
    told = sf("resume", "--store", "stepfold-demo.db")
    assert told.exit_code == 0
    assert '"saved":7' in told.stdout
    assert "fetched" not in told.stderr
    assert "saved 7 records" in told.stderr


def test_progress_is_told_now_and_then_where_there_is_no_terminal(start, big):
    running = start("run", big, "--input", "@in.json")
    running.until(f"▸ Each  {ITEMS} items")
    assert running.end() == 0
    assert "\x1b" not in running.said
    assert "✓ Each" in running.said


@pytest.mark.parametrize("colours", [True, False])
def test_a_live_line_on_a_terminal_fits_and_is_wiped(big, colours, monkeypatch):
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    said = on_terminal(44, "run", str(big), "--input", "@in.json")
    live = [part for part in said.replace("\r\x1b[2K", "\n\r").split("\n") if " items" in part and "of" in part]
    assert live
    plain = [line.replace("\x1b[36m", "").replace("\x1b[0m", "").strip("\r") for line in live]
    assert all(len(line) < 44 for line in plain)
    assert ("\x1b[36m" in said) == colours
    assert said.count("\r\x1b[2K") >= len(live), "each is wiped"


def on_terminal(columns: int, *words: str) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "stepfold", *words], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:  # how Linux says that the other side was closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, said.decode()
    return said.decode()


def test_a_reader_that_goes_away_is_no_error(sf, big):
    sf("run", big, "--input", "@in.json", "--name", "m")
    process = subprocess.Popen(
        [sys.executable, "-m", "stepfold", "history", "m", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().startswith(b'{"events"')
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(60)


def test_importing_stepfold_imports_no_command_line():
    seen = subprocess.run(
        [sys.executable, "-c", "import stepfold, sys; print('click' in sys.modules, 'stepfold.cli' in sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True)
    assert seen.stdout.split() == ["False", "False"]


def test_examples_are_all_good(sf):
    assert sf("check", *sorted(EXAMPLES.glob("*/template*.yaml"))).exit_code == 0
