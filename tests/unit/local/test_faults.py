"""The file in which tests ask for faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.faults import Faults


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """No faults yet."""
    return Faults(tmp_path / "faults.json")


def test_without_a_file_there_are_no_faults(faults: Faults) -> None:
    assert faults.take("FetchObjectFunction", "{}") is None
    assert not faults.path.exists()


def test_a_function_is_found_by_its_logical_id(faults: Faults) -> None:
    faults.inject("FetchObjectFunction", "crash")
    assert faults.take("tablekeeper-WriteItemsFunction-1A", "{}") is None
    fault = faults.take("tablekeeper-FetchObjectFunction-1A", "{}")
    assert fault is not None
    assert fault.mode == "crash"


def test_a_fault_strikes_as_often_as_it_was_told(faults: Faults) -> None:
    faults.inject("F", times=2)
    assert [faults.take("F", "") is not None for _ in range(3)] == [True, True, False]


def test_a_fault_strikes_only_what_it_matches(faults: Faults) -> None:
    faults.inject("F", match="a.json")
    assert faults.take("F", '{"key": "b.json"}') is None
    assert faults.take("F", '{"key": "a.json"}') is not None


def test_a_delay_ends_once_its_file_is_there(faults: Faults, tmp_path: Path) -> None:
    faults.inject("F", "delay", seconds=600, until=str(tmp_path))
    fault = faults.take("F", "")
    assert fault is not None
    fault.wait()


def test_faults_of_one_target_strike_in_order(faults: Faults) -> None:
    faults.inject("F", error="FirstError")
    faults.inject("F", error="SecondError")
    taken = [faults.take("F", ""), faults.take("F", "")]
    assert [fault.error for fault in taken if fault] == ["FirstError", "SecondError"]


def test_clear_removes_every_fault(faults: Faults) -> None:
    faults.inject("F", times=5)
    faults.clear()
    assert faults.waiting() == []
    assert faults.take("F", "") is None


def test_an_unknown_mode_is_refused(faults: Faults) -> None:
    with pytest.raises(ValueError, match="explode is none of error, crash"):
        faults.inject("F", "explode")
