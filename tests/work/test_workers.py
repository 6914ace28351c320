"""Registration, routing, turns, and what becomes of a worker's mistakes."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from stepfold.names import Home
from stepfold.query.values import NULL, Value, text
from stepfold.work.call import NoWorker, TaskError
from stepfold.work.functions.callables import Function
from stepfold.work.workers import Workers

pytestmark = pytest.mark.anyio

INVOKE = "arn:aws:states:::lambda:invoke"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"


def answering(value):
    async def worker(call):
        return text(value)

    return worker


async def test_exact_arn_then_function_name_then_longest_pattern():
    workers = Workers()
    everything = workers.register("*", answering("*"))
    services = workers.register("arn:aws:states:::*", answering("services"))
    queues = workers.register("arn:aws:states:::sqs:*", answering("queues"))
    pays = workers.register("pay-*", answering("pays"))
    pay = workers.register("pay-now", answering("pay"))
    exact = workers.register(ARN + "pay-now:7", answering("exact"))
    empty = text({})

    assert workers.find(ARN + "pay-now:7", empty) is exact
    assert workers.find(ARN + "pay-now", empty) is pay
    assert workers.find(ARN + "pay-now:8", empty) is pay
    assert workers.find(ARN + "pay-later", empty) is pays
    assert workers.find("arn:aws:states:::sqs:sendMessage", empty) is queues
    assert workers.find("arn:aws:states:::sns:publish", empty) is services
    assert workers.find(INVOKE, text({"FunctionName": "pay-now"})) is pay
    assert workers.find(INVOKE, text({"FunctionName": "pay-later"})) is pays
    assert workers.find(INVOKE, text({"FunctionName": "other"})) is everything
    assert workers.find(INVOKE, empty) is services
    assert workers.find(ARN + "other", empty) is everything


@pytest.mark.parametrize(
    "name",
    [
        "f", "f:3", "f:live", "123456789012:function:f", "123456789012:function:f:3", "function:f", ARN + "f",
        ARN + "f:3",
    ],
)
async def test_the_function_of_lambda_invoke_may_be_named_in_every_way(name):
    workers = Workers()
    entry = workers.register("f", answering(1))
    assert workers.find(INVOKE, text({"FunctionName": name})) is entry
    assert workers.find(INVOKE + ".waitForTaskToken", text({"FunctionName": name})) is entry


async def test_a_pattern_over_function_arns_also_takes_what_lambda_invoke_names(call, plain):
    workers = Workers()
    workers.register(ARN + "*", Function(lambda event: event))
    answer = plain(await workers.perform(call(INVOKE, {"FunctionName": "f", "Payload": {"a": 1}})))
    assert answer["Payload"] == {"a": 1}


async def test_a_later_registration_takes_the_place_of_the_earlier(call):
    workers = Workers()
    for value in (1, 2):
        workers.register("f", answering(value))
        workers.register("g*", answering(value))
    assert await workers.perform(call("f")) == text(2)
    assert await workers.perform(call("gg")) == text(2)


SQS = "arn:aws:states:::sqs:sendMessage"


async def test_who_is_registered_after_a_call_does_the_next(call):
    """Each registration takes the next call from whoever did the last, so that none that is remembered may be stale."""
    workers = Workers()
    for resource in (ARN + "f", SQS):
        with pytest.raises(NoWorker):
            await workers.perform(call(resource))
    for number, (name, last) in enumerate([("arn:*", True), ("arn:aws:*", False), ("arn:aws:s*", False), (SQS, False)]):
        workers.register(name, answering(number), last=last)
        assert await workers.perform(call(SQS)) == text(number)
    names = [ARN + "*", "f", "f", ARN + "f"]
    for number, name in enumerate(names):
        workers.register(name, answering(number))
        for asked in (call(ARN + "f"), call(ARN + "f:3")):
            most = 2 if number == 3 and asked.resource.endswith(":3") else number
            assert await workers.perform(asked) == text(most)


async def test_lambda_invoke_goes_where_each_of_its_calls_says(call, plain):
    workers = Workers()
    workers.register("f", answering("f"))
    workers.register("g", answering("g"))
    for name in ("f", "g", "f"):
        assert plain(await workers.perform(call(INVOKE, {"FunctionName": name})))["Payload"] == name
    workers.register("g", answering("another"))
    assert plain(await workers.perform(call(INVOKE, {"FunctionName": "g"})))["Payload"] == "another"
    workers.register(INVOKE, answering("whole"))
    assert await workers.perform(call(INVOKE, {"FunctionName": "g"})) == text("whole")


async def test_whose_functions_they_are_and_that_all_are_known_may_be_said_after_a_call(call, plain):
    workers = Workers()
    workers.register("arn", lambda call: answering(call.resource)(call))
    assert plain(await workers.perform(call(INVOKE, {"FunctionName": "arn"})))["Payload"] == ARN + "arn"
    workers.home = Home(region="eu-west-1")
    there = ARN.replace("us-east-1", "eu-west-1")
    assert plain(await workers.perform(call(INVOKE, {"FunctionName": "arn"})))["Payload"] == there + "arn"
    for resource, arguments in ((INVOKE, {"FunctionName": "f"}), (ARN + "f", {})):
        workers.complete = False
        with pytest.raises(NoWorker):
            await workers.perform(call(resource, arguments))
        workers.complete = True
        with pytest.raises(TaskError, match="Function not found"):
            await workers.perform(call(resource, arguments))


class Jobs:
    async def submit(self, _):
        return text({"id": 1})

    async def wait(self, _, receipt):
        return receipt

    async def cancel(self, _, receipt):
        pass


def test_what_is_a_job_may_be_said_after_it_was_asked():
    workers = Workers()
    resource = "arn:aws:states:::codebuild:startBuild"
    for worker, hands_over in ((answering(1), False), (Jobs(), True), (answering(1), False)):
        workers.register(resource + ".sync", worker)
        workers.register(resource, worker)
        assert workers.hands_over(resource + ".sync", NULL) == hands_over
        assert not workers.hands_over(resource, NULL)


async def test_who_does_jobs_alone_is_not_called_and_who_is_called_alone_takes_no_job(call):
    workers = Workers()
    workers.register("job", Jobs())
    workers.register("f", answering(1))
    with pytest.raises(NoWorker):
        await workers.perform(call("job"))
    with pytest.raises(NoWorker):
        await workers.submit(call("f"))
    assert await workers.submit(call("job")) == text({"id": 1})


async def test_a_registered_function_words_its_own_failures(call):
    """Where all are known: only what takes Lambda's place is taken at AWS's words."""
    workers = Workers()
    workers.complete = True

    async def fails(_):
        raise TaskError("Lambda.ResourceNotFoundException", "its own")

    workers.register("f", fails)
    for asked in (call("f"), call(INVOKE, {"FunctionName": "f"})):
        with pytest.raises(TaskError, match="its own"):
            await workers.perform(asked)


async def test_a_call_that_asks_for_another_is_the_same_in_all_else(call):
    beats = []
    asked = call("f", {"a": 1}, attempt=2, retry=3, timeout=4, beat=lambda: beats.append(1), case="case")
    other = asked.asking("g", NULL)
    other.beat()
    assert (other.resource, other.arguments) == ("g", NULL)
    assert (other.token, other.attempt, other.retry, other.timeout, other.case) == ("token", 2, 3, 4, "case")
    assert (beats, asked.resource, asked.arguments) == ([1], ARN + "f", text({"a": 1}))
    assert len({asked, other, call("f"), call("f")}) == 4, "calls are told apart, not compared"


async def test_what_a_call_carries_is_not_shown_with_it(call):
    shown = repr(call("f", {"password": "hidden"}))
    assert ARN + "f" in shown
    assert "hidden" not in shown
    assert "token" not in shown


@pytest.mark.parametrize("arguments", [{}, {"FunctionName": 3}, [], "x"])
async def test_lambda_invoke_that_names_no_function_has_no_worker(call, arguments):
    workers = Workers()
    workers.register("f", answering(1))
    with pytest.raises(NoWorker):
        await workers.perform(call(INVOKE, arguments))


@pytest.mark.parametrize(("resource", "arguments"), [(INVOKE, {"FunctionName": "f"}), (ARN + "f", {})])
async def test_where_all_functions_are_known_another_does_not_exist(call, resource, arguments):
    workers = Workers()
    workers.complete = True
    with pytest.raises(TaskError) as caught:
        await workers.perform(call(resource, arguments))
    assert caught.value.error == "Lambda.ResourceNotFoundException"
    assert caught.value.cause.startswith(f"Function not found: {ARN}f:$LATEST (Service: AWSLambda; ")  # (recorded)
    with pytest.raises(NoWorker):
        await workers.perform(call("arn:aws:states:::sqs:sendMessage"))


async def test_a_function_that_lambda_does_not_have_either_is_missed_in_the_same_words(call):
    workers = Workers()

    async def endpoint(_):
        raise TaskError("Lambda.ResourceNotFoundException", "Function not found: as a stand-in for Lambda words it")

    workers.register("arn:aws:states:::lambda:*", endpoint, last=True)
    asked = call("arn:aws:states:::lambda:invoke", {"FunctionName": "f"})
    with pytest.raises(TaskError, match="stand-in"):
        await workers.perform(asked)
    workers.complete = True
    with pytest.raises(TaskError, match=r"f:\$LATEST \(Service: AWSLambda"):
        await workers.perform(asked)



async def test_what_is_not_registered_is_named(call):
    workers = Workers()
    with pytest.raises(NoWorker, match="'f'") as caught:
        await workers.perform(call(INVOKE, {"FunctionName": "f"}))
    assert (caught.value.resource, caught.value.function) == (INVOKE, "f")
    with pytest.raises(NoWorker, match="no-arn") as caught:
        await workers.perform(call("arn:no-arn"))
    assert caught.value.function is None


async def test_a_direct_call_gets_the_arguments_and_gives_the_plain_result(call):
    workers = Workers()
    workers.register("double", Function(lambda event: {"n": event["n"] * 2}))
    assert await workers.perform(call("double", {"n": 3})) == text({"n": 6})


async def test_lambda_invoke_hands_over_the_payload_and_wraps_the_result(call, plain):
    seen = []

    async def double(event, context):
        seen.append((context.function_name, context.invoked_function_arn, context.aws_request_id))
        return {"n": event["n"] * 2}

    workers = Workers()
    workers.register("double", Function(double))
    answer = plain(await workers.perform(call(INVOKE, {"FunctionName": "double:4", "Payload": {"n": 3}})))
    request = seen[0][2]
    assert seen == [("double", ARN + "double:4", request)]
    assert list(answer) == ["ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"]
    assert answer["ExecutedVersion"] == "4"
    assert answer["Payload"] == {"n": 6}
    assert answer["StatusCode"] == 200
    assert answer["SdkResponseMetadata"] == {"RequestId": request}
    http = answer["SdkHttpMetadata"]
    assert list(http) == ["AllHttpHeaders", "HttpHeaders", "HttpStatusCode"]
    assert http["HttpHeaders"]["Content-Length"] == "7"
    assert http["AllHttpHeaders"] == {name: [value] for name, value in http["HttpHeaders"].items()}


async def test_a_payload_left_out_is_an_empty_object_and_every_json_is_an_event(call, plain):
    workers = Workers()
    workers.register("echo", Function(lambda event: event))
    assert plain(await workers.perform(call(INVOKE, {"FunctionName": "echo"})))["Payload"] == {}
    nothing = {"FunctionName": "echo", "Payload": None}
    assert plain(await workers.perform(call(INVOKE, nothing)))["Payload"] == {}  # (recorded)
    for event in (True, 0, 1.5, "text", [], [1], {"a": None}):
        arguments = {"FunctionName": "echo", "Payload": event}
        assert plain(await workers.perform(call(INVOKE, arguments)))["Payload"] == event
        assert plain(await workers.perform(call("echo", event))) == event


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        ("0.0", 0.0), ("true", True), ("[]", []), ('{"a":1}', {"a": 1}), ('"text"', "text"), ("null", None),
        ("text", "text"), ("", ""), ("NaN", "NaN"), ("\\ud800", "\\ud800"),
    ],
)
async def test_a_payload_that_is_json_in_a_text_is_that_json(call, plain, payload, event):
    workers = Workers()
    workers.register("echo", Function(lambda event: event))
    arguments = {"FunctionName": "echo", "Payload": payload}
    assert plain(await workers.perform(call(INVOKE, arguments)))["Payload"] == event
    assert plain(await workers.perform(call("echo", payload))) == payload  # (recorded: HelloWorld stays a text)


async def test_what_nobody_waits_for_does_not_fail_the_task(call, plain):
    async def fails(event):
        raise TaskError("Sad")

    workers = Workers()
    workers.register("fails", Function(fails))
    asked = {"FunctionName": "fails", "InvocationType": "Event"}
    assert plain(await workers.perform(call(INVOKE, asked)))["StatusCode"] == 202
    asked["InvocationType"] = "DryRun"
    assert plain(await workers.perform(call(INVOKE, asked)))["StatusCode"] == 204


async def test_begin_is_called_when_the_turn_has_come(call):
    begun, hold = [], anyio.Event()

    async def worker(call):
        await hold.wait()
        return NULL

    workers = Workers()
    workers.register("f", worker, concurrency=1)
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(workers.perform, call("f", begin=lambda number=number: begun.append(number)))
        await anyio.wait_all_tasks_blocked()
        assert begun == [0]
        hold.set()
    assert begun == [0, 1, 2]


@pytest.mark.parametrize(
    ("in_flight", "concurrency", "outside", "most"), [(200, 3, False, 3), (2, 5, False, 2), (2, 5, True, 5)]
)
async def test_no_more_run_at_once_than_both_caps_allow(call, in_flight, concurrency, outside, most):
    running = 0
    hold = anyio.Event()

    async def worker(call):
        nonlocal running
        running += 1
        await hold.wait()
        running -= 1
        return NULL

    workers = Workers(in_flight=in_flight)
    workers.register("f", worker, concurrency=concurrency, outside_cap=outside)
    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(workers.perform, call("f"))
        await anyio.wait_all_tasks_blocked()
        assert running == most
        hold.set()
    assert running == 0


async def test_turns_come_back_after_failure_and_cancellation(call):
    async def worker(call):
        if call.arguments == text("fail"):
            raise TaskError("Sad")
        if call.arguments == text("hang"):
            await anyio.sleep_forever()
        return NULL

    workers = Workers(in_flight=1)
    workers.register("f", worker, concurrency=1)
    with pytest.raises(TaskError):
        await workers.perform(call("f", "fail"))
    async with anyio.create_task_group() as group:
        group.start_soon(workers.perform, call("f", "hang"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert await workers.perform(call("f")) == NULL


async def test_a_workers_mistake_is_a_task_error(call):
    async def broken(call):
        raise RuntimeError("oops")

    async def untidy(call):
        return {"a": 1}

    async def worse(call):
        return object()

    workers = Workers()
    workers.register("broken", broken)
    workers.register("untidy", untidy)
    workers.register("worse", worse)
    with pytest.raises(TaskError) as caught:
        await workers.perform(call("broken"))
    assert (caught.value.error, caught.value.cause) == ("RuntimeError", "oops")
    answer = await workers.perform(call("untidy"))
    assert isinstance(answer, Value)
    assert answer == text({"a": 1})
    with pytest.raises(TaskError) as caught:
        await workers.perform(call("worse"))
    assert caught.value.error == "Runtime.MarshalError"


async def test_a_cancellation_of_its_own_is_a_task_error_and_ours_passes(call):
    async def awaits_a_cancelled_task(event):
        task = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()
        await task

    workers = Workers()
    workers.register("own", Function(awaits_a_cancelled_task))
    with pytest.raises(TaskError) as caught:
        await workers.perform(call("own"))
    assert caught.value.error == "CancelledError"

    async def hang(event):
        await anyio.sleep_forever()

    workers.register("hang", Function(hang))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(workers.perform, call("hang"))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


def test_defaults_of_concurrency_and_interrupt():
    workers = Workers()
    asynchronous = workers.register("a", Function(answering(1)))
    threaded = workers.register("b", Function(len), on_interrupt="fail")
    assert asynchronous.concurrency is None
    assert asynchronous.on_interrupt == "repeat"
    assert threaded.concurrency >= 2
    assert threaded.on_interrupt == "fail"
    assert workers.register("c", Function(len), concurrency=7).concurrency == 7
    with pytest.raises(ValueError, match="at least 1"):
        workers.register("d", Function(len), concurrency=0)
