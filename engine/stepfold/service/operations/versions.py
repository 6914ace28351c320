"""Operations on the versions of machines, and on the aliases that point to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stepfold import names
from stepfold.errors import StateMachineDoesNotExist
from stepfold.runtime.machines.known import Alias, Version
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Operation, timestamp

from .paging import page
from .served import Served


async def publish_state_machine_version(
    service: Served, request: shapes.PublishStateMachineVersionInput
) -> shapes.PublishStateMachineVersionOutput:
    """The machine as it is, under the next number; or the version that its revision has already."""
    registry = service.engine.registry
    version = await registry.versions.publish(request.stateMachineArn, request.revisionId, request.description)
    return shapes.PublishStateMachineVersionOutput(
        creationDate=timestamp(version.created), stateMachineVersionArn=version.arn
    )


async def list_state_machine_versions(
    service: Served, request: shapes.ListStateMachineVersionsInput
) -> shapes.ListStateMachineVersionsOutput:
    """A machine's versions, newest first; the model has no error for a machine that is not there."""
    registry = service.engine.registry
    known = registry.peek(names.machine_arn(request.stateMachineArn).arn)
    some, following = page(
        registry.versions.newest_first(known) if known is not None else (),
        lambda version: -version.row.number,
        request,
        scope=f"ListStateMachineVersions {request.stateMachineArn}",
        now=service.engine.clock.now(),
    )
    items = [
        shapes.StateMachineVersionListItem(
            stateMachineVersionArn=version.arn, creationDate=timestamp(version.created)
        )
        for version in some
    ]
    return shapes.ListStateMachineVersionsOutput(stateMachineVersions=items, nextToken=following)


async def delete_state_machine_version(
    service: Served, request: shapes.DeleteStateMachineVersionInput
) -> None:
    """Delete a version that no alias refers to; its number is not given again."""
    await service.engine.registry.versions.delete(request.stateMachineVersionArn)


async def create_state_machine_alias(
    service: Served, request: shapes.CreateStateMachineAliasInput
) -> shapes.CreateStateMachineAliasOutput:
    """A new alias; the same again is that alias."""
    routing = _routing(request.routingConfiguration)
    alias = await service.engine.registry.aliases.create(request.name, routing, request.description)
    return shapes.CreateStateMachineAliasOutput(
        stateMachineAliasArn=alias.arn, creationDate=timestamp(alias.created)
    )


async def update_state_machine_alias(
    service: Served, request: shapes.UpdateStateMachineAliasInput
) -> shapes.UpdateStateMachineAliasOutput:
    """Change what an alias points to, or says of itself; what is not given stays."""
    routing = None if request.routingConfiguration is None else _routing(request.routingConfiguration)
    alias = await service.engine.registry.aliases.update(request.stateMachineAliasArn, routing, request.description)
    return shapes.UpdateStateMachineAliasOutput(updateDate=_updated(alias))


async def describe_state_machine_alias(
    service: Served, request: shapes.DescribeStateMachineAliasInput
) -> shapes.DescribeStateMachineAliasOutput:
    """An alias as it is."""
    known, alias = service.engine.registry.aliases.find(request.stateMachineAliasArn)
    routing = [
        shapes.RoutingConfigurationListItem(
            stateMachineVersionArn=known.versions[route.version].arn, weight=route.weight
        )
        for route in alias.row.routes
    ]
    return shapes.DescribeStateMachineAliasOutput(
        stateMachineAliasArn=alias.arn,
        name=alias.row.name,
        description=alias.row.description,
        routingConfiguration=routing,
        creationDate=timestamp(alias.created),
        updateDate=_updated(alias),
    )


async def list_state_machine_aliases(
    service: Served, request: shapes.ListStateMachineAliasesInput
) -> shapes.ListStateMachineAliasesOutput:
    """A machine's aliases, or those of one of its versions, oldest first (as recorded; the guide says otherwise)."""
    registry = service.engine.registry
    known, part = await registry.find(request.stateMachineArn)
    if isinstance(part, Alias):
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{request.stateMachineArn}'")
    some, following = page(
        registry.aliases.oldest_first(known, part if isinstance(part, Version) else None),
        lambda alias: [alias.created, alias.row.name],
        request,
        scope=f"ListStateMachineAliases {request.stateMachineArn}",
        now=service.engine.clock.now(),
    )
    items = [
        shapes.StateMachineAliasListItem(stateMachineAliasArn=alias.arn, creationDate=timestamp(alias.created))
        for alias in some
    ]
    return shapes.ListStateMachineAliasesOutput(stateMachineAliases=items, nextToken=following)


async def delete_state_machine_alias(service: Served, request: shapes.DeleteStateMachineAliasInput) -> None:
    """Delete an alias; what was started through it goes on."""
    await service.engine.registry.aliases.delete(request.stateMachineAliasArn)


def _routing(said: Sequence[shapes.RoutingConfigurationListItem]) -> list[tuple[str, int]]:
    return [(route.stateMachineVersionArn, route.weight) for route in said]


def _updated(alias: Alias) -> float:
    return timestamp(alias.row.updated or alias.created)


OPERATIONS: Final[dict[str, Operation]] = {
    "CreateStateMachineAlias": create_state_machine_alias,
    "DeleteStateMachineAlias": delete_state_machine_alias,
    "DeleteStateMachineVersion": delete_state_machine_version,
    "DescribeStateMachineAlias": describe_state_machine_alias,
    "ListStateMachineAliases": list_state_machine_aliases,
    "ListStateMachineVersions": list_state_machine_versions,
    "PublishStateMachineVersion": publish_state_machine_version,
    "UpdateStateMachineAlias": update_state_machine_alias,
}
