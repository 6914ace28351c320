"""Requests and answers of the AWS API, as botocore 1.44.5 describes them.

Written by tools/generate_shapes.py, never by hand. Fields are named as on the wire, and None is an absent field;
constraints stand where the model has them, and `extra` keeps what a message needs: `secret` values are never told back,
`pattern` is AWS's own spelling. Whole numbers without an upper bound got that of Java's, which the wire carries.
Annotations stay text until a decoder is asked for, so that importing this is cheap.
"""

# ruff: noqa: D101, N815  (AWS documents these classes, and named their fields)

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

_SECRET: Final = {"secret": True}

Timestamp = float
"""Seconds since the epoch; the wire carries milliseconds as their fraction."""


AliasDescription = Annotated[str, Meta(max_length=256, extra=_SECRET)]
Arn = Annotated[str, Meta(min_length=1, max_length=256)]
BilledDuration = Annotated[int, Meta(ge=0, le=9223372036854775807)]
BilledMemoryUsed = Annotated[int, Meta(ge=0, le=9223372036854775807)]
CharacterRestrictedName = Annotated[
    str,
    Meta(min_length=1, max_length=80, pattern=r"\A(?:^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$)\Z",
         extra={"pattern": r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$"}),
]
ClientToken = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A(?:[!-~]+)\Z", extra={"pattern": r"[!-~]+"})]
ConnectorParameters = Annotated[str, Meta(max_length=262144, extra=_SECRET)]
Definition = Annotated[str, Meta(min_length=1, max_length=1048576, extra=_SECRET)]
EncryptionType = Literal["AWS_OWNED_KEY", "CUSTOMER_MANAGED_KMS_KEY"]
EvaluationFailureLocation = Annotated[str, Meta(max_length=256, extra=_SECRET)]
ExceptionHandlerIndex = Annotated[int, Meta(ge=0, le=2147483647, extra=_SECRET)]
ExecutionRedriveFilter = Literal["REDRIVEN", "NOT_REDRIVEN"]
ExecutionRedriveStatus = Literal["REDRIVABLE", "NOT_REDRIVABLE", "REDRIVABLE_BY_MAP_RUN"]
ExecutionStatus = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"]
HistoryEventType = Literal[
    "ActivityFailed", "ActivityScheduled", "ActivityScheduleFailed", "ActivityStarted", "ActivitySucceeded",
    "ActivityTimedOut", "ChoiceStateEntered", "ChoiceStateExited", "ExecutionAborted", "ExecutionFailed",
    "ExecutionStarted", "ExecutionSucceeded", "ExecutionTimedOut", "FailStateEntered",
    "LambdaFunctionFailed", "LambdaFunctionScheduled", "LambdaFunctionScheduleFailed",
    "LambdaFunctionStarted", "LambdaFunctionStartFailed", "LambdaFunctionSucceeded",
    "LambdaFunctionTimedOut", "MapIterationAborted", "MapIterationFailed", "MapIterationStarted",
    "MapIterationSucceeded", "MapStateAborted", "MapStateEntered", "MapStateExited", "MapStateFailed",
    "MapStateStarted", "MapStateSucceeded", "ParallelStateAborted", "ParallelStateEntered",
    "ParallelStateExited", "ParallelStateFailed", "ParallelStateStarted", "ParallelStateSucceeded",
    "PassStateEntered", "PassStateExited", "SucceedStateEntered", "SucceedStateExited", "TaskFailed",
    "TaskScheduled", "TaskStarted", "TaskStartFailed", "TaskStateAborted", "TaskStateEntered",
    "TaskStateExited", "TaskSubmitFailed", "TaskSubmitted", "TaskSucceeded", "TaskTimedOut",
    "WaitStateAborted", "WaitStateEntered", "WaitStateExited", "MapRunAborted", "MapRunFailed",
    "MapRunStarted", "MapRunSucceeded", "ExecutionRedriven", "MapRunRedriven", "EvaluationFailed",
]
Identity = Annotated[str, Meta(max_length=256)]
IncludedData = Literal["ALL_DATA", "METADATA_ONLY"]
InspectionLevel = Literal["INFO", "DEBUG", "TRACE"]
InspectionMaxConcurrency = Annotated[int, Meta(ge=0, le=2147483647, extra=_SECRET)]
InspectionToleratedFailureCount = Annotated[int, Meta(ge=0, le=2147483647, extra=_SECRET)]
InspectionToleratedFailurePercentage = Annotated[float, Meta(ge=0, le=100, extra=_SECRET)]
KmsDataKeyReusePeriodSeconds = Annotated[int, Meta(ge=60, le=900)]
KmsKeyId = Annotated[str, Meta(min_length=1, max_length=2048)]
KmsKeyState = Literal["DISABLED", "PENDING_DELETION", "PENDING_IMPORT", "UNAVAILABLE", "CREATING"]
ListExecutionsPageToken = Annotated[str, Meta(min_length=1, max_length=3096)]
LogLevel = Literal["ALL", "ERROR", "FATAL", "OFF"]
LongArn = Annotated[str, Meta(min_length=1, max_length=2000)]
MapIterationFailureCount = Annotated[int, Meta(ge=0, le=2147483647)]
MapRunStatus = Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"]
MaxConcurrency = Annotated[int, Meta(ge=0, le=2147483647)]
MockResponseValidationMode = Literal["STRICT", "PRESENT", "NONE"]
Name = Annotated[str, Meta(min_length=1, max_length=80)]
PageSize = Annotated[int, Meta(ge=0, le=1000)]
PageToken = Annotated[str, Meta(min_length=1, max_length=1024)]
RetrierRetryCount = Annotated[int, Meta(ge=0, le=2147483647)]
RetryBackoffIntervalSeconds = Annotated[int, Meta(ge=0, le=2147483647, extra=_SECRET)]
SensitiveCause = Annotated[str, Meta(max_length=32768, extra=_SECRET)]
SensitiveData = Annotated[str, Meta(max_length=262144, extra=_SECRET)]
SensitiveDataJobInput = Annotated[str, Meta(max_length=1048576, extra=_SECRET)]
SensitiveError = Annotated[str, Meta(max_length=256, extra=_SECRET)]
StateMachineStatus = Literal["ACTIVE", "DELETING"]
StateMachineType = Literal["STANDARD", "EXPRESS"]
StateName = Annotated[str, Meta(min_length=1, max_length=80)]
SyncExecutionStatus = Literal["SUCCEEDED", "FAILED", "TIMED_OUT"]
TagKey = Annotated[str, Meta(min_length=1, max_length=128)]
TagValue = Annotated[str, Meta(max_length=256)]
TaskToken = Annotated[str, Meta(min_length=1, max_length=2048, extra=_SECRET)]
TestExecutionStatus = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]
TestStateStateName = Annotated[str, Meta(min_length=1, max_length=80, extra=_SECRET)]
ToleratedFailureCount = Annotated[int, Meta(ge=0, le=9223372036854775807)]
ToleratedFailurePercentage = Annotated[float, Meta(ge=0, le=100)]
TraceHeader = Annotated[str, Meta(max_length=256, pattern=r"\A(?:[\x00-\x7f]*)\Z", extra={"pattern": r"\p{ASCII}*"})]
UnsignedInteger = Annotated[int, Meta(ge=0, le=2147483647)]
UnsignedLong = Annotated[int, Meta(ge=0, le=9223372036854775807)]
ValidateStateMachineDefinitionMaxResult = Annotated[int, Meta(ge=0, le=100)]
ValidateStateMachineDefinitionResultCode = Literal["OK", "FAIL"]
ValidateStateMachineDefinitionSeverity = Literal["ERROR", "WARNING"]
ValidationExceptionReason = Literal[
    "API_DOES_NOT_SUPPORT_LABELED_ARNS", "MISSING_REQUIRED_PARAMETER", "CANNOT_UPDATE_COMPLETED_MAP_RUN",
    "INVALID_ROUTING_CONFIGURATION",
]
VersionDescription = Annotated[str, Meta(max_length=256, extra=_SECRET)]
VersionWeight = Annotated[int, Meta(ge=0, le=100)]

class Shape(Struct, omit_defaults=True):
    """Any structure of the API."""


class Contract(NamedTuple):
    """What an operation takes, what it answers, which errors it names, and whether repeating it is harmless."""

    input: type[Shape]
    output: type[Shape]
    errors: tuple[str, ...]
    idempotent: bool = False


class ActivityFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class ActivityListItem(Shape, kw_only=True):
    activityArn: Arn
    name: Name
    creationDate: Timestamp


class ActivityScheduleFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class ActivityScheduledEventDetails(Shape, kw_only=True):
    resource: Arn
    input: SensitiveData | None = None
    inputDetails: HistoryEventExecutionDataDetails | None = None
    timeoutInSeconds: int | None = None
    heartbeatInSeconds: int | None = None


class ActivityStartedEventDetails(Shape, kw_only=True):
    workerName: Identity | None = None


class ActivitySucceededEventDetails(Shape, kw_only=True):
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None


class ActivityTimedOutEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class AssignedVariablesDetails(Shape, kw_only=True):
    truncated: bool | None = None


class BillingDetails(Shape, kw_only=True):
    billedMemoryUsedInMB: BilledMemoryUsed | None = None
    billedDurationInMilliseconds: BilledDuration | None = None


class CloudWatchEventsExecutionDataDetails(Shape, kw_only=True):
    included: bool | None = None


class CloudWatchLogsLogGroup(Shape, kw_only=True):
    logGroupArn: Arn | None = None


class CreateActivityInput(Shape, kw_only=True):
    name: Name
    tags: list[Tag] | None = None
    encryptionConfiguration: EncryptionConfiguration | None = None


class CreateActivityOutput(Shape, kw_only=True):
    activityArn: Arn
    creationDate: Timestamp


class CreateStateMachineAliasInput(Shape, kw_only=True):
    description: AliasDescription | None = None
    name: CharacterRestrictedName
    routingConfiguration: Annotated[list[RoutingConfigurationListItem], Meta(min_length=1, max_length=2)]


class CreateStateMachineAliasOutput(Shape, kw_only=True):
    stateMachineAliasArn: Arn
    creationDate: Timestamp


class CreateStateMachineInput(Shape, kw_only=True):
    name: Name
    definition: Definition
    roleArn: Arn
    type: StateMachineType | None = None
    loggingConfiguration: LoggingConfiguration | None = None
    tags: list[Tag] | None = None
    tracingConfiguration: TracingConfiguration | None = None
    publish: bool | None = None
    versionDescription: VersionDescription | None = None
    encryptionConfiguration: EncryptionConfiguration | None = None


class CreateStateMachineOutput(Shape, kw_only=True):
    stateMachineArn: Arn
    creationDate: Timestamp
    stateMachineVersionArn: Arn | None = None


class DeleteActivityInput(Shape, kw_only=True):
    activityArn: Arn


class DeleteActivityOutput(Shape, kw_only=True):
    pass


class DeleteStateMachineAliasInput(Shape, kw_only=True):
    stateMachineAliasArn: Arn


class DeleteStateMachineAliasOutput(Shape, kw_only=True):
    pass


class DeleteStateMachineInput(Shape, kw_only=True):
    stateMachineArn: Arn


class DeleteStateMachineOutput(Shape, kw_only=True):
    pass


class DeleteStateMachineVersionInput(Shape, kw_only=True):
    stateMachineVersionArn: LongArn


class DeleteStateMachineVersionOutput(Shape, kw_only=True):
    pass


class DescribeActivityInput(Shape, kw_only=True):
    activityArn: Arn


class DescribeActivityOutput(Shape, kw_only=True):
    activityArn: Arn
    name: Name
    creationDate: Timestamp
    encryptionConfiguration: EncryptionConfiguration | None = None


class DescribeExecutionInput(Shape, kw_only=True):
    executionArn: Arn
    includedData: IncludedData | None = None


class DescribeExecutionOutput(Shape, kw_only=True):
    executionArn: Arn
    stateMachineArn: Arn
    name: Name | None = None
    status: ExecutionStatus
    startDate: Timestamp
    stopDate: Timestamp | None = None
    input: SensitiveData | None = None
    inputDetails: CloudWatchEventsExecutionDataDetails | None = None
    output: SensitiveData | None = None
    outputDetails: CloudWatchEventsExecutionDataDetails | None = None
    traceHeader: TraceHeader | None = None
    mapRunArn: LongArn | None = None
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None
    stateMachineVersionArn: Arn | None = None
    stateMachineAliasArn: Arn | None = None
    redriveCount: int | None = None
    redriveDate: Timestamp | None = None
    redriveStatus: ExecutionRedriveStatus | None = None
    redriveStatusReason: SensitiveData | None = None


class DescribeMapRunInput(Shape, kw_only=True):
    mapRunArn: LongArn


class DescribeMapRunOutput(Shape, kw_only=True):
    mapRunArn: LongArn
    executionArn: Arn
    status: MapRunStatus
    startDate: Timestamp
    stopDate: Timestamp | None = None
    maxConcurrency: MaxConcurrency
    toleratedFailurePercentage: ToleratedFailurePercentage
    toleratedFailureCount: ToleratedFailureCount
    itemCounts: MapRunItemCounts
    executionCounts: MapRunExecutionCounts
    redriveCount: int | None = None
    redriveDate: Timestamp | None = None


class DescribeStateMachineAliasInput(Shape, kw_only=True):
    stateMachineAliasArn: Arn


class DescribeStateMachineAliasOutput(Shape, kw_only=True):
    stateMachineAliasArn: Arn | None = None
    name: Name | None = None
    description: AliasDescription | None = None
    routingConfiguration: Annotated[list[RoutingConfigurationListItem], Meta(min_length=1, max_length=2)] | None = None
    creationDate: Timestamp | None = None
    updateDate: Timestamp | None = None


class DescribeStateMachineForExecutionInput(Shape, kw_only=True):
    executionArn: Arn
    includedData: IncludedData | None = None


class DescribeStateMachineForExecutionOutput(Shape, kw_only=True):
    stateMachineArn: Arn
    name: Name
    definition: Definition
    roleArn: Arn
    updateDate: Timestamp
    loggingConfiguration: LoggingConfiguration | None = None
    tracingConfiguration: TracingConfiguration | None = None
    mapRunArn: LongArn | None = None
    label: str | None = None
    revisionId: str | None = None
    encryptionConfiguration: EncryptionConfiguration | None = None
    variableReferences: dict[StateName, list[str]] | None = None


class DescribeStateMachineInput(Shape, kw_only=True):
    stateMachineArn: Arn
    includedData: IncludedData | None = None


class DescribeStateMachineOutput(Shape, kw_only=True):
    stateMachineArn: Arn
    name: Name
    status: StateMachineStatus | None = None
    definition: Definition
    roleArn: Arn
    type: StateMachineType
    creationDate: Timestamp
    loggingConfiguration: LoggingConfiguration | None = None
    tracingConfiguration: TracingConfiguration | None = None
    label: str | None = None
    revisionId: str | None = None
    description: VersionDescription | None = None
    encryptionConfiguration: EncryptionConfiguration | None = None
    variableReferences: dict[StateName, list[str]] | None = None


class EncryptionConfiguration(Shape, kw_only=True):
    kmsKeyId: KmsKeyId | None = None
    kmsDataKeyReusePeriodSeconds: KmsDataKeyReusePeriodSeconds | None = None
    type: EncryptionType


class EvaluationFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None
    location: EvaluationFailureLocation | None = None
    state: StateName


class ExecutionAbortedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class ExecutionFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class ExecutionListItem(Shape, kw_only=True):
    executionArn: Arn
    stateMachineArn: Arn
    name: Name
    status: ExecutionStatus
    startDate: Timestamp
    stopDate: Timestamp | None = None
    mapRunArn: LongArn | None = None
    itemCount: UnsignedInteger | None = None
    stateMachineVersionArn: Arn | None = None
    stateMachineAliasArn: Arn | None = None
    redriveCount: int | None = None
    redriveDate: Timestamp | None = None


class ExecutionRedrivenEventDetails(Shape, kw_only=True):
    redriveCount: int | None = None


class ExecutionStartedEventDetails(Shape, kw_only=True):
    input: SensitiveData | None = None
    inputDetails: HistoryEventExecutionDataDetails | None = None
    roleArn: Arn | None = None
    stateMachineAliasArn: Arn | None = None
    stateMachineVersionArn: Arn | None = None


class ExecutionSucceededEventDetails(Shape, kw_only=True):
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None


class ExecutionTimedOutEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class GetActivityTaskInput(Shape, kw_only=True):
    activityArn: Arn
    workerName: Name | None = None


class GetActivityTaskOutput(Shape, kw_only=True):
    taskToken: TaskToken | None = None
    input: SensitiveDataJobInput | None = None


class GetExecutionHistoryInput(Shape, kw_only=True):
    executionArn: Arn
    maxResults: PageSize | None = None
    reverseOrder: bool | None = None
    nextToken: PageToken | None = None
    includeExecutionData: bool | None = None


class GetExecutionHistoryOutput(Shape, kw_only=True):
    events: list[HistoryEvent]
    nextToken: PageToken | None = None


class HistoryEvent(Shape, kw_only=True):
    timestamp: Timestamp
    type: HistoryEventType
    id: int
    previousEventId: int | None = None
    activityFailedEventDetails: ActivityFailedEventDetails | None = None
    activityScheduleFailedEventDetails: ActivityScheduleFailedEventDetails | None = None
    activityScheduledEventDetails: ActivityScheduledEventDetails | None = None
    activityStartedEventDetails: ActivityStartedEventDetails | None = None
    activitySucceededEventDetails: ActivitySucceededEventDetails | None = None
    activityTimedOutEventDetails: ActivityTimedOutEventDetails | None = None
    taskFailedEventDetails: TaskFailedEventDetails | None = None
    taskScheduledEventDetails: TaskScheduledEventDetails | None = None
    taskStartFailedEventDetails: TaskStartFailedEventDetails | None = None
    taskStartedEventDetails: TaskStartedEventDetails | None = None
    taskSubmitFailedEventDetails: TaskSubmitFailedEventDetails | None = None
    taskSubmittedEventDetails: TaskSubmittedEventDetails | None = None
    taskSucceededEventDetails: TaskSucceededEventDetails | None = None
    taskTimedOutEventDetails: TaskTimedOutEventDetails | None = None
    executionFailedEventDetails: ExecutionFailedEventDetails | None = None
    executionStartedEventDetails: ExecutionStartedEventDetails | None = None
    executionSucceededEventDetails: ExecutionSucceededEventDetails | None = None
    executionAbortedEventDetails: ExecutionAbortedEventDetails | None = None
    executionTimedOutEventDetails: ExecutionTimedOutEventDetails | None = None
    executionRedrivenEventDetails: ExecutionRedrivenEventDetails | None = None
    mapStateStartedEventDetails: MapStateStartedEventDetails | None = None
    mapIterationStartedEventDetails: MapIterationEventDetails | None = None
    mapIterationSucceededEventDetails: MapIterationEventDetails | None = None
    mapIterationFailedEventDetails: MapIterationEventDetails | None = None
    mapIterationAbortedEventDetails: MapIterationEventDetails | None = None
    lambdaFunctionFailedEventDetails: LambdaFunctionFailedEventDetails | None = None
    lambdaFunctionScheduleFailedEventDetails: LambdaFunctionScheduleFailedEventDetails | None = None
    lambdaFunctionScheduledEventDetails: LambdaFunctionScheduledEventDetails | None = None
    lambdaFunctionStartFailedEventDetails: LambdaFunctionStartFailedEventDetails | None = None
    lambdaFunctionSucceededEventDetails: LambdaFunctionSucceededEventDetails | None = None
    lambdaFunctionTimedOutEventDetails: LambdaFunctionTimedOutEventDetails | None = None
    stateEnteredEventDetails: StateEnteredEventDetails | None = None
    stateExitedEventDetails: StateExitedEventDetails | None = None
    mapRunStartedEventDetails: MapRunStartedEventDetails | None = None
    mapRunFailedEventDetails: MapRunFailedEventDetails | None = None
    mapRunRedrivenEventDetails: MapRunRedrivenEventDetails | None = None
    evaluationFailedEventDetails: EvaluationFailedEventDetails | None = None


class HistoryEventExecutionDataDetails(Shape, kw_only=True):
    truncated: bool | None = None


class InspectionData(Shape, kw_only=True):
    input: SensitiveData | None = None
    afterArguments: SensitiveData | None = None
    afterInputPath: SensitiveData | None = None
    afterParameters: SensitiveData | None = None
    result: SensitiveData | None = None
    afterResultSelector: SensitiveData | None = None
    afterResultPath: SensitiveData | None = None
    request: InspectionDataRequest | None = None
    response: InspectionDataResponse | None = None
    variables: SensitiveData | None = None
    errorDetails: InspectionErrorDetails | None = None
    afterItemsPath: SensitiveData | None = None
    afterItemSelector: SensitiveData | None = None
    afterItemBatcher: SensitiveData | None = None
    afterItemsPointer: SensitiveData | None = None
    toleratedFailureCount: InspectionToleratedFailureCount | None = None
    toleratedFailurePercentage: InspectionToleratedFailurePercentage | None = None
    maxConcurrency: InspectionMaxConcurrency | None = None


class InspectionDataRequest(Shape, kw_only=True):
    protocol: str | None = None
    method: str | None = None
    url: str | None = None
    headers: str | None = None
    body: str | None = None


class InspectionDataResponse(Shape, kw_only=True):
    protocol: str | None = None
    statusCode: str | None = None
    statusMessage: str | None = None
    headers: str | None = None
    body: str | None = None


class InspectionErrorDetails(Shape, kw_only=True):
    catchIndex: ExceptionHandlerIndex | None = None
    retryIndex: ExceptionHandlerIndex | None = None
    retryBackoffIntervalSeconds: RetryBackoffIntervalSeconds | None = None


class LambdaFunctionFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class LambdaFunctionScheduleFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class LambdaFunctionScheduledEventDetails(Shape, kw_only=True):
    resource: Arn
    input: SensitiveData | None = None
    inputDetails: HistoryEventExecutionDataDetails | None = None
    timeoutInSeconds: int | None = None
    taskCredentials: TaskCredentials | None = None


class LambdaFunctionStartFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class LambdaFunctionSucceededEventDetails(Shape, kw_only=True):
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None


class LambdaFunctionTimedOutEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class ListActivitiesInput(Shape, kw_only=True):
    maxResults: PageSize | None = None
    nextToken: PageToken | None = None


class ListActivitiesOutput(Shape, kw_only=True):
    activities: list[ActivityListItem]
    nextToken: PageToken | None = None


class ListExecutionsInput(Shape, kw_only=True):
    stateMachineArn: Arn | None = None
    statusFilter: ExecutionStatus | None = None
    maxResults: PageSize | None = None
    nextToken: ListExecutionsPageToken | None = None
    mapRunArn: LongArn | None = None
    redriveFilter: ExecutionRedriveFilter | None = None


class ListExecutionsOutput(Shape, kw_only=True):
    executions: list[ExecutionListItem]
    nextToken: ListExecutionsPageToken | None = None


class ListMapRunsInput(Shape, kw_only=True):
    executionArn: Arn
    maxResults: PageSize | None = None
    nextToken: PageToken | None = None


class ListMapRunsOutput(Shape, kw_only=True):
    mapRuns: list[MapRunListItem]
    nextToken: PageToken | None = None


class ListStateMachineAliasesInput(Shape, kw_only=True):
    stateMachineArn: Arn
    nextToken: PageToken | None = None
    maxResults: PageSize | None = None


class ListStateMachineAliasesOutput(Shape, kw_only=True):
    stateMachineAliases: list[StateMachineAliasListItem]
    nextToken: PageToken | None = None


class ListStateMachineVersionsInput(Shape, kw_only=True):
    stateMachineArn: Arn
    nextToken: PageToken | None = None
    maxResults: PageSize | None = None


class ListStateMachineVersionsOutput(Shape, kw_only=True):
    stateMachineVersions: list[StateMachineVersionListItem]
    nextToken: PageToken | None = None


class ListStateMachinesInput(Shape, kw_only=True):
    maxResults: PageSize | None = None
    nextToken: PageToken | None = None


class ListStateMachinesOutput(Shape, kw_only=True):
    stateMachines: list[StateMachineListItem]
    nextToken: PageToken | None = None


class ListTagsForResourceInput(Shape, kw_only=True):
    resourceArn: Arn


class ListTagsForResourceOutput(Shape, kw_only=True):
    tags: list[Tag] | None = None


class LogDestination(Shape, kw_only=True):
    cloudWatchLogsLogGroup: CloudWatchLogsLogGroup | None = None


class LoggingConfiguration(Shape, kw_only=True):
    level: LogLevel | None = None
    includeExecutionData: bool | None = None
    destinations: list[LogDestination] | None = None


class MapIterationEventDetails(Shape, kw_only=True):
    name: Name | None = None
    index: UnsignedInteger | None = None


class MapRunExecutionCounts(Shape, kw_only=True):
    pending: UnsignedLong
    running: UnsignedLong
    succeeded: UnsignedLong
    failed: UnsignedLong
    timedOut: UnsignedLong
    aborted: UnsignedLong
    total: UnsignedLong
    resultsWritten: UnsignedLong
    failuresNotRedrivable: int | None = None
    pendingRedrive: int | None = None


class MapRunFailedEventDetails(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class MapRunItemCounts(Shape, kw_only=True):
    pending: UnsignedLong
    running: UnsignedLong
    succeeded: UnsignedLong
    failed: UnsignedLong
    timedOut: UnsignedLong
    aborted: UnsignedLong
    total: UnsignedLong
    resultsWritten: UnsignedLong
    failuresNotRedrivable: int | None = None
    pendingRedrive: int | None = None


class MapRunListItem(Shape, kw_only=True):
    executionArn: Arn
    mapRunArn: LongArn
    stateMachineArn: Arn
    startDate: Timestamp
    stopDate: Timestamp | None = None


class MapRunRedrivenEventDetails(Shape, kw_only=True):
    mapRunArn: LongArn | None = None
    redriveCount: int | None = None


class MapRunStartedEventDetails(Shape, kw_only=True):
    mapRunArn: LongArn | None = None


class MapStateStartedEventDetails(Shape, kw_only=True):
    length: UnsignedInteger | None = None


class MockErrorOutput(Shape, kw_only=True):
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class MockInput(Shape, kw_only=True):
    result: SensitiveData | None = None
    errorOutput: MockErrorOutput | None = None
    fieldValidationMode: MockResponseValidationMode | None = None


class PublishStateMachineVersionInput(Shape, kw_only=True):
    stateMachineArn: Arn
    revisionId: str | None = None
    description: VersionDescription | None = None


class PublishStateMachineVersionOutput(Shape, kw_only=True):
    creationDate: Timestamp
    stateMachineVersionArn: Arn


class RedriveExecutionInput(Shape, kw_only=True):
    executionArn: Arn
    clientToken: ClientToken | None = None


class RedriveExecutionOutput(Shape, kw_only=True):
    redriveDate: Timestamp


class RoutingConfigurationListItem(Shape, kw_only=True):
    stateMachineVersionArn: Arn
    weight: VersionWeight


class SendTaskFailureInput(Shape, kw_only=True):
    taskToken: TaskToken
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class SendTaskFailureOutput(Shape, kw_only=True):
    pass


class SendTaskHeartbeatInput(Shape, kw_only=True):
    taskToken: TaskToken


class SendTaskHeartbeatOutput(Shape, kw_only=True):
    pass


class SendTaskSuccessInput(Shape, kw_only=True):
    taskToken: TaskToken
    output: SensitiveData


class SendTaskSuccessOutput(Shape, kw_only=True):
    pass


class StartExecutionInput(Shape, kw_only=True):
    stateMachineArn: Arn
    name: Name | None = None
    input: SensitiveData | None = None
    traceHeader: TraceHeader | None = None


class StartExecutionOutput(Shape, kw_only=True):
    executionArn: Arn
    startDate: Timestamp


class StartSyncExecutionInput(Shape, kw_only=True):
    stateMachineArn: Arn
    name: Name | None = None
    input: SensitiveData | None = None
    traceHeader: TraceHeader | None = None
    includedData: IncludedData | None = None


class StartSyncExecutionOutput(Shape, kw_only=True):
    executionArn: Arn
    stateMachineArn: Arn | None = None
    name: Name | None = None
    startDate: Timestamp
    stopDate: Timestamp
    status: SyncExecutionStatus
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None
    input: SensitiveData | None = None
    inputDetails: CloudWatchEventsExecutionDataDetails | None = None
    output: SensitiveData | None = None
    outputDetails: CloudWatchEventsExecutionDataDetails | None = None
    traceHeader: TraceHeader | None = None
    billingDetails: BillingDetails | None = None


class StateEnteredEventDetails(Shape, kw_only=True):
    name: Name
    input: SensitiveData | None = None
    inputDetails: HistoryEventExecutionDataDetails | None = None


class StateExitedEventDetails(Shape, kw_only=True):
    name: Name
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None
    assignedVariables: dict[str, str] | None = None
    assignedVariablesDetails: AssignedVariablesDetails | None = None


class StateMachineAliasListItem(Shape, kw_only=True):
    stateMachineAliasArn: LongArn
    creationDate: Timestamp


class StateMachineListItem(Shape, kw_only=True):
    stateMachineArn: Arn
    name: Name
    type: StateMachineType
    creationDate: Timestamp


class StateMachineVersionListItem(Shape, kw_only=True):
    stateMachineVersionArn: LongArn
    creationDate: Timestamp


class StopExecutionInput(Shape, kw_only=True):
    executionArn: Arn
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class StopExecutionOutput(Shape, kw_only=True):
    stopDate: Timestamp


class Tag(Shape, kw_only=True):
    key: TagKey | None = None
    value: TagValue | None = None


class TagResourceInput(Shape, kw_only=True):
    resourceArn: Arn
    tags: list[Tag]


class TagResourceOutput(Shape, kw_only=True):
    pass


class TaskCredentials(Shape, kw_only=True):
    roleArn: LongArn | None = None


class TaskFailedEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class TaskScheduledEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    region: Name
    parameters: ConnectorParameters
    timeoutInSeconds: int | None = None
    heartbeatInSeconds: int | None = None
    taskCredentials: TaskCredentials | None = None


class TaskStartFailedEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class TaskStartedEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name


class TaskSubmitFailedEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class TaskSubmittedEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None


class TaskSucceededEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    output: SensitiveData | None = None
    outputDetails: HistoryEventExecutionDataDetails | None = None


class TaskTimedOutEventDetails(Shape, kw_only=True):
    resourceType: Name
    resource: Name
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None


class TestStateConfiguration(Shape, kw_only=True):
    retrierRetryCount: RetrierRetryCount | None = None
    errorCausedByState: TestStateStateName | None = None
    mapIterationFailureCount: MapIterationFailureCount | None = None
    mapItemReaderData: SensitiveData | None = None


class TestStateInput(Shape, kw_only=True):
    definition: Definition
    roleArn: Arn | None = None
    input: SensitiveData | None = None
    inspectionLevel: InspectionLevel | None = None
    revealSecrets: bool | None = None
    variables: SensitiveData | None = None
    stateName: TestStateStateName | None = None
    mock: MockInput | None = None
    context: SensitiveData | None = None
    stateConfiguration: TestStateConfiguration | None = None


class TestStateOutput(Shape, kw_only=True):
    output: SensitiveData | None = None
    error: SensitiveError | None = None
    cause: SensitiveCause | None = None
    inspectionData: InspectionData | None = None
    nextState: StateName | None = None
    status: TestExecutionStatus | None = None


class TracingConfiguration(Shape, kw_only=True):
    enabled: bool | None = None


class UntagResourceInput(Shape, kw_only=True):
    resourceArn: Arn
    tagKeys: list[TagKey]


class UntagResourceOutput(Shape, kw_only=True):
    pass


class UpdateMapRunInput(Shape, kw_only=True):
    mapRunArn: LongArn
    maxConcurrency: MaxConcurrency | None = None
    toleratedFailurePercentage: ToleratedFailurePercentage | None = None
    toleratedFailureCount: ToleratedFailureCount | None = None


class UpdateMapRunOutput(Shape, kw_only=True):
    pass


class UpdateStateMachineAliasInput(Shape, kw_only=True):
    stateMachineAliasArn: Arn
    description: AliasDescription | None = None
    routingConfiguration: Annotated[list[RoutingConfigurationListItem], Meta(min_length=1, max_length=2)] | None = None


class UpdateStateMachineAliasOutput(Shape, kw_only=True):
    updateDate: Timestamp


class UpdateStateMachineInput(Shape, kw_only=True):
    stateMachineArn: Arn
    definition: Definition | None = None
    roleArn: Arn | None = None
    loggingConfiguration: LoggingConfiguration | None = None
    tracingConfiguration: TracingConfiguration | None = None
    publish: bool | None = None
    versionDescription: VersionDescription | None = None
    encryptionConfiguration: EncryptionConfiguration | None = None


class UpdateStateMachineOutput(Shape, kw_only=True):
    updateDate: Timestamp
    revisionId: str | None = None
    stateMachineVersionArn: Arn | None = None


class ValidateStateMachineDefinitionDiagnostic(Shape, kw_only=True):
    severity: ValidateStateMachineDefinitionSeverity
    code: str
    message: str
    location: str | None = None


class ValidateStateMachineDefinitionInput(Shape, kw_only=True):
    definition: Definition
    type: StateMachineType | None = None
    severity: ValidateStateMachineDefinitionSeverity | None = None
    maxResults: ValidateStateMachineDefinitionMaxResult | None = None


class ValidateStateMachineDefinitionOutput(Shape, kw_only=True):
    result: ValidateStateMachineDefinitionResultCode
    diagnostics: list[ValidateStateMachineDefinitionDiagnostic]
    truncated: bool | None = None


OPERATIONS: Final[dict[str, Contract]] = {
    "CreateActivity": Contract(
        CreateActivityInput,
        CreateActivityOutput,
        (
            "ActivityLimitExceeded", "ActivityAlreadyExists", "InvalidName", "TooManyTags",
            "InvalidEncryptionConfiguration", "KmsAccessDeniedException", "KmsThrottlingException",
        ),
        idempotent=True,
    ),
    "CreateStateMachine": Contract(
        CreateStateMachineInput,
        CreateStateMachineOutput,
        (
            "InvalidArn", "InvalidDefinition", "InvalidName", "InvalidLoggingConfiguration",
            "InvalidTracingConfiguration", "StateMachineAlreadyExists", "StateMachineDeleting",
            "StateMachineLimitExceeded", "StateMachineTypeNotSupported", "TooManyTags", "ValidationException",
            "ConflictException", "InvalidEncryptionConfiguration", "KmsAccessDeniedException",
            "KmsThrottlingException",
        ),
        idempotent=True,
    ),
    "CreateStateMachineAlias": Contract(
        CreateStateMachineAliasInput,
        CreateStateMachineAliasOutput,
        (
            "InvalidArn", "InvalidName", "ValidationException", "StateMachineDeleting", "ResourceNotFound",
            "ConflictException", "ServiceQuotaExceededException",
        ),
    ),
    "DeleteActivity": Contract(DeleteActivityInput, DeleteActivityOutput, ("InvalidArn",)),
    "DeleteStateMachine": Contract(
        DeleteStateMachineInput,
        DeleteStateMachineOutput,
        ("InvalidArn", "ValidationException"),
    ),
    "DeleteStateMachineAlias": Contract(
        DeleteStateMachineAliasInput,
        DeleteStateMachineAliasOutput,
        ("ValidationException", "InvalidArn", "ResourceNotFound", "ConflictException"),
    ),
    "DeleteStateMachineVersion": Contract(
        DeleteStateMachineVersionInput,
        DeleteStateMachineVersionOutput,
        ("ValidationException", "InvalidArn", "ConflictException"),
    ),
    "DescribeActivity": Contract(DescribeActivityInput, DescribeActivityOutput, ("ActivityDoesNotExist", "InvalidArn")),
    "DescribeExecution": Contract(
        DescribeExecutionInput,
        DescribeExecutionOutput,
        (
            "ExecutionDoesNotExist", "InvalidArn", "KmsAccessDeniedException", "KmsInvalidStateException",
            "KmsThrottlingException",
        ),
    ),
    "DescribeMapRun": Contract(DescribeMapRunInput, DescribeMapRunOutput, ("ResourceNotFound", "InvalidArn")),
    "DescribeStateMachine": Contract(
        DescribeStateMachineInput,
        DescribeStateMachineOutput,
        (
            "InvalidArn", "StateMachineDoesNotExist", "KmsAccessDeniedException", "KmsInvalidStateException",
            "KmsThrottlingException",
        ),
    ),
    "DescribeStateMachineAlias": Contract(
        DescribeStateMachineAliasInput,
        DescribeStateMachineAliasOutput,
        ("ValidationException", "InvalidArn", "ResourceNotFound"),
    ),
    "DescribeStateMachineForExecution": Contract(
        DescribeStateMachineForExecutionInput,
        DescribeStateMachineForExecutionOutput,
        (
            "ExecutionDoesNotExist", "InvalidArn", "KmsAccessDeniedException", "KmsInvalidStateException",
            "KmsThrottlingException",
        ),
    ),
    "GetActivityTask": Contract(
        GetActivityTaskInput,
        GetActivityTaskOutput,
        (
            "ActivityDoesNotExist", "ActivityWorkerLimitExceeded", "InvalidArn", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "GetExecutionHistory": Contract(
        GetExecutionHistoryInput,
        GetExecutionHistoryOutput,
        (
            "ExecutionDoesNotExist", "InvalidArn", "InvalidToken", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "ListActivities": Contract(ListActivitiesInput, ListActivitiesOutput, ("InvalidToken",)),
    "ListExecutions": Contract(
        ListExecutionsInput,
        ListExecutionsOutput,
        (
            "InvalidArn", "InvalidToken", "StateMachineDoesNotExist", "StateMachineTypeNotSupported",
            "ValidationException", "ResourceNotFound",
        ),
    ),
    "ListMapRuns": Contract(
        ListMapRunsInput,
        ListMapRunsOutput,
        ("ExecutionDoesNotExist", "InvalidArn", "InvalidToken"),
    ),
    "ListStateMachineAliases": Contract(
        ListStateMachineAliasesInput,
        ListStateMachineAliasesOutput,
        ("InvalidArn", "InvalidToken", "ResourceNotFound", "StateMachineDoesNotExist", "StateMachineDeleting"),
    ),
    "ListStateMachineVersions": Contract(
        ListStateMachineVersionsInput,
        ListStateMachineVersionsOutput,
        ("ValidationException", "InvalidArn", "InvalidToken"),
    ),
    "ListStateMachines": Contract(ListStateMachinesInput, ListStateMachinesOutput, ("InvalidToken",)),
    "ListTagsForResource": Contract(
        ListTagsForResourceInput,
        ListTagsForResourceOutput,
        ("InvalidArn", "ResourceNotFound"),
    ),
    "PublishStateMachineVersion": Contract(
        PublishStateMachineVersionInput,
        PublishStateMachineVersionOutput,
        (
            "ValidationException", "StateMachineDeleting", "StateMachineDoesNotExist",
            "ServiceQuotaExceededException", "ConflictException", "InvalidArn",
        ),
        idempotent=True,
    ),
    "RedriveExecution": Contract(
        RedriveExecutionInput,
        RedriveExecutionOutput,
        (
            "ExecutionDoesNotExist", "ExecutionNotRedrivable", "ExecutionLimitExceeded", "InvalidArn",
            "ValidationException",
        ),
        idempotent=True,
    ),
    "SendTaskFailure": Contract(
        SendTaskFailureInput,
        SendTaskFailureOutput,
        (
            "TaskDoesNotExist", "InvalidToken", "TaskTimedOut", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "SendTaskHeartbeat": Contract(
        SendTaskHeartbeatInput,
        SendTaskHeartbeatOutput,
        ("TaskDoesNotExist", "InvalidToken", "TaskTimedOut"),
    ),
    "SendTaskSuccess": Contract(
        SendTaskSuccessInput,
        SendTaskSuccessOutput,
        (
            "TaskDoesNotExist", "InvalidOutput", "InvalidToken", "TaskTimedOut", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "StartExecution": Contract(
        StartExecutionInput,
        StartExecutionOutput,
        (
            "ExecutionLimitExceeded", "ExecutionAlreadyExists", "InvalidArn", "InvalidExecutionInput",
            "InvalidName", "StateMachineDoesNotExist", "StateMachineDeleting", "ValidationException",
            "KmsAccessDeniedException", "KmsInvalidStateException", "KmsThrottlingException",
        ),
        idempotent=True,
    ),
    "StartSyncExecution": Contract(
        StartSyncExecutionInput,
        StartSyncExecutionOutput,
        (
            "InvalidArn", "InvalidExecutionInput", "InvalidName", "StateMachineDoesNotExist",
            "StateMachineDeleting", "StateMachineTypeNotSupported", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "StopExecution": Contract(
        StopExecutionInput,
        StopExecutionOutput,
        (
            "ExecutionDoesNotExist", "InvalidArn", "ValidationException", "KmsAccessDeniedException",
            "KmsInvalidStateException", "KmsThrottlingException",
        ),
    ),
    "TagResource": Contract(TagResourceInput, TagResourceOutput, ("InvalidArn", "ResourceNotFound", "TooManyTags")),
    "TestState": Contract(
        TestStateInput,
        TestStateOutput,
        ("InvalidArn", "InvalidDefinition", "InvalidExecutionInput", "ValidationException"),
    ),
    "UntagResource": Contract(UntagResourceInput, UntagResourceOutput, ("InvalidArn", "ResourceNotFound")),
    "UpdateMapRun": Contract(
        UpdateMapRunInput,
        UpdateMapRunOutput,
        ("ResourceNotFound", "InvalidArn", "ValidationException"),
    ),
    "UpdateStateMachine": Contract(
        UpdateStateMachineInput,
        UpdateStateMachineOutput,
        (
            "InvalidArn", "InvalidDefinition", "InvalidLoggingConfiguration", "InvalidTracingConfiguration",
            "MissingRequiredParameter", "StateMachineDeleting", "StateMachineDoesNotExist",
            "ServiceQuotaExceededException", "ConflictException", "ValidationException",
            "InvalidEncryptionConfiguration", "KmsAccessDeniedException", "KmsThrottlingException",
        ),
        idempotent=True,
    ),
    "UpdateStateMachineAlias": Contract(
        UpdateStateMachineAliasInput,
        UpdateStateMachineAliasOutput,
        ("ValidationException", "InvalidArn", "ResourceNotFound", "ConflictException", "StateMachineDeleting"),
    ),
    "ValidateStateMachineDefinition": Contract(
        ValidateStateMachineDefinitionInput,
        ValidateStateMachineDefinitionOutput,
        ("ValidationException",),
    ),
}
