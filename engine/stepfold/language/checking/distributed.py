"""What is wrong with the parts of a distributed Map: ItemReader, ItemBatcher, ResultWriter, Label."""

from __future__ import annotations

import re

from stepfold.language.limits import BATCH_BYTES, LABEL_CHARACTERS, READER_ITEMS
from stepfold.query.values import Json

from .diagnostics import View
from .shapes import (
    Field,
    Kind,
    Shape,
    anything,
    integer,
    members,
    one_of,
    or_expression,
    path,
    template,
    text,
    unsupported,
    wrong_type,
)

_P, _A = "JSONPath", "JSONata"
_NO_LABEL = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
_S3_READ = ("getObject", "listObjectsV2")
_S3_WRITE = ("putObject",)


def _s3(actions: tuple[str, ...]) -> Kind:
    form = re.compile(rf"arn:[^:]+:states:::s3:(?:{'|'.join(actions)})")

    def kind(view: View, value: Json, place: str) -> None:
        if not isinstance(value, str):
            wrong_type(view, value, place, "String")
        elif not form.fullmatch(value) and not view.open(value):
            view.error("The field 'Resource' does not match any of the allowed values", place)

    return kind


READER_CONFIG = Shape(
    {
        "InputType": Field(one_of("CSV", "JSON", "JSONL", "PARQUET", "MANIFEST")),
        "CSVHeaderLocation": Field(one_of("FIRST_ROW", "GIVEN")),
        "CSVHeaders": Field(anything),
        "CSVDelimiter": Field(one_of("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")),
        "ItemsPointer": Field(or_expression(text)),
        "MaxItems": Field(or_expression(integer(0, READER_ITEMS))),
        "MaxItemsPath": Field(path, _P),
        "Transformation": Field(one_of("NONE", "LOAD_AND_FLATTEN")),
        "ManifestType": Field(one_of("ATHENA_DATA", "S3_INVENTORY")),
    },
    one_at_most=(("MaxItems", "MaxItemsPath"),),
)


def _reader_config(view: View, value: Json, place: str) -> None:
    if not members(view, value, place, READER_CONFIG):
        return
    if value.get("CSVHeaderLocation") == "GIVEN" and "CSVHeaders" not in value:
        view.error("These fields are required: [CSVHeaders]", place)
    if value.get("InputType") == "CSV" and "CSVHeaderLocation" not in value:
        view.error("The field 'CSVHeaderLocation' is required but was missing", place)
    if value.get("InputType") == "JSON" and "CSVHeaderLocation" in value:
        unsupported(view, "CSVHeaderLocation", place)


READER = Shape(
    {
        "Resource": Field(_s3(_S3_READ)),
        "Parameters": Field(template, _P),
        "Arguments": Field(template, _A),
        "ReaderConfig": Field(_reader_config),
    },
    required=("Resource",),
)
_BATCH_LIMITS = ("MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath")
BATCHER = Shape(
    {
        "MaxItemsPerBatch": Field(or_expression(integer(1))),
        "MaxItemsPerBatchPath": Field(path, _P),
        "MaxInputBytesPerBatch": Field(or_expression(integer(1, BATCH_BYTES))),
        "MaxInputBytesPerBatchPath": Field(path, _P),
        "BatchInput": Field(template),
    },
    one_at_most=(_BATCH_LIMITS[:2], _BATCH_LIMITS[2:]),
)
WRITER_CONFIG = Shape(
    {
        "Transformation": Field(one_of("NONE", "COMPACT", "FLATTEN")),
        "OutputType": Field(one_of("JSON", "JSONL")),
    }
)


def _writer_config(view: View, value: Json, place: str) -> None:
    members(view, value, place, WRITER_CONFIG)


WRITER = Shape(
    {
        "Resource": Field(_s3(_S3_WRITE)),
        "Parameters": Field(template, _P),
        "Arguments": Field(template, _A),
        "WriterConfig": Field(_writer_config),
    }
)


def reader(view: View, value: Json, place: str) -> None:
    """Where a distributed Map takes its items from."""
    members(view, value, place, READER)


def batcher(view: View, value: Json, place: str) -> None:
    """How many items go into one child."""
    members(view, value, place, BATCHER)


def writer(view: View, value: Json, place: str) -> None:
    """Where the results go."""
    needed, other = ("Arguments", "Parameters") if view.jsonata else ("Parameters", "Arguments")
    if isinstance(value, dict) and "Resource" in value and needed not in value:
        # AWS says this alone, even of a Parameters that should be Arguments (aws-cdk#33396)
        view.error(f"These fields are required: [{needed}]", place)
        value = {name: inner for name, inner in value.items() if name != other}
    members(view, value, place, WRITER)


def label(view: View, value: Json, place: str) -> None:
    """The name that the children of a distributed Map go by."""
    if not isinstance(value, str):
        wrong_type(view, value, place, "String")
    elif view.open(value):
        pass
    elif len(value) > LABEL_CHARACTERS:
        view.error(f"Label cannot exceed {LABEL_CHARACTERS} characters", place, "INVALID_LABEL_NAME")
    elif found := _NO_LABEL.search(value):
        view.error(f"Label contains invalid character: {found[0]!r}", place, "INVALID_LABEL_NAME")
    elif not value:
        view.error("Label cannot be empty", place, "INVALID_LABEL_NAME")
