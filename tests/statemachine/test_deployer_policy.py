"""What docs/deployer-policy.json allows is what CloudFormation needs for the template's resources:
the permissions that each resource type's schema names for its handlers, but for features that no
resource has.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ROOT, template

SCHEMAS = Path(str(metadata.distribution("cfn-lint").locate_file("cfnlint/data/schemas/resources")))
POLICY = ROOT / "docs" / "deployer-policy.json"
MANAGED_POLICY_CHARACTERS = 6144
"""Without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
MADE_BY_SAM = {
    "AWS::Serverless::Function": {"AWS::Lambda::Function"},
    "AWS::Serverless::StateMachine": {"AWS::StepFunctions::StateMachine"},
}
NOT_USED: dict[str, tuple[str, ...]] = {
    "a key of the account's own is in a table of docs/deploy.md": ("kms:*", "logs:*KmsKey"),
    "tables: no import, replica, stream, contributor insights or policy": (
        "kinesis:*", "logs:*Stream*", "logs:PutLogEvents", "dynamodb:*Import*",
        "dynamodb:*Replica", "dynamodb:*Item", "dynamodb:Scan", "dynamodb:Query",
        "dynamodb:*ableKinesis*", "dynamodb:UpdateKinesis*", "dynamodb:UpdateContributorInsights",
        "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy",
        "iam:CreateServiceLinkedRole", "s3:GetObjectMetadata",
    ),
    "buckets: no replication, web site, inventory, analytics, metrics, object lock, ACL, log": (
        "s3tables:*", "s3:*MetadataTable*", "s3:UpdateBucketMetadata*", "s3:PutAnalytics*",
        "s3:DeleteBucketAnalytics*", "s3:*BucketCORS", "s3:DeleteBucketCors", "s3:PutInventory*",
        "s3:PutMetrics*", "s3:DeleteBucketMetrics*", "s3:PutBucketReplication",
        "s3:PutReplication*", "s3:DeleteBucketReplication", "s3:PutBucketWebsite",
        "s3:DeleteBucketWebsite", "s3:PutAccelerate*", "s3:PutObjectAcl", "s3:PutBucketAcl",
        "s3:GetBucketAcl", "s3:PutBucketObjectLock*", "s3:PutObjectLock*", "s3:PutBucketLogging",
        "s3:PutIntelligentTiering*", "s3:PutBucketAbac", "s3:DeleteObject",
        "s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle",
    ),
    "functions: no VPC, file system, layer, code signing, concurrency, version or alias": (
        "ec2:*", "elasticfilesystem:*", "s3files:*", "lambda:GetLayerVersion",
        "lambda:*CodeSigningConfig", "lambda:*FunctionConcurrency",
        "lambda:PutRuntimeManagementConfig", "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig", "lambda:PassCapacityProvider", "lambda:PublishVersion",
        "lambda:AssociateRuntimeAlias",
    ),
    "log groups: no data protection, index, bearer token or deletion protection": (
        "firehose:*", "s3:REST*", "logs:*DataProtectionPolicy", "logs:*IndexPolic*",
        "logs:PutBearerToken*", "logs:*ResourcePolic*", "logs:CreateLogDelivery",
        "logs:PutLogGroupDeletionProtection",
    ),
    "roles: no managed policies, boundary": (
        "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:*PermissionsBoundary",
    ),
    "topics: no data protection": ("sns:*DataProtectionPolicy",),
}  # fmt: skip
SAM = {
    "cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet",
    "cloudformation:ExecuteChangeSet", "cloudformation:DeleteChangeSet",
    "cloudformation:ListChangeSets", "cloudformation:DescribeStacks",
    "cloudformation:DescribeStackEvents", "cloudformation:DescribeStackResources",
    "cloudformation:DescribeStackResource", "cloudformation:ListStackResources",
    "cloudformation:GetTemplate", "cloudformation:GetTemplateSummary",
    "cloudformation:CreateStack", "cloudformation:UpdateStack", "cloudformation:DeleteStack",
    "cloudformation:RollbackStack", "cloudformation:ContinueUpdateRollback",
    "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket",
    "s3:GetObjectTagging",
}  # fmt: skip
"""What `sam deploy` and `sam delete` call themselves, for the stack and the bucket of archives."""


@cache
def handlers() -> dict[str, dict[str, Any]]:
    """The handlers of each resource type in the template."""
    found = {}
    wanted = re.compile(rf'"typeName": ?"({"|".join(types())})"'.encode())
    for path in SCHEMAS.glob("*.json"):
        text = path.read_bytes()
        if wanted.search(text):
            schema = json.loads(text)
            found[schema["typeName"]] = schema["handlers"]
    return found


def types() -> list[str]:
    """The resource types of the template after the transform."""
    made = {"AWS::Lambda::EventInvokeConfig"}
    for each in template()["Resources"].values():
        made |= MADE_BY_SAM.get(each["Type"], {each["Type"]})
    return sorted(made)


def needed(kind: str) -> set[str]:
    """The actions that CloudFormation calls for a resource of this type here."""
    patterns = [pattern for each in NOT_USED.values() for pattern in each]
    return {
        action
        for name, handler in handlers()[kind].items()
        if name != "list"
        for action in handler["permissions"]
        if not any(fnmatchcase(action, pattern) for pattern in patterns)
    }


def allowed() -> dict[str, set[str]]:
    """The resources that the policy allows each action on."""
    found: dict[str, set[str]] = {}
    for statement in json.loads(POLICY.read_text())["Statement"]:
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for action in statement["Action"]:
            found.setdefault(action, set()).update(
                [resources] if isinstance(resources, str) else resources
            )
    return found


@pytest.mark.parametrize("kind", types())
def test_the_deployer_may_do_what_a_type_of_resource_needs(kind: str) -> None:
    assert needed(kind) - allowed().keys() == set()


def test_the_deployer_may_do_nothing_else() -> None:
    every = {action for kind in types() for action in needed(kind)}
    assert set(allowed()) - every - SAM == set()
    assert not any("*" in action for action in allowed())


def test_every_feature_that_is_left_out_is_one_of_a_type_in_the_template() -> None:
    """A pattern that leaves nothing out is one that a resource needs no more, or never needed."""
    every = {
        action
        for kind in types()
        for handler in handlers()[kind].values()
        for action in handler["permissions"]
    }
    for patterns in NOT_USED.values():
        for pattern in patterns:
            assert any(fnmatchcase(action, pattern) for action in every), pattern


def test_features_that_are_left_out_have_no_property_in_the_template() -> None:
    used = {
        (each["Type"], name)
        for each in template()["Resources"].values()
        for name in each.get("Properties", ())
    }
    left_out = {
        "AWS::DynamoDB::Table": "StreamSpecification KinesisStreamSpecification ResourcePolicy"
        " ImportSourceSpecification ContributorInsightsSpecification",
        "AWS::S3::Bucket": "ReplicationConfiguration WebsiteConfiguration CorsConfiguration"
        " AnalyticsConfigurations InventoryConfigurations MetricsConfigurations AccessControl"
        " LoggingConfiguration ObjectLockEnabled ObjectLockConfiguration AccelerateConfiguration"
        " IntelligentTieringConfigurations",
        "AWS::Serverless::Function": "VpcConfig FileSystemConfigs Layers CodeSigningConfigArn"
        " ReservedConcurrentExecutions AutoPublishAlias RuntimeManagementConfig Policies",
        "AWS::Logs::LogGroup": "DataProtectionPolicy FieldIndexPolicies",
        "AWS::IAM::Role": "ManagedPolicyArns PermissionsBoundary RoleName",
        "AWS::SNS::Topic": "DataProtectionPolicy DeliveryStatusLogging",
    }  # fmt: skip
    for kind, names in left_out.items():
        for name in names.split():
            assert (kind, name) not in used


def test_the_deployer_touches_what_is_named_after_the_stack_alone() -> None:
    at_large = {action for action, resources in allowed().items() if "*" in resources}
    assert at_large == {"cloudformation:GetTemplateSummary", "logs:DescribeLogGroups"}
    for action, resources in allowed().items():
        for resource in resources - {"*"}:
            named = ("tablekeeper", "aws-sam-cli-managed-default", "transform/Serverless")
            assert any(each in resource for each in named), action


def test_roles_are_passed_to_the_services_that_take_one() -> None:
    (statement,) = [
        each
        for each in json.loads(POLICY.read_text())["Statement"]
        if "iam:PassRole" in each["Action"]
    ]
    trusted = {
        trust["Principal"]["Service"]
        for each in template()["Resources"].values()
        if each["Type"] == "AWS::IAM::Role"
        for trust in each["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    }
    assert statement["Action"] == ["iam:PassRole"]
    assert set(statement["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted


def test_it_fits_a_managed_policy() -> None:
    written = json.dumps(json.loads(POLICY.read_text()), separators=(",", ":"))
    assert len("".join(written.split())) <= MANAGED_POLICY_CHARACTERS
