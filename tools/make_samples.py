"""Makes samples/ out of public data in two packages; `--check` holds what is there against them.

    python -m pip install pycountry==26.2.16
    npm install --ignore-scripts --prefix .local/samples vega-datasets@3.2.1
    python tools/make_samples.py --vega-datasets .local/samples/node_modules/vega-datasets

Neither package is needed to use, test or develop Tablekeeper. Numbers are copied as text, so that
a sample has the digits of its source. samples/bad/ is made by breaking good samples.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from pathlib import Path

PYCOUNTRY_VERSION = "26.2.16"
VEGA_DATASETS_VERSION = "3.2.1"

COUNTRIES = ("AX", "BR", "CI", "CZ", "DE", "FR", "GR", "IN", "JP", "KE", "NA", "TR")
MONTHS = (
    ("Seattle", "2012-01", ".json"),
    ("Seattle", "2012-02", ".json"),
    ("Seattle", "2012-07", ".json"),
    ("New York", "2012-01", ".json"),
    ("New York", "2012-02", ".jsonl"),
)
LATER_MONTHS = (("Seattle", "2012-03", ".json"), ("New York", "2012-03", ".json"))
WEATHER_NUMBERS = ("precipitation", "temp_max", "temp_min", "wind")
FEEDS = (
    ("2018-02-04", "us"),
    ("2018-02-05", "us"),
    ("2018-02-06", "ak"),
    ("2018-02-06", "ci"),
    ("2018-02-06", "us"),
)

Samples = dict[str, str]
"""Paths under samples/ and their text; the path of a good sample is its object's key."""


def make(pycountry: Path, vega_datasets: Path) -> Samples:
    """Every sample, good and bad, from the two packages' folders."""
    good = {
        **countries(pycountry),
        **weather(vega_datasets, MONTHS),
        **earthquakes(vega_datasets),
    }
    later = weather(vega_datasets, LATER_MONTHS)
    return {**good, **{f"bad/{name}": text for name, text in broken(good, later)}}


def countries(folder: Path) -> Samples:
    """A file for each of COUNTRIES, as pycountry's copy of ISO 3166-1 has it."""
    entries = json.loads((folder / "databases/iso3166-1.json").read_text("utf-8"))["3166-1"]
    by_code = {entry["alpha_2"]: entry for entry in entries}
    return {
        f"countries/{code}.json": json.dumps(by_code[code], ensure_ascii=False, indent=2) + "\n"
        for code in COUNTRIES
    }


def weather(folder: Path, months: Iterable[tuple[str, str, str]]) -> Samples:
    """A file for each month: an array of days, or a day a line."""
    with (folder / "data/weather.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    samples = {}
    for location, month, suffix in months:
        days = [
            _day(row)
            for row in rows
            if row["location"] == location and row["date"].startswith(month)
        ]
        name = f"weather/{location.lower().replace(' ', '-')}/{month}{suffix}"
        samples[name] = "\n".join(days) + "\n" if suffix == ".jsonl" else _array(days)
    return samples


def earthquakes(folder: Path) -> Samples:
    """A GeoJSON file for each of FEEDS, made of the very lines of the week's feed."""
    text = (folder / "data/earthquakes.json").read_text("utf-8")
    lines = text.partition('"features":[')[2].partition('],"bbox"')[0].split(",\n")
    features: dict[str, list[str]] = {
        f"earthquakes/{day}/{network}.json": [] for day, network in FEEDS
    }
    for line in lines:
        event = json.loads(line)["properties"]
        day = datetime.fromtimestamp(event["time"] // 1000, UTC).date().isoformat()
        features.get(f"earthquakes/{day}/{event['net']}.json", []).append(line)
    return {name: _feed(events) for name, events in features.items()}


def broken(good: Samples, later: Samples) -> Iterator[tuple[str, str]]:
    """Files that are INVALID, each in a way that happens, made of good ones and of later months."""
    greece = good["countries/GR.json"]
    yield "countries/GR-cut-short.json", greece[: greece.index("Hellenic") + 7]

    kenya = good["countries/KE.json"]
    yield "countries/KE-named-twice.json", kenya.replace('"name"', '"name": "Kenia",\n  "name"', 1)

    days = _records(later["weather/seattle/2012-03.json"])[:5]
    days[2] = _with_number(days[2], "precipitation", '"T"')
    yield "weather/seattle/2012-03-trace-of-rain.json", _array(days)

    days = _records(later["weather/new-york/2012-03.json"])[:5]
    days[1] = _with_number(days[1], "wind", str(Decimal.from_float(5.4)))
    yield "weather/new-york/2012-03-float-digits.json", _array(days)

    days = _records(good["weather/seattle/2012-01.json"])[-1:]
    yield "weather/seattle/2012-01-again.json", _array(days)

    events = _records(good["earthquakes/2018-02-06/us.json"])[:5]
    events[1] = _with_number(events[1], "dmin", "NaN")
    yield "earthquakes/2018-02-06/us-nan.json", _feed(events)


def _day(row: dict[str, str]) -> str:
    members = {name: json.dumps(row[name]) for name in ("location", "date")}
    members |= {name: row[name] for name in WEATHER_NUMBERS}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items()) + "}"


def _array(records: Iterable[str]) -> str:
    return "[\n  " + ",\n  ".join(records) + "\n]\n"


def _feed(features: Iterable[str]) -> str:
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n"


def _records(text: str) -> list[str]:
    """The records of `_array` or `_feed`, which stand one a line between the first and the last."""
    return [line.strip().removesuffix(",") for line in text.splitlines()[1:-1]]


def _with_number(record: str, name: str, literal: str) -> str:
    changed, count = re.subn(rf'("{name}": ?)-?[0-9.]+', rf"\g<1>{literal}", record)
    if count != 1:
        raise ValueError(f"{name} is no number, or not the only one of its name: {record}")
    return changed


def _find_pycountry() -> Path:
    try:
        version = metadata.version("pycountry")
    except metadata.PackageNotFoundError:
        version = "absent"
    if version != PYCOUNTRY_VERSION:
        sys.exit(f"pycountry is {version}: python -m pip install pycountry=={PYCOUNTRY_VERSION}")
    return Path(str(metadata.distribution("pycountry").locate_file("pycountry")))


def _find_vega_datasets(folder: Path) -> Path:
    package = folder / "package.json"
    version = json.loads(package.read_text("utf-8"))["version"] if package.is_file() else "absent"
    if version != VEGA_DATASETS_VERSION:
        sys.exit(
            f"vega-datasets in {folder} is {version}: "
            "npm install --ignore-scripts --prefix .local/samples "
            f"vega-datasets@{VEGA_DATASETS_VERSION}"
        )
    return folder


def main() -> int:
    """Writes the samples, or with `--check` names those that differ and returns 1 if any does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--vega-datasets", type=Path, default=Path(".local/samples/node_modules/vega-datasets")
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "samples")
    parser.add_argument("--check", action="store_true", help="write nothing; name what differs")
    arguments = parser.parse_args()
    samples = make(_find_pycountry(), _find_vega_datasets(arguments.vega_datasets))
    differing = 0
    for name, text in samples.items():
        path: Path = arguments.output / name
        if path.is_file() and path.read_bytes() == text.encode():
            continue
        differing += 1
        print(name)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    print(f"{len(samples)} samples, {differing} {'differ' if arguments.check else 'written'}")
    return 1 if arguments.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
