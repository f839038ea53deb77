"""Transactions of several files in one call.

The time of a call is longer than that of what a small file changes, and DynamoDB takes a hundred
actions in a call. Each file's actions keep their conditions, so a call that succeeds is what the
transactions one by one would have been; one that does not is made again, file by file.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ACTIONS = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""
ACTIONS_OF_FILE = 12
"""A transaction with more is made alone. As many as wait together, of small files, are below the
4 MB of a call; should they not be, the call is refused and they are made one by one.
"""


@dataclass
class _Part:
    """A transaction that waits to be made, by the thread that holds the lock."""

    actions: list[Any]
    is_tried: bool = False
    is_made: bool = False


class JointTransactions:
    """Makes transactions of a client; safe for threads. While one call is under way, the
    transactions of other threads wait and become the next call.
    """

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self._writing, self._joining = Lock(), Lock()
        self._waiting: list[_Part] = []

    def transact(self, actions: list[Any]) -> None:
        """Makes a transaction, alone or with others. Raises as TransactWriteItems does of this one
        alone. When the answer of a call with others is lost, it is made twice; the second one finds
        the outcome of the first, as a step that is tried again does.
        """
        part = _Part(actions)
        if len(actions) <= ACTIONS_OF_FILE:
            with self._joining:
                self._waiting.append(part)
            with self._writing:
                while not part.is_tried:
                    self._try_next()
        if not part.is_made:
            self._client.transact_write_items(TransactItems=actions)

    def _try_next(self) -> None:
        """Makes what waits. Raises when it is one transaction, which then is the calling thread's:
        any two fit one call.
        """
        parts = self._next()
        try:
            joint = [action for part in parts for action in part.actions]
            self._client.transact_write_items(TransactItems=joint)
        except Exception:
            if len(parts) == 1:
                raise
        else:
            for part in parts:
                part.is_made = True

    def _next(self) -> list[_Part]:
        with self._joining:
            count, parts = 0, list[_Part]()
            while self._waiting and count + len(self._waiting[0].actions) <= ACTIONS:
                part = self._waiting.pop(0)
                part.is_tried = True
                count += len(part.actions)
                parts.append(part)
            return parts
