"""Statements of first pages that are asked for again and again: inboxes, the results of one patient.

Kept by the Query object itself: parsing remembers the queries it made (``search.remembered``), so the same
search comes with the same object. Only what cannot change is kept: exact terms, driven by a clause that is
known to be narrow, of texts that the store has a number for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fhir_server.search.query import Clause, Criterion, Query
from fhir_server.stores.sqlite.conditions.parts import Values
from fhir_server.stores.sqlite.plan import Plan
from fhir_server.stores.sqlite.symbols import UNKNOWN

MOST: Final = 2_048
EXACT: Final = frozenset({"token", "reference", "uri"})


class Prepared(NamedTuple):
    """The statement of a query's first page in default order; its last value is still the limit."""

    query: Query
    statement: str
    values: Values

    @property
    def bound(self) -> tuple[str, Values]:
        """The statement and its values for a page and one row more."""
        return self.statement, (*self.values, self.query.count + 1)


class PreparedPages(dict[int, Prepared]):
    """id of a Query → its statement."""

    generation = 0

    def recall(self, query: Query, generation: int) -> Prepared | None:
        """What was kept for this very object; nothing that is older than ``Symbols.generation``."""
        if generation != self.generation:
            self.clear()
            self.generation = generation
        found = self.get(id(query))
        return found if found is not None and found.query is query else None

    def keep(self, plan: Plan, prepared: Prepared) -> None:
        """Keep ``prepared`` when it stays good."""
        if plan.is_settled and UNKNOWN not in prepared.values and all(map(_is_exact, prepared.query.clauses)):
            if len(self) >= MOST:
                self.clear()
            self[id(prepared.query)] = prepared


def _is_exact(criterion: Criterion) -> bool:
    if not isinstance(criterion, Clause) or criterion.modifier is not None:
        return False
    return criterion.parameter.kind in EXACT and not criterion.parameter.column
