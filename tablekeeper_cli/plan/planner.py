"""What an execution would do with a file, found by the functions' own code, without doing it.

A plan reads the ledger's row, the items in the table and the content, and writes nothing but a
temporary database of SQLite's: that spills to the local disk what is too much for memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tablekeeper import aws
from tablekeeper.datasets.catalogue import Catalogue, is_ignored
from tablekeeper.documents.text import Text
from tablekeeper.errors import InvalidEventError, ObjectChangedError
from tablekeeper.ledger.reads import read_row
from tablekeeper.ledger.rows import Row
from tablekeeper.model.objects import object_uri
from tablekeeper.model.snapshot import Snapshot
from tablekeeper.model.times import now
from tablekeeper.steps.content import CHUNK_BYTES, read_document
from tablekeeper.steps.events import object_of
from tablekeeper.steps.fetch import before_the_object, check_key, fetch, judge
from tablekeeper.steps.file_content import FileContent

from tablekeeper_cli.compare.target import Target, fetch_settings
from tablekeeper_cli.errors import CommandError, UnknownError
from tablekeeper_cli.plan.plan import Plan
from tablekeeper_cli.plan.planning import Planning, shown_status
from tablekeeper_cli.plan.store import LocalStore

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack

ROUNDS = 5
UNKNOWN_VERSION = "(the version id that S3 will give)"


@dataclass(frozen=True, kw_only=True)
class Planner(Target):
    """Makes plans for one stack with the schemas of one folder; use it within
    `aws.clients_by(stack.client)`.
    """

    @classmethod
    def of(cls, stack: Stack, catalogue: Catalogue) -> Self:
        """The planner of a deployed stack, by its parameters."""
        return cls(
            catalogue=catalogue,
            settings=fetch_settings(stack),
            items_table=stack.items,
            staging_bucket=stack.staging,
            key_prefix=stack.parameters.get("KeyPrefix", ""),
        )

    def of_file(self, path: Path, key: str) -> Plan:
        """What would become of a local file that is uploaded under a key.

        Raises:
            OSError: the file cannot be read.
            TransientServiceError: a retry helps.
        """
        if never := self._never_taken(key):
            return never
        row = self._row(key)
        seen = before_the_object(key, row, now(), self.settings, self.catalogue)
        if self._is_left_out(key):
            return self._left_out(key, row)
        if is_ignored(key, self.settings.ignore_patterns):
            ignored = Snapshot(action="ignore", **seen)
            content = FileContent(ignored, self.catalogue, partial(Text, (), 0))
            return self._plan(content, row, [], is_local=True)
        seen |= {"etag": _md5(path), "size": path.stat().st_size, "last_modified": now()}
        dataset = self.catalogue.find(key)
        used = dataset.object_fields if dataset else frozenset[str]()
        if used & {"version_id", "*"} and self._has_versions():
            seen["version_id"] = UNKNOWN_VERSION
        snapshot, refused = judge(seen, row, dataset, self.settings, force=False)
        assumptions = list(_assumptions(snapshot, used))
        limit = self.settings.max_document_bytes

        def text() -> Text:
            if refused:
                return read_document(refused, snapshot, limit)
            return Text(_FileContent(path), limit)

        content = FileContent(snapshot, self.catalogue, text)
        return self._plan(content, row, assumptions, is_local=True)

    def of_object(self, key: str) -> Plan:
        """What would become of the object that is in the bucket now.

        Raises:
            UnknownError: the key is neither in the bucket nor in the ledger.
            CommandError: it changed in each of five rounds.
            TransientServiceError: a retry helps.
        """
        if never := self._never_taken(key):
            return never
        if self._is_left_out(key):
            return self._left_out(key, self._row(key))
        for _ in range(ROUNDS):
            payload = {"event": self._event(key), "round": 0, "entered": now()}
            answer = fetch(payload, self.settings, self.catalogue)
            snapshot, row = Snapshot.read(answer["found"]), self._row(key)
            if snapshot.action == "delete" and not row.revision:
                raise UnknownError(f"{snapshot.uri} is in neither bucket nor ledger")
            if row.revision != snapshot.revision:
                continue
            text = partial(
                read_document, answer["document"], snapshot, self.settings.max_document_bytes
            )
            content = FileContent(snapshot, self.catalogue, text)
            try:
                return self._plan(content, row, [], is_local=False)
            except ObjectChangedError:
                continue
        raise CommandError(f"{key} changed in each of {ROUNDS} rounds; try again when it is quiet")

    def _row(self, key: str) -> Row:
        uri = object_uri(self.settings.source_bucket, key)
        return read_row(aws.dynamodb(), self.settings.ledger_table, uri)

    def _has_versions(self) -> bool:
        answer = aws.s3().get_bucket_versioning(Bucket=self.settings.source_bucket)
        return "Status" in answer

    def _is_left_out(self, key: str) -> bool:
        return not key.startswith(self.key_prefix)

    def _event(self, key: str) -> dict[str, Any]:
        named = {"bucket": {"name": self.settings.source_bucket}, "object": {"key": key}}
        return {"detail": named}

    def _never_taken(self, key: str) -> Plan | None:
        """The plan of a key that no execution takes, as it is too long; None for every other."""
        bucket = self.settings.source_bucket
        try:
            check_key(object_of(self._event(key), bucket), bucket)
        except InvalidEventError as error:
            return self._failed(key, Row(), error, f"{error}. {error.advice}")
        return None

    def _failed(self, key: str, row: Row, error: Exception, cause: str) -> Plan:
        dataset = self.catalogue.find(key)
        return Plan(
            key,
            dataset.name if dataset else None,
            None,
            "FAILED",
            row.revision,
            shown_status(row),
            type(error).__name__,
            cause,
        )

    def _left_out(self, key: str, row: Row) -> Plan:
        why = f'the stack keeps only keys that begin with "{self.key_prefix}": nothing would happen'
        return Plan(key, None, None, "IGNORED", row.revision, shown_status(row), assumptions=[why])

    def _plan(
        self, content: FileContent, row: Row, assumptions: list[str], *, is_local: bool
    ) -> Plan:
        store = LocalStore(is_local=is_local)
        try:
            return Planning(self, content, row, assumptions, store).plan()
        except BaseException:
            store.close()
            raise


def _assumptions(snapshot: Snapshot, used: frozenset[str]) -> Iterator[str]:
    if snapshot.action == "unchanged" or used & {"etag", "*"}:
        yield (
            "the etag is the MD5 of the file, as after an upload in one part that is not encrypted "
            "with SSE-KMS"
        )
    if used & {"last_modified", "*"}:
        yield "`_object.last_modified` is the time of this plan"
    if snapshot.version_id:
        yield f"`_object.version_id` is unknown before the upload: {snapshot.version_id}"


class _FileContent:
    """The bytes of a local file, read anew by each iteration."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in _FileContent(path):
        digest.update(chunk)
    return digest.hexdigest()
