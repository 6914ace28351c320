"""Templates read as people publish them: intrinsics, both kinds of template, and what is wrong said clearly."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from stepfold.language.reading.notation import definition_text, read_tree
from stepfold.language.reading.projects import Project, ProjectError, is_template, read_project
from stepfold.names import Home

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
STATES = "arn:aws:states:us-east-1:123456789012:"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}

TEMPLATE = {
    "Parameters": {
        "Stage": {"Type": "String", "Default": "dev", "AllowedValues": ["dev", "prod"]},
        "Count": {"Type": "Number", "Default": "3"},
        "Digits": {"Type": "String", "Default": 7},
        "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Bare": {"Type": "String"},
    },
    "Mappings": {"Sizes": {"dev": {"Memory": 128}, "prod": {"Memory": 1024}}},
    "Conditions": {
        "Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "NotProd": {"Fn::Not": [{"Condition": "Prod"}]},
        "Both": {"Fn::And": [{"Condition": "Prod"}, {"Condition": "NotProd"}]},
        "Either": {"Fn::Or": [{"Condition": "Prod"}, {"Condition": "NotProd"}]},
        "Loop": {"Condition": "Loop"},
    },
    "Resources": {
        "Fn": {"Type": "AWS::Serverless::Function", "Properties": {"InlineCode": "x", "AutoPublishAlias": "live"}},
        "Named": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"FunctionName": {"Fn::Sub": "work-${Stage}"}, "Code": {"ZipFile": "x"}},
        },
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {"FunctionName": {"Ref": "Named"}, "Name": "blue"},
        },
        "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": "m"}},
        "Poll": {"Type": "AWS::StepFunctions::Activity", "Properties": {"Name": "poll"}},
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "news"}},
        "Table": {"Type": "AWS::DynamoDB::Table"},
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {"Type": "AWS::IAM::Role"},
        "Job": {"Type": "AWS::Glue::Job", "Properties": {"Name": "sift"}},
        "Ping": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::Sub": "${Pong.TopicName}-x"}}},
        "Pong": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::Sub": "${Ping.TopicName}-y"}}},
    },
}


def read(tmp_path: Path, template: object, **options: object) -> Project:
    path = tmp_path / "template.json"
    path.write_text(template if isinstance(template, str) else json.dumps(template))
    return read_project(path, **options)


def read_yaml(tmp_path: Path, text: str, **options: object) -> Project:
    path = tmp_path / "template.yaml"
    path.write_text(dedent(text))
    return read_project(path, **options)


def resolved(tmp_path: Path, value: object, **options: object) -> object:
    """What a value comes to inside the template above, seen through a definition that holds it."""
    definition = {**PASS, "Comment": value}
    probe = {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": definition}}
    template = {**TEMPLATE, "Resources": {"Probe": probe, **TEMPLATE["Resources"]}}
    return json.loads(read(tmp_path, template, **options).machines[0].definition).get("Comment", "left out")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Count"}, 3),
        ({"Ref": "Digits"}, "7"),
        ({"Ref": "Zones"}, ["a", "b"]),
        ({"Ref": "Bare"}, "Bare"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "AWS::AccountId"}, "123456789012"),
        ({"Ref": "AWS::Partition"}, "aws"),
        ({"Ref": "AWS::StackName"}, "stepfold"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Ref": "AWS::NoValue"}, "left out"),
        ({"Ref": "Fn"}, "Fn"),
        ({"Ref": "Named"}, "work-dev"),
        ({"Ref": "Machine"}, f"{STATES}stateMachine:m"),
        ({"Ref": "Poll"}, f"{STATES}activity:poll"),
        ({"Ref": "Queue"}, "https://sqs.us-east-1.amazonaws.com/123456789012/Queue"),
        ({"Ref": "Topic"}, "arn:aws:sns:us-east-1:123456789012:news"),
        ({"Ref": "Table"}, "Table"),
        ({"Ref": "Bucket"}, "bucket"),
        ({"Ref": "Role"}, "Role"),
        ({"Ref": "Alias"}, f"{LAMBDA}work-dev:blue"),
        ({"Ref": "Fn.Version"}, f"{LAMBDA}Fn:1"),
        ({"Ref": "Fn.Alias"}, f"{LAMBDA}Fn:live"),
        ({"Ref": "FnAliaslive"}, f"{LAMBDA}Fn:live"),
        ({"Fn::GetAtt": ["Fn", "Arn"]}, f"{LAMBDA}Fn"),
        ({"Fn::GetAtt": "Named.Arn"}, f"{LAMBDA}work-dev"),
        ({"Fn::GetAtt": ["Machine", "Name"]}, "m"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:aws:sqs:us-east-1:123456789012:Queue"),
        ({"Fn::GetAtt": ["Queue", "QueueName"]}, "Queue"),
        ({"Fn::GetAtt": ["Topic", "TopicArn"]}, "arn:aws:sns:us-east-1:123456789012:news"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:aws:dynamodb:us-east-1:123456789012:table/Table"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::bucket"),
        ({"Fn::GetAtt": ["Role", "Arn"]}, "arn:aws:iam::123456789012:role/Role"),
        ({"Fn::GetAtt": ["FnRole", "Arn"]}, "arn:aws:iam::123456789012:role/FnRole"),
        ({"Fn::GetAtt": ["Job", "Arn"]}, "arn:aws:glue:us-east-1:123456789012:job/sift"),
        ({"Fn::GetAtt": ["Nowhere", "Arn"]}, f"{LAMBDA}Nowhere"),
        ({"Fn::GetAtt": ["Other", "Outputs.WorkArn"]}, f"{LAMBDA}Other-WorkArn"),
        ({"Fn::GetAtt": ["Ping", "TopicArn"]}, "arn:aws:sns:us-east-1:123456789012:Ping-y-x"),
        ({"Fn::Sub": "${Stage}-${AWS::Region}-${!Kept}-${Fn.Arn}"}, f"dev-us-east-1-${{Kept}}-{LAMBDA}Fn"),
        ({"Fn::Sub": ["${a}/${Stage}", {"a": {"Ref": "Count"}}]}, "3/dev"),
        ({"Fn::Sub": "${HOME:-x} costs $5"}, "${HOME:-x} costs $5"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}, 1, {"Ref": "AWS::NoValue"}]]}, "a-dev-1"),
        ({"Fn::Join": [",", {"Ref": "Zones"}]}, "a,b"),
        ({"Fn::Select": ["1", {"Ref": "Zones"}]}, "b"),
        ({"Fn::Select": [6, {"Fn::Split": [":", {"Fn::GetAtt": ["Fn", "Arn"]}]}]}, "Fn"),
        ({"Fn::Select": [9, ["a"]]}, ""),
        ({"Fn::If": ["Prod", "yes", "no"]}, "no"),
        ({"Fn::If": ["NotProd", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"Fn::If": ["Either", "yes", {"Ref": "AWS::NoValue"}]}, "yes"),
        ({"Fn::If": ["Loop", "yes", "no"]}, "yes"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Memory"]}, 128),
        ({"Fn::FindInMap": ["Sizes", "test", "Memory", {"DefaultValue": 64}]}, 64),
        ({"Fn::FindInMap": ["Sizes", "test", "Memory"]}, "Memory"),
        ({"Fn::ImportValue": {"Fn::Sub": "${Stage}:WorkArn"}}, f"{LAMBDA}dev-WorkArn"),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::ToJsonString": {"a": {"Ref": "Stage"}}}, '{"a": "dev"}'),
        ({"Fn::Length": {"Ref": "Zones"}}, 2),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "Fn::Transform"),
        ({"Fn::Join": "odd"}, "Fn::Join"),
        ({"Condition": "{% $x %}"}, {"Condition": "{% $x %}"}),
        ({"a": [{"Ref": "Stage"}, {"b": {"Ref": "AWS::NoValue"}}]}, {"a": ["dev", {}]}),
    ],
)
def test_an_intrinsic_function_comes_to(tmp_path, value, expected):
    assert resolved(tmp_path, value) == expected


def test_parameters_and_pseudo_parameters_may_be_given(tmp_path):
    value = {"Fn::Join": [" ", [{"Ref": "AWS::StackName"}, {"Fn::If": ["Prod", {"Ref": "Named"}, "no"]}]]}
    assert resolved(tmp_path, value, parameters={"Stage": "prod", "AWS::StackName": "shop"}) == "shop work-prod"


def test_a_home_elsewhere_shows_in_every_arn(tmp_path):
    home = Home("999999999999", "cn-north-1", "aws-cn")
    assert resolved(tmp_path, {"Ref": "Machine"}, home=home) == home.machine("m")
    assert resolved(tmp_path, {"Ref": "Queue"}, home=home).startswith("https://sqs.cn-north-1.amazonaws.com.cn/")


SAM = """
    Transform: AWS::Serverless-2016-10-31
    Globals:
      Function:
        Runtime: python3.12
        Timeout: 30
        Environment: {Variables: {SHARED: !Ref Stage, OWN: shared}}
    Parameters:
      Stage: {Type: String, Default: 2012-10-17}
      Timeout: {Type: Number, Default: 5}
    Conditions:
      Never: !Equals [!Ref Stage, "x"]
    Resources:
      Work:
        Type: AWS::Serverless::Function
        Properties:
          FunctionName: !Sub work-${Stage}
          CodeUri: src/
          Handler: app.handler
          MemorySize: 256
          Policies: [{DynamoDBReadPolicy: {TableName: !Ref Nowhere}}]
          Environment:
            Variables:
              OWN: true
              ACCOUNT: 012345678901
              MACHINE: !GetAtt Flow.Arn
      Skipped:
        Type: AWS::Serverless::Function
        Condition: Never
        Properties: {CodeUri: src/}
      Flow:
        Type: AWS::Serverless::StateMachine
        Properties:
          Name: flow
          Type: EXPRESS
          DefinitionUri: FILE
          DefinitionSubstitutions:
            WorkArn: !GetAtt Work.Arn
            Timeout: !Ref Timeout
            Words: 'say "hi"'
      Ignored:
        Type: AWS::ApiGateway::RestApi
        Properties: {Body: {Fn::Transform: {Name: AWS::Include}}}
"""

ASL_JSON = """{"Comment": "${Words}", "StartAt": "A", "States": {
  "A": {"Type": "Task", "Resource": "${WorkArn}", "TimeoutSeconds": ${Timeout}, "End": true}}}"""
ASL_YAML = """
StartAt: A
Comment: ${Words}
States:
  A:
    Type: Task
    Resource: "${WorkArn}"
    TimeoutSeconds: ${Timeout}
    End: true
"""


@pytest.mark.parametrize(("file", "text"), [("flow.asl.json", ASL_JSON), ("flow.asl.yaml", ASL_YAML)])
def test_a_sam_template_with_its_definition_in_a_file(tmp_path, file, text):
    (tmp_path / "src").mkdir()
    (tmp_path / file).write_text(text)
    project = read_yaml(tmp_path, SAM.replace("FILE", file))

    assert project.warnings == []
    [work] = project.functions
    assert (work.logical_id, work.name, work.runtime, work.handler) == (
        "Work",
        "work-2012-10-17",
        "python3.12",
        "app.handler",
    )
    assert (work.code, work.timeout, work.memory) == (tmp_path.resolve() / "src", 30, 256)
    assert work.environment == {
        "SHARED": "2012-10-17",
        "OWN": "true",
        "ACCOUNT": "012345678901",
        "MACHINE": f"{STATES}stateMachine:flow",
    }
    [flow] = project.machines
    assert (flow.name, flow.type, flow.source) == ("flow", "EXPRESS", str(tmp_path / file))
    assert flow.role == "arn:aws:iam::123456789012:role/FlowRole"
    definition = json.loads(flow.definition)
    assert definition["Comment"] == 'say "hi"'
    assert definition["States"]["A"]["Resource"] == Home().function(work.name)
    assert definition["States"]["A"]["TimeoutSeconds"] == 5


def test_a_synthesized_template(tmp_path):
    (tmp_path / "asset.abc").mkdir()
    (tmp_path / "asset.def.json").write_text(json.dumps(PASS))
    start = '{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"'
    parts = [start, {"Fn::GetAtt": ["F1", "Arn"]}, '","End":true}}}']
    project = read(
        tmp_path,
        {
            "Resources": {
                "F1": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {"Code": {"S3Bucket": {"Fn::Sub": "b"}, "S3Key": "abc.zip"}, "Handler": "index.f"},
                    "Metadata": {"aws:asset:path": "asset.abc", "aws:asset:property": "Code"},
                },
                "F2": {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"S3Bucket": "b", "S3Key": "abc.zip"}}},
                "M1": {
                    "Type": "AWS::StepFunctions::StateMachine",
                    "Properties": {
                        "DefinitionString": {"Fn::Join": ["", parts]},
                        "RoleArn": {"Fn::GetAtt": ["R", "Arn"]},
                    },
                },
                "M2": {
                    "Type": "AWS::StepFunctions::StateMachine",
                    "Properties": {"DefinitionS3Location": {"Bucket": "b", "Key": "def.json"}},
                },
                "R": {"Type": "AWS::IAM::Role"},
                "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "x"}},
            },
        },
    )
    assert project.warnings == []
    assert [f.code for f in project.functions] == [tmp_path.resolve() / "asset.abc"] * 2
    assert [m.role for m in project.machines] == [Home().role("R"), Home().role("M2Role")]
    assert json.loads(project.machines[0].definition)["States"]["A"]["Resource"] == Home().function("F1")
    assert json.loads(project.machines[1].definition) == PASS


@pytest.mark.parametrize(
    "properties",
    [
        {"DefinitionString": json.dumps(PASS)},
        {"DefinitionString": {"Fn::Sub": ['{"StartAt": "A", ${rest}', {"rest": json.dumps(PASS)[17:]}]}},
        {"DefinitionString": json.dumps(PASS).replace("Pass", "${P}"), "DefinitionSubstitutions": {"P": "Pass"}},
        {"DefinitionString": PASS},
        {"Definition": PASS},
        {"Definition": json.dumps(PASS)},
        {"DefinitionString": "StartAt: A\nStates:\n  A: {Type: Pass, End: true}\n"},
    ],
)
@pytest.mark.parametrize("kind", ["AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine"])
def test_a_definition_in_the_template(tmp_path, kind, properties):
    project = read(tmp_path, {"Resources": {"M": {"Type": kind, "Properties": properties}}})
    assert json.loads(project.machines[0].definition) == PASS
    assert (project.machines[0].name, project.machines[0].type, project.warnings) == ("M", "STANDARD", [])


def test_a_line_break_inside_a_string_does_no_harm(tmp_path):
    text = json.dumps({**PASS, "Comment": "one LF two"}).replace("LF", "\n")
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": text}}
    project = read(tmp_path, {"Resources": {"M": machine}})
    assert json.loads(project.machines[0].definition)["Comment"] == "one \n two"


@pytest.mark.parametrize(
    ("kind", "properties", "says"),
    [
        ("AWS::Serverless::Function", {"PackageType": "Image", "ImageUri": "x"}, "container image"),
        ("AWS::Serverless::Function", {"CodeUri": "s3://bucket/code.zip"}, "CodeUri is in a bucket"),
        ("AWS::Serverless::Function", {"CodeUri": {"Bucket": "b", "Key": "k"}}, "CodeUri is in a bucket"),
        ("AWS::Lambda::Function", {"Code": {"S3Bucket": "b", "S3Key": "k"}}, "Code is in a bucket"),
        ("AWS::Lambda::Function", {}, "it has no Code"),
        ("AWS::Serverless::StateMachine", {"DefinitionUri": {"Bucket": "b", "Key": "k"}}, "is in a bucket"),
        ("AWS::StepFunctions::StateMachine", {"DefinitionS3Location": {"Bucket": "b", "Key": "k"}}, "in a bucket"),
        ("AWS::StepFunctions::StateMachine", {"DefinitionString": 7}, "neither text nor an object"),
        ("AWS::StepFunctions::StateMachine", {}, "it has no definition"),
        ("AWS::StepFunctions::StateMachine", [], "Properties are no object"),
    ],
)
def test_what_cannot_be_run_is_passed_over_with_a_warning(tmp_path, kind, properties, says):
    project = read(tmp_path, {"Resources": {"Thing": {"Type": kind, "Properties": properties}}})
    assert (project.machines, project.functions) == ([], [])
    [warning] = project.warnings
    assert "template.json: Thing is passed over: " in warning
    assert says in warning


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ({"X": 5}, "X is passed over: a resource is an object with a Type"),
        ({"Fn::ForEach::Topics": ["T", [], {}]}, "Fn::ForEach::Topics: resources made by ForEach are not read"),
        ({"App": {"Type": "AWS::Serverless::Application"}}, "App: a nested template is not read"),
        ({"F": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "gone"}}}, "F: its code is not at "),
        (
            {"F": {"Type": "AWS::Serverless::Function", "Properties": {"InlineCode": "", "Timeout": "soon"}}},
            "F: its Timeout 'soon' is no whole number; AWS's default 3 is taken",
        ),
        (
            {"M": {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": PASS, "Type": "FAST"}}},
            "its type 'FAST' is neither STANDARD nor EXPRESS",
        ),
        (
            {"M": {"Type": "AWS::Serverless::StateMachine", "Properties": {"Definition": {**PASS, "Comment": "${X}"}}}},
            "M: ${X} stands in its definition; DefinitionSubstitutions give it no value",
        ),
    ],
)
def test_a_warning_names_the_logical_id(tmp_path, resources, says):
    [warning] = read(tmp_path, {"Resources": resources}).warnings
    assert says in warning


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.json", '{"Resources": {,}}', "t.json: line 1, column 16: not JSON"),
        ("t.yaml", "Resources:\n  A: [1\n  B: 2\n", "t.yaml: line 3, column"),
        ("t.yaml", "Resources: {A: !!python/object/apply:os.system [ls]}", "t.yaml: line 1, column 16: not YAML"),
        ("t.yaml", "Resources: &a [*a]", "t.yaml: "),
        ("t.yaml", "Resources: {? [a] : b}", "t.yaml: line 1"),
        ("t.yaml", "Resources: " + "[" * 3000 + "]" * 3000, "t.yaml: nests deeper than"),
        ("t.yaml", "x: &x [1,2,3,4,5,6,7,8,9]\n" + "".join(
            f"{a}: &{a} [{', '.join([f'*{b}'] * 9)}]\n" for a, b in zip("bcdefgh", "xbcdefg", strict=True)
        ), "t.yaml: comes to more than"),
        ("t.json", '{"Resources": {"\\ud800": "\\ud800"}}', "half of a surrogate pair"),
        ("t.json", '{"StartAt": "A", "States": {}}', "no Resources"),
        ("t.json", "[]", "no Resources"),
        ("t.yaml", "", "no Resources"),
        ("t.yaml", "Resources: {}\n---\nResources: {}\n", "t.yaml: line"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_template_is_refused(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ProjectError) as caught:
        read_project(path)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Stag": "dev"}, "no parameter Stag; it has: Stage, Count, Digits, Zones, Bare"),
        ({"Stage": "test"}, "parameter Stage may not be 'test'; it may be: dev, prod"),
    ],
)
def test_parameters_that_the_template_does_not_take(tmp_path, given, says):
    with pytest.raises(ProjectError, match=says):
        read(tmp_path, TEMPLATE, parameters=given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"StartAt": "A",\n "States" {}}', "flow.asl.json: line 2, column 11: not JSON"),
        ('{"StartAt": "A",\n "TimeoutSeconds": ${T}}', "line 2, column 20: nothing is known of ${T}; give it"),
        ("[]", "is an object with StartAt and States; this is an array"),
        (None, "flow.asl.json: no such file"),
    ],
)
def test_a_definition_file_that_is_wrong(tmp_path, text, says):
    if text is not None:
        (tmp_path / "flow.asl.json").write_text(text)
    machine = {"Type": "AWS::Serverless::StateMachine", "Properties": {"DefinitionUri": "flow.asl.json"}}
    with pytest.raises(ProjectError) as caught:
        read(tmp_path, {"Resources": {"Flow": machine}})
    assert says in str(caught.value)
    assert "(DefinitionUri of Flow in template.json)" in str(caught.value)


def test_files_that_are_not_there_or_not_text(tmp_path):
    (tmp_path / "Template.yaml").write_text("")
    (tmp_path / "latin.yaml").write_bytes(b"Description: caf\xe9")
    with pytest.raises(ProjectError, match=r"no such file; there is Template\.yaml"):
        read_project(tmp_path / "template.yaml")
    with pytest.raises(ProjectError, match="byte 16 is not UTF-8"):
        read_project(tmp_path / "latin.yaml")
    with pytest.raises(ProjectError, match="cannot be read"):
        read_project(tmp_path)


def test_yaml_is_read_narrowly():
    text = "{date: 2012-10-17, at: 12:30, yes: on, zero: 0123, n: -4, f: 1.5, e: 1e3, t: True, none: ~, 5: 7}"
    assert read_tree(text, "x") == {
        "date": "2012-10-17", "at": "12:30", "yes": "on", "zero": "0123", "n": -4, "f": 1.5, "e": 1000.0, "t": True,
        "none": None, "5": 7,
    }  # fmt: skip
    short = "{a: !GetAtt A.B.C, b: !GetAtt [A, B], c: !Sub ['${x}', {x: !Ref Y}], d: !If [C, !Ref 'AWS::NoValue', 1]}"
    assert read_tree(short, "x") == {
        "a": {"Fn::GetAtt": ["A", "B.C"]},
        "b": {"Fn::GetAtt": ["A", "B"]},
        "c": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
        "d": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, 1]},
    }
    assert read_tree("- &a {x: 1}\n- <<: *a\n  y: 2\n", "x") == [{"x": 1}, {"x": 1, "y": 2}]


def test_json_text_of_a_definition_is_left_as_it_was_written():
    text = ' {"a":1.50, "b" : "${kept}",\n"c":"${given}"}'
    assert definition_text(text, "x", {"given": "there"}) == text.replace("${given}", "there")


def test_a_template_is_told_from_a_definition(tmp_path):
    (tmp_path / "t.yaml").write_text("Resources: {A: !Ref B}")
    (tmp_path / "d.json").write_text(json.dumps(PASS))
    (tmp_path / "broken.json").write_text("{")
    assert is_template(tmp_path / "t.yaml")
    assert is_template(str(tmp_path / "t.yaml"))
    assert is_template(TEMPLATE)
    assert not is_template(tmp_path / "d.json")
    assert not is_template(tmp_path / "broken.json")
    assert not is_template(tmp_path / "none.json")
    assert not is_template(PASS)
