"""create: ``POST [base]/[type]``, also on condition that nothing matches.

Source: FHIR R4 http.html#create, http.html#ccreate.
"""

from __future__ import annotations

from fhir_server.interactions.conditional import find_one, parse_criteria
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import accept, corridor, early_values
from fhir_server.model.resource import Resource
from fhir_server.security.caller import Caller


async def create(
    server: Server,
    caller: Caller,
    resource: Resource,
    *,
    type: str | None = None,
    if_none_exist: str | None = None,
    base: str = "",
) -> Outcome:
    """Keep ``resource`` under a new id; one that it brings along is ignored.

    ``type`` is the URL's; ``if_none_exist`` search criteria: when one resource matches, nothing is
    written and the answer is 200 with it. Raises PreconditionFailed when several match, and what
    ``write.accept`` and the rules raise.
    """
    warnings = accept(server, caller, "create", resource, type)
    criteria = None
    if if_none_exist is not None:
        criteria = await parse_criteria(server, caller, resource.type, if_none_exist, base)
    early = early_values(server, resource)
    async with corridor(server, caller) as writing:
        existing = await find_one(writing.transaction, criteria) if criteria else None
        if existing is not None:
            return Outcome(200, existing)
        record = await writing.put(resource, server.new_id(), None, method="POST", early=early)
    return Outcome(201, record, issues=(*warnings, *writing.issues))
