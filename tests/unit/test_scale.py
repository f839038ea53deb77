"""docs/scale.md and its calculator: the page has its tables, and they say what they mean."""

from __future__ import annotations

import pytest

from tools import scale

LOADS = {each.name: each for each in scale.loads()}


def test_the_page_has_the_calculator_s_tables() -> None:
    """After a change of a quota, or of what was measured: `make scale`."""
    page = scale.PAGE.read_text("utf-8")
    assert page.partition(scale.BEGIN)[2].partition(scale.END)[0].strip() == scale.tables()


@pytest.mark.parametrize("place", scale.PLACES)
def test_a_rate_at_a_quota_passes_none_and_a_little_more_passes_it(place: str) -> None:
    for load in LOADS.values():
        limits = [scale.limit(load, place, quota) for quota in scale.QUOTAS]
        first = min(each for each in limits if each)
        assert scale.exceeded(load, place, first) == []
        ((quota, times), *_) = scale.exceeded(load, place, first * 1.01)
        assert times == pytest.approx(1.01)
        assert scale.limit(load, place, quota) == first


def test_a_standard_file_takes_five_transitions_and_an_express_one_none() -> None:
    most = scale.limit(LOADS[scale.STANDARD], "us-east-1", scale.TRANSITIONS)
    assert most == scale.LARGE[scale.TRANSITIONS] / 5
    assert scale.limit(LOADS[scale.EXPRESS], "us-east-1", scale.TRANSITIONS) is None


def test_every_quota_has_its_published_page() -> None:
    for quota in scale.QUOTAS:
        assert quota.source.startswith("https://docs.aws.amazon.com/")
        assert all(quota in place for place in scale.PLACES.values())
