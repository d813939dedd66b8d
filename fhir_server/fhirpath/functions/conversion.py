"""Conversion: toInteger(), convertsToDate() and their like. Source: FHIRPath N1 §5.5."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.functions.registry import Function, reader
from fhir_server.fhirpath.moments import Moment, moment
from fhir_server.fhirpath.parser import CALENDAR
from fhir_server.fhirpath.quantities import CALENDAR as CODES
from fhir_server.fhirpath.quantities import DECIMAL, Quantity, in_one_unit
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import INTEGERS, text_of
from fhir_server.model.ucum import convert
from fhir_server.model.unit_syntax import parse_unit

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler

Convert = Callable[[Any], Any]

TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d{1,40}(?:\.\d{1,40})?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-z]+))?", re.ASCII
)


def to_boolean(value: Any) -> bool | None:
    """true, false, 0, 1 and the words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return TRUTHS.get(value.lower())
    return bool(value) if isinstance(value, int | Decimal) and value in {0, 1} else None


def to_integer(value: Any) -> int | None:
    """An Integer, a Boolean, or a text of digits."""
    if isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value) else None
    else:
        number = int(value) if isinstance(value, int) else None
    return None if number is None or number not in INTEGERS else number


def to_decimal(value: Any) -> Decimal | None:
    """A number, a Boolean, or a text of digits with a point."""
    if isinstance(value, str):
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _to_moment(kind: str, value: Any) -> Moment | None:
    try:
        return moment(kind, value) if isinstance(value, str) else None
    except ValueError:
        return None


def to_date(value: Any) -> Moment | None:
    """A Date, the day of a DateTime, or the text of either."""
    if isinstance(value, str):
        value = _to_moment("datetime", value)
    if not isinstance(value, Moment) or value.is_clock:
        return None
    return value if value.type == "Date" else moment("date", value.text.partition("T")[0])


def to_date_time(value: Any) -> Moment | None:
    """A DateTime, a Date as one, or the text of either."""
    if isinstance(value, str):
        return _to_moment("datetime", value)
    if not isinstance(value, Moment) or value.is_clock:
        return None
    return value if value.type == "DateTime" else moment("datetime", value.text)


def to_time(value: Any) -> Moment | None:
    """A Time, or the text of one."""
    if isinstance(value, str):
        return _to_moment("time", value)
    return value if isinstance(value, Moment) and value.is_clock else None


def to_quantity(value: Any) -> Quantity | None:
    """A Quantity, a number (unit '1'), or the text of a Quantity literal."""
    if isinstance(value, Quantity):
        return value
    if not isinstance(value, str):
        return Quantity(Decimal(value)) if isinstance(value, int | Decimal) else None
    match = _QUANTITY.fullmatch(value)
    if match is None or (match["word"] and match["word"] not in CALENDAR):
        return None
    return Quantity(Decimal(match["value"]), match["unit"] or match["word"] or "1", bool(match["word"]))


def _in_unit(quantity: Quantity, unit: str) -> Quantity | None:
    """The quantity in another unit, UCUM or a calendar word; None when it cannot be converted."""
    wanted = Quantity(Decimal(1), unit, unit in CALENDAR)
    if wanted.calendar and unit.removesuffix("s") in CODES:
        quantity = quantity.as_calendar()
    pair = in_one_unit(quantity, wanted)
    if pair is None:
        return None
    if parse_unit(unit) and not quantity.calendar:
        found = convert(quantity.value, quantity.unit, unit)
        return None if found is None else Quantity(found, unit)
    return Quantity(
        DECIMAL.divide(pair[0], pair[1]) if pair[2] is not wanted else pair[0], unit, wanted.calendar
    )


# ── functions ─────────────────────────────────────────────────────────────────


def _converted(convert: Convert) -> Function:
    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        def run(focus: Items, scope: Scope) -> Items:
            value = compiler.operand(call, source(focus, scope))
            found = None if value is None else convert(value)
            return [] if found is None else [found]

        return run

    return Function(build)


def _converts(convert: Convert) -> Function:
    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        def run(focus: Items, scope: Scope) -> Items:
            value = compiler.operand(call, source(focus, scope))
            return [] if value is None else [convert(value) is not None]

        return run

    return Function(build)


def _quantity(tell: Callable[[Quantity | None], Items]) -> Function:
    """toQuantity() and convertsToQuantity(), which may name the unit that is wanted."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        unit = compiler.compile(call.arguments[0]) if call.arguments else None
        read = reader(compiler, call.arguments[0] if call.arguments else call, "a String", f"{call.name}()")

        def run(focus: Items, scope: Scope) -> Items:
            value = compiler.operand(call, source(focus, scope))
            if value is None:
                return []
            found = to_quantity(value)
            wanted = read(unit(focus, scope)) if unit else None
            return tell(_in_unit(found, wanted) if found and wanted else found)

        return run

    return Function(build, 0, 1)


CONVERSIONS: dict[str, Convert] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": text_of,
    "Date": to_date,
    "DateTime": to_date_time,
    "Time": to_time,
}
FUNCTIONS = {
    **{f"to{name}": _converted(convert) for name, convert in CONVERSIONS.items()},
    **{f"convertsTo{name}": _converts(convert) for name, convert in CONVERSIONS.items()},
    "toQuantity": _quantity(lambda found: [] if found is None else [found]),
    "convertsToQuantity": _quantity(lambda found: [found is not None]),
}
