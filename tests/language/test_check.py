"""What a check finds: one bad definition for each rule, with its code and place; and that nothing makes it crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepfold.language.checking.advice import advise
from stepfold.language.checking.check import check
from stepfold.language.checking.diagnostics import ERROR, WARNING, Diagnostic, as_invalid_definition

Json = Any

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
END = {"Type": "Pass", "End": True}
BLOCK = {"StartAt": "Inner", "States": {"Inner": END}}
SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
NOT_REFERENCE = "Value is not a Reference Path"
ONE_KIND = "The object must have only one of the following fields, [And, Or, Not, Variable, Condition]"
FOREIGN = "The QueryLanguage is set to '{}', but field '{}' is only supported for the '{}' QueryLanguage"
NO_RESOURCE = (
    "The resource provided {} is not recognized. The value is not a valid resource ARN, or the resource is not "
    "available in this region."
)


def machine(state: Json, **more: Json) -> dict[str, Json]:
    return {"StartAt": "X", "States": {"X": state}, **more}


def task(**fields: Json) -> dict[str, Json]:
    return {"Type": "Task", "Resource": FUNCTION, "End": True, **fields}


def mapped(**fields: Json) -> dict[str, Json]:
    return {"Type": "Map", "ItemProcessor": BLOCK, "End": True, **fields}


def distributed(config: Json = None, **fields: Json) -> dict[str, Json]:
    config = config or {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return mapped(ItemProcessor={**BLOCK, "ProcessorConfig": config}, **fields)


def processing(states: Json) -> dict[str, Json]:
    block = distributed()["ItemProcessor"]
    return mapped(ItemProcessor={**block, "StartAt": next(iter(states)), "States": states})


def choice(rule: Json, **fields: Json) -> dict[str, Json]:
    states = {"X": {"Type": "Choice", "Choices": [rule], "Default": "End", **fields}, "End": END}
    return {"StartAt": "X", "States": states}


def compared(**fields: Json) -> dict[str, Json]:
    return choice({"Variable": "$.a", "Next": "End", **fields})


def errors(definition: Json, **more: Any) -> list[tuple[str, str, str | None]]:
    text = definition if isinstance(definition, str | bytes) else json.dumps(definition)
    return [(one.code, one.message, one.location) for one in check(text, **more) if one.severity == ERROR]


def warnings(definition: Json) -> list[tuple[str, str | None]]:
    return [(one.code, one.location) for one in check(json.dumps(definition)) if one.severity == WARNING]


BAD: dict[str, tuple[Json, str, str, str | None]] = {
    # the text, and the machine
    "nothing": ("", SCHEMA, "Definition must be a valid JSON object", None),
    "an array": ("[]", SCHEMA, "Definition must be a valid JSON object", None),
    "no fields": ({}, SCHEMA, "These fields are required: [States, StartAt]", "/"),
    "no StartAt": ({"States": {"X": END}}, SCHEMA, "These fields are required: [StartAt]", "/"),
    "unknown field": (machine(END, Timeout=1), SCHEMA, "Field 'Timeout' is not supported", "/"),
    "version": (machine(END, Version="2.0"), SCHEMA, "Value should be one of the following: [1.0]", "/Version"),
    "comment": (machine(END, Comment=1), SCHEMA, "Expected value of type [STRING]", "/Comment"),
    "machine timeout": (machine(END, TimeoutSeconds=-1), SCHEMA, "Minimum value is 0", "/TimeoutSeconds"),
    "language": (
        machine(END, QueryLanguage="SQL"), SCHEMA,
        "Value should be one of the following: [JSONPath, JSONata]", "/QueryLanguage",
    ),
    "states are a list": ({"StartAt": "X", "States": []}, SCHEMA, "Expected value of type [OBJECT]", "/States"),
    # any state
    "state is a text": (machine("Pass"), SCHEMA, "Expected value of type [OBJECT]", "/States/X"),
    "no type": (machine({"End": True}), SCHEMA, "These fields are required: [Type]", "/States/X"),
    "type": (
        machine({"Type": "Pas", "End": True}), SCHEMA,
        "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]",
        "/States/X/Type",
    ),
    "field of another type": (machine({**END, "Retry": []}), SCHEMA, "Field 'Retry' is not supported", "/States/X"),
    "neither Next nor End": (
        machine({"Type": "Pass", "End": False}), SCHEMA,
        "This object should have only one of the following fields: [Next, End]", "/States/X",
    ),
    "both Next and End": (
        {"StartAt": "X", "States": {"X": {**END, "Next": "Y"}, "Y": END}}, SCHEMA,
        "There should only be one of the following fields: [Next, End]", "/States/X",
    ),
    "End is a text": (machine({"Type": "Pass", "End": "true"}), SCHEMA, "Expected value of type [BOOLEAN]",
                      "/States/X/End"),
    "End of a Succeed": (machine({"Type": "Succeed", "End": True}), SCHEMA, "Field 'End' is not supported",
                         "/States/X"),
    "a name too long": (
        {"StartAt": "n" * 81, "States": {"n" * 81: END}}, "INVALID_STATE_NAME",
        "The name of a state can have 80 characters at most, this one has 81", f"/States/{'n' * 81}",
    ),
    # where states lead
    "StartAt": ({"StartAt": "Y", "States": {"X": END}}, TARGET, "Missing 'Next' target: Y", "/StartAt"),
    "Next": (
        {"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "Z"}, "Y": {"Type": "Succeed"}}}, TARGET,
        "Missing 'Next' target: Z", "/States/X/Next",
    ),
    "Default": (choice({"Variable": "$", "IsNull": True, "Next": "End"}, Default="Z"), TARGET,
                "Missing 'Next' target: Z", "/States/X/Default"),
    "rule": (choice({"Variable": "$", "IsNull": True, "Next": "Z"}), TARGET,
             "Missing 'Next' target: Z", "/States/X/Choices[0]/Next"),
    "catcher": (machine(task(Catch=[{"ErrorEquals": ["E"], "Next": "Z"}])), TARGET,
                "Missing 'Next' target: Z", "/States/X/Catch[0]/Next"),
    "out of a branch": (
        {"StartAt": "P", "States": {
            "P": {"Type": "Parallel", "Next": "Y", "Branches": [
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Y"}, "B": END}}]},
            "Y": END}},
        TARGET, "Missing 'Next' target: Y", "/States/P/Branches[0]/States/A/Next",
    ),
    "unreachable": (
        {"StartAt": "X", "States": {"X": END, "Y": END}}, TARGET, 'State "Y" is not reachable.', "/States/Y",
    ),
    "unreachable ring": (
        {"StartAt": "X", "States": {"X": END, "Y": {"Type": "Pass", "Next": "Z"}, "Z": {"Type": "Pass", "Next": "Y"}}},
        TARGET, 'State "Z" is not reachable.', "/States/Z",
    ),
    "no end": (
        {"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "X"}}}, "MISSING_END_STATE",
        "Workflow has no terminal state", None,
    ),
    "a name twice": (
        machine(mapped(ItemProcessor={"StartAt": "X", "States": {"X": END}})), "DUPLICATE_STATE_NAME",
        "Duplicate State name: X", "/States/X/ItemProcessor/States/X",
    ),
    # paths and templates
    "InputPath": (machine({**END, "InputPath": "a"}), SCHEMA, "Value must be a valid JSONPath.", "/States/X/InputPath"),
    "OutputPath": (machine({**END, "OutputPath": 1}), SCHEMA, "Expected value of type [STRING]",
                   "/States/X/OutputPath"),
    "ResultPath": (machine({**END, "ResultPath": "$.a[*]"}), SCHEMA, NOT_REFERENCE, "/States/X/ResultPath"),
    "ResultPath of a catcher": (
        machine(task(Catch=[{"ErrorEquals": ["E"], "Next": "X", "ResultPath": "$$.a"}])), SCHEMA,
        NOT_REFERENCE, "/States/X/Catch[0]/ResultPath",
    ),
    "ItemsPath": (machine(mapped(ItemsPath="$..a")), SCHEMA, NOT_REFERENCE, "/States/X/ItemsPath"),
    "a call that is none": (
        machine({**END, "Parameters": {"a": {"b.$": "States.Nothing($)"}}}), SCHEMA,
        "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function call",
        "/States/X/Parameters/a",
    ),
    "a path that is no text": (
        machine({**END, "Parameters": {"b.$": 1}}), SCHEMA,
        "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function call",
        "/States/X/Parameters",
    ),
    "a field twice": (
        machine({**END, "Parameters": {"b.$": "$", "b": 1}}), SCHEMA,
        "The fields 'b' and 'b.$' cannot both be present", "/States/X/Parameters",
    ),
    # Task
    "no resource": (machine({"Type": "Task", "End": True}), SCHEMA, "These fields are required: [Resource]",
                    "/States/X"),
    "no ARN": (machine(task(Resource="f")), SCHEMA, "Value is not a valid resource ARN", "/States/X/Resource"),
    "no such action": (
        machine(task(Resource="arn:aws:states:::dynamodb:query")), SCHEMA,
        NO_RESOURCE.format("arn:aws:states:::dynamodb:query"), "/States/X/Resource",
    ),
    "no such pattern": (
        machine(task(Resource="arn:aws:states:::sqs:sendMessage.sync")), SCHEMA,
        NO_RESOURCE.format("arn:aws:states:::sqs:sendMessage.sync"), "/States/X/Resource",
    ),
    "timeout": (machine(task(TimeoutSeconds=0)), SCHEMA, "Minimum value is 1", "/States/X/TimeoutSeconds"),
    "timeout of a text": (machine(task(TimeoutSeconds="9")), SCHEMA, "Expected value of type [INTEGER]",
                          "/States/X/TimeoutSeconds"),
    "two timeouts": (
        machine(task(TimeoutSeconds=9, TimeoutSecondsPath="$.t")), SCHEMA,
        "There should only be one of the following fields: [TimeoutSeconds, TimeoutSecondsPath]", "/States/X",
    ),
    "headers of an HTTP Task": (
        machine(task(Resource="arn:aws:states:::http:invoke", Parameters={"Headers": {
            "X-Fine": "1", "Authorization": "2", "Host.$": "$.host"}})), SCHEMA,
        "The 'Headers' field contains unsupported values: [authorization, host]", "/States/X/Parameters",
    ),
    "headers of a call of API Gateway": (
        machine(task(Resource="arn:aws:states:::apigateway:invoke.waitForTaskToken", QueryLanguage="JSONata",
                     Arguments={"Headers": {"X-Amz-Date": ["{% $states.input %}"], "Token": [1]}})), SCHEMA,
        "The 'Headers' field contains unsupported values: [x-amz-date]", "/States/X/Arguments",
    ),
    "heartbeat": (
        machine(task(TimeoutSeconds=9, HeartbeatSeconds=9)), SCHEMA,
        "HeartbeatSeconds must be smaller than TimeoutSeconds", "/States/X/HeartbeatSeconds",
    ),
    "credentials": (machine(task(Credentials={})), SCHEMA, "The field 'RoleArn' is required but was missing",
                    "/States/X/Credentials"),
    "credentials of an activity": (
        machine(task(Resource=ACTIVITY, Credentials={"RoleArn": "r"})), SCHEMA,
        "The field 'Credentials' is not supported for activities", "/States/X/Credentials",
    ),
    # Retry and Catch
    "retry is an object": (machine(task(Retry={})), SCHEMA, "Expected value of type [ARRAY]", "/States/X/Retry"),
    "no errors": (machine(task(Retry=[{}])), SCHEMA, "These fields are required: [ErrorEquals]", "/States/X/Retry[0]"),
    "errors empty": (machine(task(Retry=[{"ErrorEquals": []}])), SCHEMA, "Value cannot be empty",
                     "/States/X/Retry[0]/ErrorEquals"),
    "error empty": (machine(task(Retry=[{"ErrorEquals": [""]}])), SCHEMA, "Value cannot be empty",
                    "/States/X/Retry[0]/ErrorEquals[0]"),
    "error is a number": (machine(task(Retry=[{"ErrorEquals": [1]}])), SCHEMA, "Expected value of type [STRING]",
                          "/States/X/Retry[0]/ErrorEquals[0]"),
    "States.ALL with others": (
        machine(task(Retry=[{"ErrorEquals": ["E", "States.ALL"]}])), SCHEMA,
        "States.ALL must appear alone and at end of list", "/States/X/Retry[0]/ErrorEquals",
    ),
    "States.ALL before others": (
        machine(task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}])), SCHEMA,
        "States.ALL must appear alone and at end of list", "/States/X/Retry[0]/ErrorEquals",
    ),
    "backoff": (machine(task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5}])), SCHEMA, "Minimum value is 1.0",
                "/States/X/Retry[0]/BackoffRate"),
    "delay": (machine(task(Retry=[{"ErrorEquals": ["E"], "MaxDelaySeconds": 31622401}])), SCHEMA,
              "Maximum value is 31622400", "/States/X/Retry[0]/MaxDelaySeconds"),
    "jitter": (machine(task(Retry=[{"ErrorEquals": ["E"], "JitterStrategy": "HALF"}])), SCHEMA,
               "Value should be one of the following: [NONE, FULL]", "/States/X/Retry[0]/JitterStrategy"),
    "unknown field of a catcher": (
        machine(task(Catch=[{"ErrorEquals": ["E"], "Next": "X", "_comment": ""}])), SCHEMA,
        "Field '_comment' is not supported", "/States/X/Catch[0]",
    ),
    "catcher without Next": (machine(task(Catch=[{"ErrorEquals": ["E"]}])), SCHEMA,
                             "These fields are required: [Next]", "/States/X/Catch[0]"),
    # Wait
    "wait for nothing": (
        machine({"Type": "Wait", "End": True}), SCHEMA,
        "This object should have only one of the following fields: [SecondsPath, Seconds, TimestampPath, Timestamp]",
        "/States/X",
    ),
    "wait for two": (
        machine({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}), SCHEMA,
        "There should only be one of the following fields: [SecondsPath, Seconds, TimestampPath, Timestamp]",
        "/States/X",
    ),
    "timestamp": (machine({"Type": "Wait", "Timestamp": "2016-12-05 21:29:29Z", "End": True}), SCHEMA,
                  "String does not match RFC3339 timestamp", "/States/X/Timestamp"),
    "seconds": (machine({"Type": "Wait", "Seconds": -1, "End": True}), SCHEMA, "Minimum value is 0",
                "/States/X/Seconds"),
    # Choice
    "no rules": (machine({"Type": "Choice", "Choices": []}), SCHEMA, "Value cannot be empty", "/States/X/Choices"),
    "rule without Next": (choice({"Variable": "$", "IsNull": True}), SCHEMA, "These fields are required: [Next]",
                          "/States/X/Choices[0]"),
    "rule of no kind": (choice({"StringEquals": "a", "Next": "End"}), SCHEMA, ONE_KIND, "/States/X/Choices[0]"),
    "rule of two kinds": (
        choice({"Not": {"Variable": "$", "IsNull": True}, "Variable": "$", "IsNull": True, "Next": "End"}), SCHEMA,
        ONE_KIND, "/States/X/Choices[0]",
    ),
    "no operator": (compared(), SCHEMA,
                    "The rule compares its Variable with nothing: add an operator, such as StringEquals",
                    "/States/X/Choices[0]"),
    "two operators": (
        compared(IsNull=True, StringEquals="a"), SCHEMA,
        "There should only be one of the following fields: [IsNull, StringEquals]", "/States/X/Choices[0]",
    ),
    "unknown operator": (compared(IsNull=True, StringLike="a"), SCHEMA, "Field 'StringLike' is not supported",
                         "/States/X/Choices[0]"),
    "text operand": (compared(StringEquals=1), SCHEMA, "Expected value of type [STRING]",
                     "/States/X/Choices[0]/StringEquals"),
    "number operand": (compared(NumericEquals=True), SCHEMA, "Expected value of type [NUMBER]",
                       "/States/X/Choices[0]/NumericEquals"),
    "boolean operand": (compared(IsPresent="true"), SCHEMA, "Expected value of type [BOOLEAN]",
                        "/States/X/Choices[0]/IsPresent"),
    "timestamp operand": (compared(TimestampEquals="now"), SCHEMA, "String does not match RFC3339 timestamp",
                          "/States/X/Choices[0]/TimestampEquals"),
    "path operand": (compared(StringEqualsPath="a"), SCHEMA, NOT_REFERENCE, "/States/X/Choices[0]/StringEqualsPath"),
    "variable": (choice({"Variable": "$.a[*]", "IsNull": True, "Next": "End"}), SCHEMA, NOT_REFERENCE,
                 "/States/X/Choices[0]/Variable"),
    "nested Next": (
        choice({"And": [{"Variable": "$", "IsNull": True, "Next": "End"}], "Next": "End"}), SCHEMA,
        "Field 'Next' is not supported", "/States/X/Choices[0]/And[0]",
    ),
    "empty Or": (choice({"Or": [], "Next": "End"}), SCHEMA, "Value cannot be empty", "/States/X/Choices[0]/Or"),
    "Not of a list": (choice({"Not": [], "Next": "End"}), SCHEMA, "Expected value of type [OBJECT]",
                      "/States/X/Choices[0]/Not"),
    "condition in JSONPath": (
        choice({"Condition": True, "Next": "End"}), SCHEMA,
        FOREIGN.format("JSONPath", "Condition", "JSONata"), "/States/X/Choices[0]",
    ),
    # Fail
    "error twice": (machine({"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}), SCHEMA,
                    "There should only be one of the following fields: [Error, ErrorPath]", "/States/X"),
    "cause path": (
        machine({"Type": "Fail", "CausePath": "words"}), SCHEMA,
        "The value for the field 'CausePath' must be a valid JSONPath or a valid intrinsic function call",
        "/States/X/CausePath",
    ),
    # Parallel and Map
    "no branches": (machine({"Type": "Parallel", "Branches": [], "End": True}), SCHEMA, "Value cannot be empty",
                    "/States/X/Branches"),
    "branch without states": (machine({"Type": "Parallel", "Branches": [{}], "End": True}), SCHEMA,
                              "These fields are required: [States, StartAt]", "/States/X/Branches[0]"),
    "language of a branch": (
        machine({"Type": "Parallel", "Branches": [{**BLOCK, "QueryLanguage": "JSONPath"}], "End": True}), SCHEMA,
        "Field 'QueryLanguage' is not supported", "/States/X/Branches[0]",
    ),
    "no processor": (machine({"Type": "Map", "End": True}), SCHEMA, "These fields are required: [Iterator]",
                     "/States/X"),
    "two processors": (
        machine(mapped(Iterator={"StartAt": "Other", "States": {"Other": END}})), SCHEMA,
        "There should only be one of the following fields: [ItemProcessor, Iterator]", "/States/X",
    ),
    "concurrency": (machine(mapped(MaxConcurrency=-1)), SCHEMA, "Minimum value is 0", "/States/X/MaxConcurrency"),
    "percentage": (machine(mapped(ToleratedFailurePercentage=101)), SCHEMA, "Maximum value is 100.0",
                   "/States/X/ToleratedFailurePercentage"),
    "mode": (machine(distributed({"Mode": "REMOTE"})), SCHEMA,
             "Value should be one of the following: [INLINE, DISTRIBUTED]",
             "/States/X/ItemProcessor/ProcessorConfig/Mode"),
    "no execution type": (machine(distributed({"Mode": "DISTRIBUTED"})), SCHEMA,
                          "These fields are required: [ExecutionType]", "/States/X/ItemProcessor/ProcessorConfig"),
    "execution type inline": (
        machine(distributed({"Mode": "INLINE", "ExecutionType": "EXPRESS"})), SCHEMA,
        "Field 'ExecutionType' is not supported", "/States/X/ItemProcessor/ProcessorConfig",
    ),
    "reader": (
        machine(distributed(ItemReader={"Resource": "arn:aws:states:::s3:putObject"})), SCHEMA,
        "The field 'Resource' does not match any of the allowed values", "/States/X/ItemReader/Resource",
    ),
    "two MaxItems": (
        machine(distributed(ItemReader={
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON", "MaxItems": 1, "MaxItemsPath": "$.m"}})), SCHEMA,
        "There should only be one of the following fields: [MaxItems, MaxItemsPath]",
        "/States/X/ItemReader/ReaderConfig",
    ),
    "headers": (
        machine(distributed(ItemReader={
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "GIVEN"}})), SCHEMA,
        "These fields are required: [CSVHeaders]", "/States/X/ItemReader/ReaderConfig",
    ),
    "writer": (machine(distributed(ResultWriter={"WriterConfig": {"OutputType": "XML"}})), SCHEMA,
               "Value should be one of the following: [JSON, JSONL]", "/States/X/ResultWriter/WriterConfig/OutputType"),
    "label": (machine(distributed(Label="a b")), "INVALID_LABEL_NAME", "Label contains invalid character: ' '",
              "/States/X/Label"),
    # query languages
    "JSONata in JSONPath": (
        machine({**END, "Output": 1}), SCHEMA,
        FOREIGN.format("JSONPath", "Output", "JSONata"), "/States/X",
    ),
    "JSONPath in JSONata": (
        machine({**END, "QueryLanguage": "JSONata", "Parameters": {}}), SCHEMA,
        FOREIGN.format("JSONata", "Parameters", "JSONPath"), "/States/X",
    ),
    "back to JSONPath": (
        machine({**END, "QueryLanguage": "JSONPath"}, QueryLanguage="JSONata"), SCHEMA,
        "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine", "/States/X",
    ),
    "open expression": (
        machine({**END, "Output": {"a": ["{% 1 "]}}, QueryLanguage="JSONata"), SCHEMA,
        "JSONata string must start with {% and end with %}", "/States/X/Output/a[0]",
    ),
    "writer in JSONata": (
        machine(distributed(ResultWriter={"Resource": "arn:aws:states:::s3:putObject", "Parameters": {}}),
                QueryLanguage="JSONata"),
        SCHEMA, "These fields are required: [Arguments]", "/States/X/ResultWriter",
    ),
    "reserved variable": (machine({**END, "Assign": {"states": 1}}), "RESERVED_VARIABLE_NAME",
                          "Cannot assign to reserved variable '$states'.", "/States/X/Assign"),
    "variable of the scope around": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "B"}, "B": {
            "Type": "Parallel", "End": True, "Branches": [
                {"StartAt": "C", "States": {"C": {**END, "Assign": {"v.$": "$"}}}}]}}},
        "DUPLICATE_VARIABLE_NAME", "The variable name 'v' was already defined in a parent scope.",
        "/States/B/Branches[0]/States/C/Assign/v.$",
    ),
    "variable of the iteration around": (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "B"}, "B": mapped(
            ItemProcessor={"StartAt": "C", "States": {"C": {**END, "Assign": {"v.$": "$"}}}})}},
        "DUPLICATE_VARIABLE_NAME", "The variable name 'v' was already defined in a parent scope.",
        "/States/B/ItemProcessor/States/C/Assign/v.$",
    ),
    "variable of the child around": (
        machine(processing({
            "D": {"Type": "Pass", "Assign": {"w": 1}, "Next": "E"},
            "E": mapped(ItemProcessor={"StartAt": "F", "States": {"F": {**END, "Assign": {"w": 2}}}})})),
        "DUPLICATE_VARIABLE_NAME", "The variable name 'w' was already defined in a parent scope.",
        "/States/X/ItemProcessor/States/E/ItemProcessor/States/F/Assign/w",
    ),
    "error output outside a catcher": (
        machine({**END, "Output": {"a": "{% $states.errorOutput.Error %}"}}, QueryLanguage="JSONata"),
        "UNSUPPORTED_JSONATA_EXPRESSION", "Field '$states.errorOutput' does not exist.", "/States/X/Output/a",
    ),
    "result in Arguments": (
        machine(task(Arguments="{% $states.result %}"), QueryLanguage="JSONata"),
        "UNSUPPORTED_JSONATA_EXPRESSION", "Field '$states.result' does not exist.", "/States/X/Arguments",
    ),
    "result in a catcher": (
        machine(task(Catch=[{"ErrorEquals": ["E"], "Next": "X", "Output": "{% $states.result %}"}]),
                QueryLanguage="JSONata"),
        "UNSUPPORTED_JSONATA_EXPRESSION", "Field '$states.result' does not exist.", "/States/X/Catch[0]/Output",
    ),
    "bad variable": (machine({**END, "Assign": {"a-b.$": "$"}}), "INVALID_VARIABLE_NAME",
                     "Invalid variable name 'a-b': the variable name contains invalid characters.",
                     "/States/X/Assign"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_rule_names_what_is_wrong_and_where(name: str):
    definition, code, message, location = BAD[name]
    assert (code, message, location) in errors(definition)


MORE_THAN_ONE = {
    "catcher",
    "unreachable ring",
    "Next",
    "out of a branch",
    "StartAt",
    "rule of two kinds",
    "no branches",
}


@pytest.mark.parametrize("name", [name for name in BAD if name not in MORE_THAN_ONE])
def test_one_mistake_gives_one_finding(name: str):
    assert len(errors(BAD[name][0])) == 1


GOOD: dict[str, Json] = {
    "pass": machine(END, Version="1.0", Comment="c", TimeoutSeconds=0),
    "null paths": machine({**END, "InputPath": None, "OutputPath": None, "ResultPath": None}),
    "context and variables": machine({**END, "InputPath": "$$.Execution", "OutputPath": "$var.x"}),
    "any path in": machine({**END, "InputPath": "$..a[?(@.b > 1)]"}),
    "activity": machine(task(Resource=ACTIVITY, HeartbeatSeconds=1, TimeoutSeconds=2)),
    "version of a function": machine(task(Resource=f"{FUNCTION}:live")),
    "sdk": machine(task(Resource="arn:aws-cn:states:::aws-sdk:s3:listBuckets.waitForTaskToken")),
    "nested execution": machine(task(Resource="arn:aws:states:::states:startExecution.sync:2")),
    "zero interval": machine(task(Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0, "MaxAttempts": 0}])),
    "credentials": machine(task(Credentials={"RoleArn.$": "$.role"})),
    "legacy map": machine({"Type": "Map", "Iterator": BLOCK, "Parameters": {"a.$": "$$.Map.Item.Value"}, "End": True}),
    "reader inline": machine(mapped(ItemReader={"Resource": "arn:aws:states:::s3:getObject"})),
    "batcher without limits": machine(distributed(ItemBatcher={"BatchInput": {"a": 1}})),  # seen by others in 2026
    "no end of a branch": machine({"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}]}),
    "tolerated inline": machine(mapped(ToleratedFailureCount=1)),
    "distributed": machine(distributed(
        Label="Each", MaxConcurrency=10, ToleratedFailurePercentage=1.5, ItemBatcher={"MaxItemsPerBatch": 3},
        ItemReader={"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "b"}},
        ResultWriter={"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}})),
    "negative index": choice({"Variable": "$.a[-1]", "IsNull": True, "Next": "End"}),
    "rule of a rule": choice({"Not": {"Or": [{"Variable": "$$.State.Name", "StringMatches": "*"}]}, "Next": "End"}),
    "comments": choice({"And": [{"Variable": "$", "IsNull": True, "Comment": "c"}], "Next": "End", "Comment": "c"}),
    "result and error output": machine(
        task(Output="{% $states.result %}", Assign={"r": "{% $states.result.a %}"}, Arguments={"a": "{% $r %}"},
             Catch=[{"ErrorEquals": ["E"], "Next": "X", "Output": "{% $states.errorOutput %}",
                     "Assign": {"e": "{% $states.errorOutput.Cause & ' $states.result' %}"}}]),
        QueryLanguage="JSONata"),
    "variable of a later state": {"StartAt": "A", "States": {
        "A": {"Type": "Parallel", "Next": "B", "Assign": {"v": 1}, "Branches": [
            {"StartAt": "C", "States": {"C": {**END, "Assign": {"v": 1}}}}]},
        "B": {**END, "Assign": {"v": 2}}}},
    "variable of a child alone": {"StartAt": "A", "States": {  # a distributed Map's children see nothing from outside
        "A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "B"},
        "B": processing({"C": {"Type": "Pass", "Assign": {"v.$": "$"}, "Next": "D"}, "D": {
            "Type": "Parallel", "End": True, "Branches": [
                {"StartAt": "E", "States": {"E": {**END, "Assign": {"w.$": "$v"}}}}]}})}},
    "fail": machine({"Type": "Fail", "ErrorPath": "States.Format('{}', $.e)", "CausePath": "$.c"}),
    "jsonata": {
        "QueryLanguage": "JSONata", "StartAt": "C", "States": {
            "C": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "T", "Output": 1}], "Default": "M"},
            "T": task(Arguments="{% $states.input %}", TimeoutSeconds="{% 1 %}", Output=None, Assign={"a": 1}),
            "M": mapped(Items=[1, "{% 2 %}"], MaxConcurrency="{% 1 %}", ItemSelector={"a": "$.literal"}, Next="W",
                        End=False),
            "W": {"Type": "Wait", "Timestamp": "{% $now() %}", "Next": "F"},
            "F": {"Type": "Fail", "Error": "{% 'E' %}", "Cause": "$.as it stands"},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_let_pass(name: str):
    assert errors(GOOD[name]) == []


# The texts and places were measured on AWS by others, in August and September 2026 (floci-io/floci #2670, #2745).
JSONATA = {
    "a[1,2)": 'Expected "]", got ","',
    '"unterminated': "String literal must be terminated by a matching quote",
    "1 +": "Unexpected end of expression",
    '{"a":}': 'The symbol "}" cannot be used as a unary operator',
    "$x :=": "Unexpected end of expression",
    '$match("a", /abc': "No terminating / in regular expression",
    "": "Unexpected end of expression",
}


@pytest.mark.parametrize("source", JSONATA)
def test_what_is_no_jsonata_is_refused_in_its_words(source: str):
    definition = machine({**END, "Output": {"a": {"b": ["{% " + source + " %}"]}}}, QueryLanguage="JSONata")
    assert errors(definition) == [("INVALID_JSONATA_EXPRESSION", JSONATA[source], "/States/X/Output/a/b[0]")]


@pytest.mark.parametrize(
    ("source", "names"),
    [("phone[0]", ["phone"]), ("$.phone", ["$"]), ("aaa + bbb", ["aaa", "bbb"]), ("$states.input.a + b", ["b"])],
)
def test_each_name_at_the_top_level_is_refused(source: str, names: list[str]):
    state = {"Type": "Wait", "Seconds": "{% " + source + " %}", "End": True}
    assert errors(machine(state, QueryLanguage="JSONata")) == [
        ("UNSUPPORTED_JSONATA_EXPRESSION", f"Reference to '{name}' at the top level is not supported.",
         "/States/X/Seconds")
        for name in names
    ]  # fmt: skip


def test_the_document_is_refused():
    definition = machine({**END, "Output": "{% $$ %}"}, QueryLanguage="JSONata")
    message = "Reference to '$$' is not supported."
    assert errors(definition) == [("UNSUPPORTED_JSONATA_EXPRESSION", message, "/States/X/Output")]


@pytest.mark.parametrize(
    "source",
    ["$states.input.phone", "$states.input.items[phone > 3]", "$map($states.input.a, function($x){ $x.phone })",
     "$phone", "$states.input.a ? 1 : 2", "'{% phone %}'"],
)  # fmt: skip
def test_what_begins_at_a_variable_is_let_pass(source: str):
    assert errors(machine({**END, "Output": "{% " + source + " %}"}, QueryLanguage="JSONata")) == []


# Likewise measured: floci-io/floci #2786, #2968.
MIXED = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
ONE_OF = "Value should be one of the following: [JSONPath, JSONata]"
INPUT_PATH = FOREIGN.format("JSONata", "InputPath", "JSONPath")
LANGUAGES: list[tuple[Json, list[tuple[str, str]]]] = [
    # fields of either language may stand in a state that goes back to JSONPath, whose values are still looked at
    (machine({**END, "QueryLanguage": "JSONPath", "Output": 1}, QueryLanguage="JSONata"), [(MIXED, "/States/X")]),
    (machine(mapped(QueryLanguage="JSONPath", MaxConcurrency=-1), QueryLanguage="JSONata"),
     [(MIXED, "/States/X"), ("Minimum value is 0", "/States/X/MaxConcurrency")]),
    # what is not exactly JSONPath is JSONata
    (machine({"Type": "Pass", "QueryLanguage": "jsonata", "Output": "{% 1 %}", "InputPath": "$.a", "End": True}),
     [(INPUT_PATH, "/States/X"), (ONE_OF, "/States/X/QueryLanguage")]),
    (machine({**END, "QueryLanguage": "jsonpath"}, QueryLanguage="JSONata"), [(ONE_OF, "/States/X/QueryLanguage")]),
    (machine({**END, "QueryLanguage": 5, "InputPath": "$.a"}),
     [(INPUT_PATH, "/States/X"), ("Expected value of type [STRING]", "/States/X/QueryLanguage")]),
    ({"QueryLanguage": "jsonpath", **machine({**END, "InputPath": "$.a"})},
     [(ONE_OF, "/QueryLanguage"), (INPUT_PATH, "/States/X")]),
    # the language of a Map is not that of the states inside it
    (machine(mapped(QueryLanguage="JSONata", ItemProcessor={"StartAt": "P", "States": {"P": {**END, "Output": 1}}})),
     [(FOREIGN.format("JSONPath", "Output", "JSONata"), "/States/X/ItemProcessor/States/P")]),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "found"), LANGUAGES)
def test_languages_are_mixed_as_aws_has_it(definition: Json, found: list[tuple[str, str]]):
    assert [(message, location) for _, message, location in errors(definition)] == found


def test_without_a_start_nothing_can_be_reached():
    found = [(message, location) for _, message, location in errors({"StartAt": "Nope", "States": {"A": END}})]
    assert found == [("Missing 'Next' target: Nope", "/StartAt"), ('State "A" is not reachable.', "/States/A")]


def test_all_that_is_wrong_is_listed():
    definition = {
        "StartAt": "Nowhere",
        "States": {
            "T": {"Type": "Task", "Resource": "f", "TimeoutSeconds": "long", "Retry": [{"ErrorEquals": []}]},
            "C": {"Type": "Choice", "Choices": [{"Variable": "a", "IsNull": 1, "Next": "Gone"}], "Catch": []},
            "P": {"Type": "Parallel", "Branches": [{"StartAt": "T", "States": {"T": {"Type": "Fail", "Next": "P"}}}]},
        },
        "Extra": 1,
    }
    assert [location for _, _, location in errors(definition)] == [
        "/States/T", "/States/T/Resource", "/States/T/TimeoutSeconds", "/States/T/Retry[0]/ErrorEquals",
        "/States/C/Choices[0]/Variable", "/States/C/Choices[0]/IsNull", "/States/C",
        "/States/P", "/States/P/Branches[0]/States/T",
        "/", "/StartAt", "/States/C/Choices[0]/Next", "/States/T", "/States/C", "/States/P",
        "/States/P/Branches[0]/States/T",
    ]  # fmt: skip


def test_one_line_of_all_errors_is_aws_line():
    found = check('{"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "X", "Comment": 1}}}')
    assert as_invalid_definition([*found, Diagnostic(WARNING, "NO_PATH", "…", "/")]) == (
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Expected value of type [STRING] at "
        "/States/X/Comment, MISSING_END_STATE: Workflow has no terminal state at null'"
    )


def test_a_text_that_is_no_json_is_placed_as_aws_does():
    location = '[Source: (String)"not a definition"; line: 1, column: 4]'
    words = "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' "
    message = f"{words}or 'false')\n at {location}"
    assert errors("not a definition") == [("INVALID_JSON_DESCRIPTION", message, location)]


@pytest.mark.parametrize(
    "text", ['{"a": 1,\n "b"}', b'{"a": "\xff"}', '{"a": NaN}', '{"a": 1e999}', '{"\ud800": 1}', "{"]
)
def test_other_texts_that_are_no_json(text: str | bytes):
    assert [code for code, _, _ in errors(text)] == ["INVALID_JSON_DESCRIPTION"]


def test_depth_and_size_have_limits():
    assert errors("[" * 100_000)[0][0] == "TOO_DEEPLY_NESTED"
    assert errors('{"a":' * 201 + "1" + "}" * 201)[0][0] == "TOO_DEEPLY_NESTED"
    assert "1048576 are allowed" in errors(" " * 1_048_576 + "{}")[0][1]


def test_plain_data_is_checked_as_text_is():
    assert check(machine(END)) == []
    assert check({"StartAt": "X", "States": {"X": object()}})[0].severity == ERROR
    assert check(machine(task(TimeoutSeconds=float("nan"))))[0].code == "INVALID_JSON_DESCRIPTION"


WARNED = [
    (machine({**END, "Parameters": {"a": ["$.b"]}}), ("NO_DOLLAR", "/States/X/Parameters/a[0]")),
    (machine({**END, "Parameters": {"a": "States.UUID()"}}), ("NO_DOLLAR", "/States/X/Parameters/a")),
    (machine({"Type": "Fail", "Cause": "$.cause"}), ("NO_PATH", "/States/X/Cause")),
    (compared(StringEquals="$.b"), ("NO_PATH", "/States/X/Choices[0]/StringEquals")),
    (machine({**END, "InputPath": "$v.a"}), ("POSSIBLY_UNDEFINED_VARIABLE", "/States/X/InputPath")),
    (machine({**END, "Output": ["{% $v %}"], "QueryLanguage": "JSONata"}),
     ("POSSIBLY_UNDEFINED_VARIABLE", "/States/X/Output[0]")),
    (machine({**distributed(), "Assign": {"v": 1}, "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I",
        "States": {"I": {**END, "Parameters": {"a.$": "$v"}}}}}),
     ("POSSIBLY_UNDEFINED_VARIABLE", "/States/X/ItemProcessor/States/I/Parameters/a.$")),
    (machine({**END, "Result": {"a": [{"b.$": "$.c"}]}}), ("PASS_RESULT_IS_STATIC", "/States/X/Result/a[0]/b.$")),
]


@pytest.mark.parametrize(("definition", "warning"), WARNED)
def test_what_is_likely_not_meant_is_warned_of(definition: Json, warning: tuple[str, str]):
    assert warnings(definition) == [warning]
    assert errors(definition) == []


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken",
         "Express state machine does not support '.waitForTaskToken' service integration "),
        ("arn:aws:states:::batch:submitJob.sync",
         "Express state machine does not support '.sync' service integration "),
        ("arn:aws:states:::states:startExecution.sync:2",
         "Express state machine does not support '.sync' service integration "),
        (ACTIVITY, "Express state machine does not support Activity ARN"),
    ],
)  # fmt: skip
def test_an_express_machine_waits_for_nobody(resource: str, message: str):
    definition = machine(task(Resource=resource))
    assert errors(definition) == []
    assert errors(definition, type="EXPRESS") == [(SCHEMA, message, "/States/X/Resource")]


def test_the_children_of_an_express_map_wait_for_nobody():
    inner = {"StartAt": "I", "States": {"I": task(Resource=ACTIVITY)}}
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    found = errors(machine(mapped(ItemProcessor={**inner, "ProcessorConfig": config})))
    assert [location for _, _, location in found] == ["/States/X/ItemProcessor/States/I/Resource"]


def test_an_express_machine_has_no_distributed_map():
    (found,) = errors(machine(distributed()), type="EXPRESS")
    assert found[1] == "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines"


def test_labels_are_used_once():
    definition = {
        "StartAt": "X",
        "States": {"X": {**distributed(Label="L"), "End": False, "Next": "Y"}, "Y": distributed(Label="L")},
    }
    definition["States"]["Y"]["ItemProcessor"] = {
        **definition["States"]["Y"]["ItemProcessor"], "StartAt": "Other", "States": {"Other": END},
    }  # fmt: skip
    assert errors(definition) == [("DUPLICATE_LABEL_NAME", "Duplicate Label name: L", "/States/Y/Label")]


def test_a_placeholder_counts_as_any_value():
    definition = {
        "StartAt": "${First}",
        "TimeoutSeconds": "${Timeout}",
        "States": {
            "T": task(
                Resource="${Function}", TimeoutSeconds="${T}", Parameters={"a.$": "${Path}"}, InputPath="${In}",
                Retry=[{"ErrorEquals": ["E"], "MaxAttempts": "${N}", "JitterStrategy": "${J}"}],
            ),
            "W": {"Type": "Wait", "Timestamp": "${When}", "Next": "${Then}"},
            "C": {"Type": "Choice", "Choices": [{"Variable": "${V}", "IsNull": "${B}", "Next": "${N}"}]},
            "S": "${Whole}",
            "X": {"Type": "${Kind}"},
            "M": mapped(MaxConcurrency="${Many}", ItemsPath="$.${Items}"),
        },
    }  # fmt: skip
    assert errors(definition, placeholders=True) == []
    assert len(errors(definition)) > 10
    assert errors(machine(task(Resource="${Open")), placeholders=True) != []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TYPES = ["Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map", "Other", 1, None]
WORDS = [
    "Type", "Next", "End", "Catch", "Retry", "ErrorEquals", "Choices", "And", "Or", "Not", "Variable", "IsNull",
    "Default", "StringEquals", "Branches", "ItemProcessor", "ProcessorConfig", "Mode", "StartAt", "States",
    "Parameters", "a.$", "Resource", "Label", "Credentials", "QueryLanguage", "Assign", "ItemReader",
    "ReaderConfig", "ResultWriter",
    "Timestamp", "Seconds", "InputPath", "ResultPath", "ItemBatcher", "Output", "Result", "HeartbeatSeconds",
]  # fmt: skip
LIKELY = st.sampled_from([
    "$.a", "$", "{% 1 %}", "{% $states.result ?: $v %}", "{% 1 + %}", "{%", "${X}", "States.UUID()", "States.ALL",
    "JSONata", "DISTRIBUTED", "A", "", FUNCTION, ACTIVITY, "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
])  # fmt: skip
LANGUAGE_LIKE = st.recursive(
    ANY_JSON | LIKELY | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)
STATE = st.dictionaries(st.sampled_from(WORDS), LANGUAGE_LIKE, max_size=6).flatmap(
    lambda state: st.sampled_from(TYPES).map(lambda kind: {**state, "Type": kind})
)


@settings(deadline=None)
@given(st.text() | st.binary() | ANY_JSON.map(json.dumps))
def test_no_text_makes_a_check_crash(text: str | bytes):
    assert all(isinstance(found, Diagnostic) for found in check(text))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["A", "B", ""]), STATE | LANGUAGE_LIKE), LANGUAGE_LIKE, st.booleans())
def test_no_states_make_a_check_crash(states: Json, start: Json, open_: bool):
    definition = {"StartAt": start, "States": states}
    for kind in ("STANDARD", "EXPRESS"):
        assert all(isinstance(found, Diagnostic) for found in check(definition, type=kind, placeholders=open_))
    assert all(found.severity == WARNING for found in advise(definition, placeholders=open_))
