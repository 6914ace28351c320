"""The library that parses and evaluates JSONata, `jlens`: this file alone imports it.

Every evaluation has limits. In a decision they are small, and running into one means `Overrun`: the same is asked for
again in a thread, where the limits are AWS's, and the library, given a document of its own, lets other threads run. No
limit of the library's bounds what many arrays take together: so what overruns its budget in the thread, too, is handed
on to another process, where there is one (`apart`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import jlens
from msgspec import Raw

from stepfold.query.template import Moment, Overrun
from stepfold.query.values import Json, text, tree

from . import exchange
from .exchange import Answer, Wanted, written
from .functions import CHANCY, STEADY, FunctionFailed, TooLarge, of_chance
from .syntax import last_operation

UNDEFINED: Final = object()
"""What an expression comes to that finds nothing."""

FUNCTION: Final = object()
"""What an expression comes to that gives a function, which is no JSON."""

DEPTH: Final = 100
"""How deep an evaluation may nest: on AWS 100 terms of a sum, or a function that calls itself 31 times."""

LONGEST: Final = 873_782
"""How many elements an array may have on AWS."""

LARGEST: Final = 8 * LONGEST
"""How many bytes a value may have: a string of 2^22 is allowed on AWS, one of 2^23 is not."""

SECONDS: Final = 4.0
"""How long an evaluation in a thread may take."""

BREADTH: Final = 2_000
"""How many elements an array may have in a decision."""

_WRAPPING = 3  # levels of our own around an expression
_HURRIED: Final[dict[str, Any]] = {
    "max_depth": DEPTH + _WRAPPING,
    "max_steps": 10_000,
    "max_array_length": BREADTH,
    "max_string_length": 32_768,
    "max_result_size": 1_000_000,
}
_UNHURRIED: Final[dict[str, Any]] = {
    "max_depth": DEPTH + _WRAPPING,
    "timeout": SECONDS,
    "max_array_length": LONGEST,
    "max_string_length": LARGEST,
    "max_result_size": LARGEST,
}

_PAIRED = 50_000  # elements, of which the library compares all with all within SECONDS, never looking at the clock

_STACK = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive. "
    f"Depth={DEPTH + 1} max={DEPTH}"
)
_MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
_TIME = "Expression evaluation timeout: Check for infinite loop"
_WORDS: Final = {"D1011": _STACK, "U1001": _MEMORY, "D2014": _MEMORY, "D1012": _TIME}
"""What is said of a limit: the first two by AWS (seen in real executions), of time in jsonata.org's words."""

_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other if other else math.copysign(math.inf, one),
    "%": lambda one, other: math.fmod(one, other) if other else math.nan,
}
_DIVIDING: Final = frozenset({"/", "%"})
_NO_NUMBER: Final = "NaN"
_UNREADABLE: Final = "U1004"
_RANGE: Final = "A number is out of range"  # a whole one, beyond a double: nothing else that is admitted is unreadable
_CLOCK: Final = frozenset({"now", "millis"})
_BUDGET: Final = frozenset({"U1001", "U1006"})


class SyntaxRefused(Exception):
    """A text that is no JSONata; the message is the library's, which AWS has word for word, without its code."""


class Failed(Exception):
    """An evaluation that failed. The message is as AWS has it, `code` is JSONata's, or None where AWS tells none."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Program:
    """A compiled expression."""

    __slots__ = (
        "_chancy",
        "_distinct",
        "_expression",
        "_functions",
        "_kind",
        "_names",
        "_shuffles",
        "_source",
        "_timed",
        "_variables",
        "reads",
    )

    def __init__(self, source: str, names: frozenset[str], variables: frozenset[str] = frozenset()) -> None:
        """Compile; `names` are all that occur behind a `$`, `variables` those of them that hide a function.

        Raises SyntaxRefused.
        """
        reads = compiled(source).reads()
        read = dict.fromkeys(names - {"eval"}, True) if "everyBinding" in reads else reads["bindings"]
        self.reads: Mapping[str, Any] = {
            **{name: parts for name, parts in read.items() if name not in STEADY and name not in CHANCY},
            **dict.fromkeys(variables, True),
        }
        """What it reads of which variable: true for the whole value, else its fields, each in the same way."""
        functions = frozenset(names - variables)
        self._source = source
        self._names = names
        self._variables = variables
        self._functions = functions
        self._chancy = bool(CHANCY & functions)
        self._distinct = "distinct" in functions
        self._timed = bool(_CLOCK & functions)
        self._shuffles = "shuffle" in functions
        self._expression = self._wrapped(source)
        self._kind: jlens.Expression | None = None

    def run(self, data: dict[str, Json], moment: Moment) -> Json:
        """The value over the variables in `data`, or UNDEFINED, or FUNCTION. Raises Failed and Overrun.

        Where there is another process to evaluate in, here it is only tried within the limits of a decision: they bound
        what it takes of memory, which those of a thread do not.
        """
        if moment.apart is None:
            return self._here(data, moment)
        try:
            return self._here(data, replace(moment, unhurried=False))
        except Overrun:
            seed = int(moment.random() * 2**53)
            wanted = Wanted(self._source, self._names, self._variables, Raw(text(data)), moment.now, seed)
            answer = moment.apart(written(wanted))
            return self._here(data, moment) if answer is None else _told(exchange.answer(answer))

    def _here(self, data: dict[str, Json], moment: Moment) -> Json:
        try:
            result = self._run(self._expression, data, moment)
        except Failed as failed:
            beyond = self._beyond(data, moment) if failed.code == "D1001" else None
            if beyond is None:
                raise
            return beyond
        if "r" in result:
            return _NO_NUMBER if result["r"] is None and self._divides() else result["r"]
        if self._kind is None:
            self._kind = self._wrapped(f"$type({self._source})")
        return FUNCTION if self._run(self._kind, data, moment).get("r") == "function" else UNDEFINED

    def _run(self, expression: jlens.Expression, data: dict[str, Json], moment: Moment) -> dict[str, Json]:
        bindings = of_chance(moment) if self._chancy else None
        seed = int(moment.random() * 2**53) if self._shuffles else None  # the library's own chance
        now = moment.now if self._timed else None
        limits = {**_UNHURRIED, "max_array_length": _PAIRED} if self._distinct else _UNHURRIED
        result: dict[str, Json]
        try:
            if moment.unhurried:
                document = _document(data)
                result = expression.evaluate_document(document, bindings, now=now, seed=seed, **limits)
            else:
                result = expression.evaluate(data, bindings, now=now, seed=seed, **_HURRIED)
        except jlens.JlensError as error:
            code: str = error.code
            if code in _BUDGET and not moment.unhurried:
                raise Overrun from None
            if code == _UNREADABLE:
                raise Failed(_RANGE) from None
            if code in _WORDS:
                raise Failed(_WORDS[code]) from None
            raise Failed(str(error), code) from None
        except TooLarge:
            raise Failed(_MEMORY) from None
        except TypeError:  # (what a function of ours gave)
            raise Failed(_RANGE) from None
        except FunctionFailed as error:
            raise Failed(str(error)) from None
        return result

    def _beyond(self, data: dict[str, Json], moment: Moment) -> str | None:
        """What AWS writes for a number that is none (seen in real executions), where that is the whole result.

        The library has no such number and fails instead: what it failed at is told from the two sides of the sum or
        product. Deeper in a result, where AWS writes the same, it remains a failure.
        """
        operation = last_operation(self._source)
        if operation is None:
            return None
        left, sign, right = operation
        try:
            sides = [
                Program(side, self._functions | self.reads.keys(), frozenset(self.reads) - {"states"}).run(data, moment)
                for side in (left, right)
            ]
        except Failed:
            return None
        if not all(isinstance(side, int | float) for side in sides):  # it failed further down
            return None
        found = _ARITHMETIC[sign](*map(float, sides))
        return None if math.isfinite(found) else "Infinity" if found > 0 else "-Infinity"

    def _divides(self) -> bool:
        """Whether the whole result is that of a division, or what is left of one: then null means that it is no number.

        `5 % 0` and `0 / 0` are NaN in JSONata (in another operation they fail), for which the library gives null. That
        AWS writes this one as it writes the infinite ones is unverified.
        """
        operation = last_operation(self._source)
        return operation is not None and operation[1] in _DIVIDING

    def _wrapped(self, source: str) -> jlens.Expression:
        """The expression with its variables named and nothing as its context.

        The library reads its input lazily, but takes bindings whole: so variables come as input. What Python calls
        None it takes for undefined, so the null that `$parse` may give comes in an object. `$eval` is none of AWS's.
        """
        off = "$eval:=null;" if "eval" in self._functions else ""
        bound = "".join(f"${name}:=$$.`{name}`;" for name in self.reads)
        parse = "$parse:=function($source){$parsed($source).value};" if "parse" in self._functions else ""
        expression = compiled(f'(null).({off}{bound}{parse}{{"r":{source}}})')
        for name in STEADY.keys() & self._functions:
            expression.register_function("parsed" if name == "parse" else name, STEADY[name])
        return expression


def answered(wanted: Wanted, moment: Moment) -> Answer:
    """What comes of an evaluation that another process asks for."""
    try:
        value = Program(wanted.source, wanted.names, wanted.variables).run(tree(bytes(wanted.data)), moment)
    except Failed as failed:
        return Answer("failed", message=str(failed), code=failed.code)
    if value is UNDEFINED or value is FUNCTION:
        return Answer("undefined" if value is UNDEFINED else "function")
    return Answer("value", Raw(text(value)))


def _told(answer: Answer) -> Json:
    match answer.kind:
        case "value":
            return tree(bytes(answer.value))
        case "undefined" | "function":
            return UNDEFINED if answer.kind == "undefined" else FUNCTION
        case "failed":
            raise Failed(answer.message, answer.code)
    raise Failed(_MEMORY if answer.kind == "memory" else _TIME)


def bear(breadth: int, moment: Moment) -> None:
    """Whether an expression that compares all with all may run over so many elements. Raises Overrun, Failed."""
    if not moment.unhurried and breadth > BREADTH:
        raise Overrun
    if breadth > _PAIRED:
        raise Failed(_TIME)


def _document(data: dict[str, Json]) -> jlens.Document:
    try:
        return jlens.Document(data)
    except TypeError:
        raise Failed(_RANGE) from None


def compiled(source: str) -> jlens.Expression:
    """The library's own expression, with nothing of AWS's around it. Raises SyntaxRefused."""
    try:
        return jlens.Expression(source)
    except jlens.JlensError as error:
        raise SyntaxRefused(str(error)) from error
    except UnicodeEncodeError:
        raise SyntaxRefused("The expression holds half of a surrogate pair") from None


def matches(body: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether a regular expression, its slashes escaped, matches the whole text. Raises Overrun where it takes long."""
    try:
        found = compiled(f"$contains(text, /^(?:{body})$/{'i' if ignore_case else ''})")
        said: bool = found.evaluate_document(jlens.Document({"text": text}), None, **_UNHURRIED)  # others run meanwhile
    except (jlens.JlensError, SyntaxRefused):
        raise Overrun from None
    return said
