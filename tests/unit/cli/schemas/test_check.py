"""`tablekeeper schemas check`: each mistake is found, at its place, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.dataset import KEYWORD
from tablekeeper.datasets.expressions import Expression
from tablekeeper.documents.pointers import pointer
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.schemas.backtracking import backtracks_exponentially
from tablekeeper_cli.schemas.check import check
from tablekeeper_cli.schemas.expression_types import ANY, ExpressionTypes
from tablekeeper_cli.schemas.finding import ERROR, WARNING, Finding
from tablekeeper_cli.schemas.usual_mistakes import mistakes
from tests.support.command import run_command

ROOT = Path(__file__).parents[4]
STRINGS = TableKey.parse("pk:S,sk:S")
RECORD = {"pk": "a", "sk": "b"}


def dataset(prefix: str = "d/", keyword: Any = None, **schema: Any) -> dict[str, Any]:
    """A good schema of a dataset, but for what is given."""
    good = {
        "type": "object",
        "required": ["pk", "sk"],
        "properties": {"pk": {"type": "string"}, "sk": {"type": "string"}},
        "examples": [RECORD],
        KEYWORD: {"prefix": prefix, **(keyword or {})},
    }
    return {name: value for name, value in {**good, **schema}.items() if value is not None}


def checked(folder: Path, files: dict[str, Any], key: TableKey = STRINGS) -> list[Finding]:
    """What is found in a folder of these files, given as text or as a value."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
    return check(folder, key)


def test_nothing_is_wrong_with_the_shipped_schemas() -> None:
    assert check(ROOT / "schemas", STRINGS) == []


def test_a_folder_without_a_dataset_and_schemas_that_nothing_reads(tmp_path: Path) -> None:
    """As of a wrong folder, or one whose files are sorted into folders."""
    (tmp_path / "more").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/a.json").write_text("{}")
    none = (str(tmp_path), WARNING, "no file of this folder is a dataset")
    unread = ("more/", WARNING, "nothing reads the *.schema.json files of this folder")

    def said(files: dict[str, Any]) -> set[tuple[str, str, str]]:
        return {(each.file, each.severity, each.what) for each in checked(tmp_path, files)}

    assert said({}) == {none}
    assert said({"more/d.schema.json": dataset()}) == {none, unread}
    assert none in said({"unused.schema.json": {}})
    (tmp_path / "unused.schema.json").unlink()
    assert none not in said({"bad.schema.json": "{"})
    (tmp_path / "bad.schema.json").unlink()
    assert said({"d.schema.json": dataset()}) == {unread}


@pytest.mark.parametrize("page", ["README.md", "docs/datasets.md"])
def test_the_examples_of_the_documents_pass(page: str, tmp_path: Path) -> None:
    """What a reader copies is right."""
    text = (ROOT / page).read_text("utf-8")
    (example,) = (
        each.partition("```")[0] for each in text.split("```json\n")[1:] if KEYWORD in each
    )
    assert checked(tmp_path, {"products.schema.json": example}) == []


def only(**schema: Any) -> dict[str, Any]:
    """A folder of one dataset."""
    return {"d.schema.json": dataset(**schema)}


def keyed(**keyword: Any) -> dict[str, Any]:
    """A folder of one dataset with this keyword."""
    return only(keyword=keyword)


NUMBER: Any = {"pk": {"type": "number"}, "sk": {"type": "string"}}
CASES: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("not JSON", {"d.schema.json": '{"a": 1,\n  }'}, "", ERROR, "line 2 column 3"),
    ("no object", {"d.schema.json": "[]"}, "", ERROR, "no JSON object"),
    ("not UTF-8", {"d.schema.json": '"\udc80"'}, "", ERROR, "not JSON"),
    (
        "a key twice",
        {"d.schema.json": json.dumps(dataset())[:-1] + ', "type": "object"}'},
        "",
        ERROR,
        "stands twice",
    ),
    ("no schema", only(minProperties="1"), "/minProperties", ERROR, "is no JSON Schema"),
    ("a bad type", only(type="objet"), "/type", ERROR, "is no JSON Schema"),
    ("an unknown draft", only(**{"$schema": "https://x.example/s"}), "/$schema", WARNING, "draft"),
    (
        "a bad pattern",
        only(patternProperties={"(": True}),
        "/patternProperties/(",
        ERROR,
        "no pattern",
    ),
    (
        "an unknown format",
        only(properties={"pk": {"type": "string", "format": "colour"}, "sk": {"type": "string"}}),
        "/properties/pk/format",
        WARNING,
        '"colour" is not checked',
    ),
    ("a misspelt member", keyed(sufixes=[".json"]), f"/{KEYWORD}/sufixes", ERROR, "no such member"),
    ("no prefix", only(**{KEYWORD: {}}), f"/{KEYWORD}", ERROR, "'prefix' is a required"),
    ("no keyword at all", only(**{KEYWORD: 1}), f"/{KEYWORD}", ERROR, "not of type 'object'"),
    ("a leading slash", only(prefix="/d/"), f"/{KEYWORD}/prefix", ERROR, "does not match"),
    ("bad JMESPath", keyed(ttl="a..b"), f"/{KEYWORD}/ttl", ERROR, "not a JMESPath expression"),
    (
        "a byte order mark",
        keyed(attributes={"*": "@", "\ufeffa": "pk"}),
        f"/{KEYWORD}/attributes",
        ERROR,
        "does not match",
    ),
    ("a reserved name", keyed(attributes={"_source": "a"}), f"/{KEYWORD}/attributes", ERROR, "_so"),
    (
        "a reserved field",
        only(properties={**dataset()["properties"], "_index": {}}),
        "/properties/_index",
        ERROR,
        "is refused",
    ),
    (
        "a reference to nowhere",
        only(properties={**dataset()["properties"], "x": {"$ref": "gone.schema.json"}}),
        "/properties/x/$ref",
        ERROR,
        "leads to no schema",
    ),
    (
        "a reference to the network",
        only(**{"$defs": {"a": {"items": {"$ref": "https://x.example/a.json"}}}}),
        "/$defs/a/items/$ref",
        ERROR,
        "leads to no schema",
    ),
    (
        "a reference to no definition",
        only(**{"$defs": {"a": {"$ref": "#/$defs/b"}}}),
        "/$defs/a/$ref",
        ERROR,
        "leads to no schema",
    ),
    (
        "a number for text",
        only(properties=NUMBER, examples=[{"pk": 1, "sk": "b"}]),
        f"/{KEYWORD}",
        ERROR,
        "never",
    ),
    ("an optional key", only(required=["pk"]), f"/{KEYWORD}", WARNING, '"sk", by `"sk"`, may be'),
    ("a misspelt key", keyed(key={"pk": "_object.nam"}), f"/{KEYWORD}/key/pk", ERROR, "never"),
    ("a key not the table's", keyed(key={"id": "pk"}), f"/{KEYWORD}/key/id", ERROR, "no key attr"),
    ("an index", keyed(key={"pk": "_index"}), f"/{KEYWORD}/key/pk", ERROR, "it is number"),
    ("a key left out", keyed(attributes={"pk": "pk"}), f"/{KEYWORD}", ERROR, "nothing gives"),
    ("a bad example", only(examples=[{**RECORD, "sk": 1}]), "/examples/0/sk", ERROR, "`type`"),
    (
        "a bad second one",
        only(examples=[RECORD, {"pk": "x"}]),
        "/examples/1/sk",
        ERROR,
        "`required`",
    ),
    (
        "a field in the TTL attribute",
        only(properties={**dataset()["properties"], "expires_at": {"type": "integer"}}),
        "/properties/expires_at",
        ERROR,
        '"expires_at" is the TTL attribute of the table, and the dataset has no `ttl`',
    ),
    (
        "a field in the TTL attribute that may be a number",
        only(properties={**dataset()["properties"], "expires_at": {}}),
        "/properties/expires_at",
        WARNING,
        "is the TTL attribute",
    ),
    (
        "an attribute that is the TTL attribute",
        keyed(attributes={"pk": "pk", "sk": "sk", "expires_at": "to_number(sk)"}),
        f"/{KEYWORD}/attributes/expires_at",
        ERROR,
        "is the TTL attribute",
    ),
    (
        "a TTL in milliseconds",
        only(
            examples=[{**RECORD, "until": 1_893_456_000_000}],
            **{KEYWORD: {"prefix": "d/", "ttl": "until"}},
        ),
        "/examples/0",
        ERROR,
        "TtlError: `ttl` gives milliseconds",
    ),
    (
        "the text of nothing for a key",
        keyed(key={"pk": "to_string(id)"}),
        f"/{KEYWORD}/key/pk",
        WARNING,
        "may be missing",
    ),
    (
        "a number that boto3 cannot read",
        {
            "d.schema.json": json.dumps(dataset(examples=[{**RECORD, "n": 0}])).replace(
                "0}", "1E+100}"
            )
        },
        "/examples/0",
        WARNING,
        "boto3's Table resource cannot read back",
    ),
    (
        "an unknown function",
        keyed(key={"pk": "uper(pk)"}),
        f"/{KEYWORD}/key/pk",
        ERROR,
        "there is no function uper()",
    ),
    (
        "an unknown function in records",
        keyed(records="flaten(@)"),
        f"/{KEYWORD}/records",
        ERROR,
        "there is no function flaten()",
    ),
    (
        "too few arguments",
        keyed(attributes={"*": "@", "a": "split(pk)"}),
        f"/{KEYWORD}/attributes/a",
        ERROR,
        "split() takes 2 or 3 arguments, not 1",
    ),
    (
        "a literal of another type",
        keyed(attributes={"*": "@", "a": "list[*].split(@, `1`)"}),
        f"/{KEYWORD}/attributes/a",
        ERROR,
        "split() takes string as argument 2, and this is number",
    ),
    (
        "a field of another type",
        keyed(attributes={"*": "@", "a": "sum(pk)"}),
        f"/{KEYWORD}/attributes/a",
        ERROR,
        "sum() takes array-number as argument 1, and this is string",
    ),
    (
        "an unknown format of a time",
        keyed(ttl="to_epoch(until, 'ms')"),
        f"/{KEYWORD}/ttl",
        ERROR,
        'to_epoch() has no format "ms"',
    ),
    (
        "a JSONPath",
        keyed(ttl="$.until"),
        f"/{KEYWORD}/ttl",
        ERROR,
        "in JMESPath write `until`",
    ),
    (
        "null without all fields",
        keyed(attributes={"pk": "pk", "sk": "sk", "x": None}),
        f"/{KEYWORD}/attributes/x",
        ERROR,
        "None is not of type 'string'",
    ),
    (
        "a number for an expression",
        keyed(attributes={"*": "@", "x": 1}),
        f"/{KEYWORD}/attributes/x",
        ERROR,
        "1 is not of type 'string'",
    ),
    (
        "a key that is left out",
        keyed(attributes={"*": "@", "sk": None}),
        f"/{KEYWORD}",
        ERROR,
        'nothing gives the key attribute "sk"',
    ),
    (
        "all fields of text",
        keyed(attributes={"*": "pk", "pk": "pk", "sk": "sk"}),
        "/examples/0",
        ERROR,
        'ExpressionError: "pk" gives no object',
    ),
    (
        "OpenAPI's nullable",
        only(properties={**dataset()["properties"], "m": {"type": "string", "nullable": True}}),
        "/properties/m/nullable",
        WARNING,
        "`nullable` is OpenAPI's",
    ),
    (
        "a misspelt keyword",
        only(properties={**dataset()["properties"], "m": {"minLenght": 1}}),
        "/properties/m/minLenght",
        WARNING,
        "there is no keyword `minLenght`",
    ),
    (
        "a keyword in other capitals",
        only(additionalproperties=False),
        "/additionalproperties",
        WARNING,
        "there is no keyword `additionalproperties`",
    ),
    ("a glob for a prefix", keyed(prefix="d/*"), f"/{KEYWORD}/prefix", WARNING, "no glob"),
    (
        "a glob for a suffix",
        keyed(suffixes=["x.json", "*.json"]),
        f"/{KEYWORD}/suffixes/1",
        WARNING,
        '"*.json" is text and no glob',
    ),
    (
        "a root that is an array",
        only(
            type="array",
            examples=None,
            **{KEYWORD: {"prefix": "d/", "key": {"pk": "'a'", "sk": "'b'"}}},
        ),
        "/type",
        ERROR,
        "no record is valid: the schema allows array",
    ),
    (
        "a column that is an array",
        only(
            properties={**dataset()["properties"], "tags": {"type": ["array", "null"]}},
            keyword={"format": "csv"},
        ),
        "/properties/tags",
        WARNING,
        "a field of CSV is never an array",
    ),
    (
        "a column that the header lacks",
        keyed(format="csv", csv={"header": ["pk", "n"]}),
        "/required/1",
        ERROR,
        'the `header` of `csv` has no column "sk"',
    ),
    (
        "records of JSON Lines",
        keyed(format="jsonl", records="a"),
        f"/{KEYWORD}/records",
        ERROR,
        "has no place here",
    ),
    (
        "a misspelt member of csv",
        keyed(format="csv", csv={"delimeter": ";"}),
        f"/{KEYWORD}/csv/delimeter",
        ERROR,
        "there is no such member",
    ),
    ("an empty key", only(examples=[{**RECORD, "pk": ""}]), "/examples/0", ERROR, "KeyLengthError"),
    ("no time", keyed(ttl="pk"), "/examples/0", ERROR, "TtlError"),
    ("another own key", keyed(key={"pk": "sk"}), "/examples/0", ERROR, "ReservedAttributeError"),
    ("an example that is no record", only(examples=[1]), "/examples/0", ERROR, "is an object"),
    ("an own _index", only(examples=[{**RECORD, "_index": 1}]), "/examples/0", ERROR, "refused"),
    ("no examples", only(examples=None), "", WARNING, "no examples"),
    ("a file without .schema", {**only(), "e.json": "{}"}, "", WARNING, "nothing reads"),
    ("an unused schema", {**only(), "e.schema.json": "{}"}, "", WARNING, "no dataset refers"),
    (
        "a bad example of a plain schema",
        {
            **only(**{"$defs": {"e": {"$ref": "e.schema.json"}}}),
            "e.schema.json": {"type": "string", "examples": ["x", 1]},
        },
        "/examples/1",
        ERROR,
        "`type`",
    ),
    (
        "equal prefixes",
        {**only(), "e.schema.json": dataset()},
        f"/{KEYWORD}/prefix",
        ERROR,
        "d.schema.json has the same prefix",
    ),
    (
        "nested prefixes",
        {**only(), "e.schema.json": dataset("d/e/")},
        f"/{KEYWORD}/prefix",
        WARNING,
        "lies in that of d.schema.json",
    ),
    (
        "an id twice",
        {
            **only(**{"$id": "https://x.example/a"}),
            "e.schema.json": dataset("e/") | {"$id": "https://x.example/a"},
        },
        "/$id",
        ERROR,
        "has the same $id",
    ),
    (
        "an id twice, once with an empty fragment",
        {
            **only(**{"$id": "https://x.example/a#"}),
            "e.schema.json": dataset("e/") | {"$id": "https://x.example/a"},
        },
        "/$id",
        ERROR,
        "has the same $id",
    ),
]


@pytest.mark.parametrize(
    ("files", "place", "severity", "what"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_finds(tmp_path: Path, files: Any, place: str, severity: str, what: str) -> None:
    """Just this, in the file that was added last."""
    for name, content in files.items():
        if isinstance(content, str):
            (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        else:
            (tmp_path / name).write_text(json.dumps(content))
    (found,) = check(tmp_path, STRINGS)
    assert (found.file, found.pointer, found.severity) == (list(files)[-1], place, severity)
    assert what in found.what
    assert found.advice


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"x-order": 1, "xml": {}, "discriminator": "pk"}, id="annotations of others"),
        pytest.param({"properties": {"nullable": {}, "minLenght": {}}}, id="names of fields"),
        pytest.param({"const": {"nullable": 1}}, id="values"),
    ],
)
def test_no_mistake_is_seen_where_there_is_none(schema: Any) -> None:
    assert list(mistakes(schema)) == []


DOCUMENTS = (ROOT / "docs/datasets.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `(\{.*\})` \|$", DOCUMENTS, re.MULTILINE)


@pytest.mark.parametrize(
    ("what", "keyword"), ROWS, ids=[re.sub(r"[^\w .,:/()-]", "", what)[:60] for what, _ in ROWS]
)
def test_the_datasets_of_the_documents_are_warned_of_what_can_be_mended(
    what: str, keyword: str, tmp_path: Path
) -> None:
    """In the record's schema, that is: nothing there can require `_document`."""
    for each in checked(tmp_path, {"d.schema.json": {KEYWORD: json.loads(keyword)}}):
        assert each.severity == WARNING
        assert "_document" not in each.what, what


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("_document.name", None),
        ("to_string(_document.name)", None),
        ("(_document.names)[0]", None),
        ("_document.names[?@ != 'x'] | [0]", None),
        ("_document.names[?a == 'x'].b | [0]", None),
        ("_document.names | [?x] | [0]", None),
        ("m || _document.name", None),
        ("m || (_document.names)[0]", None),
        ("not_null(m, _document.name)", None),
        ("not_null(_document.name, m)", None),
        ("join('-', [pk, to_string(_document.version)])", None),
        ("_document.name && m", "may be missing"),
        ("n || _document.name", "may be number"),
        ("not_null(n, _document.name)", "may be number"),
        ("x || _document.name", "may be array"),
        ("not_null(x, _document.name)", "may be array"),
        ("not_null(_document.name, (x)[0])", "may be array"),
        ("(x)[0] || (_document.names)[0]", "may be array"),
        ("[_document.name, x] | [0]", "may be anything"),
        ("to_number(_document.name)", "is never a string"),
    ],
)
def test_what_no_schema_can_require_of_a_document_is_not_warned_of(
    key: str, said: str | None, tmp_path: Path
) -> None:
    more = {"m": {"type": "string"}, "n": {"type": "number"}}
    schema = dataset(
        properties={**dataset()["properties"], **more},
        keyword={"records": "data", "key": {"sk": key}, "attributes": {"pk": "pk"}},
    )
    found = checked(tmp_path, {"d.schema.json": schema})
    assert [said in each.what for each in found] == [True] * bool(said) if said else not found


@pytest.mark.parametrize(("key", "warnings"), [("_document.n", 0), ("n", 0), ("m", 1)])
def test_a_number_that_is_made_a_number_is_one(key: str, warnings: int, tmp_path: Path) -> None:
    schema = dataset(
        properties={"pk": {"type": "string"}, "n": {"type": "number"}},
        required=["pk", "n"],
        examples=[{"pk": "a", "n": 1, "m": 1}],
        keyword={"records": "data", "key": {"sk": f"to_number({key})"}, "attributes": {"pk": "pk"}},
    )
    found = checked(tmp_path, {"d.schema.json": schema}, TableKey.parse("pk:S,sk:N"))
    assert len(found) == warnings


def test_a_reference_is_relative_to_the_uri_by_which_its_file_is_reached(tmp_path: Path) -> None:
    """As the validator sees it, and with the schemas that are reached so in use."""
    properties = {**dataset()["properties"], "e": {"$ref": "common.schema.json"}}
    files = {
        "d.schema.json": dataset(properties=properties, **{"$id": "https://x.example/d.json"}),
        "common.schema.json": {"properties": {"v": {"$ref": "other.json"}}},
        "other.schema.json": {"$id": "https://x.example/other.json"},
    }
    assert checked(tmp_path, files) == []
    (found,) = checked(tmp_path, {"other.schema.json": {"$id": "https://y.example/other.json"}})[:1]
    assert (found.file, found.pointer) == ("common.schema.json", "/properties/v/$ref")


def test_finds_everything_at_once(tmp_path: Path) -> None:
    """A bad file hides nothing that is wrong with the others, or elsewhere in it."""
    keyword = {"prefix": "/d/", "ttl": "..", "key": {"pk": "to_string("}}
    files = {
        "a.schema.json": "{",
        "b.schema.json": dataset(keyword=keyword, examples=[{}]),
        "c.schema.json": dataset("c/", properties=NUMBER),
    }
    found = [(each.file[0], each.pointer) for each in checked(tmp_path, files)]
    assert found == [
        ("a", ""),
        ("b", f"/{KEYWORD}/key/pk"),
        ("b", f"/{KEYWORD}/prefix"),
        ("b", f"/{KEYWORD}/ttl"),
        ("c", "/examples/0/pk"),
        ("c", f"/{KEYWORD}"),
    ]


def test_prefixes_with_suffixes_that_no_key_has_both(tmp_path: Path) -> None:
    one, other = ({"suffixes": [suffix]} for suffix in (".json", ".jsonl"))
    files = {"a.schema.json": dataset(keyword=one), "b.schema.json": dataset(keyword=other)}
    assert checked(tmp_path, files) == []


def test_keys_of_other_types(tmp_path: Path) -> None:
    """The key of the stack's own table counts."""
    files = only(properties={"id": {"type": "integer"}}, required=["id"], examples=[{"id": 1}])
    assert checked(tmp_path, files, TableKey.parse("id:N")) == []
    assert len(checked(tmp_path, files)) > 1


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"*": "@", "a": "tags && upper(tags)"}, id="a field that may be absent"),
        pytest.param({"*": "@", "a": "sort_by(list, &name)"}, id="a reference"),
        pytest.param(
            {"*": "@", "a": "items(deep)[*].join('=', [[0], to_string([1])])"}, id="in a projection"
        ),
        pytest.param({"*": "@", "sk": "sk", "a": "not_null(tags, pk)"}, id="any number"),
        pytest.param({"*": "deep", "pk": "pk", "sk": "sk"}, id="the members of a field"),
    ],
)
def test_nothing_is_said_of_calls_that_may_be_right(tmp_path: Path, attributes: Any) -> None:
    example = {**RECORD, "list": [{"name": "x"}], "deep": {"y": 1}}
    files = only(keyword={"attributes": attributes}, examples=[example])
    assert checked(tmp_path, files) == []


SCHEMA = {
    "type": "object",
    "required": ["text", "part", "list", "either"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string"},
        "optional": {"type": "string"},
        "nothing": {"type": ["string", "null"]},
        "one": {"const": 1},
        "some": {"enum": ["a", 1]},
        "part": {"$ref": "#/$defs/part"},
        "list": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "both": {"allOf": [{"type": ["string", "null"]}, {"type": ["string", "number"]}]},
    },
    "$defs": {
        "part": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    },
    KEYWORD: {"prefix": ""},
}


@pytest.mark.parametrize(
    ("expression", "types"),
    [
        ("text", "string"),
        ("optional", "string null"),
        ("nothing", "string null"),
        ("one", "number null"),
        ("some", "string number null"),
        ("absent", "null"),
        ("text.x", "null"),
        ("part.name", "string"),
        ("part.other", None),
        ("list[0]", "string"),
        ("list[1]", "string null"),
        ("list[-1]", "string null"),
        ("list[*]", None),
        ("either", "string number"),
        ("both", "string null"),
        ("to_string(optional)", "string null"),
        ("to_string(text)", "string"),
        ("to_string(absent)", "null"),
        ("optional || 'x'", "string"),
        ("'x'", "string"),
        ("`1`", "number"),
        ("to_string(one)", "string null"),
        ("join('', list)", "string"),
        ("not_null(one, text)", "string number"),
        ("not_null(one, optional)", "string number null"),
        ("text == 'x'", "boolean null"),
        ("_object.key", "string"),
        ("_object.parts[1]", "string null"),
        ("_object.version_id", "string null"),
        ("_object.typo", "null"),
        ("_index", "number"),
    ],
)
def test_types_of_expressions(expression: str, types: str | None) -> None:
    found = ExpressionTypes(Catalogue({"d": SCHEMA}), "d").of(Expression(expression).syntax)
    assert found == (ANY if types is None else set(types.split()))


DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
TEXT = {"type": "string"}
INNER = {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": TEXT}}


@pytest.mark.parametrize(
    ("expression", "schema", "types"),
    [
        pytest.param(
            "x",
            {"properties": {"x": {"$ref": "#a"}}, "$defs": {"a": {"$anchor": "a", **TEXT}}},
            {"string", "null"},
            id="an anchor",
        ),
        pytest.param(
            "x",
            {"properties": {"x": {"$ref": "#a"}}, "$defs": {"a": {"$dynamicAnchor": "a", **TEXT}}},
            {"string", "null"},
            id="a dynamic anchor",
        ),
        pytest.param(
            "x",
            {**DRAFT_7, "properties": {"x": {"$ref": "#a"}}, "definitions": {"a": {"$id": "#a"}}},
            ANY,
            id="an anchor of draft 7",
        ),
        pytest.param("x", {"properties": {"x": {"$ref": "#gone"}}}, ANY, id="no anchor"),
        pytest.param(
            "x",
            {
                **DRAFT_7,
                "properties": {"x": {"$ref": "#/definitions/a", "type": "number"}},
                "definitions": {"a": TEXT},
            },
            {"string", "null"},
            id="beside a reference in draft 7",
        ),
        pytest.param(
            "x",
            {
                "properties": {"x": {"$ref": "#/$defs/a", "type": ["string", "number"]}},
                "$defs": {"a": {"type": ["string", "boolean"]}},
            },
            {"string", "null"},
            id="beside a reference in 2020-12",
        ),
        pytest.param(
            "e.x",
            {"properties": {"e": {"$id": "e.json", **INNER}}, "$defs": {"a": {"type": "number"}}},
            ANY,
            id="within an embedded schema",
        ),
        pytest.param(
            "x",
            {
                "properties": {"x": {"$ref": "#/$defs/e/properties/x"}},
                "$defs": {"a": {"type": "number"}, "e": {"$id": "e.json", **INNER}},
            },
            ANY,
            id="a part of an embedded schema",
        ),
    ],
)
def test_types_are_of_what_a_reference_leads_to(
    expression: str, schema: Any, types: set[str]
) -> None:
    found = ExpressionTypes(Catalogue({"d": schema}), "d").of(Expression(expression).syntax)
    assert found == types


def test_the_command_says_it_with_its_exit_code(tmp_path: Path) -> None:
    """As a person and as a script see it, without a stack."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(("schemas", "check", *arguments), os.environ)

    (tmp_path / "a.schema.json").write_text(json.dumps(dataset(keyword={"ttl": "\x1b[31m.."})))
    shown = run(str(tmp_path))
    assert shown.returncode == 1
    assert f"a.schema.json /{KEYWORD}/ttl: error:" in shown.stdout
    assert "\x1b" not in shown.stdout
    told = json.loads(run(str(tmp_path), "--json").stdout)
    assert (told["errors"], len(told["findings"])) == (1, 1)
    assert run(str(tmp_path), "--item-keys", "pk:B").returncode == 2
    assert run(str(tmp_path / "gone")).returncode == 2
    (tmp_path / "a.schema.json").write_text(json.dumps(dataset(examples=None)))
    assert run(str(tmp_path)).returncode == 0


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(a+)+$",
        r"^(a|a)*$",
        r"^(a|b|ab)*$",
        r"^(\w+\s?)*$",
        r"^([a-zA-Z0-9]+\s?)+$",
        r"^(\d+\.?)*$",
        r"^([A-Z]{2,3})*$",
        r"^(a{1,50})+$",
        r"^(a?a?)*$",
        r"^(.*,)*$",
        r"^(?:a*?)*?$",
        r"(?=(a+)+$)",
        r"^(?>(a+)+b)$",
        r"(x+x+)+y",
        r"(?i)^(a+|bA*)*$",
        r"^((|b??)a)*$",
    ],
)
def test_a_pattern_that_backtracks_exponentially_is_warned_of(tmp_path: Path, pattern: str) -> None:
    properties = {**dataset()["properties"], "x": {"pattern": pattern}}
    files = only(properties=properties, patternProperties={pattern: True})
    found = checked(tmp_path, files)
    places = [each.pointer for each in found]
    assert places == [pointer(("patternProperties", pattern)), "/properties/x/pattern"]
    assert {each.severity for each in found} == {WARNING}
    assert "doubles the time" in found[0].what


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[A-Z]{2,3}(-[0-9]+)*$",
        r"^[a-z]+(\.[a-z]+)*$",
        r"^(foo|far|bar)*$",
        r"^(a|ab)*$",
        r"^(a|b)*$",
        r"(?i)^(a|A)*$",
        r"^(?:a++)+$",
        r"^(?>a+)+$",
        r"^([a-z]{3})*$",
        r"^([a-z]{64})*$",
        r"^\w{1,64}$",
        r'^"([^"\\]|\\.)*"$',
        r"^[^@]+@([a-z0-9-]+\.)+[a-z]{2,}$",
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        r"^(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
        r"(a)?(?(1)b|c)\1",
        "",
    ],
)
def test_an_ordinary_pattern_is_not_warned_of(tmp_path: Path, pattern: str) -> None:
    assert checked(tmp_path, only(patternProperties={pattern: True})) == []


def test_a_pattern_that_is_large_or_ambiguous_is_looked_at_in_bounded_time() -> None:
    words = "|".join(f"{a}{b}{c}" for a in "abcdef" for b in "abcdef" for c in "abcd")
    start = time.process_time()
    for pattern in (f"^({words})*$", "(" * 80 + "a*" + ")*" * 80, "(a|b?c?d?){30}" * 20):
        backtracks_exponentially(pattern)
    assert time.process_time() - start < 5


def test_a_file_of_an_unknown_draft_is_looked_at_further(tmp_path: Path) -> None:
    files = only(**{"$schema": "https://x.example/s", KEYWORD: {}})
    found = checked(tmp_path, files)
    assert [(each.pointer, each.severity) for each in found] == [
        ("/$schema", WARNING),
        (f"/{KEYWORD}", ERROR),
    ]
