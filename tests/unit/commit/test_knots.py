"""Records that are dealt out anew among files that keep their names, as by a job that writes part
files again: sweep and executions bring every item to its file, and nobody has to help.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tablekeeper import aws
from tablekeeper.errors import KeyOwnershipError, StaleRevisionError
from tablekeeper.model.keys import TableKey
from tablekeeper.recovery import clock
from tablekeeper.recovery.sweep import Sweep
from tablekeeper.tables import Tables

from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import record_refusal
from tests.unit.conftest import Pipeline
from tests.unit.step_functions import FakeStepFunctions


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, in_turn: None) -> Pipeline:
    """In memory: these writes take many transactions."""
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    return quick_pipeline(monkeypatch)


def execute(pipeline: Pipeline, event: Any) -> None:
    """An execution: SYNCED, RELEASED or INVALID."""
    key = event["detail"]["object"]["key"]
    execution = pipeline.execution(key) | {"event": event}
    for _ in range(8):
        fetched = pipeline.fetch(key, **{n: v for n, v in event.items() if n != "detail"})
        try:
            pipeline.commit(fetched, execution)
        except StaleRevisionError:
            continue
        except KeyOwnershipError as error:
            if not record_refusal(fetched, execution, error):
                raise
        return


def sweeps(pipeline: Pipeline, keys: list[str], missing: list[int], total: int) -> int:
    """How many sweeps it takes until no file has a problem."""
    states = FakeStepFunctions()
    tables = Tables(aws.dynamodb(), "ledger", "items", TableKey.parse("pk:S,sk:S"), 1000)
    for count in range(30):
        if not any("problem" in pipeline.row(key) for key in keys):
            return count
        before = set(states.started)
        Sweep(states, tables, "m", lambda: 300).run()  # type: ignore[arg-type]
        for name in [name for name in states.started if name not in before]:
            execute(pipeline, json.loads(states.started[name]))
            missing.append(total - len(pipeline.items()))
    raise AssertionError("it does not come undone")


@pytest.mark.parametrize(
    ("files", "records"),
    [
        pytest.param(2, 4, id="two small"),
        pytest.param(40, 40, id="forty small"),
        pytest.param(3, 110, id="three large"),
    ],
)
def test_records_dealt_out_anew_come_to_their_files(
    pipeline: Pipeline, files: int, records: int
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    keys = [f"notes/part-{number}.json" for number in range(files)]
    names = [f"r{number}" for number in range(files * records)]
    for round_ in range(2):
        rng.shuffle(names)
        dealt = {key: names[place::files] for place, key in enumerate(keys)}
        for key, held in dealt.items():
            # Half of the records are as they were.
            values = [
                {"pk": name, "sk": "1", "v": round_ if place % 2 else 0}
                for place, name in enumerate(sorted(held))
            ]
            pipeline.put(key, values)
        for key in keys:
            execute(pipeline, pipeline.event(key))
        missing = [0]
        count = sweeps(pipeline, keys, missing, len(names))
        print(f"{count} sweeps, {max(missing)} of {len(names)} items missing at worst")
        owners = {item["pk"]["S"]: item["_source"]["M"]["key"]["S"] for item in pipeline.items()}
        assert owners == {name: key for key, held in dealt.items() for name in held}
        assert count <= 3


def test_files_that_claim_one_item_stay_refused(pipeline: Pipeline) -> None:
    """A true conflict: the second names the owner, and no sweep goes on and on."""
    for key in ("notes/a.json", "notes/b.json"):
        pipeline.put(key, [{"pk": "both", "sk": "1"}, {"pk": key, "sk": "1"}])
        execute(pipeline, pipeline.event(key))
    states = FakeStepFunctions()
    tables = Tables(aws.dynamodb(), "ledger", "items", TableKey.parse("pk:S,sk:S"), 1000)
    for _ in range(5):
        Sweep(states, tables, "m", lambda: 300).run()  # type: ignore[arg-type]
    assert states.started == {}
    assert pipeline.row("notes/b.json")["problem_status"] == {"S": "INVALID"}
    assert "problem" not in pipeline.row("notes/a.json")


def test_a_file_that_was_released_is_written_once_nothing_is_in_its_way(
    pipeline: Pipeline,
) -> None:
    """The flag is of one execution: what the sweep starts later is an ordinary one."""
    one, other = "notes/a.json", "notes/b.json"
    for key, names in ((other, "z"), (one, "ab"), (one, "abz")):
        pipeline.put(key, [{"pk": name, "sk": "1"} for name in names])
        execute(pipeline, pipeline.event(key, release_items=names == "abz"))
    assert pipeline.row(one)["status"] == {"S": "RELEASED"}
    pipeline.put(other, [])
    execute(pipeline, pipeline.event(other))
    assert sweeps(pipeline, [one, other], [], 3) == 1
    assert {item["pk"]["S"] for item in pipeline.items()} == set("abz")
