"""The operations on executions: start, describe, list, stop, redrive; what they tell is committed."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from stepfold import names
from stepfold.errors import (
    CallerError,
    InvalidToken,
    StateMachineTypeNotSupported,
)
from stepfold.language.checking.references import variable_references
from stepfold.names import execution_arn
from stepfold.runtime import catalog, express, redriving, starting
from stepfold.runtime.catalog import ExecutionRow
from stepfold.runtime.engine import Engine
from stepfold.runtime.lately import Committed
from stepfold.runtime.machines.registry import Target
from stepfold.service.wire.protocol import Operation, timestamp
from stepfold.service.wire.shapes import (
    BillingDetails,
    CloudWatchEventsExecutionDataDetails,
    DescribeExecutionInput,
    DescribeExecutionOutput,
    DescribeStateMachineForExecutionInput,
    DescribeStateMachineForExecutionOutput,
    EncryptionConfiguration,
    ExecutionListItem,
    ListExecutionsInput,
    ListExecutionsOutput,
    LoggingConfiguration,
    RedriveExecutionInput,
    RedriveExecutionOutput,
    StartExecutionInput,
    StartExecutionOutput,
    StartSyncExecutionInput,
    StartSyncExecutionOutput,
    StopExecutionInput,
    StopExecutionOutput,
    SyncExecutionStatus,
    TracingConfiguration,
)
from stepfold_store.contract import Entry, Store, after_entry

from . import histories, mapruns, paging
from .served import Served

BILLED_MS: Final = 100
"""Express time is billed in steps of so many milliseconds (AWS)."""
BILLED_MB: Final = 64
"""Express memory is billed in steps of so many megabytes (AWS)."""
LOOKED_AT: Final = 10_000
"""The most rows that one ListExecutions looks at; where a filter keeps few of them, the page is shorter."""
STEP: Final = 1_000
"""So many of them at a time, where a filter may keep few."""

SET_ASIDE: Final = "Stepfold.SetAside"
"""The error that is told of an execution that does not go on; its status is RUNNING, for AWS has no word for it."""

_INCLUDED: Final = CloudWatchEventsExecutionDataDetails(included=True)
_WITHHELD: Final = CloudWatchEventsExecutionDataDetails(included=False)


# --- starting ---------------------------------------------------------------------------------------------------------


async def start_execution(
    service: Served, request: StartExecutionInput, *, origin: str | None = None
) -> StartExecutionOutput:
    """Start an execution, known by its name where its machine is STANDARD; of one origin there is but one."""
    target, wish = await _asked(service.engine, request, origin=origin)
    begin = express.start if target.row.type == "EXPRESS" else starting.start
    begun = await begin(service.engine, target, wish)
    return StartExecutionOutput(executionArn=begun.arn, startDate=timestamp(begun.at))


async def start_sync_execution(service: Served, request: StartSyncExecutionInput) -> StartSyncExecutionOutput:
    """Run an execution of an EXPRESS machine to its end."""
    target, wish = await _asked(service.engine, request, only="EXPRESS")
    ended = await express.run(service.engine, target, wish)
    execution, failure = ended.execution, ended.execution.ending
    whole = request.includedData != "METADATA_ONLY"
    details = _INCLUDED if whole else _WITHHELD
    told = whole and failure is not None and execution.status != "TIMED_OUT"
    return StartSyncExecutionOutput(
        executionArn=execution.started.arn,
        stateMachineArn=execution.started.machine,
        name=execution.started.name,
        startDate=timestamp(execution.started_at),
        stopDate=timestamp(execution.at),
        status=cast("SyncExecutionStatus", execution.status),  # the API stops no express execution
        input=catalog.given(execution.started) if whole else None,
        inputDetails=details,
        output=bytes(execution.root.value).decode() if whole and execution.status == "SUCCEEDED" else None,
        outputDetails=details,  # also where there is none (recorded)
        error=failure.error if told and failure is not None else None,
        cause=failure.cause if told and failure is not None else None,
        traceHeader=wish.trace,
        billingDetails=BillingDetails(
            billedDurationInMilliseconds=_steps(execution.at - execution.started_at, BILLED_MS),
            billedMemoryUsedInMB=_steps(ended.megabytes, BILLED_MB),
        ),
    )


def _steps(amount: int, step: int) -> int:
    return max(-(-amount // step), 1) * step


async def _asked(
    engine: Engine,
    request: StartExecutionInput | StartSyncExecutionInput,
    *,
    only: str = "",
    origin: str | None = None,
) -> tuple[Target, starting.Wanted]:
    """The machine that a start is for, and its wishes; raises as AWS refuses them."""
    asked, case = starting.machine_and_case(request.stateMachineArn, engine.mocks)
    target = await engine.registry.resolve(_machine(asked))
    if only and target.row.type != only:
        raise _unsupported()
    wish = starting.wanted(
        text=request.input, name=request.name, trace=request.traceHeader, origin=origin, limits=engine.limits
    )
    return target, starting.in_case(wish, target, engine.mocks, case)


def _unsupported() -> StateMachineTypeNotSupported:
    return StateMachineTypeNotSupported("This operation is not supported by this type of state machine")


# --- ending and going on ----------------------------------------------------------------------------------------------


async def stop_execution(service: Served, request: StopExecutionInput) -> StopExecutionOutput:
    """End an execution; one that has ended stays as it is, and tells when that was."""
    engine = service.engine
    arn = execution_arn(request.executionArn)
    entry, _ = await engine.committed(arn)
    if entry.ended is None:
        await engine.stop(arn, error=request.error, cause=request.cause)
        entry, _ = await engine.committed(arn)
    stopped = entry.ended if entry.ended is not None else engine.clock.now()  # redriven since
    return StopExecutionOutput(stopDate=timestamp(stopped))


async def redrive_execution(service: Served, request: RedriveExecutionInput) -> RedriveExecutionOutput:
    """Have an execution that ended badly go on."""
    arn = execution_arn(request.executionArn)
    redriven = await redriving.redrive(service.engine, arn, request.clientToken)
    return RedriveExecutionOutput(redriveDate=timestamp(redriven))


async def _known(engine: Engine, arn: str) -> Committed:
    """What is committed of an execution; of EXPRESS ones, those of map runs alone are told of.

    Raises ExecutionDoesNotExist, InvalidArn.
    """
    if ":express:" in arn:
        names.states_arn(arn, "express")
        entry = await engine.store.entry(express.KIND, arn)
        started = None if entry is None else express.row_of(entry).started
        if entry is not None and started is not None and started.map_run is not None:
            return Committed(entry, started)
    return await engine.committed(execution_arn(arn))


# --- describing -------------------------------------------------------------------------------------------------------


async def describe_execution(service: Served, request: DescribeExecutionInput) -> DescribeExecutionOutput:
    """All about an execution but its history."""
    engine = service.engine
    entry, started = await _known(engine, request.executionArn)
    row = _row(entry)
    whole = request.includedData != "METADATA_ONLY"
    details = _INCLUDED if whole else _WITHHELD
    succeeded = entry.status == "SUCCEEDED"
    explained = whole and entry.status != "TIMED_OUT"  # AWS tells no reason of a time-out here (API notes, section 4)
    deleting = entry.ended is not None and not succeeded and redriving.is_deleting(engine, started.machine)
    why = redriving.refusal(entry, started.limits, engine.clock.now(), deleting=deleting)
    by_map_run = entry.kind == express.KIND and entry.status in {"FAILED", "TIMED_OUT", "ABORTED"}
    aside = engine.failed.get(entry.key) if whole and entry.ended is None else None
    return DescribeExecutionOutput(
        **_told(entry, row),
        input=catalog.given(started) if whole else None,
        inputDetails=details,
        output=bytes(row.output).decode() if whole and succeeded else None,  # type: ignore[arg-type]
        outputDetails=details if succeeded else None,
        traceHeader=row.trace,
        error=SET_ASIDE if aside is not None else row.error if explained else None,
        cause=str(aside) if aside is not None else row.cause if explained else None,
        redriveStatus="NOT_REDRIVABLE" if why else "REDRIVABLE_BY_MAP_RUN" if by_map_run else "REDRIVABLE",
        redriveStatusReason=why,
    )


def _told(entry: Entry, row: ExecutionRow) -> dict[str, Any]:
    """What descriptions and lists tell alike."""
    return {
        "executionArn": entry.key,
        "stateMachineArn": row.machine or entry.parent,
        "mapRunArn": entry.parent if row.machine is not None else None,
        "name": row.name,
        "status": entry.status,
        "startDate": timestamp(entry.started),
        "stopDate": None if entry.ended is None else timestamp(entry.ended),
        "stateMachineVersionArn": row.version,
        "stateMachineAliasArn": row.alias,
        "redriveCount": row.redrives,
        "redriveDate": None if row.redriven is None else timestamp(row.redriven),
    }


async def describe_state_machine_for_execution(
    service: Served, request: DescribeStateMachineForExecutionInput
) -> DescribeStateMachineForExecutionOutput:
    """The machine as an execution uses it, whatever has become of it since."""
    engine = service.engine
    entry, started = await _known(engine, request.executionArn)
    said = names.machine_arn(started.machine)
    machine = await engine.store.entry(catalog.MACHINE, said.arn)
    text = (await engine.registry.machine(started.definition)).text
    whole = request.includedData != "METADATA_ONLY"
    return DescribeStateMachineForExecutionOutput(
        stateMachineArn=started.machine,
        name=said.name,
        mapRunArn=started.map_run,
        label=said.label,
        definition=text.decode() if whole else "{}",
        roleArn=started.role,
        updateDate=timestamp(entry.started if machine is None else machine.started),
        loggingConfiguration=LoggingConfiguration(level="OFF", includeExecutionData=False),
        tracingConfiguration=TracingConfiguration(enabled=False),
        encryptionConfiguration=EncryptionConfiguration(type="AWS_OWNED_KEY"),
        variableReferences=variable_references(text) or None if whole else None,
    )


# --- listing ----------------------------------------------------------------------------------------------------------


class _Sieve(NamedTuple):
    """Which executions of a parent are told; None lets all through."""

    parent: str
    kind: str = catalog.EXECUTION
    version: str | None = None
    alias: str | None = None
    redriven: bool | None = None

    @property
    def is_open(self) -> bool:
        """Whether all are told."""
        return self.version is None and self.alias is None and self.redriven is None

    def lets(self, row: ExecutionRow) -> bool:
        """Whether an execution is told."""
        return (
            self.version in {None, row.version}
            and self.alias in {None, row.alias}
            and self.redriven in {None, row.redrives > 0}
        )


async def list_executions(service: Served, request: ListExecutionsInput) -> ListExecutionsOutput:
    """Executions of a machine, of one of its versions or of an alias; the latest start comes first."""
    engine, now = service.engine, service.engine.clock.now()
    arn, status = request.stateMachineArn or request.mapRunArn or "", request.statusFilter
    scope = f"ListExecutions {arn} {status} {request.redriveFilter}"
    sieve = await _sieve(engine, request)
    place = None if request.nextToken is None else paging.read(request.nextToken, scope, now)
    try:
        found, after = await _page(engine.store, sieve, status, place, request.maxResults or paging.DEFAULT)
    except (ValueError, TypeError):  # somebody made it up
        raise InvalidToken("Invalid Token: 'Invalid token'") from None
    return ListExecutionsOutput(
        executions=found, nextToken=None if after is None else paging.write(after, scope, now)
    )


async def _sieve(engine: Engine, request: ListExecutionsInput) -> _Sieve:
    redriven = None if request.redriveFilter is None else request.redriveFilter == "REDRIVEN"
    if (request.stateMachineArn is None) == (request.mapRunArn is None):
        raise CallerError("Either a state machine ARN or a Map Run ARN must be specified, and not both")
    if request.mapRunArn is not None:
        _, run = await mapruns.found(engine, request.mapRunArn)
        kind = express.KIND if run.kind == "EXPRESS" else catalog.EXECUTION
        return _Sieve(request.mapRunArn, kind, redriven=redriven)
    if request.statusFilter == "PENDING_REDRIVE":
        raise CallerError("The status filter PENDING_REDRIVE is for the executions of a Map Run")
    arn = _machine(request.stateMachineArn or "")
    target = await engine.registry.resolve(arn)
    if target.row.type == "EXPRESS":
        raise _unsupported()
    if arn == target.alias:  # whatever version the draw gave
        return _Sieve(target.machine, alias=arn, redriven=redriven)
    return _Sieve(target.machine, version=arn if arn == target.version else None, redriven=redriven)


async def _page(
    store: Store, sieve: _Sieve, status: str | None, place: str | None, size: int
) -> tuple[list[ExecutionListItem], str | None]:
    """So many executions past a place, and where to go on; fewer where a filter keeps very few of those looked at."""
    found: list[ExecutionListItem] = []
    looked_at = 0
    while looked_at < LOOKED_AT:
        step = size + 1 if sieve.is_open else max(size + 1, STEP)
        page = await store.entries(sieve.kind, parent=sieve.parent, status=status, after=place, limit=step)
        for entry in page.entries:
            row = _row(entry)
            if sieve.lets(row):
                if len(found) == size:
                    return found, place
                found.append(ExecutionListItem(**_told(entry, row), itemCount=row.items or None))
            place = after_entry(entry)
        looked_at += len(page.entries)
        if page.after is None:
            return found, None
    return found, place


def _machine(arn: str) -> str:
    names.states_arn(arn, "stateMachine")
    return arn


def _row(entry: Entry) -> ExecutionRow:
    """What is kept of an execution, of either type."""
    if entry.kind != express.KIND:
        return catalog.execution_row(entry)
    kept = express.row_of(entry)
    started = kept.started
    return ExecutionRow(
        started.name, started.definition, kept.output, kept.error, kept.cause, trace=started.trace,
        redrives=kept.redrives, machine=started.machine, child=started.child, items=started.items,
    )


OPERATIONS: Final[dict[str, Operation]] = {
    "StartExecution": start_execution,
    "StartSyncExecution": start_sync_execution,
    "DescribeExecution": describe_execution,
    "DescribeStateMachineForExecution": describe_state_machine_for_execution,
    "ListExecutions": list_executions,
    "GetExecutionHistory": histories.get_execution_history,
    "StopExecution": stop_execution,
    "RedriveExecution": redrive_execution,
}
