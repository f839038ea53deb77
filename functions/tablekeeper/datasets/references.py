"""Which URIs the references of a schema mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urldefrag, urljoin

_OLD_DRAFTS = tuple(f"http://json-schema.org/draft-0{each}/schema" for each in (3, 4, 6, 7))
_DRAFTS_WITH_ID = _OLD_DRAFTS[:2]
REFERENCES = ("$ref", "$dynamicRef")


def has_plain_id(schema: Mapping[str, Any]) -> bool:
    """Whether the draft that a schema names says `id` for what is `$id` in later ones."""
    return _bare(schema.get("$schema")) in _DRAFTS_WITH_ID


def ref_stands_alone(schema: Mapping[str, Any]) -> bool:
    """Whether in the draft that a schema names what stands beside a `$ref` means nothing."""
    return _bare(schema.get("$schema")) in _OLD_DRAFTS


def identifier(schema: Mapping[str, Any], *, plain_id: bool | None = None) -> str:
    """The URI that a schema gives itself, without an empty fragment; "" where it gives none."""
    plain_id = has_plain_id(schema) if plain_id is None else plain_id
    return _bare(schema.get("id" if plain_id else "$id"))


def referenced_uris(schema: Mapping[str, Any], base: str, *, plain_id: bool) -> Iterator[str]:
    """The URI, without its fragment, of each reference in a schema that was reached by `base`. What
    stands within a schema with an `$id` of its own is relative to that.
    """
    pending: list[tuple[Any, str]] = [(schema, base)]
    while pending:
        value, base = pending.pop()
        if isinstance(value, list):
            pending += ((each, base) for each in value)
        if not isinstance(value, dict):
            continue
        bases = [base]
        if value is not schema:
            # Before draft 2019-09 an `$id` beside a `$ref` means nothing, so both may count.
            bases.append(urldefrag(urljoin(base, identifier(value, plain_id=plain_id))).url)
        for keyword in REFERENCES:
            if isinstance(value.get(keyword), str):
                yield from (urldefrag(urljoin(each, value[keyword])).url for each in bases)
        pending += ((each, bases[-1]) for each in value.values())


def _bare(uri: Any) -> str:
    return uri.removesuffix("#") if isinstance(uri, str) else ""
