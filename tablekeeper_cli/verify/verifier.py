"""One stack that is verified, and what verifying it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.model.items import Item, owner
from tablekeeper.model.objects import key_of, object_uri

from tablekeeper_cli.compare.target import Target, fetch_settings
from tablekeeper_cli.errors import UsageError
from tablekeeper_cli.verify.notebook import NOBODY

if TYPE_CHECKING:
    from tablekeeper_cli.stack import Stack

Progress = Callable[[str, int], None]
"""Takes a stage, and how many more are done: objects, items, files looked at again."""


@dataclass(frozen=True)
class Summary:
    """What was compared, and what came of it; `differences` decides.

    items are those that the files make, held those in the table that name these files; expired
    ones may be absent, and were. problems are the files whose newest content is not in the table,
    or not all of it (PARTIAL), and whose ledger row says why, by status; conflicts are those of
    them that claim an item of another file, which has it still. kinds counts the findings,
    differences or not.
    """

    files: int
    items: int
    held: int
    expired: int
    problems: dict[str, int]
    conflicts: int
    kinds: dict[str, int]
    differences: int


@dataclass(frozen=True, kw_only=True)
class Verifier(Target):
    """What is to be verified; where no function runs, within `aws.clients_by`.

    With a prefix, the files under it alone are looked at. In a table of Tablekeeper's own an item
    without a file is a difference; in one that was there before it may be anybody's.
    `state_machine` is the ARN of the one that keeps an object.
    """

    state_machine: str
    owns_table: bool
    prefix: str = ""
    settle_seconds: float = 60.0
    concurrency: int = 8

    @classmethod
    def of(cls, stack: Stack, catalogue: Catalogue, **options: Any) -> Verifier:
        """The verifier of a deployed stack, by its parameters."""
        return cls(
            catalogue=catalogue,
            settings=fetch_settings(stack),
            items_table=stack.items,
            staging_bucket=stack.staging,
            state_machine=stack.state_machine,
            owns_table=not stack.parameters.get("ItemsTableName"),
            key_prefix=stack.parameters.get("KeyPrefix", ""),
            **options,
        )

    @property
    def scope(self) -> str:
        """The prefix of the keys that are looked at. Raises UsageError when there can be none."""
        kept = self.key_prefix
        if self.prefix.startswith(kept):
            return self.prefix
        if kept.startswith(self.prefix):
            return kept
        raise UsageError(f'the stack keeps objects under "{kept}", and none under "{self.prefix}"')

    def uri(self, key: str) -> str:
        return object_uri(self.settings.source_bucket, key)

    def file_of(self, item: Item) -> str:
        """The key of the file that an item names; NOBODY when it names none that can be here."""
        named, prefix = owner(item), self.uri(self.key_prefix)
        return key_of(named) if named and named.startswith(prefix) else NOBODY

    def expires(self, item: Item) -> float | None:
        value = item.get(self.settings.ttl_attribute, {}).get("N")
        return None if value is None else float(value)
