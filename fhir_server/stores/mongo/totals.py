"""How many resources match: counted, remembered, or estimated.

Counting goes through every match, so what was counted is kept until a resource of one of the types that the query looks
at is written. The same search comes with the same Query object (see ``search.remembered``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from fhir_server.search.query import Query
from fhir_server.stores.mongo.pages import Part, parts_of
from fhir_server.stores.mongo.past import newest_write
from fhir_server.stores.mongo.view import View
from fhir_server.stores.stamps import may_remember, types_of

MOST: Final = 2_048
EXACT: Final = 20_000
"""An estimate counts so far; beyond that it goes by a sample."""
SAMPLE: Final = 1_000

Stamp = tuple[Any, ...]


class Counted(NamedTuple):
    """``total`` of ``query`` when the last writes of its types were those of ``stamp``."""

    query: Query
    types: tuple[str, ...]
    stamp: Stamp
    total: int


class Totals:
    """What was counted, by the id of a Query."""

    def __init__(self) -> None:
        self._counted: dict[int, Counted] = {}

    def known(self, query: Query) -> Counted | None:
        """What was counted for this very object, however long ago."""
        found = self._counted.get(id(query))
        return found if found is not None and found.query is query else None

    def keep(self, counted: Counted) -> None:
        """Remember it, unless it goes by texts: those are not indexed when they are written."""
        if may_remember(counted.query):
            if len(self._counted) >= MOST:
                self._counted.clear()
            self._counted[id(counted.query)] = counted


async def total_of(view: View, query: Query, totals: Totals) -> int:
    """How many match in the state that all calls of ``view`` see; an estimate when that is what ``query`` wants."""
    if query.total == "estimate":
        return sum([await _estimate(view, part) for part in await parts_of(view, query)])
    if not view.is_committed:
        return await _count(view, query)
    types, known = types_of(query), totals.known(query)
    stamp = await _stamp(view, types)
    if known is None or known.stamp != stamp:
        known = Counted(query, types, stamp, await _count(view, query))
        totals.keep(known)
    return known.total


async def _count(view: View, query: Query) -> int:
    return sum([await part.plan.total(view) for part in await parts_of(view, query)])


async def _stamp(view: View, types: Iterable[str]) -> Stamp:
    """The last write of each of ``types``, and the mark that erasing leaves, which is no write."""
    state = await view.find("state", {"_id": "store"}, projection={"g": 1}, limit=1)
    return (*[await newest_write(view, type) for type in types], state[0]["g"])


async def _estimate(view: View, part: Part) -> int:
    """How many match: exactly when they are few, else by looking at a sample of all writes."""
    found = await part.plan.total(view, EXACT + 1)
    if found <= EXACT:
        return found
    newest: int = (await view.find("state", {"_id": "store"}, projection={"s": 1}, limit=1))[0]["s"]
    sample = {"$and": [{"s": {"$in": _spread(newest)}}, part.plan.first]}
    hits = await part.plan._replace(first=sample).total(view)
    return max(found, hits * newest // SAMPLE)


def _spread(greatest: int) -> list[int]:
    """SAMPLE numbers from 1 to ``greatest``, always the same, in no step that data could have."""
    return [1 + number * 2_654_435_761 % greatest for number in range(1, SAMPLE + 1)]
