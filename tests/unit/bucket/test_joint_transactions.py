"""Transactions of several files in one call: none is lost, and none fails for another's reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from tablekeeper.bucket import joint_transactions, run
from tablekeeper.bucket.joint_transactions import JointTransactions

from tests.support.fakes import client_error, map_item
from tests.support.quick import quick_pipeline
from tests.unit.conftest import Pipeline

FILES = 6


class Held:
    """Transactions of a client whose first call does not return until as many others wait."""

    def __init__(self, others: int, call: Callable[[list[Any]], None]) -> None:
        self.others, self.call = others, call
        self.calls: list[list[Any]] = []
        self.joint = JointTransactions(self)  # type: ignore[arg-type]

    def transact_write_items(self, TransactItems: list[Any]) -> None:  # noqa: N803
        self.calls.append(TransactItems)
        if len(self.calls) == 1:
            waited = threading.Event()
            while len(self.joint._waiting) < self.others:
                assert not waited.wait(0.001)
        self.call(TransactItems)

    def transact(self, transactions: list[list[Any]]) -> list[str]:
        """Makes each in a thread of its own; what each raised, or ""."""

        def one(actions: list[Any]) -> str:
            try:
                self.joint.transact(actions)
            except ValueError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(len(transactions)) as pool:
            return list(pool.map(one, transactions))


def test_what_waits_for_a_call_is_made_in_the_next_one() -> None:
    client = Held(4, lambda _: None)
    assert client.transact([[name] for name in "abcde"]) == [""] * 5
    assert [len(call) for call in client.calls] == [1, 4]
    assert sorted(chain(*client.calls)) == list("abcde")


def test_a_call_has_no_more_actions_than_dynamodb_takes() -> None:
    client = Held(19, lambda _: None)
    transactions = [[f"{number}-{place}" for place in range(12)] for number in range(20)]
    assert client.transact(transactions) == [""] * 20
    assert [len(call) for call in client.calls] == [12, 96, 96, 36]
    assert sorted(chain(*client.calls)) == sorted(chain(*transactions))


def test_a_transaction_of_many_actions_is_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_transactions, "ACTIONS_OF_FILE", 1)
    client = Held(0, lambda _: None)
    assert client.transact([["a", "b"]]) == [""]
    assert client.calls == [["a", "b"]]


def test_the_others_of_a_refused_call_are_made_and_one_learns_why_it_was_not() -> None:
    def call(actions: list[Any]) -> None:
        if "bad" in actions:
            raise ValueError(f"{len(actions)} actions")

    client = Held(3, call)
    assert client.transact([["a"], ["b"], ["bad"], ["c"]]) == ["", "", "1 actions", ""]
    made = [call for call in client.calls if "bad" not in call]
    assert sorted(chain(*made)) == ["a", "b", "c"]


def test_files_of_a_call_whose_answer_is_lost_keep_their_outcomes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = quick_pipeline(monkeypatch)
    _put_files(pipeline)
    transact = pipeline.dynamodb.transact_write_items

    def call(actions: list[Any]) -> None:
        transact(TransactItems=actions)
        if len(actions) > 3:
            raise client_error("InternalServerError")

    client = Held(FILES - 1, call)
    monkeypatch.setattr(run, "JointTransactions", lambda _: client.joint)
    _check(pipeline, _sync(pipeline))
    assert len(client.calls) == 2 + FILES - 1


def test_a_live_change_cancels_the_commit_of_its_file_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = quick_pipeline(monkeypatch)
    _put_files(pipeline)

    def call(actions: list[Any]) -> None:
        if len(client.calls) == 1:
            for key in ("notes/1.json", "notes/2.json"):
                pipeline.sync(key)
        pipeline.dynamodb.transact_write_items(TransactItems=actions)

    client = Held(FILES - 1, call)
    monkeypatch.setattr(run, "JointTransactions", lambda _: client.joint)
    ended = _sync(pipeline)
    assert {ended.pop(f"notes/{number}.json")[1] for number in (1, 2)} == {"TRACED"}
    assert {outcome for _, outcome in ended.values()} == {"SYNCED"}
    assert len(ended) == FILES - 2
    assert len(pipeline.items()) == FILES


def _put_files(pipeline: Pipeline) -> None:
    for number in range(FILES):
        pipeline.put(f"notes/{number}.json", [{"pk": "a", "sk": str(number)}])


def _sync(pipeline: Pipeline) -> Any:
    keys = [f"notes/{number}.json" for number in range(FILES)]
    heads = {key: pipeline.s3.head_object(Bucket="source", Key=key) for key in keys}
    listed = [{"Key": key, "Size": each["ContentLength"], **each} for key, each in heads.items()]
    return pipeline.sync_batch(objects=[map_item(each) for each in listed])


def _check(pipeline: Pipeline, ended: Any) -> None:
    keys = [f"notes/{number}.json" for number in range(FILES)]
    assert ended == dict.fromkeys(keys, ("UNKNOWN", "SYNCED"))
    assert [pipeline.outcomes(key) for key in keys] == [["SYNCED"]] * FILES
    assert len(pipeline.items()) == FILES
