"""Report Differences: what a run over the whole bucket found and did."""

from typing import Any

from tablekeeper.bucket.run_report import refuse_empty_listing, report_differences
from tablekeeper.runtime import metrics
from tablekeeper.runtime.context import logger
from tablekeeper.settings import ReportDifferencesSettings


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{run, shards}`, returns the summary."""
    settings = ReportDifferencesSettings.from_environment()
    summary = report_differences(
        event["run"], event["shards"], settings.staging_bucket, settings.ledger_table
    )
    logger().info("reported", extra=summary)
    if not summary["files"] and not summary["error"]:
        refuse_empty_listing(settings.source_bucket, event["run"])
    metrics.gauge_differences(summary["findings"])
    return summary
