"""Which times of expiry may not be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tablekeeper.model.keys import TableKey

from tablekeeper_cli.compare.expiry import odd_expiry
from tablekeeper_cli.schemas.check import check

NOW = 1_800_000_000.5


@pytest.mark.parametrize(
    ("item", "said"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"ttl": {"S": "86400"}}, None, id="text"),
        pytest.param({"ttl": {"N": "1800000001"}}, None, id="to come"),
        pytest.param(
            {"ttl": {"N": "1799999999"}}, "that has passed: DynamoDB deletes", id="passed"
        ),
        pytest.param({"ttl": {"N": "1642320000"}}, "that has passed", id="five years ago"),
        pytest.param({"ttl": {"N": "1642319999"}}, "DynamoDB never deletes", id="before that"),
        pytest.param({"ttl": {"N": "86400"}}, "Is it a duration", id="a day"),
        pytest.param({"ttl": {"N": "0"}}, "never deletes", id="zero"),
        pytest.param({"ttl": {"N": "-1E+3"}}, "never deletes", id="negative"),
    ],
)
def test_what_has_expired_is_said(item: dict[str, dict[str, str]], said: str | None) -> None:
    found = odd_expiry(item, "ttl", NOW)
    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(("ttl", "is_odd"), [("`86400`", True), ("`1500000000`", False)])
def test_the_check_of_schemas_sees_it_in_an_example(
    tmp_path: Path, ttl: str, *, is_odd: bool
) -> None:
    """By a clock that stands still, so that no example becomes odd by and by."""
    schema = {
        "type": "object",
        "required": ["pk", "sk"],
        "properties": {name: {"type": "string"} for name in ("pk", "sk")},
        "examples": [{"pk": "a", "sk": "b"}],
        "x-tablekeeper": {"prefix": "d/", "ttl": ttl},
    }
    (tmp_path / "d.schema.json").write_text(json.dumps(schema))
    found = check(tmp_path, TableKey.parse("pk:S,sk:S"))
    assert [each.severity for each in found] == ["warning"] * is_odd
    assert all("never deletes" in each.what for each in found)
