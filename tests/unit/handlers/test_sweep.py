"""The sweep: what events missed is recorded, and what an owner let go is tried again."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from handlers import sweep as handler_module
from tablekeeper import aws
from tablekeeper import tables as tables_module
from tablekeeper.commit.conflicts import conflict
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.ledger.ends import EndKey, RecordedEnd, write_end
from tablekeeper.model.keys import ItemKey, TableKey
from tablekeeper.model.times import iso_milliseconds
from tablekeeper.recovery import clock, progress, waiting_files
from tablekeeper.recovery.lease import lease
from tablekeeper.recovery.sweep import Sweep, SweepResult
from tablekeeper.tables import Tables

from tests.support.fakes import FakeDynamoDB, client_error
from tests.unit.step_functions import EVENT, FakeStepFunctions

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
OWNER = "s3://b/owner"


@pytest.fixture
def states() -> FakeStepFunctions:
    return FakeStepFunctions()


@pytest.fixture
def dynamodb() -> FakeDynamoDB:
    return FakeDynamoDB()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _seconds: None)


def run(states: Any, dynamodb: Any, left: Callable[[], float] = lambda: 300) -> SweepResult:
    tables = Tables(dynamodb, "ledger", "items", TableKey.parse("pk:S,sk:S"), 1000)
    return Sweep(states, tables, "m", left).run()


def told(states: Any) -> list[str]:
    """The names of the executions that were described, in order."""
    return [arn.rpartition(":")[2] for arn in states.described]


def refuse(
    dynamodb: FakeDynamoDB,
    owner: str | None = OWNER,
    revision: int = 3,
    others: Sequence[tuple[ItemKey, str]] = (),
) -> None:
    """A file that was refused because of the item's owner."""
    message = str(conflict([(ItemKey.of(KEY), owner), *others]))
    cause = json.dumps({"errorMessage": message, "errorType": "KeyOwnershipError"})
    problem = {"cause": {"S": cause[:32768]}, "input": {"S": json.dumps(EVENT)}}
    row = {
        "pk": {"S": "s3://b/refused"},
        "sk": {"S": "CURRENT"},
        "revision": {"N": str(revision)},
        "problem": {"M": problem},
        "problem_status": {"S": "INVALID"},
        "problem_error": {"S": "KeyOwnershipError"},
        "problem_at": {"S": "2026-01-01T00:00:00.000Z"},
    }
    dynamodb.put_item(TableName="ledger", Item=row)


def hold(dynamodb: FakeDynamoDB, key: str | None, item: Any = KEY) -> None:
    """The item is there, and belongs to a file of the bucket b, or to nobody."""
    source = {"_source": {"M": {"bucket": {"S": "b"}, "key": {"S": key}}}} if key else {}
    dynamodb.put_item(TableName="items", Item={**item, **source})


def test_a_file_is_tried_again_when_the_item_is_gone(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    assert run(states, dynamodb).restarted == 1
    assert [json.loads(each) for each in states.started.values()] == [EVENT]


def test_a_file_is_tried_again_when_the_item_has_another_owner(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    hold(dynamodb, "somebody-else")
    assert run(states, dynamodb).restarted == 1


def test_a_file_waits_while_the_owner_holds_on(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    hold(dynamodb, "owner")
    assert run(states, dynamodb).restarted == 0


def test_a_file_waits_while_an_item_is_not_tablekeeper_s(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb, owner=None)
    hold(dynamodb, None)
    assert run(states, dynamodb).restarted == 0
    hold(dynamodb, "somebody")
    assert run(states, dynamodb).restarted == 1


def test_a_file_is_tried_once_a_revision(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    assert [run(states, dynamodb).restarted for _ in range(2)] == [1, 0]
    refuse(dynamodb, revision=4)
    assert run(states, dynamodb).restarted == 1


def test_a_file_is_tried_again_at_a_revision_that_was_there_before_the_ledger_was_set_back(
    states: Any, dynamodb: Any
) -> None:
    refuse(dynamodb)
    assert run(states, dynamodb).restarted == 1
    row = dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]
    row["problem_at"] = {"S": "2026-01-02T00:00:00.000Z"}
    assert [run(states, dynamodb).restarted for _ in range(2)] == [1, 0]


def test_other_problems_are_not_tried_again(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]["problem_error"] = {"S": "EncodingError"}
    assert run(states, dynamodb).restarted == 0


def test_what_is_wrong_is_counted_by_status(states: Any, dynamodb: Any) -> None:
    for name, status, more in (
        ("a", "FAILED", {}),
        ("b", "INVALID", {}),
        ("d", "PARTIAL", {}),
        ("c", "INVALID", {"incomplete_since": {"S": "2026-01-01T00:00:00.000Z"}}),
        # A write that began after the problem replaces items, and may mend it.
        ("e", "INVALID", {"incomplete_since": {"S": "2026-01-01T00:01:00.000Z"}}),
    ):
        row = {"pk": {"S": f"s3://b/{name}"}, "sk": {"S": "CURRENT"}, **more}
        row |= {"problem_status": {"S": status}, "problem_error": {"S": "EncodingError"}}
        row["problem_at"] = {"S": "2026-01-01T00:00:00.000Z"}
        dynamodb.put_item(TableName="ledger", Item=row)
    assert run(states, dynamodb).problems == {
        "FAILED": 1,
        "INVALID": 3,
        "PARTIAL": 1,
        "INCOMPLETE": 1,
    }


def test_every_bad_end_that_is_missing_in_the_ledger_is_recorded(
    states: Any, dynamodb: Any
) -> None:
    for name, status in (("1", "FAILED"), ("2", "TIMED_OUT"), ("3", "ABORTED"), ("4", "SUCCEEDED")):
        states.end(name, status)
    assert len(run(states, dynamodb).recorded) == 3
    assert len(run(states, dynamodb).recorded) == 0


def test_only_what_ended_since_the_last_sweep_is_looked_at(states: Any, dynamodb: Any) -> None:
    run(states, dynamodb)
    now = datetime.now(UTC)
    old = states.end("old", "FAILED", stopped=now - timedelta(minutes=11), startDate=now)
    new = states.end("new", "FAILED", stopped=now - timedelta(minutes=9), startDate=now)
    assert len(run(states, dynamodb).recorded) == 1
    assert states.described == [new]
    assert old not in states.described


def test_listing_stops_at_executions_that_had_ended_before(states: Any, dynamodb: Any) -> None:
    run(states, dynamodb)
    states.page, now = 1, datetime.now(UTC)
    for days in range(1, 6):
        states.end(f"{days} days ago", "FAILED", stopped=now - timedelta(days=days))
    # It was redriven, and started long before the others.
    states.end("now", "FAILED", startDate=now - timedelta(days=15), redriveCount=1)
    with patch.object(states, "list_executions", wraps=states.list_executions) as listed:
        assert len(run(states, dynamodb).recorded) == 1
    pages = [each.kwargs["statusFilter"] for each in listed.call_args_list]
    assert pages == ["FAILED", "FAILED", "TIMED_OUT", "ABORTED"]


def ends(states: FakeStepFunctions, *hours: float) -> list[str]:
    """Executions that ended badly so many hours ago."""
    now = datetime.now(UTC)
    return [
        states.end(f"{each}h", "FAILED", stopped=stop, startDate=stop)
        for each in hours
        for stop in [now - timedelta(hours=each)]
    ]


def test_the_oldest_end_is_recorded_first(states: Any, dynamodb: Any) -> None:
    ends(states, 2, 1, 3)
    run(states, dynamodb)
    assert told(states) == ["3h", "2h", "1h"]


def test_an_end_that_recorded_itself_is_not_described(states: Any, dynamodb: Any) -> None:
    ends(states, *range(1, 251))
    for hour in range(1, 250):
        end = RecordedEnd("s3://b/k", "INVALID", "EncodingError")
        write_end(dynamodb, "ledger", EndKey(f"{hour}h", 0), end, 1000)
    run(states, dynamodb)
    assert told(states) == ["250h"]


def test_what_was_described_once_is_not_described_again(states: Any, dynamodb: Any) -> None:
    ends(states, 0.1)
    run(states, dynamodb)
    run(states, dynamodb)
    assert len(states.described) == 1


def test_an_execution_that_failed_again_after_a_redrive_is_looked_at_again(
    states: Any, dynamodb: Any
) -> None:
    """However long ago it started."""
    (arn,) = ends(states, 24 * 13)
    run(states, dynamodb)
    states.executions[arn] |= {"redriveCount": 1, "stopDate": datetime.now(UTC)}
    assert len(run(states, dynamodb).recorded) == 1


def test_the_watermark_moves_with_the_work_and_the_next_sweep_goes_on(
    states: Any, dynamodb: Any
) -> None:
    ends(states, *range(1, 11))
    swept = run(states, dynamodb, lambda: 300 if len(states.described) < 4 else 0)
    assert len(swept.recorded) == 4
    kept = progress.Progress.read(dynamodb, "ledger")
    assert kept.swept_to.timestamp() == pytest.approx(
        (datetime.now(UTC) - timedelta(hours=7)).timestamp(), abs=60
    )
    run(states, dynamodb)
    assert told(states) == [f"{each}h" for each in range(10, 0, -1)]
    assert progress.Progress.read(dynamodb, "ledger").swept_to > datetime.now(UTC) - timedelta(
        minutes=1
    )


def test_a_listing_that_one_sweep_cannot_end_goes_on_in_the_next(
    states: Any, dynamodb: Any
) -> None:
    ends(states, *range(1, 31))
    states.page = 10
    lists: list[str] = []
    stock = states.list_executions

    def listed(**asked: Any) -> Any:
        lists.append(asked.get("nextToken", "0"))
        return stock(**asked)

    for count in range(1, 5):
        with patch.object(states, "list_executions", listed):
            # Time for one page, and then for what was found on it.
            run(states, dynamodb, lambda: 149 if len(lists) >= count else 300)  # noqa: B023
    assert lists[:3] == ["0", "10", "20"]
    assert len(states.described) == 30


def test_a_token_that_is_too_old_begins_its_list_again(states: Any, dynamodb: Any) -> None:
    ends(states, 1)
    kept = progress.Progress(datetime(2026, 1, 1, tzinfo=UTC), datetime.now(UTC), (0, "old"))
    kept.keep(dynamodb, "ledger")
    stock = states.list_executions

    def listed(nextToken: str = "", **asked: Any) -> Any:  # noqa: N803
        if nextToken:
            raise client_error("InvalidToken")
        return stock(**asked)

    with patch.object(states, "list_executions", listed):
        assert len(run(states, dynamodb).recorded) == 1


def test_one_execution_that_cannot_be_recorded_is_counted_passed_over_and_tried_again(
    states: Any, dynamodb: Any
) -> None:
    bad, *_ = ends(states, 3, 2, 1)
    stock = states.describe_execution

    def described(executionArn: str) -> Any:  # noqa: N803
        if executionArn == bad:
            raise RuntimeError
        return stock(executionArn=executionArn)

    with patch.object(states, "describe_execution", described):
        swept = run(states, dynamodb)
        assert (len(swept.recorded), swept.passed_over) == (2, 1)
        assert run(states, dynamodb).passed_over == 1
    assert len(run(states, dynamodb).recorded) == 1
    assert run(states, dynamodb).passed_over == 0


def test_a_service_that_throttles_is_left_alone_until_the_next_sweep(
    states: Any, dynamodb: Any
) -> None:
    ends(states, *range(1, 21))
    with patch.object(
        states, "describe_execution", side_effect=client_error("Throttling")
    ) as asked:
        run(states, dynamodb)
    assert asked.call_count == 3
    assert len(run(states, dynamodb).recorded) == 20


def test_trouble_with_the_files_does_not_keep_the_executions_waiting(
    states: Any, dynamodb: Any
) -> None:
    ends(states, 1)
    with patch.object(dynamodb, "query", side_effect=client_error("AccessDenied")):
        swept = run(states, dynamodb)
    assert (len(swept.recorded), swept.problems, swept.passed_over) == (1, None, 1)


def test_trouble_with_the_executions_does_not_keep_the_files_waiting(
    states: Any, dynamodb: Any
) -> None:
    refuse(dynamodb)
    with patch.object(states, "list_executions", side_effect=client_error("AccessDenied")):
        swept = run(states, dynamodb)
    assert (swept.restarted, swept.problems) == (
        1,
        {"FAILED": 0, "INVALID": 1, "PARTIAL": 0, "INCOMPLETE": 0},
    )


def test_one_sweep_at_a_time_does_each_job(states: Any, dynamodb: Any) -> None:
    """A sweep that takes long over the executions does not keep the next ones from counting."""
    refuse(dynamodb)
    ends(states, 1)
    with lease(dynamodb, "ledger", "executions", 100) as held:
        assert held
        swept = run(states, dynamodb)
        assert (len(swept.recorded), swept.restarted) == (0, 1)
        assert swept.problems
    with lease(dynamodb, "ledger", "files", 100):
        swept = run(states, dynamodb)
        assert (len(swept.recorded), swept.restarted, swept.problems) == (1, 0, None)


def test_no_sweep_says_zero_of_a_job_that_another_may_die_of(
    states: Any, dynamodb: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the alarms on what each sweep passes over would not go off."""

    def passed_over() -> dict[str, list[float]]:
        run(states, dynamodb)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return {each["job"]: each["PassedOver"] for each in lines if "PassedOver" in each}

    assert passed_over() == {"files": [0], "executions": [0]}
    with lease(dynamodb, "ledger", "executions", 100):
        assert passed_over() == {"files": [0]}
    with lease(dynamodb, "ledger", "files", 100):
        assert passed_over() == {"executions": [0]}
    refuse(dynamodb)
    del dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]["problem_error"]
    assert passed_over() == {"files": [1], "executions": [0]}
    with patch.object(states, "list_executions", side_effect=client_error("AccessDenied")):
        assert passed_over() == {"files": [1], "executions": [1]}


def test_a_lease_of_a_sweep_that_died_lapses(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease(dynamodb, "ledger", "files", 100) as first:
        later = datetime.now(UTC) + timedelta(seconds=111)
        monkeypatch.setattr(clock, "now", lambda: later)
        with lease(dynamodb, "ledger", "files", 100) as second:
            assert (first, second) == (True, True)


def test_a_row_that_cannot_be_read_is_counted_and_passed_over(states: Any, dynamodb: Any) -> None:
    refuse(dynamodb)
    broken: dict[str, Any] = {"pk": {"S": "s3://b/broken"}, "sk": {"S": "CURRENT"}}
    broken |= {"problem_status": {"S": "INVALID"}, "problem_error": {"S": "KeyOwnershipError"}}
    broken |= {"problem_at": {"S": "2026-01-01T00:00:00.000Z"}, "revision": {"N": "1"}}
    broken["problem"] = {"M": {"cause": {"N": "1"}, "input": {"S": "{}"}}}
    dynamodb.put_item(TableName="ledger", Item=broken)
    swept = run(states, dynamodb)
    assert (swept.restarted, swept.passed_over) == (1, 1)
    assert swept.problems == {"FAILED": 0, "INVALID": 2, "PARTIAL": 0, "INCOMPLETE": 0}


def test_a_file_of_before_a_change_of_the_table_s_key_is_tried_again(
    states: Any, dynamodb: Any
) -> None:
    """The item that stood in its way cannot be in this table."""
    refuse(dynamodb)
    tables = Tables(dynamodb, "ledger", "items", TableKey.parse("id:S"), 1000)
    assert Sweep(states, tables, "m", lambda: 300).run().restarted == 1


def test_a_refusal_of_a_release_without_values_is_tried_again(states: Any, dynamodb: Any) -> None:
    """Its row does not say which item it waits for, and the row of this try will."""
    refuse(dynamodb)
    hold(dynamodb, "owner")
    problem = dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]["problem"]["M"]
    said = 'Item {"pk":{"S":"a"},"sk":{"S":"b"}} belongs to "s3://b/owner". Remove the record.'
    problem["cause"] = {"S": json.dumps({"errorMessage": said})}
    assert run(states, dynamodb).restarted == 1


def test_refused_files_have_their_turn_however_many_they_are(
    states: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_files, "MAX_LOOKS", 2)
    refuse(dynamodb)
    row = dynamodb.tables["ledger"].pop(("s3://b/refused", "CURRENT"))
    hold(dynamodb, "owner")
    for name in "abcde":
        dynamodb.put_item(TableName="ledger", Item={**row, "pk": {"S": f"s3://b/{name}"}})
    asked: list[str] = []
    stock = dynamodb.batch_get_item

    def batch_get_item(RequestItems: Any) -> Any:  # noqa: N803
        for key in RequestItems.get("ledger", {}).get("Keys", ()):
            name = key["pk"]["S"].rpartition("/")[2]
            asked.extend([name] if key["sk"]["S"] == "CURRENT" and name != "owner" else [])
        return stock(RequestItems=RequestItems)

    with patch.object(dynamodb, "batch_get_item", batch_get_item):
        for _ in range(3):
            run(states, dynamodb)
    assert asked == [*"abcdea"]


def _owner_is_refused(dynamodb: FakeDynamoDB, **problem: Any) -> None:
    row = dynamodb.tables["ledger"]["s3://b/refused", "CURRENT"]
    held = {"M": {**row["problem"]["M"], **problem}}
    owner = {**row, "pk": {"S": OWNER}, "revision": {"N": "7"}, "problem": held}
    dynamodb.put_item(TableName="ledger", Item=owner)


def test_an_owner_that_is_refused_itself_is_to_give_up_items(states: Any, dynamodb: Any) -> None:
    """Once a revision, whatever happens to the execution; its flag is of one execution."""
    refuse(dynamodb)
    hold(dynamodb, "owner")
    _owner_is_refused(dynamodb)
    assert run(states, dynamodb).restarted == 1
    assert [json.loads(each) for each in states.started.values()] == [
        {**EVENT, "release_items": True}
    ]
    assert run(states, dynamodb).restarted == 0


@pytest.mark.parametrize("why", ["has it", "gave it up", "is not refused"])
def test_each_refused_owner_that_is_in_the_way_is_to_give_up_items(
    states: Any, dynamodb: Any, why: str
) -> None:
    """At once, also where the first of them is in nobody's knot."""
    other = {"pk": {"S": "a"}, "sk": {"S": "other"}}
    refuse(dynamodb, "s3://b/first", others=[(ItemKey.of(other), OWNER)])
    hold(dynamodb, "first")
    hold(dynamodb, "somebody" if why == "gave it up" else "owner", other)
    if why != "is not refused":
        _owner_is_refused(dynamodb)
        message = str(KeyOwnershipError(ItemKey.of(KEY), "s3://b/first"))
        problem = dynamodb.tables["ledger"][OWNER, "CURRENT"]["problem"]["M"]
        problem["cause"] = {"S": json.dumps({"errorMessage": message})}
    assert run(states, dynamodb).restarted == (why == "has it")
    if why == "has it":
        (started,) = states.started.values()
        assert json.loads(started) == {**EVENT, "release_items": True}


@pytest.mark.parametrize("why", ["released", "another error", "no problem"])
def test_an_owner_that_may_not_give_up_items_is_left_alone(
    states: Any, dynamodb: Any, why: str
) -> None:
    refuse(dynamodb)
    hold(dynamodb, "owner")
    _owner_is_refused(dynamodb, released={"BOOL": True})
    row = dynamodb.tables["ledger"][OWNER, "CURRENT"]
    if why == "another error":
        row["problem_error"] = {"S": "SchemaViolationError"}
        del row["problem"]["M"]["released"]
    elif why == "no problem":
        for name in [name for name in row if name.startswith("problem")]:
            del row[name]
    assert run(states, dynamodb).restarted == 0


def fail(
    dynamodb: FakeDynamoDB, error: str, since: timedelta, tried: timedelta, **event: Any
) -> None:
    """A file that failed first and last so long ago."""
    now = datetime.now(UTC)
    problem = {"cause": {"S": "why"}, "input": {"S": json.dumps({**EVENT, **event})}}
    row = {
        "pk": {"S": "s3://b/failed"},
        "sk": {"S": "CURRENT"},
        "revision": {"N": "3"},
        "problem": {"M": problem},
        "problem_status": {"S": "FAILED"},
        "problem_error": {"S": error},
        "problem_since": {"S": iso_milliseconds(now - since)},
        "problem_at": {"S": iso_milliseconds(now - tried)},
    }
    dynamodb.put_item(TableName="ledger", Item=row)


@pytest.mark.parametrize(
    ("since", "tried", "started"),
    [
        (4, 4, 0),
        (6, 6, 1),
        (60, 31, 1),
        (60, 29, 0),
        (60 * 24 * 9, 60 * 23, 0),
        (60 * 24 * 9, 60 * 25, 1),
    ],
    ids=[
        "too early the first time",
        "the first time",
        "as long again as it failed",
        "not yet as long again",
        "less than a day",
        "a day at the longest",
    ],
)
def test_a_file_that_failed_is_tried_again_later_and_later(
    states: Any, dynamodb: Any, since: int, tried: int, started: int
) -> None:
    error = "Lambda.TooManyRequestsException"
    fail(dynamodb, error, timedelta(minutes=since), timedelta(minutes=tried))
    assert run(states, dynamodb).restarted == started


@pytest.mark.parametrize(
    "error", ["SchemaViolationError", "KeyOwnershipError", "DatasetChangedError"]
)
def test_what_was_to_end_otherwise_than_failed_is_tried_again(
    states: Any, dynamodb: Any, error: str
) -> None:
    """The definition was of the release before, or could not write, and the net did."""
    fail(dynamodb, error, timedelta(minutes=6), timedelta(minutes=6))
    assert run(states, dynamodb).restarted == 1


@pytest.mark.parametrize(
    "error",
    ["ClientError", "States.Runtime", "DatasetDefinitionError", "ExecutionAborted", "KeyError"],
)
def test_what_does_not_pass_waits_for_a_person(states: Any, dynamodb: Any, error: str) -> None:
    fail(dynamodb, error, timedelta(days=3), timedelta(days=3))
    assert run(states, dynamodb).restarted == 0


def test_what_is_started_again_has_no_flags(states: Any, dynamodb: Any) -> None:
    hour = timedelta(hours=1)
    fail(dynamodb, "TransientServiceError", hour, hour, force=True, release=True)
    run(states, dynamodb)
    assert [json.loads(each) for each in states.started.values()] == [EVENT]


def test_files_are_started_again_at_a_bounded_rate(
    states: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(clock, "sleep", waits.append)
    hour = timedelta(hours=1)
    fail(dynamodb, "States.Timeout", hour, hour)
    row = dynamodb.tables["ledger"].pop(("s3://b/failed", "CURRENT"))
    for number in range(400):
        dynamodb.put_item(TableName="ledger", Item={**row, "pk": {"S": f"s3://b/{number}"}})
    begun = clock.now()
    assert run(states, dynamodb).restarted == waiting_files.MAX_STARTS
    # The clock stands still while it sleeps, so that each wait ends when its call is due.
    last = begun + timedelta(seconds=waiting_files.MAX_STARTS / 5 - 1)
    assert max(waits) > (last - clock.now()).total_seconds()


@pytest.mark.parametrize("error", ["States.Timeout", "KeyOwnershipError"])
def test_executions_that_still_run_keep_no_other_file_from_its_turn(
    states: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """StartExecution with the name and the input of one that runs answers as for a new one."""
    monkeypatch.setattr(waiting_files, "MAX_STARTS", 150)
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    hour = timedelta(hours=1)
    fail(dynamodb, error, hour, hour)
    row = dynamodb.tables["ledger"].pop(("s3://b/failed", "CURRENT"))
    for number in range(400):
        dynamodb.put_item(TableName="ledger", Item={**row, "pk": {"S": f"s3://b/{number}"}})
    started: set[str] = set()
    monkeypatch.setattr(states, "start_execution", lambda name, **_: started.add(name))
    for _ in range(6):
        run(states, dynamodb)
    assert len(started) == 400


def test_the_handler_sweeps(states: Any, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "LEDGER_TABLE": "ledger",
        "ITEMS_TABLE": "items",
        "ITEM_KEYS": "pk:S,sk:S",
        "AUDIT_RETENTION_SECONDS": "1000",
        "STATE_MACHINE_ARN": "m",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refuse(dynamodb)
    states.end("1", "ABORTED")
    with (
        patch.object(aws, "states", lambda: states),
        patch.object(tables_module, "dynamodb", lambda: dynamodb),
    ):
        assert handler_module.handler({}, None) == {
            "recorded": 1,
            "restarted": 1,
            # As they were before the execution was recorded.
            "problems": {"FAILED": 0, "INVALID": 1, "PARTIAL": 0, "INCOMPLETE": 0},
            "passed_over": 0,
        }
