"""Date, DateTime and Time: partial, with or without a zone, compared as intervals.

Two moments of different precision, or one with and one without a zone, overlap rather than agree: then the
answer is None (empty). Where it is certain it is given: 1974-12-25 is before now, in whatever zone.

Source: FHIRPath N1 §2.1.6 (literals), §6.1 (equality), §6.2 (comparison).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EARLIEST_ZONE, LATEST_ZONE = 14 * HOUR, 12 * HOUR
"""A moment without a zone is at most so much earlier (+14:00) or later (-12:00) than the same in UTC."""

TEMPORAL = {
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "datetime": "DateTime",
    "time": "Time",
}
"""FHIR type or kind of literal → FHIRPath type."""
PARTS = ("year", "month", "day", "hour", "minute", "second")
"""The precisions, the coarsest first. Seconds and their fractions are one precision (N1 §6.1)."""

_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_CLOCK = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?", re.ASCII)
_ZONE = re.compile(r"Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """``text`` is how it is written (a Time without T); ``[low, high)`` are microseconds, since 1970 or midnight.

    The interval of a moment without a zone is the one that it has in UTC. ``precision`` is an index of PARTS.
    ``day`` and ``clock`` are its numbers as far as they are known; ``digits`` counts those of the fraction.
    """

    type: str
    text: str
    low: int
    high: int
    day: tuple[int, ...]
    clock: tuple[int, ...]
    digits: int
    zone: str

    @property
    def is_clock(self) -> bool:
        """True for a time of day."""
        return self.type == "Time"

    @property
    def precision(self) -> int:
        """Where in PARTS its last number stands."""
        return (3 if self.is_clock else len(self.day)) + min(len(self.clock), 3) - 1


@lru_cache(maxsize=8192)
def moment(kind: str, text: str) -> Moment:
    """The moment that ``text`` means; ``kind`` is a key of TEMPORAL. Raises ValueError when there is none."""
    type = TEMPORAL[kind]
    if type == "Time":
        clock, digits = _clock(text.removeprefix("T"))
        low = clock_start(clock)
        return Moment(type, text.removeprefix("T"), low, low + _clock_width(clock), (), clock, digits, "")
    day_text, separator, rest = text.partition("T")
    if type == "Date" and separator:
        raise ValueError("a Date has no time of day")
    day = _day(day_text)
    zone = "".join(_ZONE.findall(rest)[-1:]) if rest else ""
    rest = rest.removesuffix(zone)
    clock, digits = _clock(rest) if rest else ((), 0)
    if clock and len(day) < 3:
        raise ValueError("a time of day needs a whole date before it")
    if zone and not clock:
        raise ValueError("a zone needs a time of day before it")
    low, high = _span(day, clock, _offset(zone))
    return Moment(type, text.removesuffix("T"), low, high, day, clock, digits, zone)


def _day(text: str) -> tuple[int, ...]:
    match = _DAY.fullmatch(text)
    if match is None:
        raise ValueError("not a date: expected YYYY, YYYY-MM or YYYY-MM-DD")
    return tuple(int(part) for part in match.groups() if part)


def _clock(text: str) -> tuple[tuple[int, ...], int]:
    """Hours, minutes, seconds, microseconds as far as they are given, and the number of digits of the fraction."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError("not a time of day: expected hh, hh:mm, hh:mm:ss or hh:mm:ss.fff")
    *whole, fraction = match.groups()
    parts = [int(part) for part in whole if part]
    if any(part >= most for part, most in zip(parts, (24, 60, 60), strict=False)):
        raise ValueError("not a time of day: hours end at 23, minutes and seconds at 59")
    if len(parts) == 3:
        parts.append(int((fraction or "")[:6].ljust(6, "0")))
    return tuple(parts), len(fraction or "")


def clock_start(clock: tuple[int, ...]) -> int:
    """Microseconds from midnight to hours, minutes, seconds, microseconds."""
    return sum(part * size for part, size in zip(clock, (HOUR, MINUTE, SECOND, 1), strict=False))


def _clock_width(clock: tuple[int, ...]) -> int:
    return (DAY, HOUR, MINUTE, 1, 1)[len(clock)]


def _span(day: tuple[int, ...], clock: tuple[int, ...], offset: int) -> tuple[int, int]:
    first = day_start(day)
    if not clock:
        return first, day_start(_following(day))
    low = first + clock_start(clock) - offset
    return low, low + _clock_width(clock)


_EPOCH = date(1970, 1, 1).toordinal()


def day_start(day: tuple[int, ...]) -> int:
    """Microseconds from 1970 to the midnight at which a year, month or day begins. Raises ValueError."""
    year, month, number = (*day, 1, 1)[:3]
    if year == 10_000:
        return (date.max.toordinal() + 1 - _EPOCH) * DAY
    return (date(year, month, number).toordinal() - _EPOCH) * DAY


def _following(day: tuple[int, ...]) -> tuple[int, ...]:
    """The year, month or day after ``day``."""
    if len(day) == 3:
        number = date(*day).toordinal() + 1
        if number > date.max.toordinal():
            return (10_000,)
        after = date.fromordinal(number)
        return after.year, after.month, after.day
    if len(day) == 2 and day[1] < 12:
        return day[0], day[1] + 1
    return (day[0] + 1,)


def _offset(zone: str) -> int:
    if zone in {"", "Z"}:
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return (minutes if zone[0] == "+" else -minutes) * MINUTE


def _range(one: Moment, other: Moment) -> tuple[int, int]:
    """The interval of ``one`` when it is compared with ``other``: wide, when only the other has a zone.

    A date without time is not pinned to a zone either.
    """
    if bool(one.zone) == bool(other.zone) or one.zone:
        return one.low, one.high
    return one.low - EARLIEST_ZONE, one.high + LATEST_ZONE


def compare(one: Moment, other: Moment) -> int | None:
    """-1, 0 or 1 as ``one`` is before, at or after ``other``; None when it is not certain. Both are of one scale."""
    (low, high), (other_low, other_high) = _range(one, other), _range(other, one)
    if high <= other_low:
        return -1
    if other_high <= low:
        return 1
    same = (low, high) == (other_low, other_high) and bool(one.zone) == bool(other.zone)
    return 0 if same else None
