"""Alarms, dashboard and runbook: every name in them exists, and every alarm says what to do."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from tablekeeper.bucket.ends import FINDINGS
from tablekeeper.ledger.rows import INCOMPLETE
from tablekeeper.model.outcome import PARTIAL
from tablekeeper.recovery.safety_net import ERRORS, BadEnd
from tablekeeper.runtime.metrics import METRICS, NAMESPACE

from tablekeeper_cli.ledger.advice import advice
from tests.statemachine.resolved import CREATED, EXISTING, EXPRESS, SCHEDULED, Stack
from tests.support.project import (
    ROOT,
    definition,
    error_classes,
    lambda_tasks,
    resources,
    states,
)

RUNBOOK = ROOT / "docs" / "runbook.md"
STACK = "tablekeeper"
VARIANTS = {"created": CREATED, "existing": EXISTING, "express": EXPRESS}
AWS_METRICS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    "AWS/States": {
        "StateMachineArn": (
            "ExecutionThrottled",
            "ExecutionsAborted",
            "ExecutionsFailed",
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsTimedOut",
        )
    },
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    "AWS/SQS": {"QueueName": ("ApproximateNumberOfMessagesVisible",)},
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    "AWS/Events": {"RuleName": ("InvocationsFailedToBeSentToDlq", "RetryInvocationAttempts")},
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
    "AWS/Scheduler": {"ScheduleGroup": ("InvocationDroppedCount",)},
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    "AWS/Lambda": {"FunctionName": ("Duration", "Errors", "Throttles")},
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    "AWS/DynamoDB": {
        "TableName": (
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "WriteThrottleEvents",
        )
    },
}
IS: Mapping[str, str] = {
    "StateMachineArn": "AWS::Serverless::StateMachine",
    "QueueName": "AWS::SQS::Queue",
    "RuleName": "AWS::Events::Rule",
    "ScheduleGroup": "AWS::Scheduler::ScheduleGroup",
    "FunctionName": "AWS::Serverless::Function",
    "TableName": "AWS::DynamoDB::Table",
}
"""The type of resource that a dimension names."""
STATUSES = {"FAILED", "INVALID", PARTIAL, INCOMPLETE}
ALARMS = resources("AWS::CloudWatch::Alarm")
SEARCH = re.compile(r"SEARCH\('(\{.*?\}) (.*?)', 'Sum', 300\)")


def _metric_exists(namespace: str, name: str, dimensions: Mapping[str, str], stack: Stack) -> None:
    if namespace == NAMESPACE:
        assert set(dimensions) == {"service", *METRICS[name].dimensions}, name
        assert dimensions["service"] == STACK
        assert dimensions.get("status", "FAILED") in STATUSES
        assert dimensions.get("finding", "ORPHAN") in FINDINGS
        return
    ((dimension, value),) = dimensions.items()
    assert name in AWS_METRICS[namespace][dimension]
    named = re.fullmatch(r"<(\w+)(\.QueueName)?>", value)
    if named:
        assert stack.resources[named[1]]["Type"] == IS[dimension]
    else:
        assert (dimension, value) == ("TableName", EXISTING["ItemsTableName"])


def _name(alarm: str) -> str:
    """`FailedFilesAlarm` as `failed-files`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", alarm.removesuffix("Alarm")).lower()


# ---- alarms ----


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_is_on_a_metric_that_exists(alarm: str) -> None:
    stack = Stack(SCHEDULED)
    properties = stack.properties(alarm)
    dimensions = {each["Name"]: each["Value"] for each in properties["Dimensions"]}
    _metric_exists(properties["Namespace"], properties["MetricName"], dimensions, stack)
    assert ("Statistic" in properties) != ("ExtendedStatistic" in properties)


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_says_what_it_means_and_where_to_read_on(alarm: str) -> None:
    properties = Stack(SCHEDULED).properties(alarm)
    assert properties["AlarmName"] == f"{STACK}-{_name(alarm)}"
    meaning, _, heading = properties["AlarmDescription"].partition(" Runbook: ")
    assert len(meaning) > 40
    assert heading == f"docs/runbook.md#{_name(alarm)}"
    assert _name(alarm) in entries("Alarms")


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_tells_its_topic_when_it_begins_and_when_it_is_over(alarm: str) -> None:
    properties = Stack(SCHEDULED).properties(alarm)
    assert properties["AlarmActions"] == properties["OKActions"] == ["<AlarmTopic>"]


def test_missing_data_means_what_it_means_for_the_metric() -> None:
    """YAML keeps no comments: each choice has its reason in the line above it."""
    lines = (ROOT / "template.yaml").read_text().splitlines()
    chosen = [place for place, line in enumerate(lines) if "TreatMissingData:" in line]
    assert len(chosen) == len(ALARMS)
    for place in chosen:
        assert lines[place - 1].strip().startswith("# "), lines[place]
    for name, alarm in ALARMS.items():
        properties, gauge = alarm["Properties"], alarm["Properties"]["MetricName"] == "OpenProblems"
        expected = "ignore" if gauge else "notBreaching"
        if properties.get("Statistic") == "SampleCount" or properties["MetricName"] == "PassedOver":
            expected = "breaching"
        assert properties["TreatMissingData"] == expected, name


def test_failed_and_invalid_are_different_alarms_and_every_status_has_one() -> None:
    statuses = [
        {each["Name"]: each["Value"] for each in alarm["Properties"]["Dimensions"]}["status"]
        for alarm in ALARMS.values()
        if alarm["Properties"]["MetricName"] == "OpenProblems"
        and alarm["Properties"]["Statistic"] != "SampleCount"
    ]
    assert sorted(statuses) == sorted(STATUSES)


def test_their_price_is_what_the_guides_say() -> None:
    """Ten cents a month each: https://aws.amazon.com/cloudwatch/pricing/"""
    for guide in ("cost", "deploy", "operating"):
        assert f"${len(ALARMS) / 10:.2f}" in (ROOT / f"docs/{guide}.md").read_text("utf-8"), guide


def test_the_topic_is_for_this_stack_s_alarms_only() -> None:
    stack = Stack(SCHEDULED)
    publish, tls = stack.properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]
    assert publish["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert publish["Action"] == "sns:Publish"
    prefix = publish["Condition"]["ArnLike"]["aws:SourceArn"].rpartition(":")[2].removesuffix("*")
    assert all(stack.properties(each)["AlarmName"].startswith(prefix) for each in ALARMS)
    assert publish["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (publish["Effect"], tls["Effect"]) == ("Allow", "Deny")
    # CloudWatch cannot use the key that AWS manages for SNS.
    assert "KmsMasterKeyId" not in stack.properties("AlarmTopic")


def test_an_address_is_subscribed_only_when_there_is_one() -> None:
    assert "AlarmSubscription" not in Stack(CREATED).resources
    subscribed = Stack({"AlarmEmail": "on-call@example.com"}).properties("AlarmSubscription")
    assert (subscribed["Protocol"], subscribed["Endpoint"]) == ("email", "on-call@example.com")


def test_metrics_of_two_stacks_can_be_told_apart() -> None:
    from tests.support.project import template

    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


# ---- the dashboard ----


def _widgets(stack: Stack) -> list[Any]:
    body = json.loads(stack.properties("Dashboard")["DashboardBody"])
    widgets: list[Any] = body["widgets"]
    return widgets


def _metrics(widget: Any) -> Iterator[list[Any]]:
    yield from widget["properties"].get("metrics", ())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_dashboard_shows_metrics_that_exist(variant: str) -> None:
    stack = Stack(VARIANTS[variant])
    shown = set()
    for widget in _widgets(stack):
        for metric in _metrics(widget):
            if isinstance(metric[0], dict):
                found = SEARCH.search(metric[0]["expression"])
                assert found
                namespace, *names = found[1].strip("{}").split(",")
                terms = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
                assert namespace == NAMESPACE
                assert {*names} == {"service", *METRICS[terms["MetricName"]].dimensions}
                assert terms["service"] == STACK
                shown.add(terms["MetricName"])
            else:
                namespace, name, *pairs = metric
                pairs = [each for each in pairs if isinstance(each, str)]
                dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
                _metric_exists(namespace, name, dimensions, stack)
                shown.add(name)
    assert shown >= set(METRICS)


def test_the_dashboard_shows_every_outcome() -> None:
    text = json.dumps(_widgets(Stack(CREATED)))
    outcomes = set(re.findall(r'outcome=\\"(\w+)\\"', text.replace("\\\\", "\\")))
    guide = (ROOT / "docs" / "operating.md").read_text()
    table = guide.partition("\n| Outcome | Means |\n")[2].partition("\n\n")[0]
    documented = re.findall(r"^\| ([A-Z]+) \|", table, re.MULTILINE)
    assert "SYNCED" in documented
    assert outcomes >= set(documented)


def test_the_dashboard_shows_every_alarm() -> None:
    (widget,) = [each for each in _widgets(Stack(SCHEDULED)) if each["type"] == "alarm"]
    assert widget["properties"]["alarms"] == [f"<{alarm}.Arn>" for alarm in ALARMS]


def test_a_reconcile_is_missed_only_where_one_is_scheduled() -> None:
    assert set(ALARMS) - set(Stack(CREATED).resources) == {"MissedReconcilesAlarm"}
    scheduled = Stack(SCHEDULED)
    assert scheduled.properties("ReconcileScheduleEntry")["GroupName"] == "<ReconcileScheduleGroup>"


def test_the_dashboard_reads_from_the_top_and_no_widget_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in _widgets(Stack(CREATED)):
        x, y, width, height = (widget[each] for each in ("x", "y", "width", "height"))
        cells = {(x + i, y + j) for i in range(width) for j in range(height)}
        assert not cells & taken
        assert x + width <= 24
        taken |= cells
    titles = [
        each["properties"]["markdown"]
        for each in _widgets(Stack(CREATED))
        if each["type"] == "text"
    ]
    assert titles[0].startswith("## Is all well?")


def test_the_dashboard_s_log_query_names_what_is_logged() -> None:
    (widget,) = [each for each in _widgets(Stack(CREATED)) if each["type"] == "log"]
    query = widget["properties"]["query"]
    fields = re.search(r"fields ([^|]+) \|", query)
    assert fields
    assert {each.strip() for each in fields[1].split(",")} - {"@timestamp"} <= {*BadEnd._fields}
    writers = {
        "SafetyNetLogGroup": "handlers/safety_net.py",
        "SweepLogGroup": "handlers/sweep.py",
        "SyncObjectsLogGroup": "tablekeeper/runtime/observer.py",
        "SyncOrphansLogGroup": "tablekeeper/runtime/observer.py",
    }
    assert set(re.findall(r"SOURCE '<(\w+)>'", query)) == {*writers}
    for writer in writers.values():
        code = (ROOT / "functions" / writer).read_text()
        assert 'logger().warning("ended badly", extra=' in code
    assert "filter message = 'ended badly'" in query


# ---- the runbook ----


@cache
def entries(section: str) -> dict[str, str]:
    """The entries of a section of the runbook, by each name in their headings."""
    part = RUNBOOK.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for entry in part.split("\n### ")[1:]:
        heading, _, text = entry.partition("\n")
        for name in heading.split(", "):
            assert name not in found, f"{name} has two entries"
            found[name] = text
    return found


def _aws_errors() -> set[str]:
    """The names with which AWS, the definition and the safety net end an execution."""
    pages = ("failure-table.md", "architecture.md")
    text = "".join((ROOT / "docs" / page).read_text() for page in pages)
    shown = set(re.findall(r"`([\w.]+)` \| (?:FAILED|INVALID) \|", text))
    shown |= set(re.findall(r"`(States\.\w+)`", text))
    retried = {
        name
        for state in lambda_tasks()
        for retry in states()[state]["Retry"]
        for name in retry["ErrorEquals"]
    }
    assigned = set(re.findall(r'"error": "(\w+)"', json.dumps(definition())))
    return (shown | retried | assigned | set(ERRORS.values())) - set(error_classes())


def test_every_error_has_one_entry_and_there_are_no_others() -> None:
    assert set(entries("Errors")) == set(error_classes()) | _aws_errors()


def test_every_alarm_has_one_entry_and_there_are_no_others() -> None:
    assert set(entries("Alarms")) == {_name(alarm) for alarm in ALARMS}


@pytest.mark.parametrize("section", ["Alarms", "Errors"])
def test_an_entry_says_what_it_means_how_to_see_it_and_what_to_do(section: str) -> None:
    for name, text in entries(section).items():
        parts = re.findall(r"^- \*\*(Means|See|Do)\*\* (?:\S.{15,})", text, re.MULTILINE)
        assert parts == ["Means", "See", "Do"], name


@pytest.mark.parametrize("name", entries("Errors"))
def test_the_runbook_says_what_the_command_says(name: str) -> None:
    """That of Tablekeeper's own errors, which the cause has, too, and that of all others."""
    said = " ".join(entries("Errors")[name].partition("**Do** ")[2].split())
    assert said.startswith(advice(name)), name
    if name in error_classes():
        assert advice(name) == error_classes()[name].advice
