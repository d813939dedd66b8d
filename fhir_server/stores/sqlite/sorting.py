"""The three ways to a sorted page.

* *aligned*: sorted by the primary date alone, which is the default order itself, up or down;
* *gathered*: few matches: all of them with their values, sorted;
* *walked*: many matches: the rows of the first key in order, each tested, until the page is full.

All give the same rows and the same positions (the values of the sort keys, date, rid), so that the way
may change from page to page. What has no value of the first key comes last, as a second phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.search.query import SortKey
from fhir_server.stores.sqlite.conditions.parts import Probe, Values
from fhir_server.stores.sqlite.conditions.period import are_primary
from fhir_server.stores.sqlite.order import DIRECTION, Term, after, sort_column
from fhir_server.stores.sqlite.plan import MANY, Plan, candidates, select

SORTED_WHOLE: Final = 2_000
"""More matches of one clause than this are walked instead of sorted."""

SORTED_COSTLY: Final = 300
"""As many, when the values to sort by must be taken from the content."""

Statement = tuple[str, Values]


class Sorting:
    """A query's sort keys. The statements select k1 … kn, date, rid in order."""

    def __init__(self, plan: Plan, sort: Sequence[SortKey]) -> None:
        self._plan = plan
        self._columns = [sort_column(plan.scope, key) for key in sort]
        self._down = sort[0].descending
        self._names = [f"k{number}" for number in range(1, len(sort) + 1)]
        first = sort[0].parameter
        self._is_aligned = (
            len(sort) == 1
            and first.kind == "date"
            and not first.column
            and are_primary(plan.scope, first.keys)
        )
        self._always_there = first.column is not None

    @property
    def is_newest_first(self) -> bool:
        """True when the order is the default one, but for what has no date."""
        return self._is_aligned and self._down

    def phases(self, position: Sequence[Any] | None) -> list[Statement]:
        """The statements to run, in turn until the page is full; each still needs ``LIMIT ?``."""
        if not self._is_aligned and self._plan.is_small(self._most_gathered()):
            return [self._gathered([], position)]
        second = [] if self._always_there else [self._without(position)]
        if position is not None and position[0] is None:
            return second
        first = self._aligned(position) if self._is_aligned else self._walked(position)
        return [first, *second]

    def _most_gathered(self) -> int:
        if any(column.is_costly for column in self._columns):
            return SORTED_COSTLY
        return SORTED_WHOLE if len(self._plan.conditions) < 2 else MANY

    @property
    def names(self) -> list[str]:
        """The columns that the statements select."""
        return [*self._names, "date", "rid"]

    def order(self, alias: str = "") -> str:
        """The ORDER BY of a finished page."""
        keys = [
            f"{alias}{name} {DIRECTION[column.descending]} NULLS LAST"
            for name, column in zip(self._names, self._columns, strict=True)
        ]
        way = DIRECTION[self._down]
        return ", ".join([*keys, f"{alias}date {way}", f"{alias}rid {way}"])

    def _aligned(self, position: Sequence[Any] | None) -> Statement:
        column = self._columns[0]
        there = Probe(f"{column.value} IS NOT NULL", column.values)
        arms, probes = self._plan.in_order()
        text, values = candidates(arms, [*probes, there, *self._beyond(position)])
        way = DIRECTION[self._down]
        return f"SELECT date AS k1, date, rid FROM ({text}) ORDER BY date {way}, rid {way}", values  # noqa: S608

    def _without(self, position: Sequence[Any] | None) -> Statement:
        """What has no value of the first key."""
        started = position if position is not None and position[0] is None else None
        missing = self._columns[0].missing
        if len(self._columns) > 1:
            return self._gathered([missing], started)
        arms, probes = self._plan.in_order()
        text, values = candidates(arms, [*probes, missing, *self._beyond(started)])
        way = DIRECTION[self._down]
        return f"SELECT NULL AS k1, date, rid FROM ({text}) ORDER BY date {way}, rid {way}", values  # noqa: S608

    def _gathered(self, more: Sequence[Probe], position: Sequence[Any] | None) -> Statement:
        arms, probes = self._plan.complete()
        text, values = candidates(arms, [*probes, *more])
        keys = ", ".join(
            f"{column.value} AS {name}" for column, name in zip(self._columns, self._names, strict=True)
        )
        own = tuple(value for column in self._columns for value in column.values)
        where, bound = self._after(self._names, [()] * len(self._names), "", position)
        return (
            f"WITH m AS MATERIALIZED (SELECT {keys}, t.date AS date, t.rid AS rid FROM ({text}) t) "  # noqa: S608
            f"SELECT * FROM m WHERE {where} ORDER BY {self.order()}",
            (*own, *values, *bound),
        )

    def _walked(self, position: Sequence[Any] | None) -> Statement:
        first, others = self._columns[0], self._columns[1:]
        values = [column.value for column in others]
        where, bound = self._after(
            [first.walked, *values], [(), *(column.values for column in others)], "t.", position
        )
        tests = [*self._plan.probes, Probe(where, bound), first.counts]
        if position is not None:
            tests.append(Probe(f"{first.walked} {'<=' if first.descending else '>='} ?", (position[0],)))
        keys = [first.walked, *values]
        columns = ", ".join(f"{key} AS {name}" for key, name in zip(keys, self._names, strict=True))
        own = tuple(value for column in others for value in column.values)
        parts = [select(f"{columns}, t.date AS date, t.rid AS rid", arm, tests, own) for arm in first.arms]
        text = " UNION ALL ".join(text for text, _ in parts)
        order = self.order().replace(
            " NULLS LAST", "", 1
        )  # never null here, and so the index gives the order
        return f"{text} ORDER BY {order}", tuple(value for _, some in parts for value in some)

    def _after(
        self, keys: Sequence[str], values: Sequence[Values], alias: str, position: Sequence[Any] | None
    ) -> Probe:
        if position is None:
            return Probe("1", ())
        terms = [
            Term(key, own, column.descending, place)
            for key, own, column, place in zip(keys, values, self._columns, position, strict=False)
        ]
        return after(terms, self._beyond(position, alias)[0])

    def _beyond(self, position: Sequence[Any] | None, alias: str = "t.") -> list[Probe]:
        """The last word among equals: date and rid."""
        if position is None:
            return []
        return [Probe(f"({alias}date, {alias}rid) {'<' if self._down else '>'} (?, ?)", tuple(position[-2:]))]
