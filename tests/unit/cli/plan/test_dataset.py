"""Plans of all files of a dataset against a run over the bucket."""

from __future__ import annotations

from typing import Any

import pytest
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.plan.dataset import plans_of_dataset
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planner import Planner
from tests.support.quick import quick_pipeline
from tests.unit.conftest import CATALOGUE, Pipeline

KEYWORD: Any = CATALOGUE.schemas["notes"]["x-tablekeeper"]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


def put(pipeline: Pipeline, *, sync: bool = False, **files: str) -> None:
    """Files by name, each with a note for each letter; an upper one makes a bad record."""
    for name, letters in files.items():
        key = f"notes/{name}.json"
        notes = [{"pk": "p", "sk": each, "count": -each.isupper()} for each in letters]
        pipeline.put(key, notes)
        if sync:
            pipeline.sync(key)


def plans(catalogue: Catalogue = CATALOGUE, **asked: Any) -> dict[str, Plan]:
    settings = FetchSettings.from_environment()
    planner = Planner(
        catalogue=catalogue, settings=settings, items_table="items", staging_bucket="staging"
    )
    return {each.key: each for each in plans_of_dataset(planner, "notes", **asked)}


def outcomes(**asked: Any) -> dict[str, str]:
    made = plans(**asked).values()
    return {each.key[6:].partition(".")[0]: each.outcome for each in made}


@pytest.mark.parametrize("concurrency", [1, 8])
def test_of_two_files_that_make_an_item_the_second_is_refused(
    pipeline: Pipeline, concurrency: int
) -> None:
    """Whether or not the first is planned by then; and what it would have put is free."""
    put(pipeline, a="xy", b="yz", c="z", d="Z", e="Z")
    made = plans(concurrency=concurrency)
    refused = made["notes/b.json"]
    assert {key[6]: each.outcome for key, each in made.items() if each.outcome == "SYNCED"} == {
        "a": "SYNCED",
        "c": "SYNCED",
    }
    assert (refused.outcome, refused.error, refused.counts["refused"]) == (
        "INVALID",
        "KeyOwnershipError",
        2,
    )
    assert "s3://source/notes/a.json" in str(refused.cause)


def test_an_item_that_moves_from_one_file_to_another_refuses_none(pipeline: Pipeline) -> None:
    """Whichever is looked at first, and in a circle, which a sweep undoes."""
    put(pipeline, sync=True, a="u", b="v", m="w", n="x")
    put(pipeline, a="", b="uv", m="wx", n="")
    made = plans()
    assert {each.outcome for each in made.values()} == {"SYNCED"}
    assert made["notes/a.json"].counts["removed"] == made["notes/b.json"].counts["put"] == 1
    put(pipeline, a="v", b="u", m="x", n="w")
    assert outcomes() == dict.fromkeys("abmn", "SYNCED")


def test_an_item_of_a_file_that_keeps_it_refuses_the_other(pipeline: Pipeline) -> None:
    """A bad file keeps what it had; of two that want what a third lets go of, one has it."""
    put(pipeline, sync=True, a="u", b="v", z="w")
    put(pipeline, a="W", c="u", d="v")
    assert outcomes() == {
        "a": "INVALID",
        "b": "UNCHANGED",
        "c": "INVALID",
        "d": "INVALID",
        "z": "UNCHANGED",
    }
    put(pipeline, a="u", z="", c="w", d="w")
    assert outcomes() == {
        "a": "UNCHANGED",
        "b": "UNCHANGED",
        "c": "SYNCED",
        "d": "INVALID",
        "z": "SYNCED",
    }


def test_files_that_the_ledger_has_under_the_dataset(pipeline: Pipeline) -> None:
    """A changed schema may leave them behind; one that is gone lets go of its items."""
    put(pipeline, sync=True, a="u", b="v")
    line = b'{"pk": "p", "sk": "w"}\n'
    for key in ("notes/c.jsonl", "notes/gone.jsonl", "notes/was.jsonl"):
        pipeline.put(key, line.replace(b"w", key[6:7].encode()))
        pipeline.sync(key)
    for key in ("notes/gone.jsonl", "notes/was.jsonl"):
        pipeline.s3.delete_object(Bucket="source", Key=key)
    pipeline.sync("notes/was.jsonl")
    put(pipeline, a="ug")
    changed = {**KEYWORD, "suffixes": [".json"]}
    schema = {**CATALOGUE.schemas["notes"], "x-tablekeeper": changed}
    made = plans(Catalogue({"notes": schema}))
    assert [(key, each.outcome, each.error, each.now) for key, each in sorted(made.items())] == [
        ("notes/a.json", "SYNCED", None, "SYNCED"),
        ("notes/b.json", "SYNCED", None, "SYNCED"),
        ("notes/c.jsonl", "INVALID", "NoDatasetError", "SYNCED"),
        ("notes/gone.jsonl", "DELETED", None, "SYNCED"),
    ]
