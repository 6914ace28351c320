"""The official JSONata suite: JSONata itself, as the library has it, and what AWS's restrictions leave of it.

The suite lies beside the project (`../shared/conformance`); where it is absent, this says so and skips.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jlens
import pytest

from stepfold.query.jsonata.dialect import compile_expression
from stepfold.query.jsonata.library import SyntaxRefused, compiled
from stepfold.query.template import Moment, QueryError, Scope, SourceError, Variables
from stepfold.query.values import text

SUITE = Path(__file__).parents[3] / "shared" / "conformance" / "jsonata-suite.json"
FLOOR = 1_683
"""Of 1,686 cases; it only rises."""

MOMENT = Moment(1_700_000_000_000, lambda: 0.5, bytes, unhurried=True)
UNDEFINED = object()

pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="NO JSONATA SUITE: this run is not held against it")


@cache
def suite() -> dict[str, Any]:
    return json.loads(SUITE.read_text())


def expected(case: dict[str, Any]) -> tuple[str, Any]:
    if "result" in case:
        return "value", case["result"]
    if "code" in case or "error" in case:
        return "error", case.get("code") or case["error"].get("code")
    return "value", UNDEFINED


def freely(case: dict[str, Any]) -> tuple[str, Any]:
    """What the library makes of a case, with none of AWS's restrictions."""
    document = json.dumps(suite()["datasets"][case["dataset"]]) if case.get("dataset") else None
    if "data" in case:
        document = json.dumps(case["data"])
    limits = {"max_depth": case.get("depth", 1_000), "timeout": case.get("timelimit", 20_000) / 1_000}
    try:
        found = compiled(case["expr"]).evaluate_json(document, case.get("bindings"), **limits)
    except SyntaxRefused as error:
        return "error", getattr(error.__cause__, "code", None)
    except jlens.JlensError as error:
        return "error", LIMITS.get(error.code, error.code)
    return "value", UNDEFINED if found is None else json.loads(found)


LIMITS = {"D1011": "U1001", "D1012": "U1001"}
"""The suite's one code for depth and time."""


def same(found: Any, wanted: Any) -> bool:
    """Equal as JavaScript's values are: one kind of number, and true is not 1."""
    if isinstance(found, bool) or isinstance(wanted, bool) or found is UNDEFINED or wanted is UNDEFINED:
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return abs(found - wanted) <= 1e-12 * abs(wanted)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[name], wanted[name]) for name in wanted)
    return type(found) is type(wanted) and found == wanted


def agree(case: dict[str, Any], found: tuple[str, Any]) -> bool:
    (kind, value), (wanted_kind, wanted) = found, expected(case)
    if kind != wanted_kind:
        return False
    if isinstance(value, list) and case.get("unordered"):
        value, wanted = (sorted(side, key=json.dumps) for side in (value, wanted))
    return same(value, wanted) if kind == "value" else value == wanted


def test_jsonata_is_jsonata(figures):
    wrong = [case["id"] for case in suite()["cases"] if not agree(case, freely(case))]
    passed = len(suite()["cases"]) - len(wrong)
    figures.append(f"JSONata suite: {passed} of {len(suite()['cases'])}; not: {', '.join(wrong)}")
    assert passed >= FLOOR


KINDS = {
    "at the top level": "a reference at the top level, or $$",
    "Reference to '$$' is not supported": "a reference at the top level, or $$",
    "T1006": "$eval",
    "Stack overflow error": "depth",
    "memory limit": "memory",
    "evaluation timeout": "time",
    "T0411": "no document to take an argument from",
    "nothing": "no document to find anything in",
}
"""What may be refused beyond JSONata itself, by words of the refusal."""

OTHERWISE = {
    "function-string/case019[0]": "the library knows no infinite number: the division fails, not its conversion",
    "function-string/case022[0]": "where there is no document there is null, for the library has no way to have none",
    "function-string/case029[0]": "the same",
    "descendent-operator/case016[0]": "the same",
}


def restricted(case: dict[str, Any]) -> tuple[str, Any]:
    """What AWS's dialect makes of a case."""
    variables = Variables({name: text(value) for name, value in case.get("bindings", {}).items()})
    try:
        return "value", compile_expression(f"{{%{case['expr']}%}}").pick(Scope(text({}), dict, variables), MOMENT)
    except SourceError as error:
        return ("refused", error.reason) if error.code == "UNSUPPORTED_JSONATA_EXPRESSION" else ("error", None)
    except QueryError as error:
        if error.cause.endswith("returned nothing (undefined)."):
            return "value", UNDEFINED
        words = error.cause.partition("during evaluation")[2]
        return "error", words[2:].split(":")[0] if words.startswith(". ") else error.cause


def test_what_aws_restricts_is_of_a_known_kind(figures):
    counts: Counter[str] = Counter()
    unknown = []
    for case in suite()["cases"]:
        kind, value = found = restricted(case)
        if agree(case, found) or (found == ("error", None) and expected(case)[0] == "error"):
            counts["as in JSONata"] += 1
            continue
        said = "nothing" if value is UNDEFINED else str(value) if kind in {"refused", "error"} else ""
        reason = next((reason for words, reason in KINDS.items() if words in said), None)
        if reason is not None:
            counts[reason] += 1
        elif case["id"] not in OTHERWISE:
            unknown.append((case["id"], case["expr"][:60], found, expected(case)))
    figures.append("JSONata under AWS's restrictions: " + ", ".join(f"{counts[kind]} {kind}" for kind in counts))
    assert unknown == []
