"""The shipped datasets: their schemas, their examples, and the samples beside them."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tablekeeper import errors
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import FIELDS, FORMATS, KEYWORD, SUFFIX, Dataset
from tablekeeper.datasets.items_of_records import make_items
from tablekeeper.datasets.records import Record, read_records
from tablekeeper.documents.pointers import walk
from tablekeeper.documents.text import text_of
from tablekeeper.model.items import Item, item_key
from tablekeeper.model.keys import TableKey
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.validation.ref_targets import unresolvable
from tablekeeper.validation.validator import violations

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "schemas"
SAMPLES = ROOT / "samples"
E2E_SCHEMAS = ROOT / "tests/e2e/schemas"

META = json.loads((SCHEMAS / "x-tablekeeper.meta.json").read_text("utf-8"))
SCHEMA_FILES = sorted([*SCHEMAS.glob(f"*{SUFFIX}"), *E2E_SCHEMAS.glob(f"*{SUFFIX}")])
CATALOGUES = {folder: Catalogue.load(folder) for folder in (SCHEMAS, E2E_SCHEMAS)}
CATALOGUE = CATALOGUES[SCHEMAS]
DATASETS = sorted(CATALOGUE.datasets)
TABLE_KEY = TableKey.parse("pk:S,sk:S")
TTL = "expires_at"
KILOBYTE = 1000
ITEMS_SWAPPED_AT_ONCE = 49

SAMPLE_KEYS = sorted(
    path.relative_to(SAMPLES).as_posix()
    for dataset in DATASETS
    for path in (SAMPLES / dataset).rglob("*")
    if path.is_file()
)
BAD_SAMPLES = dict(
    re.findall(
        r"^\| (\S+/\S+) \| .* \| `(\w+Error)` \|$",
        (SAMPLES / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
)


def items_of(key: str, path: Path) -> list[Item]:
    """What a file becomes, validated and transformed as the functions do it."""
    dataset = CATALOGUE.get(key)
    text = text_of([path.read_bytes()], 50 * KILOBYTE)
    records = list(read_records(text, key, dataset))
    wrong = [str(violation) for violation in violations(records, dataset, CATALOGUE)]
    if wrong:
        raise errors.SchemaViolationError("\n".join(wrong))
    found = Snapshot(
        action="PUT", bucket="bucket", key=key, revision=0, as_of="2026-11-23T00:00:00.000Z"
    )
    return [made.item for made in make_items(records, found, dataset, TABLE_KEY, TTL)]


@pytest.fixture(scope="module")
def samples() -> dict[str, list[Item]]:
    """The items of every good sample, by the key of its object."""
    return {key: items_of(key, SAMPLES / key) for key in SAMPLE_KEYS}


class TestMetaSchema:
    def test_is_a_json_schema_with_good_examples(self) -> None:
        """The meta-schema holds for itself what it asks of others."""
        Draft202012Validator.check_schema(META)
        for example in META["examples"]:
            Draft202012Validator(META).validate(example)

    def test_is_no_dataset(self) -> None:
        """Its file name keeps it apart from datasets and from what they refer to."""
        assert not any("meta" in name for name in CATALOGUE.schemas)

    @pytest.mark.parametrize(
        "mistake",
        [
            {},
            [],
            {"prefix": None},
            {"prefix": "/notes/"},
            {"prefix": "s3://bucket/notes/"},
            {"prefix": "notes/", "sufixes": [".json"]},
            {"prefix": "notes/", "suffixes": ".json"},
            {"prefix": "notes/", "suffixes": []},
            {"prefix": "notes/", "suffixes": [""]},
            {"prefix": "notes/", "format": "xml"},
            {"prefix": "notes/", "format": "jsonl", "records": "items"},
            {"prefix": "notes/", "records": " "},
            {"prefix": "notes/", "key": {}},
            {"prefix": "notes/", "key": "id"},
            {"prefix": "notes/", "key": {"pk": 1}},
            {"prefix": "notes/", "key": {"pk": "a", "sk": "b", "tk": "c"}},
            {"prefix": "notes/", "attributes": {}},
            {"prefix": "notes/", "attributes": {"_source": "source"}},
            {"prefix": "notes/", "attributes": {"": "text"}},
            {"prefix": "notes/", "ttl": 86400},
        ],
        ids=[
            "empty",
            "a list",
            "null prefix",
            "prefix from the root",
            "prefix with a bucket",
            "misspelled",
            "suffixes as text",
            "no suffixes",
            "an empty suffix",
            "unknown format",
            "records of lines",
            "blank records",
            "empty key",
            "key as text",
            "key by number",
            "key of three",
            "no attributes",
            "a reserved attribute",
            "an attribute without a name",
            "ttl by number",
        ],
    )
    def test_refuses_a_mistake(self, mistake: object) -> None:
        """What a user may get wrong is refused before anything is deployed."""
        assert not Draft202012Validator(META).is_valid(mistake)

    def test_says_what_each_member_is_for(self) -> None:
        """Every member has a description, since it is what a user who got it wrong reads."""
        assert all("description" in member for member in META["properties"].values())


@pytest.mark.parametrize("path", SCHEMA_FILES, ids=lambda path: str(path.name))
def test_a_schema_says_what_it_is(path: Path) -> None:
    """Each has the members that make it readable; an `$id` ends in its file name."""
    schema = json.loads(path.read_text("utf-8"))
    assert {"title", "examples"} <= schema.keys()
    assert schema.get("$id", f"/{path.name}").endswith(f"/{path.name}")


class TestDatasets:
    def test_prefix_is_the_name(self) -> None:
        """The name of a file in schemas/ says where its objects are."""
        assert all(dataset.prefix == f"{name}/" for name, dataset in CATALOGUE.datasets.items())

    def test_a_reference_by_file_name_is_followed(self) -> None:
        """The plain schema that earthquakes refers to takes part in the validation."""
        (good,) = CATALOGUE.schemas["earthquakes"]["examples"]
        geometry = {"type": "Point", "coordinates": [121.653, Decimal("90.0001"), 10.64]}
        record = Record(0, {**good, "geometry": geometry})
        (wrong,) = violations([record], CATALOGUE.datasets["earthquakes"], CATALOGUE)
        assert (wrong.pointer, wrong.keyword) == ("/geometry/coordinates/1", "maximum")

    @pytest.mark.parametrize(
        ("dataset", "field", "value"),
        [
            ("countries", "alpha_2", "at"),
            ("countries", "numeric", 40),
            ("countries", "flag", "AT"),
            ("countries", "capital", "Vienna"),
            ("weather", "temp_min", Decimal("-2.15")),
            ("weather", "precipitation", Decimal("-0.1")),
            ("weather", "date", "2015-02-29"),
            ("weather", "location", "Springfield"),
            ("earthquakes", "id", "US1000CHHC"),
            ("earthquakes", "geometry", {"type": "Point", "coordinates": [1, 2]}),
        ],
    )
    def test_a_schema_constrains(self, dataset: str, field: str, value: object) -> None:
        """The good example with one bad field violates the schema, once."""
        (good,) = CATALOGUE.schemas[dataset]["examples"]
        record = Record(0, {**good, field: value})
        assert len(list(violations([record], CATALOGUE.datasets[dataset], CATALOGUE))) == 1


class TestSamples:
    def test_belong_to_a_dataset_and_say_their_licence(self) -> None:
        """Each folder of samples is one of a dataset, and has its licence."""
        folders = {each.name for each in SAMPLES.iterdir() if each.is_dir()} - {"bad", "LICENSES"}
        assert folders <= set(DATASETS)
        assert len(folders) >= 3
        assert all((SAMPLES / "LICENSES" / f"{folder}.md").is_file() for folder in folders)

    def test_are_small(self) -> None:
        """A clone stays small."""
        sizes = [path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()]
        assert max(sizes) < 50 * KILOBYTE
        assert sum(sizes) < 500 * KILOBYTE

    @pytest.mark.parametrize("key", SAMPLE_KEYS)
    def test_becomes_items(self, key: str, samples: dict[str, list[Item]]) -> None:
        """Each is valid, and another file may replace it whole in one transaction."""
        assert 1 <= len(samples[key]) <= ITEMS_SWAPPED_AT_ONCE

    def test_claim_no_item_twice(self, samples: dict[str, list[Item]]) -> None:
        """All samples can be in the bucket at the same time."""
        claims = Counter(item_key(item, TABLE_KEY) for items in samples.values() for item in items)
        assert [key for key, count in claims.items() if count > 1] == []

    @pytest.mark.parametrize("key", [key for key in SAMPLE_KEYS if key.startswith("weather")])
    def test_keep_every_number(self, key: str, samples: dict[str, list[Item]]) -> None:
        """Where all fields become attributes, the numbers are those of the text, in its order."""
        written = re.findall(r": (-?[0-9.]+)", (SAMPLES / key).read_text("utf-8"))
        kept = [each["N"] for item in samples[key] for each in item.values() if "N" in each]
        assert [Decimal(text) for text in written] == [Decimal(text) for text in kept]

    def test_only_what_is_automatic_expires(self, samples: dict[str, list[Item]]) -> None:
        """A TTL is set where a person has not reviewed the event, and lies far ahead."""
        items = [item for items in samples.values() for item in items]
        expiring = [item for item in items if TTL in item]
        automatic = [item for item in items if item.get("status") == {"S": "automatic"}]
        assert expiring == automatic != []
        end = datetime(2035, 1, 1, tzinfo=UTC).timestamp()
        assert {item[TTL]["N"] for item in expiring} == {str(int(end))}

    def test_a_computed_key_holds_the_day(self, samples: dict[str, list[Item]]) -> None:
        """The partition key of an earthquake comes from its object's key."""
        for key, items in samples.items():
            dataset, day, *_ = key.split("/")
            if dataset == "earthquakes":
                assert {item["pk"]["S"] for item in items} == {f"earthquakes#{day}"}


class TestBadSamples:
    def test_the_readme_lists_them(self) -> None:
        """The table in the samples' README names every bad file and no other."""
        folder = SAMPLES / "bad"
        files = [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ]
        assert sorted(BAD_SAMPLES) == sorted(files) != []

    @pytest.mark.parametrize("key", sorted(BAD_SAMPLES))
    def test_is_bad_as_the_readme_says(self, key: str, samples: dict[str, list[Item]]) -> None:
        """Each is refused under the name that the README gives."""
        error: type[errors.TablekeeperError] = getattr(errors, BAD_SAMPLES[key])
        path = SAMPLES / "bad" / key
        if error is errors.KeyOwnershipError:
            (theirs,) = (item_key(item, TABLE_KEY) for item in items_of(key, path))
            owned = (item_key(item, TABLE_KEY) for items in samples.values() for item in items)
            assert theirs in owned
        else:
            with pytest.raises(error):
                items_of(key, path)


def test_the_code_takes_the_fields_that_the_meta_schema_describes() -> None:
    assert set(FIELDS) == set(META["properties"])


@pytest.mark.parametrize(
    "branch",
    [
        lambda schema: schema,
        lambda schema: {"properties": {"deep": {"items": schema}}},
        lambda schema: {"$ref": "other.schema.json", "not": schema},
        lambda schema: {"unevaluatedProperties": schema},
        lambda schema: {"$schema": "http://json-schema.org/draft-07/schema#", "then": schema},
        lambda schema: {"$ref": "#/$defs/a", "$defs": {"a": schema}},
    ],
    ids=["root", "properties", "not", "unevaluatedProperties", "then", "definition"],
)
def test_a_reference_to_the_network_is_told_before_any_record(branch: Any) -> None:
    """Even if no record comes to it, and nobody is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/elsewhere.schema.json"
        schema = {KEYWORD: {"prefix": ""}, **branch({"$ref": uri, "if": True})}
        catalogue = Catalogue({"d": schema, "other": {"type": "object"}})
        problem = f'd.schema.json: "{uri}" leads to no schema in schemas/'
        assert list(unresolvable(catalogue, "d", definitions=True)) == [uri]
        with pytest.raises(errors.DatasetDefinitionError, match=re.escape(problem)):
            list(violations([], catalogue.datasets["d"], catalogue))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_definition_that_nothing_uses_is_checked_too() -> None:
    """It is no matter to any record, so only the check of the schemas says it."""
    unused = {KEYWORD: {"prefix": ""}, "$defs": {"a": {"$ref": "gone.schema.json"}}}
    catalogue = Catalogue({"d": unused})
    assert list(unresolvable(catalogue, "d", definitions=True)) == ["gone.schema.json"]
    assert not list(violations([Record(0, {})], catalogue.datasets["d"], catalogue))


def test_what_only_looks_like_a_reference_is_none() -> None:
    """A value is no schema."""
    value = {"$ref": "https://example.com/x.json"}
    schema = {KEYWORD: {"prefix": ""}, "const": value, "examples": [value], "default": value}
    assert not list(unresolvable(Catalogue({"d": schema}), "d", definitions=True))


def test_every_number_of_a_schema_is_exact() -> None:
    """Numbers in schemas are read as they are written, never as floats."""
    values: list[Any] = [schema for each in CATALOGUES.values() for schema in each.schemas.values()]
    assert not [path for path, value in walk(values) if isinstance(value, float)]


def test_a_format_is_one_that_has_a_reader() -> None:
    assert META["properties"]["format"]["enum"] == [*FORMATS]
    with pytest.raises(errors.DatasetDefinitionError, match="csv, dynamodb-json, not tsv"):
        Dataset.read("any", {KEYWORD: {"prefix": "", "format": "tsv"}})


def test_a_snapshot_of_a_release_that_knows_more_can_be_read() -> None:
    mine = Snapshot("write", "bucket", "key", 1, "2026-01-02T00:00:00.000Z")
    assert Snapshot.read(mine.payload() | {"later": 1}) == mine
