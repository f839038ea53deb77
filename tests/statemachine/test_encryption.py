"""The parameter KmsKeyArn: what is encrypted with the key, and who may use it for what."""

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.statemachine.resolved import (
    CREATED,
    ENCRYPTED,
    EXISTING,
    EXPRESS,
    KMS_KEY,
    PSEUDO,
    Stack,
    listed,
)
from tests.support.project import ROOT, resources

ROLES = sorted(resources("AWS::IAM::Role"))
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "created": CREATED,
    "existing": EXISTING,
    "express": EXPRESS,
}
NEEDED = {
    "s3:GetObject": ("kms:Decrypt", "s3"),
    "s3:GetObjectVersion": ("kms:Decrypt", "s3"),
    "s3:ListMultipartUploadParts": ("kms:Decrypt", "s3"),
    "s3:PutObject": ("kms:GenerateDataKey", "s3"),
}
"""What S3 asks of the key for the caller; DynamoDB asks to decrypt the table's key, whatever the
call: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""
TAKES_NO_KEY = {"s3:ListBucket", "s3:DeleteObject", "s3:AbortMultipartUpload"}


def encrypted(variant: str) -> Stack:
    """The stack of a variant with a key."""
    return Stack({**VARIANTS[variant], **ENCRYPTED})


def key_of(kind: str, properties: Mapping[str, Any]) -> Any:
    """The key that a resource is encrypted with, None for one that is not the customer's."""
    if kind == "AWS::S3::Bucket":
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        return rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    if kind == "AWS::DynamoDB::Table":
        return properties["SSESpecification"].get("KMSMasterKeyId")
    return properties.get("KmsMasterKeyId" if kind == "AWS::SQS::Queue" else "KmsKeyId")


HOLDS_DATA = [
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::Logs::LogGroup",
]


@pytest.mark.parametrize("kind", HOLDS_DATA)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_holds_data_is_encrypted_with_the_key(variant: str, kind: str) -> None:
    found = {
        name: key_of(kind, each["Properties"])
        for name, each in encrypted(variant).resources.items()
        if each["Type"] == kind
    }
    assert found
    assert set(found.values()) == {KMS_KEY}, found


@pytest.mark.parametrize("kind", HOLDS_DATA)
def test_without_the_parameter_no_key_is_named(kind: str) -> None:
    found = [each for each in Stack(CREATED).resources.values() if each["Type"] == kind]
    assert {key_of(kind, each["Properties"]) for each in found} == {None}


def test_a_resource_asks_for_one_kind_of_encryption() -> None:
    """CloudFormation refuses a queue with both, and a table with a key and no SSEType."""
    plain, stack = Stack(CREATED), encrypted("created")
    assert plain.properties("FailedEventsQueue")["SqsManagedSseEnabled"] is True
    assert "SqsManagedSseEnabled" not in stack.properties("FailedEventsQueue")
    for table in ("ItemsTable", "LedgerTable"):
        assert plain.properties(table)["SSESpecification"] == {"SSEEnabled": True}
        assert stack.properties(table)["SSESpecification"]["SSEType"] == "KMS"
    for bucket in ("SourceBucket", "StagingBucket"):
        (before,) = plain.properties(bucket)["BucketEncryption"][
            "ServerSideEncryptionConfiguration"
        ]
        (after,) = stack.properties(bucket)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert before == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        assert after["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert after["BucketKeyEnabled"] is True


WRITES_RESULTS = {"SyncBucketRole": {("kms:Encrypt", "s3")}}
"""What a Map Run's ResultWriter needs beside: AWS names Decrypt, Encrypt and GenerateDataKey.
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""


def needed(role: str, grants: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What these grants need of the key: the action, and the service that makes the call."""
    found = set(WRITES_RESULTS.get(role, ()))
    for action, _ in grants:
        if action.startswith("dynamodb:"):
            found.add(("kms:Decrypt", "dynamodb"))
        elif action.startswith("s3:") and action not in TAKES_NO_KEY:
            found.add(NEEDED[action])
    return found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_role_may_use_the_key_as_its_data_demands_and_no_further(role: str, variant: str) -> None:
    stack = encrypted(variant)
    if role not in stack.resources:
        return
    granted = set()
    for policy in stack.properties(role)["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in listed(statement["Action"]):
                if action.startswith("kms:"):
                    assert statement["Effect"] == "Allow"
                    assert statement["Resource"] == KMS_KEY
                    assert statement["Condition"].keys() == {"StringEquals"}
                    ((name, service),) = statement["Condition"]["StringEquals"].items()
                    assert name == "kms:ViaService"
                    assert service.endswith(f".{PSEUDO['AWS::Region']}.amazonaws.com")
                    granted.add((action, service.partition(".")[0]))
    assert granted == needed(role, stack.grants(role))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_without_the_parameter_no_role_knows_of_kms(role: str, variant: str) -> None:
    stack = Stack(VARIANTS[variant])
    if role in stack.resources:
        assert not [action for action, _ in stack.grants(role) if action.startswith("kms:")]


@pytest.fixture(scope="module")
def key_policy() -> dict[str, Any]:
    """The key policy of docs/deploy.md, by statement."""
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    (text,) = [each for each in blocks if "kms:" in each]
    return {each["Sid"]: each for each in json.loads(text)["Statement"]}


def test_the_documented_key_policy_lets_roles_use_the_key_by_their_policies(
    key_policy: dict[str, Any],
) -> None:
    account = key_policy["PoliciesOfTheAccount"]
    assert account["Principal"] == {"AWS": f"arn:aws:iam::{PSEUDO['AWS::AccountId']}:root"}
    assert account["Action"] == "kms:*"


def test_the_documented_key_policy_lets_eventbridge_send_to_the_queue(
    key_policy: dict[str, Any],
) -> None:
    sends = key_policy["EventBridgeToTheQueue"]
    assert sends["Principal"] == {"Service": "events.amazonaws.com"}
    assert sends["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    policy = encrypted("created").properties("FailedEventsQueuePolicy")["PolicyDocument"]
    allowed = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [sends["Principal"]]


def test_the_documented_key_policy_is_for_the_log_groups_of_the_stack(
    key_policy: dict[str, Any],
) -> None:
    """A group without a LogGroupName is called `<stack>-<logical id>-<random>`."""
    logs = key_policy["LogGroupsOfTheStack"]
    assert logs["Principal"] == {"Service": f"logs.{PSEUDO['AWS::Region']}.amazonaws.com"}
    patterns = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    stack, used = encrypted("created"), set()
    for name, each in stack.resources.items():
        if each["Type"] == "AWS::Logs::LogGroup":
            made = f"{PSEUDO['AWS::StackName']}-{name}-1A2B3C"
            group = each["Properties"].get("LogGroupName", made)
            arn = (
                f"arn:aws:logs:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}:log-group:{group}"
            )
            matching = {pattern for pattern in patterns if fnmatchcase(arn, pattern)}
            assert matching, arn
            used |= matching
    assert used == set(patterns)
