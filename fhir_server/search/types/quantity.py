"""Quantity: a number with a unit; Money, Range and SampledData too.

Units are compared as written; their case counts (``mm`` is not ``Mm``). With the system of UCUM the quantity is also
found in every other unit that it can be converted to, the precision that was typed carried along.
Source: FHIR R4 search.html#quantity.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.model.decimals import beyond
from fhir_server.model.ucum import commensurable, equivalents
from fhir_server.search.index import NumberRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import number
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import split, unescape
from fhir_server.search.values import NumberValue, QuantityValue

UCUM = "http://unitsofmeasure.org"
KELVIN = "K"
"""The temperatures that are counted from another zero than this one have no factor to it."""
CURRENCY = "urn:iso:std:iso:4217"
INFINITE = math.inf


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> QuantityValue:
    """``5.4``, ``5.4|system|code`` or ``5.4||unit``, after an optional prefix."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in {1, 3}:
        raise ValueError("allowed is number, number|system|code or number||unit")
    value = number.parse_number(parts[0])
    system, code = parts[1:] if len(parts) == 3 else ("", "")
    others = tuple(_converted(value, code)) if system == UCUM and code else ()
    return QuantityValue(value, system or None, code or None, others)


def _converted(number: NumberValue, unit: str) -> Iterator[QuantityValue]:
    """The quantity in the other units of its dimension: value and range are converted alike."""
    exact = [Decimal(repr(each)) for each in (number.value, number.low, number.high)]
    factors = commensurable(unit)
    if len(factors) < 2 or unit == KELVIN:
        tables = [equivalents(each, unit) for each in exact]
        found = {other: [float(table[other]) for table in tables] for other in tables[0]}
    else:
        found = {other: [float(each * factor) for each in exact] for other, factor in factors.items()}
    for other, (value, low, high) in found.items():
        if other != unit:
            yield QuantityValue(NumberValue(number.prefix, value, low, beyond(value, high)), UCUM, other)


# ── rows ──────────────────────────────────────────────────────────────────────

BOUNDS: Mapping[str, Callable[[float], tuple[float, float]]] = {
    "<": lambda value: (-INFINITE, math.nextafter(value, -INFINITE)),
    "<=": lambda value: (-INFINITE, value),
    ">=": lambda value: (value, INFINITE),
    ">": lambda value: (math.nextafter(value, INFINITE), INFINITE),
}
"""Quantity.comparator → the range that the true value lies in."""


def _add(key: int, unit: Mapping[str, Any], low: float, high: float, rows: Rows) -> None:
    """One row for the code and, when the unit is written differently, one for the unit."""
    code, name = unit.get("code", ""), unit.get("unit", "")
    rows.numbers.append((key, low, high, unit.get("system", ""), code))
    if name and name != code:
        rows.numbers.append((key, low, high, "", name))


def _quantity(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        amount = value.get("value")
        if amount is None:
            return
        low = high = float(amount)
        comparator = value.get("comparator")
        if comparator is not None and comparator in BOUNDS:
            low, high = BOUNDS[comparator](low)
        _add(key, value, low, high, rows)

    return emit


def _money(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        if "value" in value:
            amount, currency = float(value["value"]), value.get("currency", "")
            rows.numbers.append((key, amount, amount, CURRENCY if currency else "", currency))

    return emit


def _range(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        low, high = value.get("low", {}), value.get("high", {})
        start, end = low.get("value"), high.get("value")
        if start is None and end is None:
            return
        bounds = (-INFINITE if start is None else float(start), INFINITE if end is None else float(end))
        _add(key, high if start is None else low, *bounds, rows)

    return emit


_SAMPLE = re.compile(r"(?<!\S)-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,2})?(?!\S)", re.ASCII)


def _sampled(key: int) -> Emit:
    """From the least to the greatest of the samples; what is no number (``E``, ``L``, ``U``) is passed over."""

    def emit(value: dict[str, Any], rows: Rows) -> None:
        origin, factor = value.get("origin", {}), float(value.get("factor", 1))
        zero = float(origin.get("value", 0))
        samples = [zero + float(item) * factor for item in _SAMPLE.findall(value.get("data", ""))]
        if samples:
            _add(key, origin, min(samples), max(samples), rows)

    return emit


EMITTERS: Mapping[str, Callable[[int], Emit]] = {
    **number.EMITTERS,
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
    "Money": _money,
    "Range": _range,
    "SampledData": _sampled,
}


# ── meeting ───────────────────────────────────────────────────────────────────


def admits(value: QuantityValue, modifier: str | None, row: NumberRow) -> bool:
    """Whether the row has one of the units, and its range stands to the number in that unit as the prefix says."""
    return _is_admitted(value, row) or any(_is_admitted(other, row) for other in value.others)


def _is_admitted(value: QuantityValue, row: NumberRow) -> bool:
    if value.system is not None and value.system != row.system:
        return False
    if value.code is not None and value.code != row.code:
        return False
    return number.admits(value.number, None, row)
