"""What each handler loads before its first event: a cold start pays for every module."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.project import ROOT

COMMIT = {"aws", "commit", "errors", "ledger", "model", "runtime", "settings", "staging", "tables"}
READ = {"aws", "datasets", "documents", "errors", "model", "runtime", "settings", "steps"}
RECOVERY = {"aws", "datasets", "documents", "errors", "ledger", "model", "recovery", "runtime"}
BUCKET = READ | {"bucket", "ledger", "tables"}
PACKAGES = {
    "delete_items": COMMIT,
    "fetch_object": READ | {"ledger"},
    "report_differences": {
        "aws",
        "bucket",
        "causes",
        "errors",
        "ledger",
        "model",
        "runtime",
        "settings",
    },
    "safety_net": RECOVERY | {"settings"},
    "settle_claim": COMMIT,
    "sweep": RECOVERY | {"causes", "settings", "tables"},
    "sync_objects": BUCKET,
    "sync_orphans": BUCKET,
    "transform_records": READ | {"staging"},
    "validate_records": READ | {"staging", "validation"},
    "write_items": COMMIT,
}
"""By handler, the packages of `tablekeeper` of which it may load modules."""
LATER = {"aws_lambda_powertools", "jsonschema", "jsonschema_rs"}
"""Loaded with the first line of the log, or the first schema."""


def test_every_handler_is_listed() -> None:
    handlers = (ROOT / "functions/handlers").glob("[a-z]*.py")
    assert {each.stem for each in handlers} == set(PACKAGES)


@pytest.mark.parametrize("handler", PACKAGES)
def test_a_handler_loads_no_other_packages(handler: str) -> None:
    code = f"import json, sys, handlers.{handler}; print(json.dumps(sorted(sys.modules)))"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "functions"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    loaded = json.loads(run.stdout)
    packages = {each.split(".")[1] for each in loaded if each.startswith("tablekeeper.")}
    assert packages == PACKAGES[handler]
    assert LATER.isdisjoint(loaded)
