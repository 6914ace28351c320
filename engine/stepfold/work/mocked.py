"""Recorded answers in the place of services: the mock configuration file of Step Functions Local.

    {"StateMachines": {"Orders": {"TestCases": {"Unpaid": {"Charge": "ChargeFails"}}}},
     "MockedResponses": {"ChargeFails": {"0": {"Throw": {"Error": "Unpaid", "Cause": "no money"}},
                                         "1-2": {"Return": {"StatusCode": 200, "Payload": {}}}}}}

A test case is chosen when an execution is started (`...:stateMachine:Orders#Unpaid`, by a Task as by anybody), and
recorded with it. It names the answers of some Tasks; the others call what they always call. An answer stands for the
whole of a Task: also where it would wait for a token or a job, `Return` is its result. Attempts count from 0, Retry's
first is 1.

More than Step Functions Local does: it refuses answers for activities ("Activity state cannot be mocked"). Here they
answer in the place of whoever would come for the task, whose history then has no ActivityStarted, for nobody took it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from stepfold.errors import CallerError
from stepfold.language.failures import RUNTIME
from stepfold.names import parse_arn
from stepfold.query.values import NotAdmitted, Value, admit

from .call import Call, TaskError

MARK: Final = "#"
"""What stands between a machine and a test case."""
_ATTEMPTS: Final = re.compile(r"(\d+)(?:-(\d+))?")


class MocksRefused(Exception):
    """The file of mocks cannot be used; the message says why."""


class NoTestCase(CallerError):
    """The mocks have no such test case for the machine."""


class _Throw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    error: str | None = None
    cause: str | None = None


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    returned: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="Return", default=msgspec.UNSET)
    thrown: _Throw | None = msgspec.field(name="Throw", default=None)


class _Machine(msgspec.Struct, frozen=True, rename="pascal"):
    test_cases: dict[str, dict[str, str]] = {}


class _File(msgspec.Struct, frozen=True):
    machines: dict[str, _Machine] = msgspec.field(name="StateMachines")
    answers: dict[str, dict[str, _Answer]] = msgspec.field(name="MockedResponses")


class _Answers:
    """What one state answers, by its attempts."""

    def __init__(self, name: str, written: Mapping[str, _Answer]) -> None:
        self.name = name
        self._ranges: list[tuple[int, int, Value | TaskError]] = []
        for attempts, answer in written.items():
            found = _ATTEMPTS.fullmatch(attempts)
            if found is None or int(found[1]) > int(found[2] or found[1]):
                raise MocksRefused(f"{name}: {attempts!r} is no attempt: it is a number, or a range such as 1-2")
            self._ranges.append((int(found[1]), int(found[2] or found[1]), _told(name, answer)))

    def answer(self, attempt: int) -> Value:
        """Raises TaskError where it is thrown, or there is none left."""
        for first, last, told in self._ranges:
            if first <= attempt <= last:
                if isinstance(told, TaskError):
                    raise TaskError(told.error, told.cause)
                return told
        raise TaskError(RUNTIME, f"The mocked response {self.name} has no answer for the attempt {attempt}")


def _told(name: str, answer: _Answer) -> Value | TaskError:
    if (answer.thrown is None) == (answer.returned is msgspec.UNSET):
        raise MocksRefused(f"{name}: an answer has either Return or Throw")
    if answer.thrown is not None:
        return TaskError(answer.thrown.error, answer.thrown.cause)
    try:
        return admit(bytes(answer.returned))  # type: ignore[arg-type]
    except NotAdmitted as error:
        raise MocksRefused(f"{name}: {error}") from None


class Mocks:
    """The test cases of machines: answers by machine, test case and state."""

    def __init__(self, cases: Mapping[tuple[str, str], Mapping[str, _Answers]]) -> None:
        self._cases = cases

    def check(self, machine: str, case: str) -> str:
        """The test case, known for the machine of that name. Raises NoTestCase."""
        if (machine, case) not in self._cases:
            known = ", ".join(sorted(one for name, one in self._cases if name == machine)) or "none"
            raise NoTestCase(f"The machine {machine!r} has no test case {case!r} among the mocks; there is {known}")
        return case

    def answer(self, call: Call) -> Value | None:
        """What stands in for a call, or None where nothing does. Raises TaskError."""
        if call.case is None or (arn := parse_arn(call.execution)) is None:
            return None
        machine = arn.resource.split(":")[1].partition("/")[0]
        states = self._cases.get((machine, call.case))
        if states is None:
            raise TaskError(RUNTIME, f"The test case {call.case!r} that this execution began with is gone")
        answers = states.get(call.state)
        return None if answers is None else answers.answer(call.retry)


def load_mocks(path: str | Path) -> Mocks:
    """Read a mock configuration file. Raises MocksRefused, OSError."""
    try:
        file = msgspec.json.decode(Path(path).read_bytes(), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MocksRefused(f"{path}: {error}") from None
    answers = {name: _Answers(name, written) for name, written in file.answers.items()}
    cases: dict[tuple[str, str], Mapping[str, Any]] = {}
    for machine, told in file.machines.items():
        for case, states in told.test_cases.items():
            if missing := sorted(set(states.values()) - answers.keys()):
                raise MocksRefused(f"{path}: {machine}, {case}: no mocked response is called {missing[0]!r}")
            cases[machine, case] = {state: answers[name] for state, name in states.items()}
    return Mocks(cases)
