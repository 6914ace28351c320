"""Which field a part of a definition may have, as tables, and what holds between several fields of one part.

The tables follow AWS's guide, the recordings, and what others measured with ValidateStateMachineDefinition in 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from stepfold.language.failures import ALL
from stepfold.language.integrations import forbidden_headers
from stepfold.language.limits import MAX_DELAY_SECONDS, MAX_SECONDS
from stepfold.query.values import Json

from .choices import rules
from .diagnostics import View
from .distributed import batcher, label, reader, writer
from .shapes import (
    Field,
    Kind,
    Shape,
    anything,
    decimal,
    flag,
    integer,
    looks_like_path,
    members,
    object_template,
    one_of,
    or_expression,
    or_null,
    path,
    path_or_call,
    resource,
    seeing,
    single_path,
    target_path,
    template,
    text,
    timestamp,
    unsupported,
    words,
    wrong_type,
)
from .variables import assign

_P, _A = "JSONPath", "JSONata"
_LANGUAGES = one_of(_P, _A)
_INVOKES = re.compile(r"arn:[^:]*:states:[^:]*:[^:]*:(apigateway|http):invoke(?:\.waitForTaskToken)?")

# -- Retry and Catch

RETRIER = Shape(
    {
        "ErrorEquals": Field(anything),  # `_handlers` looks at it
        "IntervalSeconds": Field(integer(0, MAX_SECONDS)),
        "MaxAttempts": Field(integer(0, MAX_SECONDS)),
        "BackoffRate": Field(decimal(1.0)),
        "MaxDelaySeconds": Field(integer(1, MAX_DELAY_SECONDS)),
        "JitterStrategy": Field(one_of("NONE", "FULL")),
        "Comment": Field(text),
    },
    required=("ErrorEquals",),
)
CATCHER = Shape(
    {
        "ErrorEquals": Field(anything),
        "Next": Field(text),
        "ResultPath": Field(or_null(target_path), _P),
        "Output": Field(seeing("errorOutput", template), _A),
        "Assign": Field(seeing("errorOutput", assign)),
        "Comment": Field(text),
    },
    required=("ErrorEquals", "Next"),
)


def _handlers(shape: Shape) -> Kind:
    def kind(view: View, value: Json, place: str) -> None:
        if not isinstance(value, list):
            wrong_type(view, value, place, "Array")
            return
        for index, item in enumerate(value):
            if members(view, item, f"{place}[{index}]", shape) and "ErrorEquals" in item:
                last = index == len(value) - 1
                _error_names(view, item["ErrorEquals"], f"{place}[{index}]/ErrorEquals", last=last)

    return kind


def _error_names(view: View, value: Json, place: str, *, last: bool) -> None:
    if not isinstance(value, list):
        wrong_type(view, value, place, "Array")
        return
    if not value:
        view.error("Value cannot be empty", place)
    for index, name in enumerate(value):
        if not isinstance(name, str):
            wrong_type(view, name, f"{place}[{index}]", "String")
        elif not name:
            view.error("Value cannot be empty", f"{place}[{index}]")
    if ALL in value and (len(value) > 1 or not last):
        view.error("States.ALL must appear alone and at end of list", place)


# -- blocks: the tables of states are joined to the blocks below, since states hold blocks and blocks hold states


def _branches(view: View, value: Json, place: str) -> None:
    if not isinstance(value, list):
        wrong_type(view, value, place, "Array")
        return
    if not value:
        view.error("Value cannot be empty", place)
    for index, branch in enumerate(value):
        members(view, branch, f"{place}[{index}]", BRANCH)


def _processor(view: View, value: Json, place: str) -> None:
    config = value.get("ProcessorConfig") if isinstance(value, dict) else None
    if isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED":
        # the children are executions of their own
        view = replace(view, express=view.express or config.get("ExecutionType") == "EXPRESS")
    members(view, value, place, PROCESSOR)


def _processor_config(view: View, value: Json, place: str) -> None:
    if not members(view, value, place, PROCESSOR_CONFIG):
        return
    if value.get("Mode") == "DISTRIBUTED" and "ExecutionType" not in value:
        view.error("These fields are required: [ExecutionType]", place)
    if value.get("Mode") == "INLINE" and "ExecutionType" in value:
        unsupported(view, "ExecutionType", place)


def _states(view: View, value: Json, place: str) -> None:
    if not isinstance(value, dict):
        wrong_type(view, value, place, "Object")
        return
    if not value:
        view.error("Value cannot be empty", place)
    for name, state in value.items():
        _state(view, state, f"{place}/{name}")


def _state(view: View, value: Json, place: str) -> None:
    if not isinstance(value, dict):
        wrong_type(view, value, place, "Object")
        return
    own = value.get("QueryLanguage", view.whole)
    back = own == _P and view.whole == _A
    if back:
        message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
        view.error(message, place, focus=f"{place}/QueryLanguage")
    # the language of the machine is inherited, never that of the state around (language notes, section 3)
    mixed = back or view.open(own) or (view.mixed and "QueryLanguage" not in value)
    view = replace(view, jsonata=own != _P and not view.open(own), mixed=mixed)
    kind = value.get("Type")
    if "Type" not in value:
        view.error("These fields are required: [Type]", place)
    elif not isinstance(kind, str) or kind not in STATES:
        if not view.open(kind):
            known = ", ".join(STATES)
            view.error(f"The field 'Type' should have one of these values: [{known}]", f"{place}/Type")
    else:
        members(view, value, place, STATES[kind])
        _between(view, kind, value, place)


def _between(view: View, kind: str, state: Mapping[str, Json], place: str) -> None:
    """What holds between fields of a state."""
    if kind == "Wait":
        names = ("Seconds", "Timestamp") if view.jsonata else WAIT_FIELDS
        if not any(name in state for name in WAIT_FIELDS):
            view.error(f"This object should have only one of the following fields: [{', '.join(names)}]", place)
    elif kind == "Task":
        _task(view, state, place)
    elif kind == "Map":
        _map(view, state, place)
    elif kind == "Pass" and "Result" in state and not view.jsonata:
        _static(view, state["Result"], f"{place}/Result")


def _task(view: View, state: Mapping[str, Json], place: str) -> None:
    timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    if type(timeout) is int and type(heartbeat) is int and 0 < timeout <= heartbeat:
        view.error("HeartbeatSeconds must be smaller than TimeoutSeconds", f"{place}/HeartbeatSeconds")
    credentials = state.get("Credentials")
    if isinstance(credentials, dict) and not {"RoleArn", "RoleArn.$"} & credentials.keys():
        view.error("The field 'RoleArn' is required but was missing", f"{place}/Credentials")
    called = state.get("Resource")
    if (
        credentials is not None
        and isinstance(called, str)
        and re.match(r"arn:[^:]*:states:[^:]*:[^:]*:activity:", called)
    ):
        view.error("The field 'Credentials' is not supported for activities", f"{place}/Credentials")
    _headers(view, state, place)


def _headers(view: View, state: Mapping[str, Json], place: str) -> None:
    """What a request of the Task may not set, as far as it stands there; of the rest the Task fails (`work`)."""
    field = "Arguments" if view.jsonata else "Parameters"
    arguments, called = state.get(field), _INVOKES.fullmatch(str(state.get("Resource")))
    headers = arguments.get("Headers") if isinstance(arguments, dict) else None
    if called is not None and isinstance(headers, dict):
        names = headers if view.jsonata else [name.removesuffix(".$") for name in headers]
        if (wrong := forbidden_headers(called[1], names)) is not None:
            view.error(wrong, f"{place}/{field}", focus=f"{place}/{field}/Headers")


def _map(view: View, state: Mapping[str, Json], place: str) -> None:
    if "ItemProcessor" not in state and "Iterator" not in state:
        view.error("These fields are required: [Iterator]", place)
        return
    name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
    block = state[name]
    config = block.get("ProcessorConfig") if isinstance(block, dict) else None
    mode = config.get("Mode", "INLINE") if isinstance(config, dict) else "INLINE"
    if mode == "DISTRIBUTED" and view.express:
        view.error(
            "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines",
            f"{place}/{name}/ProcessorConfig/Mode",
        )


def _static(view: View, value: Json, place: str) -> None:
    """The Result of a Pass is taken as it stands: expressions in it were likely meant as such."""
    waiting = [(value, place)]
    while waiting:
        inner, at = waiting.pop()
        if isinstance(inner, dict):
            waiting.extend((part, f"{at}/{name}") for name, part in inner.items())
        elif isinstance(inner, list):
            waiting.extend((part, f"{at}[{index}]") for index, part in enumerate(inner))
        elif looks_like_path(inner):
            view.warning("PASS_RESULT_IS_STATIC", "The Result of a Pass state is static: use Parameters for paths", at)


# -- the tables of the states

_TEMPLATE_P, _TEMPLATE_A = Field(template, _P), Field(template, _A)
_COMMON = {"Type": Field(text), "Comment": Field(text), "QueryLanguage": Field(_LANGUAGES)}
_PIPE = {"InputPath": Field(or_null(path), _P), "OutputPath": Field(or_null(path), _P), "Output": _TEMPLATE_A}
_FLOW = {**_COMMON, **_PIPE, "Assign": Field(assign), "Next": Field(text), "End": Field(flag)}
_WORK = {
    **_FLOW,
    "Output": Field(seeing("result", template), _A),
    "Assign": Field(seeing("result", assign)),
    "Parameters": _TEMPLATE_P,
    "ResultSelector": _TEMPLATE_P,
    "ResultPath": Field(or_null(target_path), _P),
    "Retry": Field(_handlers(RETRIER)),
    "Catch": Field(_handlers(CATCHER)),
}
_NEXT = (("Next", "End"),)
_SECONDS = Field(or_expression(integer(1, MAX_SECONDS)))
_PATH = Field(path, _P)
WAIT_FIELDS = ("SecondsPath", "Seconds", "TimestampPath", "Timestamp")


def _pairs(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{name}Path") for name in names)


STATES: Mapping[str, Shape] = {
    "Task": Shape(
        {
            **_WORK,
            "Resource": Field(resource),
            "Arguments": _TEMPLATE_A,
            "TimeoutSeconds": _SECONDS,
            "TimeoutSecondsPath": _PATH,
            "HeartbeatSeconds": _SECONDS,
            "HeartbeatSecondsPath": _PATH,
            "Credentials": Field(object_template),
        },
        required=("Resource",),
        one_at_most=_pairs("TimeoutSeconds", "HeartbeatSeconds"),
        exactly_one=_NEXT,
    ),
    "Wait": Shape(
        {
            **_FLOW,
            "Seconds": Field(or_expression(integer(0, MAX_SECONDS))),
            "SecondsPath": _PATH,
            "Timestamp": Field(or_expression(timestamp)),
            "TimestampPath": _PATH,
        },
        one_at_most=(WAIT_FIELDS,),
        exactly_one=_NEXT,
    ),
    "Pass": Shape(
        {
            **_FLOW,
            "Parameters": _TEMPLATE_P,
            "Result": Field(anything, _P),
            "ResultPath": Field(or_null(target_path), _P),
        },
        exactly_one=_NEXT,
    ),
    "Succeed": Shape({**_COMMON, **_PIPE}),
    "Fail": Shape(
        {
            **_COMMON,
            "Error": Field(words),
            "ErrorPath": Field(path_or_call, _P),
            "Cause": Field(words),
            "CausePath": Field(path_or_call, _P),
        },
        one_at_most=_pairs("Error", "Cause"),
    ),
    "Choice": Shape(
        {**_COMMON, **_PIPE, "Assign": Field(assign), "Choices": Field(rules), "Default": Field(text)},
        required=("Choices",),
    ),
    "Parallel": Shape(
        {**_WORK, "Arguments": _TEMPLATE_A, "Branches": Field(_branches)},
        required=("Branches",),
        exactly_one=_NEXT,
    ),
    "Map": Shape(
        {
            **_WORK,
            "ItemProcessor": Field(_processor),
            "Iterator": Field(_processor),
            "ItemsPath": Field(single_path, _P),
            "Items": _TEMPLATE_A,
            "ItemSelector": Field(template),
            "ItemReader": Field(reader),
            "ItemBatcher": Field(batcher),
            "ResultWriter": Field(writer),
            "MaxConcurrency": Field(or_expression(integer(0))),
            "MaxConcurrencyPath": _PATH,
            "ToleratedFailureCount": Field(or_expression(integer(0))),
            "ToleratedFailureCountPath": _PATH,
            "ToleratedFailurePercentage": Field(or_expression(decimal(0.0, 100.0))),
            "ToleratedFailurePercentagePath": _PATH,
            "Label": Field(label),
        },
        one_at_most=(
            ("ItemProcessor", "Iterator"),
            *_pairs("MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"),
        ),
        exactly_one=_NEXT,
    ),
}
"""In the order in which AWS names them."""

_BLOCK = {"StartAt": Field(text), "States": Field(_states), "Comment": Field(text)}
BRANCH = Shape(_BLOCK, required=("States", "StartAt"))
PROCESSOR_CONFIG = Shape(
    {"Mode": Field(one_of("INLINE", "DISTRIBUTED")), "ExecutionType": Field(one_of("STANDARD", "EXPRESS"))}
)
PROCESSOR = Shape({**_BLOCK, "ProcessorConfig": Field(_processor_config)}, required=BRANCH.required)
MACHINE = Shape(
    {
        **_BLOCK,
        "Version": Field(one_of("1.0")),
        "TimeoutSeconds": Field(integer(0, MAX_SECONDS)),
        "QueryLanguage": Field(_LANGUAGES),
    },
    required=BRANCH.required,
)
