"""Searches: what the store answers them with, inside transactions and outside."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.search.query import Query
from fhir_server.store import Page, Referring
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.memos import Memos
from fhir_server.stores.mongo.compile import plan_of, scope_of
from fhir_server.stores.mongo.moment import Moment, moment_of
from fhir_server.stores.mongo.pages import cut, first_rows, later_rows, parts_of, place_of
from fhir_server.stores.mongo.past import Archive, Extract, Past
from fhir_server.stores.mongo.reader import Reader
from fhir_server.stores.mongo.referring import referring, terms
from fhir_server.stores.mongo.totals import Totals, total_of
from fhir_server.stores.mongo.view import View


class Searches:
    """Answers for a store, through whichever view is given. Raises InvalidSearch, StoreUnavailable, TextsBehind.

    What the committed view shows is remembered as far as it lasts: old versions that matched, and totals.
    """

    def __init__(self, blobs: Blobs, extract: Extract) -> None:
        self._blobs = blobs
        self._extract = extract
        self._memos = Memos()
        self._totals = Totals()

    async def search(self, view: View, query: Query) -> Page:
        """See ``store.Reading.search``."""
        view, place = view.steady(), place_of(query)
        if query.count <= 0:
            return Page((), None, await self._total(view, query))
        if place is not None:
            past = self._past(view, Moment(place.sequence, place.rid))
            rows = await later_rows(view, await parts_of(view, query, past), past, place)
            moment, total = past.moment, place.total
        else:
            rows = await first_rows(view, await parts_of(view, query))
            moment, total = await self._start(view, query, len(rows))
        page = cut(query, rows, moment, total)
        records = Reader(view, self._blobs).records(page.rows)
        return Page(tuple(records), page.next, total)

    async def _start(self, view: View, query: Query, found: int) -> tuple[Moment, int | None]:
        """The moment of a first page with ``found`` rows, and the total."""
        if found > query.count:
            return await moment_of(view), await self._total(view, query)
        return Moment(0, 0), None if query.total == "none" else found

    async def count(self, view: View, query: Query) -> int:
        """See ``store.Reading.count``."""
        return await total_of(view.steady(), query, self._totals)

    async def _total(self, view: View, query: Query) -> int | None:
        return None if query.total == "none" else await total_of(view, query, self._totals)

    async def referring(
        self, view: View, queries: Sequence[Query], moment: tuple[int, int] | None
    ) -> Referring:
        """See ``store.Reading.referring``."""
        view = view.steady()
        return await referring(view, queries, self._past(view, Moment(*moment)) if moment else None)

    async def terms(self, view: View, key: int, limit: int) -> list[tuple[str, str]]:
        """See ``store.Reading.terms``."""
        return await terms(view, key, limit)

    def _past(self, view: View, moment: Moment) -> Past:
        memos = self._memos if view.is_committed else Memos()

        async def exists(query: Query, past: Past) -> bool:
            plan = await plan_of(scope_of(view, query, past), query.clauses)
            return bool(await plan.find(view, {"_id": 1}, limit=1))

        return Past(Archive(view, self._blobs, self._extract, memos), moment, exists)
