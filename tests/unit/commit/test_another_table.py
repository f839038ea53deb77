"""The items table is replaced by one of another name or with another key, wherever a large write of
the file before it was cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from handlers import transform_records, write_items
from tablekeeper.errors import ConfigurationError, StaleRevisionError
from tablekeeper.model.keys import TableKey

from tests.support.fakes import client_error
from tests.support.quick import quick_pipeline
from tests.unit.commit.conftest import Client
from tests.unit.commit.test_whole import run
from tests.unit.conftest import Pipeline

KEY = "notes/a.json"
OTHER = TableKey.parse("pk:N,sk:S")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """In memory: these writes take many transactions."""
    return quick_pipeline(monkeypatch)


@pytest.fixture
def replace(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, use: Callable[[Any], None]
) -> Callable[[TableKey | None], None]:
    """A deployment has another table, perhaps with another key. As DynamoDB, it refuses whatever
    has no such key.
    """

    def refuse(arguments: Any) -> None:
        for each in arguments["TransactItems"]:
            ((kind, action),) = each.items()
            key = action["Item"] if kind == "Put" else action["Key"]
            if action["TableName"] == "items2" and "N" not in key["pk"]:
                raise client_error("ValidationException", "does not match the schema")

    def other(key: TableKey | None) -> None:
        monkeypatch.setenv("ITEMS_TABLE", "items2")
        use(pipeline.dynamodb)
        if key:
            monkeypatch.setenv("ITEM_KEYS", str(key))
            pipeline.dynamodb.table_keys["items2"] = str(key)
            use(Client(pipeline.dynamodb, refuse))

    return other


def records(names: str, value: int, *, numbers: bool = False) -> list[dict[str, Any]]:
    return [{"pk": ord(each) if numbers else each, "sk": "1", "v": value} for each in names]


def held(pipeline: Pipeline) -> dict[str, str]:
    items = pipeline.dynamodb.scan("items2")["Items"]
    return {next(iter(item["pk"].values())): item["v"]["N"] for item in items}


@pytest.mark.usefixtures("either")
def test_keys_of_another_type_are_left_alone(
    pipeline: Pipeline, replace: Callable[[TableKey | None], None]
) -> None:
    pipeline.put(KEY, records("abc", 1))
    assert run(pipeline) == "SYNCED"
    replace(OTHER)
    pipeline.put(KEY, records("ab", 1, numbers=True))
    assert run(pipeline) == "SYNCED"
    assert held(pipeline) == {"97": "1", "98": "1"}


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("wrong", ["pk:S,sk:N", "pk:S", "id:S"])
@pytest.mark.parametrize("then", ["emptied", "gone"])
def test_a_wrong_key_in_the_settings_makes_no_row_forget_its_items(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, wrong: str, then: str
) -> None:
    """The items would stay in the table for good, and keep other files out."""
    pipeline.put(KEY, records("abc", 1))
    assert run(pipeline) == "SYNCED"
    if then == "gone":
        pipeline.s3.delete_object(Bucket="source", Key=KEY)
    else:
        pipeline.put(KEY, [])
    monkeypatch.setenv("ITEM_KEYS", wrong)
    with pytest.raises(ConfigurationError, match=f"has the key pk:S,sk:S, .* says {wrong}"):
        run(pipeline)
    assert len(pipeline.items()) == 3
    monkeypatch.setenv("ITEM_KEYS", "pk:S,sk:S")
    assert run(pipeline) == ("DELETED" if then == "gone" else "SYNCED")
    assert pipeline.items() == []


def _cut_off(pipeline: Pipeline, use: Callable[[Any], None], call: int) -> bytes:
    """A large write, and the content that it was to write."""
    pipeline.put(KEY, records("abcd", 1))
    run(pipeline)
    pipeline.put(KEY, records("cdefghij", 2))
    calls: list[int] = []

    def refused(_: Any) -> None:
        calls.append(1)
        if len(calls) >= call:
            raise client_error("AccessDenied")

    use(Client(pipeline.dynamodb, refused))
    with pytest.raises(ClientError):
        run(pipeline)
    use(pipeline.dynamodb)
    assert pipeline.row(KEY)["claim_state"]["S"] == ("ADDING" if call < 7 else "REPLACING")
    content: bytes = pipeline.s3.get_object("source", KEY)["Body"].read()
    return content


AT = pytest.mark.parametrize(
    "call", [pytest.param(4, id="it was adding"), pytest.param(8, id="it was replacing")]
)


@AT
@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("then", ["good", "bad", "gone"])
def test_a_claim_of_before_the_table_had_another_key_comes_to_an_end(
    pipeline: Pipeline,
    use: Callable[[Any], None],
    replace: Callable[[TableKey | None], None],
    call: int,
    then: str,
) -> None:
    _cut_off(pipeline, use, call)
    replace(OTHER)
    if then == "bad":
        pipeline.put(KEY, b"{")
        assert run(pipeline) == "MalformedJsonError"
        assert held(pipeline) == {}
        assert ("incomplete_since" in pipeline.row(KEY)) == (call == 8)
    if then == "gone":
        pipeline.s3.delete_object(Bucket="source", Key=KEY)
        assert run(pipeline) == "DELETED"
    else:
        pipeline.put(KEY, records("abc", 3, numbers=True))
        assert run(pipeline) == "SYNCED"
        assert held(pipeline) == {"97": "3", "98": "3", "99": "3"}
    assert not {"claim", "incomplete_since"} & pipeline.row(KEY).keys()


@AT
@pytest.mark.usefixtures("large")
def test_progress_in_another_table_does_not_count_for_a_file_that_turned_bad(
    pipeline: Pipeline,
    use: Callable[[Any], None],
    replace: Callable[[TableKey | None], None],
    call: int,
) -> None:
    content = _cut_off(pipeline, use, call)
    replace(None)
    pipeline.put(KEY, b"{")
    assert run(pipeline) == "MalformedJsonError"
    assert len(held(pipeline)) == (0 if call == 4 else 8), "one version, or nothing"
    pipeline.put(KEY, content)
    run(pipeline)
    assert held(pipeline) == dict.fromkeys("cdefghij", "2")


@pytest.mark.usefixtures("either")
def test_items_that_were_made_for_another_key_are_read_again(
    pipeline: Pipeline, replace: Callable[[TableKey | None], None]
) -> None:
    """A deployment that is through between Transform Records and Write Items."""
    pipeline.put(KEY, records("abc", 1))
    fetched, execution = pipeline.fetch(KEY), pipeline.execution(KEY)
    made = transform_records.handler(fetched, None)
    replace(OTHER)
    with pytest.raises(StaleRevisionError, match="other keys"):
        write_items.handler(
            {"found": fetched["found"], "execution": execution, "items": made}, None
        )
    assert held(pipeline) == {}
