"""A parsed search: what ``parse_query`` makes and what every store compiles.

Source: FHIR R4 search.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.parameters import SearchParameter


@dataclass(frozen=True, slots=True)
class Clause:
    """``parameter[:modifier]=value,value``: the values are ORed, the clauses of a query ANDed.

    ``modifier`` is None, exact, contains, missing, not, … ; for ``missing`` the one value is a bool.
    ``:[type]`` is no modifier here: its type stands in the values.
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
    ``applied`` holds the (name, value) pairs that took effect, for the ``self`` link, ``_cursor`` left
    out; ``ignored`` those that lenient handling left out. ``elements`` are JSON members.
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
