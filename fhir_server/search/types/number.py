"""Number: a value with the precision it is written with.

Source: FHIR R4 search.html#number, search.html#prefix.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

from fhir_server.model.decimals import implicit_range
from fhir_server.search.index import NumberRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows, prefixed
from fhir_server.search.values import NumberValue

APPROXIMATION = 0.1
"""``ap`` widens by this part of the value."""


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> NumberValue:
    """An optional prefix and a decimal number."""
    return parse_number(text)


def parse_number(text: str) -> NumberValue:
    """The value in ``ge5.40``. Raises ValueError."""
    prefix, number = prefixed(unicodedata.normalize("NFKC", text).strip())
    low, high = implicit_range(number)
    value = float(number)
    if prefix == "ap":
        gap = abs(value) * APPROXIMATION
        low, high = min(low, value - gap), max(high, value + gap)
    return NumberValue(prefix, value, low, high)


# ── rows ──────────────────────────────────────────────────────────────────────


def _plain(key: int) -> Emit:
    def emit(value: float, rows: Rows) -> None:
        rows.numbers.append((key, float(value), float(value), "", ""))

    return emit


EMITTERS: Mapping[str, Callable[[int], Emit]] = dict.fromkeys(
    ("decimal", "integer", "positiveInt", "unsignedInt"), _plain
)


# ── meeting ───────────────────────────────────────────────────────────────────


def _contains(value: NumberValue, low: float, high: float) -> bool:
    return value.low <= low and high < value.high


TESTS: Mapping[str, Callable[[NumberValue, float, float], bool]] = {
    # The arguments: the search value, and low and high (both inclusive) of the resource.
    "eq": _contains,
    "ne": lambda value, low, high: not _contains(value, low, high),
    "gt": lambda value, low, high: high > value.value,
    "lt": lambda value, low, high: low < value.value,
    "ge": lambda value, low, high: high >= value.value,
    "le": lambda value, low, high: low <= value.value,
    "sa": lambda value, low, high: low > value.value,
    "eb": lambda value, low, high: high < value.value,
    "ap": lambda value, low, high: low <= value.high and high >= value.low,
}
"""Prefix → test. The precision counts for eq, ne and ap; for the others the number is exact."""


def admits(value: NumberValue, modifier: str | None, row: NumberRow) -> bool:
    """Whether the row's range stands to the number as the prefix says."""
    return TESTS[value.prefix](value, row.low, row.high)
