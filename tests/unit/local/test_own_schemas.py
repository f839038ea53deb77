"""Dataset files of one's own in built functions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from local.errors import LocalStackError
from local.own_schemas import check_schemas, dataset_files, put_files
from tests.support.project import ROOT

OWN = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Product",
    "type": "object",
    "required": ["sku"],
    "properties": {"sku": {"type": "string", "minLength": 1}},
    "examples": [{"sku": "4711"}],
    "x-tablekeeper": {"prefix": "products/", "key": {"pk": "sku", "sk": "'product'"}},
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with one dataset."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "products.schema.json").write_text(json.dumps(OWN))
    return folder


def test_ones_own_datasets_stand_in_the_place_of_the_projects(own: Path, tmp_path: Path) -> None:
    for function in ("Fetch", "Validate"):
        shutil.copytree(ROOT / "schemas", tmp_path / "build" / function / "schemas")
    (tmp_path / "build" / "Other").mkdir()
    check_schemas(own, "pk:S,sk:S")
    put_files(tmp_path / "build", dataset_files(own, beside=False))
    for function in ("Fetch", "Validate"):
        names = {each.name for each in (tmp_path / "build" / function / "schemas").iterdir()}
        assert names == {"products.schema.json", "x-tablekeeper.meta.json"}


def test_bad_datasets_are_not_deployed(own: Path, tmp_path: Path) -> None:
    bad = {**OWN, "x-tablekeeper": {"prefix": "products/", "key": {"pk": "sku ||"}}}
    (own / "products.schema.json").write_text(json.dumps(bad))
    with pytest.raises(LocalStackError, match=r"cannot be deployed:(.|\n)*products\.schema\.json"):
        check_schemas(own, "pk:S,sk:S")
    with pytest.raises(LocalStackError, match="there is no"):
        check_schemas(tmp_path, "pk:S,sk:S")
    with pytest.raises(LocalStackError, match="holds no built function"):
        put_files(tmp_path, {})
