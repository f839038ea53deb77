"""Where the project's tools are, and the environment of a local build and deployment."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
VENVS = LOCAL / "venvs"

REGION = "us-east-1"
ACCESS_KEY_ID = "test"  # the engine takes any
SECRET_ACCESS_KEY = "test"
STACK_NAME = "tablekeeper"
DEFAULT_PORT = 4566


def python(venv: str) -> Path:
    """The interpreter of one of the project's environments."""
    return VENVS / venv / "bin" / "python"


def parameter_overrides() -> list[str]:
    """The template's Runtime and Architecture for the Python and the processor at hand.

    A package with compiled code would not import in any other.
    """
    machine = platform.machine().lower()
    architecture = "arm64" if machine in ("aarch64", "arm64") else "x86_64"
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [f"Runtime={runtime}", f"Architecture={architecture}"]


def endpoint_url(port: int) -> str:
    """The one address of all of the engine's services."""
    return f"http://127.0.0.1:{port}"


def local_environment(endpoint: str | None = None) -> dict[str, str]:
    """This process's environment without anything that leads to a real account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
    }
    if endpoint:
        kept["AWS_ENDPOINT_URL"] = endpoint
    return kept
