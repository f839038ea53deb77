"""The `tablekeeper` command against real failures: what an engineer on call would type."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter

import pytest

from tests.e2e.desk import Desk
from tests.e2e.observer import Observer

pytestmark = pytest.mark.xdist_group("commands")

FILES = int(os.environ.get("COMMANDS_FILES", "60"))
"""How many files go bad and are mended: 500 takes some minutes."""


def test_files_of_three_kinds_are_mended_and_reprocessed_in_one_command(desk: Desk) -> None:
    keys = [f"notes/mend/{number:03}.json" for number in range(FILES)]
    bad = (b"[{", [{"pk": "p", "sk": "1", "stars": 9}], [{"sk": "1"}])
    errors = ("MalformedJsonError", "SchemaViolationError", "KeyMissingError")
    desk.put_all({key: bad[number % 3] for number, key in enumerate(keys)})
    desk.until(lambda: desk.statuses("notes/mend/") == {"INVALID": FILES})
    told = desk.ask("failures", "--prefix", "notes/mend/", "--limit", "7", code=1)
    assert (told["count"], len(told["failures"])) == (FILES, 7)
    assert {each["error"]: each["count"] for each in told["by_error"]} == Counter(
        errors[number % 3] for number in range(FILES)
    )

    with desk.events_off():
        desk.put_all({key: [{"pk": key, "sk": "1"}] for key in keys})
        chosen = ("--dataset", "notes", "--since", "1d", "--prefix", "notes/mend/")
        plan = desk.ask("reprocess", *chosen, "--dry-run")
        assert sorted(plan["files"]) == keys
        done = desk.ask("reprocess", *chosen, "--rate", "50")
    assert (done["started"], done["outcomes"]) == (FILES, {"SYNCED": FILES})
    assert desk.statuses("notes/mend/") == {"SYNCED": FILES}
    assert desk.ask("failures", "--prefix", "notes/mend/")["count"] == 0


def test_what_is_bad_still_is_told_again(desk: Desk) -> None:
    desk.put("notes/still/bad.json", b"{")
    desk.settled("notes/still/bad.json", "INVALID")
    done = desk.ask("reprocess", "notes/still/bad.json", code=1)
    assert done["outcomes"] == {"INVALID": 1}
    (file,) = done["files"]
    assert (file["error"], file["key"]) == ("MalformedJsonError", "notes/still/bad.json")
    text = desk.run("reprocess", "--error", "MalformedJsonError", "--status", "INVALID", code=1)
    assert "notes/still/bad.json" in text
    desk.put("notes/still/bad.json", [])
    desk.settled("notes/still/bad.json", *["INVALID"] * 3, "SYNCED")


def test_a_failure_names_the_record_the_pointer_and_what_to_do(desk: Desk) -> None:
    key = "notes/told/<script>alert(1)</script>\x1b[31m [red].json"
    desk.put(key, [{"pk": "told", "sk": "1"}, {"pk": "told", "sk": "2", "stars": 9}])
    desk.settled(key, "INVALID")
    told = desk.ask("failure", key)
    assert told["violations"] == [
        {
            "record": 1,
            "pointer": "/stars",
            "keyword": "maximum",
            "expected": "at most 5",
            "found": "an integer",
            "line": 1,
        }
    ]
    report = desk.stack.client("s3").get_object(
        Bucket=desk.stack.outputs["StagingBucketName"], Key=told["report"].split("/", 3)[3]
    )
    whole = json.load(report["Body"])
    assert whole["violations"] == 1
    assert desk.ask("failure", key, "--report") == whole
    shown = desk.run("failure", key)
    assert "/stars" in shown
    assert "What to do: Mend the records" in shown
    everywhere = shown + desk.run("status", key) + desk.run("failures", code=1)
    assert r"\x1b[31m [red].json" in everywhere
    assert "\x1b" not in everywhere
    desk.put(key, [])
    desk.settled(key, "INVALID", "SYNCED")


def test_a_file_its_history_and_its_items_lead_to_each_other(desk: Desk) -> None:
    key = "notes/known.json"
    desk.put(key, [{"pk": "known", "sk": "1"}])
    desk.settled(key, "SYNCED")
    desk.put(key, [{"pk": "known", "sk": "1", "price": 1.5}, {"pk": "known", "sk": "2"}])
    desk.settled(key, "SYNCED", "SYNCED")
    told = desk.ask("status", key)
    assert (told["status"], told["items"], told["problem"]) == ("SYNCED", 2, None)
    newest, oldest = desk.ask("history", key)["events"]
    assert (newest["execution"], newest["outcome"]) == (told["execution"], "SYNCED")
    assert newest["details"]["version_id"] == told["version_id"]
    assert (oldest["details"]["items_put"], oldest["details"]["items_removed"]) == (1, 0)
    assert (newest["reason"], newest["who"]) == ("Object Created (PutObject)", "event")
    assert newest["event"]["detail"]["object"]["key"] == key
    keys = [{"pk": "known", "sk": "1"}, {"pk": "known", "sk": "2"}]
    assert desk.ask("items", key) == {"items": keys, "more": False}
    assert desk.ask("items", key, "--limit", "1") == {"items": keys[:1], "more": True}
    item = desk.ask("item", "known", "1")
    assert item["attributes"]["price"] == {"N": "1.5"}
    names = ("key", "version_id", "execution")
    assert [item["lineage"][name] for name in names] == [
        key,
        told["version_id"],
        told["execution"],
    ]
    assert [each["sk"] for each in desk.ask("item", "known")["items"]] == ["1", "2"]
    assert key in desk.run("item", "known", "2")
    assert "Object Created (PutObject)" in desk.run("history", key)


def test_what_nobody_knows_is_told_with_an_exit_code_of_its_own(desk: Desk) -> None:
    for arguments in (("status", "no"), ("history", "no"), ("failure", "no"), ("item", "no", "1")):
        assert "no" in desk.run(*arguments, code=3)
    assert "4h" in desk.run("failures", "--since", "yesterday", code=2)
    assert "notes" in desk.run("failures", "--dataset", "typo", code=2)
    assert "SchemaViolationError" in desk.run("failures", "--error", "SchemaViolation", code=2)
    assert "no file" in desk.run("failures", "--prefix", "typo/", code=2)
    assert "--all" in desk.run("reprocess", code=2)
    before = desk.ask("status")
    assert "nothing was started" in desk.run("reprocess", "no/such/key.json", code=3)
    assert desk.ask("status")["files"] == before["files"]
    desk.run("status", "no/such/key.json", code=3)


def test_an_item_edited_by_hand_is_written_again_by_force(desk: Desk) -> None:
    key = "notes/forced.json"
    desk.put(key, [{"pk": "forced", "sk": "1", "price": 1}])
    desk.settled(key, "SYNCED")
    before = desk.ask("item", "forced", "1")["attributes"]
    desk.stack.client("dynamodb").update_item(
        TableName=desk.stack.outputs["ItemsTableName"],
        Key={"pk": {"S": "forced"}, "sk": {"S": "1"}},
        UpdateExpression="SET price = :price",
        ExpressionAttributeValues={":price": {"N": "2"}},
    )
    assert desk.ask("reprocess", key)["outcomes"] == {"UNCHANGED": 1}
    assert desk.ask("item", "forced", "1")["attributes"] != before
    assert desk.ask("reprocess", key, "--force")["outcomes"] == {"SYNCED": 1}
    assert desk.ask("history", key)["events"][0]["who"].startswith("reprocess by arn:aws:")
    assert desk.ask("item", "forced", "1")["attributes"] == before


def test_records_that_change_places_between_files_come_undone(desk: Desk) -> None:
    """Each file waits for an item of the other: the sweep has one of them give its own up."""
    first, second = "notes/swap/first.json", "notes/swap/second.json"
    one, other = [{"pk": "swap", "sk": "1"}], [{"pk": "swap", "sk": "2"}]
    desk.put_all({first: one, second: other})
    desk.settled(first, "SYNCED")
    desk.settled(second, "SYNCED")
    with desk.events_off():
        desk.put_all({first: other, second: one})
        assert desk.ask("reprocess", first, second, code=1)["outcomes"] == {"INVALID": 2}

    def come_undone() -> bool:
        sweeps.sweep()  # It would come within a minute, twice.
        return desk.statuses("notes/swap/") == {"SYNCED": 2}

    sweeps = Observer(desk.stack)
    desk.until(come_undone)
    assert desk.ask("item", "swap", "1")["lineage"]["key"] == second
    assert desk.ask("item", "swap", "2")["lineage"]["key"] == first


def test_an_execution_without_an_object_is_found_under_what_is_shown_of_it(desk: Desk) -> None:
    desk.stack.client("stepfunctions").start_execution(
        stateMachineArn=desk.stack.outputs["StateMachineArn"], input='{"detail": {}}'
    )
    desk.until(lambda: "s3:///" in desk.run("failures", "--status", "FAILED", code=None))
    (shown,) = desk.ask("failures", "--error", "InvalidEventError", code=1)["failures"]
    told = desk.ask("failure", shown["key"])
    assert (told["key"], told["error"]) == ("s3:///", "InvalidEventError")
    assert desk.ask("trace", shown["key"])["status"] == "FAILED"
    desk.stack.client("dynamodb").delete_item(
        TableName=desk.stack.outputs["LedgerTableName"],
        Key={"pk": {"S": shown["key"]}, "sk": {"S": "CURRENT"}},
    )


def test_events_that_could_not_start_are_shown_and_started(desk: Desk) -> None:
    keys = [f"notes/queued/{number}.json" for number in range(12)]
    sqs, url = desk.stack.client("sqs"), desk.stack.outputs["FailedEventsQueueUrl"]
    with desk.events_off():
        desk.put_all({key: [{"pk": key, "sk": "1"}] for key in keys})
    for key in keys:
        event = {
            "id": str(uuid.uuid4()),
            "detail-type": "Object Created",
            "detail": {
                "bucket": {"name": desk.bucket},
                "object": {"key": key},
                "reason": "PutObject",
            },
        }
        error = {"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event), MessageAttributes=error)
    sqs.send_message(QueueUrl=url, MessageBody="not an event")
    assert desk.ask("status")["failed_events"] == 13
    told = desk.ask("events", code=1)["events"]
    assert sorted(each["key"] or "" for each in told) == ["", *sorted(keys)]
    assert {each["error"] for each in told} == {"NO_PERMISSIONS", ""}
    done = desk.ask("events", "redrive", "--rate", "50", code=1)
    assert (done["started"], done["stay"]) == (12, 1)
    desk.until(lambda: desk.statuses("notes/queued/") == {"SYNCED": 12})
    (stays,) = desk.ask("events", code=1)["events"]
    assert stays["body"] == "not an event"
    sqs.purge_queue(QueueUrl=url)
    assert "no event waits" in desk.run("events")


def test_the_status_of_all_counts_every_file(desk: Desk) -> None:
    desk.put("notes/counted/good.json", [{"pk": "counted", "sk": "1"}])
    desk.put("notes/counted/bad.json", b"{")
    desk.put("elsewhere/no dataset.json", b"{}")
    for key, outcome in (("good", "SYNCED"), ("bad", "INVALID")):
        desk.settled(f"notes/counted/{key}.json", outcome)
    desk.settled("elsewhere/no dataset.json", "INVALID")
    told = desk.ask("status")
    for dataset, status in (("-", "INVALID"), ("notes", "INVALID"), ("notes", "SYNCED")):
        assert told["files"][dataset][status] >= 1
    assert "running" in desk.run("status")
