"""Mathematics. What has no result (the root of -1) is empty. Source: FHIRPath N1 §5.7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

from fhir_server.fhirpath.functions.registry import decimal, of_value
from fhir_server.fhirpath.quantities import Quantity, rounded

NUMBER = "a number"
FINE = Context(prec=40, Emax=6000, Emin=-6000)
SHOWN = Context(prec=28, Emax=6000, Emin=-6000)
"""Results are rounded to 28 digits, so that the logarithm of 16 to the base 2 is 4."""


def _whole(rounding: str | None) -> Callable[[Any], Any]:
    """To an Integer: up, down, or (None) towards nought."""

    def compute(value: Any) -> Any:
        if isinstance(value, Quantity):
            return replace(value, value=Decimal(compute(value.value)))
        return int(value) if rounding is None else int(decimal(value).to_integral_value(rounding))

    return compute


def _round(value: Any, places: int = 0) -> Any:
    if not 0 <= places <= 28:
        raise ValueError("round() keeps 0 to 28 decimals")
    if isinstance(value, Quantity):
        return replace(value, value=rounded(value.value, places))
    return rounded(decimal(value), places)


def _abs(value: Any) -> Any:
    return replace(value, value=abs(value.value)) if isinstance(value, Quantity) else abs(value)


def _power(value: Any, exponent: Any) -> Any:
    """Integers to the power of Integers stay Integers, as long as the result is whole."""
    result = SHOWN.plus(FINE.power(decimal(value), decimal(exponent)))
    whole = isinstance(value, int) and isinstance(exponent, int) and result == result.to_integral_value()
    return int(result) if whole and abs(result) < 2**31 else result


def _logarithm(value: Any, base: Any) -> Decimal:
    return SHOWN.plus(FINE.divide(FINE.ln(decimal(value)), FINE.ln(decimal(base))))


ANY = "a number or a Quantity"
FUNCTIONS = {
    "abs": of_value(_abs, ANY),
    "ceiling": of_value(_whole(ROUND_CEILING), ANY),
    "floor": of_value(_whole(ROUND_FLOOR), ANY),
    "truncate": of_value(_whole(None), ANY),
    "round": of_value(_round, ANY, ("a whole number",), optional=1),
    "exp": of_value(lambda value: SHOWN.exp(decimal(value)), NUMBER),
    "ln": of_value(lambda value: SHOWN.ln(decimal(value)) if value > 0 else None, NUMBER),
    "log": of_value(
        lambda value, base: _logarithm(value, base) if value > 0 and base > 0 else None, NUMBER, (NUMBER,)
    ),
    "power": of_value(_power, NUMBER, (NUMBER,)),
    "sqrt": of_value(lambda value: SHOWN.sqrt(decimal(value)) if value >= 0 else None, NUMBER),
}
