"""System quantities: a number with a UCUM unit or a calendar duration.

A week and anything shorter is the same in the calendar and in UCUM. A calendar year or month is not so many
seconds: it compares with calendar durations only, except that FHIR data with the UCUM codes ``a`` and ``mo`` may
mean either.

Source: FHIRPath N1 §2.1.7, §4.1.8 (quantities), §6.1, §6.2, §6.6; FHIR R4 fhirpath.html#quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction

from fhir_server.fhirpath.node import Node
from fhir_server.model.ucum import convert, decimal_of, in_base_units
from fhir_server.model.unit_syntax import Dimension, parse_unit

UCUM = "http://unitsofmeasure.org"
KINDS = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"})
"""FHIR types that are quantities."""
CALENDAR = {
    "year": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
"""Calendar duration → the UCUM unit that is the same, or (years and months) nearly so."""
WORDS = {code: word for word, code in CALENDAR.items()}
MONTHS = {"year": 12, "month": 1}
DAYS = {"year": 365, "month": 30}
_MONTH: Dimension = (("month", 1),)
DECIMAL = Context(prec=34, Emax=6000, Emin=-6000)


@dataclass(frozen=True, slots=True)
class Quantity:
    """``unit`` is UCUM, or with ``calendar`` a word (``days``); ``either``: UCUM data that may be meant as calendar."""

    value: Decimal
    unit: str = "1"
    calendar: bool = False
    either: bool = False

    def __str__(self) -> str:
        """As a literal: ``1 'mg'``, ``2 days``."""
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"

    @property
    def duration(self) -> str | None:
        """The calendar word that can be added to a date; None when there is none (UCUM years and months too)."""
        if self.calendar or self.unit.removesuffix("s") in CALENDAR:
            return singular(self.unit)
        word = WORDS.get(self.unit)
        return None if word in MONTHS and not self.either else word

    def as_calendar(self) -> Quantity:
        """The same as a calendar duration, when it may be one."""
        word = WORDS.get(self.unit) if self.either else None
        return Quantity(self.value, word, True) if word else self


def singular(word: str) -> str:
    """``days`` → ``day``."""
    return word.removesuffix("s")


def quantity_of(node: Node) -> Quantity | None:
    """The System quantity that a FHIR Quantity means; None when it has no UCUM code.

    Raises ValueError for one with a comparator, which is no exact number.
    """
    data = node.value
    if not isinstance(data, dict) or data.get("system") != UCUM or "code" not in data or "value" not in data:
        return None
    if "comparator" in data:
        raise ValueError(f"a Quantity with the comparator {data['comparator']} cannot be computed with")
    code = str(data["code"])
    return Quantity(Decimal(str(data["value"])), code, either=WORDS.get(code) in MONTHS)


def measured(quantity: Quantity) -> tuple[Fraction, Dimension] | None:
    """The number in base units and the dimension; None when the number is beyond all measure.

    An unknown unit is a dimension of its own.
    """
    if quantity.calendar:
        word = singular(quantity.unit)
        if word in MONTHS:
            return Fraction(quantity.value) * MONTHS[word], _MONTH
        return measured(Quantity(quantity.value, CALENDAR[word]))
    unit = parse_unit(quantity.unit)
    if unit is None:
        return Fraction(quantity.value), ((quantity.unit, 1),)
    base = in_base_units(quantity.value, quantity.unit)
    return None if base is None else (base, unit.dimension)


def aligned(one: Quantity, other: Quantity) -> tuple[Quantity, Quantity] | None:
    """Both so that they can be measured alike; None when they have no common dimension.

    UCUM data that may be meant as calendar is, when the other is a calendar duration; otherwise years and months of
    UCUM and of the calendar compare with themselves only. To the calendar a year is 12 months or 365 days, a
    month 30 days.
    """
    if one.calendar != other.calendar:
        one, other = one.as_calendar(), other.as_calendar()
        if one.calendar != other.calendar and MONTHS.keys() & {_word(one), _word(other)}:
            return None
    for left, right in ((one, other), (in_days(one), in_days(other))):
        sizes = measured(left), measured(right)
        if sizes[0] and sizes[1] and sizes[0][1] == sizes[1][1]:
            return left, right
    return None


def _word(quantity: Quantity) -> str | None:
    """The calendar word for its unit."""
    return singular(quantity.unit) if quantity.calendar else WORDS.get(quantity.unit)


def in_days(quantity: Quantity) -> Quantity:
    """A calendar year or month as so many days; anything else as it is."""
    days = DAYS.get(singular(quantity.unit), 0) if quantity.calendar else 0
    return Quantity(quantity.value * days, "days", True) if days else quantity


def compare(one: Quantity, other: Quantity) -> int | None:
    """-1, 0 or 1; None when they have different dimensions."""
    pair = aligned(one, other)
    if pair is None:
        return None
    left, right = measured(pair[0]), measured(pair[1])
    assert left is not None and right is not None
    return (left[0] > right[0]) - (left[0] < right[0])


def equivalent(one: Quantity, other: Quantity) -> bool:
    """Whether they are the same as far as the less precise says. A UCUM year is equivalent to a calendar year."""
    left, right = (
        replace(item, unit=CALENDAR[singular(item.unit)], calendar=False) if item.calendar else item
        for item in (one, other)
    )
    pair = in_one_unit(left, right, coarse=True)
    if pair is None:
        return False
    return nearly(pair[0], pair[1])


def nearly(one: Decimal, other: Decimal) -> bool:
    """Whether two numbers are equal when both are rounded to the decimals of the less precise (N1 §6.1.2).

    Noughts at the end say nothing of precision.
    """
    places = min(decimals(one.normalize(DECIMAL)), decimals(other.normalize(DECIMAL)))
    return rounded(one, places) == rounded(other, places)


def decimals(number: Decimal) -> int:
    """How many digits stand after the point."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def rounded(number: Decimal, places: int) -> Decimal:
    """Half away from nought."""
    if decimals(number) <= places:
        return number
    return number.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP", context=Context(prec=2000))


def in_one_unit(
    one: Quantity, other: Quantity, coarse: bool = False
) -> tuple[Decimal, Decimal, Quantity] | None:
    """Both numbers in the finer of their units (or the coarser), and which quantity has it; None when they have no
    common dimension."""
    pair = aligned(one, other)
    if pair is None:
        return None
    one, other = pair
    if (one.unit, one.calendar) == (other.unit, other.calendar):
        return one.value, other.value, one
    sizes = [measured(replace(item, value=Decimal(1))) for item in (one, other)]
    values = [measured(item) for item in (one, other)]
    left, right, first, second = *sizes, *values
    if _has_offset(one) or _has_offset(other):
        found = convert(other.value, other.unit, one.unit)
        return None if found is None else (one.value, found, one)
    if left is None or right is None or first is None or second is None:
        return None
    wanted = one if (left[0] < right[0]) is not coarse else other
    if wanted is one:
        return one.value, decimal_of(second[0] / left[0]), one
    return decimal_of(first[0] / right[0]), other.value, other


def _has_offset(quantity: Quantity) -> bool:
    unit = None if quantity.calendar else parse_unit(quantity.unit)
    return unit is not None and bool(unit.offset)
