"""JSON that keeps the text of every number, for those who must change a resource without touching its decimals.

``1.00`` stays ``1.00`` and ``1e2`` stays ``1e2``; the order of members stays. White space and the way a
character of a string is escaped may change. Source: FHIR R4 json.html#primitive, datatypes.html#decimal.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson


class ExactNumber(Decimal):
    """A JSON number that remembers how it was written; compares and calculates as a Decimal."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> ExactNumber:
        """The number that ``text``, a JSON number, means."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __copy__(self) -> ExactNumber:
        return self

    def __deepcopy__(self, memo: object, /) -> ExactNumber:
        return self

    def __reduce__(self) -> tuple[type[ExactNumber], tuple[str]]:
        return ExactNumber, (self.text,)


def loads_exact(raw: bytes | str) -> Any:
    """The tree of ``raw``: whole numbers are int, all others ``ExactNumber``. Raises ValueError when it is no JSON."""
    return json.loads(raw, parse_float=_number, parse_int=_integer, parse_constant=_refuse)


def dumps_exact(tree: object) -> bytes:
    """Compact JSON of ``tree``, whose numbers may be int, float, ``ExactNumber`` or Decimal."""
    return orjson.dumps(tree, default=_fragment)


def _number(text: str) -> ExactNumber:
    try:
        return ExactNumber(text)
    except InvalidOperation:
        raise ValueError("a number's exponent is out of range") from None


def _integer(text: str) -> int | ExactNumber:
    if len(text) < 19:
        number = int(text)
        return number if number or text == "0" else ExactNumber(text)
    return ExactNumber(text)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, ExactNumber):
        return orjson.Fragment(value.text)
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no form in JSON")
