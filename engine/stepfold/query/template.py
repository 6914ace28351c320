"""What a query language is: a dialect compiles templates once, and each renders often.

A *template* is any JSON value that may hold expressions. Time and chance come in a `Moment`, so that
rendering is a function of what it is given.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from .values import Json, Value, tree


@dataclass(frozen=True, slots=True)
class Moment:
    """When a decision is taken, and the chance it may use.

    `now` is in milliseconds since the epoch. `random` is the seeded source (jitter, MathRandom without a
    seed), `secret` the unguessable one (task tokens, States.UUID). `unhurried` says that it is no decision that waits
    but a thread: a rendering may take seconds, and lets other threads run. `apart` has a request evaluated by another
    process (see `jsonata.exchange`), and gives its answer, or None where there is no other process.
    """

    now: int
    random: Callable[[], float]
    secret: Callable[[int], bytes]
    unhurried: bool = False
    apart: Callable[[bytes], bytes | None] | None = None

    def uuid(self) -> str:
        """A version 4 UUID from the secret source."""
        return str(uuid.UUID(bytes=self.secret(16), version=4))


class QueryError(Exception):
    """A template that cannot be rendered: in the language's terms a failure of the state.

    `error` is the error name (`States.Runtime`, `States.IntrinsicFailure`, ...); `cause` is AWS's text without the
    prefix that names the state. `location` is the field and the place in it (`Output/a[0]`), where AWS tells it.
    """

    def __init__(self, cause: str, error: str = "States.Runtime", location: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.error = error
        self.location = location


class SourceError(ValueError):
    """A template that cannot be compiled: `reason`, and `place`, the path of keys from the template's root.

    `code` is AWS's code for it, where it has one of its own.
    """

    def __init__(self, reason: str, place: tuple[str | int, ...] = (), code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.code = code


class Overrun(Exception):
    """A rendering that used up its step budget inside a decision; it is asked for outside (EvaluationAsked)."""


class Variables(Mapping[str, Json]):
    """Variables by name, never changed: trees as a mapping (each parsed once), values in `texts`."""

    __slots__ = ("_trees", "texts")

    def __init__(self, texts: Mapping[str, Value]) -> None:
        self.texts = texts
        self._trees: dict[str, Json] = {}

    def assigned(self, texts: Mapping[str, Value]) -> Variables:
        """These, with some of them set (anew)."""
        return Variables({**self.texts, **texts})

    def __getitem__(self, name: str) -> Json:
        if name not in self._trees:
            self._trees[name] = tree(self.texts[name])
        return self._trees[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)


NO_VARIABLES = Variables({})


class Scope:
    """What expressions can see.

    `value` is JSONPath's `$`, and JSONata's `$states.input`; the Context object is `$$` or `$states.context`, built
    only when looked at. `result` and `error_output` are JSONata's `$states.result` and `$states.errorOutput`, where
    there are such.
    """

    __slots__ = ("_context", "_plain", "context_of", "error_output", "result", "value", "variables")

    def __init__(
        self,
        value: Value,
        context_of: Callable[[], dict[str, Json]],
        variables: Variables = NO_VARIABLES,
        *,
        result: Value | None = None,
        error_output: Value | None = None,
    ) -> None:
        self.value = value
        self.context_of = context_of
        self.variables = variables
        self.result = result
        self.error_output = error_output
        self._plain: Json = _UNREAD
        self._context: dict[str, Json] | None = None

    @property
    def plain(self) -> Json:
        """The value as a tree, parsed once; never change it."""
        if self._plain is _UNREAD:
            self._plain = tree(self.value)
        return self._plain

    @property
    def parsed(self) -> bool:
        """Whether `plain` was built already, so that picking from it is cheaper than slicing the text."""
        return self._plain is not _UNREAD

    @property
    def context(self) -> dict[str, Json]:
        """The Context object as a tree, built once."""
        if self._context is None:
            self._context = self.context_of()
        return self._context


class Template(Protocol):
    """A compiled template."""

    heavy: bool
    """Whether the compiler cannot bound its cost: then it is never rendered inside a decision."""

    def render(self, scope: Scope, moment: Moment) -> Value:
        """The value it stands for. Raises QueryError, and Overrun past its step budget."""
        ...


class Dialect(Protocol):
    """A query language."""

    @property
    def name(self) -> str:
        """What definitions call it."""
        ...

    def compile(self, source: Json, field: str = "") -> Template:
        """Compile a template of that field; raises SourceError with the place of what is wrong."""
        ...


_UNREAD = object()
