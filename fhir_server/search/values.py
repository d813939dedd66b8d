"""The values that a search asks for, one class per parameter type.

``parse_query`` makes them from text; code that builds a Query by hand makes them itself.
Source: FHIR R4 search.html#ptypes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Looked(tuple[Any, ...]):
    """The values of a clause that other resources gave; ``said`` is what was asked for, which stays the same while
    those change: a value set, a hierarchy."""

    said: str

    @classmethod
    def of(cls, said: str, values: Iterable[Any]) -> Looked:
        """``values``, which came from ``said``."""
        made = cls(values)
        made.said = said
        return made


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``system`` None: any system (``code``); "" : no system (``|code``). ``code`` None: any code (``system|``).

    ``code`` is folded (``search.types.token.fold_code``) as the rows of FHIR resources are.
    """

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class StringValue:
    """``text`` is normalised by ``search.types.string.normalise``; ``exact`` is what was typed."""

    text: str
    exact: str


@dataclass(frozen=True, slots=True)
class TextValue:
    """Words that must follow each other (``search.types.words``); with ``open`` the last one may go on."""

    words: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class DateValue:
    """``prefix`` is eq ne gt lt ge le sa eb ap, or co of ``_filter``; ``[low, high)`` in microseconds since 1970 UTC.

    With ``ap`` the interval is already widened. ``search.types.date.admits`` says what each prefix means.
    """

    prefix: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """``value`` as typed; ``[low, high)`` is its implicit-precision range (or the ``ap`` range).

    The range counts for eq, ne and ap, the value itself for the other prefixes (``search.types.number.admits``).
    """

    prefix: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with ``system`` and ``code`` (None: any). ``code`` matches Quantity.code or .unit.

    ``others`` are the same quantity in the other UCUM units that it can be converted to.
    """

    number: NumberValue
    system: str | None
    code: str | None
    others: tuple[QuantityValue, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """``Patient/1`` → type Patient, id 1; ``1`` → type None; another server's URL or a canonical → type "", id the URL.

    ``Patient/1/_history/2`` → id ``1/_history/2`` and ``http://x|1.0`` → id ``http://x|1.0``: rows have both
    the id with and the id without the version.
    """

    type: str | None
    id: str


@dataclass(frozen=True, slots=True)
class UriValue:
    """A uri, compared byte by byte."""

    uri: str


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """One value per component, in the order of the SearchParameter's components."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class NearValue:
    """A circle on the Earth: degrees and kilometres."""

    latitude: float
    longitude: float
    kilometres: float
