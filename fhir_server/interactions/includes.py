"""``_include`` and ``_revinclude``: the resources that come along with a page of matches.

Source: FHIR R4 search.html#include.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from fhir_server.interactions.context import Server
from fhir_server.interactions.visible import may_read, visible
from fhir_server.search.query import Clause, Include, Query, ReferenceValue
from fhir_server.security.access import narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

STEP = 1000
"""How many records one search for includes asks for; it goes on until it has all of them."""

Key = tuple[str, str]


async def included(
    server: Server, caller: Caller, reading: Reading, includes: Sequence[Include], matches: Sequence[Record]
) -> tuple[Record, ...]:
    """What ``includes`` add to ``matches``: each once, no match again, only what ``caller`` may see."""
    found: dict[Key, Record] = {}
    forward = [include for include in includes if not include.reverse]
    for record in await _targets(server, caller, reading, forward, matches):
        found[record.type, record.id] = record
    for include in includes:
        if include.reverse:
            for record in await _sources(caller, reading, include, matches):
                found[record.type, record.id] = record
    for match in matches:
        found.pop((match.type, match.id), None)
    return tuple(found.values())


async def _targets(
    server: Server, caller: Caller, reading: Reading, includes: Sequence[Include], matches: Sequence[Record]
) -> list[Record]:
    """The resources that the matches refer to through the parameters of ``includes``."""
    wanted: dict[str, dict[str, None]] = {}
    for record in matches if includes else ():
        for type, id in _references(server, includes, record):
            wanted.setdefault(type, {})[id] = None
    found: list[Record] = []
    for type, ids in wanted.items():
        found += await visible(server, caller, reading, type, list(ids))
    return found


def _references(server: Server, includes: Sequence[Include], record: Record) -> Iterator[Key]:
    asked = [include for include in includes if include.type == record.type]
    if not asked:
        return
    rows = server.extract(orjson.loads(record.content)).references
    for include in asked:
        types = {include.target, include.parameter.target} - {None}
        for row in rows:
            if row.key in include.parameter.keys and row.type and types <= {row.type}:
                yield row.type, row.id


async def _sources(
    caller: Caller, reading: Reading, include: Include, matches: Sequence[Record]
) -> list[Record]:
    """The resources of ``include.type`` that refer to one of the matches: all pages of them."""
    targets = tuple(
        ReferenceValue(record.type, record.id)
        for record in matches
        if {include.target, include.parameter.target} - {None} <= {record.type}
    )
    if not targets or not may_read(caller, include.type):
        return []
    query: Query | None = Query(include.type, (Clause(include.parameter, None, targets),), count=STEP)
    found: list[Record] = []
    while query is not None:
        page = await reading.search(narrow(query, caller))
        found += page.records
        query = _following(query, page.next)
    return found


def _following(query: Query, cursor: str | None) -> Query | None:
    return Query(query.type, query.clauses, count=query.count, cursor=cursor) if cursor else None
