"""Date: every value is an interval, on both sides.

Source: FHIR R4 search.html#date, search.html#prefix.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from fhir_server.model.dates import parse_interval
from fhir_server.search.index import OPEN_HIGH, OPEN_LOW, DateRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows, prefixed
from fhir_server.search.values import DateValue

APPROXIMATION = 10
"""``ap`` widens by the gap between now and the date, divided by this."""


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> DateValue:
    """An optional prefix and a date of any precision. A ``+`` that became a space is put back."""
    prefix, date = prefixed(unicodedata.normalize("NFKC", text).strip())
    try:
        low, high = parse_interval(date.replace(" ", "+"), reading.zone)
    except ValueError as error:
        raise ValueError(
            f"{error}; before it may stand eq, ne, gt, lt, ge, le, sa, eb or ap, and a + is sent as %2B"
        ) from error
    if prefix == "ap":
        gap = abs(reading.now - low) // APPROXIMATION
        return DateValue(prefix, low - gap, high + gap)
    return DateValue(prefix, low, high)


# ── rows ──────────────────────────────────────────────────────────────────────


def _interval(text: Any, zone: tzinfo) -> tuple[int, int] | None:
    """The interval of ``text``; None when it is no date: what cannot be read cannot be found."""
    try:
        return parse_interval(text, zone)
    except (ValueError, TypeError):
        return None


def _moment(key: int, zone: tzinfo) -> Emit:
    def emit(value: str, rows: Rows) -> None:
        try:
            low, high = parse_interval(value, zone)
        except (ValueError, TypeError):
            return
        rows.dates.append((key, low, high))

    return emit


def period_of(value: Mapping[str, Any], zone: tzinfo) -> tuple[int, int] | None:
    """The interval of a Period, open where it has no start or no end; None when it has neither.

    One that ends before it starts, which R4 forbids and people type, is the time between the two.
    """
    start = _interval(value["start"], zone) if "start" in value else None
    end = _interval(value["end"], zone) if "end" in value else None
    if start is None and end is None:
        return None
    if start and end and end[1] <= start[0]:
        return end[0], start[1]
    return (start[0] if start else OPEN_LOW), (end[1] if end else OPEN_HIGH)


def _period(key: int, zone: tzinfo) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        interval = period_of(value, zone)
        if interval is not None:
            rows.dates.append((key, *interval))

    return emit


def _timing(key: int, zone: tzinfo) -> Emit:
    """Only the outer limits of a schedule count."""

    def emit(value: dict[str, Any], rows: Rows) -> None:
        bounds = value.get("repeat", {}).get("boundsPeriod")
        parts = [_interval(event, zone) for event in value.get("event", ())]
        parts += [period_of(bounds, zone)] if bounds else []
        known = [part for part in parts if part]
        if known:
            rows.dates.append((key, min(low for low, _ in known), max(high for _, high in known)))

    return emit


EMITTERS: Mapping[str, Callable[[int, tzinfo], Emit]] = {
    "date": _moment,
    "dateTime": _moment,
    "instant": _moment,
    "Period": _period,
    "Timing": _timing,
}


# ── meeting ───────────────────────────────────────────────────────────────────

Test = Callable[[int, int, int, int], bool]

TESTS: Mapping[str, Test] = {
    # The arguments: low and high of the search, low and high of the resource; all half-open.
    "eq": lambda low, high, start, end: low <= start and end <= high,
    "ne": lambda low, high, start, end: not (low <= start and end <= high),
    "gt": lambda low, high, start, end: end > high,
    "lt": lambda low, high, start, end: start < low,
    "ge": lambda low, high, start, end: end > high or (low <= start and end <= high),
    "le": lambda low, high, start, end: start < low or (low <= start and end <= high),
    "sa": lambda low, high, start, end: start >= high,
    "eb": lambda low, high, start, end: end <= low,
    "co": lambda low, high, start, end: start <= low and high <= end,
    "ap": lambda low, high, start, end: start < high and end > low,
}
"""Prefix → the standard's words: contains, reaches above, reaches below, lies above, lies below, overlaps.
``co`` (is contained) comes from ``_filter`` only."""


def admits(value: DateValue, modifier: str | None, row: DateRow) -> bool:
    """Whether the row's interval stands to the value's as the prefix says."""
    return TESTS[value.prefix](value.low, value.high, row.low, row.high)
