"""A smoke run without a stack: verdicts, removal, the dataset, and what docs/limits.md lists."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.smoke import points, run
from tablekeeper_cli.smoke.place import DATASET, DATASET_FILE, Place, dataset
from tests.support.project import ROOT

KEYS = ["pk:S,sk:S", "pk:N", "device:S,at:N"]


def place(**parameters: str) -> Place:
    """On a stack that nothing is asked of."""
    stack: Any = SimpleNamespace(
        parameters={"KeyPrefix": "", "PartitionKeyName": "pk", **parameters}
    )
    return Place(stack, patience=0.01)


def settled(monkeypatch: pytest.MonkeyPatch, **raised: Exception | None) -> dict[str, str]:
    """The verdicts of a run whose points raise these errors."""

    def check(error: Exception | None) -> Any:
        def checked(_place: Place) -> str:
            if error:
                raise error
            return "seen"

        return checked

    names = tuple((name.replace("_", " "), check(error)) for name, error in raised.items())
    monkeypatch.setattr(run, "POINTS", names)
    monkeypatch.setattr(Place, "remove", lambda _self: None)
    return {each.name: each.verdict for each in run.run(place())}


def test_each_point_has_a_verdict_and_the_next_one_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetItem")
    assert settled(
        monkeypatch,
        a_new_file=None,
        broken=points.BrokenError("seen"),
        denied=denied,
        away=points.NotReachedError("why"),
    ) == {
        "a new file": "held",
        "broken": "broken",
        "denied": "broken",
        "away": "not reached",
        run.REMOVAL: "held",
    }


def test_without_the_first_point_no_other_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    first = points.NotReachedError("no dataset")
    assert settled(monkeypatch, a_new_file=first, other=AssertionError("was tried")) == {
        "a new file": "not reached",
        "other": "not reached",
        run.REMOVAL: "held",
    }


def test_what_was_made_is_removed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Place] = []

    def remove(self: Place) -> None:
        removed.append(self)

    def interrupted(_place: Place) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "POINTS", (("a new file", interrupted),))
    monkeypatch.setattr(Place, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        list(run.run(place()))
    assert len(removed) == 1


def test_what_takes_too_long_is_broken_and_says_what_is_seen() -> None:
    with pytest.raises(points.BrokenError, match=r"it is red after 0\.01 seconds"):
        place().until(lambda: False, lambda: "it is red")


def test_a_stack_that_keeps_other_keys_is_refused() -> None:
    with pytest.raises(UsageError, match="in/"):
        place(KeyPrefix="in/")


@pytest.mark.parametrize("key", KEYS)
def test_the_dataset_fits_the_table_s_key(key: str) -> None:
    made = dataset(TableKey.parse(key))
    catalogue = Catalogue({DATASET: made})
    found = catalogue.find(place().prefix + "new.json")
    assert found is not None
    assert found.name == DATASET
    assert set(made["x-tablekeeper"]["key"]) == set(TableKey.parse(key).names)


def test_the_records_of_two_files_have_no_key_in_common() -> None:
    somewhere = place()
    records = [each for name in ("a", "b") for each in somewhere.records(name, 3000)]
    assert len({each["id"] for each in records}) == len({each["number"] for each in records})
    assert somewhere.records("a", 1, begin=2) == somewhere.records("a", 3)[2:]


def test_the_end_to_end_tests_deploy_the_same_dataset() -> None:
    deployed = json.loads((ROOT / "tests" / "e2e" / "schemas" / DATASET_FILE).read_text())
    assert deployed == dataset(TableKey.parse(KEYS[0]))


LIMITS: dict[str, tuple[str, ...]] = {
    "deployment, IAM roles": ("a new file", "a vanished object", "a reconcile"),
    "docs/deployer-policy.json": (),
    "an upgrade, a rollback to the release before": (),
    "KmsKeyArn": ("a new file", "a large file", "a reconcile"),
    "enforcement of the roles": ("a new file", "a large file", "a bad file"),
    "the dead-letter queue of the rule": ("the failed events queue",),
    "the state machine's own time-out": (),
    "the text of a cancelled transaction's cause": ("a bad file",),
    "the 4 MB of a transaction": ("large items",),
    "CloudWatch taking the metrics": ("metrics", "alarms", "the dashboard"),
    "links from the command": (),
    "X-Ray tracing, log delivery": ("logs",),
    "the Distributed Map": ("a reconcile",),
    "EventBridge Scheduler": (),
    "the rule `StepFunctionsGetEvents": ("a traced backfill",),
    "Express workflows": ("a new file",),
    "cold starts": (),
    "the delay of ListExecutions": ("ListExecutions",),
    "what AWS bills": (),
    "the quotas of ListExecutions": (),
    "the order of ListExecutions": ("ListExecutions",),
    "PENDING files": (),
    "States Language": ("a new file", "a trace", "a bad file", "an input that names no object"),
    "JSONata": ("a new file", "a bad file", "an input that names no object"),
    "that Sync Failed may pass on": ("an aborted execution",),
    "an empty `Prefix`": ("the whole bucket",),
    "that Lambda keeps lines without a level": ("metrics",),
    "a rollback": (),
    "archived objects": (),
    "which error name a throttled call": (),
}
"""The rows of docs/limits.md that were not run on AWS, by how they begin, and the points that try
them. A row without points takes a failure of AWS's own, a person, or days.
"""


def test_every_row_of_what_was_not_run_on_aws_has_its_points() -> None:
    text = (ROOT / "docs" / "limits.md").read_text().partition("## Not run on AWS")[2]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if "| " in line]
    rows = [row for row in rows if row not in ("What", "---")]
    for row in rows:
        assert [begin for begin in LIMITS if row.startswith(begin)], row
    for begin, names in LIMITS.items():
        assert [row for row in rows if row.startswith(begin)], begin
        assert set(names) <= {name for name, _ in run.POINTS}, begin
