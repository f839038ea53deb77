"""The Step Functions API as the safety net and the sweep use it, in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.support.fakes import client_error

EVENT = {"detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}}


class FakeStepFunctions:
    """Executions that have ended, and a list of those that were started."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.entered: dict[str, list[str]] = {}
        self.started: dict[str, str] = {}
        self.described: list[str] = []
        self.page, self.tries = 1000, 0

    def end(self, name: str, status: str, *, stopped: datetime | None = None, **more: Any) -> str:
        """Adds an execution that ended."""
        arn = f"arn:aws:states:us-east-1:123456789012:execution:m:{name}"
        self.executions[arn] = {
            "executionArn": arn,
            "name": name,
            "status": status,
            "startDate": datetime(2026, 1, 1, tzinfo=UTC),
            "stopDate": stopped or datetime.now(UTC),
            "input": json.dumps(EVENT),
            **more,
        }
        return arn

    def describe_execution(self, executionArn: str) -> Any:  # noqa: N803
        self.described.append(executionArn)
        if executionArn not in self.executions:
            raise client_error("ExecutionDoesNotExist")
        return self.executions[executionArn]

    def get_execution_history(self, executionArn: str, maxResults: int, **_: Any) -> Any:  # noqa: N803
        states = self.entered.get(executionArn, [])
        exits = [{"stateExitedEventDetails": {"name": name}} for name in states]
        tries = [{"type": f"Task{what}"} for what in ("Failed", "Started", "Scheduled")]
        entries = [{"stateEnteredEventDetails": {"name": name}} for name in reversed(states)]
        return {"events": [*exits[:1], *tries * self.tries, *entries][:maxResults]}

    def list_executions(
        self,
        statusFilter: str,  # noqa: N803
        maxResults: int,  # noqa: N803
        nextToken: str = "0",  # noqa: N803 - a place
        **_: Any,
    ) -> Any:
        found = sorted(
            (each for each in self.executions.values() if each["status"] == statusFilter),
            key=lambda each: each["stopDate"],
            reverse=True,
        )
        first, last = int(nextToken), int(nextToken) + min(maxResults, self.page)
        more = {"nextToken": str(last)} if last < len(found) else {}
        return {"executions": found[first:last], **more}

    def start_execution(self, name: str, input: str, **_: Any) -> None:  # noqa: A002
        if name in self.started:
            raise client_error("ExecutionAlreadyExists")
        self.started[name] = input
