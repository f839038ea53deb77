"""What the shell offers at TAB."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal import completion

KEYS = ["a/january 2026.json", "a/it's $5 (new).json", "a/plain-1_é.json"]


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket with some keys."""
    listed = {"Contents": [{"Key": key} for key in KEYS]}
    s3 = SimpleNamespace(list_objects_v2=lambda **_: listed)
    found = SimpleNamespace(bucket="b", client=lambda _: s3)
    monkeypatch.setattr(Stack, "find", lambda *_, **__: found)


def test_statuses_come_in_the_case_that_is_typed() -> None:
    assert completion.statuses("IN") == ["INVALID", "INCOMPLETE"]
    assert completion.statuses("in") == ["invalid", "incomplete"]
    assert set(completion.statuses("")) == set(completion.STATUSES)


def test_a_key_is_one_word_in_bash_and_itself_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    context: Any = SimpleNamespace(params={})
    monkeypatch.setenv(completion.INSTRUCTION, "complete_bash")
    offered = completion.keys(context, "a/")
    assert [shlex.split(each) for each in offered] == [[key] for key in sorted(KEYS)]
    monkeypatch.setenv(completion.INSTRUCTION, "complete_zsh")
    assert completion.keys(context, "a/") == sorted(KEYS)
    assert completion.keys(context, "a/j") == KEYS[:1]


def test_nothing_is_offered_when_there_is_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "find", lambda *_, **__: 1 / 0)
    context: Any = SimpleNamespace(params={})
    assert completion.keys(context, "a/") == []
