"""search: ``GET [base]/[type]?…`` and ``POST [base]/[type]/_search``.

Source: FHIR R4 search.html, http.html#search.
"""

from __future__ import annotations

import msgspec
import orjson

from fhir_server.errors import Issue, outcome
from fhir_server.interactions.bundles import Pairs, hit_entries, outcome_entry, page_links
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.includes import included
from fhir_server.interactions.subset import SUMMARIES, subset
from fhir_server.interactions.write import require_type
from fhir_server.model.bundle import make_bundle
from fhir_server.search.query import Query, parse_query
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Page, Reading, Record


async def search(
    server: Server,
    caller: Caller,
    type: str,
    pairs: Pairs,
    *,
    base: str = "",
    lenient: bool | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """A searchset of the resources of ``type`` that match ``pairs`` (decoded names and values of the URL).

    ``lenient`` (None: as the server is set) leaves out unknown parameters and says so in an entry;
    ``reading`` is an open transaction to search in, None for what is committed. Raises InvalidSearch
    with every fault.
    """
    require_type(server, type)
    check_access(caller, "search", type)
    query = parse_query(
        server.parameters,
        type,
        pairs,
        lenient=server.lenient if lenient is None else lenient,
        zone=server.timezone,
        base_url=base or None,
    )
    source = reading or server.store
    page = await _page(source, narrow(query, caller))
    others = await included(server, caller, source, query.includes, page.records) if query.includes else ()
    entries = _entries(server, query, base, page.records, others)
    links = page_links(base, type, query.applied, page.next)
    return Outcome(200, resource=make_bundle("searchset", entries, links=links, total=page.total))


async def _page(reading: Reading, query: Query) -> Page:
    if query.summary == "count" or query.count == 0:
        return Page((), total=await reading.count(query))
    page = await reading.search(query)
    if query.total != "none" and page.total is None:
        return msgspec.structs.replace(page, total=await reading.count(query))
    return page


def _entries(
    server: Server, query: Query, base: str, matches: tuple[Record, ...], others: tuple[Record, ...]
) -> list[bytes]:
    if query.elements or query.summary in SUMMARIES:
        matches = tuple(subset(server.definitions, r, query.summary, query.elements) for r in matches)
        others = tuple(subset(server.definitions, r, query.summary, ()) for r in others)
    entries = hit_entries(base, matches, "match")
    if others:
        entries += hit_entries(base, others, "include")
    if query.ignored:
        entries.append(outcome_entry(_ignored(query)))
    return entries


def _ignored(query: Query) -> bytes:
    issues = [
        Issue(
            "warning",
            "not-supported",
            f"{name} was ignored: {query.type} has no such search parameter",
            f"http.{name}",
        )
        for name, _ in query.ignored
    ]
    return orjson.dumps(outcome(issues))
