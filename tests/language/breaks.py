"""Ways to break a definition in one place, as tables: what each does, and where that is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.language.definitions import Break, Place, blocks, states

from stepfold.language.checking.diagnostics import Diagnostic
from stepfold.language.checking.graph import distributed

Json = Any
Candidate = tuple[dict[str, Json], str]
"""What holds a field, and the place of that."""

HOLDER = re.compile(r"^(.*?)(?:/[^/]*|\[\d+\])$", re.DOTALL)
WHOLE = "the definition as a whole, for which AWS gives no place"


def _of(*kinds: str, having: str = "", jsonata: bool | None = None) -> Callable[[dict[str, Json]], Iterator[Candidate]]:
    """States of these types (all, if none are named), which have that field, in that language."""

    def find(whole: dict[str, Json]) -> Iterator[Candidate]:
        for one in states(whole):
            right = (not kinds or one.state["Type"] in kinds) and (not having or having in one.state)
            if right and jsonata in (None, one.jsonata):
                yield one.state, one.at

    return find


def _items(field: str, having: str = "", jsonata: bool | None = None) -> Callable[..., Iterator[Candidate]]:
    """The entries of a list in a state: Retry, Catch, Choices."""

    def find(whole: dict[str, Json]) -> Iterator[Candidate]:
        for state, at in _of(having=field, jsonata=jsonata)(whole):
            for index, item in enumerate(state[field]):
                if not having or having in item:
                    yield item, f"{at}/{field}[{index}]"

    return find


def _compared(whole: dict[str, Json]) -> Iterator[Candidate]:
    """Rules of a Choice that compare a Variable, however deep."""
    waiting = list(_items("Choices", jsonata=False)(whole))
    while waiting:
        rule, at = waiting.pop()
        if "Variable" in rule:
            yield rule, at
        for name in ("And", "Or"):
            waiting += [(inner, f"{at}/{name}[{index}]") for index, inner in enumerate(rule.get(name, ()))]
        if "Not" in rule:
            waiting.append((rule["Not"], f"{at}/Not"))


def _part(*fields: str) -> Callable[..., Iterator[Candidate]]:
    """An object inside a state, behind these fields."""

    def find(whole: dict[str, Json]) -> Iterator[Candidate]:
        for state, at in _of()(whole):
            part: Json = state
            for field in fields:
                part = part.get(field) if isinstance(part, dict) else None
            if isinstance(part, dict):
                yield part, "/".join((at, *fields))

    return find


def _ending(whole: dict[str, Json]) -> Iterator[Candidate]:
    return ((state, at) for state, at in _of(*FLOW)(whole) if state.get("End"))


def _machine(whole: dict[str, Json]) -> Iterator[Candidate]:
    yield whole, ""


# -- what can be done to a field


def without(find: Callable[..., Iterator[Candidate]], field: str) -> Break:
    """Take a field away; its holder is broken."""

    def apply(whole: dict[str, Json], chance: random.Random) -> str | None:
        found = [one for one in find(whole) if field in one[0]]
        if not found:
            return None
        holder, at = chance.choice(found)
        del holder[field]
        return at

    return apply


def having(find: Callable[..., Iterator[Candidate]], field: str, *values: Json) -> Break:
    """Set a field to one of the values."""

    def apply(whole: dict[str, Json], chance: random.Random) -> str | None:
        found = list(find(whole))
        if not found:
            return None
        holder, at = chance.choice(found)
        holder[field] = chance.choice(values)
        return f"{at}/{field}"

    return apply


def both(find: Callable[..., Iterator[Candidate]], **fields: Json) -> Break:
    """Set fields of which one alone may be there."""

    def apply(whole: dict[str, Json], chance: random.Random) -> str | None:
        found = list(find(whole))
        if not found:
            return None
        holder, at = chance.choice(found)
        holder.update(fields)
        return at

    return apply


# -- what is done to states and names


def _renamed(one: Place, name: str) -> str:
    """Call a state otherwise, wherever its block speaks of it."""
    one.block["States"] = {name if old == one.name else old: state for old, state in one.block["States"].items()}
    if one.block["StartAt"] == one.name:
        one.block["StartAt"] = name
    for state in one.block["States"].values():
        for holder in (state, *state.get("Choices", ()), *state.get("Catch", ())):
            for field in ("Next", "Default"):
                if holder.get(field) == one.name:
                    holder[field] = name
    return f"{one.block_at}/States/{name}"


def _same_name(whole: dict[str, Json], chance: random.Random) -> str | None:
    every = states(whole)
    inner = [one for one in every if one.block is not whole]
    if not inner:
        return None
    one = chance.choice(inner)
    outer = [other.name for other in every if one.at.startswith(f"{other.at}/")]
    return _renamed(one, chance.choice(outer))


def _long_name(whole: dict[str, Json], chance: random.Random) -> str:
    return _renamed(chance.choice(states(whole)), "n" * 81)


def _unreachable(whole: dict[str, Json], chance: random.Random) -> str:
    block, at = chance.choice(list(blocks(whole)))
    block["States"]["Nobody comes here"] = {"Type": "Succeed"}
    return f"{at}/States/Nobody comes here"


def _no_end(whole: dict[str, Json], _: random.Random) -> str:
    for state in whole["States"].values():
        if state.pop("End", False) or state["Type"] in ("Succeed", "Fail"):
            state.clear()
            state.update({"Type": "Pass", "Next": whole["StartAt"]})
    return WHOLE


def _end_and_next(whole: dict[str, Json], chance: random.Random) -> str | None:
    return both(_of(having="Next"), End=True)(whole, chance)


def _outer_variable(whole: dict[str, Json], chance: random.Random) -> str | None:
    """Set in an inner scope what a state before the one around it has set; a distributed Map's children see nothing."""
    found = []
    apart = [f"{one.at}/ItemProcessor/" for one in states(whole) if distributed(one.state.get("ItemProcessor"))]
    for outer in states(whole):
        names = [name.removesuffix(".$") for name in outer.state.get("Assign", ())]
        after = outer.state.get("Next")
        inside = f"{outer.block_at}/States/{after}/"
        hidden = tuple(at for at in apart if at.startswith(inside))
        found += [
            (one, names) for one in states(whole)
            if names and after and one.at.startswith(inside) and not one.at.startswith(hidden)
        ]
    found = [(one, names) for one, names in found if one.state["Type"] not in ("Fail", "Succeed")]
    if not found:
        return None
    one, names = chance.choice(found)
    name = chance.choice(names)
    one.state["Assign"] = {name: 1}
    return f"{one.at}/Assign/{name}"


def _bad_variable(whole: dict[str, Json], chance: random.Random) -> str | None:
    name = chance.choice(["a-b", "1a", "", "a b", "states", "v" * 81, "a.b"])
    return both(_of("Pass", "Task", "Wait", "Choice", "Parallel", "Map"), Assign={name: 1})(whole, chance) and _last(
        whole, "Assign", {name: 1}
    )


def _last(whole: dict[str, Json], field: str, value: Json) -> str:
    return next(f"{one.at}/{field}" for one in states(whole) if one.state.get(field) == value)


def _twice(whole: dict[str, Json], chance: random.Random) -> str | None:
    place = having(_of("Pass", "Task", jsonata=False), "Parameters", {"a": {"k.$": "$", "k": 1}})(whole, chance)
    return place and f"{place}/a"


def _heartbeat(whole: dict[str, Json], chance: random.Random) -> str | None:
    found = [one for one in states(whole) if one.state["Type"] == "Task"]
    if not found:
        return None
    one = chance.choice(found)
    for field in ("TimeoutSecondsPath", "HeartbeatSecondsPath"):
        one.state.pop(field, None)
    one.state.update({"TimeoutSeconds": 5, "HeartbeatSeconds": chance.choice([5, 6])})
    return f"{one.at}/HeartbeatSeconds"


def _misplaced_all(whole: dict[str, Json], chance: random.Random) -> str | None:
    found = [
        (one.state[field], f"{one.at}/{field}")
        for one in states(whole) for field in ("Retry", "Catch") if field in one.state
    ]  # fmt: skip
    if not found:
        return None
    entries, at = chance.choice(found)
    if chance.random() < 0.5:
        entries[0]["ErrorEquals"] = ["Other", "States.ALL"]
    else:
        entries.insert(0, {**entries[0], "ErrorEquals": ["States.ALL"]})
    return f"{at}[0]/ErrorEquals"


def _express(whole: dict[str, Json], chance: random.Random) -> str | None:
    """A task that is waited for, in the child of an EXPRESS Map."""
    found = []
    for block, at in blocks(whole):
        if block.get("ProcessorConfig", {}).get("ExecutionType") == "EXPRESS":
            found += [one for one in states(whole) if one.at.startswith(f"{at}/") and one.state["Type"] == "Task"]
    if not found:
        return None
    one = chance.choice(found)
    one.state["Resource"] = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    return f"{one.at}/Resource"


WORK = ("Task", "Parallel", "Map")
FLOW = (*WORK, "Pass", "Wait")
ANY_BUT_FAIL = (*FLOW, "Choice", "Succeed")
TEXT = (1, None, True, [], {"a": 1})
OPEN = ("{% 1", "{%")
BAD_JSONATA = ("{% 1 + %}", "{% [1, 2 %}", "{%%}", "{% phone %}", "{% $.a %}", "{% $$ %}", "{% 'a %}", "{% $x := %}")
BAD_PATH = ("a", "", "$.a[", "$.a..", "$.a[?(@.b ==)]", "$.a.length()", 1, {})
NO_REFERENCE = ("a", "$.a[*]", "$..a", "$.a[0:1]", "$.a[?(@.b)]", 1)
NO_INTEGER = ("1", 1.5, True, None, [])
BAD_CALL = ("States.Nothing()", "States.Format('{}', )", "States.Format('a\\d')", "$.a[", "text", 1, None, {})

BREAKS: dict[str, Break] = {
    # what must be there
    "no StartAt": without(lambda whole: iter(list(blocks(whole))), "StartAt"),
    "no States": without(_part("ItemProcessor"), "States"),
    "no Type": without(_of(), "Type"),
    "no Resource": without(_of("Task"), "Resource"),
    "no Choices": without(_of("Choice"), "Choices"),
    "no Branches": without(_of("Parallel"), "Branches"),
    "no ItemProcessor": without(_of("Map"), "ItemProcessor"),
    "no Next": without(_of(*FLOW), "Next"),
    "no End": without(_ending, "End"),
    "no ErrorEquals": without(_items("Retry"), "ErrorEquals"),
    "no ErrorEquals to catch": without(_items("Catch"), "ErrorEquals"),
    "no Next of a catcher": without(_items("Catch"), "Next"),
    "no Next of a rule": without(_items("Choices"), "Next"),
    "no Variable": without(_compared, "Variable"),
    "no Condition": without(_items("Choices", jsonata=True), "Condition"),
    "no Seconds": without(_of("Wait"), "Seconds"),
    "no Timestamp": without(_of("Wait"), "Timestamp"),
    "no ExecutionType": without(_part("ItemProcessor", "ProcessorConfig"), "ExecutionType"),
    "no Resource of a reader": without(_part("ItemReader"), "Resource"),
    "no CSVHeaders": without(_part("ItemReader", "ReaderConfig"), "CSVHeaders"),
    "no Arguments of a writer": without(_part("ResultWriter"), "Arguments"),
    "no RoleArn": having(_of("Task", having="Credentials"), "Credentials", {}, {"Role": "r"}),
    # of another type
    "a Comment of another type": having(_of(), "Comment", *TEXT),
    "a Next of another type": having(_of(*FLOW, having="Next"), "Next", *TEXT),
    "an End of another type": having(_of(*FLOW, having="End"), "End", "true", 1, None),
    "a Default of another type": having(_of("Choice"), "Default", *TEXT),
    "a Resource of another type": having(_of("Task"), "Resource", *TEXT),
    "States of another type": having(_machine, "States", [], "x", None, 1),
    "a StartAt of another type": having(_machine, "StartAt", *TEXT),
    "Branches of another type": having(_of("Parallel"), "Branches", {}, "x", None),
    "Choices of another type": having(_of("Choice"), "Choices", {}, "x", None),
    "a Retry of another type": having(_of(*WORK), "Retry", {}, "x", None),
    "a Catch of another type": having(_of(*WORK), "Catch", {}, "x", 1),
    "ErrorEquals of another type": having(_items("Retry"), "ErrorEquals", "E", {}, None),
    "MaxAttempts of another type": having(_items("Retry"), "MaxAttempts", *NO_INTEGER),
    "BackoffRate of another type": having(_items("Retry"), "BackoffRate", "2", None, True),
    "TimeoutSeconds of another type": having(_machine, "TimeoutSeconds", *NO_INTEGER),
    "Seconds of another type": having(_of("Wait", having="Seconds"), "Seconds", *NO_INTEGER),
    "MaxConcurrency of another type": having(_of("Map", jsonata=True), "MaxConcurrency", *NO_INTEGER),
    "a ProcessorConfig of another type": having(_part("ItemProcessor"), "ProcessorConfig", "INLINE", []),
    "a Condition of another type": having(_items("Choices", jsonata=True), "Condition", 1, None, []),
    "an Assign of another type": having(_of("Pass", "Task"), "Assign", 1, "x", []),
    # out of range, or none of the words
    "a machine's TimeoutSeconds": having(_machine, "TimeoutSeconds", -1, 100_000_000),
    "TimeoutSeconds": having(_of("Task", having="TimeoutSeconds"), "TimeoutSeconds", 0, -5, 100_000_000),
    "HeartbeatSeconds": having(_of("Task", having="HeartbeatSeconds"), "HeartbeatSeconds", 0, -1),
    "Seconds": having(_of("Wait", having="Seconds"), "Seconds", -1, 100_000_000),
    "IntervalSeconds": having(_items("Retry"), "IntervalSeconds", -1, 100_000_000),
    "MaxAttempts": having(_items("Retry"), "MaxAttempts", -1, 100_000_000),
    "BackoffRate": having(_items("Retry"), "BackoffRate", 0, 0.99, -1),
    "MaxDelaySeconds": having(_items("Retry"), "MaxDelaySeconds", 0, 31_622_401),
    "JitterStrategy": having(_items("Retry"), "JitterStrategy", "HALF", "full", None),
    "MaxConcurrency": having(_of("Map", having="MaxConcurrency"), "MaxConcurrency", -1),
    "ToleratedFailurePercentage": having(_of("Map"), "ToleratedFailurePercentage", -0.1, 100.1),
    "ToleratedFailureCount": having(_of("Map"), "ToleratedFailureCount", -1),
    "Version": having(_machine, "Version", "2.0", 1.0, None),
    "QueryLanguage": having(_machine, "QueryLanguage", "SQL", "jsonata", None),
    "QueryLanguage of a state": having(_of(), "QueryLanguage", "SQL", 1),
    "Type": having(_of(), "Type", "Tsk", "task", 1, None),
    "Mode": having(_part("ItemProcessor", "ProcessorConfig"), "Mode", "distributed", 1),
    "InputType": having(_part("ItemReader", "ReaderConfig"), "InputType", "XML", 1),
    "MaxItems": having(_part("ItemReader", "ReaderConfig"), "MaxItems", -1, 100_000_001),
    "MaxInputBytesPerBatch": having(_part("ItemBatcher"), "MaxInputBytesPerBatch", 0, 262_145),
    "OutputType": having(_part("ResultWriter", "WriterConfig"), "OutputType", "XML", 1),
    "Label": having(_of("Map", having="Label"), "Label", "a b", "x" * 41, "a/b", "", 1),
    "no rules": having(_of("Choice"), "Choices", []),
    "no branch": having(_of("Parallel"), "Branches", []),
    "no error": having(_items("Catch"), "ErrorEquals", []),
    "an error without a name": having(_items("Retry"), "ErrorEquals", [""], ["a", 1], [None]),
    # fields that nobody knows
    "a field of the machine": having(_machine, "Timeout", 1),
    "a field of a state": having(_of(), "Nxt", 1),
    "a field of another type of state": having(_of("Pass", "Wait", "Succeed", "Fail", "Choice"), "Retry", []),
    "TimeoutSeconds outside a Task": having(_of("Pass", "Wait", "Map", "Parallel"), "TimeoutSeconds", 1),
    "a field of a retrier": having(_items("Retry"), "MaxRetries", 1),
    "a field of a catcher": having(_items("Catch"), "_comment", "c"),
    "a field of a rule": having(_items("Choices"), "End", True),
    "a field of a reader": having(_part("ItemReader"), "Bucket", "b"),
    "a field of a processor": having(_part("ItemProcessor"), "TimeoutSeconds", 1),
    "QueryLanguage of a processor": having(_part("ItemProcessor"), "QueryLanguage", "JSONata"),
    # where states lead
    "StartAt": having(lambda whole: iter(list(blocks(whole))), "StartAt", "Nowhere"),
    "Next": having(_of(*FLOW, having="Next"), "Next", "Nowhere"),
    "Default": having(_of("Choice"), "Default", "Nowhere"),
    "Next of a rule": having(_items("Choices"), "Next", "Nowhere"),
    "Next of a catcher": having(_items("Catch"), "Next", "Nowhere"),
    "a state nobody leads to": _unreachable,
    "no way to end": _no_end,
    "a name of a state around": _same_name,
    "a name too long": _long_name,
    # exclusive fields
    "Next and End": _end_and_next,
    "ItemProcessor and Iterator": both(
        _of("Map", having="ItemProcessor"),
        Iterator={"StartAt": "Other one", "States": {"Other one": {"Type": "Succeed"}}},
    ),
    "two ways to wait": both(_of("Wait", jsonata=False), Seconds=1, TimestampPath="$.t"),
    "two timeouts": both(_of("Task", jsonata=False), TimeoutSeconds=600, TimeoutSecondsPath="$.t"),
    "two errors": both(_of("Fail", jsonata=False), Error="e", ErrorPath="$.e"),
    "two MaxConcurrency": both(_of("Map", jsonata=False), MaxConcurrency=1, MaxConcurrencyPath="$.m"),
    "two operators": both(_compared, StringEquals="a", IsString=True),
    "two kinds of rule": both(_compared, And=[{"Variable": "$", "IsNull": True}]),
    # the other language
    "Output in JSONPath": having(_of(*ANY_BUT_FAIL, jsonata=False), "Output", 1, "{% 1 %}"),
    "Arguments in JSONPath": having(_of("Task", "Parallel", jsonata=False), "Arguments", {}),
    "Items in JSONPath": having(_of("Map", jsonata=False), "Items", []),
    "Condition in JSONPath": having(_items("Choices", jsonata=False), "Condition", True),
    "InputPath in JSONata": having(_of(*ANY_BUT_FAIL, jsonata=True), "InputPath", "$.a", None),
    "OutputPath in JSONata": having(_of(*ANY_BUT_FAIL, jsonata=True), "OutputPath", "$"),
    "Parameters in JSONata": having(_of(*WORK, "Pass", jsonata=True), "Parameters", {}),
    "Result in JSONata": having(_of("Pass", jsonata=True), "Result", 1),
    "ResultPath in JSONata": having(_of(*WORK, "Pass", jsonata=True), "ResultPath", "$"),
    "ResultPath in a catcher of JSONata": having(_items("Catch", jsonata=True), "ResultPath", "$"),
    "ResultSelector in JSONata": having(_of(*WORK, jsonata=True), "ResultSelector", {}),
    "ItemsPath in JSONata": having(_of("Map", jsonata=True), "ItemsPath", "$"),
    "SecondsPath in JSONata": having(_of("Wait", jsonata=True), "SecondsPath", "$.s"),
    "CausePath in JSONata": having(_of("Fail", jsonata=True), "CausePath", "$.s"),
    "Variable in JSONata": having(_items("Choices", jsonata=True), "Variable", "$.s"),
    # paths, calls, templates
    "InputPath": having(_of(*ANY_BUT_FAIL, jsonata=False), "InputPath", *BAD_PATH),
    "OutputPath": having(_of(*ANY_BUT_FAIL, jsonata=False), "OutputPath", *BAD_PATH),
    "ResultPath": having(_of(*WORK, "Pass", jsonata=False), "ResultPath", *NO_REFERENCE, "$$.a", "$v.a"),
    "ResultPath of a catcher": having(_items("Catch", jsonata=False), "ResultPath", *NO_REFERENCE),
    "ItemsPath": having(_of("Map", jsonata=False), "ItemsPath", *NO_REFERENCE),
    "Variable": having(_compared, "Variable", *NO_REFERENCE),
    "ErrorPath": having(_of("Fail", having="ErrorPath", jsonata=False), "ErrorPath", *BAD_CALL),
    "Parameters": having(_of("Task", "Pass", "Parallel", jsonata=False), "Parameters", *({"k.$": v} for v in BAD_CALL)),
    "ItemSelector": having(_of("Map", jsonata=False), "ItemSelector", *({"k.$": v} for v in BAD_CALL)),
    "ResultSelector": having(_of(*WORK, jsonata=False), "ResultSelector", *({"k.$": v} for v in BAD_CALL)),
    "a field twice in a template": _twice,
    "an operator that nobody knows": having(_compared, "StringLike", "a"),
    # JSONata
    "Output": having(_of(*ANY_BUT_FAIL, jsonata=True), "Output", *BAD_JSONATA, *OPEN, "{% $states.errorOutput %}"),
    "Output of a catcher": having(_items("Catch", jsonata=True), "Output", *BAD_JSONATA, "{% $states.result %}"),
    "Arguments": having(_of("Task", jsonata=True), "Arguments", *BAD_JSONATA, *OPEN, "{% $states.result %}"),
    "Condition": having(_items("Choices", jsonata=True), "Condition", *BAD_JSONATA, "true", "{% $states.result %}"),
    "Items": having(_of("Map", jsonata=True), "Items", *BAD_JSONATA, *OPEN),
    "Assign": having(_of("Pass", jsonata=True), "Assign", *({"v": v} for v in BAD_JSONATA)),
    "Cause": having(_of("Fail", jsonata=True), "Cause", *BAD_JSONATA, *OPEN, "{% $states.errorOutput %}"),
    "Seconds in JSONata": having(_of("Wait", having="Seconds", jsonata=True), "Seconds", *BAD_JSONATA),
    "BatchInput": having(_part("ItemBatcher"), "BatchInput", {"k.$": "$.a[", "l": "{% 1 + %}"}),
    # the rest
    "a timestamp": having(_of("Wait", having="Timestamp"), "Timestamp", "2024-01-01", "2024-01-01 00:00:00Z", "now"),
    "an ARN": having(_of("Task"), "Resource", "f", "arn:aws:states:::sqs:frobnicate", "arn:aws:s3:::bucket", "arn:"),
    "a pattern that an action lacks": having(_of("Task"), "Resource", "arn:aws:states:::sqs:sendMessage.sync"),
    "a reader's Resource": having(_part("ItemReader"), "Resource", "arn:aws:states:::s3:putObject", 1),
    "a variable": _bad_variable,
    "a variable of the scope around": _outer_variable,
    "States.ALL with others": _misplaced_all,
    "a heartbeat as long as the task": _heartbeat,
    "a callback in an EXPRESS child": _express,
}  # fmt: skip
"""By name. A break may find nothing of its kind in a definition."""


def names(found: list[Diagnostic], broken: str) -> bool:
    """Whether something was found at what is broken, in it, or at what directly holds it."""
    if broken == WHOLE:
        return any(one.location is None for one in found)
    holder = HOLDER.match(broken)
    right = {broken or "/", (holder[1] or "/") if holder else "/"}
    inside = (f"{broken}/", f"{broken}[")
    return any(one.location in right or str(one.location).startswith(inside) for one in found)
