"""Arithmetic with dates and times: adding calendar durations, with the precision that the moment has.

Source: FHIRPath N1 §6.6.7, §6.6.8 (date/time arithmetic).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal

from fhir_server.fhirpath.moments import DAY, HOUR, MINUTE, SECOND, Moment, clock_start, moment

SIZES = {
    "day": (DAY, 2),
    "hour": (HOUR, 3),
    "minute": (MINUTE, 4),
    "second": (SECOND, 5),
    "millisecond": (1000, 5),
}
"""Unit → microseconds, and the precision that it needs."""
KINDS = {"Date": "date", "DateTime": "datetime", "Time": "time"}
LARGEST = 10**15
"""Beyond it no sum is a date."""


def shifted(start: Moment, amount: Decimal, unit: str) -> Moment | None:
    """``start`` and ``amount`` of ``unit`` (year … millisecond), None when it is no date any more.

    Fractions count for seconds only; what is finer than ``start`` is converted to its precision and cut off, a
    month being 30 and a year 365 days then. Raises ValueError for a Time and days or more.
    """
    if not amount.is_finite() or abs(amount) > LARGEST:
        return None
    if unit == "week":
        amount, unit = Decimal(int(amount) * 7), "day"
    if start.is_clock and unit in {"year", "month", "day"}:
        raise ValueError(f"to a Time hours, minutes and seconds can be added, not {unit}s")
    if unit in {"year", "month"}:
        return _by_months(start, int(amount) * (12 if unit == "year" else 1))
    size, needed = SIZES[unit]
    span = int(amount * size) if needed == 5 else int(amount) * size
    if start.is_clock:
        return _clock_from(start, (clock_start(start.clock) + _cut(span, start)) % DAY)
    if start.precision < 2:
        days = abs(span) // DAY
        months = days // 30 if start.precision == 1 else days // 365 * 12
        return _by_months(start, months if span > 0 else -months)
    return _by_span(start, _cut(span, start))


def _cut(span: int, start: Moment) -> int:
    """``span`` without what is finer than ``start``, cut towards nought."""
    finest = (DAY, HOUR, MINUTE, 1)[start.precision - 2]
    return span - span % finest if span >= 0 else -(-span - -span % finest)


def _by_months(start: Moment, months: int) -> Moment | None:
    """The day stays, or becomes the last one of a shorter month."""
    if len(start.day) == 1:
        months = int(months / 12) * 12
    year, month = divmod(start.day[0] * 12 + (start.day[1] - 1 if len(start.day) > 1 else 0) + months, 12)
    if not date.min.year <= year <= date.max.year:
        return None
    day = (year, month + 1, *start.day[2:])[: len(start.day)]
    if len(day) == 3:
        day = (*day[:2], min(day[2], monthrange(year, month + 1)[1]))
    return _written(start, day, start.clock)


def _by_span(start: Moment, span: int) -> Moment | None:
    days, rest = divmod(clock_start(start.clock) + span, DAY)
    ordinal = date(*start.day).toordinal() + days
    if not 0 < ordinal <= date.max.toordinal():
        return None
    after = date.fromordinal(ordinal)
    return _written(start, (after.year, after.month, after.day), _parts(rest)[: len(start.clock)])


def _clock_from(start: Moment, span: int) -> Moment:
    return _written(start, (), _parts(span)[: len(start.clock)])


def _parts(span: int) -> tuple[int, ...]:
    """Microseconds since midnight as hours, minutes, seconds, microseconds."""
    hours, rest = divmod(span, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    return (hours, minutes, *divmod(rest, SECOND))


def _written(start: Moment, day: tuple[int, ...], clock: tuple[int, ...]) -> Moment:
    """The moment with these numbers, written as ``start`` is."""
    return moment(KINDS[start.type], written(day, clock, start.digits, start.zone))


def written(day: tuple[int, ...], clock: tuple[int, ...], digits: int = 0, zone: str = "") -> str:
    """The text of a date, a date with time, or a time; the fraction with at least ``digits``."""
    dated = "-".join(f"{part:0{2 if at else 4}d}" for at, part in enumerate(day))
    timed = ":".join(f"{part:02d}" for part in clock[:3])
    if len(clock) == 4:
        fraction = f"{clock[3]:06d}"
        kept = max(digits, 3 * -(-len(fraction.rstrip("0")) // 3))
        timed += f".{fraction.ljust(kept, '0')[:kept]}" if kept else ""
    return f"{dated}T{timed}{zone}" if dated and timed else dated or timed
