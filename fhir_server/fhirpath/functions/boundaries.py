"""Precision and boundaries. Source: FHIRPath 3.0 (after N1) §5.8 lowBoundary, highBoundary, precision, comparable."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from fhir_server.fhirpath.calendars import KINDS, written
from fhir_server.fhirpath.functions.registry import decimal, of_value
from fhir_server.fhirpath.moments import Moment, moment
from fhir_server.fhirpath.quantities import Quantity, aligned, decimals
from fhir_server.fhirpath.values import as_quantity

MOST_DECIMALS = 31
DATE_DIGITS = {4: 1, 6: 2, 8: 3}
TIME_DIGITS = {2: 1, 4: 2, 6: 3, 9: 4}
"""Digits that a precision has → how many numbers it says: 8 digits are year, month and day."""
DEFAULTS = {"Date": 8, "DateTime": 17, "Time": 9}
EXACT = Context(prec=200)


def _boundary(low: bool) -> Callable[..., Any]:
    """lowBoundary() or highBoundary(): the least or the greatest value that the input may be, to a precision."""

    def compute(value: Any, digits: int | None = None) -> Any:
        if isinstance(value, Quantity):
            number = _number(value.value, digits, low)
            return None if number is None else replace(value, value=number)
        if isinstance(value, Moment):
            return _moment(value, DEFAULTS[value.type] if digits is None else digits, low)
        return _number(decimal(value), digits, low)

    return compute


def _number(value: Decimal, digits: int | None, low: bool) -> Decimal | None:
    places = 8 if digits is None else digits
    if not 0 <= places <= MOST_DECIMALS:
        return None
    half = Decimal(5).scaleb(-decimals(value) - 1)
    edge = EXACT.subtract(value, half) if low else EXACT.add(value, half)
    return edge.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR if low else ROUND_CEILING, EXACT)


def _moment(value: Moment, digits: int, low: bool) -> Moment | None:
    parts = _parts(value, digits)
    if parts is None:
        return None
    days, clocks = parts
    day = _filled_day(value.day, days, low)
    clock = (
        *value.clock[:clocks],
        *((0, 0, 0, 0) if low else (23, 59, 59, 999_000))[len(value.clock) : clocks],
    )
    zone = value.zone or ("" if not clocks or value.is_clock else "+14:00" if low else "-12:00")
    text = written(day, clock, 3 if clocks == 4 else 0, zone if clocks else "")
    return moment(KINDS[value.type], text)


def _parts(value: Moment, digits: int) -> tuple[int, int] | None:
    """How many numbers of the date and of the time of day ``digits`` asks for; None for a precision that is none."""
    if value.is_clock:
        return (0, TIME_DIGITS[digits]) if digits in TIME_DIGITS else None
    if digits in DATE_DIGITS:
        return DATE_DIGITS[digits], 0
    clocks = TIME_DIGITS.get(digits - 8)
    return (3, clocks) if clocks and value.type == "DateTime" else None


def _filled_day(day: tuple[int, ...], wanted: int, low: bool) -> tuple[int, ...]:
    if len(day) == 1:
        day = (*day, 1 if low else 12)
    if len(day) == 2:
        day = (*day, 1 if low else monthrange(*day)[1])
    return day[:wanted]


def _precision(value: Any) -> int:
    """Digits after the point of a number, digits of the whole of a date or time."""
    if not isinstance(value, Moment):
        return decimals(decimal(value.value if isinstance(value, Quantity) else value))
    known = {count: digits for digits, count in TIME_DIGITS.items()}
    clock = known.get(len(value.clock), 0)
    return clock if value.is_clock else (0, 4, 6, 8)[len(value.day)] + clock


def _comparable(one: Any, other: Any) -> bool:
    """Whether both have one dimension. Unknown units are comparable with nothing but themselves."""
    left, right = as_quantity(one), as_quantity(other)
    return left is not None and right is not None and aligned(left, right) is not None


ANY = "a number, a Quantity, a date or a time"
FUNCTIONS = {
    "lowBoundary": of_value(_boundary(low=True), ANY, ("a whole number",), optional=1),
    "highBoundary": of_value(_boundary(low=False), ANY, ("a whole number",), optional=1),
    "precision": of_value(_precision, ANY),
    "comparable": of_value(_comparable, "a number or a Quantity", ("a number or a Quantity",)),
}
