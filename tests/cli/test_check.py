"""The check command: what it prints, in which form, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OPEN = """\
{
  "StartAt": "A",
  "TimeoutSeconds": ${Timeout},
  "States": {
    "A": {"Type": "Pass", "Next": "${Next}"},
    "B": {"Type": "Succeed", "Paramters": {}}
  }
}
"""
WARNED = '{"StartAt": "A",\n "States": {"A": {"Type": "Fail",\n  "Cause": "$.cause"}}}'
TEMPLATE = """\
Resources:
  Inline:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        StartAt: A
        States:
          A: {Type: Pass, Next: B}
          C: {Type: Succeed}
  Text:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      RoleArn: arn:aws:iam::123456789012:role/r
      DefinitionString: !Sub |
        {"StartAt": "A", "States": {
          "A": {"Type": "Wait", "Seconds": -1, "End": true}}}
  File:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {Next: B}
"""


def findings(told) -> list[tuple]:
    return [
        (one["code"], one["location"], one.get("line"), one.get("column"), one.get("endColumn"))
        for file in json.loads(told.stdout)["files"]
        for machine in file["machines"]
        for one in machine["diagnostics"]
    ]


def test_the_line_is_shown_with_a_mark_below(sf, write):
    told = sf("check", write("m.asl.json", OPEN))
    assert told.exit_code == 2
    assert "m.asl.json:6:30  /States/B  SCHEMA_VALIDATION_FAILED\n" in told.stdout
    line, mark = told.stdout.split("not supported\n")[1].splitlines()[:2]
    assert line.endswith('6 |     "B": {"Type": "Succeed", "Paramters": {}}')
    assert line[mark.index("^") : mark.rindex("^") + 1] == '"Paramters"'


def test_a_long_line_is_cut_around_the_mark(sf, write):
    told = sf("check", write("m.asl.json", json.dumps(json.loads(WARNED), separators=(", ", ":" + " " * 300))))
    line, mark = told.stdout.splitlines()[-2:]
    assert len(line) < 120
    assert line[mark.index("^") : mark.rindex("^") + 1] == '"$.cause"'


def test_placeholders_stand_for_any_value(sf, write):
    text = OPEN.replace(', "Paramters": {}', "")
    assert sf("check", write("m.asl.json", text)).exit_code == 0
    assert sf("run", "m.asl.json").exit_code == 2


def test_places_in_templates(sf, write):
    write("machine.asl.json", OPEN)
    told = sf("check", write("template.yaml", TEMPLATE), "--format", "json")
    assert findings(told) == [
        ("MISSING_TRANSITION_TARGET", "/States/A/Next", 8, 33, 34),
        ("MISSING_TRANSITION_TARGET", "/States/C", 9, 11, 12),
        ("SCHEMA_VALIDATION_FAILED", "/States/A/Seconds", 16, 44, 46),
        ("SCHEMA_VALIDATION_FAILED", "/States/B", 6, 30, 41),
    ]
    sources = [one["source"] for one in json.loads(told.stdout)["files"][0]["machines"]]
    assert [Path(source).name for source in sources] == ["template.yaml", "template.yaml", "machine.asl.json"]


UNKNOWN = """\
Parameters:
  Timeout: {Type: Number}
  Function: {Type: "AWS::SSM::Parameter::Value<String>", Default: /functions/f}
Resources:
  File:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {Timeout: !Ref Timeout, Next: !ImportValue Next}
  Inline:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        StartAt: T
        States:
          T: {Type: Task, Resource: !Ref Function, TimeoutSeconds: !Ref Timeout, Next: !GetAtt Other.Outputs.State}
          W: {Type: Wait, Seconds: !FindInMap [Stages, !Ref Stage, Seconds], End: true}
  Text:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      RoleArn: arn:aws:iam::123456789012:role/r
      DefinitionString: !Sub '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": ${Timeout}, "End": true}}}'
"""


def test_what_only_aws_could_tell_stands_for_any_value(sf, write):
    write("machine.asl.json", OPEN.replace(', "Paramters": {}', ""))
    told = sf("check", write("template.yaml", UNKNOWN), "--format", "json")
    assert findings(told) == []
    assert json.loads(told.stdout)["files"][0]["warnings"] == []
    assert sf("run", "template.yaml", "--machine", "Text").exit_code == 2


def test_a_definition_of_a_template_that_cannot_be_read_has_its_own_place(sf, write):
    write("machine.asl.json", '{"StartAt":\n oops}')
    told = json.loads(sf("check", write("template.yaml", UNKNOWN), "--format", "json").stdout)
    (machine,) = told["files"][0]["machines"]
    assert (machine["source"], machine["diagnostics"][0]["line"]) == ("machine.asl.json", 2)


def test_codes_can_be_left_out(sf, write):
    file = write("m.asl.json", OPEN)
    assert sf("check", file, "--ignore", "SCHEMA_VALIDATION_FAILED").exit_code == 0
    assert sf("check", file, "--ignore", "OTHER, SCHEMA_VALIDATION_FAILED", "--strict").exit_code == 0


def test_it_ends_as_bad_as_what_was_found(sf, write):
    file = write("m.asl.json", WARNED)
    told = sf("check", file)
    assert told.exit_code == 0
    assert "good, 1 to look at" in told.stdout
    assert "NO_PATH" in told.stdout
    assert sf("check", file, "--strict").exit_code == 1
    assert sf("check", file, "--strict", "--ignore", "NO_PATH").exit_code == 0
    assert sf("check", file, write("bad.asl.json", "{"), "--strict").exit_code == 2


def test_a_field_that_stands_twice(sf, write):
    write("m.asl.json", '{"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "a",\n "Error": "b"}}}')
    assert findings(sf("check", "m.asl.json", "--json")) == [("DUPLICATE_FIELD", "/States/A/Error", 2, 2, 9)]


def test_what_cannot_be_read_has_a_place(sf, write):
    write("m.asl.json", '{"StartAt": "A",\n  oops}')
    write("m.asl.yaml", "StartAt: A\nStates: [")
    told = findings(sf("check", "m.asl.json", "m.asl.yaml", "--format", "json"))
    assert [(code, line) for code, _, line, _, _ in told] == [("INVALID_JSON_DESCRIPTION", 2)] * 2


def test_sarif(sf, write):
    write("a b.asl.json", WARNED)
    write("m.asl.json", OPEN)
    log = json.loads(sf("check", "a b.asl.json", "m.asl.json", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "stepfold"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["NO_PATH", "SCHEMA_VALIDATION_FAILED"]
    warning, error = run["results"]
    assert (warning["level"], error["level"]) == ("warning", "error")
    assert warning["ruleId"] == "NO_PATH"
    (location,) = warning["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.asl.json"},
        "region": {"startLine": 3, "startColumn": 12, "endColumn": 21},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "/States/A/Cause"}]


def test_sarif_of_nothing_has_a_run_without_results(sf, write):
    log = json.loads(sf("check", write("m.asl.json", WARNED), "--ignore", "NO_PATH", "--format", "sarif").stdout)
    assert log["runs"][0]["results"] == []


@pytest.mark.parametrize(("name", "taken"), [
    ("machine.asl.json", True), ("a/b.asl.yaml", True), ("x.asl.yml", True), ("package.json", False),
])
def test_the_hook_takes_definitions(name, taken):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "stepfold check"
    assert bool(re.search(hook["files"], name)) is taken


def test_nothing_is_quoted_of_files_that_a_template_names_elsewhere(sf, here, tmp_path_factory):
    """A template may be a stranger's, and so may be the eyes on the report."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.yaml"
    elsewhere.write_text("password: hunter2\nkey: @hunter3\n")
    beside = here / "beside.yaml"
    beside.write_text("kind: shown\nkey: @shown\n")
    for source, word in ((elsewhere, "hunter"), (beside, "shown")):
        template = here / "template.yaml"
        template.write_text(
            "Resources:\n  Flow:\n    Type: AWS::Serverless::StateMachine\n"
            f"    Properties: {{DefinitionUri: '{source}'}}\n"
        )
        told = sf("check", template)
        assert told.exit_code == 2
        assert source.name in told.output
        assert (word in told.output) == (source == beside)
