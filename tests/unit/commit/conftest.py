"""What the tests of commits share: clients whose transactions something happens before, and
refusals that are recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tablekeeper import tables
from tablekeeper.errors import StaleRevisionError
from tablekeeper.ledger.failures import Failure, record_invalid
from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.settings import WriteSettings
from tablekeeper.tables import Tables


class Client:
    """A DynamoDB client that counts its transactions; something may happen before each, which gets
    its arguments.
    """

    def __init__(self, client: Any, before: Callable[[Any], None] = lambda _: None) -> None:
        self.client, self.before, self.calls = client, before, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        self.calls += 1
        self.before(arguments)
        return self.client.transact_write_items(**arguments)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Gives the commit another client."""

    def replace(client: Any) -> None:
        monkeypatch.setattr(tables, "dynamodb", lambda: client)

    return replace


@pytest.fixture(params=["small", "large"])
def either(request: pytest.FixtureRequest) -> None:
    """Both kinds of write."""
    if request.param == "large":
        request.getfixturevalue("large")


def record_refusal(fetched: Any, execution: Any, error: Exception) -> bool:
    """Records an INVALID of Write Items, as the definition does; False where the row has moved, or
    a claim is to be settled first.
    """
    told = {"errorMessage": str(error), "errorType": type(error).__name__}
    try:
        record_invalid(
            Tables.of(WriteSettings.from_environment()),
            Snapshot.read(fetched["found"]),
            execution_of({"execution": execution}),
            Failure("Write Items", type(error).__name__, json.dumps(told)),
        )
    except StaleRevisionError:
        return False
    return True
