"""The memory of processes."""

from __future__ import annotations

from pathlib import Path


def peak_megabytes(pid: int | str = "self") -> int:
    """The largest resident size of a process so far, in MB; 0 of one that has ended.

    What wait4() says of a child counts its parent's, too, which it had when it was forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [each for each in status.splitlines() if each.startswith("VmHWM:")]
    return int(lines[0].split()[1]) // 1024 if lines else 0
