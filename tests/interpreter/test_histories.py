"""What each state type records, and what follows what: the sequences and chains of AWS's histories, by hand.

A line is an event: its id, the id that it follows, its type, and the frame it belongs to where that matters. The rules
are those of the API notes, sections 8.1 and 8.2. Recorded histories are compared elsewhere (tests/conformance); here
each stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.laws.checks import lawful

from stepfold.insight.history import history
from stepfold.interpreter import effects, facts, signals
from stepfold.interpreter.facts import Event
from stepfold.interpreter.simulate import Answer, Asked, Said, Simulation
from stepfold.language.failures import Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import load
from stepfold.query.values import Value, text, tree

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
SERVICE = "arn:aws:states:::sqs:sendMessage"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
TASK: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION, "End": True}
FAIL: dict[str, Any] = {"Type": "Fail", "Error": "Bad", "Cause": "it is"}
ONE = {"StringEquals": "never", "Variable": "$.x"}
ALL = {"ErrorEquals": ["States.ALL"]}

Outcomes = dict[str, list[Any]]


def block(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def ran(
    definition: dict[str, Any], given: Any = None, outcomes: Outcomes | None = None, *, said: Iterable[Said] = (),
    limits: Limits | None = None,
) -> Simulation:
    """Run to the end.

    `outcomes` are those of a Task, by its attempt: a value, a Failure, None for silence. An answer takes a second, and
    as many more as the indexes of its items and branches come to.
    """

    def script(asked: Asked) -> Answer:
        of = (outcomes or {}).get(str(asked.place[-1]), ["done"])
        outcome = of[min(asked.attempt, len(of)) - 1]
        index = sum(part for part in asked.place if isinstance(part, int))
        if callable(outcome):
            outcome = outcome(*(part for part in asked.place if isinstance(part, int)))
        answer = outcome if outcome is None or isinstance(outcome, Failure) else text(outcome)
        return Answer(answer, 1_000 + 1_000 * index, beats=False)

    simulation = Simulation(load(definition), script)
    value = given if isinstance(given, Value) else text({} if given is None else given)
    simulation.begin(value, limits=limits or Limits.aws(), said=said)
    simulation.run()
    lawful(simulation.events)
    return simulation


def told(events: list[Event]) -> list[str]:
    """The history, a line an event, without the first."""
    lines = []
    for event in history(events):
        kind = event["type"].replace("LambdaFunction", "Lambda")
        which = event.get("mapIterationStartedEventDetails") or event.get("mapIterationSucceededEventDetails") \
            or event.get("mapIterationFailedEventDetails") or event.get("mapIterationAbortedEventDetails")
        lines.append(f"{event['id']}<{event['previousEventId']} {kind}" + (f" {which['index']}" if which else ""))
    assert lines[0] == "1<0 ExecutionStarted"
    return lines[1:]


def check(simulation: Simulation, *lines: str) -> None:
    assert told(simulation.events) == list(lines)


# --- one state after the other ----------------------------------------------------------------------------------------


def test_pass() -> None:
    check(
        ran(block(A={"Type": "Pass", "End": True})),
        "2<0 PassStateEntered", "3<2 PassStateExited", "4<3 ExecutionSucceeded",
    )


def test_succeed() -> None:
    check(
        ran(block(A={"Type": "Pass", "Next": "B"}, B={"Type": "Succeed"})),
        "2<0 PassStateEntered", "3<2 PassStateExited", "4<3 SucceedStateEntered", "5<4 SucceedStateExited",
        "6<5 ExecutionSucceeded",
    )


def test_fail_is_not_left() -> None:
    simulation = ran(block(A=FAIL))
    check(simulation, "2<0 FailStateEntered", "3<2 ExecutionFailed")
    assert simulation.execution.ending == Failure("Bad", "it is")


def test_what_cannot_be_started_fails_past_retry_and_catch_as_an_error_of_the_state() -> None:
    anyhow = {"Retry": [{"ErrorEquals": ["States.ALL"]}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}
    simulation = ran(
        block(A={**TASK, **anyhow}, B={"Type": "Succeed"}), outcomes={"A": [Failure("States.Runtime", "It is bad.")]}
    )
    check(simulation, "2<0 TaskStateEntered", "3<2 LambdaScheduled", "4<3 LambdaStarted", "5<4 ExecutionFailed")
    cause = "An error occurred while executing the state 'A' (entered at the event id #2). It is bad."
    assert simulation.execution.ending == Failure("States.Runtime", cause)


@pytest.mark.parametrize(("x", "kind"), [("never", "Pass"), ("ever", "Succeed")])
def test_choice(x: str, kind: str) -> None:
    machine = block(C={"Type": "Choice", "Choices": [{**ONE, "Next": "A"}], "Default": "B"},
                    A={"Type": "Pass", "End": True}, B={"Type": "Succeed"})
    check(
        ran(machine, {"x": x}),
        "2<0 ChoiceStateEntered", "3<2 ChoiceStateExited", f"4<3 {kind}StateEntered", f"5<4 {kind}StateExited",
        "6<5 ExecutionSucceeded",
    )


def test_a_choice_without_a_way_out_fails_with_states_runtime() -> None:
    simulation = ran(block(C={"Type": "Choice", "Choices": [{**ONE, "Next": "A"}]}, A={"Type": "Succeed"}), {"x": "y"})
    check(simulation, "2<0 ChoiceStateEntered", "3<2 ExecutionFailed")
    assert simulation.execution.ending is not None
    assert simulation.execution.ending.error == "States.Runtime"


def test_a_wait_is_silent_while_it_lasts() -> None:
    simulation = ran(block(W={"Type": "Wait", "Seconds": 7, "End": True}))
    check(simulation, "2<0 WaitStateEntered", "3<2 WaitStateExited", "4<3 ExecutionSucceeded")
    times = [event.at - simulation.events[0].at for event in simulation.events if event.id]
    assert times == [0, 0, 7_000, 7_000]


@pytest.mark.parametrize(("fields", "seconds"), [
    ({"SecondsPath": "$.s"}, 3), ({"TimestampPath": "$.t"}, 10), ({"Timestamp": "2023-11-14T22:13:25Z"}, 5),
    ({"Timestamp": "2023-11-14T22:13:25.9Z"}, 5), ({"Timestamp": "2001-01-01T00:00:00Z"}, 0), ({"Seconds": 0}, 0),
])
def test_how_long_a_wait_lasts(fields: dict[str, Any], seconds: int) -> None:
    simulation = ran(block(W={"Type": "Wait", **fields, "End": True}), {"s": 3, "t": "2023-11-14T23:13:30+01:00"})
    assert simulation.execution.status == "SUCCEEDED"
    assert simulation.events[-1].at - simulation.events[0].at == seconds * 1_000


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_a_function() -> None:
    check(
        ran(block(T=TASK)),
        "2<0 TaskStateEntered", "3<2 LambdaScheduled", "4<3 LambdaStarted", "5<4 LambdaSucceeded",
        "6<5 TaskStateExited", "7<6 ExecutionSucceeded",
    )


def test_a_service() -> None:
    check(
        ran(block(T={**TASK, "Resource": SERVICE})),
        "2<0 TaskStateEntered", "3<2 TaskScheduled", "4<3 TaskStarted", "5<4 TaskSucceeded", "6<5 TaskStateExited",
        "7<6 ExecutionSucceeded",
    )


def test_a_callback() -> None:
    check(
        ran(block(T={**TASK, "Resource": CALLBACK, "Parameters": {"t.$": "$$.Task.Token"}})),
        "2<0 TaskStateEntered", "3<2 TaskScheduled", "4<3 TaskStarted", "5<4 TaskSubmitted", "6<5 TaskSucceeded",
        "7<6 TaskStateExited", "8<7 ExecutionSucceeded",
    )


def test_an_activity_starts_when_a_worker_takes_it() -> None:
    check(
        ran(block(T={**TASK, "Resource": ACTIVITY})),
        "2<0 TaskStateEntered", "3<2 ActivityScheduled", "4<3 ActivityStarted", "5<4 ActivitySucceeded",
        "6<5 TaskStateExited", "7<6 ExecutionSucceeded",
    )


def test_a_retry_shows_no_delay_and_no_new_entrance() -> None:
    simulation = ran(block(T={**TASK, "Retry": [{**ALL, "IntervalSeconds": 4}]}), outcomes={"T": [Failure("B"), 1]})
    check(
        simulation,
        "2<0 TaskStateEntered", "3<2 LambdaScheduled", "4<3 LambdaStarted", "5<4 LambdaFailed", "6<5 LambdaScheduled",
        "7<6 LambdaStarted", "8<7 LambdaSucceeded", "9<8 TaskStateExited", "10<9 ExecutionSucceeded",
    )
    assert [event.at - simulation.events[0].at for event in simulation.events if event.id in {5, 6, 8}] == [
        1_000, 5_000, 6_000,
    ]


@pytest.mark.parametrize(("fields", "delays"), [
    ({}, [1, 2, 4]), ({"BackoffRate": 1.0, "IntervalSeconds": 3}, [3, 3, 3]),
    ({"MaxDelaySeconds": 3, "IntervalSeconds": 2}, [2, 3, 3]), ({"MaxAttempts": 1}, [1]), ({"MaxAttempts": 0}, []),
])
def test_the_delays_of_retries(fields: dict[str, Any], delays: list[int]) -> None:
    simulation = ran(block(T={**TASK, "Retry": [{**ALL, **fields}]}), outcomes={"T": [Failure("B", "c")]})
    drawn = [event.fact.until - event.at for event in simulation.events if isinstance(event.fact, facts.RetryScheduled)]
    assert drawn == [1_000 * delay for delay in delays]
    assert simulation.execution.ending == Failure("B", "c")


def test_each_retrier_counts_for_itself_and_a_new_visit_counts_anew() -> None:
    machine = block(
        T={**TASK, "Next": "C", "ResultPath": "$.n", "Retry": [
            {"ErrorEquals": ["A"], "MaxAttempts": 1}, {"ErrorEquals": ["B"], "MaxAttempts": 1}]},
        C={"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "T"}], "Default": "S"},
        S={"Type": "Succeed"},
    )
    del machine["States"]["T"]["End"]
    a, b = Failure("A"), Failure("B")
    assert ran(machine, outcomes={"T": [a, b, 1, b, a, 2]}).execution.status == "SUCCEEDED"
    assert ran(machine, outcomes={"T": [a, b, a, 2]}).execution.ending == a


def test_catch_leaves_the_state_with_the_error() -> None:
    machine = block(T={**TASK, "Catch": [{**ALL, "Next": "S", "ResultPath": "$.e"}]}, S={"Type": "Succeed"})
    simulation = ran({**machine}, {"kept": 1.0}, outcomes={"T": [Failure("B", "c")]})
    check(
        simulation,
        "2<0 TaskStateEntered", "3<2 LambdaScheduled", "4<3 LambdaStarted", "5<4 LambdaFailed", "6<5 TaskStateExited",
        "7<6 SucceedStateEntered", "8<7 SucceedStateExited", "9<8 ExecutionSucceeded",
    )
    assert bytes(simulation.execution.root.value) == b'{"kept":1.0,"e":{"Error":"B","Cause":"c"}}'


@pytest.mark.parametrize(("resource", "family"), [(FUNCTION, "Lambda"), (SERVICE, "Task"), (ACTIVITY, "Activity")])
@pytest.mark.parametrize(("fields", "after"), [
    ({"TimeoutSeconds": 6}, 6_000), ({"TimeoutSeconds": 60, "HeartbeatSeconds": 4}, 4_000),
    ({"TimeoutSecondsPath": "$.six"}, 6_000),
])
def test_a_timeout(resource: str, family: str, fields: dict[str, Any], after: int) -> None:
    simulation = ran(block(T={**TASK, "Resource": resource, **fields}), {"six": 6}, outcomes={"T": [None]})
    check(
        simulation,
        "2<0 TaskStateEntered", f"3<2 {family}Scheduled", f"4<3 {family}Started", f"5<4 {family}TimedOut",
        "6<5 ExecutionFailed",
    )
    assert simulation.execution.ending is not None
    assert (simulation.execution.ending.error, simulation.execution.ending.cause) == ("States.Timeout", None)
    patience = 500 if family == "Activity" and after == 4_000 else 0  # (a heartbeat's allowance, from outside)
    assert simulation.events[-1].at - simulation.events[0].at == after + patience


@pytest.mark.parametrize(("names", "status"), [
    (["States.Timeout"], "SUCCEEDED"), (["States.HeartbeatTimeout"], "SUCCEEDED"), (["States.ALL"], "SUCCEEDED"),
    (["States.TaskFailed"], "FAILED"),
])
@pytest.mark.parametrize("resource", [FUNCTION, ACTIVITY])
def test_who_catches_a_missed_heartbeat(names: list[str], status: str, resource: str) -> None:
    machine = block(T={**TASK, "Resource": resource, "HeartbeatSeconds": 2,
                       "Catch": [{"ErrorEquals": names, "Next": "S"}]}, S={"Type": "Succeed"})
    assert ran(machine, outcomes={"T": [None]}).execution.status == status


def test_heartbeats_from_outside_keep_a_task_alive_until_they_cease() -> None:
    machine = load(block(T={**TASK, "Resource": ACTIVITY, "HeartbeatSeconds": 4}))
    simulation = Simulation(machine, lambda _: Answer(None, after=20_000, beat=1_500))
    simulation.begin(text({}), limits=Limits.aws())
    simulation.run()
    (late,) = (event for event in simulation.events if isinstance(event.fact, facts.TaskTimedOut))
    assert late.fact.heartbeat
    assert late.at - simulation.events[0].at == 19_500 + 4_500


# --- Map --------------------------------------------------------------------------------------------------------------

EACH = {"Type": "Map", "End": True, "ItemProcessor": block(I={"Type": "Pass", "End": True})}


def test_a_map_of_one_item() -> None:
    check(
        ran(block(M=EACH), ["a"]),
        "2<0 MapStateEntered", "3<2 MapStateStarted", "4<3 MapIterationStarted 0", "5<4 PassStateEntered",
        "6<5 PassStateExited", "7<6 MapIterationSucceeded 0", "8<7 MapStateSucceeded", "9<7 MapStateExited",
        "10<9 ExecutionSucceeded",
    )


def test_an_empty_map() -> None:
    simulation = ran(block(M=EACH), [])
    check(
        simulation,
        "2<0 MapStateEntered", "3<2 MapStateStarted", "4<3 MapStateSucceeded", "5<3 MapStateExited",
        "6<5 ExecutionSucceeded",
    )
    assert bytes(simulation.execution.root.value) == b"[]"


def test_without_a_limit_every_item_follows_the_start() -> None:
    lines = told(ran(block(M={**EACH, "ItemProcessor": block(I=TASK)}), ["a", "b", "c"]).events)
    started = [line for line in lines if "IterationStarted" in line]
    assert [line.partition("<")[2] for line in started] == [f"3 MapIterationStarted {n}" for n in range(3)]


def test_with_a_limit_an_item_follows_the_end_of_the_one_whose_place_it_takes() -> None:
    check(
        ran(block(M={**EACH, "MaxConcurrency": 1}), ["a", "b"]),
        "2<0 MapStateEntered", "3<2 MapStateStarted",
        "4<3 MapIterationStarted 0", "5<4 PassStateEntered", "6<5 PassStateExited", "7<6 MapIterationSucceeded 0",
        "8<6 MapIterationStarted 1", "9<8 PassStateEntered", "10<9 PassStateExited", "11<10 MapIterationSucceeded 1",
        "12<11 MapStateSucceeded", "13<11 MapStateExited", "14<13 ExecutionSucceeded",
    )


def test_a_limit_is_kept_and_results_come_in_the_order_of_the_items() -> None:
    simulation = ran(block(M={**EACH, "MaxConcurrency": 2, "ItemProcessor": block(I=TASK)}), list("abcde"),
                     outcomes={"I": [lambda index: f"{index}!"]})
    open_, most = 0, 0
    for event in simulation.events:
        open_ += isinstance(event.fact, facts.IterationStarted) - isinstance(event.fact, facts.IterationSucceeded)
        most = max(most, open_)
    assert most == 2
    assert bytes(simulation.execution.root.value) == b'["0!","1!","2!","3!","4!"]'


def test_a_failing_item_fails_its_map() -> None:
    check(
        ran(block(M={**EACH, "ItemProcessor": block(I=FAIL)}), ["a"]),
        "2<0 MapStateEntered", "3<2 MapStateStarted", "4<3 MapIterationStarted 0", "5<4 FailStateEntered",
        "6<5 MapIterationFailed 0", "7<5 MapStateFailed", "8<7 ExecutionFailed",
    )


def test_what_runs_beside_a_failing_item_is_aborted_after_the_failing_event() -> None:
    check(
        ran(block(M={**EACH, "ItemProcessor": block(I=TASK)}), ["a", "b", "c"], outcomes={"I": [Failure("Bad")]}),
        "2<0 MapStateEntered", "3<2 MapStateStarted",
        "4<3 MapIterationStarted 0", "5<3 MapIterationStarted 1", "6<3 MapIterationStarted 2",
        "7<4 TaskStateEntered", "8<7 LambdaScheduled", "9<8 LambdaStarted",
        "10<5 TaskStateEntered", "11<10 LambdaScheduled", "12<11 LambdaStarted",
        "13<6 TaskStateEntered", "14<13 LambdaScheduled", "15<14 LambdaStarted",
        "16<9 LambdaFailed", "17<16 MapIterationFailed 0", "18<16 TaskStateAborted",
        "19<16 TaskStateAborted", "20<16 MapIterationAborted 1", "21<16 TaskStateAborted",
        "22<16 MapIterationAborted 2", "23<16 MapStateFailed", "24<23 ExecutionFailed",
    )


def test_a_map_tried_again_shows_a_second_start_and_a_failure_only_at_the_end() -> None:
    machine = block(M={**EACH, "ItemProcessor": block(I=FAIL), "Retry": [{**ALL, "MaxAttempts": 1}]})
    simulation = ran(machine, ["a"])
    check(
        simulation,
        "2<0 MapStateEntered", "3<2 MapStateStarted", "4<3 MapIterationStarted 0", "5<4 FailStateEntered",
        "6<5 MapIterationFailed 0", "7<5 MapStateStarted", "8<7 MapIterationStarted 0", "9<8 FailStateEntered",
        "10<9 MapIterationFailed 0", "11<9 MapStateFailed", "12<11 ExecutionFailed",
    )
    assert simulation.events[-1].at - simulation.events[0].at == 1_000


def test_a_map_over_something_else_fails_with_states_runtime() -> None:
    simulation = ran(block(M=EACH), {"no": "array"})
    check(simulation, "2<0 MapStateEntered", "3<2 ExecutionFailed")
    assert simulation.execution.ending == Failure("States.Runtime", 'Reference path "$" must point to array.')


def test_what_an_item_can_see_of_itself() -> None:
    machine = block(M={**EACH, "ItemsPath": "$.xs", "ItemSelector": {
        "i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.of",
    }})
    simulation = ran(machine, Value(b'{"xs":[1.50,"b"],"of":2}'))
    assert bytes(simulation.execution.root.value) == b'[{"i":0,"v":1.50,"all":2},{"i":1,"v":"b","all":2}]'


# --- Parallel ---------------------------------------------------------------------------------------------------------


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return block(P={"Type": "Parallel", "Branches": list(branches), "End": True, **fields})


def test_branches_begin_at_the_start_and_are_joined_after_the_last() -> None:
    simulation = ran(parallel(block(A={"Type": "Pass", "End": True}), block(B={"Type": "Pass", "End": True})), {"x": 1})
    check(
        simulation,
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 PassStateEntered", "5<4 PassStateExited",
        "6<3 PassStateEntered", "7<6 PassStateExited", "8<7 ParallelStateSucceeded", "9<7 ParallelStateExited",
        "10<9 ExecutionSucceeded",
    )
    assert bytes(simulation.execution.root.value) == b'[{"x":1},{"x":1}]'


def test_results_come_in_the_order_of_the_branches() -> None:
    slow = block(W={"Type": "Wait", "Seconds": 9, "Next": "A"}, A={"Type": "Pass", "Result": "slow", "End": True})
    simulation = ran(parallel(slow, block(B={"Type": "Pass", "Result": "fast", "End": True})))
    assert bytes(simulation.execution.root.value) == b'["slow","fast"]'


def test_a_failing_branch_fails_its_parallel() -> None:
    check(
        ran(parallel(block(A=FAIL))),
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 FailStateEntered", "5<4 ParallelStateFailed",
        "6<5 ExecutionFailed",
    )


def test_a_failing_task_of_a_branch_is_aborted_too() -> None:
    check(
        ran(parallel(block(T={**TASK, "Resource": SERVICE})), outcomes={"T": [Failure("Bad")]}),
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 TaskStateEntered", "5<4 TaskScheduled",
        "6<5 TaskStarted", "7<6 TaskFailed", "8<7 TaskStateAborted", "9<7 ParallelStateFailed", "10<9 ExecutionFailed",
    )


def test_a_parallel_that_is_caught_is_left_after_its_failure() -> None:
    machine = parallel(block(W={"Type": "Wait", "Seconds": 60, "End": True}), block(A=FAIL),
                       Catch=[{**ALL, "Next": "S"}])
    machine["States"]["S"] = {"Type": "Succeed"}
    simulation = ran(machine)
    check(
        simulation,
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 WaitStateEntered", "5<3 FailStateEntered",
        "6<5 WaitStateAborted", "7<5 ParallelStateFailed", "8<7 ParallelStateExited", "9<8 SucceedStateEntered",
        "10<9 SucceedStateExited", "11<10 ExecutionSucceeded",
    )
    assert bytes(simulation.execution.root.value) == b'{"Error":"Bad","Cause":"it is"}'


def test_a_parallel_tried_again_starts_after_the_failing_event() -> None:
    check(
        ran(parallel(block(A=FAIL), Retry=[{**ALL, "MaxAttempts": 1}])),
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 FailStateEntered", "5<4 ParallelStateStarted",
        "6<5 FailStateEntered", "7<6 ParallelStateFailed", "8<7 ExecutionFailed",
    )


def test_states_runtime_inside_a_branch_ends_the_execution_at_once() -> None:
    wrong = {"Type": "Pass", "InputPath": "$.nowhere", "End": True}
    beside = block(W={"Type": "Wait", "Seconds": 60, "End": True})
    machine = parallel(block(A=wrong), beside, Catch=[{**ALL, "Next": "S"}], Retry=[ALL])
    machine["States"]["S"] = {"Type": "Succeed"}
    simulation = ran(machine)
    check(
        simulation,
        "2<0 ParallelStateEntered", "3<2 ParallelStateStarted", "4<3 PassStateEntered", "5<4 ExecutionFailed",
    )
    assert simulation.execution.ending is not None
    assert "the state 'A' (entered at the event id #4)" in (simulation.execution.ending.cause or "")


def test_states_runtime_inside_an_item_ends_the_execution_at_once() -> None:
    wrong = block(A={"Type": "Pass", "InputPath": "$.nowhere", "End": True})
    simulation = ran(block(M={**EACH, "ItemProcessor": wrong, "Retry": [ALL]}), [{}])
    assert told(simulation.events)[-2:] == ["5<4 PassStateEntered", "6<5 ExecutionFailed"]


# --- the ends from outside --------------------------------------------------------------------------------------------

WAITING: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("Wait", lambda: block(X={"Type": "Wait", "Seconds": 60, "End": True})),
    ("Task", lambda: block(X={**TASK, "TimeoutSeconds": 60})),
    ("Parallel", lambda: parallel(block(X={"Type": "Wait", "Seconds": 60, "End": True}))),
]


@pytest.mark.parametrize(("kind", "machine"), WAITING)
def test_a_stop_is_one_event_that_follows_nothing(kind: str, machine: Callable[[], dict[str, Any]]) -> None:
    simulation = ran(machine(), outcomes={"X": [None]}, said=[Said(2_000, signals.Stop("Enough", "of this"))])
    last = told(simulation.events)[-1]
    assert last == f"{simulation.execution.ids}<0 ExecutionAborted"
    assert simulation.execution.status == "ABORTED"
    assert simulation.execution.ending == Failure("Enough", "of this")
    assert not effects.owed(simulation.execution)
    assert not any("StateAborted" in line for line in told(simulation.events))


@pytest.mark.parametrize(("kind", "machine"), WAITING)
def test_an_execution_that_takes_too_long(kind: str, machine: Callable[[], dict[str, Any]]) -> None:
    simulation = ran({**machine(), "TimeoutSeconds": 5}, outcomes={"X": [None]})
    assert told(simulation.events)[-1] == f"{simulation.execution.ids}<0 ExecutionTimedOut"
    assert simulation.execution.status == "TIMED_OUT"
    assert simulation.execution.ending == Failure("States.Timeout")
    assert simulation.events[-1].at - simulation.events[0].at == 5_000


def test_a_result_too_large_can_be_caught_but_a_transition_too_large_cannot() -> None:
    machine = block(T={**TASK, "Catch": [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "S"}]},
                    S={"Type": "Succeed"})
    assert ran(machine, outcomes={"T": ["x" * 262_143]}).execution.status == "SUCCEEDED"
    machine["States"]["T"]["ResultPath"] = "$.r"
    simulation = ran(machine, {"y": "x" * 200_000}, outcomes={"T": ["x" * 200_000]})
    assert simulation.execution.status == "FAILED"
    assert simulation.execution.ending is not None
    assert simulation.execution.ending.error == "States.DataLimitExceeded"
    assert ran(machine, {"y": "x" * 200_000}, outcomes={"T": ["x" * 200_000]}, limits=Limits.local()).execution.status \
        == "SUCCEEDED"


# --- a Map that fails while its items are at work: by a selector that one item does not fit ---------------------------


def _selecting(**fields: Any) -> dict[str, Any]:
    return block(M={**EACH, "ItemProcessor": block(I=TASK), "MaxConcurrency": 2, **fields, "ItemSelector": {
        "next.$": "States.ArrayGetItem($$.Map.Item.Value, 0)",
    }})


def test_items_at_work_are_aborted_where_the_next_one_cannot_be_selected() -> None:
    machine = _selecting(Catch=[{**ALL, "Next": "S"}])
    machine["States"]["S"] = {"Type": "Succeed"}
    simulation = ran(machine, [[1], []])
    check(
        simulation,
        "2<0 MapStateEntered", "3<2 MapStateStarted", "4<3 MapIterationStarted 0", "5<3 MapIterationAborted 0",
        "6<3 MapStateFailed", "7<6 MapStateExited", "8<7 SucceedStateEntered", "9<8 SucceedStateExited",
        "10<9 ExecutionSucceeded",
    )


def test_they_are_aborted_too_where_that_comes_later_and_the_map_is_tried_again() -> None:
    simulation = ran(_selecting(Retry=[{**ALL, "MaxAttempts": 1}]), [[1], [2], []])
    lines = told(simulation.events)
    assert [line.partition(" ")[2] for line in lines if "Iteration" in line] == [
        "MapIterationStarted 0", "MapIterationStarted 1", "MapIterationSucceeded 0", "MapIterationAborted 1",
    ] * 2
    assert lines[-1].endswith("ExecutionFailed")
    assert simulation.execution.ending is not None
    assert simulation.execution.ending.error == "States.IntrinsicFailure"
    assert not simulation.execution.asked


# --- JSONata, and variables -------------------------------------------------------------------------------------------

JSONATA = {"QueryLanguage": "JSONata"}


def test_a_failed_expression_follows_what_was_before_its_state_but_in_a_wait() -> None:
    bad = {"Output": "{% $states.input.none %}", "End": True}
    simulation = ran(block(P={"Type": "Pass", "Next": "Q"}, Q={"Type": "Pass", **JSONATA, **bad}), {})
    check(
        simulation,
        "2<0 PassStateEntered", "3<2 PassStateExited", "4<3 PassStateEntered", "5<3 EvaluationFailed",
        "6<5 ExecutionFailed",
    )
    simulation = ran(block(W={"Type": "Wait", **JSONATA, "Seconds": "{% 'x' %}", "End": True}), {})
    check(simulation, "2<0 WaitStateEntered", "3<2 EvaluationFailed", "4<3 ExecutionFailed")


def test_a_failed_expression_can_be_tried_again_and_caught() -> None:
    machine = block(T={
        **TASK, **JSONATA, "Arguments": "{% $states.input.none %}", "Retry": [{**ALL, "MaxAttempts": 1}],
        "Catch": [{**ALL, "Output": "{% $states.errorOutput.Error %}", "Assign": {"e": "{% $states.input.n %}"},
                   "Next": "S"}]}, S={"Type": "Succeed", **JSONATA, "Output": ["{% $states.input %}", "{% $e %}"]})
    simulation = ran(machine, {"n": 1})
    check(
        simulation,
        "2<0 TaskStateEntered", "3<0 EvaluationFailed", "4<3 EvaluationFailed", "5<4 TaskStateExited",
        "6<5 SucceedStateEntered", "7<6 SucceedStateExited", "8<7 ExecutionSucceeded",
    )
    assert tree(simulation.execution.root.value) == ["States.QueryEvaluationError", 1]


@pytest.mark.parametrize(("assign", "output", "told_of"), [("none", "none", "Assign/v"), ("n", "none", "Output")])
def test_where_a_state_fails_nothing_is_assigned_and_of_two_failures_one_is_told(
    assign: str, output: str, told_of: str
) -> None:
    """Which of the two AWS tells of is not known."""
    simulation = ran(block(P={
        "Type": "Pass", **JSONATA, "Assign": {"v": f"{{% $states.input.{assign} %}}"},
        "Output": f"{{% $states.input.{output} %}}", "End": True}), {"n": 1})
    check(simulation, "2<0 PassStateEntered", "3<0 EvaluationFailed", "4<3 ExecutionFailed")
    assert simulation.events[2].fact.location == told_of
    assert not simulation.execution.root.variables


def test_a_catcher_whose_own_expression_fails_catches_nothing() -> None:
    simulation = ran(block(T={
        **TASK, **JSONATA, "Arguments": "{% $states.input.none %}",
        "Catch": [{**ALL, "Output": "{% $states.errorOutput.none %}", "Next": "S"}]}, S={"Type": "Succeed"}), {})
    assert [line.partition(" ")[2] for line in told(simulation.events)] == [
        "TaskStateEntered", "EvaluationFailed", "EvaluationFailed", "ExecutionFailed",
    ]
    assert "Catch[0]/Output" in str(simulation.execution.ending)


def test_an_item_sees_the_variables_around_it_and_leaves_none_behind() -> None:
    inside = block(I={"Type": "Pass", "Assign": {"own.$": "States.MathAdd($outer, $.x)"}, "Next": "J"},
                   J={"Type": "Pass", "Parameters": {"own.$": "$own"}, "End": True})
    machine = block(P={"Type": "Pass", "Assign": {"outer": 10, "before.$": "$.items"}, "Next": "M"},
                    M={**EACH, "ItemsPath": "$before", "ItemProcessor": inside, "Assign": {"first.$": "$[0].own"},
                       "End": False, "Next": "S"},
                    S={"Type": "Pass", "Parameters": {"of.$": "$first", "all.$": "$"}, "End": True})
    del machine["States"]["M"]["End"]
    simulation = ran(machine, {"items": [{"x": 1}, {"x": 2}]})
    assert tree(simulation.execution.root.value) == {"of": 11, "all": [{"own": 11}, {"own": 12}]}
    assert set(simulation.execution.root.variables) == {"outer", "before", "first"}


def test_all_right_sides_see_what_was_before() -> None:
    machine = block(P={"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Q"},
                    Q={"Type": "Pass", "Assign": {"a.$": "$b", "b.$": "$a"}, "Next": "R"},
                    R={"Type": "Pass", "Parameters": {"a.$": "$a", "b.$": "$b"}, "End": True})
    assert tree(ran(machine, {}).execution.root.value) == {"a": 2, "b": 1}


def test_a_token_that_was_evaluated_elsewhere_is_the_one_that_the_task_is_asked_with() -> None:
    state = {**TASK, **JSONATA, "Resource": CALLBACK, "Retry": [{**ALL, "MaxAttempts": 1}], "Arguments": {
        "token": "{% $states.context.Task.Token %}", "heavy": "{% $match('a', /a/).match %}"}}
    simulation = ran(block(T=state), outcomes={"T": [Failure("Bad"), 1]})
    asked = [event.fact for event in simulation.events if isinstance(event.fact, facts.TaskScheduled)]
    tokens = [tree(fact.arguments)["token"] for fact in asked if isinstance(fact.arguments, Value)]
    assert tokens == [fact.token for fact in asked]
    assert len(set(tokens)) == 2


@pytest.mark.parametrize("around", [
    lambda inner: {"Type": "Parallel", "Branches": [inner]}, lambda inner: {**EACH, "ItemProcessor": inner},
])
def test_a_missed_heartbeat_keeps_its_name_on_the_way_out(around: Callable[[Any], dict[str, Any]]) -> None:
    inner = block(T={**TASK, "Resource": CALLBACK, "HeartbeatSeconds": 5})
    catch = [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "S"}]
    machine = block(P={**around(inner), "Catch": catch, "Next": "S"}, S={"Type": "Succeed"})
    machine["States"]["P"].pop("End", None)
    assert ran(machine, [1], {"T": [None]}).execution.status == "SUCCEEDED"
    inner["States"]["T"] = {**TASK, "TimeoutSeconds": 5}
    assert ran(machine, [1], {"T": [None]}).execution.ending == Failure("States.Timeout")


@pytest.mark.parametrize("caught", [
    {"ResultPath": "$.e"}, {**JSONATA, "Output": "{% [$states.input, $states.errorOutput] %}"},
])
def test_what_a_catcher_hands_on_has_the_limit_of_all_that_is_handed_on(caught: dict[str, Any]) -> None:
    language = {name: caught.pop(name) for name in JSONATA if name in caught}
    state = {**TASK, **language, "Catch": [{**ALL, **caught, "Next": "S"}]}
    simulation = ran(block(T=state, S={"Type": "Succeed"}), {"x": "x" * 262_000}, {"T": [Failure("B", "c" * 30_000)]})
    assert told(simulation.events)[-2:] == ["5<4 LambdaFailed", "6<5 ExecutionFailed"]
    assert simulation.execution.ending is not None
    assert simulation.execution.ending.error == "States.DataLimitExceeded"
    assert "'T'" in str(simulation.execution.ending.cause)


@pytest.mark.parametrize(("made", "why"), [
    ("{'states': 1}", "Cannot assign to reserved variable '$states'."), ("{'a b': 1}", "invalid characters"),
    ("{$pad('x', 81, 'x'): 1}", "it has more than 80 characters."), ("{'inner': 2}", None),
])
def test_variables_that_an_expression_names_obey_the_same_rules(made: str, why: str | None) -> None:
    ending = ran({**JSONATA, **block(P={"Type": "Pass", "Assign": f"{{% {made} %}}", "End": True})}).execution.ending
    assert ending is None if why is None else ending is not None and why in str(ending.cause)


def test_a_whole_number_with_a_fraction_of_nought_is_whole_in_jsonata_alone() -> None:
    seconds = {**TASK, **JSONATA, "TimeoutSeconds": "{% $states.input.n %}"}
    simulation = ran(block(T=seconds), Value(b'{"n":2.0}'))
    assert [event.fact.timeout for event in simulation.events if isinstance(event.fact, facts.TaskScheduled)] == [2]
    path = {**TASK, "TimeoutSecondsPath": "$.n"}
    assert ran(block(T=path), Value(b'{"n":2.0}')).execution.status == "FAILED"


@pytest.mark.parametrize(("seconds", "why"), [
    ("0", "TimeoutSeconds must be between 1 and 99999999."), ("1e9", "TimeoutSeconds must be between 1 and 99999999."),
    ("1.5", "Expected 'integer', but was 'number' for value: 1.5"), ("'1'", "Expected 'number', but was 'string'"),
])
def test_what_is_no_time_limit(seconds: str, why: str) -> None:
    ending = ran(block(T={**TASK, **JSONATA, "TimeoutSeconds": f"{{% {seconds} %}}"})).execution.ending
    assert ending is not None
    assert why in str(ending.cause)
    if seconds == "1e9":
        runtime = ran(block(T={**TASK, "TimeoutSecondsPath": "$.n"}), {"n": 10**9}).execution.ending
        assert runtime is not None
        assert runtime.error == "States.Runtime"


@pytest.mark.parametrize("role", [
    {"RoleArn": "{% 5 %}"}, {"RoleArn": "{% null %}"}, "{% 5 %}", "{% {'Role': 'x'} %}",
])
def test_a_role_that_is_no_string_fails_the_state(role: Any) -> None:
    machine = block(T={**TASK, **JSONATA, "Credentials": role, "Catch": [{**ALL, "Next": "S"}]}, S={"Type": "Succeed"})
    simulation = ran(machine)
    assert "States.QueryEvaluationError" in str(tree(simulation.execution.root.value))
    simulation = ran(block(T={**TASK, "Credentials": {"RoleArn.$": "$.n"}}), {"n": None})
    assert simulation.execution.ending is not None
    assert simulation.execution.ending.error == "States.Runtime"


def chanced(machine: dict[str, Any], seed: int) -> Simulation:
    simulation = Simulation(load(machine), lambda _: Answer(text(1), 1_000), seed=seed)
    simulation.begin(text({}), limits=Limits.aws())
    simulation.run()
    lawful(simulation.events)
    return simulation


def test_what_is_too_much_for_a_decision_by_chance_alone_may_turn_out_to_be_little_or_not_be_needed() -> None:
    much = "$random() < 0.5 ? $count($map($range(1, 9000, 1), function($n) { $n + 1 })) : 1"
    machine = {**JSONATA, **block(P={"Type": "Pass", "Output": f"{{% {much} %}}", "End": True})}
    assert {tree(chanced(machine, seed).execution.root.value) for seed in range(20)} == {1, 9_000}
    machine = {**JSONATA, **block(P={
        "Type": "Pass", "Assign": {"a": "{% $random() < 0.5 ? $error('no') : 1 %}"},
        "Output": "{% $match('a', /a/).match %}", "End": True})}
    assert {chanced(machine, seed).execution.status for seed in range(20)} == {"SUCCEEDED", "FAILED"}


def test_what_chance_chose_lasts_while_an_output_is_evaluated_elsewhere() -> None:
    machine = {**JSONATA, **block(
        C={"Type": "Choice", "Output": "{% 'B' %}", "Default": "B", "Choices": [
            {"Condition": "{% $random() < 0.5 %}", "Next": "A", "Output": "{% $match('A', /A/).match %}"}]},
        A={"Type": "Pass", "End": True}, B={"Type": "Pass", "End": True})}
    taken = []
    for seed in range(100):
        execution = chanced(machine, seed).execution
        assert tree(execution.root.value) == execution.root.state
        taken.append(execution.root.state)
    assert 35 <= taken.count("A") <= 65
