"""Aliases: which routings AWS takes, and how starts are shared out."""

from collections import Counter

import pytest
from tests.service.asking import HOME, Api, passing, refused

from stepfold import Engine
from stepfold.language import limits

pytestmark = pytest.mark.anyio
ORDERS = HOME + "orders"
LIVE = ORDERS + ":live"
NOTHING = "Request references a resource that does not exist."


@pytest.fixture
async def api(clock, seed):
    async with Engine(clock=clock, seed=seed) as engine:
        api = Api(engine)
        await api.create(definition="1", publish=True)
        for word in ("2", "3"):
            await api("UpdateStateMachine", stateMachineArn=ORDERS, definition=passing(word), publish=True)
        yield api


def routing(weights):
    """Version numbers, or whole ARNs, to weights."""
    return [
        {"stateMachineVersionArn": one if isinstance(one, str) else f"{ORDERS}:{one}", "weight": weight}
        for one, weight in weights
    ]


async def create(api, weights, name="live", **members):
    return await api("CreateStateMachineAlias", name=name, routingConfiguration=routing(weights), **members)


async def test_an_alias_is_created_told_changed_and_deleted(api, clock):
    made = await create(api, [(1, 100)], description="mine")
    assert made == {"stateMachineAliasArn": LIVE, "creationDate": clock.now() / 1000}
    told = {"stateMachineAliasArn": LIVE, "name": "live", "description": "mine",
            "routingConfiguration": routing([(1, 100)]), "creationDate": made["creationDate"],
            "updateDate": made["creationDate"]}
    assert await api("DescribeStateMachineAlias", stateMachineAliasArn=LIVE) == told
    clock.advance(5)
    weights = routing([(2, 60), (3, 40)])
    updated = await api("UpdateStateMachineAlias", stateMachineAliasArn=LIVE, routingConfiguration=weights)
    assert updated == {"updateDate": made["creationDate"] + 5}
    await api("UpdateStateMachineAlias", stateMachineAliasArn=LIVE, description="")
    assert await api("DescribeStateMachineAlias", stateMachineAliasArn=LIVE) == {
        **told, "routingConfiguration": weights, "description": "", **updated}
    for _ in range(2):
        assert await api("DeleteStateMachineAlias", stateMachineAliasArn=LIVE) == {}
    for call in (api("DescribeStateMachineAlias", stateMachineAliasArn=LIVE),
                 api("UpdateStateMachineAlias", stateMachineAliasArn=LIVE, description="x")):
        await refused(call, "ResourceNotFound", NOTHING)


async def test_the_same_again_is_the_alias_and_another_is_refused(api, clock):
    made = await create(api, [(1, 60), (2, 40)], description="mine")
    clock.advance(5)
    assert await create(api, [(2, 40), (1, 60)], description="mine") == made
    for weights, description in (([(1, 40), (2, 60)], "mine"), ([(1, 60), (2, 40)], "yours")):
        await refused(
            create(api, weights, description=description), "ConflictException",
            "Failed to create alias because an alias with the same name and a different routing configuration "
            "already exists.",
        )


async def test_routings_that_aws_refuses(api):
    await api.create("other", publish=True)
    other = HOME + "other:1"
    said = "Routing configuration must contain"
    for weights, message in (
        ([(ORDERS, 70), (2, 30)], f"{said} state machine version ARNs. Received: [{ORDERS}, {ORDERS}:2]"),
        ([(LIVE, 100)], f"{said} state machine version ARNs. Received: [{LIVE}]"),
        ([(1, 50), (1, 50)], f"{said} distinct state machine version ARNs. Received: [{ORDERS}:1, {ORDERS}:1]"),
        ([(1, 50), (other, 50)], f"{said} versions of the same state machine. Received: [{ORDERS}:1, {other}]"),
        ([(1, 70), (2, 29)], "Sum of routing configuration weights must equal 100. Received: [70, 29]"),
        ([(1, 99)], "Sum of routing configuration weights must equal 100. Received: [99]"),
    ):
        body = await refused(create(api, weights), "ValidationException", message)
        assert body["reason"] == "INVALID_ROUTING_CONFIGURATION"
    for weights in ([], [(1, 50), (2, 30), (3, 20)], [(1, 101)], [(1, -1)]):
        await refused(create(api, weights), "ValidationException")  # by the model
    for weights in ([(9, 100)], [(HOME + "nobody:1", 100)]):
        await refused(create(api, weights), "ResourceNotFound", NOTHING)
    await create(api, [(1, 100)])
    call = api("UpdateStateMachineAlias", stateMachineAliasArn=LIVE, routingConfiguration=routing([(other, 100)]))
    await refused(call, "ValidationException")
    body = await refused(api("UpdateStateMachineAlias", stateMachineAliasArn=LIVE), "ValidationException")
    assert body["reason"] == "MISSING_REQUIRED_PARAMETER"
    await refused(api("DescribeStateMachineAlias", stateMachineAliasArn=ORDERS), "InvalidArn")


async def test_a_version_stays_while_an_alias_refers_to_it(api):
    await create(api, [(1, 100)], name="a")
    await create(api, [(1, 50), (2, 50)], name="b")
    await refused(
        api("DeleteStateMachineVersion", stateMachineVersionArn=ORDERS + ":1"), "ConflictException",
        "Version to be deleted must not be referenced by an alias. "
        "Current list of aliases referencing this version: [a, b]",
    )
    await api("DeleteStateMachineVersion", stateMachineVersionArn=ORDERS + ":3")
    await api("DeleteStateMachineAlias", stateMachineAliasArn=ORDERS + ":b")
    await api("DeleteStateMachineVersion", stateMachineVersionArn=ORDERS + ":2")


async def test_aliases_are_listed_oldest_first(api, clock):
    for name in ("c", "a", "b"):
        await create(api, [(1 if name == "a" else 2, 100)], name=name)
        clock.advance(1)
    found = await api.pages("ListStateMachineAliases", "stateMachineAliases", 2, stateMachineArn=ORDERS)
    assert [one["stateMachineAliasArn"].rpartition(":")[2] for one in found] == ["c", "a", "b"]
    of_two = await api("ListStateMachineAliases", stateMachineArn=ORDERS + ":2")
    assert [one["stateMachineAliasArn"].rpartition(":")[2] for one in of_two["stateMachineAliases"]] == ["c", "b"]
    await refused(api("ListStateMachineAliases", stateMachineArn=HOME + "nobody"), "StateMachineDoesNotExist")
    await refused(api("ListStateMachineAliases", stateMachineArn=ORDERS, nextToken="InvalidToken"), "InvalidToken",
                  "Invalid Token: 'Invalid token'")


async def test_starts_are_shared_out_by_weight(api):
    await create(api, [(1, 20), (3, 80)])
    drawn = Counter([(await api.engine.registry.resolve(LIVE)).version for _ in range(1000)])
    assert drawn.keys() == {ORDERS + ":1", ORDERS + ":3"}
    assert 150 < drawn[ORDERS + ":1"] < 250
    target = await api.engine.registry.resolve(LIVE)
    assert (target.machine, target.alias) == (ORDERS, LIVE)
    assert await (await api.engine.start(LIVE)).result() in {"1", "3"}


async def test_a_weight_of_nought_is_never_drawn(api):
    await create(api, [(1, 0), (2, 100)])
    assert {(await api.engine.registry.resolve(LIVE)).version for _ in range(200)} == {ORDERS + ":2"}


async def test_there_are_no_more_than_aws_allows(api, monkeypatch):
    monkeypatch.setattr(limits, "ALIASES", 1)
    made = await create(api, [(1, 100)])
    await refused(create(api, [(1, 100)], name="other"), "ServiceQuotaExceededException")
    assert await create(api, [(1, 100)]) == made
