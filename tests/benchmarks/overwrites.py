"""What the commit does with a version that differs little, and with records that move between
files: on the engine, checked by what the table holds and not by what the ledger says.

    python -m tests.benchmarks.overwrites again=1000000 dealt
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from tests.benchmarks import commands
from tests.benchmarks.large_files import STATES
from tests.benchmarks.results import Section
from tests.benchmarks.stacks import E2E_SCHEMAS, measured_stack
from tests.e2e.large_files import LargeFiles, peak_memory
from tests.e2e.observer import Observer

RECORDS = 100_000
AIM_OF_TIME = 0.25
FILES, RECORDS_OF_A_FILE, DEALS = 10, 100, 3
PATIENCE_SECONDS = 1800


def again(section: Section, count: int = RECORDS) -> None:
    """A large file, and again with 1 % of its records changed, 0.1 % added and 0.1 % removed."""
    with measured_stack(schemas=E2E_SCHEMAS) as stack:
        files = LargeFiles(stack, "again", count)
        changed, removed = set(range(3, count, 100)), set(range(7, count, 1000))
        added = range(count, count + count // 1000)
        loads = {"first load": files.lines(range(count), 1), "again": _again(files, removed, added)}
        seconds, peaks = {}, {}
        for number, (name, body) in enumerate(loads.items(), start=1):
            with peak_memory() as peak:
                begun = time.perf_counter()
                files.put(body)
                outcomes = files.outcomes()
                seconds[name] = time.perf_counter() - begun
            assert outcomes == ["SYNCED"] * number, outcomes
            peaks[name] = dict(peak)
        row = files.see.audit_rows(files.key)[-1]
        written = _written_by(files, row["execution"]["S"])
        wrong = files.differences(set(range(count)) - changed - removed, 1, gone=removed)
        wrong += files.differences([*changed, *added], 2)
        begun = time.perf_counter()
        told, memory = commands.verified(stack, "--schemas", str(E2E_SCHEMAS))
        verified = time.perf_counter() - begun
    section.say(f"first load of {count:,} records", f"{seconds['first load']:.1f} s")
    counts = {name: int(row[name]["N"]) for name in ("items_put", "items_removed", "items_kept")}
    section.say("1 % changed, 0.1 % added, 0.1 % removed", f"{seconds['again']:.1f} s; {counts}")
    ratio = seconds["again"] / seconds["first load"]
    section.say("ratio", f"{ratio:.2f}", f"at most {AIM_OF_TIME}", ratio <= AIM_OF_TIME)
    exact = written == changed | set(added)
    section.say("items whose lineage names it", f"{len(written):,}", "just those", exact)
    section.say("items that differ from the file", str(wrong), "none", not wrong)
    section.say(
        f"`tablekeeper verify`: {told['items']:,} items derived, {told['held']:,} held",
        f"{verified:.0f} s, {memory} MB, {told['differences']} differences",
        "no difference",
        told["items"] == told["held"] == count and not told["differences"],
    )
    for name, peak in peaks.items():
        of_states = ", ".join(f"{each} {peak[each]} MB" for each in STATES)
        section.say(f"peak memory, {name}", of_states)


def _again(files: LargeFiles, removed: set[int], added: range) -> bytes:
    numbers = [number for number in range(files.count) if number not in removed]
    changed = set(range(3, files.count, 100))
    lines = [json.dumps(files.record(each, 1 + (each in changed))) for each in numbers]
    lines += [json.dumps(files.record(each, 2)) for each in added]
    return "\n".join(lines).encode()


def _written_by(files: LargeFiles, execution: str) -> set[int]:
    """The records whose items have the lineage of an execution."""
    pages = files.see.dynamodb.get_paginator("scan").paginate(
        TableName=files.table,
        ConsistentRead=True,
        FilterExpression="#source.#execution = :execution",
        ProjectionExpression="sk",
        ExpressionAttributeNames={"#source": "_source", "#execution": "execution"},
        ExpressionAttributeValues={":execution": {"S": execution}},
    )
    return {int(item["sk"]["S"]) for page in pages for item in page["Items"]}


def dealt(section: Section, files: int = FILES, records: int = RECORDS_OF_A_FILE) -> None:
    """The records of all files dealt out anew among them at once, with nobody at work but the
    stack.
    """
    rng = random.Random(1)
    with measured_stack(schemas=E2E_SCHEMAS) as stack:
        see = Observer(stack)
        numbers = list(range(files * records))
        _upload(see, _hands(numbers, files), 0)
        see.outcomes(*(_key(file) for file in range(files)))
        for deal in range(1, DEALS + 1):
            rng.shuffle(numbers)
            hands = _hands(numbers, files)
            wanted = {str(n): (_key(f), deal) for f, hand in enumerate(hands) for n in hand}
            begun = time.perf_counter()
            _upload(see, hands, deal)
            missing = 0
            while True:
                looked = time.perf_counter()
                held = _held(see)
                if held == wanted and not any(see.problem(_key(f)) for f in range(files)):
                    break
                assert looked - begun < PATIENCE_SECONDS, _difference(held, wanted)
                missing = max(missing, len(wanted) - len(held))
                # A look at many items takes the engine's time.
                time.sleep(0.5 + 3 * (time.perf_counter() - looked))
            section.say(
                f"{files} files of {records} records dealt out anew, deal {deal}",
                f"the table equals the bucket after {time.perf_counter() - begun:.0f} s; "
                f"{missing} of {len(wanted):,} items missing at the worst moment",
            )


def _hands(numbers: list[int], files: int) -> list[list[int]]:
    return [numbers[file::files] for file in range(files)]


def _upload(see: Observer, hands: list[list[int]], version: int) -> None:
    for file, hand in enumerate(hands):
        see.put(_key(file), [{"pk": "dealt", "sk": str(n), "v": version} for n in hand])


def _key(file: int) -> str:
    return f"notes/dealt/{file}.json"


def _held(see: Observer) -> dict[str, tuple[str, int]]:
    """Each item's file and value."""
    pages = see.dynamodb.get_paginator("query").paginate(
        TableName=see.stack.outputs["ItemsTableName"],
        ConsistentRead=True,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "dealt"}},
    )
    return {
        item["sk"]["S"]: (item["_source"]["M"]["key"]["S"], int(item["v"]["N"]))
        for page in pages
        for item in page["Items"]
    }


def _difference(held: Any, wanted: Any) -> str:
    wrong = sum(held.get(name) != each for name, each in wanted.items())
    return f"{wrong} items are not what their file says after {PATIENCE_SECONDS} s"


def main(wanted: list[str]) -> None:
    """Prints what is named, and keeps nothing."""
    section = Section("Overwrites")
    for each in wanted:
        name, _, count = each.partition("=")
        if name == "again":
            again(section, int(count or RECORDS))
        else:
            dealt(section, int(count or FILES))


if __name__ == "__main__":
    main(sys.argv[1:])
