"""The files and the limits that the engine's modules share."""

from __future__ import annotations

import contextvars
import os
import threading
from pathlib import Path

from local.chaos import Chaos
from local.faults import Faults
from local.switches import Switches

PAYLOAD_BYTES = 262_144
"""https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
CAUSE_CHARACTERS = 32_768
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html"""


STATE_DIR = Path(os.environ["ENGINE_STATE_DIR"])
FAULTS = Faults(STATE_DIR / "faults.json")
CHAOS = Chaos(STATE_DIR / "chaos.json")
SWITCHES = Switches(STATE_DIR / "switches")
SLOTS = threading.BoundedSemaphore(int(os.environ.get("ENGINE_LAMBDA_CONCURRENCY", "4")))


has_slot: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar(
    "has_slot", default=None
)
"""Set once an invocation has its slot among those that may run at once."""
