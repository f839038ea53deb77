"""Which schemas a dataset depends on: those that its validator reads."""

from __future__ import annotations

from typing import Any

import pytest
from tablekeeper.datasets.catalogue import MAX_URIS, Catalogue
from tablekeeper.datasets.records import Record
from tablekeeper.validation.validator import violations

KEYWORD = {"x-tablekeeper": {"prefix": "p/", "key": {"pk": "id", "sk": "id"}}}
DRAFT_4, DRAFT_7 = (f"http://json-schema.org/draft-0{each}/schema#" for each in (4, 7))


def at_e(reference: str, **more: Any) -> dict[str, Any]:
    """A dataset whose field `e` refers somewhere."""
    properties = {"e": {"$ref": reference}}
    return {"$id": "https://x.example/t.json", "properties": properties, **KEYWORD, **more}


V = {"properties": {"v": {"$ref": "other.json"}}}
BESIDE = {
    "within an embedded schema": {
        "t": at_e(
            "https://y.example/a/e.json",
            **{"$defs": {"e": {"$id": "https://y.example/a/e.json", **V}}},
        ),
        "other": {"$id": "https://y.example/a/other.json"},
    },
    "within two": {
        "t": at_e(
            "a/b/e.json",
            **{"$defs": {"a": {"$id": "a/x.json", "$defs": {"e": {"$id": "b/e.json", **V}}}}},
        ),
        "other": {"$id": "https://x.example/a/b/other.json"},
    },
    "of a schema without an identifier": {
        "t": at_e("common.schema.json"),
        "common": V,
        "other": {"$id": "https://x.example/other.json"},
    },
    "of a schema with another identifier": {
        "t": at_e("common.schema.json"),
        "common": {"$id": "https://z.example/common.json", **V},
        "other": {"$id": "https://x.example/other.json"},
    },
    "of a part of one": {
        "t": at_e("common.schema.json#/$defs/a"),
        "common": {"$defs": {"a": V}},
        "other": {"$id": "https://x.example/other.json"},
    },
    "in draft 4": {
        "t": at_e(
            "https://y.example/a/e.json",
            **{"$schema": DRAFT_4, "definitions": {"e": {"id": "https://y.example/a/e.json", **V}}},
        ),
        "other": {"$id": "https://y.example/a/other.json"},
    },
    "to an identifier with an empty fragment": {
        "t": at_e("https://y.example/e.json#", **{"$schema": DRAFT_7}),
        "e": {"$id": "https://y.example/e.json#", "$schema": DRAFT_7, **V},
        "other": {"$id": "https://y.example/other.json#"},
    },
    "to an id of draft 4": {
        "t": at_e("https://y.example/e.json#/definitions/v", **{"$schema": DRAFT_4}),
        "e": {"id": "https://y.example/e.json#", "$schema": DRAFT_4, "definitions": {"v": V}},
        "other": {"id": "https://y.example/other.json", "$schema": DRAFT_4},
    },
    "beside an identifier in draft 7": {
        "t": at_e("other.json", **{"$schema": DRAFT_7})
        | {"properties": {"e": {"properties": {"v": {"$id": "/b/", "$ref": "other.json"}}}}},
        "other": {"$id": "https://x.example/other.json"},
    },
}


@pytest.mark.parametrize("schemas", BESIDE.values(), ids=BESIDE)
def test_a_change_of_what_the_validator_reads_is_in_the_digest(schemas: Any) -> None:
    digests = set()
    for kind, bad in (("string", False), ("number", True)):
        other = {**schemas["other"], "type": kind}
        catalogue = Catalogue({**schemas, "other": other})
        dataset = catalogue.datasets["t"]
        records = [Record(0, {"e": {"v": "text"}})]
        assert bool(list(violations(records, dataset, catalogue))) is bad
        assert catalogue.references("t") == set(schemas)
        digests.add(catalogue.digest(dataset, "pk:S,sk:S", "until"))
    assert len(digests) == 2


def test_a_circle_of_ever_longer_uris_ends() -> None:
    catalogue = Catalogue({"t": at_e("a/t.schema.json")})
    assert len(catalogue.reached("t")) == MAX_URIS
