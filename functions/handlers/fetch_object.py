"""Fetch Object: what the ledger and the bucket hold now."""

from typing import Any

from tablekeeper import aws
from tablekeeper.runtime import metrics
from tablekeeper.runtime.deployed_datasets import catalogue
from tablekeeper.settings import FetchSettings
from tablekeeper.steps.fetch import fetch

aws.dynamodb()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{event, entered, round}`, returns `{found, document}`."""
    fetched = fetch(event, FetchSettings.from_environment(), catalogue())
    if event["round"]:
        metrics.count_read_again()
    return fetched
