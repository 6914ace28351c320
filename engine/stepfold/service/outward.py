"""What is told to the outside as it happens, in AWS's shapes: a machine's log lines, and changes of status.

Both follow what is committed, in tasks of their own, and hold nothing up. After a restart the lines go on where they
had come to; the last ones before a crash may not have been told, as AWS's delivery is by best effort, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from stepfold.insight.history import HistoryEvent, Projection
from stepfold.interpreter import facts
from stepfold.interpreter.dataflow import iso
from stepfold.names import parse_arn
from stepfold.runtime import catalog
from stepfold.runtime.catalog import Logging
from stepfold.runtime.runs.run import Run

from .operations import executions
from .operations.served import Served
from .wire import shapes

logger = structlog.get_logger("stepfold.executions")

Hear: TypeAlias = Callable[[dict[str, Any]], object]
"""Hears a line or an event; it must not block."""

_ENDS: Final = (facts.ExecutionSucceeded, facts.ExecutionFailed, facts.ExecutionAborted, facts.ExecutionTimedOut)
_FATAL: Final = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"})
_BAD_ENDS: Final = ("Failed", "Aborted", "TimedOut")
_DATES: Final = ("startDate", "stopDate", "redriveDate")
_DATA: Final = ("input", "inputDetails", "output", "outputDetails", "parameters")


class Outward:
    """Follows the executions of a service. `on_line` hears log lines, `on_status` EventBridge's events."""

    def __init__(self, service: Served, *, on_line: Hear | None = None, on_status: Hear | None = None) -> None:
        self._service = service
        self._on_line = on_line
        self._on_status = on_status
        service.engine.follow(self.follow)

    def follow(self, run: Run) -> Awaitable[None] | None:
        """Tell of one execution, from where it begins or is resumed to its end, if there is anything to tell."""
        started = run.execution.started
        known = self._service.engine.registry.peek(started.machine)
        logging = Logging() if known is None else known.row.logging or Logging()
        status = self._on_status is not None and ":express:" not in started.arn  # those emit no status events
        return self._tell(run, logging, status=status) if status or logging.level != "OFF" else None

    async def _tell(self, run: Run, logging: Logging, *, status: bool) -> None:
        arn = run.execution.started.arn
        if status and not run.resumed:
            await self._status(arn, ended=False)
        if logging.level != "OFF":
            await self._lines(run, logging)
        if status:
            await run.ended.wait()
            if run.broken is None:
                await self._status(arn, ended=True)

    async def _lines(self, run: Run, logging: Logging) -> None:
        projection, seen = Projection(), 0
        store, arn = run.world.store, run.execution.started.arn
        async for version in store.watch(run.stream):
            if version <= seen:
                continue
            async for event in catalog.events(store, arn, seen):
                seen = event.seq
                told = projection.tell(event)
                if told is not None and event.seq > run.folded and is_told(told["type"], logging.level):
                    self._line(line(told, arn, data=logging.data, redrives=run.execution.redrives))
                if isinstance(event.fact, _ENDS) and event.seq > run.folded:
                    return

    def _line(self, told: dict[str, Any]) -> None:
        logger.info("history event", **{key: value for key, value in told.items() if key != "details"})
        if self._on_line is not None:
            self._on_line(told)

    async def _status(self, arn: str, *, ended: bool) -> None:
        engine = self._service.engine
        asked = shapes.DescribeExecutionInput(executionArn=arn)
        described = msgspec.to_builtins(await executions.describe_execution(self._service, asked))
        detail = dict.fromkeys(shapes.DescribeExecutionOutput.__struct_fields__) | described
        if not ended:  # it may have ended meanwhile: this tells of its beginning
            detail |= {
                **dict.fromkeys(("stopDate", "output", "outputDetails", "error", "cause")),
                "status": "RUNNING",
                "redriveStatus": "NOT_REDRIVABLE",
                "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
            }
        for date in _DATES:
            detail[date] = None if detail[date] is None else round(detail[date] * 1000)
        named = parse_arn(arn)
        if self._on_status is not None and named is not None:
            self._on_status({
                "version": "0",
                "id": engine.chance.uuid(),
                "detail-type": "Step Functions Execution Status Change",
                "source": "aws.states",
                "account": named.account,
                "time": _second(engine.clock.now()),
                "region": named.region,
                "resources": [arn],
                "detail": detail,
            })


def is_told(kind: str, level: str) -> bool:
    """Whether a level of logging tells events of this type (API notes, section 10)."""
    if level == "ALL":
        return True
    if level == "FATAL":
        return kind in _FATAL
    return level == "ERROR" and (kind.endswith(_BAD_ENDS) or kind == "FailStateEntered")


def line(told: HistoryEvent, arn: str, *, data: bool, redrives: int) -> dict[str, Any]:
    """A line as CloudWatch has it: ids are texts, and without `data` no input or output is told (recorded)."""
    details: dict[str, Any] = next((value for key, value in told.items() if key.endswith("EventDetails")), {})
    if not data:
        details = {key: value for key, value in details.items() if key not in _DATA}
    return {
        "id": str(told["id"]),
        "type": told["type"],
        "details": details,
        "previous_event_id": str(told["previousEventId"]),
        "event_timestamp": str(round(told["timestamp"] * 1000)),
        "execution_arn": arn,
        "redrive_count": str(redrives),
    }


def _second(at: int) -> str:
    """A moment in milliseconds, as EventBridge writes it."""
    return f"{iso(at)[:19]}Z"
