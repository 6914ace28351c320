"""The library that parses and evaluates JSONata, `jlens`: this file alone imports it.

Every evaluation has limits. In a decision they are small, and running into one means `Overrun`: the same is asked for
again in a thread, where the limits are AWS's and the library lets other threads run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jlens
import msgspec

from stepfold.query.template import Moment, Overrun
from stepfold.query.values import Json

from .functions import CHANCY, LONGEST, STEADY, FunctionFailed, TooLarge, of_chance

UNDEFINED: Final = object()
"""What an expression comes to that finds nothing."""

FUNCTION: Final = object()
"""What an expression comes to that gives a function, which is no JSON."""

DEPTH: Final = 302
"""How deep an evaluation may nest, in the library's count: about 100 calls of a function, as AWS allows."""

SECONDS: Final = 4.0
"""How long an evaluation in a thread may take."""

_LARGEST: Final = 8 * LONGEST  # bytes: a string of 2^22 is allowed on AWS, one of 2^23 is not

_HURRIED: Final[dict[str, Any]] = {
    "max_depth": DEPTH,
    "max_steps": 10_000,
    "max_array_length": 2_000,
    "max_string_length": 100_000,
    "max_result_size": 1_000_000,
}
_UNHURRIED: Final[dict[str, Any]] = {
    "max_depth": DEPTH,
    "timeout": SECONDS,
    "max_array_length": LONGEST,
    "max_string_length": _LARGEST,
    "max_result_size": _LARGEST,
}

_STACK = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive."
)
_MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
_TIME = "Expression evaluation timeout: Check for infinite loop"
_WORDS: Final = {"D1011": _STACK, "U1001": _MEMORY, "D2014": _MEMORY, "D1012": _TIME}
"""What is said of a limit: the first two by AWS (seen in real executions), of time in jsonata.org's words."""

_BUDGET: Final = frozenset({"U1001", "U1006"})
_NO_FUNCTION: Final = "T1006: Attempted to invoke a non-function"


class SyntaxRefused(Exception):
    """A text that is no JSONata; the message is the library's, with its code."""


class Failed(Exception):
    """An evaluation that failed; the message is as AWS has it behind "threw an error during evaluation"."""


class Program:
    """A compiled expression."""

    __slots__ = ("_chancy", "_expression", "_kind", "_shuffles", "_source", "reads")

    def __init__(self, source: str, names: frozenset[str]) -> None:
        """Compile; `names` are all that occur behind a `$`. Raises SyntaxRefused."""
        try:
            reads = jlens.Expression(source).reads()
        except jlens.JlensError as error:
            raise SyntaxRefused(_said(error)) from None
        self.reads: Mapping[str, Any] = {
            name: read for name, read in reads["bindings"].items() if name not in STEADY and name not in CHANCY
        }
        """What it reads of which variable: true for the whole value, else its fields, each in the same way."""
        if "everyBinding" in reads:
            self.reads = {**dict.fromkeys(names - STEADY.keys() - CHANCY - {"eval"}, True)}
        self._source = source
        self._chancy = bool(CHANCY & names)
        self._shuffles = "shuffle" in names
        self._expression = self._wrapped(f'{{"r":({source})}}', names)
        self._kind: jlens.Expression | None = None

    def run(self, data: dict[str, Json], moment: Moment) -> Json:
        """The value over the variables in `data`, or UNDEFINED, or FUNCTION. Raises Failed and Overrun."""
        result = self._run(self._expression, data, moment)
        if "r" in result:
            return result["r"]
        if self._kind is None:
            self._kind = self._wrapped(f"$type(({self._source}))", frozenset(self.reads) | {"eval"})
        return FUNCTION if self._run(self._kind, data, moment) == "function" else UNDEFINED

    def _run(self, expression: jlens.Expression, data: dict[str, Json], moment: Moment) -> Json:
        bindings = of_chance(moment) if self._chancy else None
        seed = int(moment.random() * 2**53) if self._shuffles else None
        try:
            if moment.unhurried:
                document = msgspec.json.encode(data, enc_hook=float).decode()
                written = expression.evaluate_json(document, bindings, now=moment.now, seed=seed, **_UNHURRIED)
                return UNDEFINED if written is None else msgspec.json.decode(written)
            return expression.evaluate(data, bindings, now=moment.now, seed=seed, **_HURRIED)
        except jlens.JlensError as error:
            code: str = error.code
            if code in _BUDGET and not moment.unhurried:
                raise Overrun from None
            raise Failed(_WORDS.get(code) or _said(error)) from None
        except TooLarge:
            raise Failed(_MEMORY) from None
        except FunctionFailed as error:
            raise Failed(str(error)) from None

    def _wrapped(self, body: str, names: frozenset[str]) -> jlens.Expression:
        """The library reads its input lazily, but takes bindings whole: so variables come as input and are named."""
        bound = "".join(f"${name}:=`{name}`;" for name in self.reads)
        off = "$eval:=null;" if "eval" in names else ""  # AWS has none: calling it is T1006
        expression = jlens.Expression(f"({off}{bound}{body})")
        for name in STEADY.keys() & names:
            expression.register_function(name, STEADY[name])
        return expression


def _said(error: jlens.JlensError) -> str:
    return f"{error.code}: {error}"
