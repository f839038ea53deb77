"""Every path on which a function calls AWS, driven once on a stack of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tablekeeper.commit import lanes
from tablekeeper.ledger.rows import ADDING, REPLACING, Claim, lane_key

from tests.e2e.failures import LIVE, SWEEP, UNCAUGHT, WAIT_SCALE, Workshop
from tests.e2e.observer import until

MANY = 450
"""Records that make more items than a commit would read the keys of, whatever comes next."""
AT_ONCE = 4
"""Paths: each has files of its own."""
PADDING = "x" * 500
"""So many records of this size do not travel inline."""


def records(name: str, numbers: range) -> bytes:
    """A file of numbered records whose partition key is the name."""
    lines = [{"pk": name, "sk": str(number), "text": PADDING} for number in numbers]
    return json.dumps(lines).encode()


@dataclass(frozen=True)
class Paths:
    """The paths, on a stack whose rules start nothing by themselves."""

    shop: Workshop

    @classmethod
    def drive(cls, shop: Workshop) -> None:
        """Drives them all."""
        paths = cls(shop)
        each = (
            paths.batches,
            paths.orphans,
            paths.large_files,
            paths.claims,
            paths.conflicts,
            paths.small_files,
            paths.without_versions,
        )
        settings = shop.settings(off=(LIVE, SWEEP), wait_scale=WAIT_SCALE)
        with settings, ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(path) for path in each]:
                done.result()
            # Another path's sweep would record what the safety net is to record.
            paths.unseen_ends()

    def sync(self, key: str, body: bytes | None, ends: str) -> None:
        """Uploads, or deletes, and runs an execution; how it ends."""
        if body is None:
            self.shop.delete(key)
        else:
            self.shop.put(key, body)
        self.shop.ended(self.shop.start(self.shop.event(key)))
        assert self.outcome(key) == ends, (key, self.shop.problem(key))

    def outcome(self, key: str) -> str:
        """The newest outcome of a key."""
        return str(self.shop.audit_rows(key)[-1]["outcome"])

    # ---- by an execution ----

    def small_files(self) -> None:
        """Created, unchanged, changed, bad, ignored and deleted."""
        key = "notes/small.json"
        self.sync(key, records("small", range(3)), "SYNCED")
        self.sync(key, records("small", range(3)), "UNCHANGED")
        self.sync(key, records("small", range(1, 4)), "SYNCED")
        self.sync(key, b'[{"pk": "small", "sk": "1", "stars": 9}]', "INVALID")
        self.sync(key, None, "DELETED")
        self.sync("notes/_SUCCESS", b"", "IGNORED")

    def large_files(self) -> None:
        """Staged, claimed, overwritten by a small one, and deleted."""
        key = "notes/large.json"
        self.sync(key, records("large", range(MANY)), "SYNCED")
        changed = records("large", range(100, MANY + 100)).replace(b'"text"', b'"words"')
        self.sync(key, changed, "SYNCED")
        self.sync(key, records("large", range(1)), "SYNCED")
        self.sync(key, records("large", range(MANY)), "SYNCED")
        self.sync(key, None, "DELETED")

    def without_versions(self) -> None:
        """A bucket without versioning, whose objects are read as they are; and one that is gone."""
        key = "notes/unversioned.json"
        self.shop.put(key, records("unversioned", range(MANY)))
        found, document = self._fetched(key)
        found["version_id"] = None
        assert document == {"object": self.shop.uri(key)}
        self._passed_on(found, document)
        self.shop.delete(key)
        for function in ("ValidateRecordsFunction", "TransformRecordsFunction"):
            payload = {"found": found, "document": document, "execution": self._execution()}
            self._fails(function, payload, "ObjectChangedError")

    def conflicts(self) -> None:
        """A large file meets an item of another one, which lets it go; the sweep tries again."""
        owner, second = "notes/owner.json", "notes/second.json"
        self.sync(owner, records("conflict", range(1)), "SYNCED")
        self.sync(second, records("conflict", range(MANY)), "INVALID")
        self.sync(owner, None, "DELETED")
        self.shop.invoke("SweepFunction", {})
        until(lambda: self.outcome(second) == "SYNCED", "the sweep did not try again")

    def claims(self) -> None:
        """Large writes that were cut off, before and after they replaced anything, stand in the way
        of files that have turned bad.
        """
        for state in (ADDING, REPLACING):
            key = f"notes/{state}.json"
            self.cut_off(key, state)
            self.sync(key, b"{", "INVALID")
            assert "claim" not in self.shop.current(key)

    def cut_off(self, key: str, state: str, outcome: str = "SYNCED") -> None:
        """Leaves a file with a large write, or a removal, as it stands when its function dies
        before it has copied the list of its keys.
        """
        self.sync(key, records(key, range(MANY)), "SYNCED")
        staged: Any = None
        pending: tuple[str, ...] = ()
        if outcome == "DELETED":
            self.shop.delete(key)
            found, _ = self._fetched(key)
        else:
            self.shop.put(key, records(key, range(100, MANY + 100)))
            found, document = self._fetched(key)
            staged, pending = self._passed_on(found, document)["staged"], (f"keys/{key}",)
        revision = found["revision"] + 1
        execution = f"{self.shop.machine.replace(':stateMachine:', ':execution:')}:died"
        base = revision - 1
        claim = Claim(
            revision, state, "EVENT#died", base, outcome, execution, found, staged, pending
        )
        client, table = self.shop.client("dynamodb"), self.shop.stack.outputs["LedgerTableName"]
        client.update_item(
            TableName=table,
            Key={"pk": {"S": self.shop.uri(key)}, "sk": {"S": "CURRENT"}},
            UpdateExpression="SET claim = :claim, claim_state = :state, revision = :revision",
            ExpressionAttributeValues={
                ":claim": claim.attributes(),
                ":state": {"S": state},
                ":revision": {"N": str(revision)},
            },
        )
        for lane in range(lanes.LANES):
            progress = {"claim": revision, "done": 0, "removed": 0}
            row = {name: {"N": str(value)} for name, value in progress.items()}
            row |= {"phase": {"S": "ADD"}, **lane_key(self.shop.uri(key), lane)}
            client.put_item(TableName=table, Item=row)

    # ---- what no Catch sees ----

    def unseen_ends(self) -> None:
        """Recorded by the safety net and, when its event is lost, by the sweep."""
        self._ends_unseen("notes/net.json")
        self.shop.disable(UNCAUGHT)
        execution = self._ends_unseen("notes/swept.json", recorded=False)
        self.shop.invoke("SweepFunction", {})
        self.shop.recorded("notes/swept.json", execution)
        self.shop.enable(UNCAUGHT)

    def _ends_unseen(self, key: str, *, recorded: bool = True) -> str:
        self.shop.stack.faults.inject("ValidateRecordsFunction", "oversized", match=key)
        self.shop.put(key, records(key, range(1)))
        execution = self.shop.start(self.shop.event(key))
        assert self.shop.ended(execution)["error"] == "States.DataLimitExceeded"
        if recorded:
            self.shop.recorded(key, execution)
        return execution

    # ---- without executions ----

    def batches(self) -> None:
        """Files that no event told of, synced in bulk by one run over the bucket."""
        large, refused, gone = "notes/b-large.json", "notes/b-refused.json", "notes/b-gone.json"
        for key in (large, refused, gone):
            self.sync(key, records(key, range(MANY)), "SYNCED")
        self.sync("notes/b-owner.json", records("b-owner", range(1)), "SYNCED")
        self.cut_off("notes/b-claim.json", REPLACING)
        self.shop.put("notes/b-new.json", records("b-new", range(1)))
        self.shop.put("notes/b-bad.json", b'[{"pk": "b", "sk": "1", "stars": 9}]')
        self.shop.put(large, records(large, range(3)))
        self.shop.put(refused, records("b-owner", range(2)))
        self.run("notes/b-")
        assert self.outcome(large) == "SYNCED"
        assert self.outcome(refused) == "INVALID"
        self.shop.delete(gone)
        listed = {"Key": gone, "Etag": '"x"', "Size": 1, "LastModified": 0}
        self.shop.invoke(
            "SyncObjectsFunction",
            {"objects": [listed], "how": "bulk", "execution": self._execution()},
        )
        assert self.outcome(gone) == "DELETED"

    def orphans(self) -> None:
        """Files whose objects are gone, small, large, with a large write or a removal that was cut
        off; and one for which the function has no time left.
        """
        small, large, claimed = "notes/o-small.json", "notes/o-large.json", "notes/o-claim.json"
        removed = "notes/o-removed.json"
        self.sync(small, records(small, range(3)), "SYNCED")
        self.sync(large, records(large, range(MANY)), "SYNCED")
        self.cut_off(claimed, REPLACING)
        self.cut_off(removed, REPLACING, "DELETED")
        for key in (small, large, claimed):
            self.shop.delete(key)
        self.run("notes/o-")
        assert {self.outcome(key) for key in (small, large, claimed, removed)} == {"DELETED"}
        self.sync(small, records(small, range(3)), "SYNCED")
        self.shop.delete(small)
        configure = self.shop.client("lambda").update_function_configuration
        name = self.shop.physical_id("SyncOrphansFunction")
        configure(FunctionName=name, Timeout=60)
        self.run("notes/o-")
        until(lambda: self.outcome(small) == "DELETED", "it has no execution")
        configure(FunctionName=name, Timeout=900)

    def run(self, prefix: str) -> None:
        """Makes the table equal to the objects under a prefix."""
        client = self.shop.client("stepfunctions")
        started = client.start_execution(
            stateMachineArn=self.shop.stack.outputs["SyncBucketStateMachineArn"],
            input=json.dumps({"prefix": prefix, "how": "bulk", "orphans": True}),
        )
        ended = self.shop.ended(started["executionArn"])
        assert ended["status"] == "SUCCEEDED", ended

    # ---- by hand ----

    def _fetched(self, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        entered = datetime.now(UTC).isoformat()
        payload = {"event": self.shop.event(key), "entered": entered, "round": 0}
        answer = self.shop.invoke("FetchObjectFunction", payload)
        return answer["found"], answer["document"]

    def _passed_on(self, found: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
        payload = {"found": found, "document": document, "execution": self._execution()}
        self.shop.invoke("ValidateRecordsFunction", payload)
        return self.shop.invoke("TransformRecordsFunction", payload)

    def _fails(self, function: str, payload: Mapping[str, Any], error: str) -> None:
        answer = self.shop.client("lambda").invoke(
            FunctionName=self.shop.physical_id(function), Payload=json.dumps(payload)
        )
        assert json.loads(answer["Payload"].read())["errorType"] == error

    def _execution(self) -> dict[str, Any]:
        start = datetime.now(UTC).isoformat()
        return {"id": "by-hand", "name": f"by-hand-{time.time_ns()}", "start": start, "redrive": 0}
