"""`plan --offline`: files, schemas, and nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.plan import offline
from tablekeeper_cli.plan.offline import OfflinePlanner
from tests.support.command import run_command
from tests.support.project import ROOT, template

SCHEMAS = ROOT / "schemas"
AUSTRIA = {"alpha_2": "AT", "alpha_3": "AUT", "flag": "🇦🇹", "name": "Austria", "numeric": "040"}
GERMANY = {"alpha_2": "DE", "alpha_3": "DEU", "flag": "🇩🇪", "name": "Germany", "numeric": "276"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository of samples, without a stack."""
    files: dict[str, Any] = {
        "samples/countries/AT.json": AUSTRIA,
        "samples/countries/DE.json": GERMANY,
        "samples/countries/again.json": AUSTRIA,
        "samples/countries/bad.json": {**GERMANY, "numeric": 276, "flag": "DE"},
        "elsewhere.json": AUSTRIA,
    }
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, ensure_ascii=False))
    return tmp_path


def plan(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, where nothing names a stack."""
    options = ("plan", "--offline", "--schemas", str(SCHEMAS))
    return run_command((*options, *arguments), {"AWS_EC2_METADATA_DISABLED": "true"}, folder)


def test_good_files_are_shown_with_their_first_item_in_full(folder: Path) -> None:
    ran = plan(folder, "samples/countries/AT.json", "samples/countries/DE.json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        "samples/countries/AT.json as countries/AT.json: SYNCED (1 item)\n"
        '    alpha_2  {"S": "AT"}\n'
        '    alpha_3  {"S": "AUT"}\n'
        '    flag     {"S": "🇦🇹"}\n'
        '    name     {"S": "Austria"}\n'
        '    numeric  {"S": "040"}\n'
        '    pk       {"S": "AT"}\n'
        '    sk       {"S": "country"}\n'
        "samples/countries/DE.json as countries/DE.json: SYNCED (1 item)\n"
        '    alpha_2  {"S": "DE"}\n'
        '    alpha_3  {"S": "DEU"}\n'
        '    flag     {"S": "🇩🇪"}\n'
        '    name     {"S": "Germany"}\n'
        '    numeric  {"S": "276"}\n'
        '    pk       {"S": "DE"}\n'
        '    sk       {"S": "country"}\n'
    )


def test_bad_files_are_told_and_the_exit_code_is_one(folder: Path) -> None:
    names = ("AT", "again", "bad")
    ran = plan(folder, *(f"samples/countries/{name}.json" for name in names), "elsewhere.json")
    assert (ran.returncode, ran.stderr) == (1, "")
    heads = [each for each in ran.stdout.splitlines() if each[0] not in " !"]
    assert [each.partition(". ")[0] for each in heads] == [
        "samples/countries/AT.json as countries/AT.json: SYNCED (1 item)",
        "samples/countries/again.json as countries/again.json: INVALID",
        'KeyOwnershipError: Item {"pk":{"S":"AT"},"sk":{"S":"country"}} belongs to '
        '"countries/AT.json"',
        "samples/countries/bad.json as countries/bad.json: INVALID",
        "SchemaViolationError: countries/bad.json: 2 violations of countries.schema.json "
        "in 1 record",
        "elsewhere.json: INVALID",
        'NoDatasetError: elsewhere.json: no dataset matches the key "elsewhere.json"; '
        "the prefixes are countries/, earthquakes/, weather/",
        "--key KEY says under which key the file is to be uploaded",
    ]
    marked = [each for each in ran.stdout.splitlines() if each[0] == "!"]
    assert len(marked) == 3
    assert marked[0].endswith("it belongs to countries/AT.json")
    assert '"/numeric": type: expected "string"' in marked[1] + marked[2]


def test_items_shows_every_item_and_json_has_them(folder: Path) -> None:
    weather = str(ROOT / "samples" / "weather" / "seattle" / "2012-01.json")
    lines = plan(folder, weather, "--items").stdout.splitlines()
    assert (len(lines), json.loads(lines[1])["pk"]) == (32, {"S": "Seattle"})
    assert "... and 30 more items: --items shows all" in plan(folder, weather).stdout
    (told,) = json.loads(plan(folder, weather, "--json").stdout)["files"]
    assert (told["key"], told["outcome"], len(told["items"])) == (
        "weather/seattle/2012-01.json",
        "SYNCED",
        31,
    )


def test_a_key_and_the_keys_of_the_table_are_given(folder: Path) -> None:
    ran = plan(folder, "elsewhere.json", "--key", "countries/AT.json", "--item-keys", "pk:S")
    assert ran.stdout.startswith("elsewhere.json as countries/AT.json: ")
    assert "type S or N" in plan(folder, "elsewhere.json", "--item-keys", "pk").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("none.json",),
        ("elsewhere.json", "--dataset", "countries"),
        ("elsewhere.json", "samples/countries/AT.json", "--key", "a"),
    ],
    ids=["nothing", "no-file", "dataset", "one-key-for-two"],
)
def test_wrong_calls_are_said(folder: Path, arguments: tuple[str, ...]) -> None:
    ran = plan(folder, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("tablekeeper: ")


def test_a_key_is_the_longest_end_of_the_path_that_belongs_to_a_dataset() -> None:
    planner = OfflinePlanner.with_keys(Catalogue.load(SCHEMAS), TableKey.parse("pk:S,sk:S"))
    for path, key in {
        "countries/AT.json": "countries/AT.json",
        "/somewhere/samples/countries/AT.json": "countries/AT.json",
        "../samples/countries/countries/AT.json": "countries/countries/AT.json",
        "no/dataset.json": "no/dataset.json",
    }.items():
        assert planner.key_of(Path(path)) == key


def test_the_defaults_are_the_templates() -> None:
    defaults = {name: each.get("Default") for name, each in template()["Parameters"].items()}
    assert defaults["IgnorePatterns"] == offline.IGNORE_PATTERNS
    assert defaults["TtlAttribute"] == offline.TTL_ATTRIBUTE
    assert defaults["MaxDocumentBytes"] == offline.MAX_DOCUMENT_BYTES


def test_what_may_not_be_meant_is_said_once_of_a_file(tmp_path: Path) -> None:
    keyword = {"prefix": "d/", "ttl": "until"}
    catalogue = Catalogue({"d": {"type": "object", "x-tablekeeper": keyword}})
    planner = OfflinePlanner.with_keys(catalogue, TableKey.parse("pk:S,sk:S"))
    file = tmp_path / "a.jsonl"
    last_year = int(time.time()) - 365 * 86_400
    times = [None, 86_400, last_year, 7, last_year, 4_000_000_000]
    records = [{"pk": f"p{n}", "sk": "s", "until": each} for n, each in enumerate(times)]
    file.write_text("".join(f"{json.dumps(each)}\n" for each in records))
    plan = planner.of_file(file, "d/a.jsonl")
    said = [each.partition(": ")[0] for each in plan.warnings]
    plan.close()
    assert said == [
        "record 1 has a `ttl` more than five years ago",
        "record 2 has a `ttl` that has passed",
    ]


def test_a_number_that_violates_is_shown_as_one(folder: Path) -> None:
    (folder / "samples/countries/bad.json").write_text('{"numeric": [1.50, 1e2, "1.50"]}')
    ran = plan(folder, "samples/countries/bad.json")
    assert '[1.5,100,"1.50"]' in ran.stdout
