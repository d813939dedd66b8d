"""The store as it was at a moment: what a page after the first one shows.

Everything that was there and is unchanged is found by the index tables, with one more test (``Moment.unchanged``).
What has been changed or deleted since is met in the log and looked at in the version that it had: its index
values are extracted again and matched in memory. What was created since has a greater ``rid`` and is passed over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from fhir_server.search.index import IndexValues
from fhir_server.search.match import Indexed, holds, rows_of
from fhir_server.search.query import AllOf, Chain, Has, Query
from fhir_server.search.related import question
from fhir_server.search.sorting import sort_value
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.cursor import context_of
from fhir_server.stores.memos import Memo, Memos
from fhir_server.stores.sqlite.moment import Moment
from fhir_server.stores.sqlite.symbols import Symbols

Extract = Callable[[str, bytes], IndexValues]
Found = tuple[Any, ...]

_CHANGED: Final = """SELECT r.id, h.updated, h.content, h.sequence, h.rid, l.sequence
    FROM log l INDEXED BY log_change CROSS JOIN history h ON h.rid = l.rid AND h.version = l.version - 1
    CROSS JOIN resource r ON r.rid = l.rid
    WHERE l.tid = ? AND l.sequence > ? AND l.version > 1 AND h.sequence <= ? AND h.method > 0
    ORDER BY l.sequence"""
_NEWEST: Final = "SELECT ifnull(max(sequence), 0) FROM log WHERE tid = ?"


class Version(NamedTuple):
    """What a changed resource was: its ``rid``, the ``sequence`` of the version, and its index values."""

    rid: int
    sequence: int
    resource: Indexed


class Archive:
    """Old versions, on one connection.

    ``check`` is called between two of them, and may raise to end the work; ``memos`` is what is known already.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        blobs: Blobs,
        symbols: Symbols,
        extract: Extract,
        memos: Memos,
        check: Callable[[], None],
    ) -> None:
        self.memos = memos
        self._connection = connection
        self._symbols = symbols
        self._blobs = blobs
        self._extract = extract
        self._check = check

    def changed(self, type: str, moment: Moment, after: int) -> Iterator[tuple[int, Version]]:
        """What was there at ``moment`` and was changed by a write after ``after``: that write, the version then."""
        since = max(after, moment.sequence)
        rows = self._connection.execute(_CHANGED, (self.number(type), since, moment.sequence))
        for id, updated, content, sequence, rid, write in rows:
            values = self._extract(type, self._blobs.decompress(content))
            yield write, Version(rid, sequence, Indexed(type, id, updated, values))
            self._check()

    def newest(self, type: str) -> int:
        """The last write of a resource of ``type``."""
        found: int = self._connection.execute(_NEWEST, (self.number(type),)).fetchone()[0]
        return found

    def number(self, type: str) -> int:
        """The number of a resource type, UNKNOWN when none was ever kept."""
        return self._symbols.find(self._connection, type)


class Past:
    """What has changed since ``moment``. ``exists`` says whether a search of then finds something unchanged."""

    def __init__(self, archive: Archive, moment: Moment, exists: Callable[[Query, Past], bool]) -> None:
        self.moment = moment
        self._archive = archive
        self._exists = exists

    def matching(self, query: Query) -> tuple[Found, ...]:
        """What matched then: of each the values of the sort keys, date, rid and the sequence of the version."""

        def found(version: Version) -> Iterator[Found]:
            keys = [sort_value(key, version.resource) for key in query.sort]
            yield (*keys, version.resource.values.date, version.rid, version.sequence)

        return self._remembered("page", query, found)

    def ids(self, relation: Chain) -> list[str]:
        """See ``moment.Then``."""
        query = Query(relation.type, (relation.criterion,))
        return [id for (id,) in self._remembered("chain", query, lambda version: [(version.resource.id,)])]

    def targets(self, relation: Has, tid: int) -> list[str]:
        """See ``moment.Then``."""
        parameter, number = relation.parameter, self._archive.number

        def found(version: Version) -> Iterator[Found]:
            yield from ((number(row.type), row.id) for row in rows_of(parameter, version.resource.values))

        query = Query(relation.type, (relation.criterion,))
        pairs = self._remembered(f"has {parameter.code}", query, found)
        return [id for type, id in pairs if type == tid]

    def _remembered(
        self, purpose: str, query: Query, found: Callable[[Version], Iterable[Found]]
    ) -> tuple[Found, ...]:
        """``found`` of every changed version that matched. Each is looked at once, however many pages follow."""
        archive, key = self._archive, (purpose, context_of(query), self.moment)
        upto, known = archive.memos.recall(key) or Memo(self.moment.sequence, ())
        newest = archive.newest(query.type)
        if newest <= upto:
            return known
        more = list(known)
        try:
            for write, version in archive.changed(query.type, self.moment, upto):
                if holds(AllOf(query.clauses), version.resource, self._related):
                    more += found(version)
                upto = write
            upto = newest
        finally:
            archive.memos.keep(key, Memo(upto, tuple(more)))
        return tuple(more)

    def _related(self, relation: Chain | Has, resource: Indexed) -> bool:
        if self._exists(question(relation, resource), self):
            return True
        if isinstance(relation, Has):
            return resource.id in self.targets(relation, self._archive.number(resource.type))
        rows = rows_of(relation.parameter, resource.values)
        wanted = {row.id for row in rows if row.type == relation.type}
        return not wanted.isdisjoint(self.ids(relation))
