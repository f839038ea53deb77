"""Random histories of the real code: what commit_model does with a model, done with handlers,
definition, S3 and DynamoDB.

World: a versioned bucket with three files that hold a few named records each, some of them claimed
by two files, or garbage. Now and then the records of all files are dealt out anew. Every change
emits an event that is delivered once, twice or never, in any order. Executions run the real
definition with the real handlers, some of them twice at once, and stop before and after every call
to S3 and DynamoDB: there, any other execution may run, the function may crash, or be given up for
dead and run on as a zombie beside its own retry, the answer may be lost, the call may be refused,
or the whole execution aborted. Items expire, are refused by an index, or are edited by hand,
whereupon somebody forces their file; staged sets expire and lists of keys are lost. Records may be
bad: one of a file is set aside, two are too many. Each function has its own copy of schemas/, and a
deployment, perhaps rolled back, changes one after the other; some executions are of the release
before, which knows no digests. The time of a function may be up at any call. Sweeps, and runs of
Sync Objects and Sync Orphans over the whole bucket, begin at any moment. At the end the table must
equal the bucket.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.convergence.executions import Crash, Running
from tests.convergence.files import POOL
from tests.convergence.services import fakes, moto
from tests.convergence.weaknesses import weakened
from tests.convergence.world import World
from tests.convergence.wrongs import wrongs

LIMIT = 30000


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


def history(
    rng: random.Random,
    weak: frozenset[str] = frozenset(),
    clients: Callable[[], tuple[Any, Any]] = fakes,
    *,
    narrow: bool = False,
) -> list[Any]:
    """Runs one random history within `universe`; returns what is wrong with its end: (kind, file or
    execution, details). A narrow one has no deployments, no bad records, no runs over the bucket,
    and functions with time enough.
    """
    world = World(rng, next(_numbers) if clients is moto else 0, weak, clients)
    if narrow:
        world.narrow()
    queue: list[Any] = []
    late: list[Running] = []
    changes, lossy, reprocess = rng.randrange(3, 14), rng.random() < 0.4, rng.random() < 0.5
    edits = 3 * world.hand * (clients is fakes)
    expiry = rng.random() < 0.3
    reconciled, steps, restarts, noticed = not (lossy or world.to_deploy), 0, 0, 0
    whole: Running | None = None
    at_once, sweeps, runs = rng.random() < 0.5, rng.choice([0, 2]), rng.choice([0, 0, 1, 2])
    if narrow:
        at_once, runs = True, 0
    with weakened(world):
        while True:
            steps += 1
            if steps > LIMIT:
                return [("stuck", steps, None)]
            if not changes and not reconciled and not world.to_deploy:
                if at_once:
                    reconciled = True
                    for name in POOL:
                        world.start(world.event(name))
                elif whole is None or whole.status in ("FAILED", "ABORTED"):
                    whole = world.reconcile()
                reconciled = reconciled or (whole is not None and whole.status == "SUCCEEDED")
            ended = [one for one in world.executions[:] if one.status in ("FAILED", "ABORTED")]
            if len(ended) > noticed and rng.random() < 0.5 and "no-safety-net" not in weak:
                late += ended[noticed:]
                noticed = len(ended)
            world.is_early = changes + edits > 3
            busy = changes or edits or queue or world.running or world.zombies or late
            if not busy and not world.to_deploy and reconciled:
                restarted = 0
                for name in POOL:
                    problem = world.row(name).get("problem", {}).get("M", {})
                    if (
                        problem.get("status", {}).get("S") == "FAILED"
                        and reprocess
                        and restarts < 40
                    ):
                        restarts += 1
                        restarted += 1
                        world.start(json.loads(problem["input"]["S"]))
                    elif world.edits[name] and not world.answered(name) and restarts < 40:
                        restarts += 1
                        restarted += 1
                        world.start(world.event(name, force=True))
                if not world.sweep() and not restarted:
                    break
                continue
            what = rng.choice(
                ["change"] * 2 * bool(changes)
                + ["deliver"] * bool(queue)
                + ["step"] * 6 * bool(world.running or world.zombies)
                + ["late"] * bool(late)
                + ["edit"] * bool(edits)
                + ["deploy"] * bool(world.to_deploy)
                + ["sweep"] * bool(sweeps)
                + ["reconcile"] * bool(runs)
            )
            if what == "change":
                changes -= 1
                if expiry and rng.random() < 0.2:
                    world.expire()
                if rng.random() < 0.02:
                    world.lose_staged_items()
                if rng.random() < 0.05:
                    world.lose_a_key_list()
                for event in world.changes():
                    if not (lossy and rng.random() < 0.2):
                        queue += [event] * rng.choice([1, 1, 2])
            elif what == "edit":
                edits -= 1
                queue += filter(None, [world.edit()])
            elif what == "deliver":
                world.start(queue.pop(rng.randrange(len(queue))))
            elif what == "late":
                world.record_late(late.pop(rng.randrange(len(late))))
            elif what == "deploy":
                world.deploy()
            elif what == "sweep":
                sweeps -= 1
                world.sweep()
            elif what == "reconcile":
                runs -= 1
                world.reconcile()
            elif world.running:
                world.step()
            else:
                world.zombies.pop().throw(Crash)
        return list(wrongs(world, reprocess))


def first_wrong(
    weakness: str, seeds: Iterable[int], *, narrow: bool = False
) -> tuple[int, Any] | None:
    """The first of the seeds whose history goes wrong with a protection off, and how."""
    for seed in seeds:
        wrong = history(random.Random(seed), frozenset([weakness]), narrow=narrow)
        if wrong:
            return seed, wrong
    return None
