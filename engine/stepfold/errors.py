"""What a caller can get wrong: one exception a mistake, each with the code that AWS uses for it.

Three kinds of error are never mixed in stepfold. A failure inside a workflow is a value
(`stepfold.language.failures.Failure`) that Retry and Catch may answer. A caller's mistake is one of
the exceptions below. A broken promise of the store is `Conflict`, `LeaseLost` or `StoreClosed`
(`stepfold_store.contract`).
"""

from __future__ import annotations


class CallerError(Exception):
    """A call that cannot be carried out as it was made; `code` is AWS's name for the mistake."""

    code = "ValidationException"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidDefinition(CallerError):
    """The definition is not a state machine; `diagnostics` lists all that is wrong with it."""

    code = "InvalidDefinition"

    def __init__(self, message: str, diagnostics: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class InvalidExecutionInput(CallerError):
    """The input of an execution is not JSON, too large, or too deep."""

    code = "InvalidExecutionInput"


class InvalidName(CallerError):
    """A machine or execution name that AWS would refuse."""

    code = "InvalidName"


class InvalidArn(CallerError):
    """A text that is no ARN of the kind asked for."""

    code = "InvalidArn"


class ExecutionAlreadyExists(CallerError):
    """The name is taken by an execution that has ended, or that was started with another input."""

    code = "ExecutionAlreadyExists"


class ExecutionDoesNotExist(CallerError):
    """No execution of that ARN or name is known to this store."""

    code = "ExecutionDoesNotExist"


class ExecutionNotRedrivable(CallerError):
    """The execution still runs, has succeeded, or ended too long ago; the message says which."""

    code = "ExecutionNotRedrivable"


class ExecutionLimitExceeded(CallerError):
    """More executions are open than this engine's limits allow."""

    code = "ExecutionLimitExceeded"


class StateMachineTypeNotSupported(CallerError):
    """The operation is not for machines of this type."""

    code = "StateMachineTypeNotSupported"


class StateMachineAlreadyExists(CallerError):
    """The name is taken by a machine with another definition."""

    code = "StateMachineAlreadyExists"


class StateMachineDoesNotExist(CallerError):
    """No machine of that ARN or name is known to this store."""

    code = "StateMachineDoesNotExist"


class ResourceNotFound(CallerError):
    """Nothing of that ARN is there to be tagged, or pointed to."""

    code = "ResourceNotFound"


class InvalidToken(CallerError):
    """A task token that this engine never gave out, or a page token that no list did."""

    code = "InvalidToken"


class TaskTimedOut(CallerError):
    """The task of this token is over: answered, timed out, or its execution has ended."""

    code = "TaskTimedOut"
