"""Python callables as workers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import sys
import threading
import time
import uuid
from decimal import Decimal

import anyio
import pytest
import structlog

from stepfold.query.values import text, tree
from stepfold.work.call import TaskError
from stepfold.work.functions.callables import Function

pytestmark = pytest.mark.anyio


class Taker:
    async def __call__(self, event):
        return event


async def with_context(event, context):
    return [event, context.function_name]


async def with_any_second(event, _):
    return [event, _.function_name]


async def with_default(event, times=2):
    return event * times


async def with_keyword(event, *, context):
    return [event, context.function_name]


async def with_all(*arguments):
    return len(arguments)


def sync(event):
    return event


def sync_with_context(event, context):
    return [event, context.function_name]


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (with_context, [3, "f"]), (with_any_second, [3, "f"]), (with_default, 6), (with_keyword, [3, "f"]),
        (with_all, 2), (sync, 3), (sync_with_context, [3, "f"]), (Taker(), 3), (abs, 3),
        (functools.partial(with_default, times=3), 9), (lambda event: with_default(event, 4), 12),
    ],
)
async def test_every_way_to_write_one(call, function, result):
    assert tree(await Function(function)(call("f", 3))) == result


def test_a_callable_that_takes_no_event_is_refused():
    with pytest.raises(TypeError, match="takes no event"):
        Function(lambda: None)


async def test_the_context_says_all_about_the_call(call):
    beats = []

    async def function(event, context):
        context.heartbeat()
        return {
            "token": context.token, "attempt": context.attempt, "state": context.state, "left": context.deadline,
            "execution": context.execution, "millis": context.get_remaining_time_in_millis(),
            "request": context.aws_request_id, "again": context.aws_request_id, "arn": context.invoked_function_arn,
        }

    asked = call("f:3", attempt=2, timeout=10.0, beat=lambda: beats.append(1))
    said = tree(await Function(function)(asked))
    assert (said["token"], said["attempt"], said["state"], said["execution"]) == ("token", 2, "State", "arn:execution")
    assert 9_000 < said["millis"] <= 10_000
    assert time.time() < said["left"] <= time.time() + 10
    assert uuid.UUID(said["request"])
    assert said["request"] == said["again"] == tree(await Function(function)(asked))["request"]
    assert said["arn"].endswith(":function:f:3")
    assert len(beats) == 2
    said = tree(await Function(function)(call("arn:aws:states:::sqs:sendMessage")))
    assert said["left"] is None
    assert 899_000 < said["millis"] <= 900_000


async def test_the_time_that_is_left_counts_from_the_start_of_the_call(call, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "time", lambda: 5_000 + now)

    async def function(event, context):
        nonlocal now
        now += 4
        return [context.deadline, context.get_remaining_time_in_millis()]

    assert tree(await Function(function)(call("f", timeout=10))) == [6_010, 6_000]


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_failure_names_the_same_request_whether_the_function_takes_a_context_or_not(call, threaded):
    seen = []

    async def with_it(event, context):
        seen.append(context.aws_request_id)
        raise Unpaid

    async def without(event):
        raise Unpaid

    def in_a_thread(event):
        raise Unpaid

    for function in (with_it, in_a_thread if threaded else without):
        with pytest.raises(TaskError) as caught:
            await Function(function)(call("f"))
        assert [json.loads(caught.value.cause)["requestId"]] == seen


async def test_a_heartbeat_crosses_from_the_thread_to_the_loop(call):
    threads = []

    def function(event, context):
        context.heartbeat()
        return threading.current_thread().name

    here = threading.current_thread().name
    there = tree(await Function(function)(call("f", beat=lambda: threads.append(threading.current_thread().name))))
    assert threads == [here]
    assert there != here


async def test_a_handler_may_change_its_event(call):
    async def function(event):
        event["list"].append(1)
        return event

    asked = call("f", {"list": []})
    assert await Function(function)(asked) == text({"list": [1]})
    assert await Function(function)(asked) == text({"list": [1]})
    assert asked.arguments == text({"list": []})


async def test_number_literals_survive(call):
    asked = call("f")
    asked.arguments = type(asked.arguments)(b'{"a":1.10,"b":1E3}')
    assert bytes(await Function(Taker())(asked)) == b'{"a":1.10,"b":1E3}'


class Unpaid(Exception):
    pass


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_exception_is_reported_as_aws_does(call, threaded):
    def fails(event):
        raise Unpaid("not paid")

    async def fails_too(event):
        raise Unpaid("not paid")

    with pytest.raises(TaskError) as caught:
        await Function(fails if threaded else fails_too)(call("f"))
    assert caught.value.error == "Unpaid"
    cause = json.loads(caught.value.cause)
    assert list(cause) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert cause["errorMessage"] == "not paid"
    assert cause["errorType"] == "Unpaid"
    assert uuid.UUID(cause["requestId"])
    (frame,) = cause["stackTrace"]
    assert frame.startswith(f'  File "{__file__}", line ')
    assert frame.endswith('\n    raise Unpaid("not paid")\n')
    assert caught.value.cause == json.dumps(cause, separators=(",", ":"))


async def test_a_task_error_passes_as_it_is(call):
    error = TaskError("Custom.Name", "why")

    async def fails(event):
        raise error

    with pytest.raises(TaskError) as caught:
        await Function(fails)(call("f"))
    assert caught.value is error


@pytest.mark.parametrize("threaded", [False, True])
async def test_sys_exit_ends_the_call_and_not_the_engine(call, threaded):
    async def leaves(event):
        sys.exit(3)

    with pytest.raises(TaskError) as caught:
        await Function((lambda _: sys.exit(3)) if threaded else leaves)(call("f"))
    assert caught.value.error == "Runtime.ExitError"
    assert "exit status 3" in caught.value.cause


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def endless():
    value = []
    value.append(value)
    return value


@dataclasses.dataclass
class Point:
    x: int = 1


@pytest.mark.parametrize(
    "bad",
    [
        float("nan"), [float("inf")], b"bytes", {"a": bytearray(b"x")}, {1, 2}, object(), Point(),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), deep(500), 1j, {"a": [{"b": b""}]}, {(1, 2): 3},
    ],
    ids=lambda bad: type(bad).__name__,
)
async def test_a_result_that_is_not_json_fails_the_task(call, bad):
    async def function(event):
        return bad

    with pytest.raises(TaskError) as caught:
        await Function(function)(call("f"))
    assert caught.value.error == "Runtime.MarshalError"
    cause = json.loads(caught.value.cause)
    assert cause["errorMessage"].startswith("Unable to marshal response: ")
    assert cause["stackTrace"] == []


async def test_a_result_that_holds_itself_fails_the_task(call):
    async def function(event):
        return endless()

    with anyio.fail_after(10), pytest.raises(TaskError) as caught:
        await Function(function)(call("f"))
    assert caught.value.error == "Runtime.MarshalError"


@pytest.mark.parametrize(
    ("result", "written"),
    [
        (None, b"null"), ((1, 2), b"[1,2]"), ({1: "a"}, b'{"1":"a"}'), (Decimal(3), b"3"), ("é", '"é"'.encode()),
        ({"a": [Decimal("1.5")]}, b'{"a":[1.5]}'), (True, b"true"), ("null", b'"null"'),
    ],
)
async def test_results_are_written_as_json(call, result, written):
    async def function(event):
        return result

    assert bytes(await Function(function)(call("f"))) == written


async def test_a_cancelled_async_function_stops(call):
    stopped = []

    async def function(event):
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(Function(function), call("f"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert stopped


async def test_a_thread_that_cannot_be_stopped_is_named_and_changes_nothing(call):
    started, release, ended = threading.Event(), threading.Event(), threading.Event()
    names, beats = [], []

    def function(event, context):
        names.append(threading.current_thread().name)
        started.set()
        release.wait(20)
        context.heartbeat()
        ended.set()
        return "late"

    with structlog.testing.capture_logs() as logs:
        async with anyio.create_task_group() as group:
            group.start_soon(Function(function), call("f", beat=lambda: beats.append(1)))
            await anyio.to_thread.run_sync(started.wait, 20)
            group.cancel_scope.cancel()
    (line,) = logs
    assert line["event"] == "function runs on after its call was cancelled"
    assert (line["function"], line["thread"]) == ("f", names[0])
    release.set()
    assert await anyio.to_thread.run_sync(ended.wait, 20)
    assert beats == []
