"""Files that once lost data in silence, or got a message that did not help; and what expressions
make of a record. Each on the engine, and planned before its upload.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.causes import message_of

from local.stack import Stack
from tests.e2e.observer import Observer, until
from tests.e2e.test_plan import Shell


@pytest.fixture
def seen(stack: Stack) -> Observer:
    """The shared stack as a test sees it."""
    return Observer(stack)


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Shell:
    """The command for that stack."""
    return Shell(stack, tmp_path)


@dataclass(frozen=True)
class Refused:
    """A file, the error that it ends with, and what the cause says."""

    name: str
    key: str
    content: Any
    error: str
    says: tuple[str, ...]


REFUSED = [
    Refused(
        "an empty field name",
        "any/trap-empty-name.json",
        b'[{"id": "trap-1"}, {"id": "trap-2", "": 1}]',
        "FieldNameError",
        ("record 1, a field has an empty name",),
    ),
    Refused(
        "a byte order mark in a field name",
        "any/trap-mark.json",
        '{"\ufeffname": 1, "id": "trap-3"}'.encode(),
        "FieldNameError",
        ('the field "name" begins with a byte order mark',),
    ),
    Refused(
        "a number in the TTL attribute",
        "any/trap-expires.json",
        [{"id": "trap-4", "expires_at": int(time.time()) + 20}],
        "ReservedAttributeError",
        ('a number in "expires_at", the TTL attribute', 'add "ttl": "expires_at" to the dataset'),
    ),
    Refused(
        "a TTL in milliseconds",
        "ttl/trap-milliseconds.json",
        {"id": "trap-5", "expires": 1893456000000},
        "TtlError",
        ("`ttl` gives milliseconds, not epoch seconds", "to_epoch(FIELD, 'milliseconds')"),
    ),
    Refused(
        "the text of nothing as a key",
        "geo/trap-nothing.json",
        {"features": [{"type": "Feature", "geometry": None, "properties": {"a": 1}}]},
        "KeyMissingError",
        ("its expression in `key` finds none: to_string(id)",),
    ),
    Refused(
        "a suffix in capitals",
        "spark/trap.JSON",
        {"id": "trap-6"},
        "NoDatasetError",
        ('the prefix "spark/" of spark.schema.json matches', "suffixes are .json (capitals count)"),
    ),
    Refused(
        "a manifest",
        "any/AWSDynamoDB/01/manifest-files.json",
        {"itemCount": 2, "md5Checksum": "x==", "dataFileS3Key": "AWSDynamoDB/01/data/a.json.gz"},
        "SchemaViolationError",
        (
            '"/id": required: expected a field "id", found none',
            "a manifest of a DynamoDB export and no data",
            "`suffixes`",
            "IgnorePatterns",
        ),
    ),
]


@pytest.mark.parametrize("bad", [pytest.param(each, id=each.name) for each in REFUSED])
def test_is_refused_with_a_message_that_helps(seen: Observer, shell: Shell, bad: Refused) -> None:
    body = bad.content if isinstance(bad.content, bytes) else json.dumps(bad.content).encode()
    shell.file.write_bytes(body)
    planned = shell.plan(str(shell.file), "--key", bad.key)
    seen.put(bad.key, body)
    assert seen.outcome(bad.key) == "INVALID"
    problem = seen.problem(bad.key)
    cause = message_of(problem["cause"])
    assert [text for text in bad.says if text not in cause] == [], cause
    if bad.error != "SchemaViolationError":
        assert planned["cause"] == cause
    assert (problem["error"], planned["error"]) == (bad.error, bad.error)
    assert (planned["outcome"], planned["exit_code"]) == ("INVALID", 1)
    assert seen.items(bad.key) == []


def test_a_large_version_with_an_empty_field_name_leaves_the_earlier_one_whole(
    seen: Observer,
) -> None:
    def lines(**last: int) -> bytes:
        records = [{"pk": "trap-whole", "sk": f"{n:03}", "v": 2 if last else 1} for n in range(150)]
        records[-1] |= last
        return "\n".join(map(json.dumps, records)).encode()

    for key in ("notes/trap-whole.jsonl", "notes/trap-alone.jsonl"):
        if "whole" in key:
            seen.put(key, lines())
            assert seen.outcome(key) == "SYNCED"
        seen.put(key, lines(**{"": 1}))
        assert seen.outcome(key) == "INVALID"
    cause = message_of(seen.problem("notes/trap-whole.jsonl")["cause"])
    assert "record 149, a field has an empty name" in cause
    assert [item["v"] for item in seen.items("notes/trap-whole.jsonl")] == [1] * 150
    assert seen.items("notes/trap-alone.jsonl") == []


@pytest.mark.long(35)
def test_records_dealt_out_anew_among_files_come_to_them(seen: Observer) -> None:
    """Each file waits for the items of both others, and nobody helps but the sweep."""
    deals = (
        {"A": "t1 t2", "B": "t3 t4", "C": "t5 t6"},
        {"A": "t3 t5", "B": "t1 t6", "C": "t2 t4"},
    )
    expected: dict[str, list[tuple[str, Decimal]]] = {}
    for version, dealt in enumerate(deals, start=1):
        for name, ids in dealt.items():
            key, names = f"any/trap-deal/{name}.json", [f"trap-{each}" for each in ids.split()]
            seen.put(key, [{"id": each, "v": version} for each in names])
            expected[key] = [(each, Decimal(version)) for each in names]
        outcomes = seen.outcomes(*expected)
        assert version == 2 or outcomes == [["SYNCED"]] * 3
    assert any("INVALID" in each for each in outcomes)
    swept: list[dict[str, Any]] = []

    def is_dealt() -> bool:
        problems = [seen.problem(key) for key in expected]
        if problems != swept:
            swept[:] = problems
            seen.sweep()
        return not any(problems) and all(
            [(item["pk"], item["v"]) for item in seen.items(key)] == items
            for key, items in expected.items()
        )

    until(is_dealt, "the files still wait for each other's items")


def test_a_folder_marker_of_hadoop_is_ignored(seen: Observer) -> None:
    seen.put("any/table_$folder$", b"")
    assert seen.outcome("any/table_$folder$") == "IGNORED"


def test_a_number_that_boto3_cannot_read_is_stored_and_said(seen: Observer, shell: Shell) -> None:
    body = b'{"id": "trap-large", "n": 1E+100}'
    shell.file.write_bytes(body)
    planned = shell.plan(str(shell.file), "--key", "any/trap-large.json")
    (warning,) = planned["warnings"]
    assert "record 0 has a number that DynamoDB holds and boto3's Table resource cannot" in warning
    seen.put("any/trap-large.json", body)
    assert seen.outcome("any/trap-large.json") == "SYNCED"
    (item,) = seen.items("any/trap-large.json")
    assert item["n"] == Decimal("1E+100")


def test_a_violation_names_the_line_and_what_was_found(seen: Observer) -> None:
    seen.put("spark/trap-line.json", b'{"id": "trap-7"}\n\n{"id": 8888}\n')
    assert seen.outcome("spark/trap-line.json") == "INVALID"
    cause = message_of(seen.problem("spark/trap-line.json")["cause"])
    assert 'record 1 (line 3), "/id": type: expected "string", found an integer' in cause
    assert "8888" not in cause


def test_what_expressions_make_of_a_record(seen: Observer) -> None:
    record = {
        "email": " Ada@Example.org",
        "created": 1893456000123,
        "tags": {"a": 1, "b": None},
        "password": "secret",
        "expires_at": 1999999999999,
        "path": "eu/at/vienna/1010",
        "kept": [1],
    }
    seen.put("people/1.json", record)
    assert seen.outcome("people/1.json") == "SYNCED"
    assert seen.items("people/1.json") == [
        {
            "pk": hashlib.sha256(b"ada@example.org").hexdigest(),
            "sk": "2030-01-01",
            "email": "ada@example.org",
            "user": " ADA AT EXAMPLE.ORG",
            "created": 1893456000123,
            "created_at": "2030-01-01T00:00:00.123Z",
            "created_seconds": Decimal("1893456000.123"),
            "country": "at",
            "tags": {"a": 1},
            "kept": [1],
            "path": "eu/at/vienna/1010",
            "expires_at": 1999999999,
        }
    ]
