"""The names and words of what goes wrong with a service, for every integration."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.resources import parse_resource
from stepfold.work.services import faults, models

NOT_BOTOCORES = {"apigateway", "http"}


def model_of(resource):
    service = models.operation(resource).service
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@pytest.mark.parametrize("kind", sorted(INTEGRATIONS.keys() - NOT_BOTOCORES))
def test_every_optimised_integration_has_names_for_its_errors(kind):
    action = next(name for name in INTEGRATIONS[kind] if name not in {"call", "runJob"})
    resource = parse_resource(f"arn:aws:states:::{kind}:{action}")
    model = model_of(resource)
    told = faults.refused(resource, model, faults.Told("NobodyKnowsThis", "oh", 400, "r"))
    prefix, _, name = told.error.partition(".")
    assert name.startswith(("Amazon", "AWS"))
    assert name.endswith("Exception")
    assert not name.endswith("v2Exception")
    client = name.removesuffix("Exception")
    assert told.cause.startswith(f"oh (Service: {client}")
    assert told.cause.endswith("; Status Code: 400; Error Code: NobodyKnowsThis; Request ID: r; Proxy: null)")
    assert faults.unanswered(resource, model, "why").error == f"{prefix}.SdkClientException"
    known = model.error_shapes[0]
    named = faults.refused(resource, model, faults.Told(known.error_code, "oh", 400, "r")).error
    assert named.startswith(f"{prefix}.{known.name.removesuffix('Exception').removesuffix('Fault')}")
    assert named.endswith("Exception")


@pytest.mark.parametrize(
    ("resource", "last"), [("aws-sdk:sqs:sendMessage", "Request ID: r) (SDK Attempt Count: 1)"),
                           ("sqs:sendMessage", "Request ID: r; Proxy: null)")])
def test_only_the_second_generation_tells_how_often_it_tried(resource, last):
    asked = parse_resource(f"arn:aws:states:::{resource}")
    told = faults.refused(asked, model_of(asked), faults.Told("Code", "oh", 400, "r"))
    assert told.cause.endswith(last)
    silent = faults.unanswered(asked, model_of(asked), "silence", sent=True)
    assert ("SDK Attempt Count" in silent.cause) == resource.startswith("aws-sdk:")
    assert faults.unanswered(asked, model_of(asked), "no credentials").cause == "no credentials"  # (nothing was sent)


@pytest.mark.parametrize(
    ("resource", "code", "error"),
    [
        ("dynamodb:getItem", "ResourceNotFoundException", "DynamoDB.ResourceNotFoundException"),
        ("dynamodb:getItem", "InternalServerError", "DynamoDB.InternalServerErrorException"),
        ("dynamodb:getItem", "ValidationException", "DynamoDB.AmazonDynamoDBException"),
        ("sns:publish", "NotFound", "SNS.NotFoundException"),
        ("states:startExecution", "StateMachineDoesNotExist", "StepFunctions.StateMachineDoesNotExistException"),
        ("aws-sdk:dynamodb:getItem", "ValidationException", "DynamoDb.DynamoDbException"),
        ("aws-sdk:s3:getObject", "NoSuchKey", "S3.NoSuchKeyException"),
        ("aws-sdk:sns:publish", "KMSDisabled", "Sns.KmsDisabledException"),
        ("aws-sdk:rds:startDBCluster", "DBClusterNotFoundFault", "Rds.DbClusterNotFoundException"),
        ("aws-sdk:sesv2:sendEmail", "MessageRejected", "SesV2.MessageRejectedException"),
        ("aws-sdk:databasemigration:describeEndpoints", "Nothing", "DatabaseMigration.DatabaseMigrationException"),
        ("aws-sdk:cloudwatchlogs:putLogEvents", "LimitExceededException", "CloudWatchLogs.LimitExceededException"),
    ],
)
def test_names(resource, code, error):
    asked = parse_resource(f"arn:aws:states:::{resource}")
    assert faults.refused(asked, model_of(asked), faults.Told(code, "", 400, "")).error == error
