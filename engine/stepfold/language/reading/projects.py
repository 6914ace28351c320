"""State machines and functions found in a project's SAM or CloudFormation template.

Templates are read as people publish them: what concerns no machine and no function is passed over, what lies in a
bucket or an image is named in a warning, and a reference that only AWS could answer stands as a readable ARN. Since
names and ARNs come from one `Home`, a machine's `!GetAtt Fn.Arn` is the ARN of the function that was read beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stepfold.language.reading.cloudformation import NO_VALUE, Stack, as_text
from stepfold.language.reading.notation import (
    NOTHING,
    ProjectError,
    Tree,
    definition_text,
    placeholders,
    read_file,
    read_tree,
    write,
)
from stepfold.names import Home

__all__ = ["Project", "ProjectError", "ProjectFunction", "ProjectMachine", "is_template", "read_project"]

FUNCTIONS = frozenset({"AWS::Serverless::Function", "AWS::Lambda::Function"})
MACHINES = frozenset({"AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine"})
NESTED = frozenset({"AWS::Serverless::Application", "AWS::CloudFormation::Stack"})

_HOME = Home()


class ProjectMachine(msgspec.Struct, frozen=True, kw_only=True):
    """A state machine of a project. `definition` is JSON text; `source` is the file it stands in, for messages."""

    logical_id: str
    name: str
    definition: str
    type: str
    role: str
    source: str


class ProjectFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A Lambda function of a project.

    `code` is an absolute path (a folder, as a rule), or the source text itself where that stands in the template: a
    file named `index` then. `timeout` is in seconds, `memory` in MB; both have AWS's defaults.
    """

    logical_id: str
    name: str
    runtime: str
    handler: str
    code: Path | str
    timeout: float = 3
    memory: int = 128
    environment: dict[str, str] = {}


class Project(msgspec.Struct, frozen=True):
    """What a template holds for us; `warnings` says what was passed over or guessed."""

    machines: list[ProjectMachine] = []
    functions: list[ProjectFunction] = []
    warnings: list[str] = []


class _PassedOver(Exception):
    """Not an error: a resource is left out, and the message becomes a warning."""


def read_project(
    path: Path, *, home: Home = _HOME, parameters: Mapping[str, str] = NOTHING, left_open: bool = False
) -> Project:
    """The machines and functions of the template at `path`, its references written out; raises ProjectError.

    `parameters` are values for the template's parameters; a name that begins with `AWS::` sets a pseudo parameter.
    With `left_open` a `${placeholder}` stands in a definition for whatever is not known, also without quotes.
    """
    path = Path(path).absolute()
    template = read_tree(read_file(path), path)
    if not is_template(template):
        raise ProjectError(f"{path}: not a SAM or CloudFormation template: it has no Resources object")
    stack = Stack(template, path, home, parameters, left_open=left_open)
    found = Project()
    for logical_id, resource in _resources(stack):
        kind = resource.get("Type")
        try:
            if kind in FUNCTIONS:
                found.functions.append(_function(stack, logical_id, resource, template, path.parent))
            elif kind in MACHINES:
                found.machines.append(_machine(stack, logical_id, resource, path))
            elif kind in NESTED:
                stack.warn(f"{logical_id}: a nested template is not read; read it by itself")
        except _PassedOver as reason:
            stack.warn(f"{logical_id} is passed over: {reason}")
    found.warnings.extend(stack.warnings)
    return found


def is_template(subject: Path | str | Mapping[str, Any]) -> bool:
    """Whether a file, or data read from one, is a SAM or CloudFormation template rather than a definition."""
    tree: Tree = subject
    if isinstance(subject, Path | str):
        try:
            tree = read_tree(read_file(Path(subject)), subject)
        except ProjectError:
            return False
    return isinstance(tree, Mapping) and isinstance(tree.get("Resources"), Mapping) and "StartAt" not in tree


def _resources(stack: Stack) -> Iterator[tuple[str, dict[str, Tree]]]:
    """The resources that would be made, in the template's order."""
    for logical_id, resource in stack.resources.items():
        if logical_id.startswith("Fn::"):
            stack.warn(f"{logical_id}: resources made by {logical_id.split('::')[1]} are not read")
        elif not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            stack.warn(f"{logical_id} is passed over: a resource is an object with a Type")
        elif isinstance(condition := resource.get("Condition"), str) and not stack.holds(condition):
            continue
        else:
            yield logical_id, resource


def _properties(resource: Mapping[str, Tree]) -> dict[str, Tree]:
    properties = resource.get("Properties", {})
    if isinstance(properties, dict):
        return properties
    raise _PassedOver("its Properties are no object")


# --- machines


def _machine(stack: Stack, logical_id: str, resource: Mapping[str, Tree], path: Path) -> ProjectMachine:
    properties = _properties(resource)
    definition, source = _definition(stack, logical_id, resource, path)
    sort = stack.text(properties.get("Type", properties.get("StateMachineType"))) or "STANDARD"
    if sort not in {"STANDARD", "EXPRESS"}:
        stack.warn(f"{logical_id}: its type {sort!r} is neither STANDARD nor EXPRESS; it is taken for STANDARD")
        sort = "STANDARD"
    for name in placeholders(definition):
        if name in stack.open_names:
            continue
        stack.warn(f"{logical_id}: ${{{name}}} stands in its definition; DefinitionSubstitutions give it no value")
    role = stack.text(properties.get("Role", properties.get("RoleArn")))
    return ProjectMachine(
        logical_id=logical_id,
        name=stack.name(logical_id),
        definition=definition,
        type=sort,
        role=role or stack.home.role(f"{logical_id}Role"),
        source=str(source),
    )


def _definition(stack: Stack, logical_id: str, resource: Mapping[str, Tree], path: Path) -> tuple[str, Path]:
    """The text of a machine's definition, and the file it stands in."""
    properties = _properties(resource)
    fill = _substitutions(stack, logical_id, properties)
    for place in ("DefinitionUri", "DefinitionS3Location"):
        if (where := properties.get(place)) is not None:
            file = path.parent / _local(stack.resolve(where), place, resource, path.parent)
            try:
                return definition_text(read_file(file), file, fill, left_open=stack.left_open), file
            except ProjectError as error:
                message = f"{error} ({place} of {logical_id} in {path.name})"
                raise ProjectError(message, error.line, error.column, error.file) from None
    for place in ("DefinitionString", "Definition"):
        inline = stack.resolve(properties.get(place))
        if isinstance(inline, dict):
            inline = write(inline)
        if isinstance(inline, str) and inline.strip():
            return definition_text(inline, f"{path}: {place} of {logical_id}", fill, left_open=stack.left_open), path
        if inline is not None:
            raise _PassedOver(f"its {place} is neither text nor an object")
    raise _PassedOver("it has no definition: DefinitionUri, Definition or DefinitionString")


def _substitutions(stack: Stack, logical_id: str, properties: Mapping[str, Tree]) -> dict[str, str]:
    given = stack.resolve(properties.get("DefinitionSubstitutions"))
    if given is None or given is NO_VALUE:
        return {}
    if not isinstance(given, dict):
        stack.warn(f"{logical_id}: its DefinitionSubstitutions are no object and are left out")
        return {}
    return {name: as_text(value) for name, value in given.items()}


# --- functions


def _function(
    stack: Stack, logical_id: str, resource: Mapping[str, Tree], template: Mapping[str, Tree], folder: Path
) -> ProjectFunction:
    properties = _properties(resource)
    if resource["Type"] == "AWS::Serverless::Function":
        properties = _merged(_global_function(template), properties)
    if stack.text(properties.get("PackageType")) == "Image" or "ImageUri" in properties:
        raise _PassedOver("a function in a container image is not run here; mock it, or give its code as a folder")
    code = _code(stack, properties, resource, folder)
    if isinstance(code, Path) and not code.exists():
        stack.warn(f"{logical_id}: its code is not at {code}; build it first")
    environment = stack.resolve(properties.get("Environment"))
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    return ProjectFunction(
        logical_id=logical_id,
        name=stack.name(logical_id),
        runtime=stack.text(properties.get("Runtime")),
        handler=stack.text(properties.get("Handler")),
        code=code,
        timeout=_count(stack, logical_id, properties, "Timeout", 3),
        memory=_count(stack, logical_id, properties, "MemorySize", 128),
        environment={k: as_text(v) for k, v in variables.items()} if isinstance(variables, dict) else {},
    )


def _code(stack: Stack, properties: Mapping[str, Tree], resource: Mapping[str, Tree], folder: Path) -> Path | str:
    """Where a function's code lies, or the code itself."""
    for place in ("CodeUri", "Code"):
        where = stack.resolve(properties.get(place))
        if isinstance(where, dict) and isinstance(where.get("ZipFile"), str):
            return str(where["ZipFile"])
        if where is not None and where is not NO_VALUE:
            return (folder / _local(where, place, resource, folder)).resolve()
    inline = stack.resolve(properties.get("InlineCode"))
    if isinstance(inline, str):
        return inline
    if resource["Type"] == "AWS::Serverless::Function":
        return folder.resolve()  # SAM's own default
    raise _PassedOver("it has no Code")


def _count(stack: Stack, logical_id: str, properties: Mapping[str, Tree], field: str, default: int) -> int:
    given = stack.resolve(properties.get(field))
    if given is None or given is NO_VALUE:
        return default
    if isinstance(given, int) or (isinstance(given, str) and given.isdecimal()):
        return int(given)
    stack.warn(f"{logical_id}: its {field} {as_text(given)!r} is no whole number; AWS's default {default} is taken")
    return default


def _global_function(template: Mapping[str, Tree]) -> dict[str, Tree]:
    match template.get("Globals"):
        case {"Function": dict(shared)}:
            return shared
    return {}


def _merged(shared: Mapping[str, Tree], own: Mapping[str, Tree]) -> dict[str, Tree]:
    """A resource's own properties over the shared ones: SAM joins maps, puts lists together, and replaces the rest."""
    merged = dict(shared)
    for name, value in own.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and not (_intrinsic(before) or _intrinsic(value)):
            merged[name] = _merged(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = before + value
        else:
            merged[name] = value
    return merged


def _intrinsic(value: Mapping[str, Tree]) -> bool:
    return len(value) == 1 and any(name == "Ref" or name.startswith("Fn::") for name in value)


# --- where things lie


def _local(where: Tree, place: str, resource: Mapping[str, Tree], folder: Path) -> str:
    """The local path that a property means: its text, or the asset that the CDK left beside the template."""
    if isinstance(where, str) and "\0" not in where and not where.startswith(("s3://", "https://", "http://")):
        return where.removeprefix("file://")
    match resource.get("Metadata"):
        case {"aws:asset:path": str(asset), "aws:asset:property": str(field)} if field == place:
            return asset
    if isinstance(where, dict):
        asset = f"asset.{where.get('S3Key', where.get('Key'))}"
        for name in (asset, asset.removesuffix(".zip")):
            if (folder / name).exists():
                return name
    raise _PassedOver(f"its {place} is in a bucket ({as_text(where)}); point it at a local path")

