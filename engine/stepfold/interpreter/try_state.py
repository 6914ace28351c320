"""The third shell of the core: one state, tried. It is entered with what a caller says, and left before the next one.

    trial = Trial(machine, name, Setting(input=...), moment)     # and it goes as far as it can alone
    trial.owed                                                   # an Invoke, a Sleep, or None where it is over
    trial.answer(outcome, moment)                                # what was done, or what a mock says
    trial.verdict()

The rules are the core's own. What a rule renders is seen by making every field of the state a heavy one: then it is
asked for outside of the decision, which is here, where it meets the caller's context and variables and is noted. A
Parallel or Map is begun, and answered as a task would be: only a mock can do that.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from stepfold.language import states
from stepfold.language.failures import EXCEED_TOLERATED_FAILURE_THRESHOLD, RUNTIME, TIMEOUT, Failure
from stepfold.language.limits import Limits
from stepfold.language.machine import Machine
from stepfold.language.rules import Rule
from stepfold.language.steps import NOTHING, Caught, Place, Step
from stepfold.query.jsonata.dialect import compile_expression, is_expression
from stepfold.query.jsonpath.dialect import compile_path
from stepfold.query.template import Moment, Overrun, QueryError, Scope, Template, Variables
from stepfold.query.values import EMPTY_ARRAY, EMPTY_OBJECT, Json, Value, items, join, text, tree

from . import dataflow, effects, facts, failure
from .decide import Record, carry_on, evaluation
from .execution import Execution, Facts
from .frames import Frame, Invocation, Timer
from .signals import Effect

Status: TypeAlias = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]

_SEEN: Final = {
    "InputPath": "afterInputPath",
    "Parameters": "afterParameters",
    "Arguments": "afterArguments",
    "ItemsPath": "afterItemsPath",
}
"""Which fields AWS shows the outcome of, and under which names; ResultSelector and ResultPath are seen at their end."""
_NOT_TOLD: Final = {"Parallel": ("afterInputPath", "afterParameters")}
"""What AWS leaves out of a Parallel (recorded 2025-12)."""
_THRESHOLD: Final = Failure(
    EXCEED_TOLERATED_FAILURE_THRESHOLD, "The specified tolerated failure threshold was exceeded"
)
_FIELDS: Final = (
    "arguments", "result_selector", "output", "assign", "items", "seconds", "timestamp", "timeout", "heartbeat",
    "error", "cause", "max_concurrency", "credentials",
)
_PIPES: Final = {"input_path": "InputPath", "output_path": "OutputPath"}


class Setting(NamedTuple):
    """What a state is entered with.

    `context` is the whole Context object in place of the default one; `item` says that the state is a Map's, which does
    it to the input. `retries` is how often its retrier has tried before, `failures` how many items of a Map have
    failed, `read` what an ItemReader would have read.
    """

    input: Value
    arn: str
    machine: str
    role: str = ""
    region: str = ""
    context: dict[str, Json] | None = None
    variables: Mapping[str, Json] = {}
    item: bool = False
    retries: int = 0
    failures: int | None = None
    read: Value | None = None


class Verdict(NamedTuple):
    """What came of the state; `inspection` holds AWS's names, with JSON texts as values."""

    status: Status
    output: Value | None
    next: str | None
    failure: Failure | None
    inspection: dict[str, Any]


class Trial:
    """One state, from its entry to its end."""

    def __init__(self, machine: Machine, name: str, setting: Setting, moment: Moment) -> None:
        self.setting = setting
        self.machine = machine
        self.step = machine.steps[name] = self._observed(machine.steps[name])
        self.execution = Execution()
        self.noted: dict[str, Any] = {"input": setting.input}
        self.count: int | None = None
        """How many items a Map has, once it has begun."""
        self.met: Failure | None = None
        self._array: Value = EMPTY_ARRAY
        self._selected = False
        self._over_threshold = False
        self._variables = Variables({name: text(value) for name, value in setting.variables.items()})
        self._record = _Watching(self, moment)
        self._record.first(facts.ExecutionStarted(
            input=setting.input, arn=setting.arn, name=setting.arn.rpartition(":")[2], machine=setting.machine,
            definition=machine.digest, start=name, limits=Limits.aws(), role=setting.role, region=setting.region,
        ))
        if self.step.type == "Fail" and not self.step.jsonata:
            self.noted["afterInputPath"] = setting.input
        self._go_on(moment)

    @property
    def frame(self) -> Frame:
        """The one line of control."""
        return self.execution.root

    @property
    def owed(self) -> Effect | None:
        """What is to be done for it: an Invoke (for a Parallel or Map, by its mock), a Sleep, or nothing."""
        if self._left or isinstance(self._record.last_fact, facts.RetryScheduled):
            return None
        return next(iter(effects.owed(self.execution)), None)

    def answer(self, outcome: Value | Failure, moment: Moment) -> Trial:
        """What the work came to; for a Wait that its moment has come, or (a failure) that it will not be waited for."""
        waits = self.frame.waits
        if isinstance(waits, Timer):
            late = outcome if isinstance(outcome, Failure) else None
            self._tell(facts.TimerRang() if late is None else facts.ExecutionFailed(late.error, late.cause), moment)
        elif isinstance(waits, Invocation):
            if not isinstance(outcome, Failure) and self._over_threshold:
                outcome = _THRESHOLD
            if isinstance(outcome, Failure):
                self.met = outcome
                self._tell(_failed(outcome), moment)
            else:
                if self.step.type == "Task":
                    self.noted["result"] = outcome
                self._tell(facts.TaskSucceeded(outcome), moment)
        self._go_on(moment)
        return self

    def verdict(self) -> Verdict:
        """What came of it, once nothing is owed."""
        last = self._record.last_fact
        untold = _NOT_TOLD.get(self.step.type, ())
        inspection = {name: value for name, value in self.noted.items() if name not in untold}
        if self.setting.variables:
            inspection["variables"] = text(dict(self.setting.variables))
        if isinstance(last, facts.ExecutionFailed):
            self.met = Failure(last.error, last.cause)
        if self.met is not None and (details := self._error_details(self.met, last)):
            inspection["errorDetails"] = details
        match last:
            case facts.StateExited(next=target):
                status: Status = "SUCCEEDED" if self.met is None else "CAUGHT_ERROR"
                return Verdict(status, self.frame.value, target, self.met, inspection)
            case facts.RetryScheduled():
                return Verdict("RETRIABLE", None, None, self.met, inspection)
        return Verdict("FAILED", None, None, self.met, inspection)

    def _error_details(self, met: Failure, last: facts.Fact | None) -> dict[str, int]:
        details: dict[str, int] = {}
        if (index := failure.retrier(self.step, met)) is not None:
            details["retryIndex"] = index  # told of a retrier that is used up as well (recorded)
        if isinstance(last, facts.RetryScheduled):
            details["retryBackoffIntervalSeconds"] = (last.until - self._record.at) // 1000
        elif isinstance(last, facts.StateExited) and (index := failure.catcher(self.step, met)) is not None:
            details["catchIndex"] = index
        return details

    # --- its course ---------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> bool:
        return self.execution.status != "RUNNING" or (self.frame.state != "" and self.frame.stage in {"enter", "end"})

    def _go_on(self, moment: Moment) -> None:
        while not self._left:
            if self.frame.evaluating is not None:
                self._evaluate(moment)
            elif self.frame.seq in self.execution.ready:
                carry_on(self.machine, self.execution, self.frame, moment, self._record)
            elif self.count is not None and not self._selected:
                self._selected = True
                if self.step.item_selector is not None:
                    self._select_items(self.step.item_selector, moment)
            else:
                return

    def _tell(self, fact: facts.Fact, moment: Moment) -> None:
        self._record.at = max(moment.now, self._record.at)
        self._record(fact, self.frame)

    def begun(self, fact: facts.ParallelStarted | facts.MapStarted, moment: Moment) -> facts.TaskScheduled:
        """A Parallel or Map begins: note what of, and have it wait as a task does."""
        if isinstance(fact, facts.MapStarted):
            self.count = fact.length
            self.noted["maxConcurrency"] = fact.concurrency
            self._array = self.frame.value if fact.items is msgspec.UNSET else fact.items
            self._over_threshold = self._too_many_failed(self.step.of(states.Map), fact.length, moment)
        return facts.TaskScheduled(self.step.name)

    # --- its fields ---------------------------------------------------------------------------------------------------

    def _observed(self, step: Step) -> Step:
        """The step with every field asked for outside, its retriers worn by the retries before, its result watched."""
        worn = tuple(_worn(retrier, self.setting.retries) for retrier in step.retry)
        changes: dict[str, Any] = {"heavy_rules": True, "retry": worn}
        changes["catch"] = tuple(_parts_outside(caught) for caught in step.catch)
        changes["rules"] = tuple(_rule_outside(rule) for rule in step.rules)
        for attribute in _FIELDS:
            template = getattr(step, attribute)
            if template is None and attribute == "arguments" and step.type in {"Pass", "Task"} and not step.jsonata:
                template = compile_path("$", field="Parameters")  # absent, it is shown all the same
            if template is not None and not isinstance(template, int):
                changes[attribute] = _outside(template)
        if step.type == "Map" and self._reads(step):
            changes["items"] = _outside(_Constant(self.setting.read or EMPTY_ARRAY))
        if not step.jsonata:
            for attribute, field in _PIPES.items():
                pipe = getattr(step, attribute)
                written = _Constant(EMPTY_OBJECT) if pipe is NOTHING else pipe or compile_path("$", field=field)
                changes[attribute] = _outside(written)
            changes["result_path"] = _Watched(self, step.result_path)
        return dataclasses.replace(step, **changes)

    def _reads(self, step: Step) -> bool:
        return step.of(states.Map).item_reader is not msgspec.UNSET

    def _evaluate(self, moment: Moment) -> None:
        """Render the field that the state asks for, and note what it came to."""
        frame = self.frame
        if frame.evaluating is None:
            raise AssertionError("there is nothing to evaluate")
        field = frame.evaluating.field
        if (wanted := evaluation(self.machine, self.execution, frame, moment)) is None:
            self._tell(facts.EvaluationAnswered(field), moment)
            return
        template, seen = wanted
        try:
            value = template.render(self._scope(seen), moment)
        except QueryError as error:
            failed = facts.EvaluationAnswered(field, error=error.error, cause=error.cause, location=error.location)
            self._tell(failed, moment)
        except (Overrun, RecursionError):
            cause = f"The expression of the field '{field}' takes too many steps."
            self._tell(facts.EvaluationAnswered(field, error=RUNTIME, cause=cause), moment)
        else:
            if field in _SEEN and not (field == "ItemsPath" and self._reads(self.step)):
                self.noted[_SEEN[field]] = value
            self._tell(facts.EvaluationAnswered(field, value), moment)

    def placed(self, result: Value, into: Value) -> None:
        """The state's result was put into its input."""
        if self.step.type == "Pass" and self.step.result is not None:
            self.noted["result"] = result
        self.noted["afterResultSelector"] = result
        self.noted["afterResultPath"] = into

    def _select_items(self, selector: Template, moment: Moment) -> None:
        """What each item of a Map would be given; shown as one array, unless that is larger than a payload may be."""
        selected: list[Value] = []
        size = 0
        effective = self.noted.get("afterInputPath", EMPTY_OBJECT)
        try:
            for index, item in enumerate(items(self._array)):
                seen = Scope(effective, lambda: dataflow.context(self.execution, self.frame))
                given = selector.render(self._scope(seen, (index, item)), moment)
                dataflow.within(self.execution, given, self.step.name, "provided parameters")
                selected.append(given)
                size += len(given)
                if size > self.execution.started.limits.payload:
                    return
        except QueryError as error:
            self._meet(failure.of_query(self.frame, error))
        except (Overrun, RecursionError):
            cause = "The expressions of the field 'ItemSelector' take too many steps."
            self._meet(Failure(RUNTIME, cause))
        except dataflow.Met as error:
            self._meet(error.failure)
        else:
            self.noted["afterItemSelector"] = join(selected)

    def _meet(self, met: Failure) -> None:
        self._record.all(self.frame, failure.met(self.execution, self.frame, met))

    def _scope(self, seen: Scope, item: tuple[int, Value] | None = None) -> Scope:
        """What an expression sees: the value that the core shows it, the caller's context and variables."""
        return Scope(
            seen.value, lambda: self._context(seen, item), self._variables,
            result=seen.result, error_output=seen.error_output,
        )

    def _context(self, seen: Scope, item: tuple[int, Value] | None) -> dict[str, Json]:
        default = seen.context
        if self.setting.context is not None:
            whole = dict(self.setting.context)
            if "Task" in default:
                whole.setdefault("Task", default["Task"])
        else:
            whole = default
            # A state that is tried is run as an Express workflow runs it, which cannot be redriven.
            for name in ("RedriveCount",) if self.setting.role else ("RedriveCount", "RoleArn"):
                del whole["Execution"][name]
        if item is None and self.setting.item:
            item = (0, self.setting.input)
        if item is not None:
            whole["Map"] = {"Item": {"Index": item[0], "Value": tree(item[1])}}
        return whole

    # --- the items that a Map's mock says have failed -----------------------------------------------------------------

    def _too_many_failed(self, state: states.Map, length: int, moment: Moment) -> bool:
        failed = self.setting.failures or 0
        count = self._threshold(
            "toleratedFailureCount", state.tolerated_failure_count, state.tolerated_failure_count_path, moment
        )
        share = self._threshold(
            "toleratedFailurePercentage",
            state.tolerated_failure_percentage,
            state.tolerated_failure_percentage_path,
            moment,
        )
        # With neither, none is exceeded, however many failed (recorded).
        return (count is not None and failed > count) or (share is not None and failed * 100 > share * length)

    def _threshold(self, name: str, written: float | str | None, path: str | None, moment: Moment) -> float | None:
        """A threshold as the state says it, noted; what is no number is passed over (unverified: AWS may fail it)."""
        seen = self._scope(Scope(self.noted.get("afterInputPath", self.setting.input), dict))
        try:
            if path is not None:
                written = compile_path(path).pick(seen)
            elif is_expression(written):
                written = compile_expression(str(written)).pick(seen, moment)
        except (QueryError, Overrun):
            return None
        if isinstance(written, bool) or not isinstance(written, int | float):
            return None
        if isinstance(written, float):
            if name == "toleratedFailureCount":
                return None
            written = float(written)  # without the literal that it was read from
        self.noted[name] = written
        return written


class _Watching(Record):
    """A record that keeps to one state: what begins branches or items has it wait instead."""

    __slots__ = ("last_fact", "moment", "trial")

    def __init__(self, trial: Trial, moment: Moment) -> None:
        super().__init__(trial.execution, moment)
        self.trial = trial
        self.moment = moment
        self.last_fact: facts.Fact | None = None

    def all(self, frame: Frame, said: Facts) -> None:
        """Record what a rule says, up to the beginning of branches or items, or the end of the state.

        The last fact is kept, and a failure is noted: where a retry follows, no later fact tells of it.
        """
        for fact in said:
            if isinstance(fact, facts.ParallelStarted | facts.MapStarted):
                self.last_fact = self.trial.begun(fact, self.moment)
                super().all(frame, (self.last_fact,))
                return
            super().all(frame, (fact,))
            self.last_fact = self.events[-1].fact
            if isinstance(self.last_fact, facts.EvaluationFailed | facts.StateFailed):
                self.trial.met = frame.failure
            if isinstance(self.last_fact, facts.StateExited):  # with the block's end, another fact would follow
                return


def _outside(template: Any) -> Any:
    """The template, if there is one, as one that is always evaluated outside of a decision."""
    if template is None:
        return None
    heavy = copy.copy(template)
    heavy.heavy = True
    return heavy


def _parts_outside(caught: Caught) -> Caught:
    return dataclasses.replace(caught, output=_outside(caught.output), assign=_outside(caught.assign))


def _rule_outside(rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, output=_outside(rule.output), assign=_outside(rule.assign))


class _Constant:
    """A template that stands for one value."""

    heavy = False

    def __init__(self, value: Value) -> None:
        self.value = value

    def render(self, scope: Scope, moment: Moment) -> Value:  # noqa: ARG002  (as a Template has it)
        """The value."""
        return self.value


class _Watched:
    """A ResultPath that tells what is put where."""

    def __init__(self, trial: Trial, path: Place) -> None:
        self._trial = trial
        self._path = path

    def place(self, into: Value, result: Value) -> Value:  # noqa: ARG002  (the raw input, which the frame has)
        """The result put into the raw input."""
        value = dataflow.merged(self._path, self._trial.frame, result)
        self._trial.placed(result, value)
        return value


def _failed(outcome: Failure) -> facts.Fact:
    if outcome.error == TIMEOUT:
        return facts.TaskTimedOut(outcome.error, outcome.cause, heartbeat=outcome.heartbeat)
    return facts.TaskFailed(outcome.error, outcome.cause)


def _worn(retrier: states.Retrier, tries: int) -> states.Retrier:
    """The retrier as it is after so many attempts: fewer are left, and its delay has grown."""
    if not tries:
        return retrier
    steady = msgspec.structs.replace(retrier, jitter_strategy="NONE")
    grown = failure.delay(steady, tries, Moment(0, lambda: 0.0, bytes))
    return msgspec.structs.replace(
        retrier, max_attempts=max(retrier.max_attempts - tries, 0), interval_seconds=grown
    )
