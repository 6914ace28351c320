"""Machines made at random, valid and sure to end, with the script of what their calls come to.

Every choice is a number below a bound, asked of one function: a seeded generator answers by the thousand, Hypothesis
answers where a failing machine is to be made small. The first option of each choice is the plainest, for shrinking.

The data keep one shape all the way down (`shape`), so that any state can follow any other; what states make is put
beside it, under a key of its own.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.laws.costly import make_costly

from stepfold.interpreter.simulate import MAP_RUN, Answer, Asked
from stepfold.language.failures import Failure
from stepfold.language.machine import Machine, load
from stepfold.query.values import Value, join, text

Pick = Callable[[int], int]

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
SERVICE = "arn:aws:states:::sqs:sendMessage"
JOB = "arn:aws:states:::codebuild:startBuild.sync"
INVOKE = "arn:aws:states:::lambda:invoke"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:by-hand"

AT_ONCE = ("Pass", "Choice", "Pass")
ASKING = ("Task", "Wait", "Task", "Task")
DEEPEST = 4


def seeded(seed: int) -> Pick:
    """Chance from a seed."""
    return random.Random(seed).randrange


def shape(depth: int = 3, width: int = 3) -> dict[str, Any]:
    """The data that every state of a made machine can work on."""
    kids = [shape(depth - 1, width) | {"n": n} for n in range(width)] if depth else []
    return {
        "n": depth, "secs": depth % 3, "limit": 4, "when": "2023-11-14T22:13:22.5Z", "text": 'tide \u00e9 "q"',
        "flag": depth % 2 == 0, "num": 1.50, "items": [3, 1.0, "x"][: depth + 1], "kids": kids,
    }


INPUT = shape()
JSONATA = {"QueryLanguage": "JSONata"}


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in shape(1, 1).items() if name not in names}


class Made:
    """A machine, its definition, and what its calls come to."""

    def __init__(
        self, definition: dict[str, Any], doomed: frozenset[str], slow: frozenset[str], salt: int, costly: int
    ) -> None:
        self.definition = definition
        self.doomed = doomed
        self.slow = slow
        self.salt = salt
        self.machine: Machine = load(definition)
        self.input = text(INPUT)
        self.costly = costly
        if costly:
            make_costly(self.machine, costly)
        self._limits = _limits(definition)

    def __repr__(self) -> str:
        how = f"salt={self.salt}, costly={self.costly}, doomed={set(self.doomed)}, slow={set(self.slow)}"
        return f"Made({how}, definition={json.dumps(self.definition)})"

    def script(self, asked: Asked) -> Answer:
        """What a call comes to: by its place and attempt alone, whatever runs beside it."""
        answer = self._answer(asked)
        return answer._replace(job=True) if asked.resource == JOB else answer

    def _answer(self, asked: Asked) -> Answer:
        luck = _lucky(self.salt, asked.place, asked.attempt)
        name = str(asked.place[-1])
        after = (1, 500, 1_000, 1_000, 2_500)[luck[0] % 5]
        if name in self.doomed:
            return Answer(Failure("Doom", "it had to be"), min(after, 1_000))
        if name in self.slow:
            after += 20_000
        attended = asked.resource == JOB and self._limits.get(name, (None,))[0] is None  # nobody's silence ends it
        if name in self._limits and luck[1] % 10 < 6 and not attended:
            beats = luck[2] % 2 == 0 and self._limits[name][0] is not None
            return Answer(None, after, beats=beats, beat=700 * (luck[2] % 3))
        if luck[3] % 10 < 2:
            return Answer(Failure(("Boom", "Bang", "States.TaskFailed")[luck[4] % 3], None), after)
        if asked.resource == MAP_RUN:
            return Answer(join([self._value(asked, luck[5])] * 2), after)
        return Answer(self._value(asked, luck[5]), after, beat=700 * (luck[2] % 3))

    def hurried(self, seed: int) -> Callable[[Asked], Answer]:
        """The same outcomes in another order: each takes a time of its own, but what is too slow stays too slow."""

        def script(asked: Asked) -> Answer:
            answer = self.script(asked)
            limit = min((seconds for seconds in self._limits.get(str(asked.place[-1]), ()) if seconds), default=20)
            if answer.outcome is None or answer.after >= limit * 1_000:
                return answer
            most = min(3_000, limit * 1_000) - 2
            return answer._replace(after=_lucky(seed, asked.place, asked.attempt)[0] * 13 % most + 1)

        return script

    def _value(self, asked: Asked, luck: int) -> Value:
        match luck % 4:
            case 0:
                return Value(b'{"made":%d,"of":[1.50,"\\u00e9"],"deep":{"a":1e2}}' % luck)
            case 1:
                return text({"made": luck, "deep": {"a": list(asked.place)}, "of": [asked.attempt]})
            case 2:
                return text({"made": -1, "deep": {"a": None}, "of": []})
        return Value(b'{"deep":{"a":{"b":-0.0}},"of":[{}],"made":0}')


def make(pick: Pick) -> Made:
    """A machine."""
    return _Maker(pick).machine()


def _lucky(*of: object) -> bytes:
    return hashlib.blake2b(repr(of).encode(), digest_size=8).digest()


def _limits(block: dict[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    """What each Task with a limit has of time, and of patience between signs of life."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for name, state in block["States"].items():
        timeout = INPUT["limit"] if "TimeoutSecondsPath" in state else state.get("TimeoutSeconds")
        if isinstance(timeout, str):  # the expression that comes to it
            timeout = INPUT["limit"]
        if timeout is not None or "HeartbeatSeconds" in state:
            found[name] = timeout, state.get("HeartbeatSeconds")
        for inner in [*state.get("Branches", ()), *([state["ItemProcessor"]] if "ItemProcessor" in state else ())]:
            found |= _limits(inner)
    return found


def _reachable(start: str, states: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The states that can be come to at all: a definition may hold no others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            state = states[name]
            nexts = [state, *state.get("Choices", ()), *state.get("Catch", ()), {"Next": state.get("Default")}]
            waiting.extend(step["Next"] for step in nexts if step.get("Next") is not None)
    return {name: state for name, state in states.items() if name in found}


class _Maker:
    def __init__(self, pick: Pick) -> None:
        self.pick = pick
        self.names = 0
        self.doomed: set[str] = set()
        self.slow: set[str] = set()
        self.variables: list[str] = []
        """What is set for sure where the maker is now: numbers."""

    def machine(self) -> Made:
        definition = self.block(1, room=3)
        if self.chance(1, 12):
            definition["TimeoutSeconds"] = 5 + self.pick(20)
        salt = self.pick(1 << 16)
        costly = 1 + self.pick(1 << 16) if self.chance(1, 4) else 0
        return Made(definition, frozenset(self.doomed), frozenset(self.slow), salt, costly)

    def chance(self, of: int, among: int) -> bool:
        return self.pick(among) >= among - of

    def one(self, options: Sequence[Any]) -> Any:
        return options[self.pick(len(options))]

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    # --- a block ------------------------------------------------------------------------------------------------------

    def block(self, depth: int, room: int) -> dict[str, Any]:
        """States in a row, with loops, jumps ahead and catchers between them; ends in any of the ways to end."""
        states: dict[str, dict[str, Any]] = {}
        seen = len(self.variables)
        if self.chance(1, 3):
            name = self.name("Pass")
            states[name] = {"Type": "Pass", **self.assigned(f"v{self.names}")}
            self.variables.append(f"v{self.names}")
        for _ in range(self.fewest(depth) + self.pick(room)):
            self.piece(states, depth)
        del self.variables[seen:]
        last = self.ending(depth)
        states.update(last)
        names = list(states)
        for index, name in enumerate(names[: len(names) - len(last)]):  # (the last one knows its own way)
            state = states[name]
            ahead = names[index + 1 :]
            if state["Type"] == "Choice":
                for rule in state["Choices"]:
                    rule.setdefault("Next", self.one(ahead))
                if state.get("Default") is None:
                    state["Default"] = self.one(ahead)
            else:
                state.setdefault("Next", ahead[0])
            for catcher in state.get("Catch", ()):  # (not past what counts the rounds: it may fail in each of them)
                catcher.setdefault("Next", self.one([name for name in ahead if not name.startswith("Enough")]))
        return {"StartAt": names[0], "States": _reachable(names[0], states)}

    def fewest(self, depth: int) -> int:
        return 2 if depth == 1 else 1

    def ending(self, depth: int) -> dict[str, dict[str, Any]]:
        match self.pick(8):
            case 0 | 1 | 2 | 3:
                return {self.name("Pass"): {"Type": "Pass", "End": True}}
            case 4 | 5:
                return {self.name("Succeed"): {"Type": "Succeed", **self.pipes()}}
            case 7 if self.chance(1, 2):  # what is left out of a log where it is what was there before
                return {
                    self.name("Empty"): {"Type": "Pass", "OutputPath": None, "Next": f"Empty{self.names + 1}"},
                    self.name("Empty"): {"Type": "Pass", "InputPath": None, "End": True},
                }
            case 6:
                return {self.name("Wait"): {"Type": "Wait", "Seconds": self.pick(3), "End": True}}
        if depth > 2 or not self.chance(1, 2):
            return {self.name("Pass"): {"Type": "Pass", "End": True}}
        return {self.name("Fail"): self.one((
            {"Type": "Fail", "Error": "Given", "Cause": "up"},
            {"Type": "Fail", "ErrorPath": "$.text", "CausePath": "States.Format('n {}', $.n)"},
        ))}

    def piece(self, states: dict[str, dict[str, Any]], depth: int) -> None:
        """A state or two more."""
        kinds = [self.at_once, self.asking, self.asking, self.loop]
        if depth < DEEPEST:
            kinds += [self.around, self.rescued] * (1 if depth > 1 else 2)
        self.one(kinds)(states, depth)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def at_once(self, states: dict[str, dict[str, Any]], _depth: int) -> None:
        kind = self.one(AT_ONCE)
        name = self.name(kind)
        if kind == "Choice":
            states[name] = {"Type": "Choice", "Choices": [self.rule() for _ in range(1 + self.pick(2))]}
            if self.chance(1, 3):
                states[name] = {"Type": "Choice", **JSONATA, "Choices": [self.condition()]}
            return
        if self.chance(1, 3):
            states[name] = {"Type": "Pass", **JSONATA, "Output": self.one((
                "{% $states.input %}",
                "{% $merge([$states.input, {'sum': $sum($states.input.kids.n) + $states.input.num}]) %}",
                "{% $merge([$states.input, {'far': $count([0..$states.input.n])}]) %}",  # (heavy)
                "{% $merge([$states.input, {'id': $states.context.Execution.Name}]) %}",
            ))}
            return
        states[name] = {"Type": "Pass", "ResultPath": self.place(), **self.one((
            {},
            {"Result": {"b": 1, "a": [1.0, "two"]}},
            {"Parameters": self.parameters()},
            {"InputPath": None},
            {"InputPath": "$.kids"},
        ))}

    def asking(self, states: dict[str, dict[str, Any]], _depth: int) -> None:
        kind = self.one(ASKING)
        name = self.name(kind)
        if self.chance(1, 4):
            states[name] = self.task_in_jsonata() if kind == "Task" else self.wait_in_jsonata()
        else:
            states[name] = self.task() if kind == "Task" else self.wait()

    def task(self) -> dict[str, Any]:
        task: dict[str, Any] = {
            "Type": "Task", "ResultPath": self.place(),
            "Resource": self.one((FUNCTION + "f", FUNCTION + "f", SERVICE, INVOKE, CALLBACK, ACTIVITY, JOB)),
        }
        if self.chance(1, 3):
            task["Parameters"] = self.parameters()
        if self.chance(1, 4):
            task["ResultSelector"] = {"kept.$": "$.deep.a", "count.$": "States.ArrayLength($.of)", "all.$": "$"}
        if self.chance(2, 3):
            task.update(self.one((
                {"TimeoutSeconds": 3},
                {"TimeoutSeconds": 5, "HeartbeatSeconds": 2},
                {"TimeoutSecondsPath": "$.limit"},
                {"HeartbeatSeconds": 2},
            )))
        if self.chance(3, 5):
            task["Retry"] = self.retry()
        if self.chance(2, 5):
            task["Catch"] = self.catch()
        return task

    def task_in_jsonata(self) -> dict[str, Any]:
        """A Task whose expressions may fail, be heavy, and be those of a catcher."""
        task: dict[str, Any] = {
            "Type": "Task", **JSONATA, "Resource": self.one((FUNCTION + "f", INVOKE, CALLBACK, JOB)),
            "Output": self.one((
                "{% $merge([$states.input, {'kept': $states.result.deep}]) %}",
                "{% $merge([$states.input, {'far': $count([0..$count($states.result.of)])}]) %}",
                "{% $states.result.of[0].nowhere.at.all ? $states.input : $error('none') %}",
            )),
        }
        if self.chance(1, 2):
            task["Arguments"] = self.one((
                {"n": "{% $states.input.n + 1 %}", "plain": [1.50]}, {"none": "{% $states.input.nowhere %}"},
            ))
        if self.chance(3, 5):
            task["TimeoutSeconds"] = "{% $states.input.limit %}"
        if self.chance(1, 2):
            task["Retry"] = [{"ErrorEquals": [self.one(("States.ALL", "States.QueryEvaluationError"))],
                              "MaxAttempts": 2, "JitterStrategy": "FULL"}]
        if self.chance(1, 2):
            task["Catch"] = [{"ErrorEquals": ["States.ALL"], "Output": self.one((
                "{% $merge([$states.input, {'caught': $states.errorOutput}]) %}",
                "{% $merge([$states.input, {'caught': $count([0..$length($states.errorOutput.Error)])}]) %}",
                "{% $states.errorOutput.nowhere %}",
            ))}]
        return task

    def wait_in_jsonata(self) -> dict[str, Any]:
        return {"Type": "Wait", **JSONATA, **self.one((
            {"Seconds": "{% $states.input.secs %}"},
            {"Timestamp": "{% $states.input.when %}"},
        ))}

    def assigned(self, name: str) -> dict[str, Any]:
        """Set a variable to a number."""
        return self.one((
            {"Assign": {f"{name}.$": "$.n"}},
            {"Assign": {f"{name}.$": "States.MathAdd($.n, 1)", f"{name}too": {"a": [1.0]}}},
            {**JSONATA, "Assign": {name: "{% $states.input.n + $count($states.input.kids) %}"}},
            {**JSONATA, "Assign": {name: "{% $count([0..$states.input.n]) %}"}},
        ))

    def condition(self) -> dict[str, Any]:
        used = [f"{{% ${name} > 1 %}}" for name in self.variables[-1:]]
        rule: dict[str, Any] = {"Condition": self.one((
            "{% $states.input.n > 1 %}", "{% $states.input.text ~> /tide.*/ ? true : false %}", *used,
        ))}
        if self.chance(1, 3):
            rule["Output"] = "{% $merge([$states.input, {'ruled': true}]) %}"
        return rule

    def wait(self) -> dict[str, Any]:
        return {"Type": "Wait", **self.one((
            {"Seconds": self.pick(4)},
            {"SecondsPath": "$.secs"},
            {"Timestamp": "2023-11-14T22:13:24Z"},
            {"TimestampPath": "$.when"},
        )), **self.pipes()}

    def loop(self, states: dict[str, dict[str, Any]], depth: int) -> None:
        """Round and round, but not for ever."""
        begin, again, enough = self.name("Begin"), self.name("Again"), self.name("Enough")
        counter = f"$.{begin}"
        states[begin] = {"Type": "Pass", "Result": {"i": 0}, "ResultPath": counter}
        before = set(states)
        self.one((self.at_once, self.asking))(states, depth)
        first = next(name for name in states if name not in before)
        if states[first]["Type"] == "Choice":
            states[first] = {"Type": "Pass", "Comment": "in the round"}
        states[first].pop("Arguments", None)  # (some fail each time, and a catcher leads past the counting)
        states[again] = {
            "Type": "Pass", "Parameters": {"i.$": f"States.MathAdd({counter}.i, 1)"}, "ResultPath": counter,
        }
        states[enough] = {"Type": "Choice", "Choices": [
            {"Variable": f"{counter}.i", "NumericLessThan": 1 + self.pick(3), "Next": first},
        ]}

    def around(self, states: dict[str, dict[str, Any]], depth: int) -> None:
        """A Parallel or a Map around blocks of its own."""
        kind = self.one(("Map", "Parallel"))
        name = self.name(kind)
        state: dict[str, Any] = {"Type": kind, "ResultPath": self.place()}
        room = 2 if depth == 1 else 1
        if kind == "Parallel":
            state["Branches"] = [self.block(depth + 1, room) for _ in range(1 + self.pick(3))]
            if self.chance(1, 4):
                state["Parameters"] = _without("num") | {"from.$": "$$.Execution.Name", "num.$": "$.num"}
        else:
            state["ItemProcessor"] = self.block(depth + 1, room)
            if self.chance(1, 4):
                states[name] = {
                    "Type": kind, **JSONATA, "ItemProcessor": state["ItemProcessor"], "Output": "{% $states.input %}",
                    "Items": self.one(("{% $states.input.kids %}", [INPUT, "{% $states.input %}"])),
                }
                return
            state["ItemsPath"] = "$.kids"
            if self.chance(1, 3):
                state |= {"ItemsPath": "$.items", "ItemSelector": _without("n", "num") | {
                    "n.$": "$$.Map.Item.Index", "given.$": "$$.Map.Item.Value", "num.$": "$.num",
                }}
            if self.chance(1, 2):
                state["MaxConcurrency"] = self.pick(3)
            if "ItemSelector" in state and self.chance(1, 4):  # the last item cannot be selected
                state["ItemSelector"]["next.$"] = "States.ArrayGetItem($.items, States.MathAdd($$.Map.Item.Index, 1))"
            if self.chance(1, 8):
                self.distribute(state)
        if self.chance(1, 4):
            state["ResultSelector"] = {"first.$": "$[0]", "count.$": "States.ArrayLength($)"}
        if self.chance(1, 4):
            state["Retry"] = self.retry()
        if self.chance(1, 2):
            state["Catch"] = self.catch()
        states[name] = state

    def distribute(self, state: dict[str, Any]) -> None:
        """Items as executions of their own: what they do is not simulated, but what their run comes to."""
        state["ItemProcessor"]["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        state |= self.one((
            {},
            {"ToleratedFailurePercentage": 50},
            {"ToleratedFailureCountPath": "$.n"},
            {"ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"num.$": "$.num"}}},
        ))

    def rescued(self, states: dict[str, dict[str, Any]], depth: int) -> None:
        """A Parallel or a Map that fails while others are at work in it, and is caught."""
        name = self.name("Rescued")
        doomed, slow = self.name("Doomed"), self.name("Slow")
        self.doomed.add(doomed)
        self.slow.add(slow)
        asked = {"Type": "Task", "Resource": FUNCTION + "f", "ResultPath": None}
        beside: dict[str, Any] = {"StartAt": slow, "States": {slow: {**asked, "End": True}}}
        if self.chance(1, 3):
            beside = {"StartAt": slow, "States": {slow: {"Type": "Wait", "Seconds": 30, "End": True}}}
        if depth + 1 < DEEPEST and self.chance(1, 2):
            inner = self.name("Inner")
            beside = {"StartAt": inner, "States": {inner: {"Type": "Parallel", "Branches": [beside], "End": True}}}
        ahead = {**asked, "End": True}
        if self.chance(1, 2):
            ahead["Retry"] = [{"ErrorEquals": ["Doom"], "IntervalSeconds": 2, "MaxAttempts": 1,
                               "JitterStrategy": "FULL"}]
        state: dict[str, Any] = {
            "Type": "Parallel",
            "Branches": [{"StartAt": doomed, "States": {doomed: ahead}}, beside, *(
                [self.block(depth + 1, 1)] if self.chance(1, 3) else ()
            )],
        }
        if self.chance(1, 3):  # as a Map: one way for the first item, another for the others
            which = self.name("Which")
            beside["States"][doomed] = ahead
            beside["States"][which] = {"Type": "Choice", "Default": beside["StartAt"], "Choices": [
                {"Variable": "$.n", "NumericEquals": self.pick(2), "Next": doomed},
            ]}
            beside["StartAt"] = which
            state = {"Type": "Map", "ItemsPath": "$.kids", "ItemProcessor": beside, "MaxConcurrency": self.pick(4)}
        if self.chance(1, 4):
            state["Retry"] = [{"ErrorEquals": ["Doom"], "IntervalSeconds": 1, "MaxAttempts": 1}]
        states[name] = {**state, "ResultPath": self.place(), "Catch": [
            {"ErrorEquals": [self.one(("Doom", "States.ALL", "States.TaskFailed"))], "ResultPath": "$.caught"},
        ]}

    # --- fields -------------------------------------------------------------------------------------------------------

    def place(self) -> str | None:
        return self.one((None, f"$.made{self.names}", f"$.deep{self.names}.er"))

    def pipes(self) -> dict[str, Any]:
        return self.one(({}, {}, {"InputPath": "$"}, {"OutputPath": "$"}))

    def parameters(self) -> dict[str, Any]:
        if self.variables and self.chance(1, 3):
            name = self.one(self.variables)
            return {"v.$": f"${name}", "more.$": f"States.MathAdd(${name}, 1)"}
        return self.one((
            {"fixed": [1, 2.50]},
            {"n.$": "$.n", "all": {"num.$": "$.num"}},
            {"s.$": "States.Format('{} of {}', $.text, $.n)", "id.$": "$$.Execution.Name"},
            {"a.$": "States.Array($.num, $.flag, States.MathAdd($.n, 1))", "kids.$": "$.kids[*].n"},
            {"tries.$": "$$.State.RetryCount", "whole.$": "$"},
        ))

    def rule(self) -> dict[str, Any]:
        plain = self.one((
            {"Variable": "$.flag", "BooleanEquals": True},
            {"Variable": "$.n", "NumericGreaterThan": 1},
            {"Variable": "$.text", "StringMatches": "tide*"},
            {"Variable": "$.nowhere", "IsPresent": True},
            {"Variable": "$.when", "TimestampLessThanEquals": "2024-01-01T00:00:00Z"},
        ))
        match self.pick(4):
            case 0 | 1:
                return plain
            case 2:
                return {"Not": plain}
        either = [{"Variable": "$.n", "NumericEquals": 2}, {"Variable": "$.n", "IsNumeric": True}]
        return {"And": [plain, {"Or": either}]}

    def retry(self) -> list[dict[str, Any]]:
        retriers = []
        for _ in range(1 + self.pick(2)):
            retrier: dict[str, Any] = {
                "ErrorEquals": [self.one(("Boom", "Bang", "States.Timeout", "States.TaskFailed"))],
                "IntervalSeconds": 1 + self.pick(3), "MaxAttempts": self.pick(4),
                "BackoffRate": self.one((1.0, 2.0, 1.5)),
            }
            if self.chance(2, 3):
                retrier["JitterStrategy"] = "FULL"
            if self.chance(1, 4):
                retrier["MaxDelaySeconds"] = 5
            retriers.append(retrier)
        if self.chance(1, 2):
            retriers.append({"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"})
        return retriers

    def catch(self) -> list[dict[str, Any]]:
        return [{"ErrorEquals": [self.one(("States.ALL", "Boom", "States.Timeout", "States.TaskFailed"))],
                 "ResultPath": self.one(("$.caught", None))}]
