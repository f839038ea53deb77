"""What the command says to do about an error: tests/statemachine/test_alarms.py has the others."""

import pytest

from tablekeeper_cli.ledger.advice import advice


@pytest.mark.parametrize(
    "error",
    [
        *("ValueError", "KeyError", "JSONDecodeError", "ParamValidationError", "Overflow"),
        *("ReadTimeoutError", "error", "TablekeeperError"),
    ],
)
def test_any_exception_of_python_is_a_bug(error: str) -> None:
    assert advice(error).startswith("Report it, with the cause")


@pytest.mark.parametrize(
    "error", ["States.Permissions", "Lambda.KMSDisabledException", "FAILED", ""]
)
def test_of_another_error_the_cause_says_what_to_do(error: str) -> None:
    assert advice(error).startswith("Look at the cause and the trace")
