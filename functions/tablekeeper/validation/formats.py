"""Formats: the values of `format` that are asserted, in every draft; all others are annotations.

They are jsonschema's own checks, written out because which of them it has depends on what else
happens to be installed, and because importing it takes longer than the rest of Validate Records.
A time and a URI that end in a line feed are refused: `$` in the patterns of its libraries matches
before one.
jsonschema and jsonschema-rs are both given these functions, so that they cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text) and date.fromisoformat(text))


def _is_date_time(text: str) -> bool:
    from rfc3339_validator import validate_rfc3339

    return not text.endswith("\n") and bool(validate_rfc3339(text.upper()))


def _is_time(text: str) -> bool:
    return _is_date_time(f"1970-01-01T{text}")


def _is_email(text: str) -> bool:
    return "@" in text


def _is_ipv4(text: str) -> bool:
    from ipaddress import IPv4Address

    return bool(IPv4Address(text))


def _is_ipv6(text: str) -> bool:
    from ipaddress import IPv6Address

    return not IPv6Address(text).scope_id


def _is_regex(text: str) -> bool:
    return bool(re.compile(text))


def _is_uri(text: str) -> bool:
    from rfc3986_validator import validate_rfc3986

    return not text.endswith("\n") and bool(validate_rfc3986(text, rule="URI"))


def _is_uri_reference(text: str) -> bool:
    from rfc3986_validator import validate_rfc3986

    return not text.endswith("\n") and bool(validate_rfc3986(text, rule="URI_reference"))


def _is_uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text))


def _total(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """A check that answers and never raises, because an error in it would make jsonschema-rs
    panic.
    """

    def checked(text: str) -> bool:
        try:
            return check(text)
        except (ValueError, re.error, OverflowError, RecursionError):
            return False

    return checked


FORMATS: Mapping[str, Callable[[str], bool]] = {
    name: _total(check)
    for name, check in {
        "date": _is_date,
        "date-time": _is_date_time,
        "email": _is_email,
        "idn-email": _is_email,
        "ipv4": _is_ipv4,
        "ipv6": _is_ipv6,
        "regex": _is_regex,
        "time": _is_time,
        "uri": _is_uri,
        "uri-reference": _is_uri_reference,
        "uuid": _is_uuid,
    }.items()
}
