"""Requests in, answers and AWS's errors out. The texts marked recorded are those of the recorded corpus."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from stepfold.errors import CallerError, InvalidName
from stepfold.service.wire import protocol, shapes
from stepfold.service.wire.protocol import Call, Refusal, read, refuse

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
PATTERN = r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$"
CORPUS = Path(__file__).parents[3] / "shared" / "conformance" / "cases"


def refused(operation, body, code="ValidationException"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(CallerError) as caught:
        read(operation, raw)
    reply = refuse(caught.value, "id")
    assert reply.status == 400
    answer = json.loads(reply.body)
    assert answer["__type"].endswith(f"#{code}")
    return answer["message"]


def one(value, field, constraint):
    where = f"Value {value} at '{field}'"
    return f"1 validation error detected: {where} failed to satisfy constraint: Member must {constraint}"


def test_a_request_is_its_struct():
    body = json.dumps({"stateMachineArn": ARN, "name": None, "input": '{"a":1}', "unheard": {"of": [1]}}).encode()
    assert read("StartExecution", body) == shapes.StartExecutionInput(stateMachineArn=ARN, input='{"a":1}')


@pytest.mark.parametrize(("operation", "body", "expected"), [
    ("ListStateMachines", {"maxResults": 1001}, one("'1001'", "maxResults", "have value less than or equal to 1000")),
    ("ListStateMachines", {"maxResults": -1}, one("'-1'", "maxResults", "have value greater than or equal to 0")),
    (
        "ListExecutions", {"nextToken": "x" * 3097},
        one(f"'{'x' * 3097}'", "nextToken", "have length less than or equal to 3096"),
    ),
    (
        "ListExecutions", {"statusFilter": "succeeded"},
        one(
            "'succeeded'", "statusFilter",
            "satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]",
        ),
    ),
    (
        "CreateStateMachineAlias",
        {"name": "123", "routingConfiguration": [{"stateMachineVersionArn": ARN, "weight": 100}]},
        one("'123'", "name", f"satisfy regular expression pattern: {PATTERN}"),
    ),
    (
        "CreateStateMachineAlias",
        {"name": "a", "routingConfiguration": [{"stateMachineVersionArn": ARN, "weight": 101}]},
        one("'101'", "routingConfiguration.1.member.weight", "have value less than or equal to 100"),
    ),
    (
        "CreateStateMachineAlias",
        {"name": "a", "routingConfiguration": [{"stateMachineVersionArn": "v", "weight": n} for n in (50, 30, 20)]},
        one(
            "'[RoutingConfigurationListItem(stateMachineVersionArn=v, weight=50), "
            "RoutingConfigurationListItem(stateMachineVersionArn=v, weight=30), "
            "RoutingConfigurationListItem(stateMachineVersionArn=v, weight=20)]'",
            "routingConfiguration", "have length less than or equal to 2",
        ),
    ),
    ("StartExecution", {}, one("null", "stateMachineArn", "not be null")),
])  # fmt: skip
def test_recorded_violations(operation, body, expected):
    assert refused(operation, body) == expected


def test_every_recorded_form_is_one_of_ours():
    if not CORPUS.exists():
        pytest.skip("NO RECORDED CORPUS: the wording is not held against AWS")
    source = (Path(protocol.__file__).parent / "violations.py").read_text(encoding="utf-8")
    forms = set()
    for path in CORPUS.rglob("*.json"):
        forms |= set(re.findall(r"failed to satisfy constraint: (Member must [a-z ]+)", path.read_text("utf-8")))
    assert len(forms) >= 5
    assert [form for form in forms if form.strip() not in source] == []


def test_several_violations_at_once_in_the_order_of_the_model():
    assert refused("CreateStateMachine", {"name": "", "definition": "", "type": "FAST"}) == (
        "4 validation errors detected: "
        "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        "Value at 'definition' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null; "
        "Value 'FAST' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [EXPRESS, STANDARD]"
    )


def test_a_message_lists_ten_violations_at_most():
    tags = [{"key": ""}] * 5000
    assert refused("TagResource", {"resourceArn": ARN, "tags": tags}).startswith("10 validation errors detected")
    routes = [{}] * 300_000
    assert len(refused("CreateStateMachineAlias", {"name": "a", "routingConfiguration": routes})) < 20_000


def test_secret_values_are_not_told():
    text = refused("SendTaskFailure", {"taskToken": "t" * 3000, "error": "canary" * 100})
    assert "canary" not in text
    assert "Value at 'error' failed" in text


def test_elements_of_a_list_are_told_as_the_whole_list():
    text = refused("UntagResource", {"resourceArn": ARN, "tagKeys": ["a", ""]})
    assert text == one("'[a, ]'", "tagKeys", (
        "satisfy constraint: [Member must have length less than or equal to 128, "
        "Member must have length greater than or equal to 1, Member must not be null]"
    ))


@pytest.mark.parametrize(("operation", "body", "expected"), [
    ("StartExecution", {"stateMachineArn": 1}, "NUMBER_VALUE can not be converted to a String"),
    ("StartExecution", {"stateMachineArn": {}}, "Start of structure or map found where not expected"),
    ("StartExecution", {"stateMachineArn": []}, "Start of list found where not expected"),
    ("StartExecution", [], "Start of list found where not expected"),
    ("StartExecution", None, "Expected null"),
    ("ListStateMachines", {"maxResults": "10"}, "STRING_VALUE can not be converted to an Integer"),
    ("ListStateMachines", {"maxResults": 1.5}, "DECIMAL_VALUE can not be converted to an Integer"),
    ("ListStateMachines", {"maxResults": True}, "TRUE_VALUE can not be converted to an Integer"),
    ("ListStateMachines", {"maxResults": 2**31}, "NUMBER_VALUE can not be converted to an Integer"),
    ("UpdateMapRun", {"mapRunArn": ARN, "toleratedFailureCount": 2**63}, "NUMBER_VALUE can not be converted to a Long"),
    ("CreateStateMachine", {"publish": "yes"}, "STRING_VALUE can not be converted to a Boolean"),
    ("TagResource", {"resourceArn": ARN, "tags": "x"}, "Expected list or null"),
    ("UntagResource", {"resourceArn": ARN, "tagKeys": [1]}, "NUMBER_VALUE can not be converted to a String"),
])  # fmt: skip
def test_wrong_types(operation, body, expected):
    assert refused(operation, body, "SerializationException") == expected


@pytest.mark.parametrize("body", [
    b"", b"{", b'{"stateMachineArn"', b"{} {}", b'{"stateMachineArn":"\xff"}', b'{"other":"\xff"}',
    b'{"stateMachineArn":"\\ud800"}', b'{"other":NaN}', b"\xef\xbb\xbf{}", b"\x00",
    b'{"stateMachineArn":"x","other":' + b"[" * 201 + b"]" * 201 + b"}",
    b'{"stateMachineArn":"x","other":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    b'{"stateMachineArn":1,"other":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    b"[" * 10**6,
])  # fmt: skip
def test_what_is_no_json(body):
    assert refused("StartExecution", body, "SerializationException").startswith("The body cannot be read")


def test_brackets_in_a_text_are_no_depth():
    body = json.dumps({"stateMachineArn": ARN, "input": "[" * 500, "other": [[{}]]}).encode()
    assert read("StartExecution", body).input == "[" * 500


def test_patterns_match_the_whole_value():
    assert "pattern: [!-~]+" in refused("RedriveExecution", {"executionArn": ARN, "clientToken": "ab\n"})
    assert r"pattern: \p{ASCII}*" in refused("StartExecution", {"stateMachineArn": ARN, "traceHeader": "é"})


def call(method="POST", path="/", **headers):
    given = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AWSStepFunctions.ListActivities"}
    return Call(method, path, "", given | {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def test_the_operation_is_in_the_headers():
    assert protocol.operation(call()) == "ListActivities"
    assert protocol.operation(call(content_type="Application/X-Amz-Json-1.0; charset=utf-8")) == "ListActivities"
    assert protocol.operation(call(path="/aws/")._replace(root="/aws")) == "ListActivities"


@pytest.mark.parametrize(("wrong", "status"), [
    (call("GET"), 404),
    (call(path="/other"), 404),
    (call(content_type="text/plain"), 400),
    (call(content_type="application/json"), 400),
    (call(x_amz_target=""), 400),
    (call(x_amz_target="ListActivities"), 400),
    (call(x_amz_target="AWSStepFunctions.DropTables"), 400),
    (call(x_amz_target="AWSStepFunctions.ListActivities,AWSStepFunctions.ListActivities"), 400),
])
def test_unknown_operations(wrong, status):
    with pytest.raises(Refusal) as caught:
        protocol.operation(wrong)
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", status)


def test_answers():
    reply = protocol.answer(shapes.StartExecutionOutput(executionArn="e", startDate=protocol.timestamp(1500)), "id")
    assert reply.status == 200
    assert reply.headers == {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "id"}
    assert reply.body == b'{"executionArn":"e","startDate":1.5}'
    assert protocol.answer(None, "id").body == b"{}"
    assert protocol.answer(msgspec.Raw(b'{"events":[]}'), "id").body == b'{"events":[]}'


def test_errors_of_the_engine_keep_their_code_and_members():
    reply = refuse(InvalidName("Invalid Name: 'a b'"), "id")
    assert (reply.status, reply.code) == (400, "InvalidName")
    assert json.loads(reply.body) == {
        "__type": "com.amazonaws.swf.service.v2.model#InvalidName", "message": "Invalid Name: 'a b'",
    }  # fmt: skip
    error = CallerError("The map run has ended")
    error.members = {"reason": "CANNOT_UPDATE_COMPLETED_MAP_RUN"}
    assert json.loads(refuse(error, "id").body)["reason"] == "CANNOT_UPDATE_COMPLETED_MAP_RUN"


def test_an_error_that_quotes_half_a_character_is_told_all_the_same():
    assert json.loads(refuse(InvalidName("Invalid Name: '\ud800'"), "id").body)["message"] == "Invalid Name: '?'"
