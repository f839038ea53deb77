"""JSON for people: indented, each number digit by digit as it came."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


class Digits(str):
    __slots__ = ()


def pretty(text: str) -> str:
    """JSON, indented; any other text as it is."""
    try:
        value = json.loads(text, parse_float=Digits, parse_int=Digits, parse_constant=Digits)
        return written(value)
    except (ValueError, RecursionError):
        return text


def of_item(attributes: Mapping[str, Any]) -> str:
    """A DynamoDB item as JSON: sets are arrays, binary is Base64."""
    return written({name: _plain(value) for name, value in sorted(attributes.items())})


def written(value: Any, indent: str = "") -> str:
    """A value as JSON. Text that does not print, or turns the direction of what follows, is
    escaped.
    """
    deeper = indent + "  "
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, Mapping):
        ends, inside = (
            "{}",
            [f"{_text(name)}: {written(each, deeper)}" for name, each in value.items()],
        )
    elif isinstance(value, list):
        ends, inside = "[]", [written(each, deeper) for each in value]
    else:
        return _text(value)
    if not inside:
        return ends
    return f"{ends[0]}\n{deeper}" + f",\n{deeper}".join(inside) + f"\n{indent}{ends[1]}"


def _text(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if shown.isprintable() else json.dumps(value)


def _plain(value: Mapping[str, Any]) -> Any:
    """The value that DynamoDB JSON stands for."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return Digits(content)
        case "NS":
            return [Digits(each) for each in content]
        case "B":
            return _base64(content)
        case "BS":
            return [_base64(each) for each in content]
        case "L":
            return [_plain(each) for each in content]
        case "M":
            return {name: _plain(each) for name, each in content.items()}
        case "NULL":
            return None
        case _:  # S, SS, BOOL
            return list(content) if kind == "SS" else content


def _base64(content: str | bytes) -> str:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
