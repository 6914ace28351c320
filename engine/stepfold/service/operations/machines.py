"""Operations on state machines: create, update, describe, list, delete; and a definition looked over by itself."""

from __future__ import annotations

from typing import Any, Final

from anyio import to_thread

from stepfold.errors import CallerError, MissingRequiredParameter
from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR, Diagnostic
from stepfold.language.checking.references import variable_references
from stepfold.runtime.catalog import DELETING, MachineRow
from stepfold.runtime.machines.known import Alias, Version
from stepfold.runtime.machines.registry import THREAD_BYTES
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Operation, timestamp

from .configuration import (
    check_role,
    encryption,
    logging,
    told_encryption,
    told_logging,
    told_tracing,
)
from .paging import page
from .served import Served
from .tags import tags_of

DIAGNOSTICS: Final = 100
"""So many diagnostics are told where none, or 0, are asked for."""


async def create_state_machine(
    service: Served, request: shapes.CreateStateMachineInput
) -> shapes.CreateStateMachineOutput:
    """A new machine, and its first version where it is to be published; the same again is that machine."""
    publish = bool(request.publish)
    _check_description(request.versionDescription, publish)
    row = MachineRow(
        request.name,
        "",
        request.type or "STANDARD",
        check_role(request.roleArn),
        logging(request.loggingConfiguration),
        _traced(request.tracingConfiguration),
        encryption(request.encryptionConfiguration),
        published=publish,
        description=request.versionDescription,
    )
    known, version = await service.engine.registry.create(row, request.definition, tags_of(request.tags))
    return shapes.CreateStateMachineOutput(
        stateMachineArn=known.arn,
        creationDate=timestamp(known.created),
        stateMachineVersionArn=version.arn if version is not None else None,
    )


async def update_state_machine(
    service: Served, request: shapes.UpdateStateMachineInput
) -> shapes.UpdateStateMachineOutput:
    """Change a machine, publish it, or both; executions that run keep what they began with."""
    publish = bool(request.publish)
    _check_description(request.versionDescription, publish)
    changes: dict[str, Any] = {}
    if request.roleArn is not None:
        changes["role"] = check_role(request.roleArn)
    if request.loggingConfiguration is not None:
        changes["logging"] = logging(request.loggingConfiguration)
    if request.tracingConfiguration is not None:
        changes["tracing"] = _traced(request.tracingConfiguration)
    if request.encryptionConfiguration is not None:
        changes["encryption"] = encryption(request.encryptionConfiguration)
    if not changes and request.definition is None and not publish:
        raise MissingRequiredParameter(
            "Either the definition, the role ARN, the LoggingConfiguration, "
            "or the TracingConfiguration must be specified"
        )
    updated = await service.engine.registry.update(
        request.stateMachineArn, changes, request.definition, publish=publish, description=request.versionDescription
    )
    return shapes.UpdateStateMachineOutput(
        updateDate=timestamp(updated.at),
        revisionId=updated.revision,
        stateMachineVersionArn=updated.version.arn if updated.version is not None else None,
    )


async def describe_state_machine(
    service: Served, request: shapes.DescribeStateMachineInput
) -> shapes.DescribeStateMachineOutput:
    """A machine as it is, or as it was when the version was published that the ARN names."""
    registry = service.engine.registry
    known, part = await registry.find(request.stateMachineArn)
    if isinstance(part, Alias):  # of two versions neither is the alias: the machine is told
        part = None
    version = part if isinstance(part, Version) else None
    row = known.row if version is None else version.row.machine
    text = await registry.text(row.definition)
    told = request.includedData != "METADATA_ONLY"
    return shapes.DescribeStateMachineOutput(
        stateMachineArn=known.arn if version is None else version.arn,
        name=row.name,
        status=DELETING if known.deleting else "ACTIVE",  # type: ignore[arg-type]
        definition=text.decode() if told else "{}",
        roleArn=row.role,
        type=row.type,  # type: ignore[arg-type]
        creationDate=timestamp(known.created if version is None else version.created),
        loggingConfiguration=told_logging(row.logging),
        tracingConfiguration=told_tracing(row.tracing),
        revisionId=row.revision,
        description=version.row.description if version is not None else None,
        encryptionConfiguration=told_encryption(row.encryption),
        variableReferences=variable_references(text) or None if told else None,
    )


async def list_state_machines(
    service: Served, request: shapes.ListStateMachinesInput
) -> shapes.ListStateMachinesOutput:
    """The machines by name."""
    some, following = page(
        await service.engine.registry.all(),
        lambda known: known.row.name,
        request,
        scope="ListStateMachines",
        now=service.engine.clock.now(),
    )
    items = [
        shapes.StateMachineListItem(
            stateMachineArn=known.arn,
            name=known.row.name,
            type=known.row.type,  # type: ignore[arg-type]
            creationDate=timestamp(known.created),
        )
        for known in some
    ]
    return shapes.ListStateMachinesOutput(stateMachines=items, nextToken=following)


async def delete_state_machine(service: Served, request: shapes.DeleteStateMachineInput) -> None:
    """Delete a machine with its versions and aliases; it stays, DELETING, while executions of it run."""
    await service.engine.registry.delete(request.stateMachineArn)


async def validate_state_machine_definition(
    service: Served,  # noqa: ARG001  (a definition is judged by itself)
    request: shapes.ValidateStateMachineDefinitionInput,
) -> shapes.ValidateStateMachineDefinitionOutput:
    """What is wrong with a definition; warnings only where they are asked for."""

    def look() -> list[Diagnostic]:
        return check(request.definition, type=request.type or "STANDARD")

    found = look() if len(request.definition) <= THREAD_BYTES else await to_thread.run_sync(look)
    failed = any(one.severity == ERROR for one in found)
    if request.severity != "WARNING":
        found = [one for one in found if one.severity == ERROR]
    most = request.maxResults or DIAGNOSTICS
    told = [
        shapes.ValidateStateMachineDefinitionDiagnostic(
            severity=one.severity, code=one.code, message=one.message, location=one.location
        )
        for one in found[:most]
    ]
    return shapes.ValidateStateMachineDefinitionOutput(
        result="FAIL" if failed else "OK", diagnostics=told, truncated=len(found) > most
    )


def _check_description(description: str | None, publish: bool) -> None:
    if description is not None and not publish:
        raise CallerError("Version description can only be set when publish is true")


def _traced(said: shapes.TracingConfiguration | None) -> bool:
    return said is not None and bool(said.enabled)


OPERATIONS: Final[dict[str, Operation]] = {
    "CreateStateMachine": create_state_machine,
    "DeleteStateMachine": delete_state_machine,
    "DescribeStateMachine": describe_state_machine,
    "ListStateMachines": list_state_machines,
    "UpdateStateMachine": update_state_machine,
    "ValidateStateMachineDefinition": validate_state_machine_definition,
}
