"""Published versions: numbers, revisions, and what of a machine each of them keeps."""

import anyio
import pytest
from tests.service.asking import HOME, ROLE, Api, passing, refused

from stepfold import Engine
from stepfold.language import limits

pytestmark = pytest.mark.anyio
ORDERS = HOME + "orders"


@pytest.fixture
async def api(clock):
    async with Engine(clock=clock) as engine:
        api = Api(engine)
        await api.create()
        yield api


async def publish(api, **members):
    return (await api("PublishStateMachineVersion", stateMachineArn=ORDERS, **members))["stateMachineVersionArn"]


async def listed(api):
    page = await api("ListStateMachineVersions", stateMachineArn=ORDERS)
    return [one["stateMachineVersionArn"].rpartition(":")[2] for one in page["stateMachineVersions"]]


async def test_a_revision_has_one_version(api, clock):
    first = await api("PublishStateMachineVersion", stateMachineArn=ORDERS, description="first")
    assert first == {"stateMachineVersionArn": f"{ORDERS}:1", "creationDate": clock.now() / 1000}
    clock.advance(5)
    assert await api("PublishStateMachineVersion", stateMachineArn=ORDERS, description="other") == first
    only = await api("UpdateStateMachine", stateMachineArn=ORDERS, publish=True)
    assert only == {"stateMachineVersionArn": f"{ORDERS}:1", "updateDate": clock.now() / 1000 - 5}
    both = await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2"), publish=True,
                     versionDescription="second")
    assert both["stateMachineVersionArn"] == f"{ORDERS}:2"
    assert both["revisionId"]
    assert await listed(api) == ["2", "1"]


async def test_a_version_is_told_as_it_was_published(api, clock):
    await publish(api, description="first")
    clock.advance(5)
    await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2"), roleArn=ROLE + "2",
              tracingConfiguration={"enabled": True})
    told = await api("DescribeStateMachine", stateMachineArn=ORDERS + ":1")
    assert (told["stateMachineArn"], told["name"], told["description"]) == (ORDERS + ":1", "orders", "first")
    assert (told["definition"], told["roleArn"]) == (passing(), ROLE)
    assert told["tracingConfiguration"] == {"enabled": False}
    assert "revisionId" not in told
    assert told["creationDate"] == clock.now() / 1000 - 5
    assert "description" not in await api("DescribeStateMachine", stateMachineArn=ORDERS)
    handle = await api.engine.start(ORDERS + ":1", "input")
    assert await handle.result() == "input"
    started = (await api.engine.registry.resolve(ORDERS + ":1"))
    assert (started.machine, started.version, started.alias) == (ORDERS, ORDERS + ":1", None)


async def test_another_revision_than_was_meant_is_not_published(api):
    failed = "Failed to publish the State Machine version for revision {}. The current State Machine revision is {}."
    await refused(api("PublishStateMachineVersion", stateMachineArn=ORDERS, revisionId="x"), "ConflictException",
                  failed.format("x", "INITIAL"))
    assert await publish(api, revisionId="INITIAL") == ORDERS + ":1"
    revision = (await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2")))["revisionId"]
    await refused(api("PublishStateMachineVersion", stateMachineArn=ORDERS, revisionId="INITIAL"), "ConflictException",
                  failed.format("INITIAL", revision))
    assert await publish(api, revisionId=revision) == ORDERS + ":2"


async def test_a_number_is_never_given_again(api):
    await publish(api)
    await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2"), publish=True)
    await api("DeleteStateMachineVersion", stateMachineVersionArn=ORDERS + ":2")
    assert await publish(api) == ORDERS + ":3", "the revision is the same, its version is gone"
    for arn in (ORDERS + ":2", ORDERS + ":9", HOME + "nobody:1", ORDERS):
        assert await api("DeleteStateMachineVersion", stateMachineVersionArn=arn) == {}
    assert await listed(api) == ["3", "1"]


async def test_versions_are_listed_newest_first_by_number(api):
    for number in range(13):
        await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing(str(number)), publish=True)
    found = await api.pages("ListStateMachineVersions", "stateMachineVersions", 5, stateMachineArn=ORDERS)
    assert [one["stateMachineVersionArn"] for one in found] == [f"{ORDERS}:{number}" for number in range(13, 0, -1)]
    nobody = await api("ListStateMachineVersions", stateMachineArn=HOME + "nobody")
    assert nobody == {"stateMachineVersions": []}


async def test_many_publish_at_once(api):
    arns = []

    async def change(number):
        done = await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing(str(number)), publish=True)
        arns.append(done["stateMachineVersionArn"])

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(change, number)
    assert sorted(arns) == sorted(f"{ORDERS}:{number}" for number in range(1, 21))


async def test_there_are_no_more_than_aws_allows(api, monkeypatch):
    monkeypatch.setattr(limits, "VERSIONS", 1)
    await publish(api)
    call = api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing("2"), publish=True)
    await refused(call, "ServiceQuotaExceededException", "A state machine can have at most 1 versions")
    told = await api("DescribeStateMachine", stateMachineArn=ORDERS)
    assert told["definition"] == passing(), "an update whose publication is refused changes nothing"


async def test_who_is_not_there_is_not_published(api):
    for arn in (HOME + "nobody", ORDERS + ":1"):
        await refused(api("PublishStateMachineVersion", stateMachineArn=arn), "StateMachineDoesNotExist",
                      f"State Machine Does Not Exist: '{arn}'")
