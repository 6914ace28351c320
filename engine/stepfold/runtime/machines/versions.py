"""Published versions: a machine's row under a number, which rises, is never given twice, and never changes."""

from __future__ import annotations

import anyio

from stepfold import names
from stepfold.errors import Conflicting
from stepfold.runtime import catalog

from .known import Known, Version
from .shelf import Shelf

FIRST = "INITIAL"
"""What AWS calls the revision of a machine that was never updated."""


class Versions:
    """The versions of a registry's machines."""

    def __init__(self, registry: Shelf) -> None:
        self._registry = registry

    async def publish(self, arn: str, revision: str | None, description: str | None) -> Version:
        """The version of the machine as it is now; one that is there already is the answer again.

        Raises Conflicting where another revision was meant, ServiceQuotaExceeded, and as `Registry.alive`.
        """
        known = await self._registry.alive(arn)
        if revision is not None and revision != (current := known.row.revision or FIRST):
            raise Conflicting(
                f"Failed to publish the State Machine version for revision {revision}. "
                f"The current State Machine revision is {current}."
            )
        updated = await self._registry.update(arn, {}, publish=True, description=description)
        if updated.version is None:
            raise AssertionError("an update that publishes gives a version")
        return updated.version

    async def delete(self, arn: str) -> None:
        """Delete a version, or none of that ARN. Raises Conflicting while an alias refers to it, InvalidArn."""
        said = names.machine_arn(arn)
        registry = self._registry
        async with registry.changing:
            known = registry.peek(said.arn)
            version = known.part(said.qualifier) if known is not None and said.qualifier is not None else None
            if known is None or not isinstance(version, Version):
                return
            if users := known.users(version.row.number):
                raise Conflicting(
                    "Version to be deleted must not be referenced by an alias. "
                    f"Current list of aliases referencing this version: [{', '.join(users)}]"
                )
            with anyio.CancelScope(shield=True):
                await registry.bury(catalog.VERSION, version.arn)
                del known.versions[version.row.number]

    @staticmethod
    def newest_first(known: Known) -> list[Version]:
        """A machine's versions."""
        return sorted(known.versions.values(), key=lambda version: version.row.number, reverse=True)
