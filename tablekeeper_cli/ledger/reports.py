"""Reports of violations, in the staging bucket."""

from __future__ import annotations

import json
from typing import Any

from tablekeeper_cli.errors import UnknownError
from tablekeeper_cli.ledger.problems import Problem
from tablekeeper_cli.stack import URI_SCHEME, Stack


def read(stack: Stack, problem: Problem) -> dict[str, Any]:
    """The report of a problem: what it is about, `violations`, which is their number, and `listed`,
    the first thousand; `all` is where the others are.

    Raises UnknownError: the problem has none, or it is no longer there.
    """
    if not problem.report:
        raise UnknownError(
            f"{problem.error} has no report: `tablekeeper failure {problem.key}` says all"
        )
    bucket, _, key = problem.report.removeprefix(URI_SCHEME).partition("/")
    s3 = stack.client("s3")
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        raise UnknownError(
            f"{problem.report} is no longer there: "
            f"`tablekeeper reprocess {problem.key}` writes a new one"
        ) from None
    report: dict[str, Any] = json.loads(body)
    return report
