"""What every parameter type has: a way to read a value, to make rows, and to decide whether a row fits.

``rows`` is the list of ``Rows`` (while a resource is walked) and of ``IndexValues`` that it fills.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.search.index import CompositeRow, PositionRow, ReferenceRow, TokenRow, UriRow
from fhir_server.search.lookups import Lookups
from fhir_server.search.parameters import SearchParameter

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read a value: the definitions, the zone of dates, this server's address, now
    (microseconds since 1970 UTC, for ``ap``), and what other resources say (``:in``, ``:below``)."""

    definitions: Definitions
    zone: tzinfo
    base_url: str | None
    now: int
    lookups: Lookups


class Rows:
    """The rows of a resource while it is walked; those with an ``edge`` are completed at the end.

    ``strings`` are (key, text, exact, counts for the edge), ``dates`` (key, low, high), ``numbers``
    (key, low, high, system, code). ``resource`` is the JSON being walked.
    """

    __slots__ = (
        "composites",
        "dates",
        "numbers",
        "positions",
        "references",
        "resource",
        "strings",
        "tokens",
        "uris",
    )

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.tokens: list[TokenRow] = []
        self.references: list[ReferenceRow] = []
        self.uris: list[UriRow] = []
        self.strings: list[tuple[int, str, str, bool]] = []
        self.dates: list[tuple[int, int, int]] = []
        self.numbers: list[tuple[int, float, float, str, str]] = []
        self.composites: list[CompositeRow] = []
        self.positions: list[PositionRow] = []


Emit = Callable[[Any, Rows], None]
"""Adds the rows of one JSON value to ``Rows``."""

Parse = Callable[[SearchParameter, str, Reading], Any]
"""Reads one value (escapes still in it). Raises ValueError whose text says what is allowed."""

Admits = Callable[[Any, str | None, Any], bool]
"""Whether a row satisfies a value under a modifier: the literal reading of the standard."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """One of the nine parameter types: its values, rows and their meeting. Modifiers: ``search.modifiers``."""

    parse: Parse
    admits: Admits
    rows: str
    sortable: bool = True


def prefixed(text: str) -> tuple[str, str]:
    """The prefix (eq when there is none) and the rest of a value."""
    prefix = text[:2]
    if prefix in PREFIXES:
        return prefix, text[2:]
    return "eq", text
