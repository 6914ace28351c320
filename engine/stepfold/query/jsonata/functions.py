"""The functions that AWS adds to JSONata: `$partition $range $hash $random $uuid $parse`.

What they give is recorded, or was seen in real executions; what they say where they fail is ours. A call gets plain
Python values from the library, None where an argument is null or undefined, and gives such back, None for undefined
(a size of 0, a step that leads nowhere). Arguments beyond their own, as `$map` gives them, they pass over.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Final, TypeAlias

from stepfold.query.template import Moment
from stepfold.query.values import Json, NotAdmitted, admit, tree

LONGEST: Final = 360_145
"""How many elements `$range` may make (seen on AWS; a literal range may have more)."""

Function: TypeAlias = Callable[..., Json]


class FunctionFailed(Exception):
    """A function that cannot be applied to its arguments; the message says why."""


class TooLarge(Exception):
    """A function that would make more than there is memory for."""


def partition(array: Json = None, size: Json = None, *_: Json) -> Json:
    """Chunks of an array; a last one may be shorter. One chunk is still an array of chunks (recorded)."""
    elements = array if isinstance(array, list) else [] if array is None else [array]
    length = _whole("partition", 2, size)
    if length is not None and length < 0:
        raise FunctionFailed('Argument 2 of function "partition" must be positive')
    if not length or not elements:
        return None
    return [elements[start : start + length] for start in range(0, len(elements), length)]


def range_(first: Json = None, last: Json = None, step: Json = None, *_: Json) -> Json:
    """Numbers from the first to the last, which is among them; a sequence: one alone is no array (recorded)."""
    start, end, delta = (_whole("range", place, value) for place, value in enumerate((first, last, step), 1))
    if start is None or end is None or not delta:
        return None
    if (end - start) // delta >= LONGEST:
        raise TooLarge
    numbers = range(start, end + (1 if delta > 0 else -1), delta)
    return numbers[0] if len(numbers) == 1 else list(numbers) or None


def hash_(content: Json = None, algorithm: Json = None, *_: Json) -> Json:
    """The hexadecimal hash of a string."""
    if content is None or algorithm is None:
        return None
    name = _ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else None
    if name is None:
        raise FunctionFailed(f'Argument 2 of function "hash" must be one of {", ".join(_ALGORITHMS)}')
    if not isinstance(content, str):
        raise FunctionFailed('Argument 1 of function "hash" must be a string')
    return hashlib.new(name, content.encode(errors="replace"), usedforsecurity=False).hexdigest()


def parse(source: Json = None, *_: Json) -> Json:
    """The value of a JSON text, as the member `value` of an object: it may be null."""
    if source is None:
        return None
    if not isinstance(source, str):
        raise FunctionFailed('Argument 1 of function "parse" must be a string')
    try:
        return {"value": tree(admit(source))}
    except NotAdmitted as error:
        raise FunctionFailed(f'Argument 1 of function "parse" is no valid JSON: {error}') from None


def java_random(seed: int) -> float:
    """The first number that java.util.Random(seed).nextDouble gives, in [0, 1)."""
    state = (seed ^ _MULTIPLIER) & _MASK
    high = state = (state * _MULTIPLIER + 0xB) & _MASK
    low = (state * _MULTIPLIER + 0xB) & _MASK
    return float(((high >> 22) << 27) + (low >> 21)) * 2.0**-53


def of_chance(moment: Moment) -> dict[str, Function]:
    """The functions that take from the moment, by name."""

    def random(seed: Json = None, *_: Json) -> Json:
        whole = _whole("random", 1, seed)
        return moment.random() if whole is None else java_random(whole)

    return {"random": random, "uuid": lambda *_: moment.uuid()}


def _whole(function: str, place: int, value: Json) -> int | None:
    """A number without its fraction: towards zero (seen on AWS; the guide says it is rounded)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FunctionFailed(f'Argument {place} of function "{function}" must be a number')
    return int(value)


STEADY: Final[dict[str, Function]] = {"partition": partition, "range": range_, "hash": hash_, "parse": parse}
"""The functions whose answer depends on their arguments alone, by name."""

CHANCY: Final = frozenset({"random", "uuid"})
"""The names of those that `of_chance` gives."""

_ALGORITHMS: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_MULTIPLIER: Final = 0x5DEECE66D
_MASK: Final = 2**48 - 1
