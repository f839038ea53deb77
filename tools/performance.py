"""Writes docs/performance.md and its plots, from what `make bench` and `make load` measured, and
from the tables of docs/cost.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tablekeeper"
from matplotlib import pyplot  # noqa: E402

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".local" / "performance.json"
DOCS = ROOT / "docs"
PAGE, IMAGES = DOCS / "performance.md", DOCS / "images"
COST = DOCS / "cost.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
BLUE, GREY = "#2563eb", "#9ca3af"
COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#9ca3af", "#ca8a04")


def throughput(series: dict[str, float]) -> str:
    """Bars: files a second, live and in bulk, beside what they are compared with."""
    rows = {
        "Tablekeeper, live": "tablekeeper",
        "five states that do nothing": "nothing",
        "one function": "one function",
        "Tablekeeper, bulk": "bulk",
        "a plain loop": "loop",
    }
    figure, axes = pyplot.subplots(figsize=(8, 2.6))
    names = list(reversed(rows))
    values = [series[rows[name]] for name in names]
    colours = [BLUE if name.startswith("Tablekeeper") else GREY for name in names]
    axes.bar_label(axes.barh(names, values, color=colours), fmt="%.0f", padding=3)
    axes.set_xlabel("files a second")
    return _saved(figure, axes, "throughput", "Files a second")


def latency(series: dict[str, list[float]]) -> str:
    """Bars: the median of each state, and a line to 95 %."""
    names = list(reversed(series))
    figure, axes = pyplot.subplots(figsize=(8, 2.8))
    medians = [series[name][0] for name in names]
    above = [series[name][1] - series[name][0] for name in names]
    axes.barh(names, medians, xerr=[[0] * len(names), above], color=BLUE, ecolor=GREY, capsize=3)
    axes.set_xlabel("milliseconds: the median, and the line to 95 %")
    return _saved(figure, axes, "latency", "How long each state takes")


def memory(series: dict[str, dict[str, dict[str, int]]]) -> str:
    """Lines: the peak memory of each function against the size of the file."""
    peaks = series["peaks"]
    sizes = sorted(map(int, peaks))
    figure, axes = pyplot.subplots(figsize=(8, 3))
    functions = ("FetchObject", "ValidateRecords", "TransformRecords", "WriteItems")
    for name, colour in zip(functions, COLOURS, strict=False):
        line = [peaks[str(size)][name] for size in sizes]
        axes.plot(sizes, line, marker="o", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,} MB" for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("MB, at most")
    axes.legend(frameon=False, ncols=2)
    return _saved(figure, axes, "memory", "Peak memory against the size of the file")


def burst(series: dict[str, dict[str, list[float]]]) -> str:
    """Lines: what part of the files is in the table after how many seconds."""
    figure, axes = pyplot.subplots(figsize=(8, 3))
    for (name, each), colour in zip(series.items(), COLOURS, strict=False):
        lags = each["lags"]
        parts = [100 * (number + 1) / len(lags) for number in range(len(lags))]
        axes.plot(lags, parts, color=colour, label=name.removeprefix("Load: "))
    axes.set_xlabel("seconds from its upload")
    axes.set_ylabel("% of the files in the table")
    axes.set_ylim(0, 100)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.05, 1))
    return _saved(figure, axes, "load", "How soon a file is in the table, under load")


def cost() -> str:
    """Stacked bars: dollars a million files, by what they are for."""
    table = COST.read_text().split("<!-- tables: begin -->")[1].split("Counted, a file:")[0]
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|") and "---" not in line
    ]
    ways = rows[0][1:]
    figure, axes = pyplot.subplots(figsize=(8, 2.6))
    left = [0.0] * len(ways)
    for row, colour in zip(rows[1:-1], COLOURS, strict=True):
        values = [float(re.sub(r"[$,]", "", each)) for each in row[1:]]
        axes.barh(ways, values, left=left, color=colour, label=row[0])
        left = [a + b for a, b in zip(left, values, strict=True)]
    for way, total in enumerate(left):
        axes.annotate(f" ${total:,.0f}", (total, way), va="center")
    axes.invert_yaxis()
    axes.set_xlabel("dollars a million files")
    axes.legend(frameon=False, ncols=2, loc="lower right")
    return _saved(figure, axes, "cost", "What a million small files cost")


ORDER = (
    "Throughput",
    "Latency",
    "Validation",
    "A large file",
    "Overwrites",
    "Memory",
    "Formats",
    "A large ledger",
    "Starts",
    "Load",
    "Cost",
)
PLOTS: dict[str, Callable[[Any], str]] = {
    "Throughput": throughput,
    "Latency": latency,
    "Memory": memory,
}


def _saved(figure: Any, axes: Any, name: str, title: str) -> str:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
    return f"![{title}](images/{name}.svg)"


def figures(section: dict[str, Any]) -> list[str]:
    """A table of what was measured."""
    lines = ["| What | Measured | Aim |", "| --- | --- | --- |"]
    for each in section["figures"]:
        aim = each["aim"]
        if each["met"] is not None:
            aim += ", met" if each["met"] else ", **not met**"
        lines.append(f"| {each['what']} | {each['measured']} | {aim} |")
    return lines


def _place(title: str) -> int:
    return ORDER.index(title.partition(":")[0])


def main() -> None:
    """Writes what was measured between the page's marks; what was not stays as it is."""
    kept = json.loads(KEPT.read_text())
    before, rest = PAGE.read_text().split(BEGIN)
    figures_before, after = rest.split(END)
    _, *there = figures_before.strip().split("\n## ")
    texts = {title: text.strip() for title, _, text in (each.partition("\n") for each in there)}
    sections: dict[str, Any] = kept["sections"]
    for title, section in sections.items():
        lines = [f"Run on {section['at']}.", ""]
        if title in PLOTS:
            lines += [PLOTS[title](section["series"]), ""]
        texts[title] = "\n".join(lines + figures(section))
    texts["Cost"] = f"[cost.md](cost.md) has the tables.\n\n{cost()}"
    bursts = {name: each["series"] for name, each in sections.items() if "lags" in each["series"]}
    if bursts:
        image = burst(bursts)
        texts = {title: text.replace(image, "").strip() for title, text in texts.items()}
        last = max(title for title in texts if title.startswith("Load"))
        texts[last] += f"\n\n{image}"
    page = [f"On {kept['machine']}."]
    page += [f"## {title}\n\n{texts[title]}" for title in sorted(texts, key=_place)]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n\n".join(page) + f"\n{END}{after}")


if __name__ == "__main__":
    main()
