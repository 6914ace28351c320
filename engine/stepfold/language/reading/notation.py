"""JSON or YAML text made plain data, with CloudFormation's short tags (`!Ref`, `!Sub`, ...) written out in full.

YAML is read narrowly, so that what people mean survives: a date, `yes`, `012345678901` and `12:30` stay text; only
`true`, `false`, `null` and plain decimal numbers become something else. No tag can construct an object of Python.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import yaml

Tree: TypeAlias = Any
NOTHING: Mapping[str, str] = MappingProxyType({})

MAX_DEPTH = 150
MAX_NODES = 500_000
"""How much a file may come to when its aliases are written out; real templates stay far below a tenth of it."""
FILE_BYTES = 16 << 20
"""The longest file that is read; AWS takes templates and definitions of a megabyte."""
MAX_CHARACTERS = 16 << 20
"""How long a text may become by what is put into it."""

_TOO_MUCH = f"comes to more than {MAX_NODES} values; write its aliases out sparingly"
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9_.:-]+)\}")
_BARE = re.compile(r'"(?:[^"\\]|\\.)*"|(\$\{[A-Za-z0-9_.:-]+\})', re.DOTALL)
_BARE_PLACEHOLDER = re.compile(r"[:\[,]\s*(\$\{[A-Za-z0-9_.:-]+\})")


class ProjectError(ValueError):
    """A project file that cannot be read; the message names the file, the place in it, and what would help.

    `line` and `column` of `file` count from 1; None where there is no place in a file.
    """

    def __init__(
        self, message: str, line: int | None = None, column: int | None = None, file: Path | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.column = column


class _Loader(yaml.SafeLoader):
    """YAML as templates use it; `fill` holds the values of `${...}` placeholders.

    A plain scalar is judged after it was filled in: `TimeoutSeconds: ${Timeout}` is a number, `"${Timeout}"` is text.
    """

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 -- PyYAML's own way: a table of the class
    fill: Mapping[str, str] = NOTHING
    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write out what `<<` merges into a mapping, unless all merges together come to more than a file may."""
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        self.merged += len(part.value)
                    if self.merged > MAX_NODES:
                        raise yaml.constructor.ConstructorError(None, None, _TOO_MUCH, node.start_mark)
        super().flatten_mapping(node)

    def construct_text(self, node: yaml.ScalarNode) -> Any:
        """The text of a scalar, its placeholders replaced."""
        text = fill_in(node.value, self.fill)
        if text == node.value or node.style is not None:
            return text
        tag = self.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return self.construct_object(yaml.ScalarNode(tag, text), deep=True)

    def construct_short(self, name: str, node: yaml.Node) -> Tree:
        """A short tag in its full form: `!Sub x` is `{"Fn::Sub": "x"}`."""
        argument: Tree
        if isinstance(node, yaml.ScalarNode):
            argument = fill_in(node.value, self.fill)
        elif isinstance(node, yaml.SequenceNode):
            argument = self.construct_sequence(node, deep=True)
        else:
            argument = self.construct_mapping(node, deep=True)  # type: ignore[arg-type]
        if name == "GetAtt" and isinstance(argument, str):
            argument = argument.split(".", 1)
        return {name if name in {"Ref", "Condition"} else f"Fn::{name}": argument}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
_Loader.add_multi_constructor("!", _Loader.construct_short)


def read_file(path: Path) -> str:
    """The text of a project's file; raises ProjectError where there is none, or too much of it."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ProjectError(f"{path}: is longer than {FILE_BYTES} bytes")
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise ProjectError(f"{path}: no such file{_near(path)}") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read: {error.strerror}") from None


def read_tree(text: str, source: object, fill: Mapping[str, str] = NOTHING) -> Tree:
    """Plain data (dicts with text keys, lists, text, numbers, booleans, None) from JSON or YAML; raises ProjectError.

    `source` is named in messages. `fill` gives values for `${...}` placeholders in YAML.
    """
    if text.lstrip().startswith(("{", "[")):
        try:
            return _plain(_json(text, source), source)
        except json.JSONDecodeError as error:
            if str(source).endswith(".json"):
                raise _at(source, error.lineno, error.colno, f"not JSON: {error.msg}") from None
    try:
        return _plain(_yaml(text, fill), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not YAML: {error.problem or error.context}"
        if mark is None:
            raise ProjectError(f"{source}: {what}") from None
        raise _at(source, mark.line + 1, mark.column + 1, what) from None
    except RecursionError:
        raise ProjectError(f"{source}: nests deeper than {MAX_DEPTH} levels") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ProjectError):
            raise
        raise ProjectError(f"{source}: not YAML: {' '.join(str(error).split())}") from None


def compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, which know their lines and columns; None where there are none, or it is no YAML."""
    try:
        return yaml.compose(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def definition_text(text: str, source: object, fill: Mapping[str, str] = NOTHING, *, left_open: bool = False) -> str:
    """A state machine definition, written in JSON or YAML, as JSON text with its `${...}` placeholders filled in.

    JSON is filled in as plain text, as AWS does, so a placeholder may stand for a number or a whole object; only where
    that leaves no JSON (a value with quotes inside a string) are the values escaped. JSON text is otherwise untouched.
    With `left_open` a placeholder that nothing is known of may stand without quotes, and becomes a text.
    """
    if fill and len(text) + sum(len(fill.get(name, "")) for name in placeholders(text)) > MAX_CHARACTERS:
        raise ProjectError(f"{source}: with its placeholders filled in it has more than {MAX_CHARACTERS} characters")
    if not text.lstrip().startswith("{"):
        return write(_object(read_tree(text, source, fill), source))
    problem: json.JSONDecodeError | None = None
    for values in (fill, {name: write(value)[1:-1] for name, value in fill.items()}):
        filled = fill_in(text, values)
        if left_open:
            filled = _BARE.sub(lambda found: f'"{found[1]}"' if found[1] else found[0], filled)
        try:
            _json(filled, source, strict=True)
        except json.JSONDecodeError as error:
            problem = problem or error
        else:
            return filled
    try:
        return write(_object(_json(fill_in(text, fill), source), source))  # raw line breaks inside strings
    except json.JSONDecodeError:
        if str(source).endswith((".yaml", ".yml")):
            return write(_object(read_tree(text, source, fill), source))
    raise _not_json(fill_in(text, fill), source, problem)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """The text with each `${name}` that has a value replaced by it; the others stand."""
    if not values or "${" not in text:
        return text
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def placeholders(text: str) -> Iterator[str]:
    """The names of the `${...}` placeholders in a text, in order, with repeats."""
    return (found[1] for found in _PLACEHOLDER.finditer(text))


def write(tree: Tree) -> str:
    """Plain data as readable JSON text."""
    return json.dumps(tree, indent=2, ensure_ascii=False)


def _near(path: Path) -> str:
    """Names that differ in case alone: templates written on a Mac often do not mind it."""
    if not path.parent.is_dir():
        return ""
    near = [other.name for other in path.parent.iterdir() if other.name.lower() == path.name.lower()]
    return f"; there is {', '.join(near)}" if near else ""


def _json(text: str, source: object, *, strict: bool = False) -> Tree:
    """Published templates break lines inside strings. Raises JSONDecodeError, and ProjectError for what is too much."""
    try:
        return json.loads(text, strict=strict)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise ProjectError(f"{source}: nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # a number of thousands of digits
        raise ProjectError(f"{source}: not JSON: {error}") from None


def _yaml(text: str, fill: Mapping[str, str]) -> Tree:
    loader = _Loader(text)
    loader.fill = fill
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _plain(tree: Tree, source: object) -> Tree:
    """A copy with text keys and without aliases; refuses what grows or nests without measure (bomb, circle)."""
    left = MAX_NODES

    def copy(value: Tree, depth: int) -> Tree:
        nonlocal left
        left -= 1
        if left < 0:
            raise ProjectError(f"{source}: {_TOO_MUCH}")
        if depth > MAX_DEPTH:
            raise ProjectError(f"{source}: nests deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {_key(key): copy(child, depth + 1) for key, child in value.items()}
        if isinstance(value, list | tuple | set):
            return [copy(child, depth + 1) for child in value]
        if isinstance(value, str) and not _encodable(value):
            raise ProjectError(f"{source}: {value[:40]!a} holds half of a surrogate pair, which is no character")
        if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        return str(value)

    return copy(tree, 0)


def _encodable(text: str) -> bool:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    return json.dumps(key) if key is None or isinstance(key, bool) else str(key)


def _object(tree: Tree, source: object) -> dict[str, Tree]:
    if isinstance(tree, dict):
        return tree
    raise ProjectError(f"{source}: a definition is an object with StartAt and States; this is {_kind(tree)}")


def _kind(tree: Tree) -> str:
    return {dict: "an object", list: "an array", str: "text", type(None): "empty"}.get(type(tree), "a bare value")


def _at(source: object, line: int, column: int, what: str) -> ProjectError:
    file = source if isinstance(source, Path) else None
    return ProjectError(f"{source}: line {line}, column {column}: {what}", line, column, file)


def _not_json(text: str, source: object, problem: json.JSONDecodeError | None) -> ProjectError:
    bare = _BARE_PLACEHOLDER.search(text)
    if bare:
        line = text.count("\n", 0, bare.start(1)) + 1
        column = bare.start(1) - text.rfind("\n", 0, bare.start(1))
        hint = "give it a value in DefinitionSubstitutions, or put it in quotes"
        return _at(source, line, column, f"nothing is known of {bare[1]}; {hint}")
    if problem is None:
        return ProjectError(f"{source}: not JSON")
    return _at(source, problem.lineno, problem.colno, f"not JSON: {problem.msg}")
