"""Arithmetic: ``+ - * / div mod &`` and signs, on numbers, quantities, texts, dates and times.

What overflows, divides by nought or has no common dimension is empty. Source: FHIRPath N1 §6.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath import quantity_arithmetic
from fhir_server.fhirpath.calendars import shifted
from fhir_server.fhirpath.moments import Moment
from fhir_server.fhirpath.quantities import DECIMAL, Quantity
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import INTEGERS, as_quantity, is_number, type_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Binary, Unary
    from fhir_server.fhirpath.compiler import Closure, Compiler

LONGEST_TEXT = 1_000_000
"""Characters of a text that an expression makes."""
Compute = Callable[[Any, Any], Any]


def kept(value: Any) -> Any:
    """``value`` when a FHIRPath number or text can be so large; None for an Integer that overflows."""
    if isinstance(value, int) and not isinstance(value, bool) and value not in INTEGERS:
        return None
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of more than {LONGEST_TEXT} characters")
    return value


def _add(left: Any, right: Any) -> Any:
    return left + right if isinstance(left, str) and isinstance(right, str) else _sum(left, right, 1)


def _subtract(left: Any, right: Any) -> Any:
    return _sum(left, right, -1)


def _sum(left: Any, right: Any, sign: int) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return left + sign * right
    if is_number(left) and is_number(right):
        return DECIMAL.add(Decimal(left), Decimal(right) * sign)
    if isinstance(left, Moment) and isinstance(right, Quantity):
        return _moved(left, right, sign)
    one, other = _quantities(left, right)
    return quantity_arithmetic.added(one, other, sign)


def _moved(start: Moment, span: Quantity, sign: int) -> Moment | None:
    unit = span.duration
    if unit is None:
        raise ValueError(f"the unit {span.unit!r} is no calendar duration; years, months … milliseconds are")
    return shifted(start, span.value * sign, unit)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return left * right
    if is_number(left) and is_number(right):
        return DECIMAL.multiply(Decimal(left), Decimal(right))
    return quantity_arithmetic.multiplied(*_quantities(left, right))


def _divide(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return DECIMAL.divide(Decimal(left), Decimal(right)) if right else None
    return quantity_arithmetic.divided(*_quantities(left, right))


def _div(left: Any, right: Any) -> Any:
    _need_numbers(left, right)
    if not right:
        return None
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return int(DECIMAL.divide_int(Decimal(left), Decimal(right)))


def _mod(left: Any, right: Any) -> Any:
    """The rest has the sign of the left side, so that ``a = a div b * b + a mod b``."""
    _need_numbers(left, right)
    if not right:
        return None
    if isinstance(left, int) and isinstance(right, int):
        return int(math.copysign(abs(left) % abs(right), left))
    return DECIMAL.remainder(Decimal(left), Decimal(right))


def _need_numbers(left: Any, right: Any) -> None:
    if not (is_number(left) and is_number(right)):
        raise TypeError


def _quantities(left: Any, right: Any) -> tuple[Quantity, Quantity]:
    one, other = as_quantity(left), as_quantity(right)
    if one is None or other is None:
        raise TypeError
    return one, other


COMPUTES: dict[str, Compute] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "div": _div,
    "mod": _mod,
}


def computed(compute: Compute, operator: str, left: Any, right: Any) -> Any:
    """The result, None when there is none. Raises ValueError with the cause when the types do not fit."""
    try:
        if isinstance(left, bool) or isinstance(right, bool):
            raise TypeError
        return kept(compute(left, right))
    except DecimalException:
        return None
    except TypeError:
        raise ValueError(f"{type_name(left)} {operator} {type_name(right)} has no meaning") from None


def _arithmetic(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    compute, operator = COMPUTES[tree.operator], tree.operator

    def run(focus: Items, scope: Scope) -> Items:
        one = compiler.operand(tree.left, left(focus, scope))
        other = compiler.operand(tree.right, right(focus, scope))
        if one is None or other is None:
            return []
        try:
            result = computed(compute, operator, one, other)
        except ValueError as error:
            raise compiler.fault(tree, str(error)) from error
        return [] if result is None else [result]

    return run


def _concatenate(compiler: Compiler, tree: Binary, left: Closure, right: Closure) -> Closure:
    """``&``: an empty side is the empty text."""

    def text(side: Any, items: Items) -> str:
        value = compiler.operand(side, items)
        if value is not None and not isinstance(value, str):
            raise compiler.fault(tree, f"& needs texts, found {type_name(value)}")
        return value or ""

    def run(focus: Items, scope: Scope) -> Items:
        try:
            return [kept(text(tree.left, left(focus, scope)) + text(tree.right, right(focus, scope)))]
        except ValueError as error:
            raise compiler.fault(tree, str(error)) from error

    return run


def sign(compiler: Compiler, tree: Unary, source: Closure) -> Closure:
    """``+number`` and ``-number``, of quantities too."""

    def run(focus: Items, scope: Scope) -> Items:
        value = compiler.operand(tree, source(focus, scope))
        if value is None:
            return []
        if isinstance(value, Quantity):
            return [replace(value, value=-value.value) if tree.operator == "-" else value]
        if not is_number(value):
            raise compiler.fault(tree, f"{tree.operator} needs a number")
        return [-value if tree.operator == "-" else value]

    return run


ARITHMETIC = dict.fromkeys(COMPUTES, _arithmetic) | {"&": _concatenate}
