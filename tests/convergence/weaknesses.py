"""Weaknesses: each switches one protection of the real code off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from greenlet import greenlet
from handlers import fetch_object
from tablekeeper import aws, tables
from tablekeeper.bucket import attempt, batch, orphans
from tablekeeper.bucket import run as run_module
from tablekeeper.commit import (
    claimed_write,
    claiming,
    digests,
    file_commit,
    key_lists,
    lanes,
    large_write,
    lost_keys,
    patience,
    plan,
    questions,
    release,
    settlement,
    transaction,
)
from tablekeeper.commit.file_commit import FileCommit
from tablekeeper.errors import KeyOwnershipError
from tablekeeper.ledger import failures, reads, writes
from tablekeeper.ledger.rows import ADDING, ItemDigests, Row
from tablekeeper.ledger.writes import audit_row
from tablekeeper.model import keys, sizes
from tablekeeper.model.execution import Execution
from tablekeeper.model.outcome import CommitResult
from tablekeeper.model.snapshot import SetAside, Snapshot
from tablekeeper.recovery import waiting_files
from tablekeeper.recovery.waiting_files import WaitingFiles
from tablekeeper.settings import Settings
from tablekeeper.staging import item_set, partitioned_lines
from tablekeeper.steps import fetch as fetch_module
from tablekeeper.steps import transform, validate

from tests.convergence.services import is_of_before

if TYPE_CHECKING:
    from tests.convergence.world import World


WEAKNESSES = (
    "read-bucket-first",
    "no-revision",
    "no-claim-check",
    "no-pending",
    "no-barrier",
    "no-rollback",
    "event-is-truth",
    "silent-unchanged",
    "failed-unconditional",
    "invalid-unconditional",
    "strict-deletes",
    "no-sweep",
    "no-audit-condition",
    "late-failure-wins",
    "no-safety-net",
    "skip-over-replacing",
    "skip-added",
    "plan-by-row",
    "progress-kept",
    "resume-clears-problem",
    "force-by-row",
    "force-goes-on",
    "force-forgotten",
    "no-questions",
    "no-superseded",
    "no-rebuild",
    "claims-lists-unchecked",
    "no-release",
    "release-unmarked",
    "claim-by-owner",
    "release-spares-claims",
    "partial-forgotten",
    "no-digest-check",
    "digests-unbound",
    "keys-by-spelling",
)


def weaken_record_failure(weak: frozenset[str], actions: list[Any]) -> None:
    """Takes conditions off the transaction of Record Failure."""
    outcome = actions[0]["Put"]["Item"]["outcome"]["S"]
    update = actions[1]["Update"]
    if outcome == "FAILED" and "failed-unconditional" in weak:
        del actions[0]["Put"]["ConditionExpression"]
    if outcome == "FAILED" and "late-failure-wins" in weak:
        update["ConditionExpression"] = "attribute_not_exists(as_of) OR as_of <> :bound"
    if outcome == "INVALID" and "invalid-unconditional" in weak:
        update["ConditionExpression"] = (
            "attribute_not_exists(revision) OR revision <> :bound OR revision = :bound"
        )


@contextmanager
def weakened(world: World) -> Iterator[None]:
    """Connects the code to this world, with the protections in `weak` switched off."""
    weak = world.weak
    patches: list[Any] = [
        patch.object(aws, "s3", lambda: world.s3),
        patch.object(aws, "dynamodb", lambda: world.dynamodb),
        patch.object(tables, "dynamodb", lambda: world.dynamodb),
        patch.object(fetch_module, "MAX_JITTER", 0),
        patch.object(sizes, "TRANSACTION_ITEMS", world.fits),
        patch.object(lanes, "LANES", 2),
        patch.object(partitioned_lines, "PARTITIONS", 4),
        patch.object(item_set, "PARTITIONS", 4),
        patch.object(lanes, "in_parallel", _one_after_another),
        patch.object(patience, "pause", lambda _: world.pause()),
        patch.object(attempt, "_pause", lambda _: world.pause()),
        patch.object(attempt, "now", world.clock),
        patch.object(batch, "now", world.clock),
        patch.object(batch, "ThreadPoolExecutor", _Serial),
        patch.object(orphans, "ThreadPoolExecutor", _Serial),
        patch.object(run_module, "states", world.states),
        patch.object(Settings, "from_environment", classmethod(world.settings)),
        *(
            patch.object(module, "catalogue", partial(world.catalogue_of, module))
            for module in world.catalogued
        ),
        *(
            patch.object(module, "basis", lambda t: "" if is_of_before() else digests.basis(t))
            for module in (file_commit, claimed_write)
        ),
    ]
    read_row, update_row, put_audit_row = reads.read_row, writes.update_row, writes.put_audit_row
    fetch = fetch_module.fetch
    why_cancelled = transaction.why_cancelled
    lane_action = lanes.lane_action

    def bucket_first(client: Any, table: str, uri: str) -> Row:
        place = (greenlet.getcurrent(), uri.removeprefix("s3://source/"))
        try:
            world.stash[place] = world.s3.get_object(Bucket="source", Key=place[1])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                world.stash[place] = error
        return read_row(client, table, uri)

    def any_revision(client: Any, table: str, uri: str) -> Row:
        row = read_row(client, table, uri)
        return dataclasses.replace(row, revision=_Any(row.revision))

    def no_condition(*args: Any, **kwargs: Any) -> Any:
        action = update_row(*args, **kwargs)
        del action["Update"]["ConditionExpression"]
        action["Update"]["ExpressionAttributeValues"].pop(":seen", None)
        return action

    def no_held(*args: Any) -> Any:
        action = lane_action(*args)
        action["Update"].pop("ConditionExpression", None)
        action["Update"]["ExpressionAttributeValues"].pop(":held", None)
        return action

    def no_pending(row: Row) -> list[str]:
        return [row.keys_at] if row.keys_at else []

    def forgets(self: Any, *args: Any) -> None:
        begin(self, *args)
        self.others = []

    def no_barrier(self: Any) -> None:
        self.lanes.read()
        self.plan.keep_keys()
        self.lanes.run(lanes.REPLACE, self.plan.replaced)
        run(self)

    begin, run, undo = (
        plan.Plan.__init__,
        large_write.LargeWrite.run,
        large_write.LargeWrite.undo,
    )

    def not_undone(self: Any, refusal: Any) -> None:
        with patch.object(self.plan, "added_before", lambda _: iter(())):
            undo(self, refusal)

    def believe_event(payload: Any, *args: Any) -> Any:
        answer = fetch(payload, *args)
        if payload["event"].get("detail-type") == "Object Deleted":
            answer["found"] |= {"action": "delete"}
        return answer

    def say_nothing(self: FileCommit) -> CommitResult:
        row = audit_row(self.snapshot.uri, self.execution, "UNCHANGED", 1000)
        self.tables.client.put_item(TableName="ledger", Item=row)
        return CommitResult("UNCHANGED")

    def strict(response: Any, *rest: Any) -> Any:
        taken = why_cancelled(response, *rest)
        if taken:
            raise KeyOwnershipError(min(taken), "another file")
        return taken

    def late(ledger: str, uri: str, changes: Any, condition: str, bounds: Any) -> Any:
        condition = condition.replace("as_of < :bound", "as_of <> :bound")
        return problem(ledger, uri, changes, condition, bounds)

    def clears(self: Any, _row: Row, execution: Execution | None) -> Any:
        who = execution.id if execution else self.claim.execution
        return writes.committed(self.snapshot, self.claim.outcome, who)

    def skips_added(self: Any, partition: int) -> Any:
        old = self.old.partition(partition)
        pending = {key for each in self.others for key in each.partition(partition)}
        return self._puts(partition, lambda key, _digest: key not in old and key not in pending)

    def goes_on(self: Any) -> bool:
        before, snapshot = self.row.claim, self.file.snapshot
        same = before and before.snapshot["etag"] == snapshot.etag
        return not same and (self.execution.forced or self.row.doubted)

    def by_row(self: Any, wanted: Any) -> Any:
        return dataclasses.replace(take(self, wanted), trusts=not self._is_distrustful)

    def keeps_progress(self: Any, wanted: Any) -> Any:
        current: Any = greenlet.getcurrent()
        current.keeps_progress = self.row.claim is not None
        return take(self, wanted)

    def kept(ledger: str, uri: str, claim: int, progress: Any, **more: Any) -> Any:
        kept = getattr(greenlet.getcurrent(), "keeps_progress", False)
        return lanes.new_lanes(ledger, uri, claim, None if kept else progress, **more)

    def by_owner(self: Any) -> bool:
        claim = self.row.claim
        return claim is not None and claim.owner == self.execution.audit_key

    def spares_claims(self: Any) -> CommitResult:
        if self.row.claim:
            raise self.why
        return commit_release(self)

    def but_of_claims(tables: Any, row: Row, **more: Any) -> list[str]:
        return [each for each in damaged(tables, row, **more) if each == row.keys_at]

    damaged = key_lists.damaged
    problem, take = failures._problem, claiming.ClaimAttempt.take
    commit_release = release.Release.commit

    def believing(self: Any) -> bool:
        before = self.row.claim
        return not self._is_distrustful and (before is None or before.trusts)

    def believing_all(self: Any) -> bool:
        before = self.row.claim
        return not self._is_distrustful and (before is None or before.state == ADDING)

    def never_doubted(attributes: Any) -> Row:
        return dataclasses.replace(row_of(attributes), doubted=False)

    def unmarked(self: Any, *, released: bool) -> Any:
        changes = release_changes(self, released=released)
        changes["problem"]["M"].pop("released", None)
        return changes

    row_of, release_changes = Row.of, release.Release._changes

    def unbound(attributes: Any) -> ItemDigests | None:
        mark = attributes.get("item_digests", {}).get("M", {}).get("mark")
        return digests_of({**attributes, "discarded": {"L": [mark] if mark else []}})

    digests_of = ItemDigests.of

    def of_the_commit(snapshot: Snapshot, outcome: str) -> SetAside | None:
        return snapshot.set_aside if outcome == "PARTIAL" else None

    def unconditional(table: str, row: Any) -> Any:
        action = put_audit_row(table, row)
        del action["Put"]["ConditionExpression"]
        return action

    switches: dict[str, list[Any]] = {
        "read-bucket-first": [patch.object(fetch_module, "read_row", bucket_first)],
        "no-revision": [
            patch.object(file_commit, "update_row", no_condition),
            patch.object(transaction, "read_row", any_revision),
        ],
        "no-claim-check": [patch.object(lanes, "lane_action", no_held)],
        "no-pending": [
            patch.object(key_lists, "key_lists", no_pending),
            patch.object(large_write, "key_lists", no_pending),
            patch.object(plan.Plan, "__init__", forgets),
        ],
        "no-barrier": [patch.object(large_write.LargeWrite, "run", no_barrier)],
        "no-rollback": [patch.object(large_write.LargeWrite, "undo", not_undone)],
        "event-is-truth": [patch.object(fetch_object, "fetch", believe_event)],
        "silent-unchanged": [patch.object(FileCommit, "unchanged", say_nothing)],
        "late-failure-wins": [patch.object(failures, "_problem", late)],
        "resume-clears-problem": [patch.object(large_write.LargeWrite, "_as_committed", clears)],
        "skip-added": [patch.object(plan.Plan, "added", skips_added)],
        "force-goes-on": [
            patch.object(claiming.ClaimAttempt, "_is_distrustful", property(goes_on))
        ],
        "plan-by-row": [patch.object(claiming.ClaimAttempt, "take", by_row)],
        "progress-kept": [
            patch.object(claiming.ClaimAttempt, "take", keeps_progress),
            patch.object(claiming, "new_lanes", kept),
        ],
        "claim-by-owner": [patch.object(claiming.ClaimAttempt, "is_mine", property(by_owner))],
        "release-spares-claims": [patch.object(release.Release, "commit", spares_claims)],
        "failed-unconditional": [patch.object(failures, "put_audit_row", unconditional)],
        "strict-deletes": [patch.object(transaction, "why_cancelled", strict)],
        "no-sweep": [patch.object(WaitingFiles, "_start", lambda *_: False)],
        "no-audit-condition": [patch.object(writes, "put_audit_row", unconditional)],
        "skip-over-replacing": [
            patch.object(claiming.ClaimAttempt, "_trusts", property(believing))
        ],
        "force-by-row": [patch.object(Execution, "forced", False)],
        "force-forgotten": [
            patch.object(Row, "of", never_doubted),
            patch.object(claiming.ClaimAttempt, "_trusts", property(believing_all)),
        ],
        "no-questions": [patch.object(questions.Questions, "ask", lambda _: None)],
        "no-superseded": [patch.object(claiming.ClaimAttempt, "_superseded", lambda *_: None)],
        "no-rebuild": [
            patch.object(module, "check_keys", lambda *_: None)
            for module in (file_commit, settlement)
        ],
        "claims-lists-unchecked": [patch.object(lost_keys, "damaged", but_of_claims)],
        "no-release": [patch.object(waiting_files, "_may_release", lambda _: False)],
        "release-unmarked": [patch.object(release.Release, "_changes", unmarked)],
        "no-digest-check": [
            patch.object(module, "check_dataset", lambda *_: None)
            for module in (validate, transform)
        ],
        "keys-by-spelling": [patch.object(keys, "_number_text", str)],
        "digests-unbound": [patch.object(ItemDigests, "of", unbound)],
        "partial-forgotten": [patch.object(writes, "_set_aside", of_the_commit)],
    }
    with ExitStack() as stack:
        for each in [*patches, *(one for name in weak for one in switches.get(name, ()))]:
            stack.enter_context(each)
        yield


def _one_after_another(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()


class _Serial:
    """In place of a pool of threads."""

    def __init__(self, _workers: int) -> None:
        pass

    def __enter__(self) -> _Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, call: Callable[[Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """One after the other."""
        return map(call, list(values))


class _Any(int):
    """Equal to every revision but 0, that of a row which is not there."""

    def __eq__(self, other: object) -> bool:
        return (int(self) == 0) is (other == 0)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__
