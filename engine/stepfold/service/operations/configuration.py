"""What a request says of a machine's logging, tracing, encryption and role: checked, as rows, and told back."""

from __future__ import annotations

import re
from typing import Final

from stepfold.errors import InvalidArn, InvalidEncryptionConfiguration, InvalidLoggingConfiguration
from stepfold.runtime.catalog import Encryption, Logging
from stepfold.service.wire.shapes import (
    CloudWatchLogsLogGroup,
    EncryptionConfiguration,
    LogDestination,
    LoggingConfiguration,
    TracingConfiguration,
)

OWNED: Final = "AWS_OWNED_KEY"
REUSE_SECONDS: Final = 300
"""How long a data key is used where a request names a key and no time (AWS)."""
_ROLE = re.compile(r"arn:[^:]+:iam::\d{12}:role/.+")
_GROUP = re.compile(r"arn:[^:]+:logs:[^:]*:[^:]*:log-group:[^:*]+:\*")


def check_role(arn: str) -> str:
    """The ARN itself; raises InvalidArn."""
    if not _ROLE.fullmatch(arn):
        raise InvalidArn(f"Invalid Role Arn: '{arn}'")
    return arn


def logging(said: LoggingConfiguration | None) -> Logging:
    """What a request says of logging. Raises InvalidLoggingConfiguration (texts recorded).

    Whether a log group is there is not asked: there is no CloudWatch here.
    """
    if said is None:
        return Logging()
    given, level = said.destinations, said.level or "OFF"
    if len(given or ()) > 1 or (level != "OFF" and not given):
        raise InvalidLoggingConfiguration("Invalid Logging Configuration: Must specify exactly one Log Destination.")
    groups = None if given is None else tuple(_group(one) for one in given)
    return Logging(level, bool(said.includeExecutionData), groups)


def _group(destination: LogDestination) -> str:
    group = destination.cloudWatchLogsLogGroup
    arn = group.logGroupArn if group is not None else None
    if arn is None or not _GROUP.fullmatch(arn):
        raise InvalidLoggingConfiguration("Invalid Logging Configuration: Log Destination not found.")
    return arn


def encryption(said: EncryptionConfiguration | None) -> Encryption:
    """What a request says of encryption. Raises InvalidEncryptionConfiguration."""
    if said is None:
        return Encryption()
    if said.type == OWNED:
        if said.kmsKeyId is not None or said.kmsDataKeyReusePeriodSeconds is not None:
            raise InvalidEncryptionConfiguration(
                f"Invalid Encryption Configuration: a KMS key cannot be given with the type {OWNED}"
            )
        return Encryption()
    if said.kmsKeyId is None:
        raise InvalidEncryptionConfiguration(
            f"Invalid Encryption Configuration: the type {said.type} needs a kmsKeyId"
        )
    return Encryption(said.type, said.kmsKeyId, said.kmsDataKeyReusePeriodSeconds or REUSE_SECONDS)


def told_logging(row: Logging) -> LoggingConfiguration:
    """Logging as it is told; its level and whether data go along are always said."""
    groups = None if row.destinations is None else [
        LogDestination(cloudWatchLogsLogGroup=CloudWatchLogsLogGroup(logGroupArn=arn)) for arn in row.destinations
    ]
    return LoggingConfiguration(level=row.level, includeExecutionData=row.data, destinations=groups)  # type: ignore[arg-type]


def told_tracing(enabled: bool) -> TracingConfiguration:
    """Tracing as it is told."""
    return TracingConfiguration(enabled=enabled)


def told_encryption(row: Encryption) -> EncryptionConfiguration:
    """Encryption as it is told."""
    return EncryptionConfiguration(
        type=row.type, kmsKeyId=row.key, kmsDataKeyReusePeriodSeconds=row.reuse,  # type: ignore[arg-type]
    )
