"""What a CloudFormation or SAM template refers to: parameters, conditions, mappings, names and ARNs of resources.

Nothing is deployed, so nothing here asks AWS. Each reference comes to what it would most likely be: the name a resource
is given or its logical id, and an ARN made of that name. What cannot be known stands as readable text with a warning;
only a template that contradicts the caller's own words raises `ProjectError`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from stepfold.language.reading.kinds import FUNCTION, HERE, KINDS, ROLE
from stepfold.language.reading.notation import MAX_CHARACTERS, NOTHING, ProjectError, Tree
from stepfold.names import Home

STACK_NAME = "stepfold"
MOST_CALLS = 100_000
"""How many references are written out for one template: those in what they refer to count each time."""
_SUB = re.compile(r"\$\{(!?)([^${}]+)\}")
_NAME = re.compile(r"\s*[A-Za-z0-9]+(?:(?:::|\.)[A-Za-z0-9-]+)*\s*")


class NoValue:
    """The type of `AWS::NoValue`: whatever holds it is left out."""


NO_VALUE: Final = NoValue()


class Misfit(Exception):
    """An intrinsic function whose argument has another shape than it takes."""


class Stack:
    """A template with its parameters set. `resolve` writes out the references in any part of it.

    With `left_open` what cannot be known stands as a `${placeholder}`, without a warning.
    """

    def __init__(
        self,
        template: Mapping[str, Tree],
        source: object,
        home: Home,
        given: Mapping[str, str],
        *,
        left_open: bool = False,
    ) -> None:
        self.left_open = left_open
        self.open_names: set[str] = set()
        self.source = source
        self.home = home
        self.resources = _table(template, "Resources")
        self.mappings = _table(template, "Mappings")
        self.conditions = _table(template, "Conditions")
        self.parameters = _table(template, "Parameters")
        self._warnings: dict[str, None] = {}
        self._given = self._checked(given)
        self._under_way: set[str] = set()
        self._calls = self._characters = 0

    @property
    def warnings(self) -> list[str]:
        """What was passed over or guessed, each once, in the order met."""
        return list(self._warnings)

    def warn(self, message: str) -> None:
        """Note something that the reader of the template should know."""
        self._warnings[f"{self.source}: {message}"] = None

    def spend(self, characters: int = 0) -> None:
        """Pay for a reference, or for the text that it comes to. Raises ProjectError where a template grows too much.

        References to references double with each of them.
        """
        self._calls += not characters
        self._characters += characters
        if self._calls > MOST_CALLS or self._characters > MAX_CHARACTERS:
            raise ProjectError(f"{self.source}: its references, written out, come to more than is read of any template")

    def guess(self, name: str, stands: str, message: str) -> str:
        """What stands for something that only AWS or the caller could tell: readable text with a warning."""
        if not self.left_open:
            self.warn(message)
            return stands
        plain = re.sub(r"[^A-Za-z0-9_.:-]+", "-", name) or "-"
        self.open_names.add(plain)
        return f"${{{plain}}}"

    def resolve(self, value: Tree) -> Tree:
        """The value with every reference written out; `NO_VALUE` where it comes to nothing."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name, argument)
        return {name: item for name, part in value.items() if (item := self.resolve(part)) is not NO_VALUE}

    def text(self, value: Tree) -> str:
        """The value, resolved, as it would stand inside a text."""
        return as_text(self.resolve(value))

    def properties(self, logical_id: str) -> dict[str, Tree]:
        """The properties of a resource as written; empty where they are no object."""
        resource = self.resources.get(logical_id)
        found = resource.get("Properties") if isinstance(resource, dict) else None
        return found if isinstance(found, dict) else {}

    def type_of(self, logical_id: str) -> str:
        """The type of a resource, or nothing."""
        resource = self.resources.get(logical_id)
        found = resource.get("Type") if isinstance(resource, dict) else None
        return found if isinstance(found, str) else ""

    def name(self, logical_id: str) -> str:
        """The name of a resource: the one it is given, else its logical id."""
        if logical_id in self._under_way:  # two resources are named after each other
            return logical_id
        kind = self.type_of(logical_id)
        properties = self.properties(logical_id)
        self._under_way.add(logical_id)
        try:
            given = self.resolve(properties.get(f"{kind.rpartition('::')[2]}Name", properties.get("Name")))
        finally:
            self._under_way.discard(logical_id)
        if isinstance(given, str) and given:
            return given
        return logical_id.lower() if kind == "AWS::S3::Bucket" else logical_id

    def arn(self, logical_id: str) -> str:
        """The ARN of a resource. One of no known type is taken for a function: those are what workflows name most."""
        name = self.name(logical_id)
        kind = self.type_of(logical_id)
        if kind in {"AWS::Lambda::Alias", "AWS::Lambda::Version"}:
            function = self.text(self.properties(logical_id).get("FunctionName", logical_id))
            return f"{self._function_arn(function)}:{name if kind.endswith('Alias') else '1'}"
        if known := KINDS.get(kind):
            return self._arn(known.arn, name)
        if kind.count("::") == 2:
            _, service, sort = kind.lower().split("::")
            return self._arn(f"{service}:{HERE}:{sort}/{{name}}", name)
        return self._arn(FUNCTION, name)

    def ref(self, name: str) -> Tree:
        """What `Ref` of a parameter, a pseudo parameter or a resource comes to."""
        if name.startswith("AWS::"):
            return self._pseudo(name)
        if name in self.parameters:
            return self._parameter(name)
        kind = self.type_of(name)
        if not kind:
            return self._implied(name)
        if kind in {"AWS::Lambda::Alias", "AWS::Lambda::Version"}:
            return self.arn(name)
        form = KINDS[kind].ref if kind in KINDS else "name"
        return self.arn(name) if form == "arn" else self._queue_url(name) if form == "url" else self.name(name)

    def attribute(self, logical_id: str, attribute: str) -> Tree:
        """What `Fn::GetAtt` of a resource comes to."""
        if attribute.startswith("Outputs."):  # of a nested template, which is not read
            return self.foreign(f"{logical_id}-{attribute.removeprefix('Outputs.')}", f"{logical_id}.{attribute}")
        kind = self.type_of(logical_id)
        if not kind:
            implied = self._implied(logical_id, attribute)
            return implied if not attribute.endswith("Arn") or implied.startswith("arn:") else self.arn(logical_id)
        if attribute == "QueueUrl":
            return self._queue_url(logical_id)
        if attribute == "StreamArn" and "Table" in kind:
            return f"{self.arn(logical_id)}/stream/2000-01-01T00:00:00.000"
        if attribute.endswith("Arn"):
            return self.arn(logical_id)
        if attribute in {"Name", f"{kind.rpartition('::')[2]}Name"}:
            return self.name(logical_id)
        return f"{self.name(logical_id)}.{attribute}"

    def holds(self, name: str) -> bool:
        """Whether a condition of the template holds; an unknown one does, with a warning."""
        step = f"condition {name}"
        if name not in self.conditions or step in self._under_way:
            self.warn(f"{step} is not defined, or depends on itself; it is taken to hold")
            return True
        self._under_way.add(step)
        try:
            return self.judge(self.conditions[name])
        finally:
            self._under_way.discard(step)

    def judge(self, rule: Tree) -> bool:
        """Whether a condition, as written, holds."""
        self.spend()
        match rule:
            case {"Fn::Equals": [left, right]}:
                return self.text(left) == self.text(right)
            case {"Fn::And": [*parts]}:
                return all(self.judge(part) for part in parts)
            case {"Fn::Or": [*parts]}:
                return any(self.judge(part) for part in parts)
            case {"Fn::Not": [part]}:
                return not self.judge(part)
            case {"Condition": str(name)}:
                return self.holds(name)
            case str() | bool():
                return as_text(rule).lower() == "true"
            case _:
                self.warn(f"a condition is not understood and taken to hold: {_short(rule)}")
                return True

    def _call(self, name: str, argument: Tree) -> Tree:
        function = INTRINSICS.get(name)
        if function is None:
            return self.guess(name, name, f"{name} is not carried out; the text {name!r} stands in its place")
        self.spend()
        try:
            made = function(self, argument)
            self.spend(len(made) if isinstance(made, str) else 1)
            return made
        except Misfit:
            message = f"{name} does not take {_short(argument)}; the text {name!r} stands in its place"
            return self.guess(name, name, message)
        except RecursionError:
            raise ProjectError(f"{self.source}: {name} refers to itself: {_short(argument)}") from None

    def _checked(self, given: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in given.items():
            if name.startswith("AWS::"):
                continue
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ProjectError(f"{self.source}: the template has no parameter {name}; it has: {known}")
            allowed = self._about(name).get("AllowedValues")
            if isinstance(allowed, list) and value not in map(as_text, allowed):
                choice = ", ".join(map(as_text, allowed))
                raise ProjectError(f"{self.source}: parameter {name} may not be {value!r}; it may be: {choice}")
        return given

    def _about(self, parameter: str) -> Mapping[str, Tree]:
        about = self.parameters[parameter]
        return about if isinstance(about, dict) else NOTHING

    def _parameter(self, name: str) -> Tree:
        about = self._about(name)
        value = self._given.get(name, about.get("Default"))
        sort = as_text(about.get("Type", "String"))
        if value is None or (self.left_open and sort.startswith("AWS::SSM::") and name not in self._given):
            message = f"parameter {name} has no value; give it one. Its name stands in its place"
            return self.guess(name, name, message)
        if sort.startswith("List<") or "CommaDelimitedList" in sort:
            return [part.strip() for part in as_text(value).split(",")]
        return _number(as_text(value)) if sort == "Number" else as_text(value)

    def _pseudo(self, name: str) -> Tree:
        if name in self._given:
            return self._given[name]
        account, region, partition = self.home
        if name == "AWS::StackId":
            return self._arn(f"cloudformation:{HERE}:stack/{{name}}/0", STACK_NAME)
        known: dict[str, Tree] = {
            "AWS::AccountId": account,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::StackName": STACK_NAME,
            "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        }
        if name not in known:
            return self.guess(name, name, f"{name} is not known; its name stands in its place")
        return known[name]

    def _implied(self, name: str, attribute: str = "") -> str:
        """What SAM makes beside a resource: its role, the version and the alias of a function."""
        owner, _, what = name.partition(".")
        what = what or attribute
        if what in {"Version", "Alias"} and self.type_of(owner):
            alias = self.text(self.properties(owner).get("AutoPublishAlias")) or "live"
            return f"{self.arn(owner)}:{alias if what == 'Alias' else '1'}"
        owner = name.removesuffix("Role")
        if owner != name and self.type_of(owner):
            return self._arn(ROLE, name) if attribute == "Arn" else name
        owner, made, alias = name.partition("Alias")
        if made and alias and self.type_of(owner):
            return f"{self.arn(owner)}:{alias}"
        message = f"{name} is neither a parameter nor a resource of the template; its name stands in its place"
        return self.guess(name, name, message)

    def foreign(self, name: str, where: str) -> str:
        """What another stack gives, which nobody here can look up."""
        readable = self._arn(FUNCTION, re.sub(r"[^A-Za-z0-9-_]+", "-", name))
        return self.guess(name, readable, f"{where} comes from another stack; a readable ARN stands in its place")

    def _queue_url(self, logical_id: str) -> str:
        account, region, _ = self.home
        return f"https://sqs.{region}.{self._pseudo('AWS::URLSuffix')}/{account}/{self.name(logical_id)}"

    def _function_arn(self, name: str) -> str:
        return name if name.startswith("arn:") else self._arn(FUNCTION, name)

    def _arn(self, tail: str, name: str) -> str:
        account, region, partition = self.home
        return f"arn:{partition}:" + tail.format(region=region, account=account, name=name)


def as_text(value: Tree) -> str:
    """A resolved value as it stands inside a text."""
    if isinstance(value, str):
        return value
    if value is None or value is NO_VALUE:
        return ""
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return json.dumps(value, ensure_ascii=False)


def _sub(stack: Stack, argument: Tree) -> str:
    local: dict[str, Tree] = {}
    match argument:
        case str(text):
            pass
        case [str(text), dict(local)]:
            pass
        case _:
            raise Misfit

    def put(found: re.Match[str]) -> str:
        made = value(found)
        stack.spend(len(made))
        return made

    def value(found: re.Match[str]) -> str:
        literal, name = found[1], found[2].strip()
        if literal:
            return f"${{{found[2]}}}"
        if name in local:
            return stack.text(local[name])
        if not _NAME.fullmatch(name):  # a shell's or a script's own `${...}`
            return found[0]
        owner, dot, attribute = name.partition(".")
        return as_text(stack.attribute(owner, attribute) if dot else stack.ref(name))

    return _SUB.sub(put, text)


def _get_att(stack: Stack, argument: Tree) -> Tree:
    match argument:
        case str(path) if "." in path:
            owner, _, attribute = path.partition(".")
            return stack.attribute(owner, attribute)
        case [str(owner), *parts] if parts:
            return stack.attribute(owner, ".".join(stack.text(part) for part in parts))
    raise Misfit


def _join(stack: Stack, argument: Tree) -> str:
    match argument:
        case [str(between), parts]:
            found = stack.resolve(parts)
            if isinstance(found, list):
                texts = list(map(as_text, found))
                stack.spend(len(between) * len(texts) + sum(map(len, texts)))
                return between.join(texts)
    raise Misfit


def _split(stack: Stack, argument: Tree) -> list[str]:
    match argument:
        case [str(between), text] if between:
            return stack.text(text).split(between)
    raise Misfit


def _select(stack: Stack, argument: Tree) -> Tree:
    match argument:
        case [index, choices]:
            found, place = stack.resolve(choices), stack.text(index)
            if isinstance(found, list) and place.isdecimal():
                if int(place) < len(found):
                    return found[int(place)]
                stack.warn(f"Fn::Select {place} of a list of {len(found)}: {_short(choices)}; empty text stands there")
                return ""
    raise Misfit


def _if(stack: Stack, argument: Tree) -> Tree:
    match argument:
        case [str(name), then, otherwise]:
            return stack.resolve(then if stack.holds(name) else otherwise)
    raise Misfit


def _find_in_map(stack: Stack, argument: Tree) -> Tree:
    match argument:
        case [first, *rest] if len(rest) >= 2:
            name, top, second = (stack.text(part) for part in (first, *rest[:2]))
            table = stack.mappings.get(name)
            row = table.get(top) if isinstance(table, dict) else None
            if isinstance(row, dict) and second in row:
                return stack.resolve(row[second])
            if len(rest) > 2 and isinstance(rest[2], dict) and "DefaultValue" in rest[2]:
                return stack.resolve(rest[2]["DefaultValue"])
            message = f"mapping {name} has no {top}.{second}; {second!r} stands in its place"
            return stack.guess(f"{name}.{top}.{second}", second, message)
    raise Misfit


def _import_value(stack: Stack, argument: Tree) -> str:
    name = stack.text(argument)
    return stack.foreign(name, f"Fn::ImportValue {name}")


def _length(stack: Stack, argument: Tree) -> int:
    found = stack.resolve(argument)
    if isinstance(found, list):
        return len(found)
    raise Misfit


def _to_json(stack: Stack, argument: Tree) -> str:
    found = stack.resolve(argument)
    if isinstance(found, list | dict):
        return json.dumps(found, ensure_ascii=False)
    raise Misfit


def _ref(stack: Stack, argument: Tree) -> Tree:
    if not isinstance(argument, str):
        raise Misfit
    return stack.ref(argument)


Intrinsic: TypeAlias = Callable[[Stack, Any], Tree]
INTRINSICS: Mapping[str, Intrinsic] = {
    "Ref": _ref,
    "Fn::Base64": lambda stack, value: base64.b64encode(stack.text(value).encode()).decode(),
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": lambda stack, value: [f"{stack.text(value) or stack.home.region}{zone}" for zone in "abc"],
    "Fn::GetAtt": _get_att,
    "Fn::If": _if,
    "Fn::ImportValue": _import_value,
    "Fn::Join": _join,
    "Fn::Length": _length,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": _sub,
    "Fn::ToJsonString": _to_json,
}


def _table(template: Mapping[str, Tree], section: str) -> dict[str, Tree]:
    found = template.get(section)
    return found if isinstance(found, dict) else {}


def _number(text: str) -> Tree:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _short(value: Tree) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
