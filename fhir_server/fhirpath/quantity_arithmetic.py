"""Arithmetic of quantities: sums in the finer unit, products with their units.

Source: FHIRPath N1 §6.6.1-§6.6.4.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from fhir_server.fhirpath.quantities import (
    CALENDAR,
    DECIMAL,
    MONTHS,
    Quantity,
    in_one_unit,
    measured,
    singular,
)
from fhir_server.model.ucum import decimal_of


def added(one: Quantity, other: Quantity, sign: int) -> Quantity | None:
    """The sum (or difference, ``sign`` -1) in the finer unit; None when they have different dimensions."""
    pair = in_one_unit(one, other)
    if pair is None:
        return None
    return replace(pair[2], value=DECIMAL.add(pair[0], pair[1] * sign), either=one.either and other.either)


def multiplied(one: Quantity, other: Quantity) -> Quantity | None:
    """The product; what has no dimension leaves the other's unit.

    None for a calendar year or month and something else that has a unit.
    """
    for scale, kept in ((_plain(one), other), (_plain(other), one)):
        if scale is not None:
            return replace(kept, value=DECIMAL.multiply(kept.value, scale))
    if _is_uneven(one) or _is_uneven(other):
        return None
    return Quantity(DECIMAL.multiply(one.value, other.value), f"{_factor(one)}.{_factor(other)}")


def _is_uneven(quantity: Quantity) -> bool:
    """Whether it is a calendar year or month, which is no length of time."""
    return quantity.calendar and singular(quantity.unit) in MONTHS


def _plain(quantity: Quantity) -> Decimal | None:
    """The number that a quantity without dimension is (``2 'kg/kg'``, ``5 '%'``); None for others."""
    found = None if quantity.calendar else measured(quantity)
    return decimal_of(found[0]) if found is not None and not found[1] else None


def divided(one: Quantity, other: Quantity) -> Quantity | None:
    """The quotient; None for nought below. Quantities of one dimension give a plain number.

    A calendar year or month is no length of time by which anything else could be divided.
    """
    if not other.value:
        return None
    scale = _plain(other)
    if scale is not None:
        return replace(one, value=DECIMAL.divide(one.value, scale))
    pair = in_one_unit(one, other)
    if pair is not None:
        return Quantity(DECIMAL.divide(pair[0], pair[1]))
    if _is_uneven(one) or _is_uneven(other):
        return None
    value = DECIMAL.divide(one.value, other.value)
    above = "" if one.unit == "1" else _factor(one)
    return Quantity(value, f"{above}/{_factor(other)}")


def _factor(quantity: Quantity) -> str:
    """The unit as part of a product."""
    unit = CALENDAR[singular(quantity.unit)] if quantity.calendar else quantity.unit
    return f"({unit})" if set(unit) & {".", "/"} else unit
