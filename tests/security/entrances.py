"""Where texts of strangers come in, each as a function of bytes: it returns, or refuses clearly; all else is a defect.

`ENTRANCES` says by name what is entered, which words mutations are made of, and what good texts look like. The parts of
a text (an expression and what it reads) stand on lines of their own. What a mutation found, and was mended, stands in
`FOUND`.
"""

import contextlib
import json
import random
from collections.abc import Callable
from functools import cache
from typing import NamedTuple
from unicodedata import category

import msgspec
from tests.language.definitions import CALLS, EXPRESSIONS, PATHS, WIDE, Writer
from tests.laws import test_golden
from tests.service import test_signature as signing

from stepfold.cli.telling import cause_lines
from stepfold.errors import InvalidDefinition
from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution
from stepfold.language.machine import load
from stepfold.query.jsonata.dialect import DIALECT as JSONATA
from stepfold.query.jsonata.dialect import compile_expression
from stepfold.query.jsonata.functions import CHANCY, STEADY
from stepfold.query.jsonpath.dialect import DIALECT as JSONPATH
from stepfold.query.jsonpath.dialect import compile_intrinsic_or_path, compile_path, compile_reference
from stepfold.query.jsonpath.intrinsics import FUNCTIONS
from stepfold.query.template import Moment, Overrun, QueryError, Scope, SourceError
from stepfold.query.values import NotAdmitted, admit
from stepfold.service.wire.protocol import Refusal
from stepfold.service.wire.signature import verify

DOCUMENT = b'{"a":{"b":[1,2.50,"x"]},"items":[{"price":4,"name":"n"}],"odd name":null}'
MADE = 40
"""Definitions that mutations begin with."""


def moment(*, unhurried=False):
    chance = random.Random(1)
    return Moment(1_700_000_000_000, chance.random, chance.randbytes, unhurried)


def context():
    return {"Execution": {"Id": "arn"}, "State": {"Name": "A"}}


def parts(data):
    """The expression and the scope of a text of two parts; None where the second is no JSON."""
    expression, _, document = data.partition(b"\n")
    try:
        value = admit(document or DOCUMENT)
    except NotAdmitted:
        return None
    return expression.decode("utf-8", "replace"), Scope(value, context)


def is_json(value):
    """What was rendered is a value that could have been admitted."""
    admit(bytes(value))


# --- the entrances ----------------------------------------------------------------------------------------------------


def definition(data):
    for kind in ("STANDARD", "EXPRESS"):
        with contextlib.suppress(InvalidDefinition):
            load(data, type=kind)


def jsonpath(data):
    if (given := parts(data)) is None:
        return
    expression, scope = given
    with contextlib.suppress(SourceError, NotAdmitted, QueryError):
        compile_reference(expression).place(scope.value, scope.value)
    for make in (compile_path, compile_intrinsic_or_path, _payload):
        with contextlib.suppress(SourceError, QueryError, Overrun):
            is_json(make(expression, field="a.$").render(scope, moment()))


def _payload(expression, field):
    return JSONPATH.compile({field: [expression], "b.$": expression})


def jsonata(data):
    if (given := parts(data)) is None:
        return
    expression, scope = given
    marked = "{%" + expression + "%}"
    JSONATA.refusals(marked)
    with contextlib.suppress(SourceError):
        made = compile_expression(marked, "Output")
        for unhurried in (False, True):
            with contextlib.suppress(QueryError, Overrun):
                is_json(made.render(scope, moment(unhurried=unhurried)))


def signature(data):
    """(The Authorization header, the date, path and query, then the body: a line each.)"""
    header, date, path, query, body = (data + b"\n\n\n\n").split(b"\n", 4)
    call, sent = signed()
    headers = {**call.headers, "authorization": header.decode("latin-1"), "x-amz-date": date.decode("latin-1")}
    asked = call._replace(headers=headers, path=path.decode("latin-1"), query=query.decode("latin-1"), body=body[:-4])
    with contextlib.suppress(Refusal):
        verify(asked, signing.KEYS, sent)
        assert asked.body == call.body, "a body that nobody signed was taken"
        assert (asked.path or "/", asked.query.strip("&")) == (call.path, call.query), "nor was that address signed"


def cause(data):
    """(Of a task that failed, as whoever did it worded it.)"""
    for line in cause_lines(data.decode("utf-8", "replace")):
        assert "Cc" not in set(map(category, line.replace("\t", ""))), "what is shown on a terminal steers it"


def log(data):
    """A row of the log: what is decoded is written as it was read; a fold of it ends, or says what is wrong."""
    try:
        events = facts.decode(data)
    except (facts.NewerLog, msgspec.DecodeError, UnicodeDecodeError):
        return
    again = facts.encode(events)
    assert facts.encode(facts.decode(again)) == again
    with contextlib.suppress(Exception):  # (whatever it is, the execution is set aside)
        Execution.fold(events)


# --- good texts -------------------------------------------------------------------------------------------------------


def definitions():
    return [json.dumps(Writer(seed).machine()).encode() for seed in range(MADE)]


def expressions(*lists):
    return [one.encode() + b"\n" + DOCUMENT for some in lists for one in some]


@cache
def signed():
    """A request as an ordinary client signs it, and when it did."""
    return signing.signed()


def signatures():
    call, _ = signed()
    lines = call.headers["authorization"], call.headers["x-amz-date"], call.path, call.query, call.body.decode()
    return ["\n".join(lines).encode()]


def causes():
    told = {"errorMessage": "it is broken", "errorType": "Error", "stackTrace": ["  File x\n", "y"], "trace": []}
    return [b"a plain\ncause", *(json.dumps(told | more).encode() for more in ({}, {"stackTrace": []}))]


def rows():
    golden = json.loads(test_golden.LOGS.read_text())
    return [step["events"].encode() for log in golden.values() for step in log["steps"] if step.get("events")]


class Entrance(NamedTuple):
    """`enter` takes any bytes; `good` makes texts that are let in; `words` are what else mutations are made of."""

    enter: Callable[[bytes], None]
    good: Callable[[], list[bytes]]
    words: tuple[str, ...]


ENTRANCES = {
    "definition": Entrance(definition, definitions, ('"{% $x %}"', '"$.a"', '".$"', "1e999", "-1", "null", "[]", "{}")),
    "jsonpath": Entrance(jsonpath, lambda: expressions(PATHS, WIDE, CALLS), (
        *(f"{name}(" for name in FUNCTIONS), "$$", "..", "[*]", "[?(", "@.", ")]", "[(@.length-1)]", "=~", "&&", "||",
        "!", "['", "']", "in", "nin", "subsetof", "anyof", "empty true", "[-1:]", "\\'", "1e308", "null",
    )),
    "jsonata": Entrance(jsonata, lambda: expressions(EXPRESSIONS), (
        *(f"${name}(" for name in (*STEADY, *sorted(CHANCY))), "$states.input", "$states.context", "~>", ":=",
        "function($x){", "^(", "@$", "#$", "|", "..", "**", "%.", "$eval(", "$match(", "$replace(",
        "/a/i", "`", "λ", "? :", "'\\u00", "1e308",
    )),
    "signature": Entrance(signature, signatures, (
        "AWS4-HMAC-SHA256 ", "Credential=", "SignedHeaders=", "Signature=", "/aws4_request", ", ", ";host",
    )),
    "cause": Entrance(cause, causes, ('"errorMessage":', '"stackTrace":', '"trace":', "\x1b[", "[[[[", "null")),
    "log": Entrance(log, rows, (*(kind.__name__ for kind in facts.FACTS), '"type":', "null", "9223372036854775808")),
}

FOUND: dict[str, list[bytes]] = {
    "cause": [b"[" * 16_000, b'{"errorMessage":"a","stackTrace":5}'],
}
"""What was found by mutation and mended, by entrance."""
