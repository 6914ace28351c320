"""Failures as values: the reserved error names, and what each name in an `ErrorEquals` matches."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ALL = "States.ALL"
BRANCH_FAILED = "States.BranchFailed"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
EXCEED_TOLERATED_FAILURE_THRESHOLD = "States.ExceedToleratedFailureThreshold"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
INTRINSIC_FAILURE = "States.IntrinsicFailure"
ITEM_READER_FAILED = "States.ItemReaderFailed"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
PARAMETER_PATH_FAILURE = "States.ParameterPathFailure"
PERMISSIONS = "States.Permissions"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"
RUNTIME = "States.Runtime"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"

_NEVER_CAUGHT = frozenset({RUNTIME})
_NOT_A_TASK_FAILURE = frozenset({
    EXCEED_TOLERATED_FAILURE_THRESHOLD,
    HEARTBEAT_TIMEOUT,
    ITEM_READER_FAILED,
    QUERY_EVALUATION_ERROR,
    RESULT_WRITER_FAILED,
    RUNTIME,
    TIMEOUT,
})


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a state failed. Both texts may be absent (a Fail state without them, SendTaskFailure without them).

    `heartbeat` tells a missed heartbeat from a time-out: AWS records both as `States.Timeout`, and a catcher
    of either name takes it (language notes, section 9). `location` is the field, and the place in it, of the
    expression that failed.
    """

    error: str | None = None
    cause: str | None = None
    heartbeat: bool = False
    location: str | None = None


def matches(names: Sequence[str], failure: Failure) -> bool:
    """Whether an `ErrorEquals` list takes the failure.

    `States.ALL` does not take `States.Runtime`, but does take `States.DataLimitExceeded` (recorded 2024-03, against
    the guide). `States.TaskFailed` takes whatever a task can fail with, but time-outs.
    """
    error = failure.error
    for name in names:
        if name == ALL:
            if error not in _NEVER_CAUGHT:
                return True
        elif name == TASK_FAILED:
            if error not in _NOT_A_TASK_FAILURE:
                return True
        elif name == error or (name == HEARTBEAT_TIMEOUT and failure.heartbeat):
            return True
    return False
