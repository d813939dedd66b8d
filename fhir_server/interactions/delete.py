"""delete: ``DELETE [base]/[type]/[id]``; the deletion is a version of its own.

Source: FHIR R4 http.html#delete.
"""

from __future__ import annotations

from fhir_server.interactions.conditional import require_match
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.write import Corridor, corridor, require_type
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller


async def delete(
    server: Server, caller: Caller, type: str, id: str, *, if_match: str | None = None
) -> Outcome:
    """Delete the resource: 204 with the deletion's version; 204 too when there is nothing (left) to delete.

    Raises PreconditionFailed when ``if_match`` (header text) names another version, and what the rules raise.
    """
    require_type(server, type)
    check_access(caller, "delete", type)
    async with corridor(server, caller) as writing:
        return await remove_current(writing, type, id, if_match=if_match)


async def remove_current(writing: Corridor, type: str, id: str, *, if_match: str | None = None) -> Outcome:
    """Delete the current version of ``id`` in an open corridor. Raises as ``delete`` does."""
    before = await writing.transaction.read(type, id)
    version = await require_match(writing.server, writing.caller, if_match, before)
    if before is None or before.deleted:
        return Outcome(204, before)
    return Outcome(204, await writing.remove(before, if_match=version), issues=tuple(writing.issues))
