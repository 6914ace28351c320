"""The syntax of paths and intrinsic calls, as plain data: what `parse.py` makes and `select.py` compiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from stepfold.query.values import Json

from .patterns import Matcher


@dataclass(frozen=True, slots=True)
class Names:
    """`.a`, `['a']` or `['a','b']`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indexes:
    """`[0]`, `[-1]` or `[0,2]`."""

    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:]`, `[:2]`, `[-3:-1]`, `[::2]`."""

    start: int | None
    stop: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Every:
    """`.*` or `[*]`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(condition)]`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Deep:
    """`..` before a step: that step, taken from a node and from everything below it."""

    step: Flat


@dataclass(frozen=True, slots=True)
class Path:
    """A root (`$`, `$$`, `@`, or `$name` for a variable) and the steps taken from it."""

    root: str
    steps: tuple[Step, ...]
    source: str

    @property
    def variable(self) -> str | None:
        """The name of the variable it starts from, if it does."""
        return self.root[1:] if len(self.root) > 1 and self.root != "$$" else None


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. `holes` are the places of the `{}` in a string that were not escaped (for States.Format)."""

    value: Json
    holes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """`/regular expression/flags`."""

    pattern: Matcher


@dataclass(frozen=True, slots=True)
class Exists:
    """`@.a` alone."""

    path: Path


@dataclass(frozen=True, slots=True)
class Compare:
    """`left operator right`."""

    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Negation:
    """`!condition`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Junction:
    """`a && b && c` (every) or `a || b` (not every)."""

    every: bool
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`States.Name(argument, ...)`; `source` is its own text."""

    name: str
    arguments: tuple[Argument, ...]
    source: str


Flat: TypeAlias = Names | Indexes | Slice | Every | Filter
Step: TypeAlias = Flat | Deep
Operand: TypeAlias = Path | Constant | Pattern
Condition: TypeAlias = Exists | Compare | Negation | Junction
Argument: TypeAlias = Path | Constant | Call
