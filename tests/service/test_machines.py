"""State machines over the wire: created, changed, told, listed, deleted, and there again after a restart."""

import json
import uuid

import anyio
import pytest
from tests.runtime.world import Around, until, wait
from tests.service.asking import HOME, ROLE, Api, passing, refused

from stepfold import Engine
from stepfold.language import limits
from stepfold_store.memory import MemoryStore

pytestmark = pytest.mark.anyio
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/states/orders:*"
ORDERS = HOME + "orders"


@pytest.fixture
async def api(clock):
    async with Engine(clock=clock) as engine:
        yield Api(engine)


def destinations(*groups):
    return [{"cloudWatchLogsLogGroup": {"logGroupArn": group}} for group in groups]


# --- create -----------------------------------------------------------------------------------------------------------


async def test_a_machine_is_told_with_all_its_defaults(api, clock):
    made = await api.create()
    assert made == {"stateMachineArn": ORDERS, "creationDate": clock.now() / 1000}
    told = await api("DescribeStateMachine", stateMachineArn=ORDERS)
    assert told == {
        "stateMachineArn": ORDERS, "name": "orders", "status": "ACTIVE", "definition": passing(), "roleArn": ROLE,
        "type": "STANDARD", "creationDate": made["creationDate"],
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False}, "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
    }


async def test_the_same_again_is_the_first_answer_again_and_another_is_refused(api, clock):
    given = {"publish": True, "versionDescription": "first", "type": "EXPRESS",
             "loggingConfiguration": {"level": "ERROR", "destinations": destinations(GROUP)}}
    first = await api.create(**given)
    assert first["stateMachineVersionArn"] == f"{ORDERS}:1"
    clock.advance(60)
    other_role = "arn:aws:iam::123456789012:role/other"
    assert await api.create(**given, roleArn=other_role, tags=[{"key": "a", "value": "b"}]) == first
    assert (await api("DescribeStateMachine", stateMachineArn=ORDERS))["roleArn"] == ROLE
    assert (await api("ListTagsForResource", resourceArn=ORDERS))["tags"] == []
    for change in (
        {"definition": passing() + " "},
        {"type": "STANDARD"},
        {"versionDescription": "second"},
        {"publish": False, "versionDescription": None},
        {"loggingConfiguration": None},
        {"tracingConfiguration": {"enabled": True}},
        {"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "key"}},
    ):
        await refused(api.create(**{**given, **change}), "StateMachineAlreadyExists",
                      f"State Machine Already Exists: '{ORDERS}'")


async def test_of_two_who_create_one_name_at_once_one_is_refused(api):
    outcomes = []

    async def create(word):
        try:
            outcomes.append(await api.create(definition=word))
        except Exception as error:  # noqa: BLE001
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        for word in ("a", "b", "a"):
            group.start_soon(create, word)
    assert outcomes.count("StateMachineAlreadyExists") in {1, 2}
    made = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert all(outcome == made[0] for outcome in made)


async def test_what_creation_refuses(api):
    await refused(api.create("a b"), "InvalidName", "Invalid Name: 'a b'")
    await refused(api.create(roleArn="worker"), "InvalidArn", "Invalid Role Arn: 'worker'")
    await refused(
        api.create(definition='{"StartAt": "A"}'), "InvalidDefinition",
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'",
    )
    await refused(api.create(versionDescription="x"), "ValidationException",
                  "Version description can only be set when publish is true")
    tags = [{"key": str(number)} for number in range(51)]
    await refused(api.create(tags=tags), "TooManyTags", f"A resource can have at most 50 tags: '{ORDERS}'")
    await refused(api.create(tags=[{"value": "b"}]), "ValidationException")
    for configuration in ({"type": "CUSTOMER_MANAGED_KMS_KEY"}, {"type": "AWS_OWNED_KEY", "kmsKeyId": "key"}):
        await refused(api.create(encryptionConfiguration=configuration), "InvalidEncryptionConfiguration")
    assert (await api("ListStateMachines")) == {"stateMachines": []}
    assert (await api.engine.store.health()).details["entries"] == 0, "nothing was stored"


async def test_logging_is_kept_as_it_was_given_and_checked(api):
    one = "Invalid Logging Configuration: Must specify exactly one Log Destination."
    for wrong in ({"level": "FATAL"}, {"level": "ALL", "destinations": []},
                  {"level": "OFF", "destinations": destinations(GROUP, GROUP)}):
        await refused(api.create(loggingConfiguration=wrong), "InvalidLoggingConfiguration", one)
    for group in ("orders", GROUP.removesuffix(":*"), "arn:aws:s3:::bucket"):
        await refused(
            api.create(loggingConfiguration={"level": "ALL", "destinations": destinations(group)}),
            "InvalidLoggingConfiguration", "Invalid Logging Configuration: Log Destination not found.",
        )
    await api.create(loggingConfiguration={"destinations": []})
    told = (await api("DescribeStateMachine", stateMachineArn=ORDERS))["loggingConfiguration"]
    assert told == {"level": "OFF", "includeExecutionData": False, "destinations": []}
    given = {"level": "ALL", "includeExecutionData": True, "destinations": destinations(GROUP)}
    await api("UpdateStateMachine", stateMachineArn=ORDERS, loggingConfiguration=given)
    assert (await api("DescribeStateMachine", stateMachineArn=ORDERS))["loggingConfiguration"] == given


async def test_a_machine_tells_which_variables_its_states_use(api):
    assigns = json.dumps({"StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Assign": {"n": 1, "m": "two"}, "Next": "Use"},
        "Use": {"Type": "Pass", "Parameters": {"b.$": "$n", "a.$": "States.Format('{}', $m)"}, "End": True},
    }})
    jsonata = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Assign": {"total": 2}, "Next": "Only"},
        "Only": {"Type": "Pass", "Output": "{% ($k := 1; $k + $total) %}", "End": True}}})
    for name, definition, references, output in (
        ("assigns", assigns, {"Use": ["m", "n"]}, {"b": 1, "a": "two"}),
        ("jsonata", jsonata, {"Only": ["total"]}, 3),
    ):
        await api.create(name, definition, publish=True)
        told = await api("DescribeStateMachine", stateMachineArn=HOME + name)
        assert told["variableReferences"] == references
        assert told["definition"] == definition
        assert await (await api.engine.start(HOME + name)).result() == output


# --- update -----------------------------------------------------------------------------------------------------------


async def test_every_real_update_is_a_revision(api, clock):
    made = await api.create()
    clock.advance(5)
    updated = await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("new"), roleArn=ROLE + "2")
    assert updated["updateDate"] == made["creationDate"] + 5
    assert uuid.UUID(updated["revisionId"]).version == 4
    told = await api("DescribeStateMachine", stateMachineArn=ORDERS)
    assert (told["definition"], told["roleArn"], told["revisionId"]) == (
        passing("new"), ROLE + "2", updated["revisionId"])
    assert told["creationDate"] == made["creationDate"]
    clock.advance(5)
    same = await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("new"))
    assert same == {"updateDate": updated["updateDate"]}
    traced = await api("UpdateStateMachine", stateMachineArn=ORDERS, tracingConfiguration={"enabled": True})
    assert traced["revisionId"] != updated["revisionId"]


async def test_what_an_update_refuses(api):
    await api.create()
    missing = ("Either the definition, the role ARN, the LoggingConfiguration, "
               "or the TracingConfiguration must be specified")
    await refused(api("UpdateStateMachine", stateMachineArn=ORDERS), "MissingRequiredParameter", missing)
    await refused(api("UpdateStateMachine", stateMachineArn=ORDERS, publish=False), "MissingRequiredParameter", missing)
    await refused(api("UpdateStateMachine", stateMachineArn=ORDERS, definition="not"), "InvalidDefinition")
    await refused(api("UpdateStateMachine", stateMachineArn=ORDERS, versionDescription="x"), "ValidationException",
                  "Version description can only be set when publish is true")
    for arn in (HOME + "other", ORDERS + ":1"):
        await refused(api("UpdateStateMachine", stateMachineArn=arn, roleArn=ROLE), "StateMachineDoesNotExist",
                      f"State Machine Does Not Exist: '{arn}'")
    for call in (api("UpdateStateMachine", stateMachineArn=ORDERS + "/map", roleArn=ROLE),
                 api("DeleteStateMachine", stateMachineArn=ORDERS + "/map")):
        assert (await refused(call, "ValidationException"))["reason"] == "API_DOES_NOT_SUPPORT_LABELED_ARNS"
    assert "revisionId" not in await api("DescribeStateMachine", stateMachineArn=ORDERS)


async def test_what_runs_keeps_its_definition(api, clock):
    await api.create(definition=json.dumps(wait(10)))
    before = await api.engine.start(ORDERS, "before")
    await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("after"))
    assert await (await api.engine.start(ORDERS)).result() == "after"
    clock.advance(10)
    assert await before.result() == "before"


# --- describe, list ---------------------------------------------------------------------------------------------------


async def test_arns_that_name_no_machine(api):
    await api.create(publish=True)
    for arn in (HOME + "nobody", ORDERS + ":2", ORDERS + ":live", ORDERS + ":01", ORDERS + "/map",
                ORDERS.replace("us-east-1", "eu-west-1")):
        await refused(api("DescribeStateMachine", stateMachineArn=arn), "StateMachineDoesNotExist",
                      f"State Machine Does Not Exist: '{arn}'")
    for arn, why in (
        ("orders", "Invalid ARN prefix: orders"),
        ("arn:aws:s3:::orders", "Invalid ARN prefix: arn:aws:s3:::orders"),
        (ORDERS.replace("stateMachine", "express"), "Resource type not valid in this context: express"),
        (ORDERS + ":", "Invalid ARN resource: orders:"),
        (ORDERS + ":a:b", "Invalid ARN resource: orders:a:b"),
    ):
        await refused(api("DescribeStateMachine", stateMachineArn=arn), "InvalidArn", f"Invalid Arn: '{why}'")


async def test_metadata_alone(api):
    await api.create()
    told = await api("DescribeStateMachine", stateMachineArn=ORDERS, includedData="METADATA_ONLY")
    assert told["definition"] == "{}"


async def test_machines_are_listed_by_name_page_by_page(api):
    for number in (2, 0, 11, 1, 10):
        await api.create(f"m{number}")
    names = [item["name"] for item in await api.pages("ListStateMachines", "stateMachines", 2)]
    assert names == ["m0", "m1", "m10", "m11", "m2"]
    page = await api("ListStateMachines", maxResults=2)
    await api("DeleteStateMachine", stateMachineArn=HOME + "m1")  # the one where the page ended
    rest = await api("ListStateMachines", nextToken=page["nextToken"], maxResults=0)
    assert [item["name"] for item in rest["stateMachines"]] == ["m10", "m11", "m2"]
    assert rest["stateMachines"][0].keys() == {"stateMachineArn", "name", "type", "creationDate"}


async def test_tokens_that_no_list_gave_or_that_are_old(api, clock):
    await api.create("a", publish=True)
    await api.create("b")
    token = (await api("ListStateMachines", maxResults=1))["nextToken"]
    wrong = "Invalid Token: 'Invalid token'"
    for bad in ("InvalidToken", "e30=", token[:-4], "ä"):
        await refused(api("ListStateMachines", nextToken=bad), "InvalidToken", wrong)
    await refused(api("ListStateMachineVersions", stateMachineArn=HOME + "a", nextToken=token), "InvalidToken", wrong)
    clock.advance(24 * 3600 + 1)
    await refused(api("ListStateMachines", nextToken=token), "InvalidToken", wrong)


# --- delete -----------------------------------------------------------------------------------------------------------


async def test_a_machine_goes_when_its_executions_have_ended(api, clock):
    await api.create(definition=json.dumps(wait(10)), publish=True)
    handle = await api.engine.start(ORDERS + ":1", "kept")
    assert await api("DeleteStateMachine", stateMachineArn=ORDERS) == {}
    assert (await api("DescribeStateMachine", stateMachineArn=ORDERS))["status"] == "DELETING"
    gone = f"State Machine is being deleted: '{ORDERS}'"
    for call in (
        api("UpdateStateMachine", stateMachineArn=ORDERS, roleArn=ROLE),
        api("PublishStateMachineVersion", stateMachineArn=ORDERS),
        api("CreateStateMachineAlias", name="live",
            routingConfiguration=[{"stateMachineVersionArn": ORDERS + ":1", "weight": 100}]),
        api.create(definition=json.dumps(wait(10)), publish=True),
    ):
        await refused(call, "StateMachineDeleting", gone)
    with pytest.raises(Exception, match="being deleted"):
        await api.engine.start(ORDERS)
    clock.advance(10)
    assert await handle.result() == "kept"
    await refused(api("DescribeStateMachine", stateMachineArn=ORDERS), "StateMachineDoesNotExist")
    assert (await api("ListStateMachines"))["stateMachines"] == []
    await api.create()
    assert (await api("ListStateMachineVersions", stateMachineArn=ORDERS))["stateMachineVersions"] == []


async def test_deleting_what_is_not_there_is_no_mistake(api):
    assert await api("DeleteStateMachine", stateMachineArn=ORDERS) == {}
    await refused(api("DeleteStateMachine", stateMachineArn="orders"), "InvalidArn")
    await api.create()
    await api("DeleteStateMachine", stateMachineArn=ORDERS)
    await api("DeleteStateMachine", stateMachineArn=ORDERS)
    assert (await api.engine.store.health()).details["entries"] == 0, "nothing of it is left"


# --- over restarts ----------------------------------------------------------------------------------------------------


async def everything(api):
    """All that can be asked about machines."""
    found = {}
    for machine in (await api("ListStateMachines"))["stateMachines"]:
        arn = machine["stateMachineArn"]
        aliases = (await api("ListStateMachineAliases", stateMachineArn=arn))["stateMachineAliases"]
        versions = (await api("ListStateMachineVersions", stateMachineArn=arn))["stateMachineVersions"]
        found[arn] = [
            machine, await api("DescribeStateMachine", stateMachineArn=arn), versions, aliases,
            [await api("DescribeStateMachine", stateMachineArn=one["stateMachineVersionArn"]) for one in versions],
            [await api("DescribeStateMachineAlias", stateMachineAliasArn=one["stateMachineAliasArn"])
             for one in aliases],
            await api("ListTagsForResource", resourceArn=arn),
        ]
    return found


async def test_all_that_was_acknowledged_is_there_after_a_restart(tmp_path, clock):
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        api = Api(engine)
        await api.create(publish=True, versionDescription="first", tags=[{"key": "team", "value": "a"}],
                         loggingConfiguration={"level": "ALL", "destinations": destinations(GROUP)})
        await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2"), publish=True)
        clock.advance(1)
        await api("CreateStateMachineAlias", name="live", description="d", routingConfiguration=[
            {"stateMachineVersionArn": f"{ORDERS}:{number}", "weight": 50} for number in (1, 2)])
        await api.create("gone", publish=True)
        await api("DeleteStateMachine", stateMachineArn=HOME + "gone")
        await api("DeleteStateMachineVersion", stateMachineVersionArn=HOME + "orders:9")
        await engine.create("embedded", wait(10))
        await engine.start(HOME + "embedded")
        await api("DeleteStateMachine", stateMachineArn=HOME + "embedded")
        before = await everything(api)
        assert len(before) == 2
    async with Engine(tmp_path / "store.db", clock=clock) as engine:
        api = Api(engine)
        assert await everything(api) == before
        assert before[HOME + "embedded"][1]["status"] == "DELETING"
        clock.advance(10)
        await until(lambda: not engine.runs)
        await refused(api("DescribeStateMachine", stateMachineArn=HOME + "embedded"), "StateMachineDoesNotExist")


class Unforgetting(Around):
    """A store that dies between the write of tombstones and their removal."""

    async def forget(self, stream):
        raise TimeoutError(stream)


async def test_a_deletion_that_was_cut_short_is_finished_at_the_next_opening():
    disk = MemoryStore()
    async with Engine(Around(disk)) as engine:
        await Api(engine).create(publish=True, tags=[{"key": "a"}])
    async with Engine(Unforgetting(disk)) as engine:
        with pytest.raises(BaseExceptionGroup):
            await Api(engine)("DeleteStateMachine", stateMachineArn=ORDERS)
    assert (await disk.health()).details["entries"] == 3
    async with Engine(Around(disk)) as engine:
        api = Api(engine)
        assert (await disk.health()).details["entries"] == 0
        await refused(api("DescribeStateMachine", stateMachineArn=ORDERS), "StateMachineDoesNotExist")
        assert (await api.create(publish=True))["stateMachineVersionArn"] == ORDERS + ":1"


async def test_there_is_a_bound_of_machines_and_of_activities(api, monkeypatch):
    monkeypatch.setattr(limits, "MACHINES", 2)
    monkeypatch.setattr(limits, "ACTIVITIES", 2)
    for number in range(2):
        await api.create(name=f"m{number}")
        await api("CreateActivity", name=f"a{number}")
    await refused(api.create(name="m2"), "StateMachineLimitExceeded")
    await refused(api("CreateActivity", name="a2"), "ActivityLimitExceeded")
    await api("CreateActivity", name="a1")
    await api("DeleteActivity", activityArn=HOME.replace("stateMachine", "activity") + "a1")
    await api("CreateActivity", name="a2")
