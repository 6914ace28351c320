"""The generated Structs are what the tool writes from botocore's model, and cheap to import."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from stepfold.service.wire import shapes
from stepfold.service.wire.shapes import OPERATIONS, Shape

ROOT = Path(__file__).parents[2]


def tool():
    spec = importlib.util.spec_from_file_location("generate_shapes", ROOT / "tools" / "generate_shapes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_tool_writes():
    pytest.importorskip("botocore", reason="NO BOTOCORE: shapes.py is not held against AWS's model in this run")
    assert tool().generate() == Path(shapes.__file__).read_text(encoding="utf-8")


def test_all_operations_are_there_with_their_decoders():
    assert len(OPERATIONS) == 37
    for name, contract in OPERATIONS.items():
        assert contract.input.__name__ == f"{name}Input"
        assert issubclass(contract.output, Shape)
        msgspec.json.Decoder(contract.input)
        msgspec.json.Decoder(contract.output)


def test_what_aws_flags_idempotent():
    assert [name for name, contract in OPERATIONS.items() if contract.idempotent] == [
        "CreateActivity", "CreateStateMachine", "PublishStateMachineVersion", "RedriveExecution", "StartExecution",
        "UpdateStateMachine",
    ]


def test_absent_fields_are_left_out_and_false_is_not():
    told = shapes.GetExecutionHistoryOutput(
        events=[shapes.HistoryEvent(timestamp=1700000000.123, type="PassStateEntered", id=2, previousEventId=0)]
    )
    assert msgspec.json.encode(told) == (
        b'{"events":[{"timestamp":1700000000.123,"type":"PassStateEntered","id":2,"previousEventId":0}]}'
    )
    assert msgspec.json.encode(shapes.TracingConfiguration(enabled=False)) == b'{"enabled":false}'


def test_importing_it_is_cheap():
    timed = (
        "import time, msgspec, stepfold; start = time.process_time(); import stepfold.service.wire.shapes;"
        "print(time.process_time() - start)"
    )
    fastest = min(float(subprocess.check_output([sys.executable, "-c", timed])) for _ in range(3))
    assert fastest < 0.06
