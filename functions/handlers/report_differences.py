"""Report Differences: what a run over the whole bucket found and did."""

from typing import Any

from tablekeeper.bucket.run_report import report_differences
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
    metrics.gauge_differences(summary["findings"])
    return summary
