"""``_contained=true`` and ``both``: what is found are resources that stand inside others.

Shown is the container, once however much of it matches, or with ``_containedType=contained`` what matches itself,
under the container's address with ``#`` and its id. ``_include`` follows what matches and what is shown;
``_revinclude`` also brings the container that refers to what matches, which nothing else can.
Source: FHIR R4 search.html#contained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
import orjson

from fhir_server.errors import Forbidden
from fhir_server.interactions.bundles import hit_entries
from fhir_server.interactions.contained import contained_in, container_of
from fhir_server.interactions.context import Server
from fhir_server.interactions.includes import included, write_of
from fhir_server.interactions.paging import all_pages
from fhir_server.interactions.subset import subset
from fhir_server.interactions.visible import is_narrowed
from fhir_server.search.contained import among_contained, inside_key, is_contained, plain_type
from fhir_server.search.query import Clause, Include, Query, TokenValue
from fhir_server.search.related import id_parameter
from fhir_server.security.caller import Caller
from fhir_server.store import Page, Reading, Record

STEP = 1000
"""Hits that are looked at together when containers are counted."""

Key = tuple[str, str]


def contained_query(server: Server, caller: Caller, query: Query) -> Query:
    """What to ask the store. Raises Forbidden for a caller who sees only some resources: what is contained says nothing
    of who may see it."""
    if any(is_narrowed(caller, type) for type in server.definitions.resource_types):
        raise Forbidden("contained resources are searched only by who may see all resources")
    return among_contained(query, both=query.contained == "both")


async def contained_page(server: Server, query: Query) -> Page:
    """A page of ``query``: containers or what is contained, as it asks."""
    if query.contained_type == "contained":
        return await _hits(server.store, query)
    total = None
    if query.total != "none" or query.summary == "count" or query.count == 0:
        total = await _count_containers(server.store, query)
    if query.summary == "count" or query.count == 0:
        return Page((), total=total)
    page = await server.store.search(replace(query, total="none"))
    return Page(tuple(await _containers(server.store, query, page.records)), page.next, total)


async def contained_entries(
    server: Server, caller: Caller, query: Query, base: str, records: Sequence[Record]
) -> list[bytes]:
    """Entries of a searchset, those of contained resources under the address of their container, and of what comes
    along with them."""
    shown = [_addressed(_shortened(server, query, record)) for record in records]
    entries = hit_entries(base, shown, "match")
    if query.includes:
        others = await _along(server, caller, query, records)
        short = [subset(server.definitions, record, query.summary, ()) for record in others]
        entries += hit_entries(base, short, "include")
    return entries


def _shortened(server: Server, query: Query, record: Record) -> Record:
    shown = msgspec.structs.replace(record, type=plain_type(record.type))
    short = subset(server.definitions, shown, query.summary, query.elements)
    return msgspec.structs.replace(record, content=short.content)


def _addressed(record: Record) -> Record:
    if not is_contained(record.type):
        return record
    type, _, rest = record.id.partition("/")
    return msgspec.structs.replace(record, type=type, id=rest)


async def _hits(reading: Reading, query: Query) -> Page:
    if query.summary == "count" or query.count == 0:
        return Page((), total=await reading.count(query))
    return await reading.search(query)


# ── what comes along ──────────────────────────────────────────────────────────


async def _along(server: Server, caller: Caller, query: Query, shown: Sequence[Record]) -> list[Record]:
    """What the includes of ``query`` add to ``shown``."""
    hits = [record for record in shown if is_contained(record.type)]
    if query.contained_type == "container":
        hits = [hit for container in shown for hit in await _hits_within(server.store, query, container)]
    whole = [record for record in shown if not is_contained(record.type)]
    meant = [msgspec.structs.replace(hit, type=plain_type(hit.type)) for hit in hits]
    found = [*await included(server, caller, server.store, query.includes, [*whole, *meant])]
    known = {write_of(record) for record in (*whole, *found)}
    referring = await _referring(server, query.includes, hits)
    containers = [record for record in referring if write_of(record) not in known]
    further = [include for include in query.includes if include.iterate]
    known |= set(map(write_of, containers))
    more = await included(server, caller, server.store, further, containers) if further and containers else ()
    return [*found, *containers, *(record for record in more if write_of(record) not in known)]


async def _hits_within(reading: Reading, query: Query, container: Record) -> list[Record]:
    """What matches of all that ``container`` contains."""
    found: list[Record] = []
    for part in query.parts or (query,):
        ids = _ids_within(container, part.type) if is_contained(part.type) else []
        for start in range(0, len(ids), STEP):
            some = ids[start : start + STEP]
            found += (await reading.search(replace(_only(part, some), count=STEP))).records
    return found


async def _referring(server: Server, includes: Sequence[Include], hits: Sequence[Record]) -> list[Record]:
    """The containers of ``hits`` that refer to them as the reverse ones of ``includes`` ask."""
    found: dict[Key, Record] = {}
    for hit in hits:
        key = container_of(hit)
        asked = {each for include in includes for each in _inside_keys(include, key[0], hit)}
        if not asked or key in found:
            continue
        container = await server.store.read(*key)
        if container is None or container.deleted:
            continue
        rows = server.extract(orjson.loads(container.content)).references
        if any(row.key in asked and row.id == hit.id for row in rows):
            found[key] = container
    return list(found.values())


def _inside_keys(include: Include, type: str, hit: Record) -> Iterable[int]:
    """The arms by which a container of ``type`` refers to ``hit``, when ``include`` is one that follows them back."""
    parameter = include.parameter
    only = include.target or parameter.target
    leads = include.reverse and include.type == type and only in {None, plain_type(hit.type)}
    return map(inside_key, parameter.keys) if leads else ()


# ── containers ────────────────────────────────────────────────────────────────


def _shown_for(record: Record) -> Key:
    """Type and id of the resource that is shown for a hit."""
    return container_of(record) if is_contained(record.type) else (record.type, record.id)


async def _containers(reading: Reading, query: Query, hits: Sequence[Record]) -> list[Record]:
    """What is shown for ``hits``: each container at the first of its hits, on whichever page that is."""
    found: list[Record] = []
    for hit in hits:
        container = await reading.read(*_shown_for(hit))
        if container is None or container.deleted:
            continue
        if await _is_first(reading, query, hit, container):
            found.append(container)
    return found


async def _is_first(reading: Reading, query: Query, hit: Record, container: Record) -> bool:
    """Whether ``hit`` comes first of all that match and have this container, itself included."""
    within = [(part, _ids_within(container, part.type)) for part in query.parts or (query,)]
    if sum(len(ids) for _, ids in within) < 2:
        return True
    siblings = [_only(part, ids) for part, ids in within if ids]
    whole = siblings[0] if len(siblings) == 1 else Query("", sort=query.sort, parts=tuple(siblings))
    first = await reading.search(replace(whole, count=1))
    return [(record.type, record.id) for record in first.records] in ([], [(hit.type, hit.id)])


def _ids_within(container: Record, type: str) -> list[str]:
    """The ids under which what ``container`` contains, or itself, can be a hit of ``type``."""
    if container.type == type:
        return [container.id]
    return [id for kind, id in contained_in(container) if kind == type]


def _only(part: Query, ids: Sequence[str]) -> Query:
    """``part`` of these ids only."""
    named = Clause(id_parameter(part.type), None, tuple(TokenValue(None, id) for id in ids))
    return Query(part.type, (*part.clauses, named), part.sort)


async def _count_containers(reading: Reading, query: Query) -> int:
    shown: set[Key] = set()
    whole = replace(query, count=STEP, cursor=None, total="none", summary=None)
    async for page in all_pages(reading, whole):
        shown.update(map(_shown_for, page.records))
    return len(shown)
