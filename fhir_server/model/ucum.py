"""Units of UCUM: the same quantity in base units and in other units.

All arithmetic is exact. What ``model/units.py`` does not list is unknown: None, never a guess. Annotations
(``{cells}/uL``) mean nothing, as UCUM says. Grams and moles do not convert: that needs the substance.

Source: UCUM §§ 27-50 (ucum.org/ucum).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from types import MappingProxyType

from fhir_server.model import units
from fhir_server.model.unit_syntax import Dimension, Unit, parse_unit, rows

WIDEST = 400
"""Digits before or after the point of a quantity; one with more converts to nothing."""
DIGITS = Context(prec=34)
"""Used where a decimal fraction does not end (an inch in yards)."""
_EXACT = Context(prec=4 * WIDEST)


def canonical(value: Decimal, unit: str) -> tuple[Decimal, str] | None:
    """``value unit`` in base units: (Decimal("10"), "g.m-3") for 1 mg/dL; None when the unit is unknown."""
    known, base = parse_unit(unit), in_base_units(value, unit)
    return None if known is None or base is None else (decimal_of(base), known.text)


def in_base_units(value: Decimal, unit: str) -> Fraction | None:
    """``value unit`` in base units without any rounding; None when the unit is unknown or the number beyond measure."""
    known = parse_unit(unit)
    if known is None or not value.is_finite() or abs(value.adjusted()) > WIDEST:
        return None
    return None if len(value.as_tuple().digits) > WIDEST else (Fraction(value) + known.offset) * known.factor


def convert(value: Decimal, unit: str, other: str) -> Decimal | None:
    """``value unit`` in ``other`` (37 Cel → 98.6 [degF]); None when they are unknown or of different dimensions."""
    known, wanted, base = parse_unit(unit), parse_unit(other), in_base_units(value, unit)
    if known is None or wanted is None or base is None or known.dimension != wanted.dimension:
        return None
    return decimal_of(base / wanted.factor - wanted.offset)


@lru_cache(maxsize=1024)
def commensurable(unit: str) -> Mapping[str, Decimal]:
    """The listed units of the same dimension, ``unit`` among them: text → factor; ``value * factor`` is in that unit.

    Cel, [degF] and [degRe] have no such factor to others: ``convert`` and ``equivalents`` know them. An unknown
    unit gives an empty table.
    """
    known = parse_unit(unit)
    if known is None:
        return MappingProxyType({})
    found = {unit: Decimal(1)}
    if not known.offset:
        others = ((text, other) for text, other in _listed(known) if not other.offset)
        found |= {text: decimal_of(known.factor / other.factor) for text, other in others}
    return MappingProxyType(found)


def equivalents(value: Decimal, unit: str) -> Mapping[str, Decimal]:
    """The same quantity in ``unit`` and in every listed unit of its dimension, temperatures included: text → value.

    Empty when ``unit`` is unknown.
    """
    known, base = parse_unit(unit), in_base_units(value, unit)
    if known is None or base is None:
        return {}
    found = {text: decimal_of(base / other.factor - other.offset) for text, other in _listed(known)}
    return {**found, unit: value}


def decimal_of(number: Fraction) -> Decimal:
    """``number`` without trailing zeros: exact when its decimal fraction ends, else with 34 digits."""
    denominator = number.denominator
    twos, fives = _times(denominator, 2), _times(denominator, 5)
    if denominator != 2**twos * 5**fives:
        return DIGITS.divide(Decimal(number.numerator), Decimal(denominator))
    exact = _EXACT.divide(Decimal(number.numerator), Decimal(denominator))
    return exact.quantize(Decimal(1), context=_EXACT) if denominator == 1 else exact.normalize(_EXACT)


def _times(number: int, divisor: int) -> int:
    """How often ``number`` can be divided by ``divisor``."""
    count = 0
    while number % divisor == 0:
        number, count = number // divisor, count + 1
    return count


def _listed(unit: Unit) -> tuple[tuple[str, Unit], ...]:
    """The listed units of the dimension of ``unit``."""
    return _by_dimension().get(unit.dimension, ())


@cache
def _by_dimension() -> dict[Dimension, tuple[tuple[str, Unit], ...]]:
    found: dict[Dimension, tuple[tuple[str, Unit], ...]] = {}
    for text in (*units.COMMON.split(), *rows(units.AFFINE)):
        unit = parse_unit(text)
        if unit is None:
            raise ValueError(f"the table of common units has {text}, which is unknown")
        found[unit.dimension] = (*found.get(unit.dimension, ()), (text, unit))
    return found
