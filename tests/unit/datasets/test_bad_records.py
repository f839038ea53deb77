"""How many bad records a dataset allows, and that every reader goes on behind one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tablekeeper import errors
from tablekeeper.datasets.bad_records import BadRecords
from tablekeeper.datasets.dataset import Dataset
from tablekeeper.datasets.records import records_and_errors


@pytest.mark.parametrize(
    ("rule", "bad", "records", "is_allowed"),
    [
        ({"at_most": 2}, 0, 0, True),
        ({"at_most": 2}, 2, 3, True),
        ({"at_most": 2}, 3, 100, False),
        ({"at_most": 2}, 2, 2, False),
        ({"at_most": Decimal("2.0")}, 3, 100, False),
        ({"share": Decimal("0.1")}, 1, 10, True),
        ({"share": Decimal("0.1")}, 1, 9, False),
        ({"share": Decimal("0.1")}, 0, 9, True),
        ({"share": Decimal("0.999")}, 5, 5, False),
    ],
    ids=[
        *("no-records", "at-most", "more", "none-good", "with-a-point"),
        *("share", "more-than-the-share", "none-bad", "share-and-none-good"),
    ],
)
def test_a_bound_allows(rule: Any, bad: int, records: int, is_allowed: bool) -> None:
    assert BadRecords.read(rule).allows(bad, records) is is_allowed


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"at_most": 0},
        {"at_most": True},
        {"at_most": Decimal("1.5")},
        {"share": 0},
        {"share": 1},
        {"share": Decimal("1.5")},
        {"share": "0.1"},
        {"at_most": 1, "share": Decimal("0.1")},
        {"most": 1},
    ],
    ids=[
        *("empty", "none", "boolean", "part-of-a-record", "no-share", "all", "more", "text"),
        *("both", "misspelt"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(rule: Any) -> None:
    with pytest.raises(errors.DatasetDefinitionError, match="at_most"):
        Dataset.read("any", {"x-tablekeeper": {"prefix": "", "bad_records": rule}})


GOOD_ON = {
    "array": ({}, '[{"a":1},{"a":NaN},7,{"a":2}]', [1, 2]),
    "values": ({}, '{"a":1}{"a":1e999}"x"\n{"a":2}', [1, 2]),
    "lines": ({"format": "jsonl"}, '{"a":1}\n{"a":\n[]\n[1]\n{"_index":1}\n{"a":2}', [1, 2]),
    "elements": ({"records": "x.y"}, '{"x":{"y":[{"a":1},{"a":NaN},null,{"a":2}]}}', [1, 2]),
    "members": ({"records": "x.*"}, '{"x":{"p":{"a":1},"q":NaN,"r":5,"s":{"a":2}}}', [1, 2]),
    "csv": ({"format": "csv"}, "a,b\n1,x\n1\n\n1,2,3\n2,y\n", ["1", "2"]),
    "dynamodb-json": (
        {"format": "dynamodb-json"},
        '{"Item":{"a":{"N":"1"}}}\n{"Item":{"a":{"N":"x"}}}\n{"a":1}\n5\n{"Item":{"a":{"N":"2"}}}',
        [1, 2],
    ),
    "scan": (
        {"format": "dynamodb-json"},
        '{"Items":[{"a":{"N":"1"}},{"a":{"SS":[]}},3,{"a":{"N":"2"}}]}',
        [1, 2],
    ),
}


@pytest.mark.parametrize("kind", GOOD_ON)
def test_a_reader_goes_on_behind_what_is_no_record(kind: str) -> None:
    keyword, text, good = GOOD_ON[kind]
    dataset = Dataset.read("any", {"x-tablekeeper": {"prefix": "", **keyword}})
    found = list(records_and_errors([text], "a", dataset))
    assert [each.value["a"] for each in found if not each.error] == good
    assert [each.place for each in found] == list(range(len(found)))
    assert sum(bool(each.error) for each in found) == len(found) - 2 >= 2
    assert all(each.value == {} for each in found if each.error)


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ({}, '[{"a":1},{"a":},{"a":2}]'),
        ({}, '{"a":1};{"a":2}'),
        ({"records": "x[?a]"}, '{"x":[{"a":1},{"a":NaN}]}'),
        ({"format": "csv"}, 'a\n1\n"x"y\n2\n'),
        ({"records": "x"}, '{"x":[{"a":1}],"y":NaN}'),
    ],
    ids=["syntax", "junk-between", "a-document-held-whole", "a-quote", "beside-the-records"],
)
def test_what_is_wrong_with_the_file_and_not_with_a_record_ends_the_reading(
    keyword: Any, text: str
) -> None:
    dataset = Dataset.read("any", {"x-tablekeeper": {"prefix": "", **keyword}})
    with pytest.raises(errors.InvalidFileError):
        list(records_and_errors([text], "a", dataset))
