"""The figures and the settings of docs/deploy.md are those of docs/cost.md and the template."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from local.deploy_options import FIXED, parsed
from tests.support.project import ROOT, template

GUIDE = (ROOT / "docs" / "deploy.md").read_text()
COST = (ROOT / "docs" / "cost.md").read_text()
DAYS = 30
UNITS_AN_ITEM = 2
"""Each item of a transaction counts twice."""


def settings() -> list[dict[str, Any]]:
    """The samconfig.toml files that the guide shows."""
    return [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)]


def test_parameter_overrides_are_parameters_with_values_that_they_take() -> None:
    shown = [
        overrides
        for file in settings()
        for environment in file.values()
        if isinstance(environment, dict)
        for command in environment.values()
        if (overrides := command["parameters"].get("parameter_overrides"))
    ]
    assert len(shown) == 3
    for overrides in shown:
        fixed = dict(each.split("=") for each in overrides if each.split("=")[0] in FIXED)
        assert fixed.keys() == set(FIXED)
        assert fixed["Architecture"] in template()["Parameters"]["Architecture"]["AllowedValues"]
        own = [each for each in overrides if each.split("=")[0] not in FIXED]
        assert len(parsed(" ".join(own))) == len(own)


def price(column: int) -> float:
    """Dollars a million files with one item each, of a column of docs/cost.md."""
    (row,) = re.findall(r"^\| \*\*altogether\*\* \|(.*)\|$", COST, re.MULTILINE)
    return float(row.split("|")[column].strip(" *$"))


@pytest.mark.parametrize("column", [0, 1], ids=["standard", "express"])
def test_costs_follow_from_the_figures_of_the_cost_guide(column: int) -> None:
    (unit,) = re.findall(r"^\| write unit \| \$([0-9.]+) a million", COST, re.MULTILINE)
    table = GUIDE.partition("| Files a day |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == 6
    for row in table:
        files, items, *prices = (
            float(cell.replace(",", "")) for cell in row.strip("| ").split("|")
        )
        expected = files * DAYS / 1e6 * (price(column) + (items - 1) * UNITS_AN_ITEM * float(unit))
        assert prices[column] == pytest.approx(expected, rel=0.05, abs=0.05), row
    assert f"files with one item each is ${price(2):.2f}." in GUIDE
