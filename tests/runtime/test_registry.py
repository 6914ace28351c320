"""The registry under an engine: rows that stay readable, and changes that are written before they are known."""

import anyio
import msgspec
import pytest
from tests.runtime.world import DONE, Around, let_go_on, one

from stepfold import Engine
from stepfold.errors import InvalidDefinition, StateMachineAlreadyExists, StateMachineDoesNotExist
from stepfold.language.checking.references import variable_references
from stepfold.runtime.catalog import AliasRow, Encryption, Logging, MachineRow, Route, VersionRow
from stepfold_store import StoreClosed
from stepfold_store.contract import Entry
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:machine"
FULL = MachineRow(
    "n", "d", "EXPRESS", "r", Logging("ALL", True, ("g",)), True, Encryption("K", "k", 60), "rev", 5, 2, True, "text"
)
FROZEN = {
    b'{"name":"n","definition":"d"}': MachineRow("n", "d"),
    b'{"name":"n","definition":"d","type":"EXPRESS","role":"r","logging":{"level":"ALL","data":true,'
    b'"destinations":["g"]},"tracing":true,"encryption":{"type":"K","key":"k","reuse":60},"revision":"rev",'
    b'"updated":5,"versions":2,"published":true,"description":"text"}': FULL,
    b'{"number":3,"machine":{"name":"n","definition":"d"},"description":"x"}': VersionRow(3, MachineRow("n", "d"), "x"),
    b'{"name":"a","routes":[{"version":1,"weight":100}],"description":"x","updated":7}': AliasRow(
        "a", (Route(1, 100),), "x", 7
    ),
}


@pytest.mark.parametrize("text", FROZEN)
def test_rows_that_were_written_are_read_alike_for_ever(text):
    row = FROZEN[text]
    assert msgspec.json.decode(text, type=type(row)) == row
    assert msgspec.json.encode(row) == text


async def test_a_machine_of_an_older_store_is_known():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        digest = (await engine.create("machine", DONE)).definition
    await disk.put([Entry("machine", ARN, "machine", "ACTIVE", 5,
                          data=msgspec.json.encode({"name": "machine", "definition": digest, "role": "r"}))])
    async with Engine(Around(disk)) as engine:
        known, _ = await engine.registry.find(ARN)
        assert (known.created, known.row.logging, known.row.revision) == (5, Logging(), None)
        assert await (await engine.start("machine")).result() == {}


class Stuck(Around):
    """A store whose catalog takes writes only when it is let go, or not at all."""

    def __init__(self, store):
        super().__init__(store)
        self.go, self.broken = anyio.Event(), False

    async def put(self, entries, texts=()):
        await self.go.wait()
        if self.broken:
            raise StoreClosed("the disk is full")
        await self.inner.put(entries, texts)


async def test_what_is_not_written_is_not_known():
    store = Stuck(MemoryStore())
    async with Engine(store) as engine:
        async with anyio.create_task_group() as group:
            group.start_soon(engine.create, "machine", DONE)
            await let_go_on()
            with pytest.raises(StateMachineDoesNotExist):
                await engine.registry.resolve("machine")
            store.go.set()
        assert (await engine.registry.resolve("machine")).machine == ARN
        store.broken = True
        with pytest.raises(StoreClosed):
            await engine.create("machine", one(Type="Pass", Result=1), replace=True)
        assert await (await engine.start("machine")).result() == {}


async def test_what_is_written_is_known_also_where_its_creator_goes_away():
    store = Stuck(MemoryStore())
    async with Engine(store) as engine:
        async with anyio.create_task_group() as group:
            group.start_soon(engine.create, "machine", DONE)
            await let_go_on()
            group.cancel_scope.cancel()
            store.go.set()
        assert (await engine.registry.resolve("machine")).machine == ARN


async def test_a_program_that_replaces_a_machine_by_itself_makes_no_revision():
    async with Engine() as engine:
        await engine.create("machine", DONE)
        await engine.create("machine", DONE, replace=True)
        known = engine.registry.peek(ARN)
        assert known.row.revision is None
        await engine.create("machine", one(Type="Pass"), replace=True)
        assert known.row.revision is not None
        with pytest.raises(StateMachineAlreadyExists):
            await engine.create("machine", DONE)


async def test_an_engine_opened_again_knows_what_its_store_has_now():
    engine = Engine()  # in memory: the second time there is nothing
    async with engine:
        await engine.create("machine", DONE)
    async with engine:
        with pytest.raises(StateMachineDoesNotExist):
            await engine.start("machine")


async def test_a_machine_that_cannot_be_run_is_refused_when_it_is_embedded():
    async with Engine() as engine:
        with pytest.raises(InvalidDefinition, match="NOT_SUPPORTED"):
            await engine.create("machine", one(
                Type="Map",
                ItemProcessor={**DONE, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
                ItemReader={"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}},
            ))


def references(**state):
    (names,) = variable_references(msgspec.json.encode(one(Type="Pass", **state))).values() or ([],)
    return names


@pytest.mark.parametrize(("state", "names"), [
    ({"InputPath": "$b.c", "OutputPath": "$a[0]"}, ["a", "b"]),
    ({"Parameters": {"x.$": "States.Format('$no {}', $a)", "MyPath": "$no", "y": ["$no", {"z.$": "$b"}]}}, ["a", "b"]),
    ({"Result": {"x.$": "$no"}, "ResultPath": "$.no", "Comment": "$no"}, []),
    ({"Parameters": {"x.$": "$$.Execution.Id", "y.$": "$.no"}}, []),
    ({"Assign": {"x.$": "$a", "y": "$no"}}, ["a"]),
    ({"QueryLanguage": "JSONata", "Output": {"x": "{% $a.b & '$no' & $states.input.`$no` %}"}}, ["a"]),
    ({"QueryLanguage": "JSONata", "Output": "{% $map($a, function($v, $i) { $v + $sum($b) }) %}"}, ["a", "b"]),
    ({"QueryLanguage": "JSONata", "Output": "{% ($t := $a; $t) /* $no */ %}"}, ["a"]),
    ({"QueryLanguage": "JSONata", "Output": "{% $map($a, $string) %}", "Assign": {"c": "$no"}}, ["a"]),
])
def test_which_variables_a_state_uses(state, names):
    assert references(**state) == names
