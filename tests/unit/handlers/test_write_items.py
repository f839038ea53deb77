"""Write Items: one transaction, on condition of the revision, once an execution."""

import json
from typing import Any

import pytest
from handlers import write_items
from tablekeeper import tables
from tablekeeper.causes import values_of
from tablekeeper.commit.conflicts import conflict
from tablekeeper.errors import KeyOwnershipError, StaleRevisionError, TablekeeperError
from tablekeeper.model.keys import ItemKey

from tests.support.fakes import client_error
from tests.unit.conftest import Pipeline


def records(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", **more} for name in names]


def names(pipeline: Pipeline) -> set[str]:
    return {item["pk"]["S"] for item in pipeline.items()}


def test_records_become_items_with_their_lineage(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", b'[{"pk": "a", "sk": "1", "count": 1.10, "text": ""}]')
    assert pipeline.sync("notes/a.json") == {
        "outcome": "SYNCED",
        "items_put": 1,
        "items_removed": 0,
        "items_kept": 0,
    }
    (item,) = pipeline.items()
    source = item.pop("_source")["M"]
    assert item == {"pk": {"S": "a"}, "sk": {"S": "1"}, "count": {"N": "1.1"}, "text": {"S": ""}}
    assert (source["bucket"], source["key"]) == ({"S": "source"}, {"S": "notes/a.json"})
    assert {"version_id", "etag", "dataset", "digest", "execution", "time"} <= source.keys()


def test_what_vanished_from_the_file_vanishes_from_the_table(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records(*"abcde"))
    pipeline.sync("notes/a.json")
    pipeline.put("notes/a.json", records(*"ace"))
    assert pipeline.sync("notes/a.json")["items_removed"] == 2
    assert names(pipeline) == set("ace")


def test_unchanged_raises_the_revision(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("a"))
    pipeline.sync("notes/a.json")
    assert pipeline.sync("notes/a.json")["outcome"] == "UNCHANGED"
    assert pipeline.row("notes/a.json")["revision"] == {"N": "2"}
    assert pipeline.outcomes("notes/a.json") == ["SYNCED", "UNCHANGED"]


def test_an_older_look_at_the_bucket_cannot_commit(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("a"))
    old = pipeline.fetch("notes/a.json")
    pipeline.put("notes/a.json", records("b"))
    pipeline.sync("notes/a.json")
    with pytest.raises(StaleRevisionError):
        pipeline.commit(old, pipeline.execution("notes/a.json"))
    assert names(pipeline) == {"b"}


def test_a_second_attempt_of_an_execution_finds_its_outcome(pipeline: Pipeline) -> None:
    """The first one's answer was lost."""
    pipeline.put("notes/a.json", records("a"))
    fetched, execution = pipeline.fetch("notes/a.json"), pipeline.execution("notes/a.json")
    pipeline.commit(fetched, execution)
    assert pipeline.commit(fetched, execution)["outcome"] == "SYNCED"
    assert pipeline.outcomes("notes/a.json") == ["SYNCED"]
    assert pipeline.row("notes/a.json")["revision"] == {"N": "1"}


def test_an_item_of_another_file_is_not_touched(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("x"))
    pipeline.sync("notes/a.json")
    pipeline.put("notes/b.json", records("w", "x", "y"))
    with pytest.raises(KeyOwnershipError) as caught:
        pipeline.sync("notes/b.json")
    assert caught.value.owner == "s3://source/notes/a.json"
    assert caught.value.item.attributes == {"pk": {"S": "x"}, "sk": {"S": "1"}}
    assert caught.value.values == {
        "item": caught.value.item.attributes,
        "owner": "s3://source/notes/a.json",
    }
    assert names(pipeline) == {"x"}
    assert pipeline.outcomes("notes/b.json") == []


def test_a_refusal_names_an_item_of_each_file_in_the_way(pipeline: Pipeline) -> None:
    for name in "xyz":
        pipeline.put(f"notes/{name}.json", records(name, f"{name}2"))
        pipeline.sync(f"notes/{name}.json")
    foreign = {"pk": {"S": "w"}, "sk": {"S": "1"}}
    pipeline.dynamodb.put_item(TableName="items", Item=foreign)
    pipeline.put("notes/b.json", records("free", "x", "x2", "y", "y2", "w", "z"))
    with pytest.raises(KeyOwnershipError) as caught:
        pipeline.sync("notes/b.json")
    values = values_of(json.dumps({"errorMessage": str(caught.value)}))
    assert values == caught.value.values
    named = [values, *values["others"]]
    assert [(each["item"]["pk"]["S"][0], each["owner"]) for each in named] == [
        (name, f"s3://source/notes/{name}.json") for name in "xyz"
    ]


def test_a_refusal_has_room_for_its_owners() -> None:
    """Step Functions cuts a Cause, and cut values are none."""
    keys = [ItemKey.of({"pk": {"S": "é" * 1000 + str(n)}}) for n in range(100)]
    error = conflict([(keys[0], "a" * 1000), *((key, key.text[-9:]) for key in keys)])
    assert "others" not in error.values
    keys = [ItemKey.of({"pk": {"S": "é" * 100 + str(n)}}) for n in range(100)]
    error = conflict([(keys[0], "a" * 1000), *((key, key.text[-9:]) for key in keys)])
    assert len(error.values["others"]) == 2


def test_an_item_that_tablekeeper_did_not_write_is_not_touched(pipeline: Pipeline) -> None:
    foreign = {"pk": {"S": "x"}, "sk": {"S": "1"}, "mine": {"S": "all mine"}}
    pipeline.dynamodb.put_item(TableName="items", Item=foreign)
    pipeline.put("notes/a.json", records("x"))
    with pytest.raises(KeyOwnershipError) as caught:
        pipeline.sync("notes/a.json")
    assert caught.value.owner is None
    assert caught.value.values == {"item": caught.value.item.attributes, "owner": None}
    assert pipeline.items() == [foreign]


def test_an_item_that_another_file_took_over_is_not_removed(pipeline: Pipeline) -> None:
    """It expired by TTL, and another file brought one with its key."""
    pipeline.put("notes/a.json", records("x", "y", "z"))
    pipeline.sync("notes/a.json")
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "x"}, "sk": {"S": "1"}})
    pipeline.put("notes/b.json", records("x"))
    pipeline.sync("notes/b.json")
    pipeline.put("notes/a.json", records("z"))
    assert pipeline.sync("notes/a.json") == {
        "outcome": "SYNCED",
        "items_put": 0,
        "items_removed": 1,
        "items_kept": 1,
    }
    assert names(pipeline) == {"x", "z"}


def test_a_commit_removes_the_problem(pipeline: Pipeline) -> None:
    pipeline.dynamodb.put_item(
        TableName="ledger",
        Item={
            "pk": {"S": "s3://source/notes/a.json"},
            "sk": {"S": "CURRENT"},
            "revision": {"N": "4"},
            "problem": {"M": {}},
            "problem_status": {"S": "INVALID"},
            "problem_at": {"S": "then"},
            "problem_error": {"S": "SomeError"},
            "problem_dataset": {"S": "notes"},
        },
    )
    pipeline.put("notes/a.json", records("a"))
    pipeline.sync("notes/a.json")
    row = pipeline.row("notes/a.json")
    assert row["revision"] == {"N": "5"}
    assert not [name for name in row if name.startswith("problem")]


def test_the_keys_of_all_items_are_kept(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("b", "a"))
    pipeline.sync("notes/a.json")
    kept = pipeline.row("notes/a.json")["item_keys"]["L"]
    assert [each["M"]["pk"]["S"] for each in kept] == ["a", "b"]


def test_staged_items_are_committed_too(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records(*"abc", text="x" * 100_000))
    assert pipeline.sync("notes/a.json")["items_put"] == 3
    assert {len(item["text"]["S"]) for item in pipeline.items()} == {100_000}


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["None", "None", "TransactionConflict"], "TransientServiceError"),
        (["None", "None", "ThrottlingError"], "TransientServiceError"),
        (["None", "None", "ValidationError"], "ItemRejectedError"),
    ],
)
def test_other_reasons_of_a_cancelled_transaction_are_told_apart(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, codes: list[str], error: str
) -> None:
    pipeline.put("notes/a.json", records("a"))
    fetched, execution = pipeline.fetch("notes/a.json"), pipeline.execution("notes/a.json")
    reasons = [{"Code": code, "Message": "why"} for code in codes]

    class Cancelling:
        get_item = pipeline.dynamodb.get_item
        describe_table = pipeline.dynamodb.describe_table

        def transact_write_items(self, **_: Any) -> None:
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)

    monkeypatch.setattr(tables, "dynamodb", Cancelling)
    with pytest.raises(TablekeeperError) as caught:
        pipeline.commit(fetched, execution)
    assert type(caught.value).__name__ == error


def test_the_audit_row_holds_the_event_and_expires(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("a"))
    pipeline.sync("notes/a.json")
    row = pipeline.row("notes/a.json", "EVENT#2026-01-01T00:00:01.000Z#e1#0")
    assert json.loads(row["event"]["S"]) == pipeline.event("notes/a.json")
    assert int(row["expires_at"]["N"]) > 1_700_000_000
    assert row["items_put"] == {"N": "1"}


def test_a_set_of_items_that_is_not_understood_is_no_empty_set(pipeline: Pipeline) -> None:
    pipeline.put("notes/a.json", records("a"))
    pipeline.sync("notes/a.json")
    found = pipeline.fetch("notes/a.json", force=True)["found"]
    payload = {"found": found, "execution": pipeline.execution("notes/a.json")}
    with pytest.raises(KeyError):
        write_items.handler({**payload, "items": {"unexpected": 1}}, None)
    assert names(pipeline) == {"a"}
