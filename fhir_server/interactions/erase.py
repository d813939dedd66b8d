"""delete-history: past versions removed for good; purge: a resource with all its versions.

Only administrators may, and each time an AuditEvent is kept in the same transaction. R4 has no such interaction; the
addresses are those of R6. Source: FHIR R6 http.html#delete-history.
"""

from __future__ import annotations

from fhir_server.errors import Conflict, Forbidden, Issue, NotFound
from fhir_server.interactions import audit
from fhir_server.interactions.conditional import require_match
from fhir_server.interactions.contained import forget_contained
from fhir_server.interactions.context import Outcome, Server
from fhir_server.interactions.vread import VERSION
from fhir_server.interactions.write import Corridor, corridor, require_type
from fhir_server.security.access import check_access
from fhir_server.security.caller import Caller
from fhir_server.store import Record


async def delete_history(
    server: Server, caller: Caller, type: str, id: str, version: str | None = None
) -> Outcome:
    """Remove the past versions of a resource, or the one called ``version`` (text of the URL), for good: 204.

    The current version, a deletion too, stays. Raises NotFound, Conflict for the current version, and Forbidden for
    who is no administrator and for audit records.
    """
    _require_erasable(server, caller, type)
    async with corridor(server, caller) as writing:
        current = await _used(writing, type, id)
        number = _number(current, version)
        await forget_contained(writing.transaction, current, all=False)
        count = await writing.transaction.forget(type, id, number)
        if version is not None and not count:
            raise NotFound(f"there is no version {version[:20]} of {type}/{id}")
        told = f"{count} past {_versions(count)} removed for good"
        if count:
            await audit.record_erasure(writing, "delete", type, id, told)
    return Outcome(204, issues=(Issue("information", "informational", told),))


async def purge(
    server: Server, caller: Caller, type: str, id: str, *, if_match: str | None = None
) -> Outcome:
    """Remove the resource with all its versions for good, deleted or not: 200 with what was done.

    What refers to it stays as it is, and no rule of its type is asked. Raises as ``delete_history`` does, and
    PreconditionFailed.
    """
    _require_erasable(server, caller, type)
    async with corridor(server, caller) as writing:
        current = await _used(writing, type, id)
        await require_match(server, caller, if_match, current)
        await forget_contained(writing.transaction, current, all=True)
        count = await writing.transaction.erase(type, id)
        told = f"{type}/{id} removed for good, {count} {_versions(count)}"
        await audit.record_erasure(writing, "operation", type, id, told)
    return Outcome(200, issues=(Issue("information", "informational", told),))


def _require_erasable(server: Server, caller: Caller, type: str) -> None:
    require_type(server, type)
    check_access(caller, "purge", type)
    if type == audit.TYPE:
        raise Forbidden("audit records are not removed, neither whole nor in part")


async def _used(writing: Corridor, type: str, id: str) -> Record:
    current = await writing.transaction.read(type, id)
    if current is None:
        raise NotFound(f"there is no {type}/{id}")
    return current


def _number(current: Record, version: str | None) -> int | None:
    """The number of a past version; 0, which none has, for what is no number."""
    if version is None:
        return None
    number = int(version) if VERSION.fullmatch(version) else 0
    if number == current.version:
        raise Conflict(
            f"version {number} is the current one of {current.type}/{current.id}: update or delete the resource "
            "first, or purge it as a whole"
        )
    return number


def _versions(count: int) -> str:
    return "version" if count == 1 else "versions"
