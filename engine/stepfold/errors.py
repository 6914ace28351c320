"""What a caller can get wrong: one exception a mistake, each with the code that AWS uses for it.

Three kinds of error are never mixed in stepfold. A failure inside a workflow is a value
(`stepfold.language.failures.Failure`) that Retry and Catch may answer. A caller's mistake is one of
the exceptions below. A broken promise of the store is `Conflict`, `LeaseLost` or `StoreClosed`
(`stepfold_store.contract`).
"""

from __future__ import annotations


class CallerError(Exception):
    """A call that cannot be carried out as it was made; `code` is AWS's name for the mistake.

    `members` is what AWS tells beside the message, such as the `reason` of a ValidationException.
    """

    code = "ValidationException"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.members = {} if reason is None else {"reason": reason}


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


class ExecutionSetAside(CallerError):
    """The execution was set aside, damaged or poisonous, and does not go on until it is tried again."""

    code = "ExecutionSetAside"


class ExecutionLimitExceeded(CallerError):
    """More executions are open than this engine's limits allow."""

    code = "ExecutionLimitExceeded"


class Throttled(CallerError):
    """More is asked for than can be written: come again in a moment (AWS's SDKs do that by themselves)."""

    code = "ThrottlingException"


class StateMachineTypeNotSupported(CallerError):
    """The operation is not for machines of this type."""

    code = "StateMachineTypeNotSupported"


class StateMachineAlreadyExists(CallerError):
    """The name is taken by a machine with another definition."""

    code = "StateMachineAlreadyExists"


class StateMachineDoesNotExist(CallerError):
    """No machine of that ARN or name is known to this store."""

    code = "StateMachineDoesNotExist"


class StateMachineDeleting(CallerError):
    """The machine is on its way out: it goes when its executions have ended."""

    code = "StateMachineDeleting"


class StateMachineLimitExceeded(CallerError):
    """There are as many machines as AWS lets one account have."""

    code = "StateMachineLimitExceeded"


class ActivityLimitExceeded(CallerError):
    """There are as many activities as AWS lets one account have."""

    code = "ActivityLimitExceeded"


class ServiceQuotaExceeded(CallerError):
    """The machine has as many versions or aliases as AWS lets it have."""

    code = "ServiceQuotaExceededException"


class Conflicting(CallerError):
    """What is asked for goes against what is there: another revision, another alias of that name, an alias in use."""

    code = "ConflictException"


class ResourceNotFound(CallerError):
    """Nothing of that ARN is there to be tagged, or pointed to."""

    code = "ResourceNotFound"


class TooManyTags(CallerError):
    """More tags than a resource may carry."""

    code = "TooManyTags"


class MissingRequiredParameter(CallerError):
    """A call that names nothing to change."""

    code = "MissingRequiredParameter"


class InvalidLoggingConfiguration(CallerError):
    """A machine's logging that AWS would refuse."""

    code = "InvalidLoggingConfiguration"


class InvalidEncryptionConfiguration(CallerError):
    """A machine's encryption that AWS would refuse."""

    code = "InvalidEncryptionConfiguration"


class InvalidToken(CallerError):
    """A task token that this engine never gave out, or a page token that no list did."""

    code = "InvalidToken"


class InvalidOutput(CallerError):
    """The output of a task is not JSON, too large, or too deep."""

    code = "InvalidOutput"


class ActivityDoesNotExist(CallerError):
    """No activity of that ARN is known to this store."""

    code = "ActivityDoesNotExist"


class ActivityWorkerLimitExceeded(CallerError):
    """More workers poll for one activity than AWS lets."""

    code = "ActivityWorkerLimitExceeded"


class TaskTimedOut(CallerError):
    """The task of this token is over: answered, timed out, or its execution has ended."""

    code = "TaskTimedOut"
