"""Random histories of the real code: what commit_model does with a model, done with handlers,
definition, S3 and DynamoDB.

World: a versioned bucket with three files that hold a few named records each, some of them claimed
by two files, or garbage. Now and then the records of all files are dealt out anew. Every change
emits an event that is delivered once, twice or never, in any order. Executions run the real
definition with the real handlers, some of them twice at once, and stop before and after every call
to S3 and DynamoDB: there, any other execution may run, the function may crash, or be given up for
dead and run on as a zombie beside its own retry, the answer may be lost, the call may be refused,
or the whole execution aborted. Items expire, are refused by an index, or are edited by hand,
whereupon somebody forces their file; staged sets expire and lists of keys are lost, those of writes
that go on among them. Records may be bad: one of a file is set aside, two are too many. Each
function has its own copy of schemas/, and a deployment, perhaps rolled back, changes one after the
other; some executions are of the release before, which knows no digests. The time of a function may
be up at any call. Sweeps, and runs of Sync Objects and Sync Orphans over the whole bucket, begin at
any moment. At the end the table must equal the bucket.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.convergence.executions import Crash, Running
from tests.convergence.files import POOL
from tests.convergence.services import fakes, moto
from tests.convergence.weaknesses import weakened
from tests.convergence.world import World
from tests.convergence.wrongs import wrongs

LIMIT = 30000
ROUNDS = 100
"""How often everybody may be idle, and the sweep or a person find something to start again."""


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
    focus: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Runs one random history within `universe`; returns what is wrong with its end: (kind, file or
    execution, details). `focus` are attributes of the world that are not left to chance.
    """
    world = World(rng, next(_numbers) if clients is moto else 0, weak, clients)
    world.focus(focus or {})
    queue: list[Any] = []
    late: list[Running] = []
    changes, sweeps, runs = world.length, world.sweeps, world.runs
    edits = 3 * world.hand * (clients is fakes)
    reconciled = not (world.lossy or world.to_deploy)
    steps = restarts = noticed = rounds = 0
    change, deliver, step = world.pace
    whole: Running | None = None
    with weakened(world):
        while True:
            steps += 1
            if world.found:
                return world.found
            if steps > LIMIT:
                return [("stuck", steps, None)]
            is_due = whole is None and not reconciled and changes <= world.changes_after
            is_due = is_due and not world.to_deploy
            if is_due and world.is_over(executions=not world.at_once):
                is_due = False
                if world.at_once:
                    reconciled = True
                    for name in POOL:
                        world.start(world.event(name))
                else:
                    whole = world.reconcile()
            elif whole and whole.status in ("FAILED", "ABORTED"):
                whole = world.reconcile()
            reconciled = reconciled or (whole is not None and whole.status == "SUCCEEDED")
            ended = [one for one in world.executions[:] if one.status in ("FAILED", "ABORTED")]
            if len(ended) > noticed and rng.random() < 0.5 and "no-safety-net" not in weak:
                late += ended[noticed:]
                noticed = len(ended)
            world.is_early = changes + edits > 3
            busy = changes or edits or queue or world.running or world.zombies or late
            if not busy and not world.to_deploy and reconciled:
                restarted, rounds = 0, rounds + 1
                if rounds > ROUNDS:
                    return [("stuck", rounds, None)]
                for name in POOL:
                    problem = world.row(name).get("problem", {}).get("M", {})
                    if (
                        problem.get("status", {}).get("S") == "FAILED"
                        and world.reprocess
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
                ["change"] * change * bool(changes and not is_due)
                + ["deliver"] * deliver * bool(queue)
                + ["step"] * step * bool(world.running or world.zombies)
                + ["late"] * bool(late)
                + ["edit"] * bool(edits)
                + ["deploy"] * bool(world.to_deploy)
                + ["sweep"] * bool(sweeps)
                + ["reconcile"] * bool(runs)
            )
            if what == "change":
                changes -= 1
                if world.expiry and rng.random() < 0.2:
                    world.expire()
                if rng.random() < world.staged_sets_lost:
                    world.lose_staged_items()
                if rng.random() < world.lists_lost:
                    world.lose_a_key_list()
                for event in world.changes():
                    if world.lossy and changes >= world.changes_after and rng.random() < 0.2:
                        world.epoch += 1
                    else:
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
        return list(wrongs(world))


def first_wrong(
    weakness: str, seeds: Iterable[int], focus: Mapping[str, Any] | None = None
) -> tuple[int, Any] | None:
    """The first of the seeds whose history goes wrong with a protection off, and how."""
    for seed in seeds:
        wrong = history(random.Random(seed), frozenset([weakness]), focus=focus)
        if wrong:
            return seed, wrong
    return None
