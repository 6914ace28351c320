"""What is right by the language, but likely not meant: warnings of our own, which AWS does not give.

Each has a code by which it can be left out. Only what can be seen without doubt is told: what a template fills in is
taken for good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from stepfold.language import failures
from stepfold.language.failures import ALL, TASK_FAILED, Failure, matches
from stepfold.language.resources import Resource, parse_resource
from stepfold.query.values import Json, text

from .diagnostics import WARNING, Diagnostic, View
from .expressions import uses
from .graph import distributed, endless, inner_blocks

_BLOCKS = ("Branches", "ItemProcessor", "Iterator")
_RESERVED = frozenset(value for value in vars(failures).values() if isinstance(value, str) and value[:7] == "States.")
_NOT_OF_A_TASK = frozenset({
    failures.BRANCH_FAILED,
    failures.EXCEED_TOLERATED_FAILURE_THRESHOLD,
    failures.ITEM_READER_FAILED,
    failures.NO_CHOICE_MATCHED,
    failures.RESULT_WRITER_FAILED,
})
_ONLY_DISTRIBUTED = (
    "ItemReader", "ItemBatcher", "ResultWriter", "Label",
    "ToleratedFailureCount", "ToleratedFailureCountPath",
    "ToleratedFailurePercentage", "ToleratedFailurePercentagePath",
)  # fmt: skip
_LIMITS_OF_A_BATCH = (
    "MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath",
)  # fmt: skip
_TOKEN = re.compile(
    r"""\$\$(?:\.|\[['"])Task|"\$\$"|\$states\s*\.\s*context\s*(?:\.\s*Task|[^.\s])|\$states\s*[^.\s\w]"""
)
"""Where the Context object, or the part of it with the token, is handed on."""


class _Seen(NamedTuple):
    """A state as it is looked at; `retried` says that a state around it has a Retry.

    `raised` are the errors that the machine's own Fail states name.
    """

    state: Mapping[str, Json]
    place: str
    jsonata: bool
    retried: bool
    raised: frozenset[str] = frozenset()


Advice: TypeAlias = Iterator[tuple[str, str, str]]
"""Code, message and place."""


def advise(definition: Mapping[str, Json], *, placeholders: bool = False) -> list[Diagnostic]:
    """List what is likely not meant in a definition that has no errors (with errors, what can be told)."""
    view = View([], placeholders=placeholders)
    whole = definition.get("QueryLanguage") == "JSONata"
    states = list(_states(definition, "", whole, retried=False))
    errors = (seen.state.get("Error") for seen in states if seen.state.get("Type") == "Fail")
    raised = frozenset(error for error in errors if isinstance(error, str))
    return [
        Diagnostic(WARNING, code, message, place)
        for seen in states
        for advice in ADVICE
        for code, message, place in advice(view, seen._replace(raised=raised))
    ]


def _states(block: Json, place: str, whole: bool, *, retried: bool) -> Iterator[_Seen]:
    states = block.get("States") if isinstance(block, dict) else None
    for name, state in states.items() if isinstance(states, dict) else ():
        if isinstance(state, dict):
            seen = _Seen(state, f"{place}/States/{name}", _jsonata(state, whole), retried)
            yield seen
            for inner, at in inner_blocks(state, seen.place):
                yield from _states(inner, at, whole, retried=retried or bool(state.get("Retry")))


def _jsonata(state: Mapping[str, Json], whole: bool) -> bool:
    return whole if "QueryLanguage" not in state else state["QueryLanguage"] == "JSONata"


def _called(seen: _Seen) -> Resource | None:
    """What a Task calls, where that can be told."""
    resource = seen.state.get("Resource")
    if seen.state.get("Type") != "Task" or not isinstance(resource, str):
        return None
    try:
        return parse_resource(resource)
    except ValueError:
        return None


def _no_retry(_: View, seen: _Seen) -> Advice:
    called = _called(seen)
    if called and called.kind == "lambda" and not seen.retried and not seen.state.get("Retry"):
        message = "Lambda itself now and then fails for a moment (Lambda.ServiceException and others): add Retry"
        yield "NO_RETRY", message, seen.place


def _endless(view: View, seen: _Seen) -> Advice:
    for block, place in inner_blocks(seen.state, seen.place):
        states = block.get("States") if isinstance(block, dict) else None
        if isinstance(states, dict) and endless(states, view):
            yield "ENDLESS", "No state in here ends it: it goes on until it fails or is stopped", f"{place}/States"


def _no_timeout(_: View, seen: _Seen) -> Advice:
    called = _called(seen)
    limits = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")
    if called and called.outward and not any(limit in seen.state for limit in limits):
        message = "Without an answer this waits as long as an execution can: set TimeoutSeconds or HeartbeatSeconds"
        yield "NO_TIMEOUT", message, seen.place


def _token_not_passed(view: View, seen: _Seen) -> Advice:
    called = _called(seen)
    field = "Arguments" if seen.jsonata else "Parameters"
    if called is None or called.pattern != "waitForTaskToken":
        return
    written = bytes(text(seen.state.get(field))).decode("utf-8", "replace")
    if not view.open(written) and not _TOKEN.search(written):
        token = "$states.context.Task.Token" if seen.jsonata else "$$.Task.Token"
        message = f"Nobody is given the task token, so nobody can answer: hand {token} on in {field}"
        yield "TOKEN_NOT_PASSED", message, seen.place


def _only_distributed(view: View, seen: _Seen) -> Advice:
    if seen.state.get("Type") != "Map":
        return
    block = seen.state.get("ItemProcessor", seen.state.get("Iterator"))
    if not isinstance(block, dict):
        return
    config = block.get("ProcessorConfig", {})
    if not distributed(block):
        if isinstance(config, dict) and not view.open(config.get("Mode")):
            for field in _ONLY_DISTRIBUTED:
                if field in seen.state:
                    message = f"'{field}' is for a distributed Map: set the Mode DISTRIBUTED in ProcessorConfig"
                    yield "ONLY_DISTRIBUTED", message, f"{seen.place}/{field}"
        return
    match seen.state.get("ItemBatcher"):
        case dict(batcher) if not any(limit in batcher for limit in _LIMITS_OF_A_BATCH):
            message = "Nothing says how large a batch is: set MaxItemsPerBatch, MaxInputBytesPerBatch or both"
            yield "NO_BATCH_LIMIT", message, f"{seen.place}/ItemBatcher"
    if seen.state.get("ResultWriter") == {}:
        message = "An empty ResultWriter makes executions fail: name a Resource, or leave it out"
        yield "EMPTY_RESULT_WRITER", message, f"{seen.place}/ResultWriter"


def _error_names(view: View, seen: _Seen) -> Advice:
    """Names in Retry and Catch that nothing is ever called, or that an earlier entry takes."""
    for field in ("Retry", "Catch"):
        entries = seen.state.get(field)
        before: list[str] = []
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            names = entry.get("ErrorEquals") if isinstance(entry, dict) else None
            if not isinstance(names, list):
                continue
            for number, name in enumerate(names):
                if isinstance(name, str) and not view.open(name):
                    at = f"{seen.place}/{field}[{index}]/ErrorEquals[{number}]"
                    yield from ((code, message, at) for code, message in _about(seen, name, before))
            before += [name for name in names if isinstance(name, str)]


def _about(seen: _Seen, name: str, before: list[str]) -> Iterator[tuple[str, str]]:
    task = seen.state.get("Type") == "Task"
    earlier = before if task else [other for other in before if other != TASK_FAILED]
    reserved = name in _RESERVED or name.startswith("States.Http.")
    if name.startswith("States.") and not reserved and name not in seen.raised:
        yield "UNKNOWN_ERROR_NAME", f"No error is called {name}: names that begin with 'States.' are AWS's own"
    elif name not in (ALL, TASK_FAILED) and matches(earlier, Failure(name)):
        yield "NEVER_MATCHES", f"{name} never comes here: an entry before this one takes it"
    elif task and name in _NOT_OF_A_TASK:
        yield "NEVER_MATCHES", f"A Task never fails with {name}"
    elif task and name == failures.HEARTBEAT_TIMEOUT and not any(field.startswith("Heartbeat") for field in seen.state):
        yield "NEVER_MATCHES", f"Without HeartbeatSeconds a Task never fails with {name}"
    elif task and name == failures.QUERY_EVALUATION_ERROR and not seen.jsonata:
        yield "NEVER_MATCHES", f"A state in JSONPath never fails with {name}"


def _newer_jsonata(_: View, seen: _Seen) -> Advice:
    if not seen.jsonata:
        return
    waiting: list[tuple[Json, str]] = [
        (value, f"{seen.place}/{field}") for field, value in seen.state.items() if field not in _BLOCKS
    ]
    while waiting:
        value, place = waiting.pop(0)
        if isinstance(value, dict):
            waiting.extend((inner, f"{place}/{name}") for name, inner in value.items())
        elif isinstance(value, list):
            waiting.extend((inner, f"{place}[{index}]") for index, inner in enumerate(value))
        elif (found := uses(value)) is not None:
            for sign in dict.fromkeys(found.newer):
                message = f"'{sign}' came with JSONata 2.1: AWS runs 2.0.6, which does not have it"
                yield "JSONATA_NEWER_SYNTAX", message, place


ADVICE: tuple[Callable[[View, _Seen], Advice], ...] = (
    _no_retry, _endless, _no_timeout, _token_not_passed, _only_distributed, _error_names, _newer_jsonata,
)  # fmt: skip
