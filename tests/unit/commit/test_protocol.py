"""Who acts on a look touches only what that look is entitled to: executions that overtake each
other, functions of two releases, zombies, and what a table or a ledger gives back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.exceptions import ClientError
from handlers import fetch_object, transform_records, validate_records
from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import (
    DatasetChangedError,
    ItemRejectedError,
    StaleRevisionError,
    UnfinishedWriteError,
)
from tablekeeper.ledger.failures import Failure, input_again, record_failure
from tablekeeper.model import sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.items import lineage
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.snapshot import Snapshot

from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.conftest import Pipeline, create_table

KEY = "notes/a.json"
LATER = "2026-01-01T10:10:00.000Z"


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def records(names: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", **more} for name in names]


def held(pipeline: Pipeline) -> dict[str, Any]:
    return {item["pk"]["S"]: item.get("v", {}).get("N") for item in pipeline.items()}


def begun(pipeline: Pipeline, name: str, start: str) -> tuple[Any, dict[str, Any]]:
    """An execution that has looked at the bucket a second after its start."""
    event = pipeline.event(KEY)
    execution = {"id": name, "name": name, "start": start, "redrive": 0, "event": event}
    return fetch_object.handler({"event": event, "entered": start, "round": 0}, None), execution


def fails(pipeline: Pipeline, name: str, start: str, **more: Any) -> None:
    """Records FAILED for an execution."""
    execution = Execution(name, name, start, 0, json.dumps(pipeline.event(KEY, **more)))
    failure = Failure("Write Items", "ExecutionAborted", "")
    assert record_failure(pipeline.dynamodb, "ledger", execution, failure, 1000)


def stops_after(
    pipeline: Pipeline, use: Callable[[Any], None], transactions: int
) -> dict[str, int]:
    """The function's time is up after so many transactions."""
    done = {"n": 0}
    use(Client(pipeline.dynamodb, lambda _: done.update(n=done["n"] + 1)))
    pipeline.seconds_left = lambda: 1000.0 if done["n"] < transactions else 0.0
    return done


# ---- a deployment between two states ----


def _notes(attributes: dict[str, str]) -> Catalogue:
    keyword = {"prefix": "notes/", "attributes": attributes, "key": {"pk": "pk", "sk": "sk"}}
    return Catalogue({"notes": {"type": "object", "x-tablekeeper": keyword}})


OLD, NEW = _notes({"v": "v"}), _notes({"v": "v", "w": "w"})


def test_functions_of_two_releases_do_not_commit_together(pipeline: Pipeline) -> None:
    """Fetch Object is updated, the others are not yet: nothing is written under a digest that they
    do not know, and once they are, the file is.
    """
    pipeline.put(KEY, records("a", v=1, w=2))
    with patch.object(fetch_object, "catalogue", lambda: NEW):
        fetched = pipeline.fetch(KEY)
        for late in ({"validate_records": OLD}, {"transform_records": OLD}):
            catalogues = {"validate_records": NEW, "transform_records": NEW} | late
            with (
                patch.object(
                    validate_records, "catalogue", lambda c=catalogues: c["validate_records"]
                ),
                patch.object(
                    transform_records, "catalogue", lambda c=catalogues: c["transform_records"]
                ),
                pytest.raises(DatasetChangedError, match="digest of the dataset"),
            ):
                pipeline.commit(fetched, pipeline.execution(KEY))
        assert pipeline.items() == []
        with (
            patch.object(validate_records, "catalogue", lambda: NEW),
            patch.object(transform_records, "catalogue", lambda: NEW),
        ):
            assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    (item,) = pipeline.items()
    assert item["w"] == {"N": "2"}


def test_functions_with_other_settings_do_not_commit_together(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records("a"))
    fetched = pipeline.fetch(KEY)
    monkeypatch.setenv("TTL_ATTRIBUTE", "another")
    with pytest.raises(DatasetChangedError):
        pipeline.commit(fetched, pipeline.execution(KEY))


def test_a_dataset_that_a_function_does_not_know_yet_makes_no_file_invalid(
    pipeline: Pipeline,
) -> None:
    pipeline.put(KEY, records("a"))
    fetched = pipeline.fetch(KEY)
    with (
        patch.object(validate_records, "catalogue", lambda: Catalogue({})),
        pytest.raises(DatasetChangedError),
    ):
        pipeline.commit(fetched, pipeline.execution(KEY))


# ---- problems that are newer than a look ----


@pytest.mark.usefixtures("large")
def test_a_write_that_goes_on_keeps_the_problem_of_a_newer_execution(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    pipeline.put(KEY, records("abcdefgh", v=1))
    fetched, execution = begun(pipeline, "E1", "2026-01-01T10:00:00.000Z")
    stops_after(pipeline, use, 3)
    with pytest.raises(UnfinishedWriteError):
        pipeline.commit(fetched, execution)
    pipeline.seconds_left = None
    pipeline.put(KEY, records("abcdefgh", v=2))
    fails(pipeline, "E2", LATER)
    pipeline.commit(fetched, execution)
    assert held(pipeline) == dict.fromkeys("abcdefgh", "1")
    assert pipeline.row(KEY)["problem_status"] == {"S": "FAILED"}


@pytest.mark.usefixtures("large")
def test_a_large_write_removes_the_problem_that_it_answers(pipeline: Pipeline) -> None:
    """Also that of an execution that started, by its clock, after the look."""
    fails(pipeline, "E1", LATER)
    pipeline.put(KEY, records("abcd", v=1))
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert "problem" not in pipeline.row(KEY)


@pytest.mark.usefixtures("large")
def test_whoever_took_a_claim_over_fails_for_the_file(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """However early it started: it answers for the event of the execution that had the claim."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.commit(*begun(pipeline, "C", "2026-01-01T10:01:00.000Z"))
    pipeline.put(KEY, records("abcd", v=2))
    fetched, execution = begun(pipeline, "E", "2026-01-01T10:02:00.000Z")
    calls = {"n": 0}

    def take_over(_: Any) -> None:
        calls["n"] += 1
        if calls["n"] == 3:
            late, _ = begun(pipeline, "T", "2026-01-01T10:02:30.000Z")
            early = {**execution, "id": "T", "name": "T", "start": "2026-01-01T10:00:00.000Z"}
            use(Client(pipeline.dynamodb, denied))
            with pytest.raises(Exception, match="AccessDenied"):
                pipeline.commit(late, early)
            use(pipeline.dynamodb)
            fails(pipeline, "T", "2026-01-01T10:00:00.000Z")

    def denied(_: Any, done: list[int] = []) -> None:  # noqa: B006
        done.append(1)
        if len(done) == 3:
            raise client_error("AccessDeniedException")

    use(Client(pipeline.dynamodb, take_over))
    assert pipeline.commit(fetched, execution)["outcome"] == "SUPERSEDED"
    assert pipeline.row(KEY)["problem_status"] == {"S": "FAILED"}


@pytest.mark.usefixtures("large")
def test_an_execution_that_has_its_claim_again_is_not_superseded(
    moto_pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Whose the claim is holds in the transaction that records it, not in a read before."""
    moto_pipeline.put(KEY, records("abcd", v=1))
    fetched, execution = begun(moto_pipeline, "E", "2026-01-01T10:00:00.000Z")
    ledger_key = {"pk": {"S": f"s3://source/{KEY}"}, "sk": {"S": "CURRENT"}}

    def claimed_by(name: str, claim: str) -> None:
        moto_pipeline.dynamodb.update_item(
            TableName="ledger",
            Key=ledger_key,
            UpdateExpression="SET claimed_by = :who, claim.revision = :claim",
            ExpressionAttributeValues={":who": {"S": name}, ":claim": {"N": claim}},
        )
        for lane in range(2):
            moto_pipeline.dynamodb.update_item(
                TableName="ledger",
                Key={**ledger_key, "sk": {"S": f"CLAIM#{lane}"}},
                UpdateExpression="SET claim = :claim",
                ExpressionAttributeValues={":claim": {"N": claim}},
            )

    def before(arguments: Any) -> None:
        actions = [next(iter(each.values())) for each in arguments["TransactItems"]]
        if any(each["TableName"] == "items" for each in actions):
            claimed_by("another", "98")
        elif any(each.get("Item", {}).get("outcome") for each in actions):
            claimed_by("EVENT#2026-01-01T10:00:00.000Z#E#0", "99")

    use(Client(moto_pipeline.dynamodb, before))
    with pytest.raises(StaleRevisionError):
        moto_pipeline.commit(fetched, execution)
    assert moto_pipeline.outcomes(KEY) == []


@pytest.mark.usefixtures("large")
def test_an_execution_that_has_failed_takes_no_claim(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Its failure was late, and is nobody's problem: who lost a claim to it would be SUPERSEDED."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.commit(*begun(pipeline, "C", "2026-01-01T10:01:00.000Z"))
    pipeline.put(KEY, records("abcd", v=2))
    fetched, execution = begun(pipeline, "E", "2026-01-01T10:00:00.000Z")
    fails(pipeline, "E", "2026-01-01T10:00:00.000Z")
    assert "problem" not in pipeline.row(KEY)
    stops_after(pipeline, use, 1)
    assert pipeline.commit(fetched, execution)["outcome"] == "FAILED"
    assert "claim" not in pipeline.row(KEY)


@pytest.mark.usefixtures("large")
def test_an_older_look_at_the_bucket_claims_nothing(pipeline: Pipeline) -> None:
    pipeline.put(KEY, records("abcd", v=1))
    older = pipeline.fetch(KEY)
    pipeline.put(KEY, records("abcd", v=2))
    pipeline.sync(KEY)
    with pytest.raises(StaleRevisionError):
        pipeline.commit(older, pipeline.execution(KEY))
    assert held(pipeline) == dict.fromkeys("abcd", "2")


@pytest.mark.usefixtures("large")
def test_an_older_look_of_an_execution_does_not_take_the_claim_of_its_newer_one(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Which had it from another execution: that one ended SUPERSEDED, and nobody else is left."""
    pipeline.put(KEY, records("abcd", v=1))
    older, execution = begun(pipeline, "E", "2026-01-01T10:00:00.000Z")
    pipeline.put(KEY, records("abcd", v=2))
    for name in ("F", "E"):
        newer, of_newer = begun(pipeline, name, "2026-01-01T10:01:00.000Z")
        stops_after(pipeline, use, 2)
        with pytest.raises(UnfinishedWriteError):
            pipeline.commit(newer, execution if name == "E" else of_newer)
    pipeline.seconds_left = None
    with pytest.raises(StaleRevisionError):
        pipeline.commit(older, execution)
    assert pipeline.commit(newer, execution)["outcome"] == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abcd", "2")


@pytest.mark.usefixtures("large")
def test_a_lost_overwrite_is_found_by_a_reconcile_during_a_large_write(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    pipeline.put(KEY, records("abcd", v=1))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)

    def overwrite(_: Any, calls: list[int] = []) -> None:  # noqa: B006
        calls.append(1)
        if len(calls) == 3:
            use(pipeline.dynamodb)
            pipeline.put(KEY, records("abcd", v=2))
            running = {"status": "RUNNING"}
            with patch.object(
                aws.states(),
                "describe_execution",
                lambda executionArn: running,  # noqa: N803
            ):
                assert pipeline.sync_batch() == {KEY: ("CLAIM", "TRACED")}
            assert pipeline.sync(KEY)["outcome"] == "SYNCED"

    use(Client(pipeline.dynamodb, overwrite))
    assert pipeline.commit(fetched, execution)["outcome"] == "SUPERSEDED"
    assert held(pipeline) == dict.fromkeys("abcd", "2")


# ---- key lists ----


def test_a_function_of_an_ended_execution_leaves_the_key_list_alone(
    pipeline: Pipeline, use: Callable[[Any], None], in_turn: None
) -> None:
    """The audit row that the safety net wrote cancels the commit: the row still names the list."""
    for names in ("a", "b"):
        pipeline.put(KEY, records([f"{names}{n}" for n in range(60)]))
        pipeline.sync(KEY)
    assert "keys_at" in pipeline.row(KEY)
    pipeline.s3.delete_object(Bucket="source", Key=KEY)
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)

    def aborted(_: Any) -> None:
        use(pipeline.dynamodb)
        fails(pipeline, execution["name"], execution["start"])

    use(Client(pipeline.dynamodb, aborted))
    assert pipeline.commit(fetched, execution)["outcome"] == "FAILED"
    assert pipeline.sync(KEY)["outcome"] == "DELETED"
    assert pipeline.items() == []


@pytest.mark.usefixtures("large")
def test_a_key_list_of_an_earlier_life_of_the_ledger_is_nobody_s(pipeline: Pipeline) -> None:
    """A ledger that was set back gives the same revisions again."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    row = {"pk": {"S": f"s3://source/{KEY}"}, "sk": {"S": "CURRENT"}}
    pipeline.dynamodb.delete_item(TableName="ledger", Key=row)
    pipeline.put(KEY, records("cdef", v=2))
    pipeline.sync(KEY)
    pipeline.put(KEY, [])
    pipeline.sync(KEY)
    assert not set("cdef") & set(held(pipeline))


# ---- what is refused ----


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("life", [60, 100])
def test_an_undo_that_runs_out_of_time_is_gone_on_with(
    pipeline: Pipeline, use: Callable[[Any], None], life: int
) -> None:
    """It does not begin to add again."""
    names = [f"{n:02}" for n in range(60)]
    pipeline.put("notes/b.json", records(["59"]))
    pipeline.sync("notes/b.json")
    pipeline.put(KEY, records(names, v=1))
    done = stops_after(pipeline, use, life)
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    for _ in range(8):
        done["n"] = 0
        try:
            pipeline.commit(fetched, execution)
        except UnfinishedWriteError:
            continue
        except StaleRevisionError:
            break
    assert len(pipeline.items()) == 1
    assert "claim" not in pipeline.row(KEY)


def _refusing(pipeline: Pipeline) -> Client:
    """The user's table has an index on `v`, a number."""

    def before(arguments: Any) -> None:
        bad = [
            "Put" in each and "S" in each["Put"]["Item"].get("v", {})
            for each in arguments["TransactItems"]
        ]
        if any(bad):
            reasons = [
                {"Code": "ValidationError", "Message": "Type mismatch for Index Key v"}
                if each
                else {"Code": "None"}
                for each in bad
            ]
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)

    return Client(pipeline.dynamodb, before)


@pytest.mark.usefixtures("large")
def test_what_was_refused_is_written_by_force_once_its_cause_is_gone(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    pipeline.put(KEY, records("abcdefg", v=2) + records("h", v="two"))
    use(_refusing(pipeline))
    refused = pipeline.execution(KEY)
    with pytest.raises(StaleRevisionError):
        pipeline.commit(pipeline.fetch(KEY), refused)
    with pytest.raises(ItemRejectedError):
        pipeline.commit(pipeline.fetch(KEY), refused)
    use(pipeline.dynamodb)
    with pytest.raises(ItemRejectedError):
        pipeline.sync(KEY)
    forced = pipeline.execution(KEY) | {"event": pipeline.event(KEY, force=True)}
    assert pipeline.commit(pipeline.fetch(KEY, force=True), forced)["outcome"] == "SYNCED"


def test_what_dynamodb_refuses_as_a_whole_is_the_file_s_fault(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    def refuse(_: Any) -> None:
        raise client_error("ValidationException")

    pipeline.put(KEY, records("ab"))
    use(Client(pipeline.dynamodb, refuse))
    with pytest.raises(ItemRejectedError, match="DynamoDB refuses the items"):
        pipeline.sync(KEY)


def test_another_key_schema_is_no_fault_of_the_file(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    message = "The provided key element does not match the schema"

    def refuse(_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "ValidationException", "Message": message}}, "TransactWriteItems"
        )

    pipeline.put(KEY, records("ab"))
    use(Client(pipeline.dynamodb, refuse))
    with pytest.raises(ClientError, match=message):
        pipeline.sync(KEY)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param(1, "Item size to update has exceeded the maximum", id="a row of the ledger"),
        pytest.param(2, "The provided key element does not match the schema", id="a put"),
        pytest.param(4, "The provided key element does not match the schema", id="a deletion"),
    ],
)
def test_what_is_invalid_but_no_content_of_an_item_is_no_fault_of_the_file(
    pipeline: Pipeline, use: Callable[[Any], None], place: int, message: str
) -> None:
    """DynamoDB names it among the reasons of a cancelled transaction. A retry does not help."""

    def refuse(arguments: Any) -> None:
        reasons: list[Any] = [{"Code": "None"} for _ in arguments["TransactItems"]]
        reasons[place] = {"Code": "ValidationError", "Message": message}
        raise client_error("TransactionCanceledException", CancellationReasons=reasons)

    pipeline.put(KEY, records("ax", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("ab", v=2))
    use(Client(pipeline.dynamodb, refuse))
    with pytest.raises(ClientError, match="TransactionCanceled"):
        pipeline.sync(KEY)


# ---- releases, sizes, texts ----


@pytest.mark.usefixtures("large")
def test_progress_belongs_to_the_release_that_cut_the_transactions(
    pipeline: Pipeline, use: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.put(KEY, records([f"{n:02}" for n in range(24)], v=1))
    stops_after(pipeline, use, 5)
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    with pytest.raises(UnfinishedWriteError):
        pipeline.commit(fetched, execution)
    pipeline.seconds_left = None
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 3)
    pipeline.commit(fetched, execution)
    assert len(pipeline.items()) == 24


def test_the_lineage_fits_what_is_reserved() -> None:
    arn = "arn:aws:states:eu-central-1:123456789012:execution:" + "m" * 80 + ":" + "e" * 80
    found = Snapshot("validate", "b" * 63, "k" * 956, 1, "", **LINEAGE)  # type: ignore[arg-type]
    assert sizes.item_size({"_source": lineage(found, arn)}) <= 2 * sizes.item_size({})


LINEAGE = {"dataset": "d" * 100, "digest": "d" * 32, "etag": "e" * 37, "version_id": "v" * 32}


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("1" + "0" * 40, "1E+40"),
        ("1E40", "1E+40"),
        ("0." + "0" * 39 + "1", "1E-40"),
        ("1.10", "1.1"),
        ("-0.0", "0"),
        ("007", "7"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_equal_keys_have_one_text(text: str, one: str) -> None:
    assert ItemKey.of({"pk": {"N": text}}) == ItemKey.of({"pk": {"N": one}})
    assert ItemKey.of({"pk": {"N": text}}).attributes == {"pk": {"N": one}}


class Plain:
    """DynamoDB: it gives numbers back without an exponent, and compares keys by value."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        if name not in ("get_item", "query", "scan", "batch_get_item", "transact_write_items"):
            return call
        return lambda **arguments: _plain(call(**_plain(arguments)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"N"}:
            return {"N": f"{Decimal(value['N']):f}"}
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def test_a_file_with_a_large_number_as_its_key_is_written_again(
    moto_pipeline: Pipeline, use: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("dynamodb").delete_table(TableName="items")
    create_table(moto_pipeline.dynamodb, "items", "pk:N", "sk:S")
    monkeypatch.setenv("ITEM_KEYS", "pk:N,sk:S")
    client = Plain(moto_pipeline.dynamodb)
    use(client)
    monkeypatch.setattr(aws, "dynamodb", lambda: client)
    for value in (1, 2):
        moto_pipeline.put(KEY, b'[{"pk": 1e40, "sk": "1", "v": %d}]' % value)
        assert moto_pipeline.sync(KEY) == {
            "outcome": "SYNCED",
            "items_put": 1,
            "items_removed": 0,
            "items_kept": 0,
        }


def test_many_long_keys_leave_room_for_a_problem(pipeline: Pipeline) -> None:
    """They are kept in the staging bucket, by their bytes; of an input no more than fits."""
    pipeline.put(KEY, [{"pk": f"{n:02}" + "p" * 2046, "sk": "s" * 1024} for n in range(98)])
    assert pipeline.sync(KEY)["outcome"] == "SYNCED"
    assert "item_keys" not in pipeline.row(KEY)
    fails(pipeline, "E", "2027-01-01T00:00:00.000Z", note="x" * 250_000)
    assert sizes.item_size(pipeline.row(KEY)) < 400_000


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({}, True),
        ({"note": "x"}, True),
        ({"force": True}, False),
        ({"release": True}, False),
        ({"note": "x" * 110_000}, False),
    ],
    ids=["plain", "with a note", "forced", "released", "long"],
)
def test_a_problem_keeps_an_input_that_starts_the_file_again(more: Any, kept: bool) -> None:
    """Flags are of one execution, and a row has an end."""
    address = {"detail": {"bucket": {"name": "source"}, "object": {"key": KEY}}}
    event = json.dumps({**address, **more})
    assert json.loads(input_again(event)) == ({**address, **more} if kept else address)


# ---- another items table ----


def test_another_table_is_written_though_the_object_is_the_same(
    moto_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_pipeline.put(KEY, records("abc"))
    moto_pipeline.sync(KEY)
    create_table(moto_pipeline.dynamodb, "items2", "pk:S", "sk:S")
    monkeypatch.setenv("ITEMS_TABLE", "items2")
    assert moto_pipeline.sync_batch() == {KEY: ("OUTDATED", "SYNCED")}
    assert moto_pipeline.dynamodb.scan(TableName="items2")["Count"] == 3
    assert moto_pipeline.sync(KEY)["outcome"] == "UNCHANGED"


@pytest.mark.usefixtures("either")
def test_another_key_of_the_table_leaves_the_old_keys_alone(
    moto_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_pipeline.put(KEY, [{"pk": name, "sk": "1", "id": f"i{name}"} for name in "abc"])
    moto_pipeline.sync(KEY)
    create_table(moto_pipeline.dynamodb, "items2", "id:S")
    monkeypatch.setenv("ITEM_KEYS", "id:S")
    monkeypatch.setenv("ITEMS_TABLE", "items2")
    ended = moto_pipeline.sync(KEY)
    assert (ended["items_put"], ended["items_removed"]) == (3, 0)
    assert moto_pipeline.dynamodb.scan(TableName="items2")["Count"] == 3
