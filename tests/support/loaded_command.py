"""What the server that forks processes of the `tablekeeper` command has loaded, since it imports
this: the command's modules, what Typer loads with the first command, and the descriptions of
services. A process spent half a second on them.
"""

from __future__ import annotations

import gc
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

import pytest
from boto3.session import Session
from botocore import session
from typer.testing import CliRunner

import tablekeeper_cli
from tablekeeper_cli.app import app
from tests.support.patience import have_patience
from tests.support.project import ROOT

SERVICES = ("dynamodb", "s3", "sqs", "stepfunctions")

for each in walk_packages(tablekeeper_cli.__path__, f"{tablekeeper_cli.__name__}."):
    if not each.name.endswith("__main__"):
        import_module(each.name)
assert CliRunner().invoke(app, ["schemas", "check", str(ROOT / "schemas")]).exit_code == 0
session.create_loader = cache(session.create_loader)
for service in SERVICES:
    Session().client(service, "us-east-1")  # type: ignore[call-overload]
have_patience(pytest.MonkeyPatch())
# No collection in a fork goes through all that again.
gc.collect()
gc.freeze()
