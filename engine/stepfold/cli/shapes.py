"""What commands say with --json: the shapes of AWS's API; times are seconds since 1970, as in its JSON."""

from __future__ import annotations

from typing import Any

from stepfold.runtime.catalog import Description, Summary
from stepfold.runtime.recovery.quarantine import SetAside


def listed(one: Summary, aside: SetAside | None = None) -> dict[str, Any]:
    """An execution as ListExecutions has it; why it is set aside, for which AWS has no word, stands beside."""
    return _present({
        "executionArn": one.arn,
        "stateMachineArn": one.machine,
        "name": one.name,
        "status": one.status,
        "startDate": one.started / 1000,
        "stopDate": None if one.stopped is None else one.stopped / 1000,
        "setAside": None if aside is None else aside.reason,
    })


def described(one: Description, aside: SetAside | None = None) -> dict[str, Any]:
    """An execution as DescribeExecution has it: `input` and `output` are texts of JSON; `setAside` is our own."""
    return _present({
        "executionArn": one.arn,
        "stateMachineArn": one.machine,
        "name": one.name,
        "status": one.status,
        "startDate": one.started / 1000,
        "stopDate": None if one.stopped is None else one.stopped / 1000,
        "input": one.input,
        "inputDetails": None if one.input is None else {"included": True},
        "output": one.output,
        "outputDetails": None if one.output is None else {"included": True},
        "error": one.error,
        "cause": one.cause,
        "setAside": None if aside is None else aside.reason,
    })


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
