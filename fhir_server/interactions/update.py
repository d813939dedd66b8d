"""update: ``PUT [base]/[type]/[id]`` and, by criteria, ``PUT [base]/[type]?…``.

Source: FHIR R4 http.html#update, http.html#upsert, http.html#cond-update.
"""

from __future__ import annotations

import msgspec

from fhir_server.errors import InvalidContent
from fhir_server.interactions.conditional import (
    find_target,
    free_id,
    parse_criteria,
    require_absent,
    require_match,
)
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import Corridor, Early, accept, corridor, early_values, require_id
from fhir_server.model.resource import Json, Resource
from fhir_server.search.query import Query
from fhir_server.security.caller import Caller


async def update(
    server: Server,
    caller: Caller,
    resource: Resource,
    *,
    id: str | None = None,
    criteria: str | None = None,
    type: str | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
    base: str = "",
    operation: str | None = None,
    parameters: Json | None = None,
) -> Outcome:
    """Keep ``resource`` as the next version of ``id``, or of what ``criteria`` match: 200, or 201 for a new one.

    An update that changes nothing makes a version all the same: its writer is told a version that
    is his. ``if_match`` and ``if_none_match`` are header texts; ``operation`` and ``parameters`` tell
    rules which $operation stands behind the write. Raises InvalidContent when the body's id is
    missing or another one, PreconditionFailed, and what ``write.accept`` and the rules raise.
    """
    warnings = accept(server, caller, "update", resource, type)
    query = (
        await parse_criteria(server, caller, resource.type, criteria, base) if criteria is not None else None
    )
    known = require_own_id(resource, id) if query is None else None
    early = early_values(server, resource)
    async with corridor(server, caller, operation=operation, parameters=parameters) as writing:
        target = known or await _named_by(writing, query, resource.data)
        outcome = await put_current(
            writing, resource, target, if_match=if_match, if_none_match=if_none_match, early=early
        )
    return msgspec.structs.replace(outcome, issues=(*warnings, *writing.issues))


def require_own_id(resource: Resource, id: str | None) -> str:
    """The body's id. Raises InvalidContent unless it has one and it is ``id``, when that is given."""
    expression = f"{resource.type}.id"
    if resource.id is None:
        raise InvalidContent(
            "the body of an update needs the id of the URL", expression=expression, code="required"
        )
    if id is not None and resource.id != id:
        raise InvalidContent("the body's id is not the id of the URL", expression=expression, code="value")
    return require_id(resource.id, expression)


async def put_current(
    writing: Corridor,
    resource: Resource,
    id: str,
    *,
    if_match: str | None = None,
    if_none_match: str | None = None,
    method: str = "PUT",
    early: Early | None = None,
) -> Outcome:
    """Write ``resource`` over the current version of ``id`` in an open corridor, when the preconditions hold;
    ``early`` as in ``Corridor.put``.

    200, or 201 when it was not here (never, or deleted). Raises PreconditionFailed and as ``Corridor.put``.
    """
    before = await writing.transaction.read(resource.type, id)
    version = await require_match(writing.server, writing.caller, if_match, before)
    require_absent(if_none_match, before)
    record = await writing.put(resource, id, before, method=method, if_match=version, early=early)
    return Outcome(201 if before is None or before.deleted else 200, record)


async def _named_by(writing: Corridor, query: Query | None, data: Json) -> str:
    assert query is not None
    found = await find_target(writing.server, writing.caller, writing.transaction, query, data)
    return found.id if found else await free_id(writing.server, writing.transaction, data)
