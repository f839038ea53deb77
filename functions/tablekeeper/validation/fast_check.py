"""The fast check: jsonschema-rs accepts records that the reference would accept, in a fraction of
its time.

The two libraries differ, and a bad record must not pass where they do. So jsonschema-rs never gets
a schema as it is written: it is translated into keywords that were found to mean the same in both.
References are replaced by their targets; formats, patterns and limits of numbers become calls of
the functions that the reference calls; annotations are left out. Where that cannot be done, and for
every record that jsonschema-rs does not accept, the reference decides.
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
    """Whether an error only means that the reference has to decide; a panic in Rust is one, and no
    Exception.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
