"""Validate Records: parses exactly and reports every violation."""

from typing import Any

from tablekeeper.model.execution import execution_of
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.runtime.deployed_datasets import catalogue
from tablekeeper.settings import ValidateSettings
from tablekeeper.steps.validate import validate


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Takes `{found, document, execution}`, returns `{records}`, which is their number, and in a
    file whose bad records are set aside `set_aside`.
    """
    snapshot = Snapshot.read(event["found"])
    settings = ValidateSettings.from_environment()
    verdict = validate(snapshot, event["document"], execution_of(event), settings, catalogue())
    return verdict.payload()
