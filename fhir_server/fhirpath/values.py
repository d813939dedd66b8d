"""System values: what a primitive is when it is compared, and when two values are equal or ordered.

Dates are compared as intervals of time, which gives N1's rule for different precisions: true or
false when it is certain, None (empty) when it is not.

Source: FHIRPath N1 §5.5 (conversion), §6.1 (equality), §6.2 (comparison).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.node import Node
from fhir_server.model.dates import parse_interval

HOUR = 3_600_000_000
SECOND = 1_000_000
CLOCK_PARTS = (HOUR, 60_000_000, SECOND)
TEMPORAL = {
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "datetime": "DateTime",
    "time": "Time",
}
"""FHIR type or kind of literal → FHIRPath type."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A Date, DateTime or Time as the interval ``[low, high)`` in microseconds; ``type`` says which.

    Seconds and their fractions are one precision: ``10:30:00`` is ``10:30:00.0``.
    """

    low: int
    high: int
    type: str = field(compare=False)

    @property
    def is_clock(self) -> bool:
        """True for a time of day."""
        return self.type == "Time"


def moment(kind: str, text: str, zone: tzinfo) -> Moment:
    """The moment that ``text`` means; ``kind`` is a key of TEMPORAL. Raises ValueError."""
    low, high = _clock(text.removeprefix("T")) if kind == "time" else _interval(text.removesuffix("T"), zone)
    return Moment(low, low + 1 if high - low <= SECOND else high, TEMPORAL[kind])


def _interval(text: str, zone: tzinfo) -> tuple[int, int]:
    """As ``parse_interval``; FHIRPath also has DateTimes that end with the hour."""
    day, _, clock = text.partition("T")
    if clock[2:3] in {"", "Z", "+", "-"} and clock:
        low, _ = parse_interval(f"{day}T{clock[:2]}:00{clock[2:]}", zone)
        return low, low + HOUR
    return parse_interval(text, zone)


def _clock(text: str) -> tuple[int, int]:
    whole, _, fraction = text.partition(".")
    parts = [int(part) for part in whole.split(":")]
    if any(part >= most for part, most in zip(parts, (24, 60, 60), strict=False)):
        raise ValueError("not a time of day: hours end at 23, minutes and seconds at 59")
    low = sum(part * size for part, size in zip(parts, CLOCK_PARTS, strict=False))
    return low + int(fraction[:6].ljust(6, "0")), low + CLOCK_PARTS[len(parts) - 1]


def system_value(item: Any, zone: tzinfo) -> Any:
    """``item`` as bool, int, Decimal, str or Moment when it is a primitive; a complex Node stays itself."""
    if not isinstance(item, Node) or item.path or item.value is None:
        return item
    if item.type in TEMPORAL:
        return _moment_or_text(item.type, item.value, zone)
    if item.type == "decimal" or isinstance(item.value, float):
        return Decimal(str(item.value))
    return item.value


def _moment_or_text(kind: str, text: str, zone: tzinfo) -> Moment | str:
    """Data that is not valid stays what it is: a text."""
    try:
        return moment(kind, text, zone)
    except ValueError:
        return text


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
    if left.is_clock != right.is_clock or left.high <= right.low or right.high <= left.low:
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
    if isinstance(left, Moment) and isinstance(right, Moment) and left.is_clock == right.is_clock:
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
        return item.type
    return next((name for kind, name in SYSTEM_TYPES if isinstance(item, kind)), type(item).__name__)
