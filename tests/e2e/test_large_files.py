"""Files that do not fit one transaction, end to end: every item is compared, whatever happens
meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from local.stack import Stack
from tests.e2e.large_files import SCENARIOS, LargeFiles, newer_version, turned_bad, writer_killed
from tests.e2e.observer import Observer, plain

RECORDS, MORE_RECORDS = 1000, 2500
IN_THE_MIDDLE = (newer_version, turned_bad, writer_killed)
"""What is done while a file is written, which takes more records."""


@pytest.mark.busy
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_table_equals_a_large_file(stack: Stack, scenario: Callable[[LargeFiles], int]) -> None:
    records = MORE_RECORDS if scenario in IN_THE_MIDDLE else RECORDS
    files = LargeFiles(stack, scenario.__name__, records)
    assert scenario(files) == 0
    files.remove()


def test_every_violation_of_a_large_file_is_reported(stack: Stack) -> None:
    see, key = Observer(stack), "notes/many-violations.jsonl"
    records = [{"pk": "violations", "sk": str(n), "stars": n % 7} for n in range(7000)]
    see.put(key, "\n".join(map(json.dumps, records)).encode())
    assert see.outcome(key) == "INVALID"
    assert "1,000 violations of notes.schema.json in 7,000 records" in see.problem(key)["cause"]
    assert see.items(key) == []


@pytest.mark.long(20)
def test_a_file_takes_an_item_over_when_its_large_owner_lets_go(stack: Stack) -> None:
    """A conflict in the middle of a large write undoes it, and the sweep tries again."""
    see = Observer(stack)
    owner, second = "notes/conflict-owner.json", "notes/conflict-large.jsonl"
    see.put(owner, [{"pk": "conflict", "sk": "250"}])
    assert see.outcome(owner) == "SYNCED"
    records = [{"pk": "conflict", "sk": str(n), "v": 1} for n in range(500)]
    see.put(second, "\n".join(map(json.dumps, records)).encode())
    assert see.outcome(second) == "INVALID"
    assert see.items(second) == []
    assert "belongs to" in see.problem(second)["cause"]
    see.delete(owner)
    assert see.outcome(owner) == "DELETED"
    see.sweep()
    see.comes_to(second, "SYNCED")
    assert len(see.items(second)) == 500


def test_lineage_names_one_execution(stack: Stack) -> None:
    files = LargeFiles(stack, "lineage", 300)
    files.put(files.lines(range(300), 1))
    assert files.outcomes() == ["SYNCED"]
    (row,) = files.see.audit_rows(files.key)
    found = files.see.dynamodb.query(
        TableName=files.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "lineage-7"}},
    )["Items"]
    sources = [plain(item["_source"]) for item in found]
    assert {each["execution"] for each in sources} == {row["execution"]["S"]}
    assert {each["key"] for each in sources} == {files.key}
