"""Preconditions: ETags, and criteria that name a resource by what it says instead of by its id.

All of them are decided inside the store transaction of the write they guard, so that of several
parallel ones exactly one wins.
Source: FHIR R4 http.html#concurrency, http.html#ccreate, http.html#cond-update; RFC 9110 §13.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import parse_qsl

from fhir_server.errors import Conflict, InvalidContent, Issue, PreconditionFailed
from fhir_server.interactions.context import Server
from fhir_server.interactions.lookups import parse_search
from fhir_server.model.resource import Json
from fhir_server.search.query import Query
from fhir_server.security.access import narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record, Transaction

ANY = "*"
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_ETAGS = re.compile(rf"\s*{_ETAG.pattern}(?:\s*,\s*{_ETAG.pattern})*\s*")


def etag(version: int) -> str:
    """The weak ETag of a version: ``W/"3"``."""
    return f'W/"{version}"'


def parse_etags(header: str, value: str) -> frozenset[str]:
    """The versions that ``value`` (of ``If-Match`` or ``If-None-Match``) names; ``{"*"}`` for any.

    Raises InvalidContent when it is not a list of ETags.
    """
    if value.strip() == ANY:
        return frozenset({ANY})
    if not _ETAGS.fullmatch(value):
        raise InvalidContent(
            f'{header} must be a version as ETag, like W/"3", or *', expression=f"http.{header}", code="value"
        )
    return frozenset(_ETAG.findall(value))


def is_match(header: str, value: str, current: Record | None) -> bool:
    """True when one of the ETags in ``value`` is the current version's (``*``: there is a current one)."""
    versions = parse_etags(header, value)
    if current is None:
        return False
    return str(current.version) in versions or (ANY in versions and not current.deleted)


async def require_match(
    server: Server, caller: Caller, if_match: str | None, current: Record | None
) -> int | None:
    """The version that ``If-Match`` names, None without the header.

    Raises PreconditionFailed when another version is current; the error carries the current ETag
    and whatever the domain has to add (``server.stale``).
    """
    if if_match is None:
        return None
    if current is not None and is_match("If-Match", if_match, current):
        return current.version
    parse_etags("If-Match", if_match)
    raise await _stale(server, caller, if_match, current)


async def _stale(server: Server, caller: Caller, if_match: str, current: Record | None) -> PreconditionFailed:
    if current is None:
        return PreconditionFailed(f"If-Match names {if_match}, but there is no such resource yet")
    now = etag(current.version)
    text = f"If-Match names {if_match}, but the current version is {now}; read it and decide again"
    explain = server.stale.get(current.type)
    more = tuple(await explain(server, caller, current)) if explain else ()
    issues = (Issue("error", "conflict", text, "http.If-Match"), *more)
    return PreconditionFailed(issues=issues, headers={"ETag": now})


def require_absent(if_none_match: str | None, current: Record | None) -> None:
    """``If-None-Match`` on a write: refuse when the resource is here (``*``) or has that version.

    Raises PreconditionFailed.
    """
    if if_none_match is not None and is_match("If-None-Match", if_none_match, current):
        assert current is not None
        raise PreconditionFailed(
            f"If-None-Match {if_none_match} is not met: version {etag(current.version)} is here",
            headers={"ETag": etag(current.version)},
        )


async def parse_criteria(server: Server, caller: Caller, type: str, criteria: str, base: str = "") -> Query:
    """The query that ``criteria`` (``identifier=a|b``, with or without ``Type?``) asks, for at most two hits.

    Raises InvalidSearch for what a search would refuse, PreconditionFailed when it would match everything.
    """
    head, mark, tail = criteria.partition("?")
    is_address = bool(mark) and "=" not in head
    pairs = parse_qsl(tail if is_address else criteria, keep_blank_values=True)
    query = await parse_search(server, caller, server.store, type, pairs, base=base)
    if not query.clauses:
        raise PreconditionFailed(
            f"the criteria for {type} name no search parameter: they would match everything"
        )
    return narrow(replace(query, count=2, sort=(), includes=(), total="none", cursor=None), caller)


async def find_one(reading: Reading, criteria: Query) -> Record | None:
    """The one resource that matches, None when none does. Raises PreconditionFailed when several do."""
    records = (await reading.search(criteria)).records
    if len(records) > 1:
        raise PreconditionFailed(
            f"more than one {criteria.type} matches; use criteria that match one", code="multiple-matches"
        )
    return records[0] if records else None


async def find_target(
    server: Server, caller: Caller, transaction: Transaction, criteria: Query, data: Json
) -> Record | None:
    """The resource a conditional update means: the one match, else the one the domain adopts, else None.

    Raises PreconditionFailed for several matches, InvalidContent when the body's id is another resource's.
    """
    found = await find_one(transaction, criteria)
    found = found or await _adopted(server, caller, transaction, criteria.type, data)
    sent = data.get("id")
    if found is not None and sent is not None and sent != found.id:
        raise InvalidContent(
            f"the criteria match {found.type}/{found.id}, but the body's id is {sent}",
            expression=f"{found.type}.id",
            code="value",
        )
    return found


async def _adopted(
    server: Server, caller: Caller, transaction: Transaction, type: str, data: Json
) -> Record | None:
    adopt = server.adopt.get(type)
    id = await adopt(server, transaction, data, caller) if adopt else None
    return await transaction.read(type, id) if id else None


async def free_id(server: Server, reading: Reading, data: Json) -> str:
    """The id for a conditional update that matched nothing: the body's, when it is not taken, else a new one.

    Raises Conflict when the id belongs to a resource that does not match the criteria.
    """
    id = data.get("id")
    if id is None:
        return server.new_id()
    current = await reading.read(data["resourceType"], id)
    if current is not None and not current.deleted:
        raise Conflict(f"{data['resourceType']}/{id} is here already and does not match the criteria")
    return str(id)
