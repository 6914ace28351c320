"""ValidateStateMachineDefinition: always an answer, never an error of the definition's."""

import json

import pytest
from tests.service.asking import Api, passing

from stepfold import Engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def validate():
    async with Engine() as engine:
        api = Api(engine)

        async def call(definition, **members):
            return await api("ValidateStateMachineDefinition", definition=definition, **members)

        yield call


WARNED = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"a": "$.b"}, "End": True}}})


async def test_a_good_definition(validate):
    assert await validate(passing()) == {"result": "OK", "diagnostics": [], "truncated": False}


async def test_what_is_wrong_and_where(validate):
    assert await validate("{}") == {"result": "FAIL", "truncated": False, "diagnostics": [{
        "severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "location": "/",
        "message": "These fields are required: [States, StartAt]"}]}
    (only,) = (await validate(" "))["diagnostics"]
    assert "location" not in only


async def test_warnings_are_told_where_they_are_asked_for_and_fail_nothing(validate):
    assert (await validate(WARNED))["diagnostics"] == []
    told = await validate(WARNED, severity="WARNING")
    assert told["result"] == "OK"
    assert [(one["severity"], one["code"]) for one in told["diagnostics"]] == [("WARNING", "PASS_RESULT_IS_STATIC")]


async def test_jsonata_is_parsed_and_own_advice_is_not_told(validate):
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {}, "End": True}
    good = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {**task, "Output": "{% $states.result %}"}}}
    assert await validate(json.dumps(good), severity="WARNING") == {
        "result": "OK", "diagnostics": [], "truncated": False}
    bad = {**good, "States": {"A": {**task, "Arguments": {"a": ["{% $states.result & name %}"]}}}}
    assert (await validate(json.dumps(bad)))["diagnostics"] == [{
        "severity": "ERROR", "code": "UNSUPPORTED_JSONATA_EXPRESSION", "location": "/States/A/Arguments/a[0]",
        "message": "Reference to 'name' at the top level is not supported."}]


async def test_no_more_than_was_asked_for(validate):
    wrong = json.dumps({"StartAt": "S0", "States": {f"S{number}": {"Type": "Odd"} for number in range(150)}})
    for asked, told in ((3, 3), (0, 100), (None, 100), (100, 100)):
        answer = await validate(wrong, maxResults=asked)
        assert (len(answer["diagnostics"]), answer["truncated"], answer["result"]) == (told, True, "FAIL")


async def test_the_type_counts_and_what_cannot_be_run_here_is_right(validate):
    callback = {"StartAt": "A", "States": {"A": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Parameters": {}, "End": True}}}
    assert (await validate(json.dumps(callback), type="STANDARD"))["result"] == "OK"
    assert (await validate(json.dumps(callback), type="EXPRESS"))["result"] == "FAIL"
    jsonata = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed", "Output": "{% 1 %}"}}}
    assert (await validate(json.dumps(jsonata)))["result"] == "OK"


async def test_a_large_definition(validate):
    states = {f"S{number}": {"Type": "Pass", "Next": f"S{number + 1}"} for number in range(2000)}
    text = json.dumps({"StartAt": "S0", "States": {**states, "S2000": {"Type": "Succeed"}}})
    assert len(text) > 65_536
    assert (await validate(text))["result"] == "OK"
