"""What a stock of resources says: the values of its search parameters, as texts that find them, and the references from
one of its resources to another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import isfinite
from typing import Any

from hypothesis import strategies as st
from random_resources import UCUM
from test_search_property import escaped, registry

from fhir_server.search.canonicals import is_canonical
from fhir_server.search.index import (
    DateRow,
    NumberRow,
    PositionRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    UriRow,
)
from fhir_server.search.match import Indexed, rows_of
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.token import OF_TYPE

Pairs = list[tuple[str, str]]
Aim = tuple[str, Pairs]
"""What stands before the ``?`` of a search, and the pairs after it."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = 2**52
"""Microseconds: no date of a stock is so far from 1970."""
GRAMS = {"mg": ("g", 1e-3), "g": ("mg", 1e3)}
"""A unit → another one and what a number becomes in it."""


@dataclass(frozen=True)
class Fact:
    """``row`` is a value of ``parameter`` in ``of``."""

    of: Indexed
    parameter: SearchParameter
    row: Any

    @property
    def code(self) -> str:
        return self.parameter.code


@dataclass(frozen=True)
class Link:
    """The reference parameter ``code`` leads from ``source`` to ``target``."""

    source: Indexed
    code: str
    target: Indexed

    @property
    def step(self) -> str:
        """How it is gone in a chain."""
        return f"{self.code}:{self.target.type}"

    @property
    def back(self) -> str:
        """How it is gone the other way."""
        return f"_has:{self.source.type}:{self.code}"


class Facts:
    """What ``resources`` say; ``draw`` chooses."""

    def __init__(self, resources: list[Indexed], draw: st.DrawFn) -> None:
        self.resources = resources
        self._draw = draw

    def choose(self, among: Iterable[Any]) -> Any:
        """One of ``among``, None when there is none."""
        choices = list(among)
        return self._draw(st.sampled_from(choices)) if choices else None

    @cached_property
    def all_facts(self) -> list[Fact]:
        """All values."""
        return [
            Fact(each, parameter, row)
            for each in self.resources
            for parameter in registry().parameters(each.type).values()
            if parameter.column is None
            for row in dict.fromkeys(rows_of(parameter, each.values))
        ]

    @cached_property
    def facts(self) -> list[Fact]:
        """All values that may be asked for."""
        return [fact for fact in self.all_facts if may_be_asked(fact.parameter, fact.row)]

    @cached_property
    def plain(self) -> dict[tuple[str, str], list[Fact]]:
        """Those of a resource that can be asked for by a value alone."""
        found: dict[tuple[str, str], list[Fact]] = {(each.type, each.id): [] for each in self.resources}
        for fact in self.facts:
            if meant(fact.row):
                found[fact.of.type, fact.of.id].append(fact)
        return found

    @cached_property
    def links(self) -> list[Link]:
        """All references that lead from one of the resources to another."""
        there = {(each.type, each.id): each for each in self.resources}
        rows = [fact for fact in self.facts if isinstance(fact.row, ReferenceRow)]
        rows = [fact for fact in rows if not is_canonical(registry(), fact.parameter)]
        ends = [(fact, there.get((fact.row.type, fact.row.id))) for fact in rows]
        return [Link(fact.of, fact.code, target) for fact, target in ends if target is not None]

    def of(self, *kinds: str) -> list[Fact]:
        """The values of parameters of these kinds."""
        return [fact for fact in self.facts if fact.parameter.kind in kinds]

    def leaf(self, resource: Indexed) -> tuple[str, str]:
        """A parameter without a modifier, and a value, that ``resource`` satisfies."""
        fact = self.choose(self.plain[resource.type, resource.id])
        return (fact.code, self.choose(meant(fact.row))) if fact else ("_id", resource.id)


def may_be_asked(parameter: SearchParameter, row: Any) -> bool:
    """Random references lead to types that they may not lead to; a search for those is refused."""
    return not isinstance(row, ReferenceRow) or not row.type or row.type in (parameter.targets or {row.type})


# ── what a row says ───────────────────────────────────────────────────────────


def meant(row: Any) -> list[str]:
    """Texts of values, without a modifier, that ``row`` surely satisfies; none when it is not sure."""
    match row:
        case TokenRow(_, code, system) if code and not system.startswith(OF_TYPE):
            return [escaped(code), f"{escaped(system)}|{escaped(code)}"]
        case ReferenceRow(_, id, type):
            return [escaped(f"{type}/{id}" if type else id)]
        case UriRow(_, uri) if uri:
            return [escaped(uri)]
        case StringRow(_, text, exact, _) if text.strip():
            return [escaped(exact or text), escaped(text[:1])]
        case NumberRow():
            return amounts(row)
        case DateRow():
            return dates(row)
        case PositionRow(_, latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180:
            return [f"{latitude}|{longitude}|1|km"]
    return []


def amounts(row: NumberRow) -> list[str]:
    """The number itself, when it is one, or what bounds it; with its unit, and with another one that means the same."""
    unit = [f"|{escaped(row.system)}|{escaped(row.code)}"] if row.system and row.code else []
    texts = [f"{row.low!r}"] if row.low == row.high else []
    texts += [f"{prefix}{end!r}" for prefix, end in (("ge", row.low), ("le", row.high)) if isfinite(end)]
    converted = []
    if row.system == UCUM and row.code in GRAMS and row.low == row.high:
        other, factor = GRAMS[row.code]
        converted = [f"{row.low * factor:.8g}|{UCUM}|{other}", f"ap{row.low * factor:.8g}|{UCUM}|{other}"]
    return [text + each for text in texts for each in (unit or [""])] + converted


def dates(row: DateRow) -> list[str]:
    """What bounds the interval, to the second and by years."""
    low, high = (EPOCH + timedelta(seconds=end // 1_000_000) if abs(end) < FAR else None for end in row[1:3])
    texts = [f"ge{low:%Y-%m-%dT%H:%M:%SZ}", f"sa{low.year - 2}"] if low else []
    if high:
        texts += [f"lt{high + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}", f"eb{high.year + 2}"]
    return texts


# ── comparisons of _filter ────────────────────────────────────────────────────

EQUAL, ENDS, ORDER, OTHER = "eq co", "sw ew", "gt ge lt le po", "ne pr"
"""Operators of ``_filter``."""


def compared(fact: Fact, operators: str) -> list[str]:
    """Comparisons of ``_filter`` by one of the ``operators`` that hold for ``fact``."""
    pairs = [(operator, value) for operator, value in _comparisons(fact.row) if operator in operators.split()]
    return [f"{fact.code} {operator} {value}" for operator, value in pairs]


def _comparisons(row: Any) -> list[tuple[str, str]]:
    match row:
        case StringRow(exact=exact) if exact.strip() and '"' not in exact:
            whole = exact.strip()
            texts = {
                "eq": whole,
                "co": whole[-2:],
                "sw": whole[:2],
                "ew": whole[-1:],
                "le": whole,
                "ge": whole,
            }
            return [(operator, f'"{text}"') for operator, text in texts.items() if text.strip()]
        case TokenRow(_, code, system) if code.isalnum() and not system.startswith(OF_TYPE):
            return [("eq", code), ("ne", "zz"), ("pr", "true")]
        case ReferenceRow(_, id, type) if type:
            return [("eq", f"{type}/{id}"), ("pr", "true")]
        case DateRow(_, low, high, _) if abs(low) < FAR and abs(high) < FAR:
            first = EPOCH + timedelta(seconds=low // 1_000_000)
            return [
                ("ge", f"{first:%Y-%m-%d}"),
                ("gt", f"{first.year - 2}"),
                ("po", f"{first:%Y-%m-%dT%H:%M:%SZ}"),
            ]
        case NumberRow(_, low, high, _, _, _) if low == high:
            return [(operator, repr(low)) for operator in ("eq", "ge", "le")]
    return []
