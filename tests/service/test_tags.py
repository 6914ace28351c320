"""Tags of machines and activities."""

import pytest
from tests.service.asking import HOME, Api, refused

from stepfold import Engine
from stepfold.runtime import catalog
from stepfold_store.contract import Entry

pytestmark = pytest.mark.anyio
ORDERS = HOME + "orders"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:approve"


@pytest.fixture
async def api(clock):
    async with Engine(clock=clock) as engine:
        yield Api(engine)


def tags(**given):
    return [{"key": key, "value": value} for key, value in given.items()]


async def of(api, arn=ORDERS):
    return (await api("ListTagsForResource", resourceArn=arn))["tags"]


async def test_tags_are_given_at_creation_set_and_taken_away(api):
    await api.create(tags=tags(b="1", a="2"))
    assert await of(api) == tags(b="1", a="2")
    assert await api("TagResource", resourceArn=ORDERS, tags=[*tags(a="3", c=""), {"key": "d"}]) == {}
    assert await of(api) == tags(b="1", a="3", c="", d="")
    assert await api("UntagResource", resourceArn=ORDERS, tagKeys=["a", "a", "nobody"]) == {}
    assert await of(api) == tags(b="1", c="", d="")
    await api("TagResource", resourceArn=ORDERS, tags=[])
    await api("UntagResource", resourceArn=ORDERS, tagKeys=["b", "c", "d"])
    assert await of(api) == []


async def test_a_resource_carries_fifty(api):
    await api.create(tags=[{"key": str(number), "value": ""} for number in range(50)])
    await refused(api("TagResource", resourceArn=ORDERS, tags=tags(more="")), "TooManyTags")
    await api("TagResource", resourceArn=ORDERS, tags=[{"key": "7", "value": "changed"}])
    assert len(await of(api)) == 50


async def test_what_cannot_be_tagged(api):
    await api.create(publish=True)
    for arn in (ORDERS + ":1", HOME + "nobody", ACTIVITY):
        for call in (api("TagResource", resourceArn=arn, tags=tags(a="")), api("ListTagsForResource", resourceArn=arn),
                     api("UntagResource", resourceArn=arn, tagKeys=["a"])):
            await refused(call, "ResourceNotFound", f"Resource not found: '{arn}'")
    await refused(api("ListTagsForResource", resourceArn="orders"), "InvalidArn",
                  "Invalid Arn: 'Invalid ARN prefix: orders'")
    await refused(api("TagResource", resourceArn=ORDERS, tags=[{"value": "x"}]), "ValidationException")
    await refused(api("TagResource", resourceArn=ORDERS, tags=tags(**{"k" * 129: ""})), "ValidationException")


async def test_an_activity_is_tagged_as_a_machine_is(api):
    await api.engine.store.put([Entry(catalog.ACTIVITY, ACTIVITY)])
    await api("TagResource", resourceArn=ACTIVITY, tags=tags(a="b"))
    assert await of(api, ACTIVITY) == tags(a="b")


async def test_a_new_machine_of_an_old_name_has_none_of_its_tags(api):
    await api.create(tags=tags(a="b"))
    await api("DeleteStateMachine", stateMachineArn=ORDERS)
    await api.create()
    assert await of(api) == []
