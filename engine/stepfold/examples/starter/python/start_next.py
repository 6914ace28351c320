"""Starts an execution by the ordinary SDK. Where Step Functions is, the SDK reads from its environment."""

import json
import os

import boto3

client = boto3.client("stepfunctions")


def handler(event, context):
    started = client.start_execution(
        stateMachineArn=os.environ["stateMachineArn"],  # noqa: SIM112
        input=json.dumps({"dataId": event["dataId"], "startedBy": "python"}),
    )
    return {"executionArn": started["executionArn"]}
