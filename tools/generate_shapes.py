"""Writes `engine/stepfold/service/wire/shapes.py` from botocore's service model: `python tools/generate_shapes.py`.

With `--check` nothing is written; the exit code says whether the file is what would be written. botocore is wanted
here and in tests alone: what is generated needs msgspec and nothing else.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).parents[1] / "engine" / "stepfold" / "service" / "wire" / "shapes.py"
LINE: Final = 120
PYTHON: Final = {"string": "str", "boolean": "bool", "integer": "int", "long": "int", "float": "float"}
GREATEST: Final = {"integer": 2**31 - 1, "long": 2**63 - 1}
"""What Java's numbers hold: the model leaves these bounds unsaid, the wire keeps them."""
PATTERNS: Final = {r"\p{ASCII}*": r"[\x00-\x7f]*"}
"""Patterns that Python's `re` spells otherwise; `matches()` of Java is a full match, so all are anchored."""

OPENING: Final = '''\
"""Requests and answers of the AWS API, as botocore {version} describes them.

Written by tools/generate_shapes.py, never by hand. Fields are named as on the wire, and None is an absent field;
constraints stand where the model has them, and `extra` keeps what a message needs: `secret` values are never told back,
`pattern` is AWS's own spelling. Whole numbers without an upper bound got that of Java's, which the wire carries.
Annotations stay text until a decoder is asked for, so that importing this is cheap.
"""

# ruff: noqa: D101, N815  (AWS documents these classes, and named their fields)

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

_SECRET: Final = {{"secret": True}}

Timestamp = float
"""Seconds since the epoch; the wire carries milliseconds as their fraction."""
'''

BASE: Final = '''
class Shape(Struct, omit_defaults=True):
    """Any structure of the API."""


class Contract(NamedTuple):
    """What an operation takes, what it answers, which errors it names, and whether repeating it is harmless."""

    input: type[Shape]
    output: type[Shape]
    errors: tuple[str, ...]
    idempotent: bool = False

'''


def model() -> tuple[str, dict[str, Any]]:
    """The version of botocore, and its model of the service."""
    import botocore
    from botocore.loaders import Loader

    return botocore.__version__, Loader().load_service_model("stepfunctions", "service-2", "2016-11-23")


def generate() -> str:
    """The text of shapes.py."""
    version, service = model()
    shapes = service["shapes"]
    named = sorted(name for name, shape in shapes.items() if _constrained(shape))
    structures = sorted(name for name, shape in shapes.items() if shape["type"] == "structure")
    plain = [name for name in structures if not shapes[name].get("exception")]
    parts = [OPENING.format(version=version), ""]
    parts += [_alias(name, shapes[name]) for name in named]
    parts.append(BASE)
    parts += [_structure(name, shapes) + "\n\n" for name in plain]
    parts.append("OPERATIONS: Final[dict[str, Contract]] = {")
    parts += [_operation(one) for _, one in sorted(service["operations"].items())]
    parts.append("}")
    return "\n".join(parts) + "\n"


def _constrained(shape: dict[str, Any]) -> bool:
    """Whether a shape gets a name of its own: scalars that a bare Python type does not describe."""
    return shape["type"] in PYTHON and bool({"min", "max", "pattern", "enum"} & shape.keys())


def _alias(name: str, shape: dict[str, Any]) -> str:
    if "enum" in shape:
        return _bracketed(f"{name} = Literal[", [f'"{value}"' for value in shape["enum"]], "]")
    line = f"{name} = Annotated[{PYTHON[shape['type']]}, {_meta(shape)}]"
    if len(line) > LINE:
        line = line.replace("[str, Meta(", "[\n    str,\n    Meta(").replace(", extra=", ",\n         extra=")
        return f"{line[:-1]},\n]"
    return line


def _meta(shape: dict[str, Any]) -> str:
    words = []
    low, high = ("min_length", "max_length") if shape["type"] in {"string", "list"} else ("ge", "le")
    if "min" in shape and (low == "ge" or shape["min"]):
        words.append(f"{low}={shape['min']}")
    if greatest := shape.get("max", GREATEST.get(shape["type"])):
        words.append(f"{high}={greatest}")
    if pattern := shape.get("pattern"):
        words.append(f'pattern=r"\\A(?:{PATTERNS.get(pattern, pattern)})\\Z"')
        words.append(f'extra={{"pattern": r"{pattern}"}}')
    elif shape.get("sensitive"):
        words.append("extra=_SECRET")
    return f"Meta({', '.join(words)})"


def _structure(name: str, shapes: dict[str, Any]) -> str:
    shape = shapes[name]
    required = set(shape.get("required", ()))
    lines = [f"class {name}(Shape, kw_only=True):"]
    for field, member in shape["members"].items():
        kind = _type(member["shape"], shapes)
        lines.append(f"    {field}: {kind}" if field in required else f"    {field}: {kind} | None = None")
    return "\n".join(lines if shape["members"] else [*lines, "    pass"])


def _type(name: str, shapes: dict[str, Any]) -> str:
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            return name
        case "timestamp":
            return "Timestamp"
        case "list":
            kind = f"list[{_type(shape['member']['shape'], shapes)}]"
            return f"Annotated[{kind}, {_meta(shape)}]" if {"min", "max"} & shape.keys() else kind
        case "map":
            return f"dict[{_type(shape['key']['shape'], shapes)}, {_type(shape['value']['shape'], shapes)}]"
    return name if _constrained(shape) else PYTHON[shape["type"]]


def _operation(operation: dict[str, Any]) -> str:
    errors = [f'"{error["shape"]}"' for error in operation["errors"]]
    if len(errors) == 1:
        errors[0] += ","  # a tuple of one
    listed = f"({', '.join(errors)})"
    words = [operation["input"]["shape"], operation["output"]["shape"], listed]
    if operation.get("idempotent"):
        words.append("idempotent=True")
    line = f'    "{operation["name"]}": Contract({", ".join(words)}),'
    if len(line) <= LINE:
        return line
    words[2] = textwrap.indent(_bracketed("(", errors, ")"), " " * 8).lstrip()
    return f'    "{operation["name"]}": Contract(\n' + "".join(f"        {word},\n" for word in words) + "    ),"


def _bracketed(opening: str, items: list[str], closing: str) -> str:
    """Items on one line where they fit, else as many to a line as do."""
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) <= LINE - 10:
        return line
    body = textwrap.fill(", ".join(items) + ",", LINE - 12, initial_indent="    ", subsequent_indent="    ")
    return f"{opening}\n{body}\n{closing}"


def main() -> int:
    """Write the file, or say whether it is what would be written."""
    text = generate()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is not what tools/generate_shapes.py writes: run it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
