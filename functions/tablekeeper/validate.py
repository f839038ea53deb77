"""Validate Records: everything that is wrong with a file, said at once and to the point."""

from __future__ import annotations

from itertools import islice

from tablekeeper.datasets import Catalogue
from tablekeeper.errors import InvalidFileError, SchemaViolationError
from tablekeeper.found import Execution, Found
from tablekeeper.records import read_records
from tablekeeper.settings import ValidateSettings
from tablekeeper.staging import read_document, write_report
from tablekeeper.violations import REPORTED_VIOLATIONS, Violation, violations

MESSAGE_VIOLATIONS = 10


def validate(
    found: Found,
    document: dict[str, object],
    execution: Execution,
    settings: ValidateSettings,
    catalogue: Catalogue,
) -> int:
    """The number of records of a valid file.

    Raises:
        InvalidFileError: the file is bad. Of schema violations the message holds the first ten, and
        a report in the
            staging bucket the first hundred.
        DatasetDefinitionError: the dataset's schema cannot be used.
        TransientServiceError: a retry helps.
    """
    try:
        text = read_document(document, settings.max_document_bytes)
        dataset = catalogue.get(found.key)
        records = list(read_records(text, found.key, dataset))
    except InvalidFileError as error:
        raise type(error)(f"{found.uri}: {error}. {error.advice}") from None
    wrong = violations(records, dataset, catalogue)
    first = list(islice(wrong, REPORTED_VIOLATIONS))
    if first:
        count = len(first) + sum(1 for _ in wrong)
        raise SchemaViolationError(_summary(found, first, count, len(records), execution, settings))
    return len(records)


def _summary(
    found: Found,
    first: list[Violation],
    count: int,
    records: int,
    execution: Execution,
    settings: ValidateSettings,
) -> str:
    report = {
        "object": found.uri,
        "version_id": found.version_id,
        "etag": found.etag,
        "dataset": found.dataset,
        "execution": execution.id,
        "records": records,
        "violations": count,
        "first": [violation._asdict() for violation in first],
    }
    where = write_report(settings.staging_bucket, execution.name, report)
    shown = "".join(f"\n{violation}" for violation in first[:MESSAGE_VIOLATIONS])
    plural = "violation" if count == 1 else "violations"
    the_first = f", the first {MESSAGE_VIOLATIONS}" if count > MESSAGE_VIOLATIONS else ""
    return (
        f"{found.uri}: {count:,} {plural} of {found.dataset}.schema.json "
        f"in {records:,} records{the_first}:{shown}\n"
        f"Report: {where}. {SchemaViolationError.advice}"
    )
