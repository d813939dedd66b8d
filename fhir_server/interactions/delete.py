"""delete: ``DELETE [base]/[type]/[id]`` and, by criteria, ``DELETE [base]/[type]?…``.

A deletion is a version of its own. Source: FHIR R4 http.html#delete.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from fhir_server.errors import Issue, PreconditionFailed
from fhir_server.interactions.conditional import parse_criteria, require_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import Corridor, corridor, require_type
from fhir_server.search.query import Query
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

MOST_DELETED = 10_000
"""Resources that one conditional delete may remove."""


async def delete(
    server: Server,
    caller: Caller,
    type: str,
    id: str | None,
    *,
    criteria: str | None = None,
    if_match: str | None = None,
    base: str = "",
) -> Outcome:
    """Delete the resource ``id``, or what ``criteria`` match: 204 with the deletion's version.

    204 too when there is nothing (left) to delete. ``if_match`` (header text) goes with one resource. Raises
    PreconditionFailed when it names another version or the criteria match more than the server is set to delete,
    and what the rules raise.
    """
    require_type(server, type)
    check_access(caller, "delete", type)
    query = await parse_criteria(server, caller, type, criteria, base) if criteria is not None else None
    async with corridor(server, caller) as writing:
        if query is None:
            done = await remove_current(writing, type, str(id), if_match=if_match)
        else:
            found = await find_deleted(server, writing.transaction, query)
            done = await remove_matches(writing, found, if_match)
    return msgspec.structs.replace(done, issues=(*done.issues, *writing.issues))


async def find_deleted(server: Server, reading: Reading, criteria: Query) -> list[Record]:
    """The resources that a conditional delete means. Raises PreconditionFailed when they are too many."""
    if server.conditional_delete == "single":
        found = (await reading.search(criteria)).records
        if len(found) > 1:
            raise _too_many(f"more than one {criteria.type} matches; use criteria that match one")
        return list(found)
    found = (await reading.search(replace(criteria, count=MOST_DELETED + 1))).records
    if len(found) > MOST_DELETED:
        raise _too_many(f"more than {MOST_DELETED} match; nothing was deleted: use criteria that match fewer")
    return list(found)


def _too_many(text: str) -> PreconditionFailed:
    return PreconditionFailed(text, code="multiple-matches")


async def remove_matches(writing: Corridor, found: list[Record], if_match: str | None) -> Outcome:
    """Delete every one of ``found`` in an open corridor. Raises PreconditionFailed as ``delete`` does."""
    if if_match is not None and len(found) > 1:
        raise _too_many(f"If-Match goes with one resource, but {len(found)} match")
    if len(found) < 2:
        version = await require_match(writing.server, writing.caller, if_match, found[0] if found else None)
        record = await writing.remove(found[0], if_match=version) if found else None
        return Outcome(204, record)
    for record in found:
        await remove_current(writing, record.type, record.id)
    told = Issue("information", "informational", f"{len(found)} resources were deleted")
    return Outcome(204, issues=(told,))


async def remove_current(writing: Corridor, type: str, id: str, *, if_match: str | None = None) -> Outcome:
    """Delete the current version of ``id`` in an open corridor. Raises as ``delete`` does."""
    before = await writing.transaction.read(type, id)
    version = await require_match(writing.server, writing.caller, if_match, before)
    if before is None or before.deleted:
        return Outcome(204, before)
    return Outcome(204, await writing.remove(before, if_match=version))
