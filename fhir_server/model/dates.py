"""Partial dates as intervals: ``2026-03`` is a month, ``2026-03-02T09:12`` a minute, an instant a millisecond.

Source: FHIR R4 datatypes.html#dateTime, search.html#date.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache

CHINA = timezone(timedelta(hours=8))
"""The zone of a date that names none."""

SECOND = 1_000_000
_ONE_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
    r"|(\d{4}-\d\d-\d\dT\d\d:\d\d)(?:(:\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)?",
    re.ASCII,
)


@lru_cache(maxsize=8192)
def parse_interval(text: str, zone: tzinfo = CHINA) -> tuple[int, int]:
    """The half-open interval that ``text`` names, in microseconds since 1970 UTC.

    ``text`` is a FHIR date, dateTime or instant, or a search value without seconds or zone; ``zone`` is the
    zone of one that names none. The interval is as wide as the precision: a year, month, day, minute, second or
    fraction of a second (at least a microsecond). Raises ValueError for anything else, 24:00 and leap
    seconds included: neither has a place on the scale.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(
            "not a date: expected YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone (Z, +08:00)"
        )
    year, month, day, minute, second, fraction, offset = match.groups()
    if minute is None:
        return _days(int(year), month, day, zone)
    moment = datetime.fromisoformat(minute + (second or "") + (offset or ""))
    low = _microseconds(moment if offset else moment.replace(tzinfo=zone))
    if fraction is None:
        return low, low + (SECOND if second else 60 * SECOND)
    low += int(fraction[:6].ljust(6, "0"))
    return low, low + 10 ** max(0, 6 - len(fraction))


def _days(year: int, month: str | None, day: str | None, zone: tzinfo) -> tuple[int, int]:
    """A year, a month or a day: from midnight to midnight in ``zone``."""
    first = datetime(year, int(month or 1), int(day or 1), tzinfo=zone)
    try:
        return _microseconds(first), _microseconds(_following(first, month, day))
    except (ValueError, OverflowError):
        last_day = datetime.max.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone)
        return _microseconds(first), _microseconds(last_day) + 86_400 * SECOND


def _following(first: datetime, month: str | None, day: str | None) -> datetime:
    """The midnight after the day, month or year that begins at ``first``; none after the year 9999."""
    if day is not None:
        return first + _ONE_DAY
    if month is not None and first.month < 12:
        return first.replace(month=first.month + 1)
    return first.replace(year=first.year + 1, month=1)


def _microseconds(whole_second: datetime) -> int:
    return int(whole_second.timestamp()) * SECOND


def instant(microseconds: int) -> str:
    """An R4 ``instant`` in UTC with milliseconds: ``2026-03-02T01:12:00.000Z``."""
    seconds, rest = divmod(microseconds, SECOND)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{rest // 1000:03d}Z"
