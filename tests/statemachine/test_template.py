"""The template: names, environment variables, least privilege, and what must not be lost."""

import re
from typing import Any

import pytest
from tablekeeper import settings
from tablekeeper.ledger.rows import PROBLEM

from tablekeeper_cli.stack import CONSOLES
from tests.statemachine.resolved import CREATED, Stack
from tests.support.project import (
    ROOT,
    bucket_lambda_tasks,
    lambda_tasks,
    resources,
    role_statements,
    snake,
    template,
)

SETTINGS: dict[str, type[settings.Settings]] = {
    "FetchObjectFunction": settings.FetchSettings,
    "ValidateRecordsFunction": settings.ValidateSettings,
    "TransformRecordsFunction": settings.TransformSettings,
    "WriteItemsFunction": settings.WriteSettings,
    "DeleteItemsFunction": settings.DeleteSettings,
    "SettleClaimFunction": settings.SettleSettings,
    "SyncObjectsFunction": settings.SyncObjectsSettings,
    "SyncOrphansFunction": settings.SyncObjectsSettings,
    "ReportDifferencesFunction": settings.ReportDifferencesSettings,
    "SafetyNetFunction": settings.SafetyNetSettings,
    "SweepFunction": settings.SweepSettings,
}
LEDGER_WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem"}
READS_OBJECT = {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}
CLAIMS = LEDGER_WRITES | {
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
}
ASKS = {"dynamodb:BatchGetItem", "dynamodb:DescribeTable"}
SYNCS = CLAIMS | {"states:DescribeExecution"}
ALLOWED = {
    "FetchObjectRole": {"dynamodb:GetItem", "s3:GetObject", "s3:ListBucket"},
    "ValidateRecordsRole": READS_OBJECT | {"s3:PutObject"},
    "TransformRecordsRole": READS_OBJECT | {"s3:PutObject"},
    "WriteItemsRole": CLAIMS | ASKS,
    "DeleteItemsRole": CLAIMS | {"dynamodb:DescribeTable"},
    "SettleClaimRole": CLAIMS | ASKS,
    "SafetyNetRole": LEDGER_WRITES
    | {
        "dynamodb:BatchGetItem",
        "states:DescribeExecution",
        "states:GetExecutionHistory",
    },
    "SweepRole": LEDGER_WRITES
    | {
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "states:DescribeExecution",
        "states:GetExecutionHistory",
        "states:ListExecutions",
        "states:StartExecution",
    },
    "SyncObjectsRole": SYNCS | ASKS,
    "SyncOrphansRole": SYNCS | {"dynamodb:DescribeTable", "states:StartExecution"},
    "ReportDifferencesRole": {"s3:GetObject", "s3:ListBucket", "dynamodb:PutItem"},
    "SyncObjectRole": LEDGER_WRITES | {"lambda:InvokeFunction"},
    "SyncBucketRole": {
        "lambda:InvokeFunction",
        "s3:ListBucket",
        "s3:PutObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload",
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
        "events:PutTargets",
        "events:PutRule",
        "events:DescribeRule",
    },
    "ObjectChangedRuleRole": {"states:StartExecution"},
    "ReconcileScheduleRole": {"states:StartExecution"},
}
WITHOUT_RESOURCE = re.compile(
    r"xray:|logs:(CreateLogDelivery|GetLogDelivery|UpdateLogDelivery|DeleteLogDelivery|"
    r"ListLogDeliveries|PutResourcePolicy|DescribeResourcePolicies|DescribeLogGroups)"
)
"""Actions that cannot name a resource."""


def _actions(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return action if isinstance(action, list) else [action]


@pytest.mark.parametrize("function", SETTINGS)
def test_each_function_is_told_just_what_it_reads(function: str) -> None:
    told = resources("AWS::Serverless::Function")[function]["Properties"]["Environment"][
        "Variables"
    ]
    assert set(told) == {each.upper() for each in SETTINGS[function].types()}


def test_one_name_everywhere() -> None:
    """State "Validate Records", ValidateRecordsFunction, validate_records.py and its test."""
    functions = resources("AWS::Serverless::Function")
    assert set(functions) == set(SETTINGS)
    tasks = {*lambda_tasks(), *bucket_lambda_tasks()}
    assert {f"{name.replace(' ', '')}Function" for name in tasks} == set(functions) - {
        "SafetyNetFunction",
        "SweepFunction",
    }
    for name, function in functions.items():
        module = snake(name.removesuffix("Function"))
        assert function["Properties"]["Handler"] == f"handlers.{module}.handler"
        assert (ROOT / "functions" / "handlers" / f"{module}.py").exists()
        assert (ROOT / "tests" / "unit" / "handlers" / f"test_{module}.py").exists()
    handlers = {p.stem for p in (ROOT / "functions" / "handlers").glob("[a-z]*.py")}
    assert handlers == {snake(name.removesuffix("Function")) for name in functions}


@pytest.mark.parametrize(
    "handler",
    sorted((ROOT / "functions" / "handlers").glob("[a-z]*.py")),
    ids=lambda path: path.stem,
)
def test_a_handler_only_parses_calls_and_returns(handler: Any) -> None:
    text = handler.read_text()
    body = text[text.index("def handler") :]
    assert len(body.splitlines()) <= 30
    assert "try:" not in text


@pytest.mark.parametrize("role", resources("AWS::IAM::Role"))
def test_each_role_allows_what_its_code_calls_and_nothing_else(role: str) -> None:
    allowed = {
        action
        for statement in role_statements(role)
        for action in _actions(statement)
        if not action.startswith(("kms:", "logs:", "xray:"))
    }
    assert allowed == ALLOWED[role]


@pytest.mark.parametrize("role", resources("AWS::IAM::Role"))
def test_no_role_names_everything_where_it_can_name_one(role: str) -> None:
    for statement in role_statements(role):
        for action in _actions(statement):
            assert "*" not in action
            if statement["Resource"] == "*":
                assert WITHOUT_RESOURCE.match(action), action


def test_no_role_can_be_assumed_for_another_account() -> None:
    for name in (
        "ObjectChangedRuleRole",
        "ReconcileScheduleRole",
        "SyncBucketRole",
        "SyncObjectRole",
    ):
        trust = template()["Resources"][name]["Properties"]["AssumeRolePolicyDocument"][
            "Statement"
        ][0]
        assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_the_rule_s_role_and_queue_know_the_rule() -> None:
    rule = template()["Resources"]["ObjectChangedRule"]["Properties"]
    role = template()["Resources"]["ObjectChangedRuleRole"]["Properties"]
    arn = role["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"][
        "aws:SourceArn"
    ]
    assert arn["Fn::Sub"].endswith(":rule/" + rule["Name"]["Fn::Sub"])
    queue = template()["Resources"]["FailedEventsQueuePolicy"]["Properties"]["PolicyDocument"]
    send = next(each for each in queue["Statement"] if each["Effect"] == "Allow")
    assert send["Condition"]["ArnEquals"]["aws:SourceArn"] == {
        "Fn::GetAtt": ["ObjectChangedRule", "Arn"]
    }
    assert rule["Targets"][0]["DeadLetterConfig"]["Arn"] == {
        "Fn::GetAtt": ["FailedEventsQueue", "Arn"]
    }


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"])
def test_what_holds_data_outlives_the_stack(kind: str) -> None:
    for name, resource in resources(kind).items():
        # A first deployment that fails deletes what is empty; a protected table would refuse.
        protected = "DeletionProtectionEnabled" in resource["Properties"]
        kept = "Retain" if protected else "RetainExceptOnCreate"
        assert resource["DeletionPolicy"] == kept, name
        assert resource["UpdateReplacePolicy"] == "Retain", name


def test_what_holds_data_is_encrypted_and_can_be_restored() -> None:
    for name, table in resources("AWS::DynamoDB::Table").items():
        properties = table["Properties"]
        assert properties["SSESpecification"]["SSEEnabled"], name
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], name
        assert properties["BillingMode"] == "PAY_PER_REQUEST", name
    for name, bucket in resources("AWS::S3::Bucket").items():
        assert "BucketEncryption" in bucket["Properties"], name
        assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values()), name
        policy = template()["Resources"][f"{name}Policy"]["Properties"]["PolicyDocument"]
        assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert all(
        q["Properties"]["SqsManagedSseEnabled"] for q in resources("AWS::SQS::Queue").values()
    )


def test_staged_objects_expire_after_their_executions_and_reports_much_later() -> None:
    rules = resources("AWS::S3::Bucket")["StagingBucket"]["Properties"]["LifecycleConfiguration"][
        "Rules"
    ]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert days == {"items/": 7, "reports/": 90, "sync/": 90}


def test_the_ledger_has_the_keys_and_the_index_that_the_code_uses() -> None:
    ledger = resources("AWS::DynamoDB::Table")["LedgerTable"]["Properties"]
    assert [each["AttributeName"] for each in ledger["KeySchema"]] == ["pk", "sk"]
    keys = {
        index["IndexName"]: [each["AttributeName"] for each in index["KeySchema"]]
        for index in ledger["GlobalSecondaryIndexes"]
    }
    assert keys == {"problems": ["problem_status", "problem_at"], "files": ["file_shard", "pk"]}
    shown = {
        each["IndexName"]: each["Projection"]["NonKeyAttributes"]
        for each in ledger["GlobalSecondaryIndexes"]
    }
    # DynamoDB does not change what an index holds: these are those of 0.2.0.
    problem = ["problem_error", "problem_dataset", "incomplete_since"]
    assert shown == {
        "problems": ["problem_since", *problem],
        "files": ["status", "dataset", "problem_status", *problem, "claim_state"],
    }
    assert {*shown["problems"], *keys["problems"]} - {"incomplete_since"} == {*PROBLEM} - {
        "problem"
    }


def test_what_sees_another_dataset_is_updated_before_what_reads_the_ledger() -> None:
    fetch = resources("AWS::Serverless::Function")["FetchObjectFunction"]
    assert fetch["DependsOn"] == ["ValidateRecordsFunction", "TransformRecordsFunction"]


def test_logs_hold_no_documents_unless_asked_and_do_not_stay_for_ever() -> None:
    for machine in resources("AWS::Serverless::StateMachine").values():
        logging = machine["Properties"]["Logging"]
        assert logging["IncludeExecutionData"] == {"Ref": "LogExecutionData"}
    assert template()["Parameters"]["LogExecutionData"]["Default"] == "false"
    assert all(
        "RetentionInDays" in g["Properties"] for g in resources("AWS::Logs::LogGroup").values()
    )
    for name, function in resources("AWS::Serverless::Function").items():
        logging = function["Properties"]["LoggingConfig"]
        # Lambda would drop the metrics, which have no level and count as INFO.
        assert logging["ApplicationLogLevel"] == {"Fn::If": ["LogsDebug", "DEBUG", "INFO"]}
        group = logging["LogGroup"]
        assert group == {"Ref": name.replace("Function", "LogGroup")}


def test_the_outputs_that_other_tools_rely_on_are_there() -> None:
    assert set(template()["Outputs"]) == {
        "SourceBucketName",
        "ItemsTableName",
        "LedgerTableName",
        "StagingBucketName",
        "StateMachineArn",
        "SyncBucketStateMachineArn",
        "FailedEventsQueueUrl",
        "AlarmTopicArn",
        "DashboardUrl",
    }


def test_the_dashboard_is_in_the_console_of_the_stack_s_partition() -> None:
    for partition, console in CONSOLES.items():
        address = Stack(CREATED, partition).outputs["DashboardUrl"]
        # The template names no region in the host: the query does.
        host = console.format("us-east-1").replace("//us-east-1.", "//")
        assert (
            address == f"{host}/cloudwatch/home?region=us-east-1#dashboards/dashboard/<Dashboard>"
        )
    assert set(template()["Mappings"]["Partitions"]) == set(CONSOLES)


def test_events_are_retried_for_a_day() -> None:
    target = template()["Resources"]["ObjectChangedRule"]["Properties"]["Targets"][0]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}


def test_every_exception_that_checkov_is_told_has_its_reason() -> None:
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    skipped = [place for place, line in enumerate(lines) if line.strip().startswith("- CKV")]
    assert skipped
    assert all(lines[place - 1].strip().startswith("# ") for place in skipped)
    for name, resource in template()["Resources"].items():
        for each in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
            assert len(each["comment"]) > 20, name
