"""Operations on the tags of machines and activities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stepfold.errors import CallerError
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Operation

from .served import Served


async def tag_resource(service: Served, request: shapes.TagResourceInput) -> None:
    """Set tags; those that are there under other keys stay."""
    await service.engine.registry.tags.put(request.resourceArn, tags_of(request.tags))


async def untag_resource(service: Served, request: shapes.UntagResourceInput) -> None:
    """Take tags away, where they are there."""
    await service.engine.registry.tags.drop(request.resourceArn, request.tagKeys)


async def list_tags_for_resource(
    service: Served, request: shapes.ListTagsForResourceInput
) -> shapes.ListTagsForResourceOutput:
    """All tags of a resource."""
    tags = await service.engine.registry.tags.of(request.resourceArn)
    return shapes.ListTagsForResourceOutput(tags=[shapes.Tag(key=key, value=value) for key, value in tags.items()])


def tags_of(said: Sequence[shapes.Tag] | None) -> dict[str, str]:
    """The tags of a request: of one key the last, and a value that is not given is empty. Raises CallerError."""
    found: dict[str, str] = {}
    for number, tag in enumerate(said or (), 1):
        if tag.key is None:  # the model allows it; as it words what it does not
            raise CallerError(
                f"1 validation error detected: Value null at 'tags.{number}.member.key' failed to satisfy constraint: "
                "Member must not be null"
            )
        found[tag.key] = tag.value or ""
    return found


OPERATIONS: Final[dict[str, Operation]] = {
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
