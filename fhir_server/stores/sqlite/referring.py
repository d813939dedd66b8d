"""What refers to a resource, whatever its type: one pass over the rows of its references, without any content."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from fhir_server.search.query import Query
from fhir_server.store import Referring, Version
from fhir_server.stores.sqlite.moment import Moment, moment_of
from fhir_server.stores.sqlite.past import Past
from fhir_server.stores.sqlite.symbols import Symbols

_COLUMNS: Final = "r.rid, s.text, r.id, {0}.version, {0}.updated, {0}.sequence"
_UNCHANGED: Final = f"""SELECT DISTINCT {_COLUMNS.format("r")} FROM json_each(?) w
    CROSS JOIN term t ON t.key = w.value ->> 0 AND t.text = w.value ->> 1 AND t.extra = w.value ->> 2
    CROSS JOIN resource r ON r.rid = t.rid CROSS JOIN symbol s ON s.sid = r.tid
    WHERE r.rid <= ? AND r.sequence <= ?"""  # noqa: S608
_CHANGED: Final = f"""SELECT {_COLUMNS.format("h")} FROM history h
    CROSS JOIN resource r ON r.rid = h.rid CROSS JOIN symbol s ON s.sid = r.tid WHERE h.sequence = ?"""  # noqa: S608
_TEXTS: Final = """WITH RECURSIVE found (text) AS (
        SELECT min(text) FROM term WHERE key = ?1
        UNION ALL SELECT (SELECT min(text) FROM term WHERE key = ?1 AND text > f.text) FROM found f
        WHERE f.text IS NOT NULL)
    SELECT DISTINCT t.text, s.text FROM (SELECT text FROM found WHERE text IS NOT NULL LIMIT ?2) f
    CROSS JOIN term t ON t.key = ?1 AND t.text = f.text CROSS JOIN symbol s ON s.sid = t.extra LIMIT ?2"""


def referring(
    connection: sqlite3.Connection, symbols: Symbols, queries: Sequence[Query], past: Past | None
) -> Referring:
    """See ``store.Store.referring``. The connection is in a transaction, if only a reading one."""
    moment = past.moment if past else moment_of(connection)
    rows: list[Any] = list(_unchanged(connection, symbols, queries, moment))
    for query in queries if past else ():
        for *_, sequence in past.matching(query) if past else ():
            rows += connection.execute(_CHANGED, (sequence,))
    return Referring(tuple([Version(*row) for row in sorted(rows)]), moment)


def _unchanged(
    connection: sqlite3.Connection, symbols: Symbols, queries: Sequence[Query], moment: Moment
) -> Iterable[Any]:
    wanted = orjson.dumps(list(_wanted(connection, symbols, queries))).decode()
    return connection.execute(_UNCHANGED, (wanted, moment.rid, moment.sequence))


def _wanted(
    connection: sqlite3.Connection, symbols: Symbols, queries: Sequence[Query]
) -> Iterator[tuple[int, str, int]]:
    for query in queries:
        for clause in query.clauses:
            for value in clause.values:  # type: ignore[union-attr]
                number = symbols.find(connection, value.type)
                yield from ((key, value.id, number) for key in clause.parameter.keys)  # type: ignore[union-attr]


def terms(connection: sqlite3.Connection, key: int, limit: int) -> list[tuple[str, str]]:
    """See ``store.Store.terms``. From each text to the next is one step in the index, however many rows it has."""
    return connection.execute(_TEXTS, (key, limit)).fetchall()
