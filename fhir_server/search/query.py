"""A parsed search: what ``parse_query`` makes and what every store compiles.

Source: FHIR R4 search.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.registry import SearchParameter

# ── values, one class per parameter type ──────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``system`` None: any system (``code``); "" : no system (``|code``). ``code`` None: any code (``system|``)."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class StringValue:
    """``text`` is normalised by ``search.types.string.normalise``; ``exact`` is what was typed."""

    text: str
    exact: str


@dataclass(frozen=True, slots=True)
class DateValue:
    """``prefix`` is eq ne gt lt ge le sa eb ap; ``[low, high)`` in microseconds since 1970 UTC."""

    prefix: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """``value`` as typed; ``[low, high)`` is its implicit-precision range (or the ``ap`` range)."""

    prefix: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with ``system`` and ``code`` (None: any). ``code`` matches Quantity.code or .unit."""

    number: NumberValue
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """``Patient/1`` → type Patient, id 1; ``1`` → type None; another server's URL or a canonical → type "", id the URL."""

    type: str | None
    id: str
    version: str | None = None


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


# ── the query ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Clause:
    """``parameter[:modifier]=value,value``: the values are ORed, the clauses of a query ANDed.

    ``modifier`` is None, exact, contains, missing, not, … ; for ``missing`` the one value is a bool.
    """

    parameter: SearchParameter
    modifier: str | None
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """``_sort=-date`` → the parameter ``date``, descending."""

    parameter: SearchParameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """``_include=Observation:subject:Patient``; ``reverse`` for ``_revinclude``."""

    type: str
    parameter: SearchParameter
    target: str | None
    reverse: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One parsed search of one resource type.

    ``cursor`` is the opaque keyset position of the next page (made and read by the store only).
    ``total`` is none | estimate | accurate. ``summary`` is None, true, text, data, count or false.
    ``applied`` holds the (name, value) pairs that took effect, for the ``self`` link;
    ``ignored`` those that lenient handling left out.
    """

    type: str
    clauses: tuple[Clause, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    cursor: str | None = None
    total: str = "none"
    summary: str | None = None
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    applied: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = field(default=())
