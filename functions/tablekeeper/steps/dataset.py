"""Whether a step has the dataset that Fetch Object had."""

from __future__ import annotations

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetChangedError
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import TransformSettings, ValidateSettings


def check_dataset(
    snapshot: Snapshot, settings: ValidateSettings | TransformSettings, catalogue: Catalogue
) -> None:
    """Raises unless this function has the object's dataset as Fetch Object had it.

    A deployment updates functions one by one, each with its own copy of schemas/ and its own
    settings. What one function checked must not be written under the digest of another.

    Raises:
        DatasetChangedError: the dataset, or the table's settings, are others than Fetch Object's.
    """
    dataset = catalogue.find(snapshot.key)
    digest = (
        catalogue.digest(dataset, str(settings.item_keys), settings.ttl_attribute)
        if dataset
        else None
    )
    if digest != snapshot.digest:
        raise DatasetChangedError(
            f"{snapshot.uri}: this function's digest of the dataset is {digest}, "
            f"Fetch Object's is {snapshot.digest}"
        )
