"""System values: what FHIR data is when it is compared or computed with, and the names of types.

Source: FHIRPath N1 §5.5 (conversion), §6.2 (comparison), §10 (types and reflection); FHIR R4 fhirpath.html#types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import moments, quantities
from fhir_server.fhirpath.moments import TEMPORAL, Moment, moment
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.quantities import Quantity, quantity_of

INTEGERS = range(-(2**31), 2**31)
"""What an Integer can be; a result outside is empty (N1 §6.6)."""


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What ``type()`` gives: ``namespace`` is System or FHIR; ``base`` is qualified too."""

    namespace: str
    name: str
    base: str


def system_value(item: Any) -> Any:
    """``item`` as bool, int, Decimal, str or Moment when it is a primitive; a complex Node stays itself."""
    if not isinstance(item, Node) or item.path or item.value is None:
        return item
    if item.type in TEMPORAL:
        return _moment_or_text(item.type, item.value)
    if item.type == "decimal" or isinstance(item.value, float):
        return Decimal(str(item.value))
    return item.value


def _moment_or_text(kind: str, text: Any) -> Any:
    """Data that is not valid stays what it is: a text."""
    try:
        return moment(kind, text)
    except (ValueError, TypeError, AttributeError):
        return text


def operand(item: Any) -> Any:
    """As ``system_value``, and a FHIR Quantity with a UCUM code is a System Quantity; None for a primitive that has
    extensions only.

    Raises ValueError for a Quantity with a comparator.
    """
    if isinstance(item, Node) and item.type in quantities.KINDS:
        return quantity_of(item) or item
    value = system_value(item)
    return None if isinstance(value, Node) and not value.path else value


def is_number(value: Any) -> bool:
    """True for an Integer or a Decimal."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def ordered(operator: str, left: Any, right: Any) -> bool | None:
    """``left operator right`` for ``< <= > >=``; None when unknown. Raises TypeError for unlike types."""
    place = compared(left, right)
    return None if place is None else ORDERS[operator](place, 0)


def compared(left: Any, right: Any) -> int | None:
    """-1, 0 or 1 as ``left`` is before, at or after ``right``; None when unknown. Raises TypeError for unlike types."""
    if isinstance(left, Moment) and isinstance(right, Moment) and left.is_clock == right.is_clock:
        return moments.compare(left, right)
    if _like(left, right):
        return int(left > right) - int(left < right)
    if _are_quantities(left, right):
        return _of_unknown_units(left.value, right.value)
    if isinstance(left, Quantity) or isinstance(right, Quantity):
        one, other = as_quantity(left), as_quantity(right)
        if one is not None and other is not None:
            return quantities.compare(one, other)
    raise TypeError(f"{type_name(left)} and {type_name(right)} have no order")


def _are_quantities(left: Any, right: Any) -> bool:
    return all(isinstance(item, Node) and item.type in quantities.KINDS for item in (left, right))


def _of_unknown_units(left: Any, right: Any) -> int | None:
    """The place of FHIR Quantities that are not of UCUM: by their numbers, when all else is the same."""
    if {**left, "value": None} != {**right, "value": None} or "value" not in left or "value" not in right:
        return None
    one, other = Decimal(str(left["value"])), Decimal(str(right["value"]))
    return int(one > other) - int(one < other)


def as_quantity(value: Any) -> Quantity | None:
    """A number without unit is a quantity with the unit '1'; None for what is neither."""
    if isinstance(value, Quantity):
        return value
    return Quantity(Decimal(value)) if is_number(value) else None


def _like(left: Any, right: Any) -> bool:
    return (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))


SYSTEM_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "Boolean"),
    (int, "Integer"),
    (Decimal, "Decimal"),
    (str, "String"),
    (Quantity, "Quantity"),
    (TypeInfo, "TypeInfo"),
)


def type_name(item: Any) -> str:
    """The FHIRPath type of an item: ``Patient`` for a Node, ``Boolean``, ``DateTime`` … for a System value."""
    if isinstance(item, Node | Moment):
        return item.type
    return next((name for kind, name in SYSTEM_TYPES if isinstance(item, kind)), type(item).__name__)


def text_of(value: Any) -> str | None:
    """A System value as toString() gives it; None for what has no text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Moment):
        return value.text
    return str(value) if isinstance(value, int | str | Quantity) else None
