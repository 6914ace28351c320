"""What each CloudFormation resource type gives to those who refer to it, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """What a resource type gives: the tail of its ARN, and what `Ref` comes to (`name`, `arn` or `url`)."""

    arn: str
    ref: str = "name"


HERE = "{region}:{account}"
KINDS: Mapping[str, Kind] = {
    "AWS::Batch::JobDefinition": Kind(f"batch:{HERE}:job-definition/{{name}}:1", "arn"),
    "AWS::Batch::JobQueue": Kind(f"batch:{HERE}:job-queue/{{name}}", "arn"),
    "AWS::DynamoDB::GlobalTable": Kind(f"dynamodb:{HERE}:table/{{name}}"),
    "AWS::DynamoDB::Table": Kind(f"dynamodb:{HERE}:table/{{name}}"),
    "AWS::ECS::Cluster": Kind(f"ecs:{HERE}:cluster/{{name}}"),
    "AWS::ECS::TaskDefinition": Kind(f"ecs:{HERE}:task-definition/{{name}}:1", "arn"),
    "AWS::Events::EventBus": Kind(f"events:{HERE}:event-bus/{{name}}"),
    "AWS::IAM::ManagedPolicy": Kind("iam::{account}:policy/{name}", "arn"),
    "AWS::IAM::Role": Kind("iam::{account}:role/{name}"),
    "AWS::Kinesis::Stream": Kind(f"kinesis:{HERE}:stream/{{name}}"),
    "AWS::Lambda::Function": Kind(f"lambda:{HERE}:function:{{name}}"),
    "AWS::Lambda::LayerVersion": Kind(f"lambda:{HERE}:layer:{{name}}:1", "arn"),
    "AWS::Logs::LogGroup": Kind(f"logs:{HERE}:log-group:{{name}}:*"),
    "AWS::S3::Bucket": Kind("s3:::{name}"),
    "AWS::SNS::Topic": Kind(f"sns:{HERE}:{{name}}", "arn"),
    "AWS::SQS::Queue": Kind(f"sqs:{HERE}:{{name}}", "url"),
    "AWS::SecretsManager::Secret": Kind(f"secretsmanager:{HERE}:secret:{{name}}", "arn"),
    "AWS::Serverless::Function": Kind(f"lambda:{HERE}:function:{{name}}"),
    "AWS::Serverless::LayerVersion": Kind(f"lambda:{HERE}:layer:{{name}}:1", "arn"),
    "AWS::Serverless::SimpleTable": Kind(f"dynamodb:{HERE}:table/{{name}}"),
    "AWS::Serverless::StateMachine": Kind(f"states:{HERE}:stateMachine:{{name}}", "arn"),
    "AWS::StepFunctions::Activity": Kind(f"states:{HERE}:activity:{{name}}", "arn"),
    "AWS::StepFunctions::StateMachine": Kind(f"states:{HERE}:stateMachine:{{name}}", "arn"),
}
"""The types that a workflow speaks of; all others get `service:region:account:type/name` and `Ref` their name."""

FUNCTION = KINDS["AWS::Lambda::Function"].arn
ROLE = KINDS["AWS::IAM::Role"].arn
