"""Transform Records: a valid document becomes items."""

from __future__ import annotations

from typing import Any

from tablekeeper.datasets import Catalogue
from tablekeeper.errors import InvalidFileError
from tablekeeper.found import Found
from tablekeeper.items import transform
from tablekeeper.records import read_records
from tablekeeper.settings import TransformSettings
from tablekeeper.staging import items_payload, read_document


def transform_document(
    found: Found, document: dict[str, Any], settings: TransformSettings, catalogue: Catalogue
) -> dict[str, Any]:
    """The items of a document, inline or staged.

    Raises:
        InvalidFileError: a record makes no item that the table can hold.
        TransientServiceError: a retry helps.
    """
    try:
        text = read_document(document, settings.max_document_bytes)
        dataset = catalogue.get(found.key)
        records = list(read_records(text, found.key, dataset))
        items = transform(records, found, dataset, settings.item_keys, settings.ttl_attribute)
    except InvalidFileError as error:
        raise type(error)(f"{found.uri}: {error}. {error.advice}") from None
    return items_payload(settings.staging_bucket, items)
