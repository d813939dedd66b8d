"""System values: what a primitive is when it is compared, and when two values are equal or ordered.

Dates are compared as intervals of time, which gives N1's rule for different precisions: true or
false when it is certain, None (empty) when it is not.

Source: FHIRPath N1 §5.5 (conversion), §6.1 (equality), §6.2 (comparison).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.node import Node
from fhir_server.model.dates import parse_interval

INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
MOMENTS = frozenset({"date", "dateTime", "instant"})
DAY = 86_400_000_000
CLOCK_PARTS = (3_600_000_000, 60_000_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, dateTime (``clock`` False) or time of day (True) as the interval ``[low, high)`` in microseconds."""

    low: int
    high: int
    clock: bool = False


def moment(kind: str, text: str, zone: tzinfo) -> Moment:
    """The moment that ``text`` means; ``kind`` "time" is a time of day. Raises ValueError."""
    if kind == "time":
        return _clock(text.removeprefix("T"))
    low, high = parse_interval(text.removesuffix("T"), zone)
    return Moment(low, high)


def _clock(text: str) -> Moment:
    whole, _, fraction = text.partition(".")
    parts = [int(part) for part in whole.split(":")]
    low = sum(part * size for part, size in zip(parts, CLOCK_PARTS, strict=False))
    low += int(fraction[:6].ljust(6, "0")) if fraction else 0
    width = 1_000_000 // 10 ** len(fraction) if fraction else CLOCK_PARTS[len(parts) - 1]
    return Moment(low, low + max(width, 1), clock=True)


def system_value(item: Any, zone: tzinfo) -> Any:
    """``item`` as bool, int, Decimal, str or Moment when it is a primitive; a complex Node stays itself."""
    if not isinstance(item, Node) or item.path or item.value is None:
        return item
    if item.type in MOMENTS or item.type == "time":
        return moment(item.type, item.value, zone)
    if item.type == "decimal" or isinstance(item.value, float):
        return Decimal(str(item.value))
    return item.value


def equal(left: Any, right: Any) -> bool | None:
    """``left = right`` of two items; None when it cannot be known."""
    if isinstance(left, Moment) and isinstance(right, Moment):
        return _same_moment(left, right)
    if isinstance(left, Node) and isinstance(right, Node):
        return left.value == right.value and left.extra == right.extra
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _same_moment(left: Moment, right: Moment) -> bool | None:
    if left.clock != right.clock or left.high <= right.low or right.high <= left.low:
        return False
    return True if left == right else None


ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def ordered(operator: str, left: Any, right: Any) -> bool | None:
    """``left operator right`` for ``< <= > >=``; None when unknown. Raises TypeError for unlike types."""
    if isinstance(left, Moment) and isinstance(right, Moment) and left.clock == right.clock:
        certain = left == right or left.high <= right.low or right.high <= left.low
        return ORDERS[operator](left.low, right.low) if certain else None
    if _like(left, right):
        return ORDERS[operator](left, right)
    raise TypeError(f"{type_name(left)} and {type_name(right)} have no order")


def _like(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    numbers = isinstance(left, int | Decimal) and isinstance(right, int | Decimal)
    return numbers or (isinstance(left, str) and isinstance(right, str))


SYSTEM_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "Boolean"),
    (int, "Integer"),
    (Decimal, "Decimal"),
    (str, "String"),
)


def type_name(item: Any) -> str:
    """The FHIRPath type of an item: ``Patient`` for a Node, ``Boolean``, ``DateTime`` … for a System value."""
    if isinstance(item, Node):
        return item.type
    if isinstance(item, Moment):
        return "Time" if item.clock else "DateTime"
    return next((name for kind, name in SYSTEM_TYPES if isinstance(item, kind)), type(item).__name__)
