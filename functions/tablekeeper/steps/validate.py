"""Validate Records: everything that is wrong with a file, said at once and to the point."""

from __future__ import annotations

from functools import partial

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.no_data import no_data_hint
from tablekeeper.errors import InvalidFileError, SchemaViolationError
from tablekeeper.model.execution import Execution
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import ValidateSettings
from tablekeeper.staging.violation_report import Report
from tablekeeper.steps.content import read_document
from tablekeeper.steps.dataset import check_dataset
from tablekeeper.steps.file_content import FileContent
from tablekeeper.validation.violation import Violation

MESSAGE_VIOLATIONS = 10


def validate(
    snapshot: Snapshot,
    document: dict[str, object],
    execution: Execution,
    settings: ValidateSettings,
    catalogue: Catalogue,
) -> int:
    """The number of records of a valid file.

    Raises:
        InvalidFileError: the file is bad. Of schema violations the message holds the first ten and
            their number, and a report in the staging bucket all.
        DatasetDefinitionError: the dataset's schema cannot be used.
        DatasetChangedError: a deployment is under way.
        ObjectChangedError: the object is no longer the one that was found.
        TransientServiceError: a retry helps.
    """
    check_dataset(snapshot, settings, catalogue)
    text = partial(read_document, document, snapshot, settings.max_document_bytes)
    content = FileContent(snapshot, catalogue, text)
    report: Report | None = None
    first: list[Violation] = []
    try:
        for violation in content.violations():
            report = report or Report(settings.staging_bucket, execution.name)
            report.add(violation._asdict())
            if len(first) < MESSAGE_VIOLATIONS:
                first.append(violation)
    except InvalidFileError as error:
        hint = no_data_hint(snapshot.key)
        raise type(error)(f"{snapshot.uri}: {error}. {error.advice}{hint}") from None
    if report:
        where = report.close(
            {
                "object": snapshot.uri,
                "version_id": snapshot.version_id,
                "etag": snapshot.etag,
                "dataset": snapshot.dataset,
                "execution": execution.id,
                "records": content.records_read,
            }
        )
        count = content.records_read
        raise SchemaViolationError(_summary(snapshot, first, report.count, count, where))
    return content.records_read


def _summary(
    snapshot: Snapshot, first: list[Violation], count: int, records: int, where: str
) -> str:
    shown = "".join(f"\n{violation}" for violation in first)
    plural = "violation" if count == 1 else "violations"
    the_first = f", the first {len(first)}" if count > len(first) else ""
    return (
        f"{snapshot.uri}: {count:,} {plural} of {snapshot.dataset}.schema.json "
        f"in {records:,} records{the_first}:{shown}\n"
        f"Report: {where}. {SchemaViolationError.advice}{no_data_hint(snapshot.key)}"
    )
