"""The formats of times that `to_epoch` and `to_iso` have by name, exact to every digit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import floor
from typing import Any

from tablekeeper.documents.numbers import EXACT, Number

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The first second of the year 1 and the last of the year 9999: what ISO 8601 has four digits
for.
"""
_CLOCK = r"\d{2}:\d{2}:\d{2}"
_DATE = r"\d{4}-\d{2}-\d{2}"
_WITH_OFFSET = re.compile(rf"({_DATE}[Tt ]{_CLOCK})(\.\d+)?([Zz]|[+-]\d{{2}}:?\d{{2}})", re.ASCII)
_WITHOUT_OFFSET = re.compile(rf"({_DATE}[Tt ]{_CLOCK})(\.\d+)?()", re.ASCII)
_DAY = re.compile(_DATE, re.ASCII)
# A year of fewer digits has a century that email.utils guesses, "0050" too.
# Of other zones nobody knows the offset, and email.utils takes them for UTC.
# https://www.rfc-editor.org/rfc/rfc2822#section-4.3
_MAIL = re.compile(
    rf"([A-Z][a-z]{{2}}, )?\d{{1,2}} [A-Z][a-z]{{2}} [1-9]\d{{3}} {_CLOCK} "
    r"(UTC?|GMT|Z|[ECMP][SD]T|[+-]\d{4})",
    re.ASCII,
)


def epoch_seconds(value: Any, time_format: str) -> Number:
    """Seconds since 1970, with all digits of the value.

    Raises:
        KeyError: there is no such format.
        ValueError: the value is no time of this format, or lies out of the years 1 to 9999.
    """
    seconds = TIME_FORMATS[time_format](value)
    if not _FIRST <= seconds < _LAST + 1:
        raise ValueError("out of the years 1 to 9999")
    return int(seconds) if seconds == int(seconds) else seconds


def iso_time(seconds: Number) -> str:
    """A time in UTC, such as `2026-01-31T12:00:00.5Z`, of seconds that `epoch_seconds` gives."""
    whole = floor(seconds)
    fraction = EXACT.subtract(Decimal(seconds), Decimal(whole)).normalize(EXACT)
    moment = _EPOCH + timedelta(seconds=whole)
    behind_point = f"{fraction:f}".removeprefix("0")
    return f"{moment.replace(tzinfo=None).isoformat()}{behind_point}Z"


def _count(unit: int) -> Callable[[Any], Number]:
    def seconds(value: Any) -> Number:
        if isinstance(value, int | Decimal):
            return EXACT.divide(Decimal(value), Decimal(unit))
        raise ValueError("no number")

    return seconds


def _iso(pattern: re.Pattern[str]) -> Callable[[Any], Number]:
    def seconds(value: Any) -> Number:
        match = pattern.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise ValueError("another form")
        whole, fraction, offset = match.groups()
        moment = datetime.fromisoformat(whole.upper() + (offset.upper() or "+00:00"))
        return EXACT.add(Decimal(_since_epoch(moment)), Decimal(f"0{fraction or ''}"))

    return seconds


def _day(value: Any) -> Number:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("another form")
    return _since_epoch(datetime.fromisoformat(value).replace(tzinfo=UTC))


def _mail(value: Any) -> Number:
    from email.utils import parsedate_to_datetime

    if not isinstance(value, str) or not _MAIL.fullmatch(value):
        raise ValueError("another form")
    moment = parsedate_to_datetime(value)
    return _since_epoch(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _since_epoch(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * 86_400 + since.seconds


TIME_FORMATS: Mapping[str, Callable[[Any], Number]] = {
    "seconds": _count(1),
    "milliseconds": _count(10**3),
    "microseconds": _count(10**6),
    "nanoseconds": _count(10**9),
    "iso8601": _iso(_WITH_OFFSET),
    "utc": _iso(_WITHOUT_OFFSET),
    "date": _day,
    "rfc2822": _mail,
}
"""Each format's way to epoch seconds; it raises ValueError. `utc` is ISO 8601, or SQL, without an
offset; `date` is midnight in UTC.
"""
