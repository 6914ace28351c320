"""Definitions made up at random: right ones in both query languages, and ways to break them in one place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Json = Any

ACCOUNT = "us-east-1:123456789012"
FUNCTION = f"arn:aws:lambda:{ACCOUNT}:function:f"
LEAVES: list[Json] = ["text", "", 1, -2.5, True, None, [], {}, "$20", "ünï", 10**20]
PATHS = ["$", "$.a", "$.a.b[0]", "$['a b'].c", "$$.Execution.Id", "$.a[-1]"]
WIDE = [
    *PATHS, "$.a[*].b", "$..c", "$.a[?(@.b > 1 && @.c == 'x')]", "$.a[1:3]", "$.a[?(@.b==word)]", "$.a[(@.length-1)]",
]  # fmt: skip
CALLS = [
    "States.UUID()", "States.Format('{} {}', $.a, 1)", "States.Array(States.MathAdd($.a, -1), null, $$.State.Name)",
]  # fmt: skip
EXPRESSIONS = [
    "$states.input", "$states.input.a.b[0]", "$states.context.Execution.Id", "1 + 2", "'text'", "true", "$uuid()",
    "$states.input.items[price > 3].name", "$map([1..3], function($x, $i) { $x * $i })", "$sum($states.input.a)?1:2",
    "( $a := $states.input.a; $a & 'x' )", '{"k": [$states.input.`odd name`], "l": $exists($states.input.b)}',
    "$states.input.a ~> $string", "$partition($states.input.a, 2)",
]  # fmt: skip
OPERANDS: dict[str, list[Json]] = {
    "StringEquals": ["x"], "StringMatches": ["a*"], "StringLessThanPath": PATHS, "NumericEquals": [1, 2.5],
    "NumericGreaterThanEqualsPath": PATHS, "BooleanEquals": [True], "TimestampLessThan": ["2024-01-01T00:00:00Z"],
    "TimestampEqualsPath": PATHS, "IsNull": [True, False], "IsPresent": [True], "IsTimestamp": [False],
}  # fmt: skip
ERRORS = ["States.Timeout", "States.TaskFailed", "States.Permissions", "Lambda.Unknown", "Custom", "E{% x %}"]
RESOURCES = [
    FUNCTION, f"{FUNCTION}:live", "arn:aws:states:::lambda:invoke", "arn:aws:states:::aws-sdk:dynamodb:query",
    "arn:aws:states:::sns:publish", "arn:aws-cn:states:::dynamodb:putItem", "arn:aws:states:::http:invoke",
]  # fmt: skip
WAITING = [
    f"arn:aws:states:{ACCOUNT}:activity:a", "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "arn:aws:states:::states:startExecution.sync:2", "arn:aws:states:::batch:submitJob.sync",
]  # fmt: skip


class Scope(NamedTuple):
    """What a block is made in: names that can be read, and whether it runs in an EXPRESS child."""

    variables: tuple[str, ...] = ()
    express: bool = False


class Writer:
    """One definition, made up from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.whole = self.chance.choice(["JSONPath", "JSONata"])
        self.count = 0

    def machine(self) -> dict[str, Json]:
        machine = self.block(Scope(), 2)
        if self.whole == "JSONata" or self.likely(0.2):
            machine["QueryLanguage"] = self.whole
        self.maybe(machine, 0.3, Comment="c", Version="1.0", TimeoutSeconds=self.chance.randrange(100_000_000))
        return self.shuffled(machine)

    # -- chance

    def likely(self, share: float) -> bool:
        return self.chance.random() < share

    def maybe(self, holder: dict[str, Json], share: float, **fields: Json) -> None:
        """Each of the fields, with that likelihood; a value may be a function that makes it."""
        for name, value in fields.items():
            if self.likely(share):
                holder[name] = value() if callable(value) else value

    def shuffled(self, value: dict[str, Json]) -> dict[str, Json]:
        items = list(value.items())
        self.chance.shuffle(items)
        return dict(items)

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    # -- blocks

    def block(self, scope: Scope, depth: int) -> dict[str, Json]:
        names = [self.name("State ") for _ in range(self.chance.randrange(1, 5))]
        states: dict[str, Json] = {}
        variables = scope.variables
        for index, name in enumerate(names):
            later = names[index + 1 :]
            states[name] = self.state(scope._replace(variables=variables), later, depth)
            own = states[name].get("Assign")
            variables = (*variables, *(one.removesuffix(".$") for one in own or ()))
        return self.shuffled({"StartAt": names[0], "States": states})

    def state(self, scope: Scope, later: list[str], depth: int) -> dict[str, Json]:
        kinds = ["Pass", "Task", "Task", "Wait"] + ["Parallel", "Map"] * (depth > 0)
        kind = self.chance.choice([*kinds, "Choice"] if later else [*kinds, "Succeed", "Fail"])
        own = self.chance.choice([None, "JSONata"])
        jsonata = (own or self.whole) == "JSONata"
        state: dict[str, Json] = {"Type": kind}
        if own is not None:
            state["QueryLanguage"] = own
        self.maybe(state, 0.2, Comment="{% not read %} $.neither")
        if kind not in ("Choice", "Succeed", "Fail"):
            state |= {"Next": later[0]} if later else {"End": True}
            if later:
                self.maybe(state, 0.1, End=False)
        if kind != "Fail":
            self.pipe(state, scope, jsonata, result=kind in ("Task", "Parallel", "Map"))
        if kind not in ("Fail", "Succeed"):
            works = kind in ("Task", "Parallel", "Map")
            self.maybe(state, 0.3, Assign=lambda: self.assign(scope, jsonata, result=works))
        make = getattr(self, f"of_{kind.lower()}")
        make(state, scope, jsonata, later, depth)
        return self.shuffled(state)

    def pipe(self, state: dict[str, Json], scope: Scope, jsonata: bool, *, result: bool) -> None:
        if jsonata:
            self.maybe(state, 0.4, Output=lambda: self.payload(scope, jsonata, result=result))
        else:
            paths = [*WIDE, None, *(f"${name}.x" for name in scope.variables)]
            self.maybe(state, 0.3, InputPath=self.chance.choice(paths), OutputPath=self.chance.choice(paths))

    def work(self, state: dict[str, Json], scope: Scope, jsonata: bool, later: list[str]) -> None:
        """What Task, Parallel and Map share."""
        if not jsonata:
            self.maybe(state, 0.4, ResultSelector=lambda: self.template(scope), ResultPath=self.target())
        self.maybe(state, 0.4, Retry=lambda: [self.retrier(last) for last in self.lasts()])
        if later:
            self.maybe(
                state, 0.4, Catch=lambda: [self.catcher(scope, jsonata, later, last) for last in self.lasts()]
            )

    # -- states

    def of_pass(self, state: dict[str, Json], scope: Scope, jsonata: bool, _: Json, __: int) -> None:
        if not jsonata:
            self.maybe(
                state, 0.4, Result=self.chance.choice(LEAVES), ResultPath=self.target(),
                Parameters=lambda: self.template(scope),
            )  # fmt: skip

    def of_task(self, state: dict[str, Json], scope: Scope, jsonata: bool, later: list[str], _: int) -> None:
        state["Resource"] = self.chance.choice(RESOURCES if scope.express else RESOURCES + WAITING)
        self.work(state, scope, jsonata, later)
        self.maybe(state, 0.5, **{"Arguments" if jsonata else "Parameters": lambda: self.payload(scope, jsonata)})
        self.seconds(state, jsonata, "TimeoutSeconds", 600, 99_999_999)
        self.seconds(state, jsonata, "HeartbeatSeconds", 1, 599)
        if ":activity:" not in state["Resource"] and self.likely(0.2):
            state["Credentials"] = {"RoleArn": "arn:aws:iam::123456789012:role/r"}
            if not jsonata and self.likely(0.5):
                state["Credentials"] = {"RoleArn.$": "$.role"}

    def seconds(self, state: dict[str, Json], jsonata: bool, field: str, low: int, high: int) -> None:
        if self.likely(0.3):
            state[field] = self.chance.randint(low, high)
            if jsonata and self.likely(0.5):
                state[field] = "{% $states.input.seconds %}"
            elif self.likely(0.5) and not jsonata:
                del state[field]
                state[f"{field}Path"] = "$.seconds"

    def of_wait(self, state: dict[str, Json], _: Scope, jsonata: bool, __: Json, ___: int) -> None:
        ways: dict[str, Json] = {"Seconds": self.chance.randrange(1000), "Timestamp": "2024-02-29T12:00:00.5+02:00"}
        ways |= {"SecondsPath": "$.s", "TimestampPath": "$$.Execution.StartTime"} if not jsonata else {}
        field, value = self.chance.choice(list(ways.items()))
        state[field] = "{% $states.input.w %}" if jsonata and self.likely(0.5) else value

    def of_succeed(self, state: dict[str, Json], *_: Json) -> None:
        pass

    def of_fail(self, state: dict[str, Json], _: Scope, jsonata: bool, *__: Json) -> None:
        for field in ("Error", "Cause"):
            if self.likely(0.7):
                state[field] = "{% $states.input.why %}" if jsonata and self.likely(0.5) else "text"
                if not jsonata and self.likely(0.5):
                    del state[field]
                    state[f"{field}Path"] = self.chance.choice([*PATHS, *CALLS])

    def of_choice(self, state: dict[str, Json], scope: Scope, jsonata: bool, later: list[str], _: int) -> None:
        state["Choices"] = []
        for _rule in range(self.chance.randrange(1, 4)):
            rule = {"Condition": self.chance.choice([True, "{% $states.input.a > 1 %}"])} if jsonata else self.rule(2)
            rule["Next"] = self.chance.choice(later)
            self.maybe(rule, 0.3, Assign=lambda: self.assign(scope, jsonata), Comment="c")
            if jsonata:
                self.maybe(rule, 0.3, Output=lambda: self.payload(scope, jsonata))
            state["Choices"].append(rule)
        state["Default"] = later[0]

    def rule(self, depth: int) -> dict[str, Json]:
        kind = self.chance.choice(["And", "Or", "Not", "Variable"] if depth else ["Variable"])
        if kind == "Not":
            return {"Not": self.rule(depth - 1)}
        if kind != "Variable":
            return {kind: [self.rule(depth - 1) for _ in range(self.chance.randrange(1, 3))]}
        operator = self.chance.choice(list(OPERANDS))
        return {"Variable": self.chance.choice(PATHS), operator: self.chance.choice(OPERANDS[operator])}

    def of_parallel(self, state: dict[str, Json], scope: Scope, jsonata: bool, later: list[str], depth: int) -> None:
        self.work(state, scope, jsonata, later)
        self.maybe(state, 0.3, **{"Arguments" if jsonata else "Parameters": lambda: self.payload(scope, jsonata)})
        state["Branches"] = [self.block(scope, depth - 1) for _ in range(self.chance.randrange(1, 3))]

    def of_map(self, state: dict[str, Json], scope: Scope, jsonata: bool, later: list[str], depth: int) -> None:
        self.work(state, scope, jsonata, later)
        distributed = not scope.express and self.likely(0.4)
        if distributed:
            kind = self.chance.choice(["STANDARD", "EXPRESS"])
            processor = self.block(Scope(express=kind == "EXPRESS"), depth - 1)
            processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
            self.distributed(state, scope, jsonata)
        else:
            processor = self.block(scope, depth - 1)
            self.maybe(processor, 0.5, ProcessorConfig={"Mode": "INLINE"})
        state["ItemProcessor" if distributed or self.likely(0.7) else "Iterator"] = processor
        self.maybe(state, 0.3, ItemSelector=lambda: self.payload(scope, jsonata))
        if jsonata:
            self.maybe(state, 0.5, Items=self.chance.choice(["{% $states.input.a %}", [1, "{% 2 %}"], []]))
            self.maybe(state, 0.3, MaxConcurrency=self.chance.choice([0, 7, "{% 3 %}"]))
        else:
            self.maybe(state, 0.5, ItemsPath=self.chance.choice(["$.a", "$$.Execution.Input", "$.a[0]['b c']"]))
            self.maybe(state, 0.3, **self.chance.choice([{"MaxConcurrency": 0}, {"MaxConcurrencyPath": "$.m"}]))

    def distributed(self, state: dict[str, Json], scope: Scope, jsonata: bool) -> None:
        where = "Arguments" if jsonata else "Parameters"
        reader = {"Resource": "arn:aws:states:::s3:getObject", where: {"Bucket": "b", "Key": "k"}}
        reader["ReaderConfig"] = self.chance.choice([
            {"InputType": "JSON", "MaxItems": 10},
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "CSVDelimiter": "PIPE"},
            {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["{% a %}"]},
            {"InputType": "JSONL"},
        ])
        writer = {"Resource": "arn:aws:states:::s3:putObject", where: {"Bucket": "b", "Prefix": "p"}}
        self.maybe(writer, 0.5, WriterConfig={"Transformation": "FLATTEN", "OutputType": "JSONL"})
        batcher: dict[str, Json] = {"MaxItemsPerBatch": 5, "MaxInputBytesPerBatch": 262_144}
        self.maybe(batcher, 0.5, BatchInput=lambda: self.payload(scope, jsonata))
        self.maybe(
            state, 0.4, ItemReader=reader, ResultWriter=writer, ItemBatcher=batcher, Label=self.name("label"),
            ToleratedFailureCount=self.chance.randrange(9), ToleratedFailurePercentage=12.5,
        )  # fmt: skip

    # -- parts

    def lasts(self) -> list[bool]:
        size = self.chance.randrange(1, 4)
        return [index == size - 1 for index in range(size)]

    def errors(self, last: bool) -> list[str]:
        if last and self.likely(0.5):
            return ["States.ALL"]
        return self.chance.sample(ERRORS, self.chance.randrange(1, 3))

    def retrier(self, last: bool) -> dict[str, Json]:
        retrier: dict[str, Json] = {"ErrorEquals": self.errors(last)}
        self.maybe(
            retrier, 0.4, IntervalSeconds=1, MaxAttempts=0, BackoffRate=1.0, MaxDelaySeconds=31_622_400,
            JitterStrategy="FULL", Comment="c",
        )  # fmt: skip
        return self.shuffled(retrier)

    def catcher(self, scope: Scope, jsonata: bool, later: list[str], last: bool) -> dict[str, Json]:
        catcher = {"ErrorEquals": self.errors(last), "Next": self.chance.choice(later)}
        self.maybe(catcher, 0.3, Assign=lambda: self.assign(scope, jsonata, error=True), Comment="c")
        if jsonata:
            self.maybe(catcher, 0.4, Output=lambda: self.payload(scope, jsonata, error=True))
        else:
            self.maybe(catcher, 0.4, ResultPath=self.target())
        return self.shuffled(catcher)

    def target(self) -> str | None:
        return self.chance.choice(["$", "$.out", "$.a['b c'][0]", None])

    def assign(self, scope: Scope, jsonata: bool, **seen: bool) -> dict[str, Json]:
        names = [self.name(self.chance.choice(["v", "größe", "_"])) for _ in range(self.chance.randrange(1, 3))]
        if jsonata:
            return {name: self.payload(scope, jsonata, **seen) for name in names}
        return {f"{name}.$": self.path(scope) if self.likely(0.5) else "$.a" for name in names}

    def payload(self, scope: Scope, jsonata: bool, **seen: bool) -> Json:
        return self.value(scope, 2, **seen) if jsonata else self.template(scope)

    def path(self, scope: Scope) -> str:
        return self.chance.choice([*WIDE, *CALLS, *(f"${name}[0].x" for name in scope.variables)])

    def template(self, scope: Scope, depth: int = 2) -> dict[str, Json]:
        made: dict[str, Json] = {}
        for _ in range(self.chance.randrange(3)):
            kind = self.chance.randrange(4 if depth else 2)
            if kind == 0:
                made[self.name("k")] = self.chance.choice(LEAVES)
            elif kind == 1:
                made[self.name("k") + ".$"] = self.path(scope)
            elif kind == 2:
                made[self.name("k")] = self.template(scope, depth - 1)
            else:
                made[self.name("k")] = [self.template(scope, depth - 1), 1]
        return made

    def value(self, scope: Scope, depth: int, *, result: bool = False, error: bool = False) -> Json:
        kind = self.chance.randrange(4 if depth else 2)
        if kind == 0:
            return self.chance.choice([*LEAVES, "$.literal", " {% literal %}"])
        if kind == 1:
            known = [*EXPRESSIONS, *(f"${name}.x" for name in scope.variables)]
            known += ["$states.result.a"] * result + ["$states.errorOutput.Error"] * error
            return "{% " + self.chance.choice(known) + " %}"
        inner = [self.value(scope, depth - 1, result=result, error=error) for _ in range(self.chance.randrange(3))]
        return inner if kind == 2 else {self.name("k"): one for one in inner}


def definition(seed: int) -> dict[str, Json]:
    """A definition that is right, and always the same for a seed."""
    return Writer(seed).machine()


class Place(NamedTuple):
    """A state of a definition, and where it is."""

    state: dict[str, Json]
    at: str
    name: str
    block: dict[str, Json]
    block_at: str
    jsonata: bool


def blocks(whole: dict[str, Json]) -> Iterator[tuple[dict[str, Json], str]]:
    """Every block of a definition and its place, outermost first."""
    waiting = [(whole, "")]
    while waiting:
        block, at = waiting.pop(0)
        yield block, at
        for name, state in block["States"].items():
            here = f"{at}/States/{name}"
            waiting += [(inner, f"{here}/Branches[{n}]") for n, inner in enumerate(state.get("Branches", ()))]
            waiting += [(state[field], f"{here}/{field}") for field in ("ItemProcessor", "Iterator") if field in state]


def states(whole: dict[str, Json]) -> list[Place]:
    """Every state of a definition."""
    language = whole.get("QueryLanguage", "JSONPath")
    return [
        Place(state, f"{at}/States/{name}", name, block, at, state.get("QueryLanguage", language) == "JSONata")
        for block, at in blocks(whole)
        for name, state in block["States"].items()
    ]


Break = Callable[[dict[str, Json], random.Random], str | None]
"""Breaks a definition in one place, and tells which: None where it has nothing of that kind."""
