"""The shop, run: `python -m stepfold.examples.shop`, with `pip install 'stepfold[aws]' 'moto[server]'`.

Starts a moto_server for itself where AWS_ENDPOINT_URL names none. The engine has no part in what is set up here: the
workflow calls services by their address and would do so on AWS.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import anyio.to_thread
import boto3

from stepfold import Engine
from stepfold.runtime.outside import reach_services

DEFINITION = Path(__file__).parent / "statemachine.asl.json"


@contextmanager
def services():
    """An AWS to call: the one that the environment names, or moto's."""
    if os.environ.get("AWS_ENDPOINT_URL"):
        yield
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "shop", "AWS_SECRET_ACCESS_KEY": "shop",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    start = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        _await(server, url)
        yield
    finally:
        server.terminate()
        server.wait()


def _await(server, url) -> None:
    for _ in range(300):
        if server.poll() is not None:
            sys.exit("moto_server did not start: is moto[server] installed?")
        try:
            with urlopen(f"{url}/moto-api/data.json", timeout=1):  # noqa: S310
                return
        except URLError:
            time.sleep(0.1)
    sys.exit("moto_server took longer than 30 seconds to start")


def set_up():
    """The table, the queues, the topic and the cluster; gives the part of the input that says where they are."""
    boto3.client("dynamodb").create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    sqs, sns, ecs, ec2 = (boto3.client(name) for name in ("sqs", "sns", "ecs", "ec2"))
    inbox = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="approvals")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    ecs.create_cluster(clusterName="shop")
    ecs.register_task_definition(
        family="pack", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[{"name": "pack", "image": "busybox", "memory": 64}],
    )
    return inbox, {
        "warehouse": sqs.create_queue(QueueName="warehouse")["QueueUrl"],
        "approvals": topic,
        "subnet": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "group": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
    }


async def approve(engine, inbox):
    """The person who approves: reads what the topic sent, and answers by the token that stands in it."""
    receive = partial(boto3.client("sqs").receive_message, QueueUrl=inbox, WaitTimeSeconds=1)
    while True:
        for message in (await anyio.to_thread.run_sync(receive)).get("Messages", []):
            asked = json.loads(message["Body"])
            print(f"approved: {asked['order']}", flush=True)
            await engine.callbacks.succeed(asked["token"], json.dumps({"by": "Ada"}))
            return


async def main():
    """Run one order to its end."""
    inbox, places = set_up()
    engine = Engine()
    reach_services(engine)
    async with engine, anyio.create_task_group() as beside:
        machine = await engine.create("shop", DEFINITION)
        order = await engine.start(machine, {"id": "order-7", "item": "teapot", **places})
        beside.start_soon(approve, engine, inbox)
        async for event in order.events():
            if event["type"] in {"TaskStateEntered", "TaskSubmitted"}:
                details = event.get("stateEnteredEventDetails") or event["taskSubmittedEventDetails"]
                print(event["type"], details.get("name") or details["resource"], flush=True)
        print(json.dumps(await order.result()))


if __name__ == "__main__":
    with services():
        asyncio.run(main())
