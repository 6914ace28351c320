"""Starting an execution: what is asked for, what an earlier start of its name means, and its first decision."""

from __future__ import annotations

from typing import NamedTuple

from stepfold import names
from stepfold.errors import ExecutionAlreadyExists, ExecutionLimitExceeded, InvalidExecutionInput
from stepfold.interpreter import signals
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import ExecutionStarted
from stepfold.language.limits import Limits
from stepfold.language.machine import Machine
from stepfold.query import jackson
from stepfold.query.values import Json, NotAdmitted, Value, admit, admit_tree
from stepfold.work.mocked import MARK, Mocks, NoTestCase
from stepfold_store.contract import Conflict, Entry

from . import catalog
from .host import Host
from .machines.registry import Target
from .runs.run import Run
from .runs.world import closed


class Wanted(NamedTuple):
    """What a start asks for: the input and, where it came as text, that text; the caller's name and trace header.

    `origin` is for whoever may have to ask again, as after a crash: a start of the same origin is the same start.
    `case` is a test case of the engine's mocks.
    """

    value: Value
    text: str | None = None
    name: str | None = None
    trace: str | None = None
    origin: str | None = None
    case: str | None = None


class Begun(NamedTuple):
    """An execution whose start is durable: since when (milliseconds since the epoch), and its run where it has one."""

    arn: str
    at: int
    run: Run | None = None


def wanted(
    plain: Json = None,
    text: str | None = None,
    *,
    name: str | None = None,
    trace: str | None = None,
    origin: str | None = None,
    limits: Limits,
) -> Wanted:
    """A start's wishes, checked: Python data (`{}` by default) or text. Raises InvalidExecutionInput, InvalidName."""
    try:
        if text is not None:
            value = admit(text, limit=limits.payload)
        else:
            value = admit_tree({} if plain is None else plain, limit=limits.payload)
    except NotAdmitted as error:
        why = None if text is None else jackson.complaint(text)  # None where it is JSON, but too large or too deep
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{why or error}'") from None
    return Wanted(value, text, None if name is None else names.check_name(name), trace, origin)


def machine_and_case(asked: str, mocks: Mocks | None) -> tuple[str, str]:
    """The machine's ARN, and the test case that stands behind it where there are mocks."""
    machine, _, case = asked.partition(MARK) if mocks else (asked, "", "")
    return machine, case


def in_case(wish: Wanted, target: Target, mocks: Mocks | None, case: str | None) -> Wanted:
    """The same wish, with a test case of the mocks where one is named. Raises NoTestCase."""
    if not case:
        return wish
    if mocks is None:
        raise NoTestCase(f"The test case {case!r} needs mocks, and there are none")
    return wish._replace(case=mocks.check(target.row.name, case))


def check_room(engine: Host) -> None:
    """Raises ExecutionLimitExceeded, Throttled where one execution more would not fit into memory."""
    if len(engine.runs) >= (most := engine.bounds.executions):
        raise ExecutionLimitExceeded(f"{most} executions are open; more would not fit into memory")
    engine.bounds.check_backlog(engine.store)


def first_fact(engine: Host, target: Target, machine: Machine, wish: Wanted, arn: str, name: str) -> ExecutionStarted:
    """How the log of an execution begins."""
    value, text = wish.value, wish.text
    return ExecutionStarted(
        input=value,
        arn=arn,
        name=name,
        machine=target.machine,
        definition=target.definition,
        start=machine.start_at,
        limits=engine.limits,
        timeout=machine.timeout,
        role=target.row.role,
        region=engine.home.region,
        version=target.version,
        alias=target.alias,
        text=text if text is not None and text.encode() != bytes(value) else None,
        trace=wish.trace,
        origin=wish.origin,
        case=wish.case,
    )


async def start(engine: Host, target: Target, wish: Wanted) -> Begun:
    """Start an execution, or give the running one of the same name and input (API notes, section 3).

    Raises ExecutionAlreadyExists, ExecutionLimitExceeded, Throttled.
    """
    check_room(engine)
    known = wish.name or wish.origin
    name = known or engine.chance.name(engine.clock.now())
    arn = engine.home.execution(target.row.name, name)
    if known is not None and (entry := await engine.store.entry(catalog.EXECUTION, arn)) is not None:
        return await _existing(engine, entry, wish)
    machine = await engine.registry.machine(target.definition, target.row.type)
    if (other := engine.runs.get(arn)) is not None:
        # Another task was faster. An append that is sure to be refused would also cast doubt on those that follow.
        if other.begun is not None:
            await other.begun.wait()
        if (entry := await engine.store.entry(catalog.EXECUTION, arn)) is not None:
            return await _existing(engine, entry, wish)
        raise other.broken or closed()
    check_room(engine)  # thousands may have come this far since it was asked
    run = Run(engine, machine, Execution(), catalog.stream_of(arn))
    told = run.decide(signals.Begin(first_fact(engine, target, machine, wish, arn, name)))
    if told is None:
        raise AssertionError("an execution that begins records its beginning")
    engine.runs[arn] = run
    try:
        await engine.followed(run, told)
    except Conflict:
        entry = await engine.store.entry(catalog.EXECUTION, arn)
        if entry is None:
            raise
        return await _existing(engine, entry, wish)
    return Begun(arn, run.execution.started_at, run)


async def _existing(engine: Host, entry: Entry, wish: Wanted) -> Begun:
    if entry.key in engine.failed:  # what is set aside may not even be readable
        raise ExecutionAlreadyExists(f"Execution Already Exists: '{entry.key}'")
    first = await catalog.started(engine.store, entry.key)
    if wish.origin is not None and first.origin == wish.origin:
        return Begun(entry.key, entry.started, engine.runs.get(entry.key))
    if entry.status == "RUNNING" and _same(first, wish):
        return Begun(entry.key, entry.started, engine.runs.get(entry.key))
    raise ExecutionAlreadyExists(f"Execution Already Exists: '{entry.key}'")


def _same(started: ExecutionStarted, wish: Wanted) -> bool:
    """AWS compares the texts as they were sent; data that was never text is compared as it would be written."""
    compact = bytes(started.input)
    if wish.text is None:
        return compact == bytes(wish.value)
    return (compact.decode() if started.text is None else started.text) == wish.text
