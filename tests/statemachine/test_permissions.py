"""Least privilege: what each role allows, action by action and resource by resource."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.statemachine.resolved import CREATED, EXISTING, EXPRESS, Stack, listed
from tests.support.project import (
    bucket_definition,
    bucket_lambda_tasks,
    definition,
    lambda_tasks,
)

VARIANTS = {"created": CREATED, "existing": EXISTING}
NAMES = {
    "created": {"source": "<SourceBucket>", "items": "<ItemsTable>"},
    "existing": {"source": "their-bucket", "items": "their-table"},
}
LEDGER = "<LedgerTable.Arn>"
ITEMS = "arn:aws:dynamodb:us-east-1:123456789012:table/{items}"
STAGING = "<StagingBucket.Arn>"
MACHINE = "<SyncObjectStateMachine>"
STATES = "arn:aws:states:us-east-1:123456789012"
EXECUTIONS = f"{STATES}:execution:<SyncObjectStateMachine.Name>:*"
TRACE = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}
READS_OBJECT = {
    "arn:aws:s3:::{source}/*": ("s3:GetObject", "s3:GetObjectVersion"),
    "arn:aws:s3:::{source}": ("s3:ListBucket",),
}
LOOKS = {
    "arn:aws:s3:::{source}/*": ("s3:GetObject",),
    "arn:aws:s3:::{source}": ("s3:ListBucket",),
}
RECORDS = tuple(f"dynamodb:{action}" for action in ("BatchGetItem", "PutItem", "UpdateItem"))
CLAIMS = tuple(
    f"dynamodb:{action}"
    for action in (
        "ConditionCheckItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "UpdateItem",
    )
)
FOLLOWS = ("states:DescribeExecution", "states:StopExecution")
WRITES = tuple(
    f"dynamodb:{action}"
    for action in ("BatchGetItem", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "Scan")
)
GRANTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "FetchObjectRole": {
        **LOOKS,
        LEDGER: ("dynamodb:GetItem",),
    },
    "ValidateRecordsRole": {
        **READS_OBJECT,
        f"{STAGING}/reports/*": ("s3:PutObject",),
    },
    "TransformRecordsRole": {
        **READS_OBJECT,
        f"{STAGING}/items/*": ("s3:PutObject",),
    },
    "WriteItemsRole": {
        LEDGER: CLAIMS,
        ITEMS: WRITES,
        f"{STAGING}/items/*": ("s3:GetObject", "s3:PutObject"),
        f"{STAGING}/keys/*": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        STAGING: ("s3:ListBucket",),
    },
    "DeleteItemsRole": {
        LEDGER: CLAIMS,
        ITEMS: ("dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:Scan"),
        f"{STAGING}/keys/*": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        STAGING: ("s3:ListBucket",),
    },
    "SettleClaimRole": {
        LEDGER: tuple(each for each in CLAIMS if each != "dynamodb:PutItem"),
        ITEMS: tuple(each for each in WRITES if each != "dynamodb:GetItem"),
        f"{STAGING}/items/*": ("s3:GetObject",),
        f"{STAGING}/keys/*": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        STAGING: ("s3:ListBucket",),
    },
    "SafetyNetRole": {
        LEDGER: RECORDS,
        EXECUTIONS: ("states:DescribeExecution", "states:GetExecutionHistory"),
    },
    "SweepRole": {
        LEDGER: ("dynamodb:GetItem", *RECORDS),
        f"{LEDGER}/index/problems": ("dynamodb:Query",),
        ITEMS: ("dynamodb:BatchGetItem",),
        EXECUTIONS: ("states:DescribeExecution", "states:GetExecutionHistory"),
        MACHINE: ("states:ListExecutions", "states:StartExecution"),
    },
    "SyncObjectsRole": {
        **LOOKS,
        LEDGER: (*CLAIMS, "dynamodb:BatchGetItem"),
        ITEMS: WRITES,
        f"{STAGING}/items/*": ("s3:GetObject", "s3:PutObject"),
        f"{STAGING}/keys/*": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        f"{STAGING}/reports/*": ("s3:PutObject",),
        STAGING: ("s3:ListBucket",),
        EXECUTIONS: ("states:DescribeExecution",),
    },
    "SyncOrphansRole": {
        **LOOKS,
        LEDGER: CLAIMS,
        ITEMS: ("dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:Scan"),
        f"{STAGING}/keys/*": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        STAGING: ("s3:ListBucket",),
        EXECUTIONS: ("states:DescribeExecution",),
        f"{LEDGER}/index/files": ("dynamodb:Query",),
        f"{STAGING}/sync/*": ("s3:PutObject",),
        MACHINE: ("states:StartExecution",),
    },
    "ReportDifferencesRole": {
        f"{STAGING}/sync/*": ("s3:GetObject",),
        STAGING: ("s3:ListBucket",),
        "arn:aws:s3:::{source}": ("s3:ListBucket",),
        LEDGER: ("dynamodb:PutItem",),
    },
    "SyncBucketRole": {
        **{
            f"<{name.replace(' ', '')}Function.Arn>": ("lambda:InvokeFunction",)
            for name in bucket_lambda_tasks()
        },
        "arn:aws:s3:::{source}": ("s3:ListBucket",),
        f"{STAGING}/sync/*": (
            "s3:PutObject",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:AbortMultipartUpload",
        ),
        f"{STATES}:stateMachine:tablekeeper-sync-bucket": ("states:StartExecution",),
        MACHINE: ("states:StartExecution",),
        f"{STATES}:execution:tablekeeper-sync-bucket:*": FOLLOWS,
        f"{STATES}:execution:tablekeeper-sync-bucket/*": FOLLOWS,
        EXECUTIONS: FOLLOWS,
        "arn:aws:events:us-east-1:123456789012:rule/"
        "StepFunctionsGetEventsForStepFunctionsExecutionRule": (
            "events:PutTargets",
            "events:PutRule",
            "events:DescribeRule",
        ),
    },
    "SyncObjectRole": {
        LEDGER: ("dynamodb:PutItem", "dynamodb:UpdateItem"),
        **{
            f"<{name.replace(' ', '')}Function.Arn>": ("lambda:InvokeFunction",)
            for name in lambda_tasks()
        },
    },
    "ObjectChangedRuleRole": {MACHINE: ("states:StartExecution",)},
}
"""TransactWriteItems needs the permissions of the actions in it, and none of its own:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""
FOLLOWED = {f"states:{action}Execution" for action in ("Start", "Describe", "Stop")}
INTEGRATIONS: Mapping[str, set[str]] = {
    "lambda:invoke": {"lambda:InvokeFunction"},
    "dynamodb:putItem": {"dynamodb:PutItem"},
    "s3:listObjectsV2": {"s3:ListBucket"},
    "s3:putObject": {
        "s3:PutObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload",
    },
    "states:startExecution.sync:2": FOLLOWED
    | {f"events:{action}" for action in ("PutTargets", "PutRule", "DescribeRule")},
}
"""What Step Functions calls with the role of a state machine, where it is more than its name says.
https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
https://docs.aws.amazon.com/step-functions/latest/dg/stepfunctions-iam.html
"""
TRUSTED = {
    "SyncObjectRole": "states",
    "SyncBucketRole": "states",
    "ObjectChangedRuleRole": "events",
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("role", GRANTS)
def test_a_role_allows_its_actions_on_just_the_resources_they_are_for(
    role: str, variant: str
) -> None:
    expected = {
        (action, resource.format(**NAMES[variant]))
        for resource, actions in GRANTS[role].items()
        for action in actions
    }
    granted = {
        (action, resource)
        for action, resource in Stack(VARIANTS[variant]).grants(role)
        if not action.startswith(("logs:", "xray:"))
    }
    assert granted == expected


def test_there_are_no_other_roles() -> None:
    resources = Stack(CREATED).resources
    roles = {name for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}
    assert roles == set(GRANTS)


@pytest.mark.parametrize("role", sorted(set(GRANTS) - set(TRUSTED)))
def test_a_function_writes_to_its_own_log_group_only(role: str) -> None:
    group = f"<{role.removesuffix('Role')}LogGroup.Arn>"
    logs = {each for each in Stack(CREATED).grants(role) if each[0].startswith("logs:")}
    assert logs == {("logs:CreateLogStream", group), ("logs:PutLogEvents", group)}


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_has_no_policies_from_elsewhere(role: str) -> None:
    properties = Stack(CREATED).properties(role)
    assert "ManagedPolicyArns" not in properties
    for policy in properties["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement.keys() <= {"Sid", "Effect", "Action", "Resource"}


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_is_assumed_by_one_service(role: str) -> None:
    (statement,) = Stack(CREATED).properties(role)["AssumeRolePolicyDocument"]["Statement"]
    service = TRUSTED.get(role, "lambda")
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert listed(statement["Action"]) == ["sts:AssumeRole"]


def test_every_function_has_a_role_of_its_own() -> None:
    resources = Stack(CREATED).resources
    functions = {
        name: each["Properties"]
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::Function"
    }
    for name, properties in functions.items():
        assert properties["Role"] == f"<{name.removesuffix('Function')}Role.Arn>"
        assert "Policies" not in properties, name
    for name in ("SyncObject", "SyncBucket"):
        machine = resources[f"{name}StateMachine"]["Properties"]
        assert machine["Role"] == f"<{name}Role.Arn>"
        assert "Policies" not in machine


@pytest.mark.parametrize("role", sorted(set(GRANTS) - {"ObjectChangedRuleRole"}))
def test_what_is_traced_may_send_its_traces(role: str) -> None:
    assert Stack(CREATED).grants(role) >= TRACE


def test_the_schedule_and_the_rule_start_what_they_are_for() -> None:
    express = Stack(EXPRESS)
    start = "states:StartExecution"
    assert express.grants("ObjectChangedRuleRole") == {(start, "<ExpressSyncObjectStateMachine>")}
    assert express.grants("ReconcileScheduleRole") == {(start, "<SyncBucketStateMachine>")}
    (target,) = express.properties("ObjectChangedRule")["Targets"]
    assert target["Arn"] == "<ExpressSyncObjectStateMachine>"
    assert express.properties("ReconcileScheduleEntry")["Target"]["Arn"] == (
        "<SyncBucketStateMachine>"
    )


def called(part: Any) -> Iterator[str]:
    """What Step Functions calls for a part of a definition."""
    if isinstance(part, list):
        for each in part:
            yield from called(each)
    elif isinstance(part, dict):
        service, _, name = part.get("Resource", "").partition("arn:aws:states:::")[2].partition(":")
        if service == "aws-sdk":
            assert name == "dynamodb:transactWriteItems"
            for action in part["Arguments"]["TransactItems"]:
                yield from (f"dynamodb:{kind}Item" for kind in action)
        elif service:
            yield from INTEGRATIONS[f"{service}:{name}"]
        if part.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            yield from FOLLOWED
        for each in part.values():
            yield from called(each)


@pytest.mark.parametrize(
    ("role", "states"),
    [("SyncObjectRole", definition()), ("SyncBucketRole", bucket_definition())],
    ids=["SyncObjectRole", "SyncBucketRole"],
)
def test_a_state_machine_may_do_what_its_states_call_and_nothing_else(
    role: str, states: dict[str, Any]
) -> None:
    granted = {action for action, _ in Stack(CREATED).grants(role)}
    assert {each for each in granted if not each.startswith(("logs:", "xray:"))} == {
        *called(states)
    }


@pytest.mark.parametrize("role", ["SyncObjectRole", "SyncBucketRole"])
def test_a_state_machine_may_deliver_its_log(role: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
    logs = {each for each in Stack(CREATED).grants(role) if each[0].startswith("logs:")}
    assert logs == {
        (f"logs:{action}", "*")
        for action in (
            "CreateLogDelivery",
            "GetLogDelivery",
            "UpdateLogDelivery",
            "DeleteLogDelivery",
            "ListLogDeliveries",
            "PutResourcePolicy",
            "DescribeResourcePolicies",
            "DescribeLogGroups",
        )
    }


def test_a_rule_s_role_is_that_of_the_one_rule() -> None:
    stack = Stack(CREATED)
    name = stack.properties("ObjectChangedRule")["Name"]
    trust = stack.properties("ObjectChangedRuleRole")["AssumeRolePolicyDocument"]
    (statement,) = trust["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-east-1:123456789012:rule/{name}"},
    }


@pytest.mark.parametrize(
    ("permission", "function", "rule"),
    [
        ("SafetyNetPermission", "SafetyNetFunction", "UncaughtEndRule"),
        ("SweepPermission", "SweepFunction", "SweepRule"),
    ],
)
def test_a_function_is_invoked_by_its_own_rule_only(
    permission: str, function: str, rule: str
) -> None:
    stack = Stack(CREATED)
    assert stack.properties(permission) == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": f"<{function}>",
        "Principal": "events.amazonaws.com",
        "SourceArn": f"<{rule}.Arn>",
    }
    (target,) = stack.properties(rule)["Targets"]
    assert target["Arn"] == f"<{function}.Arn>"
