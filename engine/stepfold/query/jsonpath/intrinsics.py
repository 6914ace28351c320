"""The eighteen intrinsic functions (`States.Format` and its like), as one table.

What they do is recorded from AWS, but where a comment says otherwise. What AWS writes when one fails is known for one
case only (an argument's path that finds nothing: `States.Runtime`, its text in `dialect.py`). The other texts are
ours; their error name, `States.IntrinsicFailure`, is the guide's, and not verified by a recording.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from stepfold.query.template import Moment, Scope
from stepfold.query.values import Json, NotAdmitted, admit, text, tree

from .compare import Meter, is_number, same
from .syntax import Argument, Call, Constant, Path

FAILURE = "States.IntrinsicFailure"

MAX_RANGE = 1000
"""How many elements States.ArrayRange may make."""

MAX_TEXT = 10_000
"""How many characters States.Hash and the two Base64 functions take."""

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1

Evaluate: TypeAlias = Callable[[Scope, Moment, Meter], Json]
_Arguments: TypeAlias = Sequence[Json]


class FunctionFailed(Exception):
    """A function that cannot be applied to its arguments; the message says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """What a name stands for, and how many arguments it takes (`most` of None: any number)."""

    least: int
    most: int | None
    apply: Callable[[_Arguments, Moment, Meter], Json]


def compile_call(call: Call, compile_path: Callable[[Path], Evaluate]) -> Evaluate:
    """Make a call ready; raises ValueError where the function is unknown or the count of arguments wrong."""
    function = FUNCTIONS.get(call.name)
    if function is None:
        raise ValueError(f"there is no function {call.name}")
    count = len(call.arguments)
    if count < function.least or (function.most is not None and count > function.most):
        raise ValueError(f"{call.name} does not take {count} arguments")
    arguments = [_argument(argument, compile_path) for argument in call.arguments]
    first = call.arguments[0] if call.arguments else None
    if call.name == "States.Format" and isinstance(first, Constant) and isinstance(first.value, str):
        template, holes = first.value, first.holes or ()
        rest = arguments[1:]
        return lambda scope, moment, meter: _filled(
            template, holes, [argument(scope, moment, meter) for argument in rest], meter
        )
    apply = function.apply
    return lambda scope, moment, meter: apply([argument(scope, moment, meter) for argument in arguments], moment, meter)


def _argument(argument: Argument, compile_path: Callable[[Path], Evaluate]) -> Evaluate:
    if isinstance(argument, Call):
        return compile_call(argument, compile_path)
    if isinstance(argument, Path):
        return compile_path(argument)
    constant = argument.value
    return lambda _scope, _moment, _meter: constant


# What arguments must be.


def _integer(value: Json) -> int:
    """A number, rounded as Java's Math.round does: 1.5 is 2, -1.5 is -1; within 32 bits."""
    if not is_number(value):
        raise FunctionFailed("a number is expected")
    whole = math.floor(value)
    rounded: int = whole + 1 if value - whole >= 0.5 else whole
    if not _INT_MIN <= rounded <= _INT_MAX:
        raise FunctionFailed("a number is out of the range of a 32-bit integer")
    return rounded


def _array(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise FunctionFailed("an array is expected")
    return value


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise FunctionFailed("a string is expected")
    return value


def _short(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise FunctionFailed(f"a string has {len(value)} characters, {MAX_TEXT} are allowed")
    return value


def _json(value: Json) -> str:
    return bytes(text(value)).decode()


# Strings.


def _format(arguments: _Arguments, _moment: Moment, meter: Meter) -> Json:
    """A template that is found at run time: every `{}` is a hole, there are no escapes (not verified)."""
    template = _string(arguments[0])
    holes = []
    place = template.find("{}")
    while place >= 0:
        holes.append(place)
        place = template.find("{}", place + 2)
    return _filled(template, holes, arguments[1:], meter)


def _filled(template: str, holes: Sequence[int], values: _Arguments, meter: Meter) -> str:
    if len(holes) != len(values):
        raise FunctionFailed(f"the template has {len(holes)} places for {len(values)} arguments")
    pieces: list[str] = []
    start = 0
    for hole, value in zip(holes, values, strict=True):
        pieces += template[start:hole], _shown(value, meter)
        start = hole + 2
    return "".join([*pieces, template[start:]])


def _shown(value: Json, meter: Meter) -> str:
    """As Java's toString has it: `{Arg1=1, Arg2=[]}`, strings bare (recorded); numbers as they were written."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        meter.spend(len(value))
        return f"[{', '.join([_shown(item, meter) for item in value])}]"
    if isinstance(value, dict):
        meter.spend(len(value))
        return f"{{{', '.join([f'{name}={_shown(item, meter)}' for name, item in value.items()])}}}"
    return _json(value)


def _string_to_json(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    source = _string(arguments[0])
    if not source.strip(" \t\r\n"):
        return None
    try:
        return tree(admit(source))
    except NotAdmitted as error:
        raise FunctionFailed(str(error)) from None


def _string_split(arguments: _Arguments, _moment: Moment, meter: Meter) -> Json:
    """As Java's StringTokenizer: any of the characters divides, and there are no empty parts."""
    source, dividers = _string(arguments[0]), _string(arguments[1])
    if not dividers:
        return [source] if source else []
    parts = source.translate(dict.fromkeys(map(ord, dividers), dividers[0])).split(dividers[0])
    meter.spend(len(parts))
    return [part for part in parts if part]


def _encode(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    return base64.b64encode(_short(_string(arguments[0])).encode(errors="replace")).decode()


def _decode(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    """As Java's basic decoder: padding may be absent, nothing outside the alphabet is passed over (not verified)."""
    source = _short(_string(arguments[0]))
    try:
        return base64.b64decode(source + "=" * (-len(source) % 4), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise FunctionFailed("the string is not Base64") from None


_ALGORITHMS: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def _hash(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    """Another value than a string is hashed as its compact text (not verified)."""
    algorithm = _ALGORITHMS.get(_string(arguments[1]))
    if algorithm is None:
        raise FunctionFailed(f"the algorithm is none of {', '.join(_ALGORITHMS)}")
    source = arguments[0] if isinstance(arguments[0], str) else _json(arguments[0])
    return hashlib.new(algorithm, _short(source).encode(errors="replace"), usedforsecurity=False).hexdigest()


# Arrays and objects.


def _partition(arguments: _Arguments, _moment: Moment, meter: Meter) -> Json:
    array, size = _array(arguments[0]), _integer(arguments[1])
    if size < 1:
        raise FunctionFailed("the size of a part must be positive")
    meter.spend(len(array))
    return [array[start : start + size] for start in range(0, len(array), size)]


def _contains(arguments: _Arguments, _moment: Moment, meter: Meter) -> Json:
    array, wanted = _array(arguments[0]), arguments[1]
    meter.spend(len(array))
    return any(same(item, wanted, meter) for item in array)


def _range(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    first, last, step = map(_integer, arguments)
    if step == 0:
        raise FunctionFailed("the step must not be 0")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > MAX_RANGE:
        raise FunctionFailed(f"the range has {len(numbers)} elements, {MAX_RANGE} are allowed")
    return list(numbers)


def _item(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    array, index = _array(arguments[0]), arguments[1]
    if not is_number(index) or index != math.floor(index):
        raise FunctionFailed("the index must be an integer")
    if not 0 <= index < len(array):
        raise FunctionFailed(f"the index {math.floor(index)} is out of range")
    return array[int(index)]


def _unique(arguments: _Arguments, _moment: Moment, meter: Meter) -> Json:
    first: dict[Json, Json] = {}
    for item in _array(arguments[0]):
        first.setdefault(_identity(item, meter), item)
    return list(first.values())


def _identity(value: Json, meter: Meter) -> Json:
    """A key that two values share where they are the same: 1 and 1.0 do, 1 and true do not."""
    meter.spend(1)
    if isinstance(value, list):
        return ("array", *(_identity(item, meter) for item in value))
    if isinstance(value, dict):
        return frozenset((name, _identity(item, meter)) for name, item in value.items())
    return ("truth", value) if isinstance(value, bool) else value


def _merge(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    """Shallow. AWS's recorded key orders are those of a Java HashMap; ours is the left's, then the right's new ones."""
    left, right, deep = arguments
    if not isinstance(left, dict) or not isinstance(right, dict):
        raise FunctionFailed("two objects are expected")
    if deep is not False:
        raise FunctionFailed("only the shallow mode (false) is supported")
    return {**left, **right}


# Numbers.


def _add(arguments: _Arguments, _moment: Moment, _meter: Meter) -> Json:
    return _integer(_integer(arguments[0]) + _integer(arguments[1]))


def _random(arguments: _Arguments, moment: Moment, _meter: Meter) -> Json:
    """From the first, without the last. That a seed is java.util.Random's is likely, not verified."""
    first, last = _integer(arguments[0]), _integer(arguments[1])
    if first >= last:
        raise FunctionFailed("the first number must be less than the second")
    if len(arguments) == 2:
        return first + min(int(moment.random() * (last - first)), last - first - 1)
    return first + _java_random(_integer(arguments[2]), last - first)


def _java_random(seed: int, bound: int) -> int:
    """The first number below `bound` that java.util.Random(seed).nextInt(bound) gives."""
    state = (seed ^ _MULTIPLIER) & _MASK
    while True:
        state = (state * _MULTIPLIER + 0xB) & _MASK
        bits = state >> 17
        if bound & (bound - 1) == 0:
            return (bound * bits) >> 31
        number = bits % bound
        if bits - number + bound - 1 <= _INT_MAX or bound > _INT_MAX:  # Java takes no greater bound
            return number


_MULTIPLIER: Final = 0x5DEECE66D
_MASK: Final = 2**48 - 1

FUNCTIONS: Final[dict[str, Function]] = {
    "States.Array": Function(0, None, lambda arguments, _moment, _meter: list(arguments)),
    "States.ArrayContains": Function(2, 2, _contains),
    "States.ArrayGetItem": Function(2, 2, _item),
    "States.ArrayLength": Function(1, 1, lambda arguments, _moment, _meter: len(_array(arguments[0]))),
    "States.ArrayPartition": Function(2, 2, _partition),
    "States.ArrayRange": Function(3, 3, _range),
    "States.ArrayUnique": Function(1, 1, _unique),
    "States.Base64Decode": Function(1, 1, _decode),
    "States.Base64Encode": Function(1, 1, _encode),
    "States.Format": Function(1, None, _format),
    "States.Hash": Function(2, 2, _hash),
    "States.JsonMerge": Function(3, 3, _merge),
    "States.JsonToString": Function(1, 1, lambda arguments, _moment, _meter: _json(arguments[0])),
    "States.MathAdd": Function(2, 2, _add),
    "States.MathRandom": Function(2, 3, _random),
    "States.StringSplit": Function(2, 2, _string_split),
    "States.StringToJson": Function(1, 1, _string_to_json),
    "States.UUID": Function(0, 0, lambda _arguments, moment, _meter: moment.uuid()),
}
