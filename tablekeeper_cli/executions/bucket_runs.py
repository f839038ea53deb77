"""Runs over the whole bucket: executions of the state machine for it, and what came of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tablekeeper.bucket.ends import TRACED
from tablekeeper.bucket.run_report import LAST_RUN, ends, last_run_over

from tablekeeper_cli.errors import CommandError, UsageError
from tablekeeper_cli.ledger.files import check_prefix
from tablekeeper_cli.stack import Stack
from tablekeeper_cli.terminal.showing import plural, when

POLL_SECONDS, LONGEST_POLL_SECONDS = 0.3, 5.0


@dataclass(frozen=True)
class Counts:
    """How far a run is: objects listed, and those done or in batches that failed."""

    total: int
    done: int


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: the status of its execution, the error of a bad end, and the summary that
    Report Differences made, None when it could not.
    """

    execution: str
    status: str
    error: str | None
    summary: dict[str, Any] | None

    @property
    def is_different(self) -> bool:
        """Whether files still differ, or were not looked at."""
        summary = self.summary or {"differences": 1}
        return (
            self.status != "SUCCEEDED"
            or bool(summary["differences"])
            or bool(summary["failed_batches"])
        )


def start(stack: Stack, how: str, *, orphans: bool, prefix: str | None, concurrency: int) -> str:
    """Starts a run, whose ARN this is.

    Raises UsageError when the stack does not keep objects under this prefix, or knows none.
    """
    kept = stack.parameters.get("KeyPrefix", "")
    prefix = kept if prefix is None else prefix
    if not prefix.startswith(kept):
        raise UsageError(f'the stack keeps objects under "{kept}", and none under "{prefix}"')
    if prefix != kept:
        check_prefix(stack, prefix)
    given = {"how": how, "orphans": orphans, "prefix": prefix, "concurrency": concurrency}
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.bucket_machine, input=json.dumps(given)
    )
    arn: str = answer["executionArn"]
    return arn


def follow(stack: Stack, execution: str, show: Callable[[Counts], None]) -> RunEnd:
    """Waits for the end of a run, and passes on its progress."""
    states, pause = stack.client("stepfunctions"), POLL_SECONDS
    while True:
        said = states.describe_execution(executionArn=execution)
        counts = _counts(states, execution)
        if counts:
            show(counts)
        if said["status"] != "RUNNING":
            break
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
    summary = json.loads(said["output"]) if said["status"] == "SUCCEEDED" else None
    report = summary or _kept(stack, LAST_RUN)
    if not report or report["execution"] != execution:
        report = None
    return RunEnd(execution, said["status"], said.get("error"), report)


class LastRuns(NamedTuple):
    """The summaries of the last run, which may be one over a folder, and of the last one over all
    that the stack keeps.
    """

    newest: dict[str, Any] | None
    whole: dict[str, Any] | None

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Each of them once, the newest first."""
        both = (self.newest, None if self.whole == self.newest else self.whole)
        return [each for each in both if each]


def last(stack: Stack) -> LastRuns:
    """The last runs, by the ledger."""
    newest = _kept(stack, LAST_RUN)
    if not newest or not newest["prefix"]:
        return LastRuns(newest, newest)
    prefix = stack.parameters.get("KeyPrefix", "")
    is_whole = newest["prefix"] == prefix
    return LastRuns(newest, newest if is_whole else _kept(stack, last_run_over(prefix)))


def _kept(stack: Stack, key: Any) -> dict[str, Any] | None:
    row = stack.client("dynamodb").get_item(TableName=stack.ledger, Key=key, ConsistentRead=True)
    summary: dict[str, Any] | None = (
        json.loads(row["Item"]["summary"]["S"]) if "Item" in row else None
    )
    return summary


def sentence(summary: dict[str, Any]) -> str:
    what = "reconcile" if summary["orphans"] else "backfill"
    what += f" --prefix {summary['prefix']}" if summary["prefix"] else ""
    what += " --dry-run" if summary["how"] == "look" else ""
    differences = plural(sum(summary["findings"].values()), "difference")
    left = f", {summary['differences']:,} left" if summary["differences"] else ""
    traced = summary["outcomes"].get(TRACED)
    by_others = f", {traced:,} of them to executions of their own" if traced else ""
    failed = f", {batches(summary)} failed" if summary["failed_batches"] else ""
    error = f", {summary['error']}" if summary["error"] else ""
    found = f"{differences} found{left}{by_others}{failed}{error}"
    return f"{what} ended {when(summary['ended'])}: {found}"


def batches(summary: dict[str, Any]) -> str:
    """Those that failed: `1 batch`, `2 batches`."""
    failed = summary["failed_batches"]
    return "1 batch" if failed == 1 else f"{failed:,} batches"


def is_bad(summary: dict[str, Any]) -> bool:
    """Whether a run left differences, or did not look at all."""
    return bool(summary["differences"] or summary["error"] or summary["failed_batches"])


def files(stack: Stack, summary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every file that a run found different. Raises CommandError."""
    from tablekeeper.errors import TransientServiceError

    try:
        yield from ends(stack.client("s3"), stack.staging, summary["place"])
    except TransientServiceError as error:
        raise CommandError(f"{error}; try again") from None


def _counts(states: Any, execution: str) -> Counts | None:
    runs = states.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return None
    counts = states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
    failed = counts["failed"] + counts["timedOut"] + counts["aborted"]
    return Counts(counts["total"], counts["succeeded"] + failed)
