"""The advice of errors that are no file's: what it says is done, and the file is in the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from handlers import fetch_object, write_items
from tablekeeper import errors
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.settings import FetchSettings
from tablekeeper.steps.events import object_of

from tests.support.project import error_classes
from tests.unit.conftest import ENVIRONMENT, Pipeline

KEY = "notes/a.json"
NOTHING = {
    "StaleRevisionError",
    "ObjectChangedError",
    "DatasetChangedError",
    "UnfinishedWriteError",
    "TransientServiceError",
}
"""The definition tries again by itself: tests/unit/test_second_reading.py, test_errors.py."""
DONE = {
    "StagedSetMissingError",
    "ContentionError",
    "InvalidEventError",
    "DatasetDefinitionError",
    "ConfigurationError",
}
ELSEWHERE = {"ListingError": "tests/unit/handlers/test_report_differences.py"}


def test_every_error_of_the_system_has_its_case() -> None:
    system = {name for name, each in error_classes().items() if each.status != "INVALID"}
    assert system == NOTHING | DONE | ELSEWHERE.keys()
    for name in NOTHING:
        assert error_classes()[name].advice.startswith("Nothing")
        assert error_classes()[name].status in ("RETRY", "READ_AGAIN")


def reprocess(pipeline: Pipeline) -> None:
    """A new execution of the file, which ends well."""
    assert pipeline.sync(KEY)["outcome"] in ("SYNCED", "UNCHANGED")
    assert {item["pk"]["S"] for item in pipeline.items()} == {"a", "b", "c"}


@pytest.mark.usefixtures("large")
def test_what_is_no_longer_staged_is_staged_again(pipeline: Pipeline) -> None:
    """Between Transform Records and Write Items everything in the staging bucket expires."""
    write = write_items.handler

    def late(*arguments: Any) -> Any:
        for each in pipeline.s3.list_objects_v2(Bucket="staging")["Contents"]:
            pipeline.s3.delete_object(Bucket="staging", Key=each["Key"])
        return write(*arguments)

    pipeline.put(KEY, [{"pk": pk, "sk": "x"} for pk in "abc"])
    with (
        patch.object(write_items, "handler", late),
        pytest.raises(errors.StagedSetMissingError) as caught,
    ):
        pipeline.sync(KEY)
    assert caught.value.advice.startswith("Reprocess the file")
    reprocess(pipeline)


def test_a_file_that_many_changed_is_reprocessed(pipeline: Pipeline) -> None:
    pipeline.put(KEY, [{"pk": pk, "sk": "x"} for pk in "abc"])
    payload = {"event": pipeline.event(KEY), "entered": "2026-01-01T00:00:00Z", "round": 13}
    with pytest.raises(errors.ContentionError):
        fetch_object.handler(payload, None)
    assert errors.ContentionError.advice.startswith("Reprocess the file")
    reprocess(pipeline)


def test_an_input_is_mended_as_the_advice_says() -> None:
    advice = errors.InvalidEventError.advice
    event: dict[str, Any] = {}
    for member in ("detail.bucket.name", "detail.object.key"):
        assert member in advice
        with pytest.raises(errors.InvalidEventError):
            object_of(event, "source")
        inner = event
        *path, last = member.split(".")
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = "source"
    assert object_of(event, "source") == "source"


def test_a_key_that_is_too_long_is_made_shorter(pipeline: Pipeline) -> None:
    assert "a shorter key" in errors.InvalidEventError.advice
    with pytest.raises(errors.InvalidEventError):
        pipeline.fetch("notes/" + "x" * 1010)
    assert pipeline.fetch("notes/" + "x" * 1000)["found"]["action"]


def test_a_schema_file_is_mended(tmp_path: Path) -> None:
    assert errors.DatasetDefinitionError.advice.startswith("Mend the file in schemas/")
    file, keyword = tmp_path / "d.schema.json", {"prefix": "notes/", "ttl": "a..b"}
    for ttl in ("a..b", "a.b"):
        file.write_text(json.dumps({"x-tablekeeper": {**keyword, "ttl": ttl}}))
        catalogue = Catalogue.load_usable(tmp_path)
        if ttl == "a..b":
            with pytest.raises(errors.DatasetDefinitionError):
                catalogue.find(KEY)
    assert catalogue.find(KEY)


@pytest.mark.parametrize("bad", [None, "many"], ids=["missing", "no number"])
def test_settings_are_those_of_the_template(bad: str | None) -> None:
    """tests/statemachine/test_template.py holds the template's variables against the settings."""
    name = "MAX_DOCUMENT_BYTES"
    environment = {each: text for each, text in ENVIRONMENT.items() if each != name}
    with pytest.raises(errors.ConfigurationError, match=name):
        FetchSettings.from_environment({**environment, **({name: bad} if bad else {})})
    assert FetchSettings.from_environment(ENVIRONMENT).max_document_bytes == 1_000_000
