"""The store as it was at a moment: what a page after the first one shows.

Everything that was there and is unchanged is found as ever, with one more test (``Moment.unchanged``). What has been
changed or deleted since stands in the history and is looked at in the version that it had: its index values are
extracted again and matched in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from fhir_server.search.index import IndexValues
from fhir_server.search.match import Indexed, holds, rows_of
from fhir_server.search.query import AllOf, Chain, Has, Query
from fhir_server.search.related import question
from fhir_server.search.sorting import sort_value
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.cursor import context_of
from fhir_server.stores.memos import Memo, Memos
from fhir_server.stores.mongo.moment import Moment
from fhir_server.stores.mongo.view import View

Extract = Callable[[str, bytes], IndexValues]
Found = tuple[Any, ...]
Relation = tuple[Chain | Has, Indexed]

AT_ONCE: Final = 500
"""Versions read by one call."""

_VERSION: Final = {"i": 1, "n": 1, "u": 1, "o": 1, "z": 1}


class Version(NamedTuple):
    """What a changed resource was: its ``number``, the ``sequence`` of the version, and its index values."""

    number: int
    sequence: int
    resource: Indexed


class Archive:
    """Old versions, seen through one view; ``memos`` is what is known of them already."""

    def __init__(self, view: View, blobs: Blobs, extract: Extract, memos: Memos) -> None:
        self.memos = memos
        self._view = view
        self._blobs = blobs
        self._extract = extract

    async def changed(self, type: str, moment: Moment, after: int) -> AsyncIterator[tuple[int, Version]]:
        """What was there at ``moment`` and was changed by a write after ``after``: that write, the version then."""
        since, found = max(after, moment.sequence), AT_ONCE
        while found == AT_ONCE:
            wanted = {"t": type, "o": {"$gt": since}, "_id": {"$lte": moment.sequence}, "m": {"$gt": 0}}
            rows = await self._view.find(
                "history", wanted, projection=_VERSION, sort={"o": 1}, limit=AT_ONCE, hint="type_ended"
            )
            for row in rows:
                values = self._extract(type, self._blobs.decompress(row["z"]))
                yield row["o"], Version(row["n"], row["_id"], Indexed(type, row["i"], row["u"], values))
            found = len(rows)
            since = rows[-1]["o"] if rows else since

    async def newest(self, type: str) -> int:
        """The last write of a resource of ``type``."""
        return await newest_write(self._view, type)


async def newest_write(view: View, type: str) -> int:
    """The last write of a resource of ``type``; 0 when there was none."""
    found = await view.find("resource", {"t": type}, projection={"s": 1}, sort={"s": -1}, limit=1)
    return found[0]["s"] if found else 0


class Unknown(Exception):
    """Whether ``relation`` holds has not been asked yet."""

    def __init__(self, relation: Relation) -> None:
        super().__init__()
        self.relation = relation


class Past:
    """What has changed since ``moment``. ``exists`` says whether a search of then finds something unchanged."""

    def __init__(
        self, archive: Archive, moment: Moment, exists: Callable[[Query, Past], Awaitable[bool]]
    ) -> None:
        self.moment = moment
        self._archive = archive
        self._exists = exists

    async def matching(self, query: Query) -> tuple[Found, ...]:
        """What matched then: of each the values of the sort keys, date, number and the sequence of the version."""

        def found(version: Version) -> Iterator[Found]:
            keys = [sort_value(key, version.resource) for key in query.sort]
            yield (*keys, version.resource.values.date, version.number, version.sequence)

        return await self._remembered("page", query, found)

    async def ids(self, relation: Chain) -> list[str]:
        """See ``moment.Then``."""
        query = Query(relation.type, (relation.criterion,))
        found = await self._remembered("chain", query, lambda version: [(version.resource.id,)])
        return [id for (id,) in found]

    async def targets(self, relation: Has, type: str) -> list[str]:
        """See ``moment.Then``."""
        parameter = relation.parameter

        def found(version: Version) -> Iterator[Found]:
            yield from ((row.type, row.id) for row in rows_of(parameter, version.resource.values))

        query = Query(relation.type, (relation.criterion,))
        pairs = await self._remembered(f"has {parameter.code}", query, found)
        return [id for of, id in pairs if of == type]

    async def _remembered(
        self, purpose: str, query: Query, found: Callable[[Version], Iterable[Found]]
    ) -> tuple[Found, ...]:
        """``found`` of every changed version that matched. Each is looked at once, however many pages follow."""
        archive, key = self._archive, (purpose, context_of(query), self.moment)
        upto, known = archive.memos.recall(key) or Memo(self.moment.sequence, ())
        newest = await archive.newest(query.type)
        if newest <= upto:
            return known
        more = list(known)
        try:
            async for write, version in archive.changed(query.type, self.moment, upto):
                if await self._holds(query, version.resource):
                    more += found(version)
                upto = write
            upto = newest
        finally:
            archive.memos.keep(key, Memo(upto, tuple(more)))
        return tuple(more)

    async def _holds(self, query: Query, resource: Indexed) -> bool:
        """Whether ``query`` matched ``resource``; its relations are asked for one after the other, as they come up."""
        answers: dict[tuple[int, str], bool] = {}

        def related(relation: Chain | Has, of: Indexed) -> bool:
            try:
                return answers[id(relation), of.id]
            except KeyError:
                raise Unknown((relation, of)) from None

        while True:
            try:
                return holds(AllOf(query.clauses), resource, related)
            except Unknown as unknown:
                relation, of = unknown.relation
                answers[id(relation), of.id] = await self._related(relation, of)

    async def _related(self, relation: Chain | Has, resource: Indexed) -> bool:
        if await self._exists(question(relation, resource), self):
            return True
        if isinstance(relation, Has):
            return resource.id in await self.targets(relation, resource.type)
        rows = rows_of(relation.parameter, resource.values)
        wanted = {row.id for row in rows if row.type == relation.type}
        return not wanted.isdisjoint(await self.ids(relation))
