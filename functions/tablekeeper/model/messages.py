"""Messages: a sentence for people and, as JSON in a line behind it, the values that it is made of.

Step Functions keeps nothing of a function's error but its class and its text. Code reads the values
of an error from the text's last line, and never parses a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_VALUES = "values"


def with_values(sentence: str, values: Mapping[str, Any]) -> str:
    """The message of a sentence and its values, which JSON can hold."""
    if not values:
        return sentence
    line = json.dumps({_VALUES: values}, ensure_ascii=False, separators=(",", ":"))
    return f"{sentence}\n{line}"


def sentence_and_values(message: str) -> tuple[str, dict[str, Any]]:
    """The inverse of `with_values`; a message without values has none."""
    sentence, _, line = message.rpartition("\n")
    if not line.startswith(f'{{"{_VALUES}":'):
        return message, {}
    try:
        values = json.loads(line)[_VALUES]
    except ValueError:
        return message, {}
    return (sentence, values) if isinstance(values, dict) else (message, {})
