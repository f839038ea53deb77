"""Messages: what goes beside a sentence is read back whole, and no sentence is taken for values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablekeeper.causes import message_of, values_of
from tablekeeper.model.messages import sentence_and_values, with_values

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(TEXT), min_size=1)


@given(TEXT, VALUES)
def test_values_come_back_beside_their_sentence(sentence: str, values: dict[str, Any]) -> None:
    assert sentence_and_values(with_values(sentence, values)) == (sentence, values)


def test_an_error_without_values_is_its_sentence() -> None:
    assert with_values("it broke", {}) == "it broke"
    assert sentence_and_values("it broke\nat last") == ("it broke\nat last", {})


@pytest.mark.parametrize(
    "message",
    ['{"values":', 'a\n{"values":[]}', 'a\n{"values":{"n":1}', 'a\n{"n":1}', 'a {"values":{}}'],
    ids=["cut at once", "an array", "cut", "another object", "in a line"],
)
def test_what_is_no_line_of_values_stays_in_the_sentence(message: str) -> None:
    assert sentence_and_values(message) == (message, {})


@pytest.mark.parametrize(
    "cause",
    ["States.Timeout", '{"errorMessage": 7}', '{"errorMessage": "cut', "", '{"error": "x"}'],
    ids=["plain", "a number", "cut", "empty", "another object"],
)
def test_a_cause_of_another_form_is_shown_as_it_is(cause: str) -> None:
    assert (message_of(cause), values_of(cause)) == (cause, {})
