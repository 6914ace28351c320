"""Templates of strangers: none of them comes to more than is read of any, and none shows what lies elsewhere."""

import json

import pytest
from tests.faults.levels import of_level

from stepfold.language.reading import cloudformation, notation
from stepfold.language.reading.notation import ProjectError, read_tree
from stepfold.language.reading.projects import read_project

DEEP = of_level(20, 25, 40)
MEGABYTE = "x" * (1 << 20)


def nested(form, innermost):
    """Ten of what is nested, in each of ten, and so on."""
    for _ in range(DEEP):
        innermost = form(innermost)
    return innermost


def escaped(value):
    return {"Fn::ToJsonString": [value]}


def tens(value):
    return {"Fn::Sub": ["${X}" * 10, {"X": value}]}


CONDITIONS = {
    **{f"C{number}": {"Fn::And": [{"Condition": f"C{number + 1}"}] * 10} for number in range(DEEP)},
    f"C{DEEP}": {"Fn::Equals": ["a", "a"]},
}
MAPPINGS = {"m": {"a": {f"k{number}": [{"Fn::FindInMap": ["m", "a", f"k{number + 1}"]}] * 10
                        for number in range(DEEP)}}}
GROWING = {
    "a text of texts": tens(nested(tens, "a")),
    "a text of long texts": {"Fn::Sub": ["${X}" * 100_000, {"X": MEGABYTE}]},
    "a long text between others": {"Fn::Join": [MEGABYTE, ["x"] * 100_000]},
    "a long parameter, often": {"Fn::Join": ["", [{"Ref": "Long"}] * 1_000]},
    "text in text in text": nested(escaped, nested(escaped, '"')),
    "conditions of conditions": {"Fn::If": ["C0", "a", "b"]},
    "mappings of mappings": {"Fn::FindInMap": ["m", "a", "k0"]},
}
MERGED = "a0: &a0 {k: 1}\n" + "".join(
    f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 9)}], k{number}: 1}}\n" for number in range(1, DEEP)
)


def template(tmp_path, definition, **properties):
    path = tmp_path / "template.json"
    machine = {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionString": definition, **properties}}
    path.write_text(json.dumps({
        "Resources": {"Flow": machine}, "Conditions": CONDITIONS, "Mappings": MAPPINGS,
        "Parameters": {"Long": {"Type": "String", "Default": MEGABYTE}},
    }))
    return path


@pytest.mark.parametrize("definition", GROWING.values(), ids=list(GROWING))
def test_references_that_grow_without_measure_are_refused(definition, tmp_path):
    with pytest.raises(ProjectError, match="come to more than is read of any template"):
        read_project(template(tmp_path, definition))


def test_a_long_text_that_is_filled_in_often_is_refused(tmp_path):
    path = template(tmp_path, '{"a": "%s"}' % ("${A}" * 1_000), DefinitionSubstitutions={"A": MEGABYTE})
    with pytest.raises(ProjectError, match="with its placeholders filled in"):
        read_project(path)


def test_what_real_templates_refer_to_is_far_below_the_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(cloudformation, "MOST_CALLS", 200)
    monkeypatch.setattr(cloudformation, "MAX_CHARACTERS", 20_000)
    read_project(template(tmp_path, {"Fn::Sub": ['{"StartAt": "%s"}' % ("${X}" * 90), {"X": {"Ref": "AWS::Region"}}]}))


def test_yaml_that_merges_without_measure_is_refused():
    with pytest.raises(ProjectError, match=r"comes to more than .* values"):
        read_tree(MERGED, "x.yaml")
    merged = "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*a, *b], z: 3}\n"
    assert read_tree(merged, "x.yaml")["c"] == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize("name", ["x.json", "x.yaml"])
def test_a_number_that_python_does_not_read_is_refused(name):
    with pytest.raises(ProjectError, match=name):
        read_tree('{"a": ' + "9" * 100_000 + "}", name)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    endless = tmp_path / "endless.yaml"
    endless.symlink_to("/dev/zero")
    with pytest.raises(ProjectError, match="is longer than"):
        read_project(endless)
    monkeypatch.setattr(notation, "FILE_BYTES", 10)
    (tmp_path / "long.yaml").write_text("a: 4567890")
    assert notation.read_file(tmp_path / "long.yaml")
    (tmp_path / "long.yaml").write_text("a: 45678901")
    with pytest.raises(ProjectError, match="is longer than"):
        notation.read_file(tmp_path / "long.yaml")
