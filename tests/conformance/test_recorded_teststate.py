"""TestState as recorded on AWS: each request is put to the operation itself, and its answer compared.

The corpus lies beside the project (`../shared/conformance`); where it is absent, this says so and skips. Left out are
cases that AWS's own models have outgrown.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from stepfold.errors import CallerError
from stepfold.language.limits import Limits
from stepfold.names import Home
from stepfold.runtime.engine import Engine
from stepfold.service.service import StepFunctions
from stepfold.service.wire.protocol import read

CORPUS = Path(__file__).parents[3] / "shared" / "conformance"
FLOOR = 1.0
"""The share of judged cases that must be answered as AWS answered them; it only rises."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not CORPUS.exists(), reason="NO RECORDED CORPUS: this run is not held against AWS"),
]

OUTGROWN = "[integer_more_than_maximum_allowed]"
"""Recorded when a function could have 10 GB of memory; the model of today allows more, and is followed."""


def comparer():
    name = "compare_history"
    spec = importlib.util.spec_from_file_location(name, CORPUS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.compare_value


def cases():
    for row in json.loads((CORPUS / "INDEX.json").read_text())["cases"]:
        if row["area"] == "test_state":
            case = json.loads((CORPUS / row["file"]).read_text())
            everything = bool(os.environ.get("STEPFOLD_EVERY_CASE"))
            if everything or not case["id"].endswith(OUTGROWN):
                yield case


def handler(entry):
    """A recorded function, in this process: its module's `handler`; bytes are its answer's text, as to Lambda."""
    scope = {}
    exec(compile(entry["source"], entry["name"], "exec"), scope)  # noqa: S102  (the recording's own source)
    wanted = scope[entry["handler"].rpartition(".")[2]]

    def called(event, context):
        said = wanted(event, context)
        return json.loads(said) if isinstance(said, bytes) else said

    return called


def parsed(value):
    """As the recorder kept answers: text that begins an object, as that object, one level deep."""
    if isinstance(value, dict):
        return {name: parsed(part) for name, part in value.items()}
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


async def asked(service, params):
    """The answer to a request, as an SDK tells it."""
    body = {name: value for name, value in params.items() if value is not None}
    try:
        request = read("TestState", json.dumps(body).encode())
        answer = await service.operations["TestState"](service, request)
    except CallerError as error:
        return {
            "Error": {"Code": error.code, "Message": error.message}, "message": error.message,
            "text": f"An error occurred ({error.code}) when calling the TestState operation: {error.message}",
        }
    return parsed(msgspec.json.decode(msgspec.json.encode(answer)))


async def judge(case, compare):
    """Why the case is not answered as AWS did; None where it is."""
    home = Home(account="111111111111")
    async with Engine(limits=Limits.aws(), home=home) as engine:
        for entry in case["setup"]:
            if entry["kind"] == "lambda":
                engine.work(entry["name"])(handler(entry))
        service = StepFunctions(engine)
        bound = {}
        for check in case["checks"]:
            answer = await asked(service, case["calls"][check["call"]]["params"])
            expected = case["expected"][check["key"]]
            if "exception_value" in expected:
                expected, answer = expected["exception_value"], answer.get("text", answer)
            elif "text" in answer:
                answer.pop("text")
            result = compare(expected, answer, normalise=case["normalise"], bindings=bound)
            if not result:
                return f"{check['key']}: {result.path}: {result.difference}"
            bound = result.bindings or bound
    return None


async def test_states_are_tried_as_aws_tries_them():
    compare = comparer()
    judged = [case for case in cases() if not any(call.get("client_side_error") for call in case["calls"])]
    wrong = {}
    for case in judged:
        why = await judge(case, compare)
        if why is not None:
            wrong[case["id"]] = why
    same = len(judged) - len(wrong)
    told = "\n".join(f"{name}: {why}" for name, why in wrong.items())
    print(f"\nrecorded tries: {same} of {len(judged)} the same\n{told}")
    assert same >= FLOOR * len(judged), told
