"""What benchmarks measure: printed as it comes, and kept in `.local/performance.json`, from which
tools/performance.py writes docs/performance.md.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.environment import LOCAL

KEPT = LOCAL / "performance.json"


@dataclass
class Section:
    """What one benchmark measured."""

    title: str
    figures: list[dict[str, Any]] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)

    def say(self, what: str, measured: str, aim: str = "", met: bool | None = None) -> None:
        """Prints a figure, and whether its aim is met."""
        verdict = "" if met is None else f"{aim}: {'met' if met else 'not met'}"
        print(f"{what}: {measured}{f'   ({verdict})' if verdict else ''}", flush=True)
        self.figures.append({"what": what, "measured": measured, "aim": aim, "met": met})

    def keep(self) -> None:
        """Puts it in the place of what an earlier run measured."""
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"sections": {}}
        at = f"{datetime.now(UTC):%Y-%m-%d}"
        kept["machine"] = machine()
        kept["sections"][self.title] = {"at": at, "figures": self.figures, "series": self.series}
        KEPT.write_text(json.dumps(kept, indent=1))


def machine() -> str:
    """What it runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = names[0] if names else platform.machine()
    return (
        f"{os.cpu_count()} cores ({processor}), {gigabytes:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )
