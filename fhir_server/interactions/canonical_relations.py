"""What chains and ``_has`` along canonical URLs lead to, fetched before the search is read.

Resources with a URL of their own (Questionnaire, Measure, ValueSet …) are few, so they are named: a chain becomes a
search for their URLs, ``_has`` one for their ids. All of it is as it is now, on later pages of a search too.
Source: FHIR R4 search.html#chaining, search.html#has, references.html#canonical.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from fhir_server.interactions.canonicals import fitting, urls_in
from fhir_server.interactions.context import Server
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.paging import all_pages
from fhir_server.search.canonicals import URL
from fhir_server.search.lookups import Identity, Wanted
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Chain, Clause, Has, Query, UriValue
from fhir_server.search.types.reference import named_by
from fhir_server.security.access import narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

MOST_TARGETS: Final = 10_000
"""Resources with a URL that one relation may lead to."""
MOST_REFERRING: Final = 2_000
"""Resources that refer by URL and are read to see what they refer to; of more it is asked target by target."""
STEP: Final = 500


class _Identified(msgspec.Struct):
    url: str = ""
    version: str | None = None


_identified: Final = msgspec.json.Decoder(_Identified)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for it, and where: ``base`` is the address of this server."""

    server: Server
    caller: Caller
    reading: Reading
    base: str

    async def related(self, wanted: Wanted) -> Sequence[Identity] | Sequence[str] | None:
        """For a chain the url and version of each resource it leads to, for ``_has`` the ids of the resources of
        ``wanted.type`` that are referred to; None when there are too many."""
        if isinstance(wanted.relation, Chain):
            return await self._identities(wanted.relation)
        assert isinstance(wanted.relation, Has)
        return await self._referred(wanted.relation, wanted.type)

    async def _identities(self, chain: Chain) -> list[Identity] | None:
        found: dict[Identity, None] = {}
        async for record in self._all(narrow(Query(chain.type, (chain.criterion,)), self.caller)):
            data = _identified.decode(record.content)
            if data.url:
                found[data.url, data.version] = None
            if len(found) > MOST_TARGETS:
                return None
        return list(found)

    async def _referred(self, has: Has, type: str) -> list[str] | None:
        sources = narrow(Query(has.type, (has.criterion,), count=MOST_REFERRING + 1), self.caller)
        page = await self.reading.search(sources)
        if len(page.records) > MOST_REFERRING:
            return await self._asked_one_by_one(has, type, sources)
        follow = self.server.extract.references(has.type, frozenset(has.parameter.keys))
        rows = [row for record in page.records for row, _ in follow(record.content)]
        found = {row.id: None for row in rows if row.type == type}
        urls = urls_in(rows)
        if urls:
            named = Clause(self._url_of(type), None, tuple(map(UriValue, urls)))
            targets = [record async for record in self._all(Query(type, (named,)))]
            found |= {record.id: None for record in fitting(targets, urls)}
        return list(found)

    async def _asked_one_by_one(self, has: Has, type: str, sources: Query) -> list[str] | None:
        """Of all resources with a URL, those that something refers to for which the criterion holds."""
        found: list[str] = []
        count = 0
        async for record in self._all(Query(type, (Clause(self._url_of(type), "missing", (False,)),))):
            count += 1
            if count > MOST_TARGETS:
                return None
            data = _identified.decode(record.content)
            referring = Clause(has.parameter, None, named_by(data.url, data.version, self.base or None))
            asked = replace(sources, clauses=(referring, *sources.clauses), count=1)
            if (await self.reading.search(asked)).records:
                found.append(record.id)
        return found

    def _url_of(self, type: str) -> SearchParameter:
        return self.server.parameters.parameter(type, URL)

    async def _all(self, query: Query) -> AsyncIterator[Record]:
        """All pages of ``query``."""
        pace = Pace()
        async for page in all_pages(self.reading, replace(query, count=STEP)):
            for record in page.records:
                yield record
                await pace()
