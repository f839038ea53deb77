"""What the definition writes into the ledger by itself is what the code would write."""

import json
import random
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from tablekeeper.ledger.ends import EndKey, RecordedEnd, write_end
from tablekeeper.ledger.failures import Failure, record_failure, record_invalid, uri_of
from tablekeeper.ledger.rows import shard_of
from tablekeeper.ledger.writes import audit_row
from tablekeeper.model import times
from tablekeeper.model.execution import Execution
from tablekeeper.model.snapshot import Snapshot

from tests.statemachine.asl import filled
from tests.support.fakes import FakeDynamoDB
from tests.support.interpreter import compiled
from tests.support.project import SERVICE_TASKS, states

PROMPT, LATE = SERVICE_TASKS
NO_CLAIM = " AND attribute_not_exists(claim_state)"
STARTS = [
    "2026-01-31T12:00:00.000Z",
    "2026-01-31T12:00:00.5Z",
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00.123456Z",
]
INPUTS = [
    {"detail": {"bucket": {"name": "b"}, "object": {"key": "in/a b+c%20&\"'ö🙂.json"}}},
    {"detail": {"bucket": {"name": "b"}, "object": {"key": "a"}}, "force": True, "n": [1, None]},
    {"detail": {}},
    {},
    [{"detail": {"bucket": {"name": "b"}, "object": {"key": "a"}}}],
    {"detail": {"bucket": {"name": "b"}, "object": {"key": True}}},
    {"detail": [{"bucket": {"name": "b"}, "object": {"key": "a"}}]},
    "text",
    5,
    None,
]

INPUT_IDS = [
    "special characters",
    "with flags",
    "an empty detail",
    "empty",
    "in an array",
    "a key that is true",
    "a detail in an array",
    "text",
    "a number",
    "null",
]


def _evaluate(expression: str, start: str, event: Any, redrive: int | None, **more: Any) -> Any:
    execution = {"Id": "arn:x", "Name": "n-1", "StartTime": start, "Input": event}
    if redrive is not None:
        execution["RedriveCount"] = redrive
    bindings = {"states": {"context": {"Execution": execution}}, **more}
    return compiled(filled(expression)).evaluate(None, bindings)


def _audit_item(state: str) -> dict[str, Any]:
    arguments = states()[state]["Arguments"]
    put = arguments["TransactItems"][0]["Put"] if state == PROMPT else arguments
    item: dict[str, Any] = put["Item"]
    assert put["ConditionExpression"] == "attribute_not_exists(pk)"
    assert put["TableName"] == "${LedgerTableName}"
    return item


def _expression(value: dict[str, str]) -> str:
    (text,) = value.values()
    return text.removeprefix("{%").removesuffix("%}").strip()


@pytest.mark.parametrize("state", SERVICE_TASKS)
@pytest.mark.parametrize("redrive", [None, 0, 3])
@pytest.mark.parametrize("start", STARTS)
def test_the_definition_and_the_code_give_an_execution_the_same_audit_row(
    state: str, start: str, redrive: int | None
) -> None:
    """The row's key makes an outcome happen once, so it has to be the same whoever writes it."""
    key = _evaluate(_expression(_audit_item(state)["sk"]), start, INPUTS[0], redrive)
    assert key == Execution("arn:x", "n-1", start, redrive or 0).audit_key


@pytest.mark.parametrize("state", SERVICE_TASKS)
@pytest.mark.parametrize("event", INPUTS, ids=INPUT_IDS)
def test_the_definition_and_the_code_give_an_object_the_same_row(state: str, event: Any) -> None:
    """Whatever an execution is started with."""
    for assigned in _uris():
        uri = _evaluate(assigned, STARTS[0], event, 0)
        problem = {"uri": uri}
        assert uri == uri_of(json.dumps(event))
        pk = _expression(_audit_item(state)["pk"])
        assert _evaluate(pk, STARTS[0], event, 0, problem=problem) == uri
        shard = _update()["ExpressionAttributeValues"][":shard"]
        assert _evaluate(_expression(shard), STARTS[0], event, 0, problem=problem) == shard_of(uri)


def _uris() -> list[str]:
    """The expressions by which states that know no object yet name the row of an input."""
    catches = [
        each
        for name in ("Fetch Object", "What Now?")
        for each in (*states()[name].get("Catch", ()), states()[name])
    ]
    named = [each["Assign"]["problem"]["uri"] for each in catches if "problem" in each["Assign"]]
    assert named
    return [each.removeprefix("{%").removesuffix("%}").strip() for each in named]


def test_inputs_that_are_no_events_never_name_a_file() -> None:
    """However the parts of an event are wrapped, replaced or left out, both readings agree, and
    what is no text where text belongs names no file.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    odd: list[Any] = [None, True, False, 0, 7, 1.5, "", "x", [], {}, [[]], [{}], ["a"], ["a", "b"]]

    def spoilt(value: Any) -> Any:
        kind = chance.randrange(6)
        if kind == 0:
            return chance.choice(odd)
        if kind == 1:
            return [value] * chance.randint(1, 2)
        return (
            {name: spoilt(each) for name, each in value.items()}
            if isinstance(value, dict) and kind < 5
            else value
        )

    whole = {"detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}}
    for _ in range(400):
        event = spoilt(whole)
        uri = uri_of(json.dumps(event))
        for assigned in _uris():
            assert _evaluate(assigned, STARTS[0], event, 0) == uri, event
        named = _plain(event)
        assert uri == (f"s3://{named[0]}/{named[1]}" if named else "s3:///"), event


def _plain(event: Any) -> tuple[str, str] | None:
    match event:
        case {"detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}}:
            return bucket, key
    return None


@pytest.mark.parametrize(("redrive", "retention"), [(None, 400 * 86400), (3, 86400)])
def test_the_definition_and_the_code_give_an_end_the_same_row(
    redrive: int | None, retention: int
) -> None:
    """By which the sweep knows, without DescribeExecution, that an execution recorded itself."""
    put = states()[PROMPT]["Arguments"]["TransactItems"][2]["Put"]
    assert "ConditionExpression" not in put
    problem = {"uri": "s3://b/a", "status": "INVALID", "error": "EncodingError"}
    item = {
        name: {
            kind: _evaluate(_expression({kind: text}), STARTS[0], {}, redrive, problem=problem)
            for kind, text in value.items()
        }
        for name, value in put["Item"].items()
        if name != "expires_at"
    }
    dynamodb: Any = FakeDynamoDB()
    key, end = EndKey("n-1", redrive or 0), RecordedEnd("s3://b/a", "INVALID", "EncodingError")
    write_end(dynamodb, "ledger", key, end, retention)
    (written,) = dynamodb.tables["ledger"].values()
    expression = _expression(put["Item"]["expires_at"])
    expression = expression.replace("${AuditRetentionSeconds}", str(retention))
    expires = int(_evaluate(expression, STARTS[0], {}, redrive))
    # A name can be another execution's after 90 days.
    assert expires < time.time() + 90 * 86400
    assert abs(expires - int(written["expires_at"]["N"])) < 60
    assert item == {name: each for name, each in written.items() if name != "expires_at"}
    assert set(put["Item"]) == set(written)


@pytest.mark.parametrize(
    ("since", "expression"),
    [("", "if_not_exists(problem_since, :since)"), ("2026-01-01T00:00:00.000Z", ":since")],
    ids=["nobody looked at the content", "the content is known"],
)
def test_a_problem_is_as_old_as_the_first_failure_of_its_content(
    since: str, expression: str
) -> None:
    problem = {"status": "FAILED", "since": since}
    changed = _evaluate(_update()["UpdateExpression"][2:-2], STARTS[0], {}, 0, problem=problem)
    assert f"problem_since = {expression}," in changed
    value = _expression(_update()["ExpressionAttributeValues"][":since"])
    at = _evaluate(value, STARTS[0], {}, 0, problem=problem)
    assert at == since if since else re.fullmatch(r"\d{4}-.*Z", at)


@pytest.mark.parametrize(
    ("status", "dataset", "expression"),
    [
        ("FAILED", "-", "if_not_exists(dataset, :dataset)"),
        ("FAILED", "notes", ":dataset"),
        ("INVALID", "-", ":dataset"),
    ],
    ids=["failed before it was known", "known", "none has the file any more"],
)
def test_a_file_that_fails_before_it_is_looked_at_keeps_its_dataset(
    status: str, dataset: str, expression: str
) -> None:
    problem = {"status": status, "since": "", "dataset": dataset, "as_of": "x"}
    changed = _evaluate(_update()["UpdateExpression"][2:-2], STARTS[0], {}, 0, problem=problem)
    assert f"problem_dataset = {expression}, " in changed


def test_both_rows_of_a_failure_are_one_and_the_same() -> None:
    """But for the object's row, which the late one leaves alone."""
    assert _audit_item(PROMPT) == _audit_item(LATE)
    execution = Execution("arn:x", "n-1", STARTS[0])
    written = audit_row("s3://b/a", execution, "FAILED", 1, state="s", error="e", cause="c")
    assert set(_audit_item(LATE)) == set(written)
    assert {n: next(iter(v)) for n, v in _audit_item(LATE).items()} == {
        n: next(iter(v)) for n, v in written.items()
    }


class _Recorder:
    """Keeps what would be written."""

    actions: list[Any]

    def transact_write_items(self, TransactItems: list[Any]) -> None:  # noqa: N803
        self.actions = TransactItems


def _update() -> dict[str, Any]:
    update: dict[str, Any] = states()[PROMPT]["Arguments"]["TransactItems"][1]["Update"]
    return update


def test_the_safety_net_records_a_problem_as_the_definition_does() -> None:
    recorder: Any = _Recorder()
    execution = Execution("arn:x", "n-1", STARTS[0], event=json.dumps(INPUTS[1]))
    assert record_failure(recorder, "ledger", execution, Failure("s", "e", "c"), 1)
    theirs = recorder.actions[1]["Update"]["ExpressionAttributeValues"]
    ours = _update()["ExpressionAttributeValues"]
    assert set(ours[":problem"]["M"]) == set(theirs[":problem"]["M"])
    condition = _evaluate(
        _update()["ConditionExpression"][2:-2], STARTS[0], {}, 0, problem={"status": "FAILED"}
    )
    assert condition == recorder.actions[1]["Update"]["ConditionExpression"]


@pytest.mark.parametrize("revision", [0, 7])
def test_a_batch_records_a_bad_file_as_the_definition_does(revision: int) -> None:
    recorder: Any = _Recorder()
    execution = Execution("arn:x", "n-1", STARTS[0], event=json.dumps(INPUTS[0]))
    seen = Snapshot("validate", "b", "a", revision, "2026-01-31T11:59:55.000Z", dataset="d")
    tables: Any = SimpleNamespace(client=recorder, ledger="ledger", audit_retention=1)
    record_invalid(tables, seen, execution, Failure("s", "e", "c"))
    theirs = recorder.actions[1]["Update"]
    ours = _update()["ExpressionAttributeValues"][":problem"]["M"]
    assert set(ours) == set(theirs["ExpressionAttributeValues"][":problem"]["M"])
    problem = {"status": "INVALID", "revision": revision, "as_of": seen.as_of, "since": "x"}
    condition = _update()["ConditionExpression"][2:-2]
    condition = _evaluate(condition, STARTS[0], {}, 0, problem=problem)
    assert condition == theirs["ConditionExpression"]
    changed = _evaluate(_update()["UpdateExpression"][2:-2], STARTS[0], {}, 0, problem=problem)
    names = r"(\w+) = "
    assert set(re.findall(names, changed)) == set(re.findall(names, theirs["UpdateExpression"]))
    assert theirs["ExpressionAttributeValues"][":bound"] == {"N": str(revision)}


@pytest.mark.parametrize(
    ("problem", "condition"),
    [
        (
            {"status": "FAILED"},
            "attribute_not_exists(as_of) OR as_of < :bound OR claimed_by = :claimant",
        ),
        (
            {"status": "INVALID", "revision": 0},
            f"(attribute_not_exists(revision) OR revision = :bound){NO_CLAIM}",
        ),
        ({"status": "INVALID", "revision": 7}, f"revision = :bound{NO_CLAIM}"),
    ],
)
def test_invalid_holds_for_the_revision_that_was_read_and_failed_for_no_later_look(
    problem: dict[str, Any], condition: str
) -> None:
    values = _update()["ExpressionAttributeValues"]
    assert (
        _evaluate(_update()["ConditionExpression"][2:-2], "", {}, 0, problem=problem) == condition
    )
    bound = _evaluate(values[":bound"][2:-2], STARTS[1], {}, 0, problem=problem)
    assert bound == (
        {"S": times.iso_milliseconds(STARTS[1])}
        if problem["status"] == "FAILED"
        else {"N": str(problem["revision"])}
    )


@pytest.mark.parametrize("status", ["INVALID", "FAILED"])
def test_every_value_of_record_failure_is_used_in_its_expressions(status: str) -> None:
    """DynamoDB refuses values that no expression uses, and expressions without their values."""
    problem = {"status": status, "revision": 1, "as_of": "x", "since": ""}
    text = " ".join(
        _evaluate(_update()[each][2:-2], STARTS[0], {}, 0, problem=problem)
        for each in ("UpdateExpression", "ConditionExpression")
    )
    assert set(re.findall(r":\w+", text)) == set(_update()["ExpressionAttributeValues"])
