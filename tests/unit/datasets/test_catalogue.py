"""One file in schemas/ that cannot be used fails the keys of its own prefix, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.bucket.differences import ListedObject, difference
from tablekeeper.bucket.ends import OUTDATED
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetDefinitionError
from tablekeeper.ledger.rows import Row
from tablekeeper.model.keys import TableKey
from tablekeeper.settings import FetchSettings

OUTER = {"x-tablekeeper": {"prefix": "d/"}}
DEEPER = {"x-tablekeeper": {"prefix": "d/e/f/"}}
INNER = {
    "title": 'a "prefix": "x/" in text',
    "properties": {"prefix": {"const": "y/"}},
    "x-tablekeeper": {"key": {"pk": "'{'", "sk": "sk"}, "prefix": "d/e/", "ttl": "until"},
}
SETTINGS = FetchSettings(
    source_bucket="source",
    ledger_table="ledger",
    items_table="items",
    ignore_patterns="",
    key_prefix="",
    item_keys=TableKey.parse("pk:S,sk:S"),
    ttl_attribute="expires_at",
    max_document_bytes=1,
)


def folder_of(folder: Path, inner: Any) -> Path:
    """A folder of three datasets, the middle one given as text or as a value."""
    files = {"outer": OUTER, "inner": inner, "deeper": DEEPER}
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.schema.json").write_text(text)
    return folder


BROKEN = [
    pytest.param(json.dumps(INNER) + "}", id="no JSON"),
    pytest.param({**INNER, "x-tablekeeper": {"prefix": "d/e/", "ttl": "$.x"}}, id="no JMESPath"),
    pytest.param({**INNER, "x-tablekeeper": {"prefix": "d/e/", "key": []}}, id="a bad member"),
    pytest.param({**INNER, "$id": 1}, id="a bad identifier"),
    pytest.param(json.dumps(INNER)[:-1] + ', "a": NaN}', id="a value that is not JSON"),
]


def test_a_number_that_no_record_has_is_named_as_one(tmp_path: Path) -> None:
    """Some generators write the largest double as a `maximum`."""
    folder = folder_of(tmp_path, {**INNER, "maximum": 1.7976931348623157e308})
    with pytest.raises(DatasetDefinitionError, match="a number that DynamoDB cannot hold") as said:
        Catalogue.load(folder)
    assert "JSON" not in str(said.value)


@pytest.mark.parametrize("inner", BROKEN)
def test_other_prefixes_work(tmp_path: Path, inner: Any) -> None:
    catalogue = Catalogue.load_usable(folder_of(tmp_path, inner))
    assert [catalogue.get(key).name for key in ("d/x", "d/e", "d/e/f/x")] == [
        "outer",
        "outer",
        "deeper",
    ]
    for find in (catalogue.find, catalogue.get):
        with pytest.raises(DatasetDefinitionError, match=r"inner\.schema\.json"):
            find("d/e/x")
    with pytest.raises(DatasetDefinitionError):
        Catalogue.load(tmp_path)


def test_a_file_that_is_cut_short_never_gives_its_keys_to_another(tmp_path: Path) -> None:
    """Nor one with any byte gone: it is used as it is, or fails its keys, or fails everything."""
    text = json.dumps(INNER)
    changed = [text[:end] for end in range(len(text))]
    changed += [text[:place] + text[place + 1 :] for place in range(len(text))]
    for each in changed:
        try:
            catalogue = Catalogue.load_usable(folder_of(tmp_path, each))
            found = catalogue.find("d/e/x")
        except DatasetDefinitionError:
            continue
        assert found is not None
        prefix = json.loads(each).get("x-tablekeeper", {}).get("prefix")
        assert found.name == ("inner" if prefix in ("d/e/", "d/e") else "outer"), each


def test_folders_and_hidden_files_are_no_schemas(tmp_path: Path) -> None:
    """Such as the lock of Emacs, a link that leads nowhere, and the attributes of macOS."""
    folder = folder_of(tmp_path, INNER)
    (folder / ".#inner.schema.json").symlink_to("user@host.1:2")
    (folder / "._inner.schema.json").write_bytes(b"\0\5\x16\7")
    (folder / "a.schema.json").mkdir()
    for load in (Catalogue.load, Catalogue.load_usable):
        assert set(load(folder).schemas) == {"outer", "inner", "deeper"}


def test_a_dataset_whose_prefix_is_unknown_fails_everything(tmp_path: Path) -> None:
    with pytest.raises(DatasetDefinitionError, match=r"inner\.schema\.json"):
        Catalogue.load_usable(folder_of(tmp_path, '{"x-tablekeeper": {"prefix": "d/e'))


def test_an_object_of_an_unusable_dataset_is_a_difference(tmp_path: Path) -> None:
    """So that a run over the bucket tries it, and records why it fails."""
    catalogue = Catalogue.load_usable(folder_of(tmp_path, BROKEN[1].values[0]))
    listed = ListedObject("d/e/x", "e", 1, "2026-01-01T00:00:00.000Z")
    row = Row(revision=1, status="SYNCED", etag="e", size=1)
    assert difference(listed, row, SETTINGS, catalogue) == OUTDATED
