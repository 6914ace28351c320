"""The shipped examples hold together: templates read, definitions parse, and every file they name is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import stepfold
from stepfold.language.reading.projects import read_project

EXAMPLES = Path(stepfold.__path__[0]) / "examples"
STATES = {
    "article/template-node.yaml": [["Fetch All My Data", "Process My Data", "Do I have more data?", "Save My Data"]],
    "article/template-python.yaml": [["Fetch All My Data", "Process My Data", "Do I have more data?", "Save My Data"]],
    "orders/template.yaml": [["Check Order", "Prepare", "Ship Order", "Cancel Order"]],
    "starter/template.yaml": [["Greet"], ["Start"], ["Start"]],
}
"""The states of each template's machines."""
ENDINGS = {"python": ".py", "nodejs": ".js"}
HEADS = {".py": "def {}(event, context):", ".js": "exports.{} = (event, context, callback) => {{"}
PROMISES = {".js": "exports.{} = async (event) => {{"}
"""The heads of handlers that wait for an SDK, whose calls are promises."""


def resources(tree):
    """Every Resource of the tasks in a definition, nested ones included."""
    if isinstance(tree, list):
        for item in tree:
            yield from resources(item)
    elif isinstance(tree, dict):
        if tree.get("Type") == "Task":
            yield tree["Resource"]
        yield from resources(list(tree.values()))


def test_every_template_is_listed_here():
    assert {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("template*")} == set(STATES)


@pytest.mark.parametrize("template", STATES)
def test_an_example_reads_without_a_warning(template):
    project = read_project(EXAMPLES / template)
    assert project.warnings == []
    assert [list(json.loads(machine.definition)["States"]) for machine in project.machines] == STATES[template]


@pytest.mark.parametrize("template", STATES)
def test_tasks_and_functions_are_the_same(template):
    project = read_project(EXAMPLES / template)
    called = {found for machine in project.machines for found in resources(json.loads(machine.definition))}
    assert called == {f"arn:aws:lambda:us-east-1:123456789012:function:{found.name}" for found in project.functions}


@pytest.mark.parametrize("template", STATES)
def test_each_handler_is_where_its_function_says(template):
    for function in read_project(EXAMPLES / template).functions:
        module, _, name = function.handler.rpartition(".")
        ending = ENDINGS[function.runtime.rstrip("0123456789.x")]
        source = (function.code / (module + ending)).read_text()
        heads = HEADS | PROMISES if template.startswith("starter/") else HEADS
        assert heads[ending].format(name) in source


def test_the_definitions_parse_by_themselves_too():
    for path in EXAMPLES.rglob("*.json"):
        assert isinstance(json.loads(path.read_text()), dict)


def test_each_example_says_what_it_shows():
    for folder in (EXAMPLES, *(path for path in EXAMPLES.iterdir() if path.is_dir())):
        assert (folder / "README.md").read_text().startswith("# ")
