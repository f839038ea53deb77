"""Report Differences: what a run over the whole bucket found and did."""

from typing import Any

from tablekeeper.bucket.run_report import added_up, empty_listing, keep
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger
from tablekeeper.settings import ReportDifferencesSettings


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{run, shards}`, returns the summary."""
    settings = ReportDifferencesSettings.from_environment()
    run, error = event["run"], None
    summary = added_up(run, event["shards"], settings.staging_bucket)
    if not summary["files"] and not summary["error"]:
        error = empty_listing(settings.source_bucket, run)
        summary["error"] = type(error).__name__ if error else ""
    keep(settings.ledger_table, summary)
    logger().info("reported", extra=summary)
    if error:
        raise error
    metrics.gauge_differences(summary["findings"])
    return summary
