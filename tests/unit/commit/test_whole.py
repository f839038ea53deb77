"""All or nothing, and an end to everything: whatever refuses an item, wherever a write was cut off,
a file has the items of one of its versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from handlers import settle_claim
from tablekeeper.commit import claiming, key_lists, lanes
from tablekeeper.errors import (
    InvalidFileError,
    KeyOwnershipError,
    StagedSetMissingError,
    StaleRevisionError,
    UnfinishedWriteError,
)
from tablekeeper.ledger.rows import Claim
from tablekeeper.model import sizes
from tablekeeper.staging.partitioned_lines import copied_objects, delete_copy

from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client, record_refusal
from tests.unit.conftest import Pipeline

KEY = "notes/a.json"

pytestmark = pytest.mark.usefixtures("large")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """In memory: these writes take many transactions."""
    return quick_pipeline(monkeypatch)


def records(names: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"pk": name, "sk": "1", **more} for name in names]


def held(pipeline: Pipeline, file: str = KEY) -> dict[str, Any]:
    return {
        item["pk"]["S"]: item.get("v", {}).get("N") or item.get("v", {}).get("S")
        for item in pipeline.items()
        if item["_source"]["M"]["key"]["S"] == file
    }


def run(pipeline: Pipeline, key: str = KEY, **event: Any) -> str:
    """An execution as the definition has it: Write Items, Read Again, Record Failure, Settle
    Claim.
    """
    execution = pipeline.execution(key) | {"event": pipeline.event(key, **event)}
    for _ in range(8):
        fetched = pipeline.fetch(key, **event)
        try:
            return str(pipeline.commit(fetched, execution)["outcome"])
        except StaleRevisionError:
            continue
        except InvalidFileError as error:
            if record_refusal(fetched, execution, error):
                return type(error).__name__
            _settle(fetched, execution)
    return "ContentionError"


def _settle(fetched: Any, execution: Any) -> None:
    if fetched["found"]["claim"] not in ("ADDING", "REPLACING"):
        return
    for _ in range(20):
        try:
            settle_claim.handler({"found": fetched["found"], "execution": execution}, None)
        except UnfinishedWriteError:
            continue
        except StaleRevisionError:
            pass
        return


def _by_index(arguments: Any) -> None:
    """The user's table has an index on `v`, a number."""
    bad = [
        "Put" in each and "S" in each["Put"]["Item"].get("v", {})
        for each in arguments["TransactItems"]
    ]
    if any(bad):
        reasons = [
            {"Code": "ValidationError", "Message": "Type mismatch for Index Key v"}
            if each
            else {"Code": "None"}
            for each in bad
        ]
        raise client_error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.fixture
def index(pipeline: Pipeline, use: Callable[[Any], None]) -> None:
    """An index on `v`, a number: it is described, and DynamoDB refuses what it cannot hold."""
    keys = [{"AttributeName": "v", "KeyType": "HASH"}]
    pipeline.dynamodb.index = {
        "AttributeDefinitions": [{"AttributeName": "v", "AttributeType": "N"}],
        "GlobalSecondaryIndexes": [{"IndexName": "by-v", "KeySchema": keys}],
    }
    use(Client(pipeline.dynamodb, _by_index))


ONE = dict.fromkeys("abcdefgh", "1")


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("bad", "fits"),
    [
        pytest.param("a", 1, id="a"),
        pytest.param("c", 1, id="c"),
        pytest.param("h", 98, id="in one transaction"),
    ],
)
def test_an_item_that_an_index_refuses_leaves_the_earlier_version(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, bad: str, fits: int
) -> None:
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", fits)
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(
        KEY, [{"pk": name, "sk": "1", "v": "two" if name == bad else 2} for name in "abcdefgh"]
    )
    assert run(pipeline) == "ItemRejectedError"
    assert held(pipeline) == ONE
    row = pipeline.row(KEY)
    assert "claim" not in row
    assert "incomplete_since" not in row
    assert ("by-v" if fits == 1 else "Index Key v") in row["problem"]["M"]["cause"]["S"]
    monkeypatch.setattr(sizes, "TRANSACTION_ITEMS", 98)
    pipeline.put(KEY, records("ab", v=3))
    assert run(pipeline) == "SYNCED"
    assert not {"problem", "refusal", "claimed_by"} & pipeline.row(KEY).keys()


def test_nothing_is_replaced_while_the_table_s_indexes_are_not_known(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    class Undescribed(Client):
        def describe_table(self, TableName: str) -> Any:  # noqa: N803
            raise client_error("AccessDeniedException")

    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("abcdefgh", v=2))
    use(Undescribed(pipeline.dynamodb))
    with pytest.raises(ClientError, match="AccessDenied"):
        run(pipeline)
    assert held(pipeline) == ONE
    use(pipeline.dynamodb)
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abcdefgh", "2")


@pytest.mark.parametrize("taken", ["a", "c"])
def test_an_item_that_expired_and_is_another_file_s_leaves_the_earlier_version(
    pipeline: Pipeline, taken: str
) -> None:
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": taken}, "sk": {"S": "1"}})
    pipeline.put("notes/b.json", records(taken, v=9))
    pipeline.sync("notes/b.json")
    pipeline.put(KEY, records("abcdefgh", v=2))
    assert run(pipeline) == "KeyOwnershipError"
    assert held(pipeline) == {name: "1" for name in "abcdefgh" if name != taken}
    assert "claim" not in pipeline.row(KEY)


def test_all_are_named_that_took_items_to_be_replaced(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LANES", 1)
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    for taken in "acf":
        pipeline.dynamodb.delete_item(TableName="items", Key={"pk": {"S": taken}, "sk": {"S": "1"}})
        pipeline.put(f"notes/of-{taken}.json", records(taken, v=9))
        pipeline.sync(f"notes/of-{taken}.json")
    pipeline.put(KEY, records("abcdefgh", v=2))
    with pytest.raises(StaleRevisionError):
        pipeline.sync(KEY)
    with pytest.raises(KeyOwnershipError) as caught:
        pipeline.sync(KEY)
    named = [caught.value.values, *caught.value.values["others"]]
    assert {each["owner"][-6] for each in named} == set("acf")


def _overtaken(
    pipeline: Pipeline, use: Callable[[Any], None], then: Callable[[], str], call: int = 5
) -> tuple[str, str]:
    """What a large write ends with, and what happens after some of its transactions."""
    pipeline.put("notes/b.json", records("z", v=9))
    pipeline.sync("notes/b.json")
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("abcdefgh", v=2))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    calls, ends = {"n": 0}, []

    def before(_: Any) -> None:
        calls["n"] += 1
        if calls["n"] == call:
            use(pipeline.dynamodb)
            ends.append(then())

    use(Client(pipeline.dynamodb, before))
    return str(pipeline.commit(fetched, execution)["outcome"]), ends[0]


def test_a_refused_version_that_overtook_a_replacing_write_has_that_one_finished(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    def third() -> str:
        pipeline.put(KEY, records("abcdefghz", v=3))
        return run(pipeline)

    assert _overtaken(pipeline, use, third) == ("SUPERSEDED", "KeyOwnershipError")
    assert held(pipeline) == dict.fromkeys("abcdefgh", "2")
    row = pipeline.row(KEY)
    assert "claim" not in row
    assert row["problem_status"] == {"S": "INVALID"}


def test_of_two_refused_versions_in_a_row_the_write_below_is_finished(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Each takes the claim over before the other's end."""

    def cut_off_third_then_fourth() -> str:
        pipeline.put(KEY, records("abcdefghijklz", v=3))
        done = {"n": 0}
        use(Client(pipeline.dynamodb, lambda _: done.update(n=done["n"] + 1)))
        pipeline.seconds_left = lambda: 1000.0 if done["n"] < 3 else 0.0
        with pytest.raises(UnfinishedWriteError):
            pipeline.sync(KEY)
        pipeline.seconds_left = None
        use(pipeline.dynamodb)
        pipeline.put(KEY, records("abcdefghmnopz", v=4))
        return run(pipeline)

    ended = _overtaken(pipeline, use, cut_off_third_then_fourth)
    assert ended == ("SUPERSEDED", "KeyOwnershipError")
    assert held(pipeline) == dict.fromkeys("abcdefgh", "2")


def test_a_file_that_turned_bad_has_the_newest_good_write_finished(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    def bad() -> str:
        pipeline.put(KEY, b"{")
        return run(pipeline)

    assert _overtaken(pipeline, use, bad)[1] == "MalformedJsonError"
    assert held(pipeline) == dict.fromkeys("abcdefgh", "2")


@pytest.mark.parametrize("life", [3, 5])
def test_a_superseded_write_is_finished_however_short_the_time(
    pipeline: Pipeline, use: Callable[[Any], None], life: int
) -> None:
    done = {"n": 0}

    def third() -> str:
        pipeline.put(KEY, records("abcdefghijklmnopqrstuvwxyz", v=3))
        use(Client(pipeline.dynamodb, lambda _: done.update(n=done["n"] + 1)))
        return _run_in_short_lives(pipeline, done, life)

    assert _overtaken(pipeline, use, third)[1] == "KeyOwnershipError"
    assert held(pipeline) == dict.fromkeys("abcdefgh", "2")


def _run_in_short_lives(pipeline: Pipeline, done: dict[str, int], life: int) -> str:
    """As `run`, by functions that have the time for so many transactions."""
    execution = pipeline.execution(KEY)

    class Time:
        def get_remaining_time_in_millis(self) -> float:
            return 1e6 if done["n"] < life else 0.0

    pipeline.seconds_left = lambda: Time().get_remaining_time_in_millis() / 1000
    fetched, settles = pipeline.fetch(KEY), False
    for _ in range(200):
        done["n"] = 0
        try:
            if settles:
                payload = {"found": fetched["found"], "execution": execution}
                settle_claim.handler(payload, Time())
                fetched, settles = pipeline.fetch(KEY), False
            else:
                return str(pipeline.commit(fetched, execution)["outcome"])
        except StaleRevisionError:
            fetched, settles = pipeline.fetch(KEY), False
        except UnfinishedWriteError:
            continue
        except InvalidFileError as error:
            if record_refusal(fetched, execution, error):
                return type(error).__name__
            settles = fetched["found"]["claim"] in ("ADDING", "REPLACING")
            fetched = fetched if settles else pipeline.fetch(KEY)
    return "never"


def test_what_was_staged_for_the_write_below_may_have_expired(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Then, and only then, a mix is left: it is shown as INCOMPLETE."""

    def third() -> str:
        listed = pipeline.s3.list_objects_v2(Bucket="staging", Prefix="items/")
        for each in listed["Contents"]:
            pipeline.s3.delete_object(Bucket="staging", Key=each["Key"])
        pipeline.put(KEY, records("abcdefghz", v=3))
        return run(pipeline)

    assert _overtaken(pipeline, use, third)[1] == "KeyOwnershipError"
    assert "incomplete_since" in pipeline.row(KEY)
    pipeline.put(KEY, records("abcdefgh", v=4))
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abcdefgh", "4")
    assert "incomplete_since" not in pipeline.row(KEY)


# ---- key lists that are gone ----


@pytest.mark.parametrize("then", ["changed", "small", "gone"])
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("", id="all"),
        pytest.param("/0.gz", id="keys"),
        pytest.param("/manifest.json", id="manifest"),
        pytest.param("/digests", id="digests"),
        pytest.param("/digests/0.gz", id="part of the digests"),
    ],
)
def test_a_lost_key_list_is_made_again_from_the_table(
    pipeline: Pipeline, then: str, lost: str
) -> None:
    """All of it, or a part; the digests count as unknown."""
    pipeline.put("notes/b.json", records("z", v=9))
    pipeline.sync("notes/b.json")
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    prefix = pipeline.row(KEY)["keys_at"]["S"] + lost
    for key in copied_objects("staging", pipeline.row(KEY)["keys_at"]["S"]):
        if key.startswith(prefix):
            pipeline.s3.delete_object(Bucket="staging", Key=key)
    if then == "gone":
        pipeline.s3.delete_object(Bucket="source", Key=KEY)
        assert run(pipeline) == "DELETED"
        assert held(pipeline) == {}
    else:
        pipeline.put(KEY, records("abx" if then == "changed" else "a", v=2))
        assert run(pipeline) == "SYNCED"
        assert held(pipeline) == dict.fromkeys("abx" if then == "changed" else "a", "2")
    assert held(pipeline, "notes/b.json") == {"z": "9"}


def test_a_claim_with_a_damaged_key_list_comes_to_an_end(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Its items are found by their lineage."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    calls: list[int] = []

    def cut_off(_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:  # the claim, and two items that are new
            raise client_error("AccessDenied")

    pipeline.put(KEY, records("abcdefgh", v=2))
    use(Client(pipeline.dynamodb, cut_off))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    (pending,) = pipeline.row(KEY)["claim"]["M"]["pending"]["L"]
    pipeline.s3.delete_object(Bucket="staging", Key=f"{pending['S']}/0.gz")
    added = held(pipeline).keys() - set("abcd")
    assert added
    pipeline.put(KEY, records("ab", v=3))
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("ab", "3")


def test_a_write_whose_row_lost_its_keys_begins_again(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """The keys that it added are of the row now, so the transactions that it counted are others."""
    _cut_off_adding(pipeline, use)
    delete_copy("staging", pipeline.row(KEY)["keys_at"]["S"])
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("cdefghijklmn", "2")


@pytest.mark.parametrize(
    ("lost", "version"),
    [
        pytest.param("row", dict.fromkeys("cdefghijklmn", "2"), id="of the row"),
        pytest.param("/0.gz", dict.fromkeys("abcdef", "1"), id="a part of the claim's"),
        pytest.param("", dict.fromkeys("abcdef", "1"), id="of the claim"),
    ],
)
def test_a_bad_file_has_one_of_its_versions_whichever_list_was_lost(
    pipeline: Pipeline, use: Callable[[Any], None], lost: str, version: dict[str, str]
) -> None:
    """Without the row's list, the earlier version cannot be told from what was added: the write is
    finished.
    """
    _cut_off_adding(pipeline, use)
    row = pipeline.row(KEY)
    (own,) = row["claim"]["M"]["pending"]["L"]
    if lost == "row":
        delete_copy("staging", row["keys_at"]["S"])
    else:
        _lose(pipeline, own["S"] + lost)
    pipeline.put(KEY, b"{")
    assert run(pipeline) == "MalformedJsonError"
    assert held(pipeline) == version
    assert not {"claim", "incomplete_since"} & pipeline.row(KEY).keys()


@pytest.mark.parametrize("first", [True, False])
def test_the_lists_of_all_claims_may_be_lost(
    pipeline: Pipeline, use: Callable[[Any], None], first: bool
) -> None:
    """Two writes, the second of which took the claim over, have added items."""
    if not first:
        pipeline.put(KEY, records("abcdef", v=1))
        pipeline.sync(KEY)
    for names in ("cdefghijklmn", "ghuvwxyz"):
        pipeline.put(KEY, records(names, v=2))
        use(Client(pipeline.dynamodb, _refused_from(4)))
        with pytest.raises(ClientError):
            run(pipeline)
        use(pipeline.dynamodb)
    lists = pipeline.row(KEY)["claim"]["M"]["pending"]["L"]
    assert len(lists) == 2
    for each in lists:
        _lose(pipeline, each["S"])
    pipeline.put(KEY, records("ab", v=3))
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("ab", "3")


def test_a_list_may_be_lost_while_its_claim_is_taken_over(
    pipeline: Pipeline, use: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was looked at, before the claim of the one who looked."""
    _cut_off_adding(pipeline, use)
    (own,) = pipeline.row(KEY)["claim"]["M"]["pending"]["L"]
    take = claiming.ClaimAttempt.take

    def late(attempt: claiming.ClaimAttempt, wanted: Claim) -> Claim:
        _lose(pipeline, own["S"])
        return take(attempt, wanted)

    monkeypatch.setattr(claiming.ClaimAttempt, "take", late)
    pipeline.put(KEY, records("ab", v=3))
    with pytest.raises(StagedSetMissingError):
        run(pipeline)
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("ab", "3")


def test_a_claim_that_lost_its_list_may_write_until_it_is_taken_over(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """Its first items come after the look at what it has written, before the claim of the one who
    looked.
    """
    pipeline.put(KEY, records("abcdef", v=1))
    writes: list[Any] = []

    def cut_off(arguments: Any) -> None:
        if "Put" in arguments["TransactItems"][-1]:
            writes.append(arguments)
            raise client_error("AccessDenied")

    use(Client(pipeline.dynamodb, cut_off))
    with pytest.raises(ClientError):
        run(pipeline)
    (own,) = pipeline.row(KEY)["claim"]["M"]["pending"]["L"]
    _lose(pipeline, own["S"])

    def write_late(_: Any) -> None:
        if writes:
            pipeline.dynamodb.transact_write_items(**writes.pop())

    use(Client(pipeline.dynamodb, write_late))
    pipeline.put(KEY, records("xyz", v=2))
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("xyz", "2")


def test_a_claim_that_wrote_nothing_needs_no_list(
    pipeline: Pipeline, use: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died before it had one: no look at the table's items."""
    pipeline.put(KEY, records("abcdef", v=1))
    use(Client(pipeline.dynamodb, _refused_from(2)))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    (own,) = pipeline.row(KEY)["claim"]["M"]["pending"]["L"]
    _lose(pipeline, own["S"])
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.dynamodb, "scan", None)
        for names in ("ab", "abc"):
            pipeline.put(KEY, records(names, v=2))
            assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abc", "2")


def _lose(pipeline: Pipeline, prefix: str) -> None:
    for key in copied_objects("staging", prefix.partition("/0")[0]):
        if key.startswith(prefix):
            pipeline.s3.delete_object(Bucket="staging", Key=key)


def test_a_removal_that_lost_its_keys_before_it_began_is_undone(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """It has added nothing: what is in the table is the earlier version."""
    pipeline.put(KEY, records("abcdef", v=1))
    pipeline.sync(KEY)
    pipeline.s3.delete_object(Bucket="source", Key=KEY)
    use(Client(pipeline.dynamodb, _refused_from(2)))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    delete_copy("staging", pipeline.row(KEY)["keys_at"]["S"])
    pipeline.put(KEY, b"{")
    assert run(pipeline) == "MalformedJsonError"
    assert held(pipeline) == dict.fromkeys("abcdef", "1")
    assert not {"claim", "incomplete_since"} & pipeline.row(KEY).keys()


def test_an_undo_whose_row_lost_its_keys_leaves_the_file_incomplete(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """What is left of the added items is shown, and goes with the next version, also with the one
    before.
    """
    _cut_off_adding(pipeline, use)
    before = pipeline.s3.get_object("source", KEY, VersionId="v1")["Body"].read()
    pipeline.put(KEY, b"{")
    use(Client(pipeline.dynamodb, _refused_from(3)))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    delete_copy("staging", pipeline.row(KEY)["keys_at"]["S"])
    assert run(pipeline) == "MalformedJsonError"
    assert held(pipeline).keys() > set("abcdef")
    assert "incomplete_since" in pipeline.row(KEY)
    pipeline.put(KEY, before)
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("abcdef", "1")
    assert "incomplete_since" not in pipeline.row(KEY)


def _cut_off_adding(pipeline: Pipeline, use: Callable[[Any], None]) -> None:
    """A write that has added two items, and replaced none."""
    pipeline.put(KEY, records("abcdef", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("cdefghijklmn", v=2))
    use(Client(pipeline.dynamodb, _refused_from(4)))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    assert held(pipeline).keys() > set("abcdef")


def _refused_from(call: int) -> Callable[[Any], None]:
    """DynamoDB refuses this transaction and those behind it."""
    calls: list[int] = []

    def refused(_: Any) -> None:
        calls.append(1)
        if len(calls) >= call:
            raise client_error("AccessDenied")

    return refused


def test_a_scan_for_lost_keys_goes_on_where_the_time_was_up(pipeline: Pipeline) -> None:
    """A page of the table an attempt: a table of any size is read to its end."""
    pipeline.put(KEY, records("abcdefgh", v=1))
    pipeline.sync(KEY)
    lost = pipeline.row(KEY)["keys_at"]["S"]
    delete_copy("staging", lost)
    pipeline.put(KEY, records("ab", v=2))
    dynamodb: Any = pipeline.dynamodb
    dynamodb.page, scan, scanned = 3, dynamodb.scan, list[Any]()

    def counted(**query: Any) -> Any:
        if query["Segment"] == 0:
            scanned.append(query.get("ExclusiveStartKey"))
        return scan(**query)

    dynamodb.scan = counted
    execution, times = pipeline.execution(KEY), 0
    while True:
        times, before = times + 1, len(scanned)
        pipeline.seconds_left = lambda before=before: 1000.0 if len(scanned) == before else 0.0
        try:
            pipeline.commit(pipeline.fetch(KEY), execution)
        except UnfinishedWriteError:
            continue
        except StaleRevisionError:
            break
    pipeline.seconds_left = None
    assert times == 4, "three pages, and an attempt that finds all of them read"
    assert [each and each["pk"]["S"] for each in scanned] == [None, "c", "f"]
    dynamodb.page, dynamodb.scan = None, scan
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == dict.fromkeys("ab", "2")
    there = pipeline.s3.list_objects_v2(Bucket="staging", Prefix=lost)
    assert there["KeyCount"] == 0, "how far it was read is of no use any more"


def test_a_list_that_another_commit_deletes_is_not_lost(pipeline: Pipeline) -> None:
    """The row has moved: no look at the table's items."""
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    pipeline.put(KEY, records("ab", v=2))
    stock, dynamodb = copied_objects, pipeline.dynamodb
    execution, fetched = pipeline.execution(KEY), pipeline.fetch(KEY)

    def other_first(*asked: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(key_lists, "copied_objects", stock)
            assert run(pipeline) == "SYNCED"
        return stock(*asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_lists, "copied_objects", other_first)
        patch.setattr(dynamodb, "scan", None)
        with pytest.raises(StaleRevisionError):
            pipeline.commit(fetched, execution)
    assert held(pipeline) == dict.fromkeys("ab", "2")


# ---- who took a claim last ----


def test_a_commit_forgets_who_took_the_claim(pipeline: Pipeline) -> None:
    pipeline.put(KEY, records("abcd", v=1))
    pipeline.sync(KEY)
    assert "claimed_by" not in pipeline.row(KEY)


def test_the_end_of_a_claim_by_another_execution_does_not(
    pipeline: Pipeline, use: Callable[[Any], None]
) -> None:
    """It answers no event: whoever had the claim still fails for the file."""

    def bad() -> str:
        pipeline.put(KEY, b"{")
        fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
        _settle(fetched, execution)
        return str(pipeline.row(KEY)["claimed_by"]["S"])

    assert _overtaken(pipeline, use, bad)[1].startswith("EVENT#")
