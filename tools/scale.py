"""The tables of docs/scale.md: which quota of AWS is met first, at which rate of files.

`python -m tools.scale --write` takes a second: what a file takes is read from docs/cost.md and
docs/performance.md, which `make cost` and `make bench` write; quotas are AWS's published defaults.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "scale.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
RATES = (10, 100, 1_000, 10_000)
STANDARD, EXPRESS, BULK = "live, Standard", "live, Express", "bulk backfill"
ITEM_UNITS = 2
"""Of a file's write units: its item, in a transaction. The others are the ledger's."""
SHARDS = 16
"""Of the ledger's index `files`; each holds a partition key of its own."""
BATCH = 100
"""Files of a batch of a run over the bucket."""
FUNCTION_GB = 1769 / 1024
DAY = 86_400


@dataclass(frozen=True)
class Quota:
    """A quota in units a second (Concurrency: at once), where it says, and whether it can be
    raised.
    """

    name: str
    source: str
    can_be_raised: bool


STATES = "https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"
EVENTS = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"
PARTITIONS = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html"
)
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"

INVOCATIONS = Quota("EventBridge invocations", EVENTS, True)
STARTS = Quota("StartExecution", STATES, True)
TRANSITIONS = Quota("state transitions", STATES, True)
CHILDREN = Quota("children of a Map Run", STATES, False)
CONCURRENCY = Quota("Lambda concurrency", LAMBDA, True)
LEDGER = Quota("ledger, write units", DYNAMODB, True)
ITEMS = Quota("items table, write units", DYNAMODB, True)
SHARD = Quota("one shard of the index `files`", PARTITIONS, False)
ONE_KEY = Quota("one partition key of the items table", PARTITIONS, False)
ONE_PREFIX = Quota("GET under one prefix of S3", S3, False)
QUOTAS = (
    INVOCATIONS,
    STARTS,
    TRANSITIONS,
    CHILDREN,
    CONCURRENCY,
    LEDGER,
    ITEMS,
    SHARD,
    ONE_KEY,
    ONE_PREFIX,
)

EVERYWHERE = {CHILDREN: 100, SHARD: 1_000, ONE_KEY: 1_000, ONE_PREFIX: 5_500}
LARGE = {**EVERYWHERE, INVOCATIONS: 18_750, STARTS: 300, TRANSITIONS: 1_500, CONCURRENCY: 1_000}
LARGE |= {LEDGER: 40_000, ITEMS: 40_000}
SMALL = {**LARGE, INVOCATIONS: 1_100, STARTS: 150, TRANSITIONS: 500}
NEW = {**LARGE, CONCURRENCY: 10, LEDGER: 4_000, ITEMS: 4_000}
PLACES: Mapping[str, Mapping[Quota, float]] = {
    "us-east-1": LARGE,
    "ca-central-1": SMALL,
    "a new account in us-east-1": NEW,
}
"""The defaults. Step Functions has three large regions: us-east-1, us-west-2 and eu-west-1. A new
account begins with a concurrency of 10, and a new table with 4,000 write units, which grow.
"""
EXPRESS_STARTS = 6_000


@dataclass(frozen=True)
class Load:
    """What a file takes of each quota, by a way to sync it; dollars are for a million files."""

    name: str
    takes: Mapping[Quota, float]
    dollars: float


def _rows(page: str) -> dict[str, list[str]]:
    """The last row of each name in the tables of a page."""
    rows = {}
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("| "):
            name, *cells = (cell.strip(" *") for cell in line.strip("|").split("|"))
            rows[name.strip(" *")] = cells
    return rows


def loads() -> list[Load]:
    """What was measured, a file."""
    cost, speed = _rows("cost.md"), _rows("performance.md")

    def counted(name: str, column: int) -> float:
        return float(cost[name][1 + column] or 0)

    def dollars(column: int) -> float:
        return float(cost["altogether"][column].strip("*$ "))

    states = ("Fetch Object", "Validate Records", "Transform Records", "Write Items")
    medians = [re.search(r"median (\d+) ms", speed[name][0]) for name in states]
    seconds = sum(int(each[1]) for each in medians if each) / 1000
    rows = []
    for column, name in enumerate((STANDARD, EXPRESS, BULK)):
        units = counted("write unit", column)
        takes = {
            TRANSITIONS: counted("transition", column),
            LEDGER: units - ITEM_UNITS,
            ITEMS: ITEM_UNITS,
            SHARD: 1 / SHARDS,
            ONE_KEY: ITEM_UNITS,
            ONE_PREFIX: counted("GET", column),
        }
        if name == BULK:
            takes |= {CHILDREN: 1 / BATCH}
            takes[CONCURRENCY] = counted("Lambda GB-second", column) / FUNCTION_GB
        else:
            takes |= {INVOCATIONS: 1, STARTS: 1, CONCURRENCY: seconds}
        rows.append(Load(name, takes, dollars(column)))
    return rows


def limit(load: Load, place: str, quota: Quota) -> float | None:
    """The files a second at which a quota is met; None where it is not of this way."""
    has = PLACES[place][quota]
    if load.name == EXPRESS:
        if quota is TRANSITIONS:
            return None
        if quota is STARTS:
            has = EXPRESS_STARTS
    takes = load.takes.get(quota)
    return has / takes if takes else None


def exceeded(load: Load, place: str, rate: float) -> list[tuple[Quota, float]]:
    """The quotas that a rate passes, the one that is met first at the front, and how many times."""
    limits = {quota: limit(load, place, quota) for quota in QUOTAS}
    over = [(quota, rate / most) for quota, most in limits.items() if most and rate > most]
    return sorted(over, key=lambda each: -each[1])


def tables() -> str:
    """The generated part of the page."""
    ways = loads()
    lines = ["Files a second at which a quota is met:", ""]
    columns = [(load, place) for load in ways for place in PLACES]
    lines += _table(
        ["quota", *(f"{load.name}: {place}" for load, place in columns)],
        [
            [
                f"[{quota.name}]({quota.source})",
                *(_whole(limit(load, place, quota)) for load, place in columns),
            ]
            for quota in QUOTAS
        ],
    )
    lines += ["", "What a rate passes, by how many times; the first one is met first:", ""]
    lines += _table(
        ["files a second", *PLACES],
        [
            [f"{rate:,}, {load.name}", *(_passed(exceeded(load, place, rate)) for place in PLACES)]
            for rate in RATES
            for load in ways
        ],
    )
    lines += ["", "Dollars a day, for new files of one record, at the prices of us-east-1:", ""]
    lines += _table(
        ["files a second", *(load.name for load in ways)],
        [
            [f"{rate:,}", *(f"${load.dollars * rate * DAY / 1e6:,.0f}" for load in ways)]
            for rate in RATES
        ],
    )
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _whole(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _passed(over: list[tuple[Quota, float]]) -> str:
    return ", ".join(f"{quota.name} {times:,.1f}" for quota, times in over) or "none"


def main() -> None:
    """Prints the tables, or writes them to the page."""
    made = tables()
    if "--write" not in sys.argv:
        print(made)
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
