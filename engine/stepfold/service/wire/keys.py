"""Who may do what: static keys from a file that only its owner reads, each with a policy that allows and never denies.

    [[key]]
    id = "AKIDORDERS"
    secret = "at least sixteen characters"
    policy = "operator"                     # admin, operator, reader or worker; or in its place:

    [[key.allow]]
    actions = ["states:StartExecution", "states:Describe*"]
    resources = ["arn:aws:states:*:*:*:orders*"]

`*` stands for any run of characters and is the only wildcard. What no line allows is refused. There are no conditions,
roles or sessions. An operation that concerns no one resource (lists, TestState, task tokens) asks for the resource `*`,
which only the pattern `*` matches; one that concerns several must be allowed on each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Final

import msgspec

from stepfold.names import Home
from stepfold.work import private

from . import shapes
from .protocol import Refusal
from .shapes import OPERATIONS, Shape

SECRET_CHARACTERS: Final = 16
"""The shortest secret that is taken."""
_RESOURCE_FIELDS: Final = (
    "stateMachineVersionArn", "stateMachineAliasArn", "stateMachineArn", "executionArn", "mapRunArn", "activityArn",
    "resourceArn",
)

_READ: Final = (
    "states:Describe*", "states:List*", "states:GetExecutionHistory", "states:ValidateStateMachineDefinition",
)
POLICIES: Final[dict[str, tuple[str, ...]]] = {
    "admin": ("states:*",),
    "operator": (
        *_READ, "states:StartExecution", "states:StartSyncExecution", "states:StopExecution",
        "states:RedriveExecution", "states:UpdateMapRun", "states:TestState",
    ),
    "reader": _READ,
    "worker": ("states:GetActivityTask", "states:SendTask*", "states:DescribeActivity", "states:ListActivities"),
}
"""The ready ones: what each allows, on every resource."""


class KeysRefused(ValueError):
    """A keys file that is not taken; the message says why and never quotes a secret."""


class Allow(msgspec.Struct, frozen=True):
    """What one line of a policy allows."""

    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)

    def covers(self, action: str, resource: str) -> bool:
        """Whether this line allows it."""
        return _any(self.actions, action) and _any(self.resources, resource)


class Key(msgspec.Struct, frozen=True):
    """A static key; its secret is not part of what it prints as."""

    id: str
    secret: str
    policy: tuple[Allow, ...]

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    secret: str
    policy: str | None = None
    allow: tuple[Allow, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    key: list[_Written]


def load_keys(path: str | Path) -> dict[str, Key]:
    """The keys of a file by their ids; raises KeysRefused, also where others than its owner may read it."""
    written = private.read(path, _File, "keys", KeysRefused).key
    keys = {one.id: _key(one, path) for one in written}
    if len(keys) != len(written) or not keys:
        raise KeysRefused(f"{path}: it has no key, or two of one id")
    return keys


def authorize(key: Key, name: str, request: Shape, home: Home) -> None:
    """Nothing, where the key's policy allows the operation on all that it concerns; raises Refusal."""
    for action, resource in product(_actions(name, request), resources(request, home)):
        if not any(line.covers(action, resource) for line in key.policy):
            raise Refusal(
                "AccessDeniedException",
                f"User: arn:{home.partition}:iam::{home.account}:user/{key.id} is not authorized to perform: {action} "
                f"on resource: {resource} because no identity-based policy allows the {action} action",
                status=403,
            )


def _actions(name: str, request: Shape) -> list[str]:
    """What a request does; a connection's secrets are told to those alone who may see them, as on AWS."""
    reveals = isinstance(request, shapes.TestStateInput) and request.revealSecrets
    return [f"states:{name}", *(["states:RevealSecrets"] if reveals else [])]


def resources(request: Shape, home: Home) -> list[str]:
    """The ARNs that a request concerns; `*` where it names none."""
    match request:
        case shapes.CreateStateMachineInput(name=name):
            return [home.machine(name)]
        case shapes.CreateActivityInput(name=name):
            return [f"arn:{home.partition}:states:{home.region}:{home.account}:activity:{name}"]
        case shapes.CreateStateMachineAliasInput(routingConfiguration=routes):
            return [route.stateMachineVersionArn for route in routes]
        case shapes.UpdateStateMachineAliasInput(stateMachineAliasArn=alias, routingConfiguration=routes):
            return [alias, *(route.stateMachineVersionArn for route in routes or ())]
    named = [arn for field in _RESOURCE_FIELDS if (arn := getattr(request, field, None)) is not None]
    return named or ["*"]


def _key(written: _Written, path: str | Path) -> Key:
    where = f"{path}: key {written.id!r}"
    if not re.fullmatch(r"\w+", written.id, re.ASCII):
        raise KeysRefused(f"{where}: an id has letters, digits and underscores only")
    if len(written.secret) < SECRET_CHARACTERS:
        raise KeysRefused(f"{where}: the secret has fewer than {SECRET_CHARACTERS} characters")
    if (written.policy is None) == (not written.allow):
        raise KeysRefused(f"{where}: it wants either a policy ({', '.join(POLICIES)}) or lines of [[key.allow]]")
    if written.policy is None:
        _known(written.allow, where)
        return Key(written.id, written.secret, written.allow)
    if written.policy not in POLICIES:
        raise KeysRefused(f"{where}: there is no policy {written.policy!r}, only {', '.join(POLICIES)}")
    return Key(written.id, written.secret, (Allow(POLICIES[written.policy]),))


def _known(lines: Iterable[Allow], where: str) -> None:
    """Raises KeysRefused for an action that is no operation: a misspelt line would only ever refuse."""
    for line in lines:
        for action in line.actions:
            if not any(_any((action,), f"states:{name}") for name in OPERATIONS):
                raise KeysRefused(f"{where}: no operation is called {action!r}")


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(_matches(pattern, text) for pattern in patterns)


def _matches(pattern: str, text: str) -> bool:
    """Whether `*` in the pattern can be filled so that it is the text; without backtracking."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    place = len(first)
    for piece in rest[:-1]:
        found = text.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return len(text) - place >= len(rest[-1]) and text.endswith(rest[-1])


Keys = Mapping[str, Key]
"""Keys by their ids."""
