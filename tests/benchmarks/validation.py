"""How much faster good records are validated than by jsonschema alone, as a ratio."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tablekeeper.datasets.catalogue import Catalogue
from tablekeeper.datasets.records import Record
from tablekeeper.documents.numbers import exact_arithmetic
from tablekeeper.validation.full_check import reference
from tablekeeper.validation.validator import violations

from tests.benchmarks.results import Section

SCHEMAS = Path(__file__).parents[2] / "schemas"
ROUNDS, RECORDS, RECORDS_OF_THE_REFERENCE = 7, 20_000, 1_000
STREAMED = 200_000
AIM = 20


def validation(section: Section) -> None:
    """Both see the same days of weather in turn; then a long stream is watched for its memory."""
    catalogue = Catalogue.load(SCHEMAS)
    dataset = catalogue.datasets["weather"]
    is_valid = reference(catalogue, dataset.name)._validator.is_valid

    def by_reference(records: Iterable[Record]) -> None:
        with exact_arithmetic():
            for record in records:
                assert is_valid(record.value)

    def by_both(records: Iterable[Record]) -> None:
        assert not list(violations(records, dataset, catalogue))

    rates: dict[str, list[float]] = {"jsonschema alone": [], "tablekeeper": []}
    for number in range(ROUNDS + 1):
        for name, validate, count in (
            ("jsonschema alone", by_reference, RECORDS_OF_THE_REFERENCE),
            ("tablekeeper", by_both, RECORDS),
        ):
            rate = count / _seconds(validate, list(_days(count)))
            if number:  # the first round warms up
                rates[name].append(rate)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, median in medians.items():
        section.say(f"{name}, records a second", f"{median:,.0f}")
    ratio = medians["tablekeeper"] / medians["jsonschema alone"]
    section.say("ratio of medians", f"{ratio:.1f}", f"at least {AIM}", ratio >= AIM)
    tracemalloc.start()
    by_both(_days(STREAMED))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    section.say(
        f"Python objects that a stream of {STREAMED:,} records holds, at most",
        f"{peak / 1000:,.0f} kB",
    )


def _seconds(validate: Callable[[Iterable[Record]], None], records: list[Record]) -> float:
    begun = time.perf_counter()
    validate(records)
    return time.perf_counter() - begun


def _days(count: int) -> Iterator[Record]:
    for place in range(count):
        value: dict[str, Any] = {
            "location": "Seattle",
            "date": f"20{place % 90 + 10}-12-31",
            "precipitation": Decimal(place % 300).scaleb(-1),
            "temp_max": Decimal(place % 400).scaleb(-1),
            "temp_min": Decimal(-(place % 200)).scaleb(-1),
            "wind": Decimal("3.5"),
        }
        yield Record(place, value)
