"""When items are equal (``=``), equivalent (``~``), and how often a collection says the same.

Source: FHIRPath N1 §6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import moments, quantities
from fhir_server.fhirpath.moments import Moment
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.quantities import Quantity
from fhir_server.fhirpath.values import as_quantity, is_number, operand, system_value

Truth = bool | None


def equal(left: Any, right: Any) -> Truth:
    """``left = right`` of two values of ``system_value``; None when it cannot be known."""
    if isinstance(left, Moment) and isinstance(right, Moment):
        if left.is_clock != right.is_clock:
            return False
        place = moments.compare(left, right)
        return None if place is None else place == 0
    if isinstance(left, Node) and isinstance(right, Node):
        return _equal_nodes(left, right)
    if isinstance(left, Quantity) or isinstance(right, Quantity):
        return _equal_quantities(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _equal_nodes(left: Node, right: Node) -> Truth:
    if left.value == right.value and left.extra == right.extra:
        return True
    if left.type in quantities.KINDS and right.type in quantities.KINDS:
        one, other = _quantity(left), _quantity(right)
        if one is not None and other is not None:
            return bool(_equal_quantities(one, other))
    return False


def _quantity(value: Any) -> Quantity | None:
    """A value as a quantity; None for one that cannot be computed with."""
    try:
        return as_quantity(operand(value))
    except ValueError:
        return None


def _equal_quantities(left: Any, right: Any) -> Truth:
    one, other = _quantity(left), _quantity(right)
    if one is None or other is None:
        return False
    place = quantities.compare(one, other)
    return None if place is None else place == 0


def equal_collections(left: Sequence[Any], right: Sequence[Any]) -> Truth:
    """``left = right``: the same number of equal items in the same order; None when either is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    pairs = zip(left, right, strict=True)
    verdicts = [equal(system_value(one), system_value(other)) for one, other in pairs]
    return False if False in verdicts else None if None in verdicts else True


# ── equivalence ───────────────────────────────────────────────────────────────


def equivalent(left: Any, right: Any) -> bool:
    """``left ~ right`` of two items: texts without regard to case and to the kind of white space, numbers to the
    lesser precision."""
    one, other = system_value(left), system_value(right)
    if isinstance(one, str) and isinstance(other, str):
        return _folded(one) == _folded(other)
    if is_number(one) and is_number(other):
        return quantities.nearly(Decimal(one), Decimal(other))
    if isinstance(one, Node) and isinstance(other, Node):
        return equal(one, other) is True or _equivalent_json(one.value, other.value)
    if isinstance(one, Quantity) or isinstance(other, Quantity):
        first, second = _quantity(one), _quantity(other)
        return first is not None and second is not None and quantities.equivalent(first, second)
    return equal(one, other) is True


def _folded(text: str) -> str:
    return "".join(" " if char.isspace() else char for char in text.casefold())


def _equivalent_json(one: Any, other: Any) -> bool:
    """Members are compared by name, the items of a list in any order; ids are no content."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = (one.keys() | other.keys()) - {"id"}
        return all(_equivalent_json(one.get(name), other.get(name)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return _matched(one, other, _equivalent_json)
    return equivalent(one, other) if one is not None and other is not None else one is other


def _matched(left: Sequence[Any], right: Sequence[Any], same: Any) -> bool:
    """Whether each of ``left`` has one of ``right`` to itself."""
    rest = list(right)
    for item in left:
        at = next((at for at, other in enumerate(rest) if same(item, other)), None)
        if at is None:
            return False
        del rest[at]
    return not rest


def equivalent_collections(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """``left ~ right``: equivalent items in any order; two empty collections are equivalent."""
    return len(left) == len(right) and _matched(left, right, equivalent)


# ── sets ──────────────────────────────────────────────────────────────────────


class Seen:
    """The values met so far. Simple ones are looked up, the others compared one by one within their kind."""

    def __init__(self, items: Sequence[Any] = ()) -> None:
        self._simple: set[Any] = set()
        self._others: dict[Any, list[Any]] = {}
        for item in items:
            self.add(item)

    def add(self, item: Any) -> bool:
        """True when ``item`` is new; it is met from now on."""
        value = system_value(item)
        if isinstance(value, str | int | Decimal):
            key = (value.__class__ is bool, value)
            known = len(self._simple)
            self._simple.add(key)
            return len(self._simple) > known
        rows = self._others.setdefault(_kind(value), [])
        if any(equal(value, other) for other in rows):
            return False
        rows.append(value)
        return True

    def __contains__(self, item: Any) -> bool:
        value = system_value(item)
        if isinstance(value, str | int | Decimal) and (value.__class__ is bool, value) in self._simple:
            return True
        return any(equal(value, other) for other in self._others.get(_kind(value), ()))


def _kind(value: Any) -> Any:
    """Values of different kinds are never equal. A number may be equal to a quantity."""
    if not isinstance(value, Node) or value.type in quantities.KINDS:
        return Moment if isinstance(value, Moment) else Quantity
    return tuple(value.value) if isinstance(value.value, dict) else None


def distinct(items: Sequence[Any]) -> list[Any]:
    """``items`` without repetitions, in order."""
    if len(items) < 2:
        return list(items)
    seen = Seen()
    return [item for item in items if seen.add(item)]
