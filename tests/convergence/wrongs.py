"""What must not be at the end of a history."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tablekeeper.causes import values_of
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.model.objects import object_uri

from tests.convergence.files import POOL, Values, name_of

if TYPE_CHECKING:
    from tests.convergence.world import World


def wrongs(world: World) -> Iterator[Any]:
    """What must not be at the end of a history."""
    doubled = collections.Counter(one.context.id for one in world.executions)
    for one in world.executions:
        outcomes = world.outcomes[one.context.id]
        if len(outcomes) != 1:
            yield ("outcomes", one.context.name, outcomes)
        elif (
            one.status == "SUCCEEDED"
            and outcomes[0] in ("INVALID", "FAILED")
            and doubled[one.context.id] == 1
        ):
            yield ("green, but recorded otherwise", one.context.name, outcomes)
    for execution, outcomes in world.outcomes.items():
        if len(outcomes) > 1:
            yield ("outcomes", execution, outcomes)
    held = world.items()
    for name in POOL:
        yield from _wrong_of(world, name, held)


def wrong_commit(world: World, audit: dict[str, Any]) -> Iterator[Any]:
    """What differs, at the moment of a commit, between the content that it committed and the items
    of its file, those aside that a hand or a TTL has touched.
    """
    outcome, uri = audit["outcome"]["S"], audit["pk"]["S"]
    content = world.contents.get(audit.get("etag", {}).get("S", ""))
    if outcome == "DELETED":
        content = {}
    if outcome not in ("SYNCED", "PARTIAL", "DELETED") or content is None:
        return
    name = uri.rpartition("/")[2]
    have = {item: value for item, (holder, value) in world.items().items() if holder == uri}
    edited = {item for file, item in world.edited if file == name}
    if _differs(_without(have, edited), _without(content, edited), world.expired):
        yield ("a commit of other items", name, (content, have, audit))


def _wrong_of(
    world: World, name: str, held: dict[str, tuple[str | None, int | str]]
) -> Iterator[Any]:
    uri, row = object_uri("source", world.key(name)), world.row(name)
    have = {item: value for item, (holder, value) in held.items() if holder == uri}
    content = world.content(name)
    edited = {item for file, item in world.edited if file == name}
    problem = row.get("problem", {}).get("M", {})
    kind = problem.get("status", {}).get("S")
    conflict = None
    if kind == "INVALID" and problem["error"]["S"] == KeyOwnershipError.__name__:
        conflict = values_of(problem["cause"]["S"])
    refused = world.index and any(isinstance(each, str) for each in (content or {}).values())
    good_shown = content is not None and kind in (None, "PARTIAL")
    if (content is None or refused) and kind in (None, "PARTIAL"):
        yield ("silent", name, row)
    aside = json.loads(row["set_aside"]["S"])["records"] if "set_aside" in row else 0
    bad = world.bad_records(name)
    if good_shown and ((kind == "PARTIAL") != bool(bad) or aside != bad):
        yield ("bad records that the row does not tell", name, (bad, kind, aside))
    incomplete = "incomplete_since" in row or (
        "claim" in row and row.get("claim_state", {}).get("S") != "ADDING"
    )
    if (
        (content is None or kind == "INVALID")
        and kind != "FAILED"
        and not incomplete
        and not edited
        and not any(_stands(world, name, have, each, row) for each in world.good[name])
    ):
        yield ("torn", name, (have, row))
    if incomplete and kind != "FAILED" and not (world.staged_lost or world.expired):
        yield ("incomplete though nothing expired", name, row)
    if content is not None and kind == "INVALID":
        if not conflict:
            if not refused:
                yield ("INVALID shown for a good file", name, problem)
        elif held.get(name_of(conflict["item"]["sk"]), (None,))[0] != conflict["owner"]:
            yield ("refused for ever with nothing in the way", name, problem)
        else:
            yield from _kept_out(world, name, conflict)
    unforced = set() if world.answered(name) else edited
    made_by, final = world.deployments_of_items(), world.final_deployment()
    if good_shown and any(made_by.get(item, final) != final for item in have):
        yield ("items of another deployment", name, (have, made_by, row))
    if content is not None and good_shown:
        if _differs(_without(have, unforced), _without(content, unforced), world.expired):
            yield ("silent difference", name, (content, have, row))
        if "claim" in row:
            yield ("claim left open", name, row)
    if kind == "FAILED" and world.reprocess:
        yield ("FAILED though reprocessed", name, problem)
    # Whoever took a claim last answers for the event of whoever had it: its failure is shown.
    claimed = row.get("claimed_by", {}).get("S", "")
    started = problem.get("started", {}).get("S", "")
    answers = claimed.startswith(f"EVENT#{started}#")
    if kind == "FAILED" and started <= row.get("as_of", {}).get("S", "") and not answers:
        yield ("an old failure shown as the truth", name, problem)


def _stands(world: World, name: str, have: Values, version: Values, row: Any) -> bool:
    """Whether a file has the items of this version; one that let go may have lost what a later one
    does not have.
    """
    have, version = _without(have, world.expired), _without(version, world.expired)
    lost = version.keys() - have.keys()
    released = row.get("status", {}).get("S") == "RELEASED"
    later = world.good[name]
    return have == _without(version, set(lost)) and (
        not lost or (released and all(any(item not in each for each in later) for item in lost))
    )


def _kept_out(world: World, name: str, conflict: Any) -> Iterator[Any]:
    """A file that is kept out by an item that its owner's content no longer has, and no fault keeps
    the owner from saying so.
    """
    item, other = name_of(conflict["item"]["sk"]), conflict["owner"].rpartition("/")[2]
    content = world.content(other) if other in POOL else None
    if content is None or item in content:
        return
    problem = world.row(other).get("problem", {}).get("M", {})
    broken = world.index and any(isinstance(each, str) for each in content.values())
    if problem.get("status", {}).get("S") != "FAILED" and not broken:
        yield ("refused for an item that its owner no longer has", name, (item, world.row(other)))


def _without(items: Values, names: set[str]) -> Values:
    return {name: value for name, value in items.items() if name not in names}


def _differs(have: Values, content: Values, expired: set[str]) -> bool:
    """Whether a file's items are not what they should be; an expired one may be missing, but never
    wrong.
    """
    missing = content.keys() - have.keys()
    return not have.items() <= content.items() or not missing <= expired
