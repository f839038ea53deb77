"""How values look: outcomes, times, sizes, and text that came from somewhere else."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from tablekeeper_cli.terminal.text import clean

STYLES = {
    "SYNCED": "green",
    "UNCHANGED": "green",
    "SUCCEEDED": "green",
    "DELETED": "dim",
    "IGNORED": "dim",
    "SUPERSEDED": "dim",
    "RELEASED": "yellow",
    "WRITING": "yellow",
    "RUNNING": "yellow",
    "CAUGHT": "yellow",
    "PARTIAL": "red",
    "INVALID": "red",
    "INCOMPLETE": "red",
    "FAILED": "bold red",
    "TIMED_OUT": "bold red",
    "ABORTED": "bold red",
}


def plain(text: object, style: str = "") -> Text:
    """Text that is not markup, cleaned; a dash for None."""
    return Text("-" if text is None else clean(str(text)), style=style, overflow="fold")


def outcome(name: str) -> Text:
    return plain(name, STYLES.get(name, ""))


def when(time: str | None) -> str:
    """A time of the ledger, to the second, and how long ago it was."""
    return f"{utc(time)}, {ago(datetime.fromisoformat(time))}" if time else "-"


def utc(time: str) -> str:
    """A time of the ledger, to the second."""
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S}Z"


def moment_ago(time: str) -> str:
    """How long ago a time of the ledger was: `5 min`."""
    return ago(datetime.fromisoformat(time)).removesuffix(" ago")


def ago(moment: datetime) -> str:
    """How long ago a moment was, in its largest unit."""
    seconds = max(0, round((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def size(count: int | None) -> str | None:
    return None if count is None else f"{count:,} bytes"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """A length of time in its largest units: 12 ms, 1.25 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"
