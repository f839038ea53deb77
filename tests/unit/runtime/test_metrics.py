"""Metrics: what each function tells CloudWatch, in the embedded metric format, and the logs."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from handlers import safety_net, sweep
from tablekeeper import aws, tables
from tablekeeper.errors import SchemaViolationError
from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.model.times import as_of, iso_milliseconds
from tablekeeper.recovery import clock
from tablekeeper.runtime import context, deployed_datasets, metrics
from tablekeeper.runtime.metrics import METRICS, NAMESPACE, lag

from tests.support.fakes import FakeDynamoDB
from tests.support.quick import quick_pipeline
from tests.unit.conftest import CATALOGUE, Pipeline
from tests.unit.step_functions import EVENT, FakeStepFunctions

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "what only the document knows"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


@pytest.fixture
def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator["Printed"]:
    """What was logged, each line of it JSON."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "the-stack")
    context.logger.cache_clear()
    # A logger keeps the standard output that it was made with.
    logging.Logger.manager.loggerDict.pop("the-stack", None)
    with patch.object(deployed_datasets, "catalogue", lambda: CATALOGUE):
        yield Printed(capsys)
    context.logger.cache_clear()


class Printed:
    """Reads what was printed so far, once."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.text = ""

    def lines(self) -> list[dict[str, Any]]:
        new = self.capsys.readouterr().out
        self.text += new
        return [json.loads(line) for line in new.splitlines()]

    def metrics(self) -> dict[str, tuple[float, dict[str, str]]]:
        """The metrics, by name: value and dimensions."""
        return emitted(self.lines())

    def logged(self) -> list[dict[str, Any]]:
        """The lines that are no metrics."""
        return [each for each in self.lines() if "_aws" not in each]


def emitted(lines: list[dict[str, Any]]) -> dict[str, tuple[float, dict[str, str]]]:
    """The metrics of such lines, which have to be as METRICS says."""
    found = {}
    for line in (each for each in lines if "_aws" in each):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        (names,) = directive["Dimensions"]
        assert directive["Namespace"] == NAMESPACE
        for metric in directive["Metrics"]:
            assert metric["Unit"] == METRICS[metric["Name"]].unit
            assert {*names} == {"service", *METRICS[metric["Name"]].dimensions}
            (value,) = line[metric["Name"]]
            found[metric["Name"]] = (value, {name: line[name] for name in names})
    return found


def records(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", **more} for name in names]


def test_a_commit_is_counted_by_dataset_and_outcome(pipeline: Pipeline, printed: Printed) -> None:
    pipeline.put("notes/a.json", records(*"abc"))
    pipeline.sync("notes/a.json")
    synced = {"service": "the-stack", "dataset": "notes", "outcome": "SYNCED"}
    size = len(json.dumps(records(*"abc")))
    assert printed.metrics() == {
        "Files": (1, synced),
        "ItemsPut": (3, synced),
        "Bytes": (size, synced),
    }
    pipeline.put("notes/a.json", records("a"))
    pipeline.sync("notes/a.json")
    assert printed.metrics()["ItemsRemoved"] == (2, synced)
    pipeline.sync("notes/a.json")
    assert printed.metrics() == {"Files": (1, {**synced, "outcome": "UNCHANGED"})}
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    pipeline.sync("notes/a.json")
    deleted = {**synced, "outcome": "DELETED"}
    assert printed.metrics() == {"Files": (1, deleted), "ItemsRemoved": (1, deleted)}


def test_what_no_dataset_wants_is_counted_too(pipeline: Pipeline, printed: Printed) -> None:
    pipeline.sync("notes/_SUCCESS")
    dimensions = {"service": "the-stack", "dataset": "-", "outcome": "IGNORED"}
    assert printed.metrics() == {"Files": (1, dimensions)}


def test_a_second_attempt_counts_no_items_again(pipeline: Pipeline, printed: Printed) -> None:
    pipeline.put("notes/a.json", records("a"))
    fetched, execution = pipeline.fetch("notes/a.json"), pipeline.execution("notes/a.json")
    pipeline.commit(fetched, execution)
    printed.lines()
    pipeline.commit(fetched, execution)
    assert set(printed.metrics()) == {"Files"}


def test_to_read_again_is_counted(pipeline: Pipeline, printed: Printed) -> None:
    payload = {"event": pipeline.event("notes/a.json"), "entered": "2026-01-01T00:00:10Z"}
    from handlers import fetch_object

    fetch_object.handler({**payload, "round": 0}, None)
    assert printed.metrics() == {}
    fetch_object.handler({**payload, "round": 1}, None)
    assert printed.metrics() == {"ReadAgain": (1, {"service": "the-stack"})}


# ---- lag ----


def event(at: datetime | str) -> Execution:
    time = at if isinstance(at, str) else at.isoformat()
    return Execution("arn", "n", iso_milliseconds(NOW), event=json.dumps({**EVENT, "time": time}))


def found(answered_until: datetime | None = None) -> Snapshot:
    answered = iso_milliseconds(answered_until) if answered_until else None
    return Snapshot("validate", "b", "k", 1, "", answered_until=answered)


def test_lag_is_from_the_event_to_the_commit() -> None:
    assert lag(found(), event(NOW - timedelta(seconds=7)), NOW) == 7
    assert lag(found(), event("2026-01-01T11:59:00Z"), NOW) == 60
    earlier = found(answered_until=NOW - timedelta(seconds=8))
    assert lag(earlier, event(NOW - timedelta(seconds=7)), NOW) == 7


def test_a_clock_that_is_ahead_makes_no_lag_below_zero() -> None:
    assert lag(found(), event(NOW + timedelta(seconds=1)), NOW) == 0


@pytest.mark.parametrize("time", ["", "yesterday", "2026-01-01T11:59:00", "2026-13-01T00:00:00Z"])
def test_an_execution_started_by_hand_has_no_lag(time: str) -> None:
    assert lag(found(), event(time), NOW) is None
    assert lag(found(), Execution("arn", "n", "", event=json.dumps(EVENT)), NOW) is None
    assert lag(found(), Execution("arn", "n", "", event="[1"), NOW) is None
    assert lag(found(), Execution("arn", "n", "", event="[1]"), NOW) is None


def test_an_event_that_was_answered_before_has_no_lag() -> None:
    answered = found(answered_until=NOW - timedelta(days=1))
    assert lag(answered, event(NOW - timedelta(days=1, seconds=1)), NOW) is None


def test_a_file_is_late_once(pipeline: Pipeline, printed: Printed) -> None:
    """The same event again, as after a commit and as after a failure, is a file reprocessed."""
    time = datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC)
    event = {"time": time.isoformat(), **pipeline.event("notes/a.json")}
    pipeline.put("notes/a.json", records("a"))

    def metrics_of_a_run(entered: str) -> set[str]:
        from handlers import fetch_object

        payload = {"event": event, "entered": entered, "round": 0}
        execution = {**pipeline.execution("notes/a.json"), "event": event}
        pipeline.commit(fetch_object.handler(payload, None), execution)
        return set(printed.metrics())

    assert "Lag" in metrics_of_a_run("2026-01-01T00:00:10Z")
    assert "Lag" not in metrics_of_a_run("2026-01-02T00:00:00Z")
    event = {**event, "time": "2026-01-02T00:00:01Z"}
    assert "Lag" in metrics_of_a_run("2026-01-02T00:00:02Z")
    problem = {"started": {"S": "2026-01-03T00:00:02.000Z"}, "error": {"S": "RuntimeError"}}
    pipeline.dynamodb.update_item(
        TableName="ledger",
        Key={"pk": {"S": "s3://source/notes/a.json"}, "sk": {"S": "CURRENT"}},
        UpdateExpression="SET problem = :problem",
        ExpressionAttributeValues={":problem": {"M": problem}},
    )
    event = {**event, "time": "2026-01-03T00:00:01Z"}
    assert "Lag" not in metrics_of_a_run("2026-01-04T00:00:00Z")


def test_the_look_at_the_bucket_counts_as_what_it_was_and_not_less() -> None:
    """as_of allows for clocks; a file that is reprocessed is still told from a new one."""
    from tablekeeper.ledger.rows import Row

    entered = "2026-01-01T00:00:10.000Z"
    assert Row.of({"as_of": {"S": as_of(entered)}}).answered_until == entered
    assert Row.of({"as_of": {"S": ""}}).answered_until is None
    assert Row.of({}).answered_until is None
    started = {"problem": {"M": {"started": {"S": "2026-01-01T00:00:11.000Z"}}}}
    assert Row.of({"as_of": {"S": as_of(entered)}, **started}).answered_until == (
        "2026-01-01T00:00:11.000Z"
    )


# ---- bad ends and gauges ----


@pytest.mark.parametrize("outcome", ["INVALID", "FAILED", "SYNCED"])
def test_the_safety_net_counts_bad_ends_by_the_outcome_that_was_recorded(
    outcome: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    monkeypatch.setenv("LEDGER_TABLE", "ledger")
    monkeypatch.setenv("AUDIT_RETENTION_SECONDS", "1000")
    uri, audit = "s3://b/notes/k", "EVENT#2026-01-01T00:00:00.000Z#e#0"
    row = {"pk": {"S": uri}, "sk": {"S": audit}, "outcome": {"S": outcome}}
    dynamodb.put_item(TableName="ledger", Item=row)
    named = {"detail": {"bucket": {"name": "b"}, "object": {"key": "notes/k"}}}
    arn = states.end("e", "FAILED", error="EncodingError", cause=SECRET, input=json.dumps(named))
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(aws, "dynamodb", lambda: dynamodb),
    ):
        safety_net.handler({"detail": {"executionArn": arn}}, None)
    lines = printed.lines()
    dimensions = {"service": "the-stack", "dataset": "notes", "outcome": outcome}
    assert emitted(lines) == ({} if outcome == "SYNCED" else {"Files": (1, dimensions)})
    (logged,) = [each for each in lines if "_aws" not in each]
    assert (logged["key"], logged["execution"], logged["outcome"]) == ("notes/k", arn, outcome)
    assert logged["error"] == "EncodingError"
    assert SECRET not in printed.text


def test_the_sweep_counts_what_it_records_and_gauges_what_is_wrong(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, dynamodb = FakeStepFunctions(), FakeDynamoDB()
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    for name, value in {
        "LEDGER_TABLE": "ledger",
        "ITEMS_TABLE": "items",
        "ITEM_KEYS": "pk:S,sk:S",
        "AUDIT_RETENTION_SECONDS": "1000",
        "STATE_MACHINE_ARN": "m",
    }.items():
        monkeypatch.setenv(name, value)
    arn = states.end("1", "ABORTED")
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(tables, "dynamodb", lambda: dynamodb),
    ):
        sweep.handler({}, None)
        lines = printed.lines()
        # As it was before the end was recorded.
        assert gauges(lines) == {"FAILED": [0], "INVALID": [0], "PARTIAL": [0], "INCOMPLETE": [0]}
        sweep.handler({}, None)
    assert emitted(lines)["Files"] == (
        1,
        {"service": "the-stack", "dataset": "-", "outcome": "FAILED"},
    )
    told = next(each for each in lines if each.get("execution") == arn)
    assert (told["key"], told["outcome"], told["error"]) == ("k", "FAILED", "ExecutionAborted")
    again = printed.lines()
    assert gauges(again) == {"FAILED": [1], "INVALID": [0], "PARTIAL": [0], "INCOMPLETE": [0]}
    assert set(emitted(again)) == {"OpenProblems", "PassedOver"}
    assert not [each for each in again if each.get("execution") == arn]


def gauges(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """How many files have a problem, by status."""
    return {each["status"]: each["OpenProblems"] for each in lines if "OpenProblems" in each}


def test_datasets_that_cannot_be_read_hide_no_failure(printed: Printed) -> None:
    from tablekeeper.errors import DatasetDefinitionError

    with patch.object(deployed_datasets, "catalogue", side_effect=DatasetDefinitionError):
        assert deployed_datasets.dataset_of("notes/a") is None
    assert deployed_datasets.dataset_of("notes/a") == "notes"
    assert deployed_datasets.dataset_of("elsewhere/a") is None
    metrics.count_bad_end(None, "FAILED")
    assert printed.metrics()["Files"][1]["dataset"] == "-"


def test_every_metric_is_published_by_something(printed: Printed) -> None:
    execution, later = event(datetime.now(UTC)), found()
    committed = CommitResult("SYNCED", 1, 1, 1)
    snapshot = Snapshot("validate", "b", "k", 1, "", size=1)
    metrics.count_commit(snapshot, execution, committed)
    partial = snapshot._replace(set_aside=SetAside(1, 2, "", ""))
    metrics.count_commit(partial, execution, CommitResult("PARTIAL", 1, 1))
    metrics.count_read_again()
    metrics.gauge_problems({"FAILED": 0})
    metrics.count_passed_over("files", 0)
    metrics.gauge_differences({"UNKNOWN": 0})
    assert set(printed.metrics()) == set(METRICS)
    assert later.dataset is None


def test_a_metric_has_no_dimension_whose_values_are_many() -> None:
    """No key, no execution, no error: each value of a dimension costs a metric of its own."""
    for name, metric in METRICS.items():
        assert {*metric.dimensions} <= {"dataset", "outcome", "status", "finding", "job"}, name


def test_metrics_are_loaded_when_the_work_is_done() -> None:
    """A cold start does not wait for them."""
    import subprocess
    import sys

    code = (
        "import sys; from handlers import fetch_object, write_items, delete_items, sweep, "
        "safety_net; print([n for n in sys.modules if n.startswith('aws_lambda_powertools')])"
    )
    environment = {"PYTHONPATH": "functions", "AWS_DEFAULT_REGION": "us-east-1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stdout.strip() == "[]"


# ---- logs ----


def test_every_outcome_is_logged_once_with_key_and_execution_and_never_with_content(
    pipeline: Pipeline, printed: Printed
) -> None:
    pipeline.put("notes/a.json", records("a", "b", text=SECRET))
    pipeline.sync("notes/a.json")
    pipeline.sync("notes/a.json")
    pipeline.put("notes/a.json", [{"pk": "a", "sk": "1", "count": -1, "text": SECRET}])
    with pytest.raises(SchemaViolationError) as refused:
        pipeline.sync("notes/a.json")
    assert SECRET not in str(refused.value)
    pipeline.s3.delete_object(Bucket="source", Key="notes/a.json")
    pipeline.sync("notes/a.json")
    logged = printed.logged()
    assert [(each["key"], each["execution"], each["outcome"]) for each in logged] == [
        ("notes/a.json", "e1", "SYNCED"),
        ("notes/a.json", "e2", "UNCHANGED"),
        ("notes/a.json", "e4", "DELETED"),
    ]
    assert SECRET not in printed.text
