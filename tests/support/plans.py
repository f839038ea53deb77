"""Random documents, and what an execution really did with one, to hold a plan against."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Item = dict[str, Any]
Table = dict[str, Item]
"""The items of a table in DynamoDB JSON, by their sort keys behind their partition keys."""

NUMBERS = ("0", "-0.0", "1.10", "1.1", "1E2", "100", "0.1e-3", "12345678901234567890123456789.5")
TEXTS = ("", "x", "ü\\u0000", "\\ud83d\\ude00", "{% $states %}", "line\\nbreak")
BAD_FIELDS = (
    '"amount": 1e999',
    '"amount": NaN',
    '"text": "\\ud800"',
    '"text": 1, "text": 2',
    '"_source": {}',
    '"count": -1, "stars": -1',
    '"count": "many", "stars": 1.5',
    '"text": ',
    '"text": ' + "[" * 40 + "]" * 40,
)


class Step(NamedTuple):
    """A file, and the key under which it is to be put."""

    key: str
    body: bytes


class Documents:
    """Random files for a few keys of the dataset `notes`, good ones and bad ones.

    Each key has a partition key of its own; items that are somebody else's are `owned` of the
    partition key `<tag>-owned`.
    """

    def __init__(self, seed: int, tag: str) -> None:
        self.random, self.tag = random.Random(seed), tag
        self.keys = [f"notes/{tag}-{name}" for name in ("a.json", "b.json", "c.jsonl")]
        self.held: dict[str, dict[str, str]] = {key: {} for key in self.keys}
        self.good: dict[str, bytes] = {}

    def steps(self, count: int) -> Iterator[Step]:
        """So many files, one after another."""
        for _ in range(count):
            kind = self.random.randrange(20)
            if kind == 0:
                key = self.random.choice(("nowhere", "notes")) + f"/{self.tag}/_SUCCESS"
                yield Step(key, b"")
            elif kind == 1:
                yield Step(f"nowhere/{self.tag}.json", b"{}")
            else:
                key = self.random.choice(self.keys)
                yield Step(key, self._body(key, kind))

    def _body(self, key: str, kind: int) -> bytes:
        held = self.held[key]
        if kind <= 3:
            return self.good.get(key, b"[]")
        if kind == 4:
            return self._text(key, held)
        if kind <= 6:
            field = self.random.choice(BAD_FIELDS)
            return self._text(key, {**held, "bad": field})
        if kind == 7:
            extra = self.random.choice(
                (
                    f'{{"pk": "{self.tag}-owned", "sk": "owned"}}',
                    f'{{"pk": "{self.tag}-owned", "sk": "foreign"}}',
                    f'{{"pk": "{self._pk(key)}"}}',
                    f'{{"pk": "{self._pk(key)}", "sk": ""}}',
                    f'{{"pk": "{self._pk(key)}", "sk": 7}}',
                    f'{{"pk": "{self._pk(key)}", "sk": "{min(held, default="a")}"}}',
                    "[]",
                )
            )
            return self._text(key, held, extra)
        if kind == 8:
            return self.random.choice((b"", b" ", b"[{]", b"\xff", b"7"))
        self.held[key] = held = self._changed(held)
        self.good[key] = self._text(key, held)
        return self.good[key]

    def _changed(self, held: Mapping[str, str]) -> dict[str, str]:
        """The records of a next version, some of them as they were."""
        changed = {}
        for name in "abcdefgh":
            chance = self.random.random()
            if name in held and chance < 0.5:
                changed[name] = held[name]
            elif chance < 0.75:
                changed[name] = ", ".join(
                    f'"{field}": {self._value(2)}' for field in self._some("tuvw~/xyz")
                )
        return changed

    def _value(self, depth: int) -> str:
        kind = self.random.randrange(7 if depth else 4)
        if kind == 0:
            return self.random.choice(NUMBERS)
        if kind == 1:
            return f'"{self.random.choice(TEXTS)}"'
        if kind <= 3:
            return self.random.choice(("true", "false", "null"))
        if kind == 4:
            return "[" + ", ".join(self._value(depth - 1) for _ in self._some("123")) + "]"
        members = (f'"{name}": {self._value(depth - 1)}' for name in self._some("mno"))
        return "{" + ", ".join(members) + "}"

    def _some(self, names: str) -> list[str]:
        return self.random.sample(names, self.random.randrange(len(names) + 1))

    def _pk(self, key: str) -> str:
        return key.removeprefix("notes/")

    def _text(self, key: str, held: Mapping[str, str], extra: str | None = None) -> bytes:
        records = []
        for name, fields in held.items():
            more = f", {fields}" if fields else ""
            records.append(f'{{"pk": "{self._pk(key)}", "sk": "{name}"{more}}}')
        if extra:
            records.append(extra)
        self.random.shuffle(records)
        lines = key.endswith(".jsonl")
        return ("\n".join(records) if lines else "[" + ",\n ".join(records) + "]").encode()


def table(items: Iterable[Item], tag: str) -> Table:
    """The items whose partition key begins with a tag."""
    return {
        f"{item['pk']['S']} {item['sk']['S']}": item
        for item in items
        if item["pk"]["S"].startswith(tag)
    }


def disagreements(plan: Mapping[str, Any], uri: str, before: Table, after: Table) -> list[str]:
    """Where a plan, as `plan --json` gives it, says something else than what happened to a table
    when the file was put.
    """
    wrong = []
    planned = {f"{each['key']['pk']['S']} {each['key']['sk']['S']}": each for each in plan["items"]}
    for key in before.keys() | after.keys():
        was, now = before.get(key), after.get(key)
        said = planned.pop(key, {"action": "untouched"})
        really = _what_happened(uri, was, now)
        if said["action"] == "unchanged" and was == now:
            really = "unchanged" if _file(was) == uri else "something"
        if said["action"] == "refused" and really == "untouched":
            continue
        if said["action"] != really:
            wrong.append(f"{key}: {said['action']} was planned, {really} happened")
        elif really == "put" and not _same(said["item"], now):
            wrong.append(f"{key}: another item was put")
        elif really == "changed" and not _same(applied(was, said["changes"]), now):
            wrong.append(f"{key}: other fields changed")
    wrong += [
        f"{key}: {each['action']} was planned"
        for key, each in planned.items()
        if each["action"] != "refused"
    ]
    return wrong


def _what_happened(uri: str, was: Item | None, now: Item | None) -> str:
    if was == now:
        return "untouched"
    if now is None:
        return "removed" if _file(was) == uri else "lost"
    if was is None:
        return "put" if _file(now) == uri else "stolen"
    if {_file(was), _file(now)} != {uri}:
        return "overwritten"
    return "unchanged" if _same(was, now) else "changed"


def _file(item: Item | None) -> str | None:
    source = (item or {}).get("_source", {}).get("M")
    return f"s3://{source['bucket']['S']}/{source['key']['S']}" if source else None


def applied(item: Item | None, changes: Iterable[Mapping[str, Any]]) -> Item:
    """An item after changes, as a plan tells them."""
    whole: Any = {"M": copy.deepcopy(item)}
    for change in reversed(list(changes)):
        *steps, last = [
            step.replace("~1", "/").replace("~0", "~") for step in change["path"].split("/")[1:]
        ]
        value = whole
        for step in steps:
            value = value["M"][step] if "M" in value else value["L"][int(step)]
        if "M" in value:
            assert value["M"].pop(last, None) == change["before"]
            if change["after"] is not None:
                value["M"][last] = change["after"]
        else:
            _change_element(value["L"], int(last), change)
    changed: Item = whole["M"]
    return changed


def _change_element(elements: list[Any], place: int, change: Mapping[str, Any]) -> None:
    # The changes come last first, so a list that grows has holes for a while.
    elements += [None] * (place + 1 - len(elements))
    assert elements[place] == change["before"]
    elements[place] = change["after"]
    if change["after"] is None:
        assert place == len(elements) - 1
        elements.pop()


def _same(one: Any, other: Any) -> bool:
    return bool(_values(one) == _values(other))


def _values(value: Any) -> Any:
    """A value without lineage, with numbers that compare by their value."""
    if isinstance(value, dict):
        if value.keys() == {"N"}:
            return Decimal(value["N"])
        return {name: _values(each) for name, each in value.items() if name != "_source"}
    return [_values(each) for each in value] if isinstance(value, list) else value
