"""Validate Records: finds everything that is wrong with a file, in one run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.no_data import no_data_hint
from tablekeeper.errors import BadRecordsError, InvalidFileError, SchemaViolationError
from tablekeeper.model.execution import Execution
from tablekeeper.model.messages import with_values
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.settings import ValidateSettings
from tablekeeper.staging.violation_report import Report
from tablekeeper.steps.content import read_document
from tablekeeper.steps.dataset import check_dataset
from tablekeeper.steps.file_content import FileContent, Refusal
from tablekeeper.validation.violation import Violation

MESSAGE_FAULTS = 10
VALUES_CHARACTERS = 8_000
"""Of the values of those, which end the message: Step Functions cuts a cause at 32,768."""
SET_ASIDE_CHARACTERS = 3_000
"""Of the message of set-aside records. It travels between the states, beside a document that may
fill most of a payload, and stands in the ledger's row twice.
"""


class Verdict(NamedTuple):
    """Of a file that is not refused: the number of its records, and the bad ones that its dataset
    sets aside.
    """

    records: int
    set_aside: SetAside | None = None

    def payload(self) -> dict[str, Any]:
        """As a state's output."""
        aside = {"set_aside": self.set_aside._asdict()} if self.set_aside else {}
        return {"records": self.records, **aside}


def validate(
    snapshot: Snapshot,
    document: dict[str, object],
    execution: Execution,
    settings: ValidateSettings,
    catalogue: Catalogue,
) -> Verdict:
    """Validates the records of a file.

    Raises:
        InvalidFileError: the file is bad. The message has the number of violations and the first
            ten; a report in the staging bucket has all.
        DatasetDefinitionError: the dataset's schema cannot be used.
        DatasetChangedError: a deployment is under way.
        ObjectChangedError: the object is no longer the one that was found.
        TransientServiceError: a retry helps.
    """
    check_dataset(snapshot, settings, catalogue)
    text = partial(read_document, document, snapshot, settings.max_document_bytes)
    content = FileContent(snapshot, catalogue, text)
    report: Report | None = None
    first: list[Violation | Refusal] = []
    try:
        for fault in content.faults(settings):
            report = report or Report(settings.staging_bucket, execution.name)
            report.add(fault._asdict())
            if len(first) < MESSAGE_FAULTS:
                first.append(fault)
    except InvalidFileError as error:
        raise error.of_file(snapshot.uri, no_data_hint(snapshot.key)) from None
    if report is None:
        return Verdict(content.records_read)
    where = report.close(_about(content, execution))
    rule = content.dataset.bad_records
    aside = rule is not None and content.is_acceptable()
    kind = SchemaViolationError if rule is None else BadRecordsError
    faults = [str(fault) for fault in first]
    if aside:
        faults = _as_many_as_fit(faults, SET_ASIDE_CHARACTERS)
        faults = faults or [str(first[0])[:SET_ASIDE_CHARACTERS] + "…"]
    summary = content.summary(report.count) + _the_first(faults, report.count)
    hint = "" if aside else no_data_hint(snapshot.key)
    sentence = f"{snapshot.uri}: {summary}\nReport: {where}. {kind.advice}{hint}"
    most = SET_ASIDE_CHARACTERS if aside else VALUES_CHARACTERS
    lines = _as_many_as_fit((json.dumps(_values(fault)) for fault in first), most)
    values = {"count": report.count, "report": where, "first": [*map(json.loads, lines)]}
    if not aside:
        raise kind(with_values(sentence, values), **values)
    bad, of = content.records_bad, content.records_read
    return Verdict(of, SetAside(bad, of, where, with_values(sentence, values)))


def _values(fault: Violation | Refusal) -> dict[str, Any]:
    return {name: value for name, value in fault._asdict().items() if value is not None}


def _the_first(faults: list[str], count: int) -> str:
    the_first = f", the first {len(faults)}" if count > len(faults) else ""
    return the_first + ":" + "".join(f"\n{fault}" for fault in faults)


def _as_many_as_fit(texts: Iterable[str], characters: int) -> list[str]:
    length, fit = 0, list[str]()
    for text in texts:
        length += len(text)
        if length > characters:
            break
        fit.append(text)
    return fit


def _about(content: FileContent, execution: Execution) -> dict[str, Any]:
    snapshot = content.snapshot
    bad = {"bad_records": content.records_bad} if content.dataset.bad_records else {}
    return {
        "object": snapshot.uri,
        "version_id": snapshot.version_id,
        "etag": snapshot.etag,
        "dataset": snapshot.dataset,
        "execution": execution.id,
        "records": content.records_read,
        **bad,
    }
