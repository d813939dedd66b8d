"""``_contained=true`` and ``both``: what is found are resources that stand inside others.

Shown is the container, once however much of it matches, or with ``_containedType=contained`` what matches itself,
under the container's address with ``#`` and its id.
Source: FHIR R4 search.html#contained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from fhir_server.errors import Forbidden, InvalidSearch
from fhir_server.interactions.bundles import hit_entries
from fhir_server.interactions.contained import contained_in, container_of
from fhir_server.interactions.context import Server
from fhir_server.interactions.subset import subset
from fhir_server.interactions.visible import is_narrowed
from fhir_server.search.contained import among_contained, is_contained, plain_type
from fhir_server.search.faults import Refusal
from fhir_server.search.query import Clause, Query, TokenValue
from fhir_server.search.related import id_parameter
from fhir_server.security.caller import Caller
from fhir_server.store import Page, Reading, Record

STEP = 1000
"""Hits that are looked at together when containers are counted."""

Key = tuple[str, str]


def contained_query(server: Server, caller: Caller, query: Query) -> Query:
    """What to ask the store. Raises InvalidSearch for what cannot be asked, and Forbidden for a caller
    who sees only some resources: what is contained says nothing of who may see it."""
    if query.includes:
        raise InvalidSearch(
            "_include and _revinclude cannot be used together with _contained",
            code="not-supported",
            expression="http._contained",
        )
    if any(is_narrowed(caller, type) for type in server.definitions.resource_types):
        raise Forbidden("contained resources are searched only by who may see all resources")
    try:
        return among_contained(query, both=query.contained == "both")
    except Refusal as error:
        raise InvalidSearch(f"_contained: {error}", code=error.code, expression="http._contained") from error


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


def contained_entries(server: Server, query: Query, base: str, records: Iterable[Record]) -> list[bytes]:
    """Entries of a searchset, those of contained resources under the address of their container."""
    return hit_entries(base, [_addressed(_shortened(server, query, record)) for record in records], "match")


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
    step: Query | None = replace(query, count=STEP, cursor=None, total="none", summary=None)
    while step is not None:
        page = await reading.search(step)
        shown.update(map(_shown_for, page.records))
        step = replace(step, cursor=page.next) if page.next else None
    return len(shown)
