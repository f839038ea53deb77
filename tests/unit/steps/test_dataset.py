"""What Fetch Object says of a dataset holds for functions that have the same one alone."""

from typing import Any

import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetChangedError
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import ValidateSettings
from tablekeeper.steps.dataset import check_dataset

KEYS = "pk:S,sk:S"


def catalogue(**more: Any) -> Catalogue:
    return Catalogue({"notes": {"type": "object", "x-tablekeeper": {"prefix": "notes/", **more}}})


def found(catalogue: Catalogue, key: str = "notes/a.json", ttl: str = "ttl") -> Snapshot:
    dataset = catalogue.find(key)
    return Snapshot(
        action="validate",
        bucket="b",
        key=key,
        revision=1,
        as_of="",
        dataset=dataset.name if dataset else None,
        digest=catalogue.digest(dataset, KEYS, ttl) if dataset else None,
    )


def settings(ttl: str = "ttl") -> ValidateSettings:
    return ValidateSettings(
        staging_bucket="staging",
        max_document_bytes=1000,
        item_keys=TableKey.parse(KEYS),
        ttl_attribute=ttl,
    )


def test_the_same_dataset_passes_and_so_does_none() -> None:
    check_dataset(found(catalogue()), settings(), catalogue())
    check_dataset(found(catalogue(), "other/a.json"), settings(), catalogue())


def test_another_schema_another_setting_or_no_dataset_reads_again() -> None:
    other = catalogue(attributes={"v": "v"})
    with pytest.raises(DatasetChangedError):
        check_dataset(found(other), settings(), catalogue())
    with pytest.raises(DatasetChangedError):
        check_dataset(found(catalogue()), settings("expires_at"), catalogue())
    with pytest.raises(DatasetChangedError):
        check_dataset(found(catalogue()), settings(), Catalogue({}))
