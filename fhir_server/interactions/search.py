"""search: of a type (``GET [base]/[type]?…``), of several (``GET [base]?_type=…``), or in a compartment
(``GET [base]/Patient/1/Observation``, ``GET [base]/Patient/1/*``).

Source: FHIR R4 search.html, http.html#search, compartmentdefinition.html.
"""

from __future__ import annotations

from functools import partial

import msgspec

from fhir_server.errors import NotFound
from fhir_server.interactions.bundles import Pairs, hit_entries, ignored_entry, outcome_entry, page_links
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.explain import explanation
from fhir_server.interactions.includes import included
from fhir_server.interactions.lookups import parse_search
from fhir_server.interactions.own import TYPES, page_with_own
from fhir_server.interactions.search_contained import contained_entries, contained_page, contained_query
from fhir_server.interactions.subset import SUMMARIES, subset
from fhir_server.interactions.write import require_type
from fhir_server.model.bundle import make_searchset
from fhir_server.search.compartments import Compartment, members
from fhir_server.search.query import Query
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Page, Reading, Record

ALL = "*"
"""What stands for all types of a compartment in an address."""


async def search(
    server: Server,
    caller: Caller,
    type: str | None,
    pairs: Pairs,
    *,
    compartment: Compartment | None = None,
    base: str = "",
    lenient: bool | None = None,
) -> Outcome:
    """A searchset of the resources of ``type`` (None: of the types that ``_type`` names, else of all) that match
    ``pairs`` (decoded names and values of the URL) and are in ``compartment``.

    ``lenient`` (None: as the server is set) leaves out unknown parameters and says so in an entry. Raises
    InvalidSearch with every fault, NotFound for a compartment that does not exist and a type that is not in it.
    """
    _require_place(server, type, compartment)
    check_access(caller, "search", type)
    source = server.store
    lenient = server.lenient if lenient is None else lenient
    query = await parse_search(
        server,
        caller,
        source,
        type,
        pairs,
        compartment=compartment,
        base=base,
        lenient=lenient,
        contained=True,
    )
    for part in query.parts:
        check_access(caller, "search", part.type)
    if query.explain:
        check_access(caller, "explain", type)
    if query.contained != "false":
        within = contained_query(server, caller, narrow(query, caller))
        page = await contained_page(server, within)
        entries = await contained_entries(server, caller, within, base, page.records)
        if query.explain:
            entries.append(outcome_entry(await explanation(server, within)))
        return _answer(query, base, _path(type, compartment), page, entries)
    narrowed = narrow(query, caller)
    if query.type in TYPES:
        page = await page_with_own(server, query, partial(_page, source, narrowed))
    else:
        page = await _page(source, narrowed)
    others = await included(server, caller, source, query.includes, page.records) if query.includes else ()
    entries = _entries(server, query, base, page.records, others)
    if query.explain:
        entries.append(outcome_entry(await explanation(server, narrowed)))
    return _answer(query, base, _path(type, compartment), page, entries)


def _answer(query: Query, base: str, path: str, page: Page, entries: list[bytes]) -> Outcome:
    if query.ignored:
        entries.append(ignored_entry(query.ignored))
    links = page_links(base, path, query.applied, page.next)
    return Outcome(200, resource=make_searchset(entries, links=links, total=page.total))


def _require_place(server: Server, type: str | None, compartment: Compartment | None) -> None:
    """Raises NotFound when there is nothing to be searched at this address."""
    if compartment is None:
        if type is not None:
            require_type(server, type)
        return
    known = members(server.parameters, compartment.type)
    if not known:
        allowed = ", ".join(sorted(server.definitions.compartments))
        raise NotFound(
            f"{compartment.type} has no compartment; those that have one: {allowed}", code="not-supported"
        )
    if type is not None and type not in known:
        allowed = ", ".join(sorted(known))
        raise NotFound(
            f"{type[:64]!r} is not in the compartment of a {compartment.type}; these are: {allowed}",
            code="not-supported",
        )


def _path(type: str | None, compartment: Compartment | None) -> str:
    if compartment is None:
        return type or ""
    return f"{compartment.type}/{compartment.id}/{type or ALL}"


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
    return entries
