"""A parsed search: what ``parse_query`` makes and what every store compiles.

Source: FHIR R4 search.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fhir_server.search.parameters import SearchParameter


@dataclass(frozen=True, slots=True)
class Clause:
    """``parameter[:modifier]=value,value``: the values are ORed, the clauses of a query ANDed.

    ``modifier`` is None, exact, contains, missing, not, below (of a uri) or text (words); from ``_filter`` also equals,
    differs, ends, gt, ge, lt and le. What else a URL may say is rewritten into these (``search.modifiers``). For
    ``missing`` the values are bools.
    ``:[type]`` is no modifier here: its type stands in the values.
    """

    parameter: SearchParameter
    modifier: str | None
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """``subject:Patient.name=…``: the reference ``parameter`` points to a resource of ``type`` for which
    ``criterion`` holds. Source: FHIR R4 search.html#chaining."""

    parameter: SearchParameter
    type: str
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class Has:
    """``_has:Observation:patient:code=…``: some resource of ``type`` for which ``criterion`` holds points here
    with its reference ``parameter``. Source: FHIR R4 search.html#has."""

    type: str
    parameter: SearchParameter
    criterion: Criterion


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of ``criteria`` holds (``or`` of ``_filter``, a chain through several types, a compartment)."""

    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of ``criteria`` hold."""

    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """``criterion`` does not hold."""

    criterion: Criterion


Criterion: TypeAlias = Clause | Chain | Has | AnyOf | AllOf | Not
"""What a resource must satisfy. The criteria of a query are ANDed."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """``_sort=-date`` → the parameter ``date``, descending."""

    parameter: SearchParameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """``_include=Observation:subject:Patient``; ``reverse`` for ``_revinclude``, ``iterate`` for ``:iterate``: what is
    included is followed in its turn."""

    type: str
    parameter: SearchParameter
    target: str | None
    reverse: bool
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One parsed search of one resource type, or of several: then ``type`` is "", and ``parts`` are the searches of
    each of them (their criteria and their sort keys; everything else is said here).

    ``cursor`` is the opaque keyset position of the next page (made and read by the store only).
    ``total`` is none | estimate | accurate. ``summary`` is None, true, text, data, count or false.
    ``applied`` holds the (name, value) pairs that took effect, for the ``self`` link, ``_cursor`` left
    out; ``ignored`` those that lenient handling left out. ``elements`` are JSON members. ``contained`` is false |
    true | both and ``contained_type`` container | contained: whether resources that stand inside others are meant,
    and what is shown of them. ``explain``: tell how it was carried out.
    """

    type: str
    clauses: tuple[Criterion, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 20
    cursor: str | None = None
    total: str = "none"
    summary: str | None = None
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    applied: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = field(default=())
    parts: tuple[Query, ...] = ()
    contained: str = "false"
    contained_type: str = "container"
    explain: bool = False
