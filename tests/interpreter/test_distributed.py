"""A distributed Map in the core: AWS's chain of events, what follows from the end of its run, and what items become."""

import pytest

from stepfold.insight.history import history
from stepfold.interpreter import effects, facts, signals
from stepfold.interpreter.decide import decide
from stepfold.interpreter.distributed import Batch, Item, plain
from stepfold.interpreter.execution import Execution
from stepfold.language.failures import Failure
from stepfold.language.machine import load
from stepfold.query.template import Moment
from stepfold.query.values import admit

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
PASS = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
BOOM = Failure("Boom", "bad")


def distributed(*, kind="STANDARD", block=PASS, **more):
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    return {"Type": "Map", "End": True, "ItemProcessor": {**block, "ProcessorConfig": config}, **more}


def machine(**states):
    return {"StartAt": next(iter(states)), "States": states}


class Told:
    """One execution, and what it is told."""

    def __init__(self, definition, given="[1,2]"):
        self.machine, self.execution, self.events, self.owed = load(definition), Execution(), [], []
        self.drawn = 0
        self.say(signals.Begin(facts.ExecutionStarted(
            input=admit(given), arn="arn:aws:states:us-east-1:123456789012:execution:m:e", name="e",
            machine="arn:aws:states:us-east-1:123456789012:stateMachine:m", definition="",
            start=self.machine.start_at,
        )))

    def secret(self, count):
        self.drawn += 1
        return bytes([self.drawn]) * count

    def say(self, signal):
        decision = decide(self.machine, self.execution, signal, Moment(1_700_000_000_000, lambda: 0.5, self.secret))
        self.events += facts.decode(facts.encode(decision.events)) if decision.events else []
        self.owed = decision.owed
        folded = Execution.fold(self.events)
        assert list(folded.asked) == list(self.execution.asked)
        assert effects.owed(folded) == effects.owed(self.execution)
        return decision

    def end(self, outcome):
        (run,) = (effect for effect in effects.owed(self.execution) if isinstance(effect, signals.RunMap))
        return self.say(signals.MapRunEnded(run.asked, outcome))

    @property
    def chain(self):
        return [(event["id"], event["previousEventId"], event["type"]) for event in history(self.events)][2:]

    @property
    def output(self):
        return bytes(self.execution.root.value).decode()


def test_a_run_that_succeeds_is_chained_as_aws_chains_it():
    told = Told(machine(M=distributed(Label="Each")))
    (run,) = told.owed
    assert run.arn == "arn:aws:states:us-east-1:123456789012:mapRun:m/Each:01010101-0101-4101-8101-010101010101"
    told.end(admit('["a","b"]'))
    assert told.chain == [
        (3, 2, "MapStateStarted"), (4, 3, "MapRunStarted"), (5, 4, "MapRunSucceeded"), (6, 5, "MapStateSucceeded"),
        (7, 4, "MapStateExited"), (8, 7, "ExecutionSucceeded"),
    ]
    assert told.output == '["a","b"]'
    details = [event for event in history(told.events) if event["type"] == "MapRunStarted"]
    assert details[0]["mapRunStartedEventDetails"] == {"mapRunArn": run.arn}


def test_a_run_that_fails():
    told = Told(machine(M=distributed()))
    told.end(BOOM)
    assert told.chain == [
        (3, 2, "MapStateStarted"), (4, 3, "MapRunStarted"), (5, 4, "MapRunFailed"), (6, 5, "MapStateFailed"),
        (7, 6, "ExecutionFailed"),
    ]
    assert told.execution.ending == BOOM


def test_its_end_is_heard_once_and_by_its_own_number():
    told = Told(machine(M=distributed()))
    (run,) = told.owed
    assert told.say(signals.MapRunEnded(run.asked + 1, BOOM)).events == []
    told.end(admit("[]"))
    assert told.say(signals.MapRunEnded(run.asked, BOOM)).events == []
    assert told.execution.status == "SUCCEEDED"


def test_a_retry_makes_a_new_run_and_a_catcher_takes_the_last_failure():
    told = Told(machine(
        M=distributed(Retry=[{"ErrorEquals": ["Boom"], "MaxAttempts": 1}],
                      Catch=[{"ErrorEquals": ["Boom"], "ResultPath": "$.why", "Next": "C"}], ItemsPath="$.items"),
        C={"Type": "Pass", "End": True},
    ), '{"items":[1]}')
    (first,) = told.owed
    decision = told.end(BOOM)
    (sleep,) = decision.owed
    told.say(signals.Rang(sleep.asked))
    (second,) = told.owed
    assert second.arn != first.arn
    told.end(BOOM)
    assert told.chain == [
        (3, 2, "MapStateStarted"), (4, 3, "MapRunStarted"), (5, 4, "MapRunFailed"),
        (6, 5, "MapStateStarted"), (7, 6, "MapRunStarted"), (8, 7, "MapRunFailed"), (9, 8, "MapStateFailed"),
        (10, 9, "MapStateExited"), (11, 10, "PassStateEntered"), (12, 11, "PassStateExited"),
        (13, 12, "ExecutionSucceeded"),
    ]
    assert told.output == '{"items":[1],"why":{"Error":"Boom","Cause":"bad"}}'


def test_a_failing_sibling_cuts_the_run_off():
    told = Told(machine(P={"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": FUNCTION, "End": True}}},
        {"StartAt": "M", "States": {"M": distributed()}},
    ]}))
    (call,) = (effect for effect in told.owed if isinstance(effect, signals.Invoke))
    (run,) = (effect for effect in told.owed if isinstance(effect, signals.RunMap))
    decision = told.say(signals.Failed(call.asked, BOOM))
    assert run.asked in decision.closed
    types = [kind for _, _, kind in told.chain]
    assert types[-5:] == ["TaskStateAborted", "MapRunAborted", "MapStateAborted", "ParallelStateFailed",
                          "ExecutionFailed"]
    assert told.say(signals.MapRunEnded(run.asked, admit("[]"))).events == []


def test_a_stop_leaves_the_run():
    told = Told(machine(M=distributed()))
    (run,) = told.owed
    assert told.say(signals.Stop()).closed == [run.asked]
    assert told.chain[-1] == (5, 0, "ExecutionAborted")


# --- redriven ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signals.Stop(), None])
def test_a_redrive_goes_on_with_the_same_run(end):
    told = Told(machine(M=distributed()))
    (run,) = told.owed
    if end is None:
        told.end(BOOM)
    else:
        told.say(end)
    (again,) = told.say(signals.Redrive()).owed
    assert (again.arn, again.redrives) == (run.arn, 1)
    assert again.asked > run.asked
    types = [kind for _, _, kind in told.chain]
    assert types[-2:] == ["ExecutionRedriven", "MapRunRedriven"]
    redriven = list(history(told.events))[-1]["mapRunRedrivenEventDetails"]
    assert redriven == {"mapRunArn": run.arn, "redriveCount": 1}
    assert told.say(signals.MapRunEnded(run.asked, BOOM)).events == [], "the end of the run before"
    told.end(admit("[3]"))
    assert told.output == "[3]"


@pytest.mark.parametrize("selector", [False, True])
def test_a_new_run_where_its_result_was_what_failed(selector):
    if selector:
        told = Told(machine(M=distributed(ResultSelector={"a.$": "$.nowhere"})))
        (run,) = told.owed
        told.end(admit("[1]"))
    else:
        told = Told(machine(M=distributed()))
        (run,) = told.owed
        told.end(Failure("States.DataLimitExceeded", "too large"))
    assert told.execution.status == "FAILED"
    (again,) = told.say(signals.Redrive()).owed
    assert again.arn != run.arn
    assert again.redrives == 0


# --- settings ---------------------------------------------------------------------------------------------------------


def begun(given='{"items":[1],"n":3,"s":"4","p":12.5}', **more):
    told = Told(machine(M=distributed(ItemsPath="$.items", **more)), given)
    return next(event.fact for event in told.events if isinstance(event.fact, facts.MapRunStarted))


def test_settings_are_recorded_where_the_run_is_asked_for():
    fact = begun(
        kind="EXPRESS", Label="L", ToleratedFailureCountPath="$.s", ToleratedFailurePercentagePath="$.p",
        ItemBatcher={"MaxItemsPerBatchPath": "$.n", "MaxInputBytesPerBatch": 1000, "BatchInput": {"n.$": "$.n"}},
    )
    assert fact.machine == "arn:aws:states:us-east-1:123456789012:stateMachine:m/L"
    assert fact.kind == "EXPRESS"
    assert (fact.tolerated, fact.percentage) == (4, 12.5)
    assert (fact.batch_items, fact.batch_bytes, bytes(fact.batch_input)) == (3, 1000, b'{"n":3}')
    assert (begun().tolerated, begun().percentage, begun().batch_items) == (None, None, None)


def failed(given, **more):
    told = Told(machine(M=distributed(ItemsPath="$.items", **more)), given)
    assert told.chain[0] == (3, 2, "MapStateStarted"), "what is wrong with them is found after the Map began (recorded)"
    assert told.chain[1] == (4, 3, "ExecutionFailed")
    return told.execution.ending.cause.partition("#2). ")[2]


def test_wrong_settings_in_the_words_of_aws():
    count, share = {"ToleratedFailureCountPath": "$.x"}, {"ToleratedFailurePercentagePath": "$.x"}
    assert failed('{"items":[],"x":{}}', **count) == (
        'The ToleratedFailureCountPath field refers to value "{}" which is not a valid integer: $.x'
    )
    assert failed('{"items":[],"x":1.5}', **count).endswith('"1.5" which is not a valid integer: $.x')
    assert failed('{"items":[],"x":-1}', **count) == "ToleratedFailureCount cannot be negative."
    assert failed('{"items":[],"x":"no"}', **share) == (
        'The ToleratedFailurePercentagePath field refers to value "no" which is not a valid float: $.x'
    )
    assert failed('{"items":[],"x":100.1}', **share) == "ToleratedFailurePercentage must be between 0 and 100."


def test_a_whole_number_may_have_a_fraction_of_nought_in_jsonata():
    counted = {"QueryLanguage": "JSONata", "Items": [], "ToleratedFailureCount": "{% $states.input.x %}"}
    told = Told(machine(M=distributed(**counted)), '{"x":2.0}')
    assert next(event.fact.tolerated for event in told.events if isinstance(event.fact, facts.MapRunStarted)) == 2
    told = Told(machine(M=distributed(**counted)), '{"x":1.5}')
    assert "Expected 'integer', but was 'number' for value: 1.5" in told.execution.ending.cause


# --- definitions ------------------------------------------------------------------------------------------------------


def test_the_processor_is_a_machine_of_its_own():
    inner = {"StartAt": "N", "States": {"N": distributed(Label="Inner")}}
    loaded = load({**machine(M=distributed(block=inner, kind="STANDARD")), "QueryLanguage": "JSONPath"})
    child = loaded.children["M"]
    assert set(loaded.steps) == {"M"}
    assert set(child.machine.steps) == {"N"}
    assert child.machine.definition.query_language == "JSONPath"
    assert b"ProcessorConfig" not in child.machine.text.partition(b"ItemProcessor")[0]
    assert load(child.machine.text).digest == child.machine.digest, "it is read off the store again after a crash"
    assert child.machine.children["N"].label == "Inner"
    assert child.label == load(loaded.text).children["M"].label, "a revision keeps its generated labels"
    assert len(child.label) == 36


# --- what executions are given ----------------------------------------------------------------------------------------


def how(**more):
    return facts.MapRunStarted("", "", "", "STANDARD", **more)


def filled(batch, *given):
    return [batch.takes(admit(one)) for one in given]


def test_an_item_alone():
    batch = Batch(how())
    assert filled(batch, "[1.0]", "2") == [True, False]
    assert bytes(batch.input) == b"[1.0]"


def test_a_batch_by_count():
    batch = Batch(how(batch_items=2))
    assert filled(batch, "1", "2", "3") == [True, True, False]
    assert batch.full
    assert bytes(batch.input) == b'{"Items":[1,2]}'


def test_a_batch_by_bytes_counts_all_of_its_input():
    whole = b'{"BatchInput":{"a":1},"Items":["xx","yy"]}'
    exact = Batch(how(batch_bytes=len(whole), batch_input=admit('{"a":1}')))
    assert filled(exact, '"xx"', '"yy"', "1") == [True, True, False]
    assert bytes(exact.input) == whole
    assert filled(Batch(how(batch_bytes=len(whole) - 1, batch_input=admit('{"a":1}'))), '"xx"', '"yy"') == [True, False]
    assert filled(Batch(how(batch_bytes=5)), '"too large by itself"') == [True]


def test_a_member_of_an_object_is_an_item_with_its_key():
    assert bytes(plain(Item(0, admit("1.50"), 'a"b'))) == b'{"Key":"a\\"b","Value":1.50}'
    assert bytes(plain(Item(0, admit("1.50")))) == b"1.50"
