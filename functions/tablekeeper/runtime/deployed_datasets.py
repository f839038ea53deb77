"""The datasets that were deployed with the functions."""

from __future__ import annotations

from functools import cache

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.errors import DatasetDefinitionError


@cache
def catalogue() -> Catalogue:
    """The datasets of this deployment, read once a process; one that cannot be used fails its own
    prefix. Raises DatasetDefinitionError where the prefix cannot be read, either.
    """
    return Catalogue.load_usable()


def dataset_of(key: str) -> str | None:
    """The name of the dataset that an object's key matches; None where there is none, or where the
    deployment's datasets cannot be read.
    """
    try:
        dataset = catalogue().find(key)
    except DatasetDefinitionError:
        return None
    return dataset.name if dataset else None
