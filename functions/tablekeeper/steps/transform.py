"""Transform Records: a valid document becomes items."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.items_of_records import RecordItem
from tablekeeper.datasets.no_data import no_data_hint
from tablekeeper.errors import DuplicateItemKeyError, InvalidFileError
from tablekeeper.model.items import item_key
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import TransformSettings
from tablekeeper.staging.item_set import ItemSetWriter
from tablekeeper.staging.partitioned_lines import key_hash
from tablekeeper.steps.content import read_document
from tablekeeper.steps.dataset import check_dataset
from tablekeeper.steps.file_content import FileContent


def transform_document(
    snapshot: Snapshot, document: dict[str, Any], settings: TransformSettings, catalogue: Catalogue
) -> dict[str, Any]:
    """The items of a document, inline or staged.

    Raises:
        InvalidFileError: a record makes no item that the table can hold, or two make the same.
        DatasetChangedError: a deployment is under way.
        ObjectChangedError: the object is no longer the one that was found.
        TransientServiceError: a retry helps.
    """
    check_dataset(snapshot, settings, catalogue)

    text = partial(read_document, document, snapshot, settings.max_document_bytes)
    content = FileContent(snapshot, catalogue, text)
    try:
        with ItemSetWriter(settings.staging_bucket, settings.item_keys) as writer:
            for made in content.items(settings):
                writer.add(made.item, made.text)
            suspects = writer.suspects()
            if suspects:
                _check_keys(content.items(settings), suspects, settings)
            return writer.close()
    except InvalidFileError as error:
        raise error.of_file(snapshot.uri, no_data_hint(snapshot.key)) from None


def _check_keys(
    items: Iterator[RecordItem], suspects: set[int], settings: TransformSettings
) -> None:
    """Raises DuplicateItemKeyError when two items have the same key, and not just the same hash."""
    seen: dict[str, int] = {}
    for place, item, _ in items:
        key = item_key(item, settings.item_keys)
        if key_hash(key.text) in suspects and seen.setdefault(key.text, place) != place:
            raise DuplicateItemKeyError(
                f"records {seen[key.text]} and {place} both have the key {key.shown}",
                record=place,
                item=key.attributes,
            )
