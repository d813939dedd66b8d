"""Decimals by their text: what ``100`` and ``100.00`` say about precision.

Source: FHIR R4 datatypes.html#decimal, search.html#number.
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from functools import lru_cache

_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?", re.ASCII)
_EXACT = Context(prec=400)


@lru_cache(maxsize=1024)
def implicit_range(text: str) -> tuple[float, float]:
    """The half-open range of numbers that a search for ``text`` means: ``100`` is 99.5 … 100.5.

    Half a unit of the last written digit to each side. With an exponent the standard's own example is
    followed (``1e2`` is 95 … 105): there it is half a unit of the digit after the last written one.
    Raises ValueError when ``text`` is no FHIR decimal or too large for a double.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"not a decimal number: {text[:40]!r}; examples are 5.40, -3 and 1e2")
    fraction, exponent = match.groups()
    last = int(exponent or 0) - len(fraction or "") - (0 if exponent is None else 1)
    value, half = Decimal(text), Decimal(5).scaleb(last - 1)
    low, high = float(_EXACT.subtract(value, half)), float(_EXACT.add(value, half))
    if math.isinf(low) or math.isinf(high):
        raise ValueError(f"the number {text[:40]!r} is too large")
    return low, beyond(float(value), high)


def beyond(value: float, high: float) -> float:
    """``high``, or the next double after ``value`` when the range is narrower than doubles lie apart."""
    return high if high > value else math.nextafter(value, math.inf)
