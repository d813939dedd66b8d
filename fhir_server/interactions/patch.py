"""patch: ``PATCH [base]/[type]/[id]`` and, by criteria, ``PATCH [base]/[type]?…``.

Source: FHIR R4 http.html#patch.
"""

from __future__ import annotations

from fhir_server.errors import NotFound, Unprocessable
from fhir_server.interactions.conditional import find_one, parse_criteria, require_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.patches import JSON_PATCH, Make, parse_patch
from fhir_server.interactions.read import require_here
from fhir_server.interactions.write import Corridor, corridor, require_same_type, require_type, require_valid
from fhir_server.model.resource import Json, Resource
from fhir_server.search.query import Query
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record


async def patch(
    server: Server,
    caller: Caller,
    type: str,
    id: str | None,
    body: bytes,
    *,
    content_type: str = JSON_PATCH,
    criteria: str | None = None,
    if_match: str | None = None,
    base: str = "",
) -> Outcome:
    """Apply the patch in ``body`` to the current version of ``id``, or of what ``criteria`` match: 200.

    ``content_type`` says which kind of patch it is (``patches.READERS``). Raises UnsupportedMedia for another,
    InvalidContent for one that is malformed, Unprocessable when it does not fit or the result is not valid,
    NotFound (also when nothing matches), Gone, and PreconditionFailed (also when several match).
    """
    require_type(server, type)
    check_access(caller, "patch", type)
    make = parse_patch(server, body, content_type)
    query = await parse_criteria(server, caller, type, criteria, base) if criteria is not None else None
    async with corridor(server, caller) as writing:
        target = str(id) if query is None else (await require_one(writing.transaction, query)).id
        record = await modify_current(writing, type, target, make, method="PATCH", if_match=if_match)
    return Outcome(200, record, issues=tuple(writing.issues))


async def require_one(reading: Reading, criteria: Query) -> Record:
    """The one resource that matches. Raises NotFound when none does, PreconditionFailed when several do."""
    found = await find_one(reading, criteria)
    if found is None:
        raise NotFound(f"no {criteria.type} matches the criteria; there is nothing to patch")
    return found


async def modify(
    server: Server,
    caller: Caller,
    type: str,
    id: str,
    make: Make,
    *,
    method: str = "PUT",
    if_match: str | None = None,
    operation: str | None = None,
    parameters: Json | None = None,
) -> Outcome:
    """Keep what ``make`` makes of the current version as the next one, both in one transaction: 200.

    For who reads, decides and writes: nobody else can write in between. ``operation`` and
    ``parameters`` are for rules. The caller's right to do this is checked before. Raises NotFound,
    Gone, PreconditionFailed, and what ``make``, the validator and the rules raise.
    """
    async with corridor(server, caller, operation=operation, parameters=parameters) as writing:
        record = await modify_current(writing, type, id, make, method=method, if_match=if_match)
    return Outcome(200, record, issues=tuple(writing.issues))


async def modify_current(
    writing: Corridor, type: str, id: str, make: Make, *, method: str, if_match: str | None = None
) -> Record:
    """``modify`` in an open corridor; the new version."""
    current = require_here(await writing.transaction.read(type, id), type, id)
    version = await require_match(writing.server, writing.caller, if_match, current)
    changed = make(Resource.parse(current.content))
    require_same_type(changed, type)
    if changed.id != id:
        raise Unprocessable("the id of a resource cannot be changed", expression=f"{type}.id", code="value")
    writing.issues += require_valid(writing.server.validate(changed.data))
    return await writing.put(changed, id, current, method=method, if_match=version)
