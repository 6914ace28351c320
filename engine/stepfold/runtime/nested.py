"""Executions that Tasks start: begun once however often they are asked for, waited for, stopped with their parents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Raw

from stepfold.errors import StateMachineTypeNotSupported
from stepfold.work.children import Asked, Born

from . import catalog, express, redriving, starting
from .host import Parent


class Nested:
    """What `work/children.py` asks for, by an engine."""

    def __init__(self, engine: Parent) -> None:
        self._engine = engine

    async def start(self, asked: Asked) -> Born:
        """Start an execution, or find the one of that origin. Raises what `Engine.start` raises.

        A test case may stand behind the machine's ARN, as wherever an execution is started (that Step Functions Local
        reads it here, too, is not verified: it sends such a Task's arguments to its own StartExecution).
        One of an EXPRESS machine cannot be described, and so not be waited for (that AWS refuses it in these words is
        not verified); without that it may begin twice, as all of its kind.
        """
        engine = self._engine
        machine, case = starting.machine_and_case(asked.machine, engine.mocks)
        target = await engine.registry.resolve(machine)
        if target.row.type == "EXPRESS" and asked.attended:
            raise StateMachineTypeNotSupported("This operation is not supported by this type of state machine")
        wish = starting.wanted(
            text=asked.input, name=asked.name, trace=asked.trace, origin=asked.origin, limits=engine.limits
        )
        begin = express.start if target.row.type == "EXPRESS" else starting.start
        begun = await begin(engine, target, starting.in_case(wish, target, engine.mocks, case))
        return Born(begun.arn, begun.at)

    async def ended(self, arn: str) -> Mapping[str, Any]:
        """What there is to tell of an execution when it has ended. Raises ExecutionDoesNotExist."""
        while True:
            while (run := await self._engine.alive(arn)) is not None:
                with self._engine.asleep():
                    await run.ended.wait()
            entry, started = await self._engine.committed(arn)
            if entry.ended is not None:
                break
        row = catalog.execution_row(entry)
        deleting = redriving.is_deleting(self._engine, entry.parent)
        why = redriving.refusal(entry, started.limits, self._engine.clock.now(), deleting=deleting)
        told = entry.status != "TIMED_OUT"  # as DescribeExecution has it
        said: dict[str, Any] = {
            "Cause": row.cause if told else None,
            "Error": row.error if told else None,
            "ExecutionArn": entry.key,
            "Input": catalog.given(started),
            "InputDetails": {"Included": True},
            "Name": row.name,
            "Output": bytes(row.output).decode() if isinstance(row.output, Raw) else None,
            "OutputDetails": {"Included": True} if row.output is not UNSET else None,
            "RedriveCount": row.redrives,
            "RedriveDate": row.redriven,
            "RedriveStatus": "REDRIVABLE" if why is None else "NOT_REDRIVABLE",
            "RedriveStatusReason": why,
            "StartDate": entry.started,
            "StateMachineAliasArn": row.alias,
            "StateMachineArn": entry.parent,
            "StateMachineVersionArn": row.version,
            "Status": entry.status,
            "StopDate": entry.ended,
            "TraceHeader": row.trace,
        }
        return {name: value for name, value in said.items() if value is not None}

    async def stop(self, arn: str) -> None:
        """End it now, as ABORTED; nothing happens where it has ended."""
        await self._engine.stop(arn)
