"""The machines that are measured, and the calls that they make."""

from __future__ import annotations

from typing import Any

WORK = "arn:aws:lambda:eu-west-1:000000000000:function:work"
"""The function that every Task here calls."""


async def work(event: Any) -> Any:
    """The least that a function can do."""
    return event


def spread(concurrency: int) -> dict[str, Any]:
    """An inline Map over the input, whose items are one call each: seven events of AWS's history an item."""
    return _spread(concurrency, {"Type": "Task", "Resource": WORK, "End": True})


def spread_of_passes(concurrency: int) -> dict[str, Any]:
    """Likewise, without a call."""
    return _spread(concurrency, {"Type": "Pass", "End": True})


def _spread(concurrency: int, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "MaxConcurrency": concurrency,
                "ItemProcessor": {"StartAt": "Work", "States": {"Work": state}},
                "End": True,
            }
        },
    }


def loop(rounds: int) -> dict[str, Any]:
    """A Pass that counts and a Choice that sends it back, so often."""
    return {
        "StartAt": "Count",
        "States": {
            "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "More"},
            "More": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": rounds, "Next": "Count"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def loop_of_calls(rounds: int) -> dict[str, Any]:
    """A call and a Choice that sends it back, so often."""
    machine = loop(rounds)
    machine["States"]["Count"] |= {"Type": "Task", "Resource": WORK}
    return machine


def loop_in_jsonata(rounds: int) -> dict[str, Any]:
    """The same work in the other query language."""
    return {
        "StartAt": "Count",
        "QueryLanguage": "JSONata",
        "States": {
            "Count": {"Type": "Pass", "Output": {"n": "{% $states.input.n + 1 %}"}, "Next": "More"},
            "More": {
                "Type": "Choice",
                "Choices": [{"Condition": f"{{% $states.input.n < {rounds} %}}", "Next": "Count"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


FIVE: dict[str, Any] = {
    "StartAt": "Prepare",
    "States": {
        "Prepare": {"Type": "Pass", "Result": {"ready": True}, "ResultPath": "$.prepared", "Next": "Work"},
        "Work": {"Type": "Task", "Resource": WORK, "ResultPath": "$.worked", "Next": "Good"},
        "Good": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.prepared.ready", "BooleanEquals": True, "Next": "Tidy"}],
            "Default": "Done",
        },
        "Tidy": {"Type": "Pass", "OutputPath": "$.worked", "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}
"""Five states, one of them a call."""
