"""Files that people have, each with the dataset that docs/datasets.md names for it: planned, in
bulk, live and verified.
"""

from __future__ import annotations

import bz2
import gzip
import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer
from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue

from local.environment import ROOT
from local.running import running_stack
from tablekeeper_cli.ledger.problems import Problem, problems
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planner import Planner
from tests.e2e.desk import Desk

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.xdist_group("formats")


@dataclass(frozen=True)
class Case:
    """A file under the prefix of a dataset, and the items that it makes, or its error and words of
    the cause. `set_aside` is the number of its bad records; with some it is PARTIAL.
    """

    key: str
    body: bytes
    items: tuple[dict[str, Any], ...] = ()
    error: str = ""
    words: str = ""
    set_aside: int = 0

    @property
    def outcome(self) -> str:
        """What becomes of it."""
        if self.set_aside:
            return "PARTIAL"
        return "INVALID" if self.error else "SYNCED"


COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "sheet": {"price": {"type": ["number", "null"]}, "sold": {"type": "boolean"}},
    "unicode": {"n": {"type": "integer"}},
    "lax": {"n": {"type": "integer"}},
}
LAX = {"bad_records": {"at_most": 3}, "key": {"pk": "id", "sk": "'row'"}}
OWN: Mapping[str, Mapping[str, Any]] = {
    "lax/": {"prefix": "lax/", **LAX},
    "lax-csv/": {"prefix": "lax-csv/", "format": "csv", **LAX, "bad_records": {"share": 0.5}},
    "lax-items/": {"prefix": "lax-items/", "format": "dynamodb-json", **LAX},
}
"""Datasets of this test beside those of the documents: they set bad records aside."""
UNUSABLE = '{"x-tablekeeper": {"prefix": "unusable/", "key": {"pk": "$.id"}}}'
LINES = '{"id":"%s1","v":1.10}\n{"id":"%s2","v":1e2}\n'
ITEM = {
    "pk": {"S": "E1"},
    "sk": {"S": "item"},
    "tags": {"SS": ["b", "a"]},
    "sizes": {"NS": ["1.50", "10"]},
    "photo": {"B": "AAH/"},
    "parts": {"BS": ["AQ==", "AA=="]},
    "deep": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"N": "1234567890123456789.5"}]}}},
}
EXPORTED = {
    "sk": "item",
    "tags": {"a", "b"},
    "sizes": {Decimal("1.5"), Decimal(10)},
    "photo": b"\x00\x01\xff",
    "parts": {b"\x00", b"\x01"},
    "deep": {"l": [None, False, Decimal("1234567890123456789.5")]},
}
MONGO = ('{"_id":{"$oid":"%s0"},"n":1.50}', '{"_id":{"$oid":"%s1"},"n":"1.50"}')
TRAIL = {"eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventID": "T1", "n": 1}
FEATURE = '{"type":"Feature","id":7,"geometry":{"type":"Point","coordinates":[13.40,52.5]}}'


def _lines(letter: str) -> tuple[bytes, tuple[dict[str, Any], ...]]:
    """Two lines as Spark writes them, and their items."""
    ids, values = (f"{letter}1", f"{letter}2"), (Decimal("1.1"), Decimal(100))
    items = (
        {"pk": id_, "sk": "row", "id": id_, "v": v} for id_, v in zip(ids, values, strict=True)
    )
    return (LINES % (letter, letter)).encode(), tuple(items)


def _mongo(letter: str, form: str) -> tuple[bytes, tuple[dict[str, Any], ...]]:
    """Two documents of mongoexport, and their items."""
    numbers = (Decimal("1.5"), "1.50")
    items = ({"pk": f"{letter}{n}", "sk": "document", "n": v} for n, v in enumerate(numbers))
    return (form % tuple(each % letter for each in MONGO)).encode(), tuple(items)


def _packed(case: tuple[bytes, Any], pack: Any) -> tuple[bytes, Any]:
    return pack(case[0]), case[1]


CASES = {
    "spark": Case("spark/part-00000.json", *_lines("S")),
    "spark gzip": Case("spark/part-0.json.gz", *_packed(_lines("G"), gzip.compress)),
    "spark bzip2": Case("spark/part-0.json.bz2", *_packed(_lines("B"), bz2.compress)),
    "spark zstd": Case("spark/part-0.json.zst", *_packed(_lines("Z"), zstd.compress)),
    "gzip padded": Case(
        "spark/part-1.json.gz", *_packed(_lines("P"), lambda body: gzip.compress(body) + bytes(512))
    ),
    "spark empty": Case("spark/part-00001.json", b""),
    "empty gzip": Case("spark/part-00002.json.gz", gzip.compress(b"")),
    "empty array": Case("spark/none.json", b"[]"),
    "array in lines": Case(
        "spark/array.json",
        b'[{"id":"J2a"},{"id":"J2b"}]',
        error="DocumentShapeError",
        words="line 1 holds an array; in `jsonl` a line is one record",
    ),
    "bad line": Case(
        "spark/bad.json",
        b'{"id":"L1"}\n{"id":"L2"\n',
        error="MalformedJsonError",
        words="line 2 of the file",
    ),
    "firehose": Case(
        "firehose/2024/05/04/10/stream-1",
        b'{"id":"H1","t":1}{"id":"H2","t":2}{"id":"H3","t":3}',
        tuple(
            {"pk": f"H{n + 1}", "sk": str(n), "id": f"H{n + 1}", "t": Decimal(n + 1)}
            for n in range(3)
        ),
    ),
    "firehose in lines": Case(
        "spark/stream-1.json",
        b'{"id":"K1"}{"id":"K2"}',
        ({"pk": "K1", "sk": "row", "id": "K1"}, {"pk": "K2", "sk": "row", "id": "K2"}),
    ),
    "json lines": Case(
        "firehose/lines.json",
        b'{"id":"I1a"}\n{"id":"I1b"}\n',
        ({"pk": "I1a", "sk": "0", "id": "I1a"}, {"pk": "I1b", "sk": "1", "id": "I1b"}),
    ),
    "zip": Case(
        "firehose/x.json.zip",
        b"PK\x05\x06" + bytes(18),
        error="FileFormatError",
        words="the file is a zip archive: unpack it and upload what it holds",
    ),
    "parquet": Case(
        "firehose/x.parquet", b"PAR1\x15\x04PAR1", error="FileFormatError", words="Parquet"
    ),
    "mongoexport": Case("mongo/lines.json", *_mongo("m", "%s\n%s\n")),
    "mongoexport array": Case("mongo/array.json", *_mongo("n", "[%s,\n%s]\n")),
    "elasticdump": Case(
        "elastic/dump.jsonl",
        b'{"_index":"shop","_type":"_doc","_id":"1","_score":1,"_source":{"a":1.10}}\n'
        b'{"_index":"shop","_type":"_doc","_id":"2","_score":1,"_source":{"a":2}}\n',
        (
            {"pk": "1", "sk": "shop", "a": Decimal("1.1")},
            {"pk": "2", "sk": "shop", "a": Decimal(2)},
        ),
    ),
    "export": Case(
        "export/AWSDynamoDB/01/data/a.json.gz",
        gzip.compress(f"{json.dumps({'Item': ITEM})}\n".encode()),
        ({"pk": "E1", **EXPORTED},),
    ),
    "scan": Case(
        "scan/items.json",
        json.dumps({"Items": [{**ITEM, "pk": {"S": "C1"}}], "Count": 1}, indent=4).encode(),
        ({"pk": "C1", **EXPORTED},),
    ),
    "cloudtrail": Case(
        "trail/AWSLogs/1.json.gz",
        gzip.compress(json.dumps({"Records": [TRAIL]}).encode()),
        ({"pk": "s3.amazonaws.com", "sk": "T1", **TRAIL, "n": Decimal(1)},),
    ),
    "geojson": Case(
        "geo/points.geojson",
        b'{"type":"FeatureCollection","features":[%s],"name":"cities"}' % FEATURE.encode(),
        ({"pk": "7", "sk": "cities", **json.loads(FEATURE, parse_float=Decimal)},),
    ),
    "members": Case(
        "by-name/countries.json",
        b'{"version":"v7","data":{"DE":{"n":1},"FR":{"n":2}}}',
        (
            {"pk": "DE", "sk": "v7", "n": Decimal(1)},
            {"pk": "FR", "sk": "v7", "n": Decimal(2)},
        ),
    ),
    "spreadsheet": Case(
        "sheet/prices.csv",
        b'\xef\xbb\xbfid,price,sold,note\r\n007,1.10,TRUE,"a ""b"",\r\nc"\r\n008,,false,\r\n',
        (
            {"pk": "007", "sk": "row", "id": "007", "price": Decimal("1.1"), "sold": True,
             "note": 'a "b",\r\nc'},
            {"pk": "008", "sk": "row", "id": "008", "price": None, "sold": False},
        ),
    ),
    "ragged": Case(
        "sheet/ragged.csv",
        b"id,price\n1,2\n3\n",
        error="MalformedCsvError",
        words="the row at line 3 has 1 field; there are 2 columns",
    ),
    "wrong type": Case(
        "sheet/type.csv",
        b"id,price,sold\n1,2,yes\n",
        error="SchemaViolationError",
        words="/sold",
    ),
    "excel": Case(
        "excel/preise.csv",
        "id;preis\r\nÄ1;1,10\r\n".encode(),
        ({"pk": "Ä1", "sk": "row", "id": "Ä1", "preis": "1,10"},),
    ),
    "excel unicode": Case(
        "unicode/text.txt",
        "id\tn\r\nÄ2\t5\r\n".encode("utf-16"),
        ({"pk": "Ä2", "sk": "row", "id": "Ä2", "n": Decimal(5)},),
    ),
    "powershell": Case(
        "powershell/processes.json",
        '[\r\n    {\r\n        "Name":  "pwsh",\r\n  "Id":  12\r\n    }\r\n]\r\n'.encode("utf-16"),
        ({"pk": "pwsh", "sk": "12", "Name": "pwsh", "Id": Decimal(12)},),
    ),
    "export-csv": Case(
        "export-csv/processes.csv",
        b'#TYPE System.Diagnostics.Process\r\n"Name","Id"\r\n"cmd","4"\r\n',
        ({"pk": "cmd", "sk": "4", "Name": "cmd", "Id": "4"},),
    ),
    "bad records": Case(
        "lax/a.json",
        b'[{"id":"A1","n":1},\n{"id":"A2","n":"x"},{"id":"A3","n":NaN},{"n":4},{"id":"A5","n":5}]',
        tuple({"pk": f"A{n}", "sk": "row", "id": f"A{n}", "n": Decimal(n)} for n in (1, 5)),
        error="BadRecordsError",
        words="3 of 5 records set aside",
        set_aside=3,
    ),
    "bad lines": Case(
        "lax/a.jsonl",
        b'{"id":"Q1"}\n{"id":\n{"id":"Q3"}\n',
        tuple({"pk": f"Q{n}", "sk": "row", "id": f"Q{n}"} for n in (1, 3)),
        error="BadRecordsError",
        words="record 1 (line 2): MalformedJsonError: line 2 of the file",
        set_aside=1,
    ),
    "bad records of many": Case(
        "lax/many.jsonl",
        b"".join(b'{"id":"M%03d"}\n' % n for n in range(120)) + b"7\n",
        tuple({"pk": f"M{n:03}", "sk": "row", "id": f"M{n:03}"} for n in range(120)),
        error="BadRecordsError",
        words="1 of 121 records set aside",
        set_aside=1,
    ),
    "bad rows": Case(
        "lax-csv/a.csv",
        b"id,n\nR1,1\nR2\nR3,3\n",
        tuple({"pk": f"R{n}", "sk": "row", "id": f"R{n}", "n": f"{n}"} for n in (1, 3)),
        error="BadRecordsError",
        words="the row at line 3 has 1 field",
        set_aside=1,
    ),
    "bad items": Case(
        "lax-items/a.json",
        b'{"Item":{"id":{"S":"D1"}}}\n{"Item":{"id":{"X":"D2"}}}\n{"Keys":{}}\n',
        ({"pk": "D1", "sk": "row", "id": "D1"},),
        error="BadRecordsError",
        words="2 of 3 records set aside",
        set_aside=2,
    ),
    "too many bad records": Case(
        "lax-csv/b.csv",
        b"id,n\nT1,1\nT2\nT3\n",
        error="BadRecordsError",
        words="2 of 3 records are bad, and its dataset sets aside a share of 0.5",
    ),
    "no good record": Case(
        "lax/none.json",
        b'{"n":1}',
        error="BadRecordsError",
        words="1 of 1 record is bad, and none is good",
    ),
}  # fmt: skip


def documented() -> dict[str, Any]:
    """The datasets in the table of docs/datasets.md, by their prefixes."""
    text = (ROOT / "docs" / "datasets.md").read_text("utf-8")
    keywords = map(json.loads, re.findall(r"^\|[^|\n]*\| `(\{.*\})` \|$", text, re.MULTILINE))
    return {each["prefix"]: each for each in keywords}


def test_each_documented_dataset_has_a_file() -> None:
    prefixes = {f"{case.key.partition('/')[0]}/" for case in CASES.values()}
    assert prefixes == documented().keys() | OWN.keys()


@dataclass(frozen=True)
class Seen:
    """What came of the files, by key: items in bulk, items live, problems of both, and plans.

    `differs` are the findings of a reconcile. `history` and `report` are of a file whose bad
    records are set aside, `mended` is its status once it was uploaded without them. `unusable` is
    the problem of a file whose schema file cannot be used.
    """

    bulk: Mapping[str, list[Any]]
    live: Mapping[str, list[Any]]
    problems: tuple[Mapping[str, Problem], Mapping[str, Problem]]
    plans: Mapping[str, Plan]
    verified: Mapping[str, Any]
    differs: Mapping[str, int]
    history: list[str]
    report: Mapping[str, Any]
    mended: Mapping[str, Any]
    unusable: Mapping[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All files in bulk, then gone, then live, on one stack with the documented datasets."""
    folder = tmp_path_factory.mktemp("datasets")
    for prefix, keyword in {**documented(), **OWN}.items():
        name = prefix.rstrip("/")
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": COLUMNS.get(name, {}),
            "x-tablekeeper": keyword,
        }
        (folder / f"{name}.schema.json").write_text(json.dumps(schema))
    files = {case.key: case.body for case in CASES.values()}
    deployed = shutil.copytree(folder, folder.with_name("deployed"))
    (deployed / "unusable.schema.json").write_text(UNUSABLE)
    with running_stack(
        tmp_path_factory.mktemp("formats"), schemas=deployed, enforces_roles=False, wait_scale=0.1
    ) as stack:
        desk = Desk(stack)
        plans = {key: _plan(desk, folder, key, body) for key, body in files.items()}
        with desk.events_off():
            desk.put_all(files)
        desk.run("backfill", "--bulk", code=1)
        desk.until(lambda: sum(desk.statuses("").values()) == len(files))
        bulk, bulk_problems = _items(desk), _problems(desk)
        for key in files:
            desk.s3.delete_object(Bucket=desk.bucket, Key=key)
        desk.until(lambda: desk.statuses("") == {"DELETED": len(files)})
        assert not _items(desk)
        desk.put_all(files)
        desk.until(lambda: desk.statuses("").keys() <= {"SYNCED", "INVALID", "PARTIAL"})
        live, live_problems = _items(desk), _problems(desk)
        verified = desk.ask("verify", "--schemas", str(folder), "--settle", "0")
        partial = CASES["bad records"].key
        desk.run("reprocess", partial, code=None)
        differs = desk.ask("reconcile", "--bulk", "--dry-run", code=1)["findings"]
        history = _history(desk, partial)
        report = desk.ask("failure", partial, "--report")
        desk.put(partial, [{"id": "A1", "n": 1}])
        desk.put("unusable/a.json", {"pk": "a", "sk": "b"})
        desk.until(lambda: desk.outcomes(partial)[-1] == "SYNCED")
        desk.until(lambda: desk.statuses("unusable/") == {"FAILED": 1})
        yield Seen(
            bulk,
            live,
            (bulk_problems, live_problems),
            plans,
            verified,
            differs,
            history,
            report,
            desk.ask("status", partial),
            desk.ask("failure", "unusable/a.json"),
        )


def _history(desk: Desk, key: str) -> list[str]:
    """Outcomes with how many records were set aside, the newest first."""
    return [
        f"{each['outcome']} {each['details'].get('set_aside', 0)}"
        for each in desk.ask("history", key)["events"]
    ]


def _plan(desk: Desk, schemas: Path, key: str, body: bytes) -> Plan:
    file = schemas.parent / "formats-file"
    file.write_bytes(body)
    with aws.clients_by(desk.located.client):
        plan = Planner.of(desk.located, Catalogue.load(schemas)).of_file(file, key)
        plan.close()
    return plan


def _items(desk: Desk) -> dict[str, list[Any]]:
    """The items of each file as values, in the order of their keys; a raw scan."""
    found = defaultdict(list)
    deserializer = TypeDeserializer()
    pages = desk.stack.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=desk.stack.outputs["ItemsTableName"], ConsistentRead=True):
        for item in page["Items"]:
            values = {name: _value(deserializer.deserialize(each)) for name, each in item.items()}
            found[values.pop("_source")["key"]].append(values)
    return {key: sorted(items, key=_place) for key, items in found.items()}


def _place(item: Mapping[str, Any]) -> tuple[Any, Any]:
    return item["pk"], item["sk"]


def _value(value: Any) -> Any:
    if isinstance(value, Binary):
        return value.__dict__["value"]
    if isinstance(value, set):
        return {_value(each) for each in value}
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    return [_value(each) for each in value] if isinstance(value, list) else value


def _problems(desk: Desk) -> dict[str, Problem]:
    told = desk.ask("failures", code=None)["failures"]
    return {each.key: each for each in problems(desk.located, [each["key"] for each in told])}


@pytest.mark.parametrize("name", CASES)
def test_a_file_makes_its_items_however_it_is_read(seen: Seen, name: str) -> None:
    case = CASES[name]
    expected = sorted(case.items, key=_place)
    plan = seen.plans[case.key]
    assert seen.bulk.get(case.key, []) == expected
    assert seen.live.get(case.key, []) == expected
    assert (plan.outcome, plan.error) == (case.outcome, case.error or None)
    assert (plan.counts["put"], plan.set_aside) == (len(expected), case.set_aside)
    for found in seen.problems:
        if case.error:
            assert (found[case.key].status, found[case.key].error) == (case.outcome, case.error)
            assert case.words in found[case.key].message
        else:
            assert case.key not in found


def test_verify_finds_every_item_as_the_files_make_it(seen: Seen) -> None:
    assert (seen.verified["differences"], seen.verified["findings"]) == (0, [])
    assert seen.verified["items"] == sum(len(case.items) for case in CASES.values())


def test_a_file_whose_bad_records_are_set_aside_differs_in_nothing(seen: Seen) -> None:
    invalid = sum(case.outcome == "INVALID" for case in CASES.values())
    assert {name: count for name, count in seen.differs.items() if count} == {"PROBLEM": invalid}


def test_what_was_set_aside_stays_a_problem_until_a_clean_version(seen: Seen) -> None:
    assert seen.history[:2] == ["UNCHANGED 3", "PARTIAL 3"]
    assert (seen.report["bad_records"], len(seen.report["listed"])) == (3, 3)
    assert [each["record"] for each in seen.report["listed"]] == [1, 2, 3]
    assert (seen.mended["status"], seen.mended["problem"]) == ("SYNCED", None)
    assert seen.mended["set_aside"] is None


def test_a_schema_file_that_cannot_be_used_fails_the_objects_of_its_prefix(seen: Seen) -> None:
    """And no others: every test above has the same deployment."""
    assert (seen.unusable["status"], seen.unusable["error"]) == ("FAILED", "DatasetDefinitionError")
    assert "unusable.schema.json" in seen.unusable["message"]
