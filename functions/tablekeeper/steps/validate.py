"""Validate Records: finds everything that is wrong with a file, in one run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from itertools import accumulate, takewhile
from typing import Any, NamedTuple

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.no_data import no_data_hint
from tablekeeper.documents.pointers import shown
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
FAULTS_CHARACTERS, VALUES_CHARACTERS = 12_000, 8_000
"""Of the sentences of those, and of their values, which end the message, both in JSON. Step
Functions cuts a cause, which is JSON, at 32,768 characters; a cause that is cut has no values.
"""
_ESCAPED = 6  # characters in JSON of one outside of ASCII: \u00e9
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
    most = SET_ASIDE_CHARACTERS if aside else FAULTS_CHARACTERS
    sentences = [str(fault) for fault in first]
    faults = sentences[: _how_many_fit(map(json.dumps, sentences), most)]
    faults = faults or [sentences[0][: most // _ESCAPED] + "…"]
    summary = content.summary(report.count) + _the_first(faults, report.count)
    hint = "" if aside else no_data_hint(snapshot.key)
    sentence = f"{snapshot.uri}: {summary}\nReport: {where}. {kind.advice}{hint}"
    most = SET_ASIDE_CHARACTERS if aside else VALUES_CHARACTERS
    named = [_values(fault) for fault in first]
    named = named[: _how_many_fit(map(json.dumps, named), most)]
    values = {"count": report.count, "report": where, "first": named}
    if not aside:
        raise kind(with_values(sentence, values), **values)
    bad, of = content.records_bad, content.records_read
    return Verdict(of, SetAside(bad, of, where, with_values(sentence, values)))


def _values(fault: Violation | Refusal) -> dict[str, Any]:
    values = {name: value for name, value in fault._asdict().items() if value is not None}
    return values | ({"pointer": shown(values["pointer"])} if "pointer" in values else {})


def _the_first(faults: list[str], count: int) -> str:
    the_first = f", the first {len(faults)}" if count > len(faults) else ""
    return the_first + ":" + "".join(f"\n{fault}" for fault in faults)


def _how_many_fit(texts: Iterable[str], characters: int) -> int:
    """How many of the first texts have no more characters together."""
    lengths = accumulate(map(len, texts))
    return sum(1 for _ in takewhile(lambda length: length <= characters, lengths))


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
