"""Which events start an execution, which end up in the queue, and which reach the safety net."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.statemachine.resolved import CREATED, EXISTING, Stack


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """EventBridge's matching, of values and prefixes:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """
    return all(
        matches(wanted, event.get(name, {}))
        if isinstance(wanted, Mapping)
        else any(_fits(each, event.get(name)) for each in wanted)
        for name, wanted in pattern.items()
    )


def _fits(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        assert set(wanted) == {"prefix"}
        return isinstance(value, str) and value.startswith(wanted["prefix"])
    return bool(wanted == value)


def _event(kind: str, bucket: str, key: str, source: str = "aws.s3") -> dict[str, Any]:
    return {
        "source": source,
        "detail-type": kind,
        "detail": {"bucket": {"name": bucket}, "object": {"key": key}},
    }


CREATED_EVENT, DELETED_EVENT = "Object Created", "Object Deleted"
RESTORED_EVENT = "Object Restore Completed"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html"""


@pytest.mark.parametrize("kind", [CREATED_EVENT, DELETED_EVENT, RESTORED_EVENT])
@pytest.mark.parametrize("key", ["a.json", "in/a+b %20.json", "in/", "_SUCCESS", "ö/🙂.json"])
def test_every_object_that_is_created_deleted_or_restored_starts_an_execution(
    kind: str, key: str
) -> None:
    pattern = Stack(CREATED).properties("ObjectChangedRule")["EventPattern"]
    assert matches(pattern, _event(kind, "<SourceBucket>", key))


@pytest.mark.parametrize(
    "event",
    [
        _event(CREATED_EVENT, "<StagingBucket>", "documents/a.gz"),
        _event("Object Restore Initiated", "<SourceBucket>", "a.json"),
        _event("Object Tags Added", "<SourceBucket>", "a.json"),
        _event("Object ACL Updated", "<SourceBucket>", "a.json"),
        _event(CREATED_EVENT, "<SourceBucket>", "a.json", source="someone.else"),
    ],
    ids=["staging", "being restored", "tags", "acl", "forged"],
)
def test_other_events_do_not(event: dict[str, Any]) -> None:
    pattern = Stack(CREATED).properties("ObjectChangedRule")["EventPattern"]
    assert not matches(pattern, event)


@pytest.mark.parametrize(
    ("key", "wanted"), [("in/a.json", True), ("inn/a.json", False), ("a/in/b.json", False)]
)
def test_a_key_prefix_of_an_existing_bucket_is_honoured(key: str, wanted: bool) -> None:
    pattern = Stack(EXISTING).properties("ObjectChangedRule")["EventPattern"]
    assert matches(pattern, _event(CREATED_EVENT, "their-bucket", key)) is wanted
    assert not matches(pattern, _event(CREATED_EVENT, "<SourceBucket>", key))


def test_an_event_starts_this_state_machine_as_the_rule_s_role_or_waits_in_the_queue() -> None:
    (target,) = Stack(CREATED).properties("ObjectChangedRule")["Targets"]
    assert target["Arn"] == "<SyncObjectStateMachine>"
    assert target["RoleArn"] == "<ObjectChangedRuleRole.Arn>"
    assert target["DeadLetterConfig"] == {"Arn": "<FailedEventsQueue.Arn>"}
    assert not target.keys() & {"Input", "InputPath", "InputTransformer"}


def test_the_queue_keeps_events_as_long_as_it_can_and_takes_them_from_the_rule_only() -> None:
    stack = Stack(CREATED)
    fourteen_days = 14 * 24 * 60 * 60
    assert stack.properties("FailedEventsQueue")["MessageRetentionPeriod"] == fourteen_days
    policy = stack.properties("FailedEventsQueuePolicy")
    assert policy["Queues"] == ["<FailedEventsQueue>"]
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    assert [each["Action"] for each in allowed] == ["sqs:SendMessage"]
    assert allowed[0]["Condition"] == {"ArnEquals": {"aws:SourceArn": "<ObjectChangedRule.Arn>"}}
    assert allowed[0]["Resource"] == "<FailedEventsQueue.Arn>"
    assert [each["Condition"] for each in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
    assert [each["Principal"] for each in denied] == ["*"]


@pytest.mark.parametrize(
    ("bucket", "variant"),
    [("SourceBucket", CREATED), ("StagingBucket", CREATED), ("StagingBucket", EXISTING)],
)
def test_a_bucket_is_reached_over_tls_only_whatever_is_asked_of_it(
    bucket: str, variant: Mapping[str, str]
) -> None:
    policy = Stack(variant).properties(f"{bucket}Policy")
    assert policy["Bucket"] == f"<{bucket}>"
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == (
        "Deny",
        "*",
        "s3:*",
    )
    assert set(statement["Resource"]) == {f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"}


@pytest.mark.parametrize("bucket", ["SourceBucket", "StagingBucket"])
def test_a_bucket_is_private_owned_encrypted_and_keeps_no_abandoned_uploads(bucket: str) -> None:
    properties = Stack(CREATED).properties(bucket)
    assert properties["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    assert properties["OwnershipControls"] == {
        "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
    }
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert any(
        each["Status"] == "Enabled" and "AbortIncompleteMultipartUpload" in each for each in rules
    )


def test_the_created_bucket_keeps_versions_and_says_what_happens_in_it() -> None:
    bucket = Stack(CREATED).properties("SourceBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert not any(name.startswith(("Expiration", "Noncurrent")) for r in rules for name in r)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED", "RUNNING"])
def test_every_bad_end_reaches_the_safety_net(status: str) -> None:
    pattern = Stack(CREATED).properties("UncaughtEndRule")["EventPattern"]
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"stateMachineArn": "<SyncObjectStateMachine>", "status": status},
    }
    assert matches(pattern, event) is (status in ("FAILED", "TIMED_OUT", "ABORTED"))
    event["detail"] = {"stateMachineArn": "another", "status": status}
    assert not matches(pattern, event)
