"""``_include`` and ``_revinclude``: the resources that come along with a page of matches.

What is included once is followed again when the include says ``:iterate``, until nothing new is found; so circles
end. All that belongs to a page comes with it, or the page is refused.
Source: FHIR R4 search.html#include, search.html#versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from fhir_server.errors import InvalidSearch
from fhir_server.interactions.canonicals import fitting, pointing_by_url, urls_in, wanted_by
from fhir_server.interactions.context import Server
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.paging import all_pages
from fhir_server.interactions.visible import may_read, visible
from fhir_server.search.canonicals import is_canonical
from fhir_server.search.index import ReferenceRow
from fhir_server.search.query import AnyOf, Clause, Criterion, Include, Query, ReferenceValue
from fhir_server.security.access import narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

MOST = 20_000
"""A page with which more than this would come along is refused."""
STEP = MOST + 1
"""How many records one search for includes asks for; it goes on until it has all of them."""

Key = tuple[str, str]
MANY = 8
"""From so many types on it is first asked whether there is anything of a type."""
CURRENT = {0}
"""The version that references mean which name none."""
Grouped = dict[str, list[Record]]
"""Records by type."""


async def included(
    server: Server, caller: Caller, reading: Reading, includes: Sequence[Include], matches: Sequence[Record]
) -> tuple[Record, ...]:
    """What ``includes`` add to ``matches``: each version once, no match again, only what ``caller`` may see.

    Raises InvalidSearch when that is more than MOST resources.
    """
    search = _Inclusion(server, caller, reading)
    search.known.update(map(write_of, matches))
    found: list[Record] = []
    asked, new = includes, [*matches]
    while new and asked:
        new = await search.step(asked, new)
        found += new
        if len(found) > MOST:
            raise InvalidSearch(
                f"more than {MOST} resources would come along with this page: ask for fewer by _count, or include less",
                code="too-costly",
                expression="http._include",
            )
        asked = [include for include in includes if include.iterate]
    return tuple(found)


class _Inclusion:
    """One page on its way to what comes along; ``known`` are the writes that are in the answer already."""

    def __init__(self, server: Server, caller: Caller, reading: Reading) -> None:
        self.known: set[Hashable] = set()
        self._server = server
        self._caller = caller
        self._reading = reading
        self._pace = Pace()
        self._kept: dict[str, bool] = {}

    async def step(self, includes: Sequence[Include], records: Iterable[Record]) -> list[Record]:
        """What ``includes`` add to ``records`` in one step."""
        new: list[Record] = []
        grouped: Grouped = defaultdict(list)
        for record in records:
            grouped[record.type].append(record)
        forward = [include for include in includes if not include.reverse and include.type in grouped]
        if forward:
            self._add(new, await self._targets(forward, grouped))
        sources = _by_type(include for include in includes if include.reverse)
        for type, backward in sources.items():
            if len(sources) < MANY or await self._is_kept(type):
                self._add(new, await self._sources(type, backward, grouped))
            await self._pace()
        return new

    def _add(self, new: list[Record], records: Iterable[Record]) -> None:
        for record in records:
            if write_of(record) not in self.known:
                self.known.add(write_of(record))
                new.append(record)

    # ── forward ───────────────────────────────────────────────────────────────

    async def _targets(self, includes: Sequence[Include], records: Grouped) -> list[Record]:
        """The resources that ``records`` refer to through the parameters of ``includes``."""
        wanted: dict[str, dict[str, set[int]]] = defaultdict(dict)
        for type, asked in _by_type(includes).items():
            for row, version in self._references(type, asked, records[type]):
                ids = wanted[row.type]
                if row.id in ids:
                    ids[row.id].add(version)
                else:
                    ids[row.id] = {version}
        found = await self._by_url(includes, records)
        for type, ids in wanted.items():
            for record in await visible(self._server, self._caller, self._reading, type, list(ids)):
                versions = ids[record.id]
                found += [record] if versions == CURRENT else await self._versions(record, versions)
            await self._pace()
        return found

    def _references(
        self, type: str, includes: Sequence[Include], records: Sequence[Record]
    ) -> Iterator[tuple[ReferenceRow, int]]:
        """Every reference to a local resource, and the version it names (0: none)."""
        leads = {
            (key, include.target or include.parameter.target)
            for include in includes
            for key in include.parameter.keys
        }
        follow = self._server.extract.references(type, frozenset([key for key, _ in leads]))
        for record in records:
            for pair in follow(record.content):
                row = pair[0]
                if row.type and not leads.isdisjoint(((row.key, row.type), (row.key, None))):
                    yield pair

    async def _by_url(self, includes: Sequence[Include], records: Grouped) -> list[Record]:
        """What ``records`` refer to by canonical URLs."""
        found: list[Record] = []
        for include in includes:
            if not is_canonical(self._server.parameters, include.parameter):
                continue
            follow = self._server.extract.references(include.type, frozenset(include.parameter.keys))
            rows = [row for record in records[include.type] for row, _ in follow(record.content)]
            urls = urls_in(rows)
            for type, criterion in wanted_by(self._server, include, urls):
                found += fitting(await self._all(type, criterion), urls)
        return found

    async def _versions(self, current: Record, versions: set[int]) -> list[Record]:
        """The versions that references name; the current one where they name none, or one that is gone."""
        found = {}
        for version in versions:
            record: Record | None = current
            if version not in {0, current.version}:
                record = await self._reading.read_version(current.type, current.id, version)
            chosen = current if record is None or record.deleted else record
            found[chosen.version] = chosen
        return list(found.values())

    # ── backward ──────────────────────────────────────────────────────────────

    async def _sources(self, type: str, includes: Sequence[Include], records: Grouped) -> list[Record]:
        """The resources of ``type`` that refer to one of ``records``."""
        criteria = [clause for include in includes for clause in self._pointing(include, records)]
        if not criteria:
            return []
        return await self._all(type, criteria[0] if len(criteria) == 1 else AnyOf(tuple(criteria)))

    async def _is_kept(self, type: str) -> bool:
        """Whether there is any resource of ``type``."""
        if type not in self._kept:
            self._kept[type] = bool((await self._reading.search(Query(type, count=1))).records)
        return self._kept[type]

    def _pointing(self, include: Include, records: Grouped) -> Iterator[Criterion]:
        """The clause that is true of what refers to one of ``records``."""
        parameter = include.parameter
        only = include.target or parameter.target
        types = (only,) if only else parameter.targets or tuple(records)
        reached = [record for type in types if type in records for record in records[type]]
        if reached and is_canonical(self._server.parameters, parameter):
            clause = pointing_by_url(self._server, include, reached)
            if clause is not None:
                yield clause
        elif reached:
            values = tuple([ReferenceValue(record.type, record.id) for record in reached])
            yield Clause(parameter, None, values)

    async def _all(self, type: str, criterion: Criterion) -> list[Record]:
        """All pages of the resources of ``type`` for which ``criterion`` holds."""
        if not may_read(self._caller, type):
            return []
        query = narrow(Query(type, (criterion,), count=STEP), self._caller)
        found: list[Record] = []
        async for page in all_pages(self._reading, query):
            found += page.records
            await self._pace()
            if len(found) > MOST:
                break
        return found


def write_of(record: Record) -> Hashable:
    """What tells this version from all others: the number of its write, when it is kept already."""
    return record.sequence or (record.type, record.id, record.version)


def _by_type(includes: Iterable[Include]) -> dict[str, list[Include]]:
    found: dict[str, list[Include]] = defaultdict(list)
    for include in includes:
        found[include.type].append(include)
    return found
