"""Plans against what the functions then do."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tablekeeper import aws, errors
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.commands.plan import _Total
from tablekeeper_cli.compare.items import Change, changes
from tablekeeper_cli.errors import UnknownError
from tablekeeper_cli.plan.dataset import plans_of_dataset
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planner import UNKNOWN_VERSION, Planner
from tests.support.plans import Documents, disagreements, table
from tests.support.quick import quick_pipeline
from tests.unit.conftest import CATALOGUE, Pipeline

PlanOf = Callable[..., Plan]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return quick_pipeline(monkeypatch)


@pytest.fixture
def planner(pipeline: Pipeline) -> Planner:
    """Of the pipeline's stack."""
    settings = FetchSettings.from_environment()
    return Planner(
        catalogue=CATALOGUE, settings=settings, items_table="items", staging_bucket="staging"
    )


@pytest.fixture
def plan_of(planner: Planner, tmp_path: Path) -> PlanOf:
    """Plans content for a key."""

    def plan(key: str, content: Any, planner: Planner = planner) -> Plan:
        file = tmp_path / "file"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return planner.of_file(file, key)

    return plan


def told(plan: Plan) -> dict[str, Any]:
    """A plan as `--json` tells it."""
    told: dict[str, Any] = json.loads(
        json.dumps(
            {
                **plan.about(),
                "violations": [each.what._asdict() for each in plan.violations()],
                "items": [asdict(each) for each in plan.items()],
            }
        )
    )
    return told


def executed(pipeline: Pipeline, key: str) -> tuple[str, str | None]:
    """The outcome of an execution, and its error."""
    try:
        return pipeline.sync(key)["outcome"], None
    except errors.InvalidFileError as error:
        return "INVALID", type(error).__name__


def reported(pipeline: Pipeline) -> list[Any]:
    """The violations of the newest report."""
    key = f"reports/e{pipeline.count}.json"
    body = pipeline.s3.get_object(Bucket="staging", Key=key)["Body"].read()
    listed: list[Any] = json.loads(body)["listed"]
    return listed


def note(sk: str, **more: Any) -> dict[str, Any]:
    """A record."""
    return {"pk": "p", "sk": sk, **more}


def actions(plan: Plan) -> dict[str, list[str]]:
    """The sort keys of the items, by what becomes of them."""
    found: dict[str, list[str]] = {}
    for each in plan.items():
        found.setdefault(each.action, []).append(each.key["sk"]["S"])
    return found


def test_agrees_with_the_execution_on_random_documents(pipeline: Pipeline, plan_of: PlanOf) -> None:
    """Item by item, field by field, violation by violation."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    documents = Documents(seed, "t")
    pipeline.put("notes/owner.json", [{"pk": "t-owned", "sk": "owned"}])
    pipeline.sync("notes/owner.json")
    foreign = {"pk": {"S": "t-owned"}, "sk": {"S": "foreign"}}
    pipeline.dynamodb.put_item(TableName="items", Item=foreign)
    for key, body in documents.steps(10):
        before = table(pipeline.items(), "")
        plan = told(plan_of(key, body))
        assert before == table(pipeline.items(), "")
        pipeline.put(key, body)
        outcome, error = executed(pipeline, key)
        after = table(pipeline.items(), "")
        assert (plan["outcome"], plan["error"]) == (outcome, error), (key, body)
        assert disagreements(plan, f"s3://source/{key}", before, after) == [], (key, body)
        if error == "SchemaViolationError":
            assert plan["violations"] == reported(pipeline)


def test_tells_each_item_apart(pipeline: Pipeline, plan_of: PlanOf) -> None:
    key = "notes/a.json"
    pipeline.put(key, [note("a"), note("b", n=1.5), note("c")])
    assert actions(plan_of(key, [note("a")])) == {"put": ["a"]}
    pipeline.sync(key)
    plan = plan_of(key, b'[{"pk": "p", "sk": "b", "n": 1.50}, {"pk": "p", "sk": "a", "x": [true]}]')
    assert actions(plan) == {"unchanged": ["b"], "changed": ["a"], "removed": ["c"]}
    (changed,) = (each for each in plan.items() if each.action == "changed")
    assert changed.record == 1
    assert changed.changes == [Change("/x", None, {"L": [{"BOOL": True}]})]
    assert (plan.outcome, plan.now, plan.records, plan.fine) == ("SYNCED", "SYNCED", 2, True)


def test_the_same_content_is_unchanged_whatever_the_table_holds(
    pipeline: Pipeline, plan_of: PlanOf
) -> None:
    pipeline.put("notes/a.json", [note("a")])
    pipeline.sync("notes/a.json")
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": "p"}, "sk": {"S": "a"}})
    plan = plan_of("notes/a.json", [note("a")])
    assert (plan.outcome, actions(plan)) == ("UNCHANGED", {"unchanged": ["a"]})
    assert "MD5" in plan.assumptions[0]


def test_every_item_that_stands_in_the_way_is_told(pipeline: Pipeline, plan_of: PlanOf) -> None:
    pipeline.put("notes/a.json", [note("a"), note("b")])
    pipeline.sync("notes/a.json")
    plan = plan_of("notes/b.json", [note("c"), note("b"), note("a")])
    assert (plan.outcome, plan.error) == ("INVALID", "KeyOwnershipError")
    assert actions(plan) == {"refused": ["b", "a"]}
    assert {each.owner for each in plan.items()} == {"s3://source/notes/a.json"}
    assert plan.cause is not None
    assert '"sk":{"S":"b"}' in plan.cause
    assert plan.counts["put"] == 0


def test_every_record_whose_key_another_has_is_told(plan_of: PlanOf) -> None:
    plan = plan_of("notes/a.json", [note("a"), note("b"), note("a"), note("a")])
    assert plan.error == "DuplicateItemKeyError"
    assert [(each.record, each.also) for each in plan.items()] == [(2, 0), (3, 0)]


@pytest.mark.parametrize(
    ("key", "content", "outcome", "error"),
    [
        ("notes/a.json", b"[", "INVALID", "MalformedJsonError"),
        ("notes/a.json", b" " * 1_000_001, "INVALID", "DocumentTooLargeError"),
        (
            "notes/a.json",
            gzip.compress(b" " * 1_000_001, mtime=0),
            "INVALID",
            "DocumentTooLargeError",
        ),
        ("notes/a.json", [{"sk": "a"}], "INVALID", "SchemaViolationError"),
        ("other/a.json", [], "INVALID", "NoDatasetError"),
        ("other/_SUCCESS", b"", "IGNORED", None),
        ("notes/", b"", "IGNORED", None),
        ("notes/a.json", [], "SYNCED", None),
    ],
)
def test_says_what_would_be_refused(
    key: str, content: Any, outcome: str, error: str | None, plan_of: PlanOf
) -> None:
    plan = plan_of(key, content)
    assert (plan.outcome, plan.error, plan.fine) == (outcome, error, outcome == "SYNCED")


def test_a_schema_that_cannot_be_used_would_fail_the_execution(
    planner: Planner, plan_of: PlanOf
) -> None:
    broken = Catalogue({"d": {"$ref": "gone.schema.json", "x-tablekeeper": {"prefix": ""}}})
    plan = plan_of("a.json", [note("a")], replace(planner, catalogue=broken))
    assert (plan.outcome, plan.error) == ("FAILED", "DatasetDefinitionError")


def test_what_is_unknown_before_the_upload_is_said(plan_of: PlanOf) -> None:
    plan = plan_of("versions/a.json", {})
    (item,) = plan.items()
    assert item.key["pk"] == {"S": UNKNOWN_VERSION}
    assert any(UNKNOWN_VERSION in each for each in plan.assumptions)


def test_keys_that_the_stack_does_not_keep(planner: Planner, plan_of: PlanOf) -> None:
    elsewhere = replace(planner, key_prefix="notes/kept/")
    plan = plan_of("notes/a.json", [note("a")], elsewhere)
    assert (plan.outcome, list(plan.items())) == ("IGNORED", [])
    assert elsewhere.of_object("notes/a.json").outcome == "IGNORED"
    assert plan_of("notes/kept/a.json", [note("a")], elsewhere).outcome == "SYNCED"


def test_many_items_and_their_keys_in_the_staging_bucket(
    pipeline: Pipeline, plan_of: PlanOf, in_turn: None
) -> None:
    """A file of more than one transaction, whose keys the ledger's row does not hold."""
    pipeline.put("notes/a.json", [note(f"{number:03}") for number in range(150)])
    pipeline.sync("notes/a.json")
    assert "keys_at" in pipeline.row("notes/a.json")
    plan = plan_of("notes/a.json", [note(f"{number:03}") for number in range(140, 390)])
    assert {action: count for action, count in plan.counts.items() if count} == {
        "put": 240,
        "unchanged": 10,
        "removed": 140,
    }
    assert [each.record for each in plan.items() if each.record is not None] == list(range(250))


def test_a_lost_list_of_keys_ends_no_plan(
    pipeline: Pipeline, planner: Planner, plan_of: PlanOf, in_turn: None
) -> None:
    pipeline.put("notes/a.json", [note(f"{number:03}") for number in range(150)])
    pipeline.sync("notes/a.json")
    prefix = pipeline.row("notes/a.json")["keys_at"]["S"]
    pipeline.s3.delete_object(Bucket="staging", Key=f"{prefix}/manifest.json")
    plan = plan_of("notes/a.json", [note("000")])
    assert (plan.outcome, actions(plan)) == ("SYNCED", {"unchanged": ["000"]})
    assert "list of the file's keys is gone" in plan.warnings[0]
    assert planner.of_object("notes/a.json").outcome == "UNCHANGED"


def test_an_object_in_the_bucket(pipeline: Pipeline, planner: Planner) -> None:
    key = "notes/a.json"
    with pytest.raises(UnknownError):
        planner.of_object(key)
    pipeline.put(key, [note("a")])
    assert actions(planner.of_object(key)) == {"put": ["a"]}
    pipeline.sync(key)
    assert planner.of_object(key).outcome == "UNCHANGED"
    pipeline.s3.delete_object(Bucket="source", Key=key)
    plan = planner.of_object(key)
    assert (plan.outcome, actions(plan)) == ("DELETED", {"removed": ["a"]})
    pipeline.sync(key)
    assert planner.of_object(key).outcome == "UNCHANGED"


def test_an_object_that_no_execution_takes_ends_no_plan_of_others(
    pipeline: Pipeline, planner: Planner, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that S3 does not give."""
    long = f"notes/{'x' * 1010}.json"
    for key in ("notes/a.json", "notes/secret.json", long):
        pipeline.put(key, [note(key[6])])
    get_object = aws.s3().get_object

    def refused(*names: str, **asked: Any) -> Any:
        if asked.get("Key") == "notes/secret.json":
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
        return get_object(*names, **asked)

    monkeypatch.setattr(aws.s3(), "get_object", refused)
    plans = {plan.key: plan for plan in plans_of_dataset(planner, "notes")}
    assert {key: (plan.outcome, plan.error) for key, plan in plans.items()} == {
        "notes/a.json": ("SYNCED", None),
        "notes/secret.json": ("FAILED", "ClientError"),
        long: ("FAILED", "InvalidEventError"),
    }
    for plan in (planner.of_object(long), plan_of(long, [note("a")]), plan_of("n" * 1025, [])):
        assert (plan.outcome, plan.error) == ("FAILED", "InvalidEventError")
        assert not plan.fine


def test_a_changed_schema_over_the_objects_of_a_dataset(
    pipeline: Pipeline, planner: Planner
) -> None:
    for name, count in (("a", 1), ("b", -1), ("c", 5), ("d", 0)):
        pipeline.put(f"notes/{name}.json", [{"pk": name, "sk": "s", "count": count}])
        executed(pipeline, f"notes/{name}.json")
    pipeline.put("notes/_SUCCESS", b"")
    pipeline.put("versions/a.json", {})
    assert [plan.outcome for plan in plans_of_dataset(planner, "notes")] == [
        "UNCHANGED",
        "INVALID",
        "UNCHANGED",
        "UNCHANGED",
    ]
    changed = Catalogue(
        {
            "notes": {
                "properties": {"count": {"maximum": 4}},
                "x-tablekeeper": {
                    "prefix": "notes/",
                    "attributes": {"pk": "pk", "sk": "sk", "n": "count != `0` && count || null"},
                },
            }
        }
    )
    plans = list(plans_of_dataset(replace(planner, catalogue=changed), "notes", concurrency=2))
    assert [(plan.key[6:7], plan.now, plan.outcome) for plan in plans] == [
        ("a", "SYNCED", "SYNCED"),
        ("b", None, "SYNCED"),
        ("c", "SYNCED", "INVALID"),
        ("d", "SYNCED", "SYNCED"),
    ]
    assert [plan.counts["changed"] for plan in plans] == [1, 0, 0, 1]
    assert len(list(plans_of_dataset(planner, "notes", limit=2))) == 2


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": {"N": "1.10"}}, {"a": {"N": "1.1"}}, []),
        ({"a": {"N": "100"}}, {"a": {"N": "1E+2"}}, []),
        ({"a": {"S": "1"}}, {"a": {"N": "1"}}, ["/a"]),
        ({"a": {"NULL": True}}, {}, ["/a"]),
        ({"a/b~": {"M": {"": {"S": "x"}}}}, {"a/b~": {"M": {"": {"S": "y"}}}}, ["/a~1b~0/"]),
        ({"a": {"L": [{"S": "x"}]}}, {"a": {"L": [{"S": "y"}, {"S": "z"}]}}, ["/a/0", "/a/1"]),
        ({"a": {"SS": ["x"]}}, {"a": {"L": [{"S": "x"}]}}, ["/a"]),
        ({"a": {"L": []}}, {"a": {"M": {}}}, ["/a"]),
    ],
)
def test_changes_are_told_where_they_are(before: Any, after: Any, expected: list[str]) -> None:
    found = list(changes(before, after))
    assert [each.path for each in found] == expected
    assert [each.path for each in changes(after, before)] == expected


def test_keys_of_before_a_change_of_the_table_s_key_are_of_no_item(
    pipeline: Pipeline, plan_of: PlanOf
) -> None:
    pipeline.put("notes/a.json", [note("1")])
    pipeline.sync("notes/a.json")
    old = {"L": [{"M": {"id": {"S": "1"}}}, {"M": {"pk": {"N": "1"}, "sk": {"S": "1"}}}]}
    row = {**pipeline.row("notes/a.json"), "item_keys": old, "digest": {"S": "of another key"}}
    pipeline.dynamodb.put_item(TableName="ledger", Item=row)
    assert actions(plan_of("notes/a.json", [note("2")])) == {"put": ["2"]}


def test_a_file_of_which_nothing_would_change_has_its_bad_records_still(
    pipeline: Pipeline, plan_of: PlanOf
) -> None:
    records = [note("1"), note("2", count=-1)]
    first = plan_of("lax/a.json", records)
    pipeline.put("lax/a.json", records)
    pipeline.sync("lax/a.json")
    again = plan_of("lax/a.json", records)
    assert [(each.outcome, each.set_aside, each.fine) for each in (first, again)] == [
        ("PARTIAL", 1, False),
        ("UNCHANGED", 1, False),
    ]
    assert again.is_written
    total = _Total()
    total.add(again)
    assert (total.fine, total.summary()["now_invalid"]) == (False, 0)
