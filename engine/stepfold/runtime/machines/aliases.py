"""Aliases: names for one version of a machine, or for two with the weights by which starts are shared out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio
import msgspec

from stepfold import names
from stepfold.errors import CallerError, Conflicting, InvalidArn, ResourceNotFound, ServiceQuotaExceeded
from stepfold.language import limits
from stepfold.runtime import catalog
from stepfold.runtime.catalog import AliasRow, Route

from .known import Alias, Known, Version, entry_of, number_of
from .shelf import Shelf

_REASON = "INVALID_ROUTING_CONFIGURATION"
_NOTHING = "Request references a resource that does not exist."


class Aliases:
    """The aliases of a registry's machines."""

    def __init__(self, registry: Shelf) -> None:
        self._registry = registry

    async def create(self, name: str, routing: Sequence[tuple[str, int]], description: str | None) -> Alias:
        """A new alias, of the machine whose versions it names; the same again is the one that is there.

        Raises Conflicting for another of that name, ResourceNotFound, ServiceQuotaExceeded, StateMachineDeleting, and
        CallerError for a routing that is none.
        """
        machine, routes = _routes(routing)
        registry = self._registry
        async with registry.changing:
            known = self._with_versions(machine, routes)
            arn, now = f"{machine}:{name}", registry.clock.now()
            if (there := known.aliases.get(name)) is not None:
                if (there.row.description, sorted(there.row.routes, key=_order)) != (
                    description,
                    sorted(routes, key=_order),
                ):
                    raise Conflicting(
                        "Failed to create alias because an alias with the same name and a different routing "
                        "configuration already exists."
                    )
                return there
            if len(known.aliases) >= limits.ALIASES:
                raise ServiceQuotaExceeded(f"A state machine can have at most {limits.ALIASES} aliases")
            return await self._keep(known, Alias(arn, AliasRow(name, routes, description, now), now))

    async def update(self, arn: str, routing: Sequence[tuple[str, int]] | None, description: str | None) -> Alias:
        """Change an alias; what is None stays. Raises ResourceNotFound, InvalidArn, and as `create`."""
        if routing is None and description is None:
            raise CallerError(
                "Either the description or the routing configuration must be specified",
                reason="MISSING_REQUIRED_PARAMETER",
            )
        known, alias = self.find(arn)
        routes = None
        if routing is not None:
            machine, routes = _routes(routing)
            if machine != known.arn:
                told = _told(said for said, _ in routing)
                raise CallerError(
                    f"Routing configuration must contain versions of the alias' own state machine. Received: {told}",
                    reason=_REASON,
                )
        async with self._registry.changing:
            self._with_versions(known.arn, routes or ())
            known, alias = self.find(arn)  # as it is by now
            row = msgspec.structs.replace(
                alias.row,
                routes=alias.row.routes if routes is None else routes,
                description=alias.row.description if description is None else description,
                updated=self._registry.clock.now(),
            )
            return await self._keep(known, alias._replace(row=row))

    async def delete(self, arn: str) -> None:
        """Delete an alias, or none of that ARN. Raises InvalidArn."""
        said = _alias_arn(arn)
        registry = self._registry
        async with registry.changing:
            known = registry.peek(said.arn)
            alias = known.part(said.qualifier or "") if known is not None else None
            if known is None or not isinstance(alias, Alias):
                return
            with anyio.CancelScope(shield=True):
                await registry.bury(catalog.ALIAS, alias.arn)
                del known.aliases[alias.row.name]

    def find(self, arn: str) -> tuple[Known, Alias]:
        """An alias and its machine. Raises InvalidArn, ResourceNotFound."""
        said = _alias_arn(arn)
        known = self._registry.peek(said.arn)
        alias = known.part(said.qualifier or "") if known is not None else None
        if known is None or not isinstance(alias, Alias):
            raise ResourceNotFound(_NOTHING)
        return known, alias

    @staticmethod
    def oldest_first(known: Known, version: Version | None = None) -> list[Alias]:
        """A machine's aliases, or those that refer to a version."""
        names_of = known.aliases if version is None else known.users(version.row.number)
        return sorted((known.aliases[name] for name in names_of), key=lambda alias: (alias.created, alias.row.name))

    def draw(self, alias: Alias) -> int:
        """The number of the version that the next start through an alias goes to."""
        drawn = self._registry.chance.seeded.random() * 100 if len(alias.row.routes) > 1 else 0.0
        for route in alias.row.routes:
            drawn -= route.weight
            if drawn < 0:
                return route.version
        return alias.row.routes[-1].version

    def _with_versions(self, machine: str, routes: Sequence[Route]) -> Known:
        """The machine, which has these versions; raises ResourceNotFound, StateMachineDeleting."""
        known = self._registry.peek(machine)
        if known is None or any(route.version not in known.versions for route in routes):
            raise ResourceNotFound(_NOTHING)
        known.check_alive()
        return known

    async def _keep(self, known: Known, alias: Alias) -> Alias:
        with anyio.CancelScope(shield=True):
            await self._registry.store.put([entry_of(alias, known.arn)])
            known.aliases[alias.row.name] = alias
        return alias


def _alias_arn(arn: str) -> names.MachineArn:
    said = names.machine_arn(arn)
    if said.qualifier is None or said.label is not None:
        raise InvalidArn("Invalid Arn: 'Resource type not valid in this context: stateMachine'")
    return said


def _routes(routing: Sequence[tuple[str, int]]) -> tuple[str, tuple[Route, ...]]:
    """The machine and the routes that a routing configuration means; raises CallerError (texts recorded, but one)."""
    told = _told(arn for arn, _ in routing)
    said = [names.machine_arn(arn) for arn, _ in routing]
    numbers = [number_of(one.qualifier) for one in said if one.label is None]
    if None in numbers or len(numbers) < len(said):
        raise CallerError(
            f"Routing configuration must contain state machine version ARNs. Received: {told}", reason=_REASON
        )
    if len({arn for arn, _ in routing}) < len(routing):
        raise CallerError(
            f"Routing configuration must contain distinct state machine version ARNs. Received: {told}", reason=_REASON
        )
    if len({one.arn for one in said}) > 1:
        raise CallerError(
            f"Routing configuration must contain versions of the same state machine. Received: {told}", reason=_REASON
        )
    if sum(weight for _, weight in routing) != 100:
        weights = _told(str(weight) for _, weight in routing)
        raise CallerError(
            f"Sum of routing configuration weights must equal 100. Received: {weights}", reason=_REASON
        )
    routes = (Route(number or 0, weight) for number, (_, weight) in zip(numbers, routing, strict=True))
    return said[0].arn, tuple(routes)


def _order(route: Route) -> int:
    return route.version


def _told(words: Iterable[str]) -> str:
    return f"[{', '.join(words)}]"
