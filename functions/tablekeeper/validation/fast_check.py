"""Acceptance: records that the reference would accept, told by jsonschema-rs in a fraction of its
time.

The two libraries differ, and a record that is bad must not get in where they do. So jsonschema-rs
never sees a schema as it is written: it is translated into one that has only what was found to mean
the same to both. References are put in place, formats, patterns and limits of numbers become calls
of the functions that the reference calls, and what says nothing about records is left out. Where
that cannot be done, and for every record that jsonschema-rs does not accept, the reference decides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.validation.translation import Translation


@lru_cache(maxsize=256)
def acceptor(catalogue: Catalogue, name: str) -> Callable[[Any], bool] | None:
    """A function that says True of nothing but what the reference accepts; None where there cannot
    be one.
    """
    try:
        translation = Translation(catalogue, name)
        is_valid = Draft202012Validator(
            translation.root,
            formats=translation.formats,
            validate_formats=True,
            ignore_unknown_formats=False,
            keywords={"check": translation.check},  # type: ignore[dict-item]
            offline=True,
        ).is_valid
    except BaseException as error:
        if _is_no_answer(error):
            return None
        raise

    def accepts(value: Any) -> bool:
        try:
            return is_valid(value)
        except BaseException as error:
            if _is_no_answer(error):
                return False
            raise

    return accepts


def _is_no_answer(error: BaseException) -> bool:
    """Whether an error only means that the reference has to be asked; a panic in Rust is one, and
    no Exception.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
