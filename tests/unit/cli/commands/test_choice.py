"""What is wrong with a choice of problems, found out without reading a large ledger."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tablekeeper.model.outcome import NO_DATASET

from tablekeeper_cli.commands import choice
from tablekeeper_cli.commands.choice import Choice
from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.ledger import files, problems
from tablekeeper_cli.ledger.files import ListedFile
from tablekeeper_cli.stack import Stack

STACK = Stack("s", "r", {"SourceBucketName": "b"})


@pytest.fixture(autouse=True)
def nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "failures", lambda *_: iter(()))


def ledger(monkeypatch: pytest.MonkeyPatch, *datasets: str, more: bool = False) -> Iterator[int]:
    """A ledger with a file of each dataset, without an end if there are `more`; counts reads."""
    reads = count()

    def listed(_: Stack) -> Iterator[ListedFile]:
        number = 0
        while more or number < len(datasets):
            next(reads)
            dataset = datasets[number % len(datasets)]
            yield ListedFile(f"{number}.json", "SYNCED", dataset, "SYNCED", None, None)
            number += 1

    monkeypatch.setattr(files, "list_files", listed)
    return reads


@pytest.mark.parametrize(
    "text",
    [
        *("5000000d", "99999999999999w", f"{'9' * 5000}m", "soon"),
        *("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"),
    ],
)
def test_a_time_that_is_none_is_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        choice.moment(text)


def test_a_time_is_one_of_utc() -> None:
    assert str(choice.moment("2026-01-31T12:00:00+02:00")) == "2026-01-31 10:00:00+00:00"
    assert str(choice.moment("2026-01-31")) == "2026-01-31 00:00:00+00:00"


def test_a_dataset_that_a_file_has_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = ledger(monkeypatch, "a", "b", more=True)
    assert list(Choice(dataset="b").failures(STACK)) == []
    assert next(reads) == 2


def test_a_dataset_that_no_file_has_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = ledger(monkeypatch, "b", "a", NO_DATASET)
    with pytest.raises(UsageError, match=r"dataset 'typo'; the ledger has a, b$"):
        list(Choice(dataset="typo").failures(STACK))
    assert next(reads) == 3


def test_files_whose_dataset_is_not_known_may_be_all_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    early = problems.Failure("a.json", "FAILED", "ClientError", NO_DATASET, "", "", None, None)
    monkeypatch.setattr(problems, "failures", lambda *_: iter([early]))
    ledger(monkeypatch, "a", NO_DATASET)
    assert list(Choice(dataset="new").failures(STACK)) == [early]
    assert capsys.readouterr().err == (
        "tablekeeper: no file is known to belong to a dataset 'new', and 1 failed before theirs "
        "was known; the ledger has a\n"
    )


def test_a_large_ledger_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads = ledger(monkeypatch, "a", "b", more=True)
    assert list(Choice(dataset="typo").failures(STACK)) == []
    assert next(reads) == choice.LOOKED_AT
    told = capsys.readouterr().err
    assert "none of the first 10,000 files belongs to a dataset 'typo'" in told
    assert told.endswith("the ledger has a, b\n")
