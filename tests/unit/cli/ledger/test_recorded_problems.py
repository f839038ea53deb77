"""What a row of the ledger says of a problem: its values, as attributes beside the sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tablekeeper.errors import KeyOwnershipError, SchemaViolationError
from tablekeeper.model.keys import ItemKey
from tablekeeper.model.messages import with_values

from tablekeeper_cli.ledger.problems import (
    Failure,
    Problem,
    ProblemFilter,
    Violation,
    problem_of,
)
from tablekeeper_cli.stack import Stack

KEY = "notes/a.json"
STACK = Stack("shop", "eu-west-1", {"SourceBucketName": "source"})
AT = "2026-11-25T22:00:00.000Z"
REPORT = "s3://staging/reports/one.json"
SENTENCE = (
    f"s3://source/{KEY}: 1 violation of notes.schema.json in 3 records:\n"
    'record 1 (line 4), "/price": type: expected "number", found a string of 1 character\n'
    f"Report: {REPORT}. Mend the records at the JSON Pointers that the report names, or the schema."
)


def read(error: str, message: str) -> Problem:
    """The problem of a row whose cause is this message."""
    texts = {
        **dict.fromkeys(("state", "execution", "input"), "x"),
        "status": "INVALID",
        "error": error,
        "at": AT,
        "cause": json.dumps({"errorMessage": message, "errorType": error, "stackTrace": []}),
    }
    row: dict[str, Any] = {"problem": {"M": {name: {"S": text} for name, text in texts.items()}}}
    columns = {"problem_status": "INVALID", "problem_error": error, "problem_at": AT}
    problem = problem_of(STACK, KEY, row | {name: {"S": text} for name, text in columns.items()})
    assert problem
    return problem


def test_violations_and_the_report_are_values_beside_the_sentence() -> None:
    first = {"record": 1, "pointer": "/price", "keyword": "type", "expected": '"number"'}
    values = {"count": 1, "report": REPORT, "first": [{**first, "found": "a string", "line": 4}]}
    problem = read(SchemaViolationError.__name__, with_values(SENTENCE, values))
    assert (problem.message, problem.violation_count, problem.report) == (SENTENCE, 1, REPORT)
    assert problem.violations == [Violation(1, "/price", "type", '"number"', "a string", 4)]


def test_a_record_that_makes_no_item_is_listed_with_its_error() -> None:
    refusal = {"record": 2, "line": 7, "error": "KeyMissingError", "message": "record 2 has no pk"}
    problem = read("BadRecordsError", with_values("two are bad", {"first": [refusal]}))
    assert problem.violations == [
        Violation(2, "", "KeyMissingError", "", "record 2 has no pk", 7),
    ]


def test_an_item_of_another_file_has_its_key_and_its_owner() -> None:
    key = ItemKey.of({"pk": {"S": "a"}, "sk": {"N": "1"}})
    error = KeyOwnershipError(key, 's3://source/no"tes/b.json')
    problem = read(KeyOwnershipError.__name__, str(error))
    assert (problem.item, problem.owner) == (key.attributes, 's3://source/no"tes/b.json')
    assert problem.message == error.sentence


def test_a_place_in_a_file_is_known_by_its_line_and_column() -> None:
    message = with_values("Expecting value: line 3 column 8", {"line": 3, "column": 8})
    problem = read("MalformedJsonError", message)
    assert (problem.line, problem.column, problem.record) == (3, 8, None)


def test_a_row_of_a_release_that_had_only_sentences_is_shown_as_its_sentence() -> None:
    problem = read(SchemaViolationError.__name__, SENTENCE)
    assert (problem.message, problem.violations, problem.report) == (SENTENCE, [], None)


def test_an_empty_choice_of_an_error_or_a_dataset_is_none() -> None:
    """A shell variable that is not set: nothing would be wrong."""
    failure = Failure(KEY, "INVALID", "SchemaViolationError", "notes", AT, AT, None, None)
    assert ProblemFilter(error="", dataset="").has(failure)
    assert not ProblemFilter(error="x").has(failure)
    assert not ProblemFilter(dataset="x").has(failure)


def test_what_failed_before_its_dataset_was_known_may_be_of_any() -> None:
    """`failures --dataset notes` would say that nothing is wrong."""
    unknown = Failure(KEY, "FAILED", "TransientServiceError", "-", AT, AT, None, None)
    assert ProblemFilter(dataset="notes").has(unknown)
    assert not ProblemFilter(dataset="notes", error="x").has(unknown)
    assert not ProblemFilter(dataset="notes").has(replace(unknown, status="INVALID"))
    assert not ProblemFilter(dataset="notes").has(replace(unknown, error="InvalidEventError"))
