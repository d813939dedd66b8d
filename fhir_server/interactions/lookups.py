"""Reading a search that depends on other resources: value sets of this server, and what is above or below a resource.

Parsing says what it lacks (``NotFetched``); it is fetched from the store, and parsing begins again.
Source: FHIR R4 search.html#token (:in, :above, :below), search.html#recursive.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from fhir_server.errors import InvalidSearch
from fhir_server.interactions.canonical_relations import Asking
from fhir_server.interactions.context import Server
from fhir_server.interactions.paging import all_pages
from fhir_server.search.compartments import Compartment
from fhir_server.search.lookups import LARGEST_FAMILY, PARTS, Lookups, NotFetched, Wanted
from fhir_server.search.query import Clause, Query, ReferenceValue, UriValue, parse_query
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

MOST: Final = 200
"""Resources that one search may have fetched before it is read."""

Json = dict[str, Any]


async def parse_search(
    server: Server,
    caller: Caller,
    reading: Reading,
    type: str | None,
    pairs: Sequence[tuple[str, str]],
    *,
    compartment: Compartment | None = None,
    base: str = "",
    lenient: bool = False,
    contained: bool = False,
) -> Query:
    """The search that ``pairs`` ask for (see ``parse_query``), as ``reading`` is now and as far as it depends on what
    ``caller`` may see. Raises InvalidSearch.

    ``contained``: it may also be about contained resources.
    """
    lookups: Lookups | None = None
    now: datetime | None = None
    for _ in range(MOST):
        try:
            query = parse_query(
                server.parameters,
                type,
                pairs,
                compartment=compartment,
                lenient=lenient,
                zone=server.timezone,
                base_url=base or None,
                now=now,
                lookups=lookups,
                stored=True,
            )
            return query if contained else _require_plain(query)
        except NotFetched as missing:
            lookups = lookups or Lookups(server.definitions.terminology(), stored=True)
            now = now or server.now()  # what is fetched for "about now" is asked for again
            asking = Asking(server, caller, reading, base)
            lookups.keep(missing.wanted, await _fetched(asking, missing.wanted))
    raise InvalidSearch(
        f"the search needs more than {MOST} value sets and code systems of this server", code="too-costly"
    )


def _require_plain(query: Query) -> Query:
    if query.contained != "false":
        text = "contained resources can be searched for, but nothing else can be done with what is found"
        raise InvalidSearch(text, code="not-supported", expression="http._contained")
    return query


async def _fetched(asking: Asking, wanted: Wanted) -> Any:
    if wanted.relation is not None:
        return await asking.related(wanted)
    server, reading = asking.server, asking.reading
    if not wanted.way:
        return await _canonical(server, reading, wanted)
    return await FAMILIES[wanted.way](server, reading, wanted.type, wanted.name)


# ── canonical resources ───────────────────────────────────────────────────────


async def _canonical(server: Server, reading: Reading, wanted: Wanted) -> Json | None:
    """The resource with this URL (``url|version``) or address (``ValueSet/id``): the newest that is not retired."""
    type, slash, id = wanted.name.partition("/")
    if slash and type == wanted.type:
        record = await reading.read(type, id)
        return _parsed(record.content) if record is not None and not record.deleted else None
    url, _, version = wanted.name.partition("|")
    with_url = Clause(server.parameters.parameter(wanted.type, "url"), None, (UriValue(url),))
    records = (await reading.search(Query(wanted.type, (with_url,), count=100))).records
    found = [_parsed(record.content) for record in records]
    found = [each for each in found if version in {"", each.get("version")}]
    return min(found, key=lambda each: each.get("status") == "retired", default=None)


@lru_cache(maxsize=16)
def _parsed(content: bytes) -> Json:
    """Code systems are large and asked for again."""
    data: Json = orjson.loads(content)
    return data


# ── hierarchies ───────────────────────────────────────────────────────────────


async def _below(server: Server, reading: Reading, type: str, id: str) -> Sequence[str]:
    """``id`` and all resources that are, through others too, part of it."""
    parameter = server.parameters.parameter(type, PARTS[type])
    found, last = {id: None}, [id]
    while last and len(found) <= LARGEST_FAMILY:
        part_of = Clause(parameter, None, tuple(ReferenceValue(type, each) for each in last))
        records = await _all(reading, Query(type, (part_of,), count=1000))
        last = [record.id for record in records if record.id not in found]
        found |= dict.fromkeys(last)
    return tuple(found)


async def _above(server: Server, reading: Reading, type: str, id: str) -> Sequence[str]:
    """``id`` and all resources that it is, through others too, part of."""
    keys = server.parameters.parameter(type, PARTS[type]).keys
    found, last = {id: None}, [id]
    while last and len(found) <= LARGEST_FAMILY:
        records = await reading.read_many([(type, each) for each in last])
        rows = [row for each in records for row in server.extract(orjson.loads(each.content)).references]
        parents = [row.id for row in rows if row.key in keys and row.type == type and "/" not in row.id]
        last = [parent for parent in dict.fromkeys(parents) if parent not in found]
        found |= dict.fromkeys(last)
    return tuple(found)


async def _all(reading: Reading, query: Query) -> list[Record]:
    records: list[Record] = []
    async for page in all_pages(reading, query):
        records += page.records
        if len(records) > LARGEST_FAMILY:
            break
    return records


FAMILIES: Final = {"above": _above, "below": _below}
