"""Plans against what the functions then do, on moto."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tablekeeper import errors
from tablekeeper.settings import FetchSettings

from tablekeeper_cli.plan import Plan, Planner
from tests.support.plans import Documents, disagreements, table
from tests.unit.conftest import CATALOGUE, Pipeline


@pytest.fixture
def planner(pipeline: Pipeline) -> Planner:
    """Of the pipeline's stack."""
    return Planner(CATALOGUE, FetchSettings.from_environment(), "items", "staging")


@pytest.fixture
def plan_of(planner: Planner, tmp_path: Path) -> Any:
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
                "violations": [each._asdict() for each in plan.violations()],
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


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(10**6)])
def test_agree_with_the_execution_on_random_documents(
    seed: int, pipeline: Pipeline, plan_of: Any
) -> None:
    """Item by item, field by field, violation by violation."""
    documents = Documents(seed, "t")
    pipeline.put("notes/owner.json", [{"pk": "t-owned", "sk": "owned"}])
    pipeline.sync("notes/owner.json")
    foreign = {"pk": {"S": "t-owned"}, "sk": {"S": "foreign"}}
    pipeline.dynamodb.put_item(TableName="items", Item=foreign)
    seen = set()
    for key, body in documents.steps(120):
        before = table(everything(pipeline), "")
        plan = told(plan_of(key, body))
        assert before == table(everything(pipeline), "")
        pipeline.put(key, body)
        outcome, error = executed(pipeline, key)
        after = table(everything(pipeline), "")
        assert (plan["outcome"], plan["error"]) == (outcome, error), (key, body)
        assert disagreements(plan, f"s3://source/{key}", before, after) == [], (key, body)
        if error == "SchemaViolationError":
            assert plan["violations"] == reported(pipeline)
        seen |= {outcome, error} | {each["action"] for each in plan["items"]}
    assert {"SYNCED", "UNCHANGED", "INVALID", "put", "changed", "unchanged", "removed"} <= seen


def everything(pipeline: Pipeline) -> list[Any]:
    """The items table."""
    return pipeline.items()
