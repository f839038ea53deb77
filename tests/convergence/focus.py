"""Worlds in which some things are not left to chance: attributes of `World`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.convergence.files import POOL

Focus = Mapping[str, Any]

NARROW: Focus = {
    "bad": (0,),
    "to_deploy": (),
    "knows_before": False,
    "short_of_time": False,
    "at_once": True,
    "runs": 0,
}
"""A world of fewer words, for more of the others: no deployments, no bad records, no runs over the
bucket, and functions with time enough.
"""
CALM: Focus = {
    **NARROW,
    "lossy": False,
    "hand": False,
    "index": False,
    "expiry": False,
    "list_losses": 0,
    "pace": (1, 4, 10),
}
"""All events arrive, and no hand, index or TTL changes anything."""
SMALL: Focus = {**CALM, "fits": 98}
LARGE: Focus = {
    **CALM,
    "fits": 1,
    "faults": 11,
    "pool": {**POOL, "X": "abdgmno"},
    "pace": (1, 8, 40),
}
KNOTS: Focus = {**CALM, "files": "XYZ", "faults": 0, "twice": False}
FOCUS: Mapping[str, Focus] = {
    "read-bucket-first": {**SMALL, "files": "X", "faults": 0},
    "no-revision": {**SMALL, "files": "X", "faults": 0},
    "no-pending": {**LARGE, "files": "X"},
    "no-rollback": {**LARGE, "files": "XY"},
    "invalid-unconditional": {**SMALL, "files": "X", "faults": 0, "garbage": 0.4},
    "strict-deletes": {**KNOTS, "expiry": True},
    "no-sweep": KNOTS,
    "no-release": {**KNOTS, "deals": 0.5},
    "failed-unconditional": {**SMALL, "files": "X", "faults": 11, "refused": 0.15},
    "late-failure-wins": {**SMALL, "files": "X", "faults": 11, "reprocess": False},
    "skip-over-replacing": {**LARGE, "files": "X", "returns": 0.7, "pace": (1, 20, 150)},
    "skip-added": {**LARGE, "files": "X"},
    "plan-by-row": {**LARGE, "files": "X", "returns": 0.5, "pace": (1, 20, 150)},
    "progress-kept": {**LARGE, "files": "X"},
    "resume-clears-problem": {
        **LARGE,
        "files": "X",
        "reprocess": False,
        "refused": 0.1,
        "pace": (1, 20, 150),
    },
    "force-goes-on": {**LARGE, "files": "X", "hand": True, "length": 3},
    "force-forgotten": {**LARGE, "files": "X", "hand": True, "length": 5, "returns": 0.7},
    "no-questions": {**LARGE, "files": "X", "index": True},
    "no-superseded": {
        **LARGE,
        "files": "X",
        "index": True,
        "odd": 0.15,
        "pace": (1, 20, 100),
    },
    "no-rebuild": {**LARGE, "files": "X", "lists_lost": 0.5, "pace": (1, 4, 40), "reprocess": True},
    "claims-lists-unchecked": {**LARGE, "files": "X", "list_losses": 20, "pace": (1, 20, 150)},
    "release-unmarked": KNOTS,
    "claim-by-owner": {**LARGE, "files": "X", "twice": True, "pace": (1, 20, 150)},
    "release-spares-claims": {**KNOTS, "fits": 1, "faults": 11, "staged_sets_lost": 0.3},
    "partial-forgotten": {**SMALL, "files": "X", "bad": (0, 1, 0, 1, 2), "faults": 11},
    "digests-unbound": {**SMALL, "files": "X", "knows_before": True, "returns": 0.7},
    "keys-by-spelling": {**SMALL, "files": "X", "numeric": True, "faults": 0},
}
"""Of weaknesses that show too seldom in the whole world: the part of it where they show."""
